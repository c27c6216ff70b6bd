//! Progress of a worker's task: the worker writes it, the loop reads it. Costs a few stores per chunk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tidemill_link::Beat;

/// Shared by a worker and the loop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    records: AtomicU64,
    waits: AtomicBool,
}

impl Progress {
    /// A task begins.
    pub(crate) fn begin(&self) {
        self.0.records.store(0, Ordering::Relaxed);
    }

    /// Runs `ask`, and shows meanwhile that the task waits for its source.
    pub(crate) fn waiting<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.0.waits.store(true, Ordering::Relaxed);
        let answer = ask();
        self.0.waits.store(false, Ordering::Relaxed);
        answer
    }

    /// Counts records that are done.
    pub(crate) fn add(&self, records: usize) {
        self.0.records.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub(crate) fn beat(&self, task: u64) -> Beat {
        let State { records, waits } = &*self.0;
        Beat { task, records: records.load(Ordering::Relaxed), waits: waits.load(Ordering::Relaxed) }
    }
}
