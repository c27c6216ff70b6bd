//! A partition: its log behind a lock, and the fetches that wait for an append.

use crate::log::batch::BatchHeader;
use crate::log::{AppendError, Log};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// One partition of one topic.
#[derive(Debug)]
pub(crate) struct Partition {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    log: Log,
    waiting: Vec<Arc<Signal>>,
    /// The topic is deleted: nothing more may be written.
    deleted: bool,
}

/// Wakes one waiting fetch.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    fired: Mutex<bool>,
    condvar: Condvar,
}

impl Partition {
    pub fn new(log: Log) -> Partition {
        Partition { state: Mutex::new(State { log, waiting: Vec::new(), deleted: false }) }
    }

    /// Appends a checked batch, wakes waiting fetches, and returns (base offset, log start offset); `None` if the topic
    /// is deleted.
    pub fn append(&self, batch: &[u8], header: &BatchHeader) -> Option<Result<(i64, i64), AppendError>> {
        let mut state = self.lock();
        if state.deleted {
            return None;
        }
        let appended = state.log.append(batch, header).map(|offset| (offset, state.log.start_offset()));
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.iter().for_each(|signal| signal.fire());
        Some(appended)
    }

    /// Runs `read` on the log.
    pub fn with_log<T>(&self, read: impl FnOnce(&mut Log) -> T) -> T {
        read(&mut self.lock().log)
    }

    /// The next append fires `signal`. If the log already extends beyond `end_offset`, fires it now.
    pub fn wake_on_growth(&self, end_offset: i64, signal: &Arc<Signal>) {
        let mut state = self.lock();
        if state.log.end_offset() != end_offset || state.deleted {
            drop(state);
            signal.fire();
        } else {
            state.waiting.push(Arc::clone(signal));
        }
    }

    /// Removes a signal that nobody waits for.
    pub fn forget(&self, signal: &Arc<Signal>) {
        self.lock().waiting.retain(|waiting| !Arc::ptr_eq(waiting, signal));
    }

    /// Refuses all further appends.
    pub fn mark_deleted(&self) {
        let mut state = self.lock();
        state.deleted = true;
        state.waiting.drain(..).for_each(|signal| signal.fire());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with a log in its hands")
    }
}

impl Signal {
    /// Wakes the waiter, now or when it starts to wait.
    pub fn fire(&self) {
        *self.fired.lock().expect("nothing panics here") = true;
        self.condvar.notify_one();
    }

    /// Waits until fired or until `deadline`, and resets.
    pub fn wait_until(&self, deadline: Instant) {
        let mut fired = self.fired.lock().expect("nothing panics here");
        while !*fired {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                break;
            };
            fired = self.condvar.wait_timeout(fired, left).expect("nothing panics here").0;
        }
        *fired = false;
    }
}
