//! What a task sends back: its rows folded into cells, one per (slice, key).

use crate::fault::{FaultCounts, RecordFault};
use serde::{Deserialize, Serialize};

/// The state of one aggregate of one group. Merging is associative; merged in offset order it is deterministic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Accumulator {
    /// `count`, `count_if`: rows that counted.
    Count(i64),
    /// `sum` of integers: exact; checked against BIGINT only at output (rule T1). `seen`: non-NULL inputs.
    SumInt {
        /// Exact sum.
        sum: i128,
        /// Non-NULL inputs.
        seen: u64,
    },
    /// `sum` of floating point, and `avg` of anything but decimals (which Spark adds in double).
    SumDouble {
        /// Sum in offset order.
        sum: f64,
        /// Non-NULL inputs.
        seen: u64,
    },
    /// `min`, `max` of types without floating point: the winner's value in the key encoding of `flow::key`; `None` until
    /// a non-NULL input.
    Extreme(Option<Box<[u8]>>),
    /// `stddev`, `variance` and their kin.
    Moments(Moments),
    /// `first`, `last`, `min_by`, `max_by`, and `min`, `max` where 0.0 and −0.0 are told apart: the row that won, which is
    /// asked where it stood; `None` until there is one.
    Pick(Option<Box<Picked>>),
    /// `approx_count_distinct`.
    Distinct(Registers),
}

// Most of a state is accumulators: the exact sum is the widest, and no other makes all of them wider.
const _: () = assert!(size_of::<Accumulator>() <= 32);

/// Count, mean and sum of squared differences from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Non-NULL inputs.
    pub seen: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of (x − mean)².
    pub squares: f64,
}

/// Where a row stood: in the order of batches, tasks (which is that of topic, partition and offset) and rows of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The batch; 0 in a partial.
    pub batch_id: u64,
    /// Number of the task in its batch; 0 in a partial.
    pub task: u32,
    /// Number of the record in its task.
    pub row: u64,
}

/// The row that an aggregate has picked so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picked {
    /// Where it stood.
    pub at: Position,
    /// What it was picked by, in the key encoding of `flow::key` with −0.0 as 0.0; empty for `first` and `last`.
    pub order: Box<[u8]>,
    /// The aggregate's result, which may be NULL, in the key encoding; empty where it is `order`, as in most of `min` and `max`.
    pub result: Box<[u8]>,
}

impl Picked {
    /// The aggregate's result in the key encoding.
    pub fn value(&self) -> &[u8] {
        if self.result.is_empty() { &self.order } else { &self.result }
    }
}

/// The registers of a HyperLogLog++ sketch: for each, the greatest rank seen; 0 is not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registers {
    /// `register << 6 | rank`, ascending: while few have been seen.
    Few(Vec<u32>),
    /// A byte for each register.
    All(Box<[u8]>),
}

/// One (slice, key) of a partial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Start of the slice (or, where the fold is per window, of the window), µs; 0 without a window.
    pub slice: i64,
    /// The plain group keys in the key encoding of `flow::key`; empty without keys.
    pub key: Box<[u8]>,
    /// Rows folded into the cell.
    pub rows: u64,
    /// One accumulator per aggregate of the plan, in the plan's order.
    pub accumulators: Vec<Accumulator>,
}

/// Event times of the rows that reached the watermark node (rule M1), milliseconds.
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

/// A file of dead letters that a task has written, whole. It counts once the driver has made it part of a batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterFile {
    /// Its name in the directory of dead letters.
    pub name: String,
    /// Letters in it.
    pub lines: u64,
}

/// All that a task's rows come down to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// One cell per (slice, key), in ascending order of both.
    pub cells: Vec<Cell>,
    /// Output rows of a query without an aggregate, in the key encoding of `flow::key`, in offset order.
    pub output: Vec<Box<[u8]>>,
    /// Event times seen at the watermark node.
    pub event_time: EventTimeStats,
    /// Records read from the source.
    pub records: u64,
    /// Records whose rows went into a group that is open, or into the output.
    pub rows: u64,
    /// Records that a condition of the query rejected: WHERE, or HAVING where it names the window and keys alone.
    pub filtered: u64,
    /// Records that went nowhere, each under the one reason that took it out. `late` counts rows all of whose windows are late.
    pub left_out: FaultCounts,
    /// Records by fault, whether they went into a result or not; a record with two faults counts under each.
    pub faults: FaultCounts,
    /// The task's dead letters, if it wrote any.
    pub letters: Option<LetterFile>,
    /// Least Kafka timestamp among the records read, ms; `None` when there was none.
    pub oldest_record_ms: Option<i64>,
    /// Kafka timestamps of the records read, as (ms, records) runs at most one per distinct `ms / 10`: the age histogram's input.
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

    /// Counts records that went nowhere for a fault found in them.
    pub fn leave_out(&mut self, fault: RecordFault, count: u64) {
        self.faults.add(fault, count);
        self.left_out.add(fault, count);
    }
}
