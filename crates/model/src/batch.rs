//! What a micro-batch is: decided once, logged, then run without further decisions.

use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A partition of a topic, as one source of the query reads it. For files: the source's path as topic, partition 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    /// Number of the source: of the UNION ALL branch that reads it, from 0. Old checkpoints lack this field.
    #[serde(default)]
    pub source: u32,
    /// Topic name.
    pub topic: String,
    /// Partition number, from 0.
    pub partition: i32,
}

impl std::fmt::Display for PartitionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// An offset for each partition, in the order of partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<(PartitionId, i64)>", from = "Vec<(PartitionId, i64)>")]
pub struct Offsets(pub BTreeMap<PartitionId, i64>);

impl From<Vec<(PartitionId, i64)>> for Offsets {
    fn from(pairs: Vec<(PartitionId, i64)>) -> Offsets {
        Offsets(pairs.into_iter().collect())
    }
}

impl From<Offsets> for Vec<(PartitionId, i64)> {
    fn from(offsets: Offsets) -> Vec<(PartitionId, i64)> {
        offsets.0.into_iter().collect()
    }
}

/// Offsets `[start, end)` of one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OffsetRange {
    /// The partition.
    pub partition: PartitionId,
    /// First offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
}

impl OffsetRange {
    /// Number of offsets (records may be fewer: compaction, transaction markers).
    pub fn len(&self) -> i64 {
        self.end - self.start
    }

    /// Whether it holds no offset.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }
}

/// One task of a batch: a piece of one range. Tasks are numbered in (source, topic, partition, offset) order, the order of merging.
pub type TaskCut = OffsetRange;

/// The plan record of a batch: everything that its rows depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPlan {
    /// Number of the batch, from 0, without gaps.
    pub batch_id: u64,
    /// What to read, in (source, topic, partition) order; empty in a no-data batch.
    pub ranges: Vec<OffsetRange>,
    /// The ranges cut into tasks, in (source, topic, partition, offset) order.
    pub tasks: Vec<TaskCut>,
    /// wm(N): groups that end at or before it are evicted in this batch (rule L2).
    pub watermark: Millis,
    /// wm(N−1): groups that end at or before it are late in this batch (rule L2).
    pub late_watermark: Millis,
    /// The batch's `current_timestamp()`, wall clock, milliseconds.
    pub timestamp: Millis,
    /// Positions before the batch: for each known partition the first offset that no earlier batch has read.
    pub start_offsets: Offsets,
    /// Positions after the batch.
    pub end_offsets: Offsets,
}

impl BatchPlan {
    /// Whether the batch reads nothing and exists only to move the watermark through the state (rule M4).
    pub fn is_no_data(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// Cuts ranges into tasks of at most `task_records` offsets, in order: a pure function of its arguments, so that the
/// same plan gives the same tasks at any number of executors. Pieces of a range differ by at most one offset.
pub fn cut_tasks(ranges: &[OffsetRange], task_records: i64) -> Vec<TaskCut> {
    assert!(task_records > 0, "a task holds at least one record");
    let mut tasks = Vec::new();
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        let pieces = (range.len() + task_records - 1) / task_records;
        for piece in 0..pieces {
            let at = |k: i64| range.start + (i128::from(range.len()) * i128::from(k) / i128::from(pieces)) as i64;
            tasks.push(OffsetRange { partition: range.partition.clone(), start: at(piece), end: at(piece + 1) });
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(partition: i32, start: i64, end: i64) -> OffsetRange {
        OffsetRange { partition: PartitionId { source: 0, topic: "t".into(), partition }, start, end }
    }

    #[test]
    fn tasks_cover_their_ranges_once_and_in_order() {
        let tasks = cut_tasks(&[range(0, 5, 25), range(1, 7, 7), range(2, 0, 3)], 8);
        assert_eq!(tasks, [range(0, 5, 11), range(0, 11, 18), range(0, 18, 25), range(2, 0, 3)]);
        assert!(tasks.iter().all(|task| task.len() <= 8 && !task.is_empty()));
    }

    #[test]
    fn a_plan_record_reads_back_as_written() {
        let plan = BatchPlan {
            batch_id: 3,
            ranges: vec![range(0, 1, 2)],
            tasks: vec![range(0, 1, 2)],
            watermark: Millis(5),
            late_watermark: Millis(4),
            timestamp: Millis(6),
            start_offsets: Offsets([(range(0, 0, 0).partition, 1)].into()),
            end_offsets: Offsets([(range(0, 0, 0).partition, 2)].into()),
        };
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<BatchPlan>(&text).unwrap(), plan);
    }
}
