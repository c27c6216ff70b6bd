//! Collects faulty rows for the dead letters. Does nothing if the pipeline keeps none.

use tidemill_model::time::iso_millis;
use tidemill_model::{Micros, Millis, RecordFault};

/// A row with a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyRow {
    /// Index of the row in the pushed batch.
    pub row: usize,
    /// What is wrong with it.
    pub fault: RecordFault,
    /// More about it, as text.
    pub detail: Option<String>,
}

/// Faulty rows of one push; `None` if they are not wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultNotes(pub(super) Option<Vec<FaultyRow>>);

impl FaultNotes {
    /// Adds a row's fault. `detail` is called only if faults are wanted.
    pub(super) fn add(&mut self, row: usize, fault: RecordFault, detail: impl FnOnce() -> Option<String>) {
        if let Some(notes) = &mut self.0 {
            notes.push(FaultyRow { row, fault, detail: detail() });
        }
    }

    /// An empty collection that is wanted if this one is.
    pub(super) fn fresh(&self) -> FaultNotes {
        FaultNotes(self.0.as_ref().map(|_| Vec::new()))
    }

    pub(super) fn append(&mut self, mut other: FaultNotes) {
        if let (Some(notes), Some(more)) = (&mut self.0, &mut other.0) {
            notes.append(more);
        }
    }
}

/// Describes an event time (µs) and the time that it was compared with.
pub(super) fn beside(ts: i64, what: &str, other: Millis) -> Option<String> {
    Some(format!("event time {}, {what} {}", iso_millis(Micros(ts).floor_millis()), iso_millis(other)))
}
