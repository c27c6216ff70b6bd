//! A partition: its log behind a lock, and the fetches that wait for an append.

use crate::log::batch::BatchHeader;
use crate::log::compact::KEYS_MAX;
use crate::log::transactions::Outcome;
use crate::log::{AppendError, Isolation, Log};
use std::io;
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
    /// Waiting fetches, each with its isolation.
    waiting: Vec<(Arc<Signal>, Isolation)>,
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

    /// Appends a checked batch, wakes waiting fetches, and returns (base offset, log start offset). `None` if the topic
    /// is deleted.
    pub fn append(&self, batch: &[u8], header: &BatchHeader) -> Option<Result<(i64, i64), AppendError>> {
        self.change(|log| log.append(batch, header).map(|offset| (offset, log.start_offset())))
    }

    /// Appends the marker that ends a producer's transaction; `None` if the topic is deleted.
    pub fn append_marker(&self, producer_id: i64, epoch: i16, outcome: Outcome) -> Option<io::Result<()>> {
        self.change(|log| log.append_marker(producer_id, epoch, outcome))
    }

    /// Changes the log and wakes the fetches that see more of it now. `None` if the topic is deleted.
    fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> Option<T> {
        let mut state = self.lock();
        if state.deleted {
            return None;
        }
        let stable_before = state.log.visible_end(Isolation::ReadCommitted);
        let changed = change(&mut state.log);
        let is_stable = state.log.visible_end(Isolation::ReadCommitted) > stable_before;
        let sees = |(_, isolation): &mut (_, Isolation)| is_stable || *isolation == Isolation::ReadUncommitted;
        let waiting: Vec<_> = state.waiting.extract_if(.., sees).collect();
        drop(state);
        waiting.iter().for_each(|(signal, _)| signal.fire());
        Some(changed)
    }

    /// Runs `read` on the log.
    pub fn with_log<T>(&self, read: impl FnOnce(&mut Log) -> T) -> T {
        read(&mut self.lock().log)
    }

    /// Compacts the log if that is due. `going` says whether the broker still runs.
    pub fn compact(&self, now_ms: i64, going: &dyn Fn() -> bool) -> io::Result<()> {
        let Some(job) = self.with_log(|log| log.compaction(now_ms)) else { return Ok(()) };
        let compacted = job.run(KEYS_MAX, going, |new| self.with_log(|log| log.replace(new)));
        match compacted {
            Ok(Some(end)) => self.with_log(|log| log.set_clean(end)),
            Ok(None) => Ok(()),
            // Retention or the deletion of the topic took files away in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Fires `signal` as soon as the visible end is not `end_offset`: now, or at a later append.
    pub fn wake_on_growth(&self, end_offset: i64, isolation: Isolation, signal: &Arc<Signal>) {
        let mut state = self.lock();
        if state.log.visible_end(isolation) != end_offset || state.deleted {
            drop(state);
            signal.fire();
        } else {
            state.waiting.push((Arc::clone(signal), isolation));
        }
    }

    /// Removes a signal that nobody waits for.
    pub fn forget(&self, signal: &Arc<Signal>) {
        self.lock().waiting.retain(|(waiting, _)| !Arc::ptr_eq(waiting, signal));
    }

    /// Refuses all further appends.
    pub fn mark_deleted(&self) {
        let mut state = self.lock();
        state.deleted = true;
        state.waiting.drain(..).for_each(|(signal, _)| signal.fire());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
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
