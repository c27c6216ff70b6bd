//! Which rows had a fault, for the dead letters: noted only where somebody asked for it, and only while a batch is pushed.

use tidemill_model::time::iso_millis;
use tidemill_model::{Micros, Millis, RecordFault};

/// A row that has a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyRow {
    /// Which row of the pushed batch.
    pub row: usize,
    /// What is wrong with it.
    pub fault: RecordFault,
    /// What is known of it, in words.
    pub detail: Option<String>,
}

/// The notes of one push; `None` where nobody wants them.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultNotes(pub(super) Option<Vec<FaultyRow>>);

impl FaultNotes {
    /// Notes a row's fault. `detail` is only made where notes are wanted.
    pub(super) fn add(&mut self, row: usize, fault: RecordFault, detail: impl FnOnce() -> Option<String>) {
        if let Some(notes) = &mut self.0 {
            notes.push(FaultyRow { row, fault, detail: detail() });
        }
    }

    /// Empty notes that are wanted where these are.
    pub(super) fn fresh(&self) -> FaultNotes {
        FaultNotes(self.0.as_ref().map(|_| Vec::new()))
    }

    pub(super) fn append(&mut self, mut other: FaultNotes) {
        if let (Some(notes), Some(more)) = (&mut self.0, &mut other.0) {
            notes.append(more);
        }
    }
}

/// An event time (µs) beside what it was held against.
pub(super) fn beside(ts: i64, what: &str, other: Millis) -> Option<String> {
    Some(format!("event time {}, {what} {}", iso_millis(Micros(ts).floor_millis()), iso_millis(other)))
}
