//! What to read next: a pure function of positions, of what the sources hold, and of a limit.

use tidemill_flow::ports::Extents;
use tidemill_model::limits::TASK_RECORDS;
use tidemill_model::{Error, OffsetRange, Offsets, PartitionId};

/// Target number of tasks in a batch: two for each of the eight cores of a full set of executors, so that the last
/// tasks leave few cores idle. The cut depends on the batch alone, never on the number of executors.
const TASKS_PER_BATCH: i64 = 16;

/// Least number of records in a task: below it the overhead of a task shows.
const TASK_RECORDS_MIN: i64 = 250;

/// The records of each partition that no plan has, in partition order.
pub(crate) fn backlog(positions: &Offsets, extents: &Extents) -> Vec<(PartitionId, OffsetRange)> {
    let left = |(partition, extent): (&PartitionId, &tidemill_flow::ports::Extent)| {
        // A partition without a position appeared after the start: it is read from its beginning.
        let start = positions.0.get(partition).copied().unwrap_or(extent.start);
        let range = OffsetRange { partition: partition.clone(), start, end: extent.end };
        (!range.is_empty()).then(|| (partition.clone(), range))
    };
    extents.iter().filter_map(left).collect()
}

/// Total offsets of a backlog.
pub(crate) fn total(backlog: &[(PartitionId, OffsetRange)]) -> u64 {
    backlog.iter().map(|(_, range)| range.len() as u64).sum()
}

/// Records that the source no longer has and that were not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) partition: PartitionId,
    /// What is lost, as a sentence.
    what: String,
    /// What to do about it.
    help: &'static str,
    /// Where the partition is read on if the loss does not matter; `None` if it is gone.
    pub(crate) goes_on: Option<i64>,
}

impl Loss {
    /// The error of a run that ends because of it.
    pub(crate) fn error(&self) -> Error {
        let help = self.help;
        Error::external(format!("{}; {help}, or write fail_on_data_loss = false to go on from what is left", self.what))
    }

    /// The message of a run that goes on.
    pub(crate) fn note(&self) -> String {
        match self.goes_on {
            Some(offset) => format!("{}; fail_on_data_loss = false: it is read on from offset {offset}", self.what),
            None => format!("{}; fail_on_data_loss = false: the others are read on", self.what),
        }
    }
}

/// What the sources no longer have of what was not read. The rules and where it goes on are Spark's.
pub(crate) fn losses(positions: &Offsets, extents: &Extents) -> Vec<Loss> {
    let mut losses = Vec::new();
    for (partition, &position) in &positions.0 {
        let partition = partition.clone();
        let (what, help, goes_on) = match extents.get(&partition) {
            Some(extent) if extent.start > position => (
                format!(
                    "{partition}: the next record to read is offset {position}, but the log now begins at {}: {} records were deleted before they were read",
                    extent.start,
                    extent.start - position
                ),
                "raise the topic's retention, and start with a new --checkpoint",
                Some(extent.start),
            ),
            Some(extent) if extent.end < position => (
                format!(
                    "{partition}: the next record to read is offset {position}, but the log ends at {}: was the topic deleted and created again?",
                    extent.end
                ),
                "start with a new --checkpoint to read the new topic",
                Some(extent.end),
            ),
            Some(_) => continue,
            // A source that does not exist at all is waited for.
            None if !extents.keys().any(|there| there.source == partition.source) => continue,
            None => (
                format!("{partition} is gone, and the records from offset {position} on with it"),
                "create it again, or start with a new --checkpoint",
                None,
            ),
        };
        losses.push(Loss { partition, what, help, goes_on });
    }
    for (partition, extent) in
        extents.iter().filter(|(partition, extent)| extent.start > 0 && !positions.0.contains_key(*partition))
    {
        losses.push(Loss {
            partition: partition.clone(),
            what: format!(
                "{partition} is new and begins at offset {}: the records before it were deleted before they were read",
                extent.start
            ),
            help: "start with a new --checkpoint",
            goes_on: Some(extent.start),
        });
    }
    losses
}

/// The ranges of the next batch: the whole backlog, or `budget` offsets of it. Each partition gives in proportion to
/// its backlog, as with Spark's `maxOffsetsPerTrigger`. A share below one offset is rounded up, any other down.
pub(crate) fn ranges(backlog: &[(PartitionId, OffsetRange)], budget: Option<u64>) -> Vec<OffsetRange> {
    let total = total(backlog);
    let Some(budget) = budget.filter(|budget| *budget < total) else {
        return backlog.iter().map(|(_, range)| range.clone()).collect();
    };
    let bounded = |range: &OffsetRange| {
        let share = budget as f64 * (range.len() as f64 / total as f64);
        let take = if share < 1.0 { share.ceil() } else { share.floor() } as i64;
        OffsetRange { end: range.start + take.min(range.len()), ..range.clone() }
    };
    backlog.iter().map(|(_, range)| bounded(range)).filter(|range| !range.is_empty()).collect()
}

/// Most offsets in a task of a batch with these ranges.
pub(crate) fn task_records(ranges: &[OffsetRange]) -> i64 {
    let total: i64 = ranges.iter().map(OffsetRange::len).sum();
    ((total + TASKS_PER_BATCH - 1) / TASKS_PER_BATCH).clamp(TASK_RECORDS_MIN, TASK_RECORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_flow::ports::Extent;

    fn id(partition: i32) -> PartitionId {
        PartitionId { source: 0, topic: "t".into(), partition }
    }

    fn extents(ends: &[(i64, i64)]) -> Extents {
        ends.iter().enumerate().map(|(p, (start, end))| (id(p as i32), Extent { start: *start, end: *end })).collect()
    }

    /// Positions, extents and a limit → the ranges as `start..end` by partition.
    fn check(positions: &[i64], ends: &[(i64, i64)], budget: Option<u64>, expected: &[(i64, i64)]) {
        let positions = Offsets(positions.iter().enumerate().map(|(p, at)| (id(p as i32), *at)).collect());
        let ranges = ranges(&backlog(&positions, &extents(ends)), budget);
        assert_eq!(ranges.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_batch_takes_the_backlog_or_its_share() {
        check(&[5, 0], &[(0, 10), (0, 0)], None, &[(5, 10)]);
        check(&[0, 0], &[(0, 100), (0, 300)], Some(40), &[(0, 10), (0, 30)]);
        check(&[0, 0], &[(0, 1), (0, 999)], Some(100), &[(0, 1), (0, 99)]);
        check(&[0, 0], &[(0, 10), (0, 10)], Some(20), &[(0, 10), (0, 10)]);
        check(&[3], &[(0, 3), (7, 9)], None, &[(7, 9)]);
    }

    #[test]
    fn lost_records_are_named() {
        let loss = |positions: &[i64], ends: &[(i64, i64)]| {
            let positions = Offsets(positions.iter().enumerate().map(|(p, at)| (id(p as i32), *at)).collect());
            let losses = losses(&positions, &extents(ends));
            let parts = losses.iter().map(|loss| (loss.partition.partition, loss.goes_on, loss.error().to_string()));
            parts.collect::<Vec<_>>()
        };
        assert_eq!(loss(&[5], &[(0, 9), (0, 3)]), []);
        assert_eq!(loss(&[5], &[]), []);
        for (positions, ends, partition, goes_on, words) in [
            (&[5][..], &[(7, 9)][..], 0, Some(7), "2 records were deleted"),
            (&[5], &[(0, 3)], 0, Some(3), "deleted and created again"),
            (&[5, 4], &[(0, 9)], 1, None, "is gone"),
            (&[5], &[(0, 9), (2, 3)], 1, Some(2), "is new and begins at offset 2"),
        ] {
            let found = loss(positions, ends);
            assert_eq!((found.len(), found[0].0, found[0].1), (1, partition, goes_on), "{found:?}");
            assert!(found[0].2.contains(words) && found[0].2.contains("fail_on_data_loss = false"), "{found:?}");
        }
    }

    #[test]
    fn tasks_are_cut_by_the_batch_alone() {
        let of = |total: i64| task_records(&[OffsetRange { partition: id(0), start: 0, end: total }]);
        assert_eq!(of(10), TASK_RECORDS_MIN);
        assert_eq!(of(16_000), 1_000);
        assert_eq!(of(100_000_000), TASK_RECORDS);
    }
}
