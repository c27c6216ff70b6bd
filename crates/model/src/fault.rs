//! Record faults: broken data is counted by reason. It is never an error of the pipeline.

use serde::{Deserialize, Serialize};

/// Why a record, or one field of it, does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordFault {
    /// The value does not have the source's format (rules J1, J2): every field is NULL.
    Malformed,
    /// A field has another type than its column (rule J3): the row is kept, the field is NULL.
    WrongType,
    /// The event time is NULL: the row belongs to no window (rule W3).
    NullEventTime,
    /// Every window of the row is closed (rule L1).
    Late,
    /// An expression failed under ANSI rules (rule T3): the row is dropped, or the query fails, by `on_error`.
    AnsiError,
    /// The event time is further ahead of the record's timestamp than `max_event_time_ahead` allows: the record is refused.
    EventTimeAhead,
}

impl RecordFault {
    /// All reasons, in the order in which they are printed.
    pub const ALL: [RecordFault; 6] = [
        RecordFault::Malformed,
        RecordFault::WrongType,
        RecordFault::NullEventTime,
        RecordFault::Late,
        RecordFault::AnsiError,
        RecordFault::EventTimeAhead,
    ];

    /// The reason's name in progress records, metrics and dead letters.
    pub fn name(self) -> &'static str {
        match self {
            RecordFault::Malformed => "malformed",
            RecordFault::WrongType => "wrong_type",
            RecordFault::NullEventTime => "null_event_time",
            RecordFault::Late => "late",
            RecordFault::AnsiError => "ansi_error",
            RecordFault::EventTimeAhead => "event_time_ahead",
        }
    }
}

/// Number of records with each fault, in a task, batch or run. A record with two faults counts under each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCounts {
    /// Records counted under [`RecordFault::Malformed`].
    pub malformed: u64,
    /// Records counted under [`RecordFault::WrongType`].
    pub wrong_type: u64,
    /// Records counted under [`RecordFault::NullEventTime`].
    pub null_event_time: u64,
    /// Records counted under [`RecordFault::Late`].
    pub late: u64,
    /// Records counted under [`RecordFault::AnsiError`].
    pub ansi_error: u64,
    /// Records counted under [`RecordFault::EventTimeAhead`].
    pub event_time_ahead: u64,
}

impl FaultCounts {
    /// The count of one reason.
    pub fn get(&self, fault: RecordFault) -> u64 {
        match fault {
            RecordFault::Malformed => self.malformed,
            RecordFault::WrongType => self.wrong_type,
            RecordFault::NullEventTime => self.null_event_time,
            RecordFault::Late => self.late,
            RecordFault::AnsiError => self.ansi_error,
            RecordFault::EventTimeAhead => self.event_time_ahead,
        }
    }

    /// Adds `count` records to one reason.
    pub fn add(&mut self, fault: RecordFault, count: u64) {
        let slot = match fault {
            RecordFault::Malformed => &mut self.malformed,
            RecordFault::WrongType => &mut self.wrong_type,
            RecordFault::NullEventTime => &mut self.null_event_time,
            RecordFault::Late => &mut self.late,
            RecordFault::AnsiError => &mut self.ansi_error,
            RecordFault::EventTimeAhead => &mut self.event_time_ahead,
        };
        *slot += count;
    }

    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        RecordFault::ALL.into_iter().map(|fault| self.get(fault)).sum()
    }

    /// Adds another set of counts.
    pub fn merge(&mut self, other: &FaultCounts) {
        for fault in RecordFault::ALL {
            self.add(fault, other.get(fault));
        }
    }
}
