//! What a task sends back: its rows folded into groups, and its counts.

use crate::fault::{FaultCounts, RecordFault};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are encoded as a block, not as a sequence of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawBytes(pub Vec<u8>);

impl Serialize for RawBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RawBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawBytes, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = RawBytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<RawBytes, E> {
                Ok(RawBytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Event times of the rows that reached the watermark node (rule M1), in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventTimeStats {
    /// Rows with an event time.
    pub count: u64,
    /// Least, ms; meaningless when `count` is 0.
    pub min_ms: i64,
    /// Greatest, ms; meaningless when `count` is 0.
    pub max_ms: i64,
    /// Sum, ms, for the average.
    pub sum_ms: i128,
}

impl EventTimeStats {
    /// Adds one event time, in milliseconds.
    pub fn add(&mut self, ms: i64) {
        self.merge(&EventTimeStats { count: 1, min_ms: ms, max_ms: ms, sum_ms: i128::from(ms) });
    }

    /// Adds other statistics.
    pub fn merge(&mut self, other: &EventTimeStats) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.count += other.count;
        self.min_ms = self.min_ms.min(other.min_ms);
        self.max_ms = self.max_ms.max(other.max_ms);
        self.sum_ms += other.sum_ms;
    }
}

/// A complete file of dead letters that a task has written. It counts once the driver has made it part of a batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeadLetterFile {
    /// Its name in the directory of dead letters.
    pub name: String,
    /// Dead letters in it.
    pub lines: u64,
}

/// Some output rows, encoded for one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkPart {
    /// How many rows.
    pub rows: u64,
    /// The rows as the sink takes them.
    pub bytes: RawBytes,
    /// The name of the file that holds the rows instead of `bytes`, if there are many.
    pub staged: Option<String>,
}

/// The result of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// The groups of an aggregation, one per (slice, key), encoded by `tidemill_state`; empty without an aggregation.
    pub groups: RawBytes,
    /// Output rows of a query without an aggregate, in offset order: what each sink takes of them, in the sinks' order, then
    /// the rows that the driver needs itself.
    pub output: Vec<SinkPart>,
    /// Event times seen at the watermark node.
    pub event_time: EventTimeStats,
    /// Records read from the source.
    pub records: u64,
    /// Records whose rows went into an open group or into the output.
    pub rows: u64,
    /// Records that a condition of the query rejected: WHERE, or a HAVING that names only the window and keys.
    pub filtered: u64,
    /// Records without any row in the result, each under one reason. `late` counts records all of whose windows are
    /// late.
    pub left_out: FaultCounts,
    /// Records by fault, whether or not they reached the result. A record with two faults counts under each.
    pub faults: FaultCounts,
    /// The task's dead letters, a file for each of its ranges that has any, in their order.
    pub dead_letters: Vec<DeadLetterFile>,
    /// Least Kafka timestamp among the records read, ms; `None` when there was none.
    pub oldest_record_ms: Option<i64>,
    /// Kafka timestamps of the records read, as (ms, records) runs of a millisecond, or of more where the records' times are far apart: the age histogram's input.
    pub record_times: Vec<(i64, u64)>,
}

impl Partial {
    /// Whether every record read is in a result, was filtered, or is counted under the reason that took it out.
    ///
    /// ```
    /// # use tidemill_model::{Partial, RecordFault};
    /// let mut partial = Partial { records: 3, rows: 1, filtered: 1, ..Partial::default() };
    /// assert!(!partial.is_balanced());
    /// partial.leave_out(RecordFault::NullEventTime, 1);
    /// assert!(partial.is_balanced());
    /// ```
    pub fn is_balanced(&self) -> bool {
        self.records == self.rows + self.filtered + self.left_out.total()
    }

    /// Counts records that were left out for a fault.
    pub fn leave_out(&mut self, fault: RecordFault, count: u64) {
        self.faults.add(fault, count);
        self.left_out.add(fault, count);
    }
}
