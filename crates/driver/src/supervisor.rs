//! The threads of a run. Each has a name, and the driver learns of its end: no thread dies unseen.
//!
//! A thread sends [`Event::Ended`] when it ends. [`Role`] says what that means: a panic or an error always ends the
//! run; the end of a needed thread ends it too.

use crate::event::Event;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tidemill_model::{Error, Result};
use tidemill_os::clock;
use tidemill_os::thread::{self, Panic};

/// What the end of a thread means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The run needs it: its end ends the run.
    Needed,
    /// It may end when its work is done.
    Passing,
}

/// A thread that has ended.
pub(crate) struct EndedThread {
    name: String,
    role: Role,
    how: Result<Result<()>, Panic>,
}

impl EndedThread {
    /// The error that ends the run, if the thread's end means that.
    pub(crate) fn verdict(self) -> Result<()> {
        let EndedThread { name, role, how } = self;
        match how {
            Err(panic) => Err(Error::internal(format!(
                "the thread `{name}` {panic}; this is a bug in Tidemill, please report it"
            ))),
            Ok(Err(error)) => Err(error.context(name)),
            Ok(Ok(())) if role == Role::Needed => {
                Err(Error::internal(format!("the thread `{name}` ended before the run; start the run again")))
            }
            Ok(Ok(())) => Ok(()),
        }
    }
}

/// Owns the threads of a run and the inbox that receives their ends.
pub struct Supervisor {
    events: Sender<Event>,
    /// `None` once the run has taken it.
    inbox: Option<Receiver<Event>>,
    threads: Vec<(String, JoinHandle<()>)>,
}

/// At the end of a run, threads have this long to release what they hold.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

impl Default for Supervisor {
    fn default() -> Supervisor {
        let (events, inbox) = channel();
        Supervisor { events, inbox: Some(inbox), threads: Vec::new() }
    }
}

impl Supervisor {
    /// Starts a thread.
    ///
    /// # Errors
    /// External: the system has no thread left.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        role: Role,
        body: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let name = name.into();
        let (events, own) = (self.events.clone(), name.clone());
        // After the run nobody listens, and nobody needs to.
        let ended = move |how| drop(events.send(Event::Ended(EndedThread { name: own, role, how })));
        let thread = thread::spawn(&name, body, ended).map_err(|error| {
            Error::external(format!(
                "cannot start the thread `{name}`: {error}; check the limits on processes and memory"
            ))
        })?;
        self.threads.retain(|(_, thread)| !thread.is_finished());
        self.threads.push((name, thread));
        Ok(())
    }

    /// The sender of the inbox.
    pub(crate) fn events(&self) -> Sender<Event> {
        self.events.clone()
    }

    /// The inbox; the run takes it once.
    pub(crate) fn take_inbox(&mut self) -> Receiver<Event> {
        self.inbox.take().expect("a supervisor serves one run")
    }

    /// Waits for a thread that was asked to end, at most [`RELEASE_TIMEOUT`], so that what it holds (the checkpoint's
    /// lock) is free. A thread that hangs is left behind.
    pub(crate) fn release(&mut self, name: &str) {
        let deadline = clock::now() + RELEASE_TIMEOUT;
        let running = |threads: &[(String, JoinHandle<()>)]| {
            threads.iter().any(|(own, thread)| own == name && !thread.is_finished())
        };
        while running(&self.threads) && clock::now() < deadline {
            clock::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_end_of_a_thread_means() {
        let mut supervisor = Supervisor::default();
        let inbox = supervisor.take_inbox();
        let mut verdict = |role, body: fn() -> Result<()>| {
            supervisor.spawn("painter", role, body).expect("a thread");
            let Some(Event::Ended(ended)) = clock::receive(&inbox) else { panic!("only ends are told here") };
            ended.verdict().map_err(|error| error.to_string())
        };
        assert_eq!(verdict(Role::Passing, || Ok(())), Ok(()));
        let early = "the thread `painter` ended before the run; start the run again";
        assert_eq!(verdict(Role::Needed, || Ok(())), Err(early.into()));
        assert_eq!(verdict(Role::Passing, || Err(Error::external("no paint"))), Err("painter: no paint".into()));
        let panic = "the thread `painter` panicked: out of canvas; this is a bug in Tidemill, please report it";
        assert_eq!(verdict(Role::Passing, || panic!("out of canvas")), Err(panic.into()));
    }
}
