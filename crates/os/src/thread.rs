//! Threads whose end is always reported. Otherwise a thread that panics leaves others waiting for it for ever.

use crate::clock;
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvError, TryRecvError, channel};
use std::thread::{Builder, JoinHandle};

/// The stack of each thread, as the main thread has it: the deepest expression that a query may have is planned and computed
/// by recursion (`tidemill-sql`). Memory that is not touched is not taken.
const STACK_BYTES: usize = 8 << 20;

/// The message of a thread's panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic(pub String);

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.0)
    }
}

/// Runs `body` on a named thread, then calls `ended` with its result, also after a panic. The thread lives in the time of
/// the one that starts it ([`crate::clock`]).
///
/// # Errors
/// The system has no thread left.
pub fn spawn<T>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
    ended: impl FnOnce(Result<T, Panic>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let place = clock::place_for_child();
    let all = move || ended(caught(body));
    Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(move || match place {
        Some(place) => place.run(all),
        None => all(),
    })
}

/// A thread with a result.
#[derive(Debug)]
pub struct Job<T>(Receiver<Result<T, Panic>>);

impl<T: Send + 'static> Job<T> {
    /// Runs `body` on a named thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn(name: &str, body: impl FnOnce() -> T + Send + 'static) -> io::Result<Job<T>> {
        let (result, asked) = channel();
        // The receiver may be gone; then nobody needs the result.
        spawn(name, body, move |end| drop(result.send(end)))?;
        Ok(Job(asked))
    }

    /// The result once the thread has ended; `None` while it runs. Gives the result once.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn try_end(&self) -> Option<Result<T, Panic>> {
        match self.0.try_recv() {
            Ok(end) => Some(end),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Panic("the result was taken before".into()))),
        }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn end(self) -> Result<T, Panic> {
        self.0.recv().unwrap_or_else(|RecvError| Err(Panic("the result was taken before".into())))
    }
}

/// Runs `body` and turns a panic into an error. The panic hook has already printed the message.
///
/// # Errors
/// `body` panicked. What it was changing is dropped with it.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| Panic(message(payload.as_ref())))
}

/// The message of a panic.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn each_end_is_heard() {
        let (ends, heard) = channel();
        for number in 0..3 {
            let ends = ends.clone();
            let body = move || match number {
                0 => 7,
                1 => panic!("number {number}"),
                _ => panic!("no number"),
            };
            let ended = move |end| ends.send(end).expect("the test listens");
            spawn("test", body, ended).expect("a thread").join().expect("a panic is caught");
        }
        let panic = |text: &str| Err(Panic(text.into()));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Ok(7), panic("number 1"), panic("no number")]);
    }

    #[test]
    fn a_job_has_a_result() {
        let (go, gone) = channel::<()>();
        let job = Job::spawn("test", move || gone.recv().is_err()).expect("a thread");
        assert_eq!(job.try_end(), None);
        drop(go);
        assert_eq!(job.end(), Ok(true));
        let job = Job::spawn("test", || -> u8 { panic!("no") }).expect("a thread");
        assert_eq!(job.end(), Err(Panic("no".into())));
    }
}
