//! What a micro-batch is: decided once, logged, then run without further decisions.

use crate::time::Millis;
use serde::{Deserialize, Deserializer, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A partition of a topic, as one source of the query reads it. For files: the source's path as topic, partition 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    /// Number of the source: of the branch of a UNION ALL that reads it, from 0. Checkpoints from before there were
    /// several do not have it.
    #[serde(default)]
    pub source: u32,
    /// Topic name, shared by all that name the topic.
    pub topic: Arc<str>,
    /// Partition number, from 0.
    pub partition: i32,
}

impl Ord for PartitionId {
    /// By source, then topic, then partition. A name that both share need not be compared.
    fn cmp(&self, other: &PartitionId) -> Ordering {
        let by_topic =
            || if Arc::ptr_eq(&self.topic, &other.topic) { Ordering::Equal } else { self.topic.cmp(&other.topic) };
        self.source.cmp(&other.source).then_with(by_topic).then(self.partition.cmp(&other.partition))
    }
}

impl PartialOrd for PartitionId {
    fn partial_cmp(&self, other: &PartitionId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for PartitionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// An offset for each partition, in the order of partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<TopicOffsets>", from = "Vec<WrittenOffsets>")]
pub struct Offsets(pub BTreeMap<PartitionId, i64>);

/// The offsets of one topic as one source reads it: how offsets are written, with each name once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TopicOffsets {
    source: u32,
    topic: Arc<str>,
    /// Partition and offset.
    offsets: Vec<(i32, i64)>,
}

/// What is read back: also pairs, as checkpoints had them first.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenOffsets {
    Topic(TopicOffsets),
    Pair(PartitionId, i64),
}

impl From<Vec<WrittenOffsets>> for Offsets {
    fn from(written: Vec<WrittenOffsets>) -> Offsets {
        let mut offsets = BTreeMap::new();
        for entry in written {
            match entry {
                WrittenOffsets::Pair(partition, offset) => drop(offsets.insert(partition, offset)),
                WrittenOffsets::Topic(TopicOffsets { source, topic, offsets: of_topic }) => {
                    let id = |partition| PartitionId { source, topic: topic.clone(), partition };
                    offsets.extend(of_topic.into_iter().map(|(partition, offset)| (id(partition), offset)));
                }
            }
        }
        Offsets(offsets)
    }
}

impl From<Offsets> for Vec<TopicOffsets> {
    fn from(offsets: Offsets) -> Vec<TopicOffsets> {
        let mut topics: Vec<TopicOffsets> = Vec::new();
        for (PartitionId { source, topic, partition }, offset) in offsets.0 {
            match topics.last_mut().filter(|last| last.source == source && last.topic == topic) {
                Some(last) => last.offsets.push((partition, offset)),
                None => topics.push(TopicOffsets { source, topic, offsets: vec![(partition, offset)] }),
            }
        }
        topics
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

/// One task of a batch: pieces of ranges of one source, in (topic, partition, offset) order; never empty. The tasks of a batch
/// follow each other in (source, topic, partition, offset) order, the order of merging.
pub type TaskCut = Vec<OffsetRange>;

/// The plan record of a batch: everything that its rows depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPlan {
    /// Number of the batch, from 0, without gaps.
    pub batch_id: u64,
    /// What to read, in (source, topic, partition) order; empty in a no-data batch.
    pub ranges: Vec<OffsetRange>,
    /// The ranges cut into tasks, in (source, topic, partition, offset) order.
    #[serde(deserialize_with = "read_tasks")]
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

/// Reads tasks; checkpoints first had one range for each.
fn read_tasks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TaskCut>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Ranges(TaskCut),
        Range(OffsetRange),
    }
    let tasks: Vec<Written> = Vec::deserialize(deserializer)?;
    let ranges = |task| match task {
        Written::Ranges(ranges) => ranges,
        Written::Range(range) => vec![range],
    };
    Ok(tasks.into_iter().map(ranges).collect())
}

impl BatchPlan {
    /// Whether the batch reads nothing and exists only to move the watermark through the state (rule M4).
    pub fn is_no_data(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// Cuts ranges into tasks of at most `task_records` offsets, in order: large ranges are split, neighbours that are small are
/// gathered, so that the number of tasks follows the work and not the partitions. A pure function of its arguments: the same
/// plan gives the same tasks at any number of executors. Pieces of a range differ by at most one offset.
pub fn cut_tasks(ranges: &[OffsetRange], task_records: i64) -> Vec<TaskCut> {
    assert!(task_records > 0, "a task holds at least one record");
    let mut tasks: Vec<TaskCut> = Vec::new();
    let mut room = 0;
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        let gathers =
            range.len() <= room && tasks.last().is_some_and(|task| task[0].partition.source == range.partition.source);
        if gathers {
            room -= range.len();
            tasks.last_mut().expect("looked at above").push(range.clone());
            continue;
        }
        let pieces = (range.len() + task_records - 1) / task_records;
        for piece in 0..pieces {
            let at = |k: i64| range.start + (i128::from(range.len()) * i128::from(k) / i128::from(pieces)) as i64;
            tasks.push(vec![OffsetRange { partition: range.partition.clone(), start: at(piece), end: at(piece + 1) }]);
        }
        // What is left of a range that was split is for whoever has read up to there.
        room = if pieces == 1 { task_records - range.len() } else { 0 };
    }
    tasks
}

/// Offsets of a task.
pub fn task_len(task: &[OffsetRange]) -> i64 {
    task.iter().map(OffsetRange::len).sum()
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
        assert_eq!(tasks, [[range(0, 5, 11)], [range(0, 11, 18)], [range(0, 18, 25)], [range(2, 0, 3)]]);
        assert!(tasks.iter().all(|task| task_len(task) <= 8 && !task.is_empty()));
    }

    #[test]
    fn small_ranges_are_gathered_with_their_neighbours_of_the_same_source() {
        let second = OffsetRange { partition: PartitionId { source: 1, ..range(0, 0, 0).partition }, start: 0, end: 2 };
        let ranges = [range(0, 0, 3), range(1, 0, 5), range(2, 0, 1), range(3, 0, 9), range(4, 0, 1), second.clone()];
        let tasks = cut_tasks(&ranges, 8);
        let expected = [
            vec![range(0, 0, 3), range(1, 0, 5)],
            vec![range(2, 0, 1)],
            vec![range(3, 0, 4)],
            vec![range(3, 4, 9)],
            vec![range(4, 0, 1)],
            vec![second],
        ];
        assert_eq!(tasks, expected);
        assert_eq!(cut_tasks(&ranges[..3], 9), [&ranges[..3]]);
    }

    #[test]
    fn a_plan_record_reads_back_as_written() {
        let plan = BatchPlan {
            batch_id: 3,
            ranges: vec![range(0, 1, 2)],
            tasks: vec![vec![range(0, 1, 2)]],
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
