//! What to read next: a pure function of positions, of what the sources hold, and of a limit.

use tidemill_flow::ports::Extents;
use tidemill_model::limits::TASK_RECORDS;
use tidemill_model::{Error, OffsetRange, Offsets, PartitionId, Result};

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

/// Fails if the source no longer has records that were not read yet.
///
/// # Errors
/// External: names the partition and the offsets.
pub(crate) fn check_loss(positions: &Offsets, extents: &Extents) -> Result<()> {
    for (partition, position) in &positions.0 {
        let Some(extent) = extents.get(partition) else { continue };
        if extent.start > *position {
            return Err(Error::external(format!(
                "{partition}: the next record to read is offset {position}, but the log now begins at {}: {} records were deleted before they were read; \
                 raise the topic's retention, and start with a new --checkpoint to go on from what is left",
                extent.start,
                extent.start - position
            )));
        }
        if extent.end < *position {
            return Err(Error::external(format!(
                "{partition}: the next record to read is offset {position}, but the log ends at {}: was the topic deleted and created again? \
                 Start with a new --checkpoint to read the new topic",
                extent.end
            )));
        }
    }
    Ok(())
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
        let loss = |at: i64, start, end| {
            let positions = Offsets([(id(0), at)].into());
            check_loss(&positions, &extents(&[(start, end)])).map_err(|error| error.to_string())
        };
        assert_eq!(loss(5, 0, 9), Ok(()));
        assert!(loss(5, 7, 9).unwrap_err().contains("2 records were deleted"));
        assert!(loss(5, 0, 3).unwrap_err().contains("deleted and created again"));
    }

    #[test]
    fn tasks_are_cut_by_the_batch_alone() {
        let of = |total: i64| task_records(&[OffsetRange { partition: id(0), start: 0, end: total }]);
        assert_eq!(of(10), TASK_RECORDS_MIN);
        assert_eq!(of(16_000), 1_000);
        assert_eq!(of(100_000_000), TASK_RECORDS);
    }
}
