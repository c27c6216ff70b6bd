//! Chooses a batch from a backlog so that the partitions advance together by their records' timestamps.
//!
//! A batch reads each partition up to its first record that is not older than a common time T. So no record of the
//! batch is as new as T, and the watermark stays below T − delay. Every record that is left follows, in its partition,
//! a record at least as new as T. So a record that is within the delay in its own partition never becomes late by
//! waiting in a backlog. (This holds if timestamps are event times. Otherwise the partitions still advance together.)
//!
//! A binary search over the bits of T asks a lookup for offsets by timestamp. The result depends only on backlog,
//! budget and records, not on earlier questions. Answers are cached, so a batch asks few questions. No clock, no I/O.

use crate::plan;
use std::collections::BTreeMap;
use tidemill_model::{Error, OffsetRange, PartitionId};

/// The search covers times below this power of two, in ms: until the year 2109.
const TIME_BITS: u32 = 42;

/// Cached answers per partition, the latest times; more than one search needs.
const ANSWERS_MAX: usize = 128;

/// As [`tidemill_flow::ports::Timeline`], over the partitions of all sources.
pub(crate) type TimestampLookup = Box<dyn FnMut(&[PartitionId], i64) -> Result<Vec<Option<i64>>> + Send>;

/// A source that did not answer a lookup.
#[derive(Debug)]
pub(crate) struct SourceUnavailable {
    pub(crate) source: u32,
    pub(crate) error: Error,
}

type Result<T> = std::result::Result<T, SourceUnavailable>;

/// The lookup and its cached answers.
pub(crate) struct Level {
    /// By source number: whether it supports lookups.
    knows: Vec<bool>,
    ask: TimestampLookup,
    /// Index in `answers` of each partition.
    slots: BTreeMap<PartitionId, usize>,
    /// By partition, in the order of times.
    answers: Vec<Vec<(i64, Answer)>>,
}

/// A partition of a backlog: the index of its answers, and what waits there.
type Waiting<'a> = (usize, &'a OffsetRange);

/// The offset of the first record that is as new as a time.
#[derive(Clone, Copy)]
struct Answer {
    offset: i64,
    /// No record was as new. `offset` is the end that was known then; newer records may have come since.
    open: bool,
}

impl Answer {
    /// Whether the answer still holds for a range.
    fn holds(self, range: &OffsetRange) -> bool {
        !self.open || self.offset >= range.end
    }
}

impl Level {
    pub(crate) fn new(knows: Vec<bool>, ask: TimestampLookup) -> Level {
        Level { knows, ask, slots: BTreeMap::new(), answers: Vec::new() }
    }

    /// Whether it can choose from this backlog. It needs more than one partition.
    pub(crate) fn cuts(&self, backlog: &[(PartitionId, OffsetRange)]) -> bool {
        backlog.len() > 1 && backlog.iter().all(|(partition, _)| self.knows[partition.source as usize])
    }

    /// The ranges of a batch of three quarters of `budget` up to `budget` offsets, cut at one time. If the records of
    /// one millisecond exceed the budget, they are cut in proportion: they are equally old. `budget` is at least 1 and
    /// less than the backlog.
    ///
    /// # Errors
    /// The lookup's errors.
    pub(crate) fn ranges(&mut self, backlog: &[(PartitionId, OffsetRange)], budget: u64) -> Result<Vec<OffsetRange>> {
        let enough = budget - budget / 4;
        let waiting: Vec<Waiting<'_>> =
            backlog.iter().map(|(partition, range)| (self.slot(partition), range)).collect();
        let mut time = 0;
        for bit in (0..TIME_BITS).rev() {
            let later = time | 1 << bit;
            let (mut least, most) = self.bounds(&waiting, later);
            if least <= budget && (most > budget || least < enough && most >= enough) {
                self.ask(&waiting, later)?;
                least = self.bounds(&waiting, later).0;
            }
            if least > budget {
                continue;
            }
            time = later;
            if least >= enough {
                let cut = self.cut(&waiting, time)?;
                return Ok(cut.into_iter().filter(|range| !range.is_empty()).collect());
            }
        }
        let first = if time == 0 { nothing(backlog) } else { self.cut(&waiting, time)? };
        let second = if time + 1 == 1 << TIME_BITS { all(backlog) } else { self.cut(&waiting, time + 1)? };
        let ranges = between(&first, &second, budget);
        // A source with contradictory answers must not stop the query.
        Ok(if ranges.is_empty() { plan::ranges(backlog, Some(budget)) } else { ranges })
    }

    fn slot(&mut self, partition: &PartitionId) -> usize {
        if let Some(slot) = self.slots.get(partition) {
            return *slot;
        }
        self.slots.insert(partition.clone(), self.answers.len());
        self.answers.push(Vec::new());
        self.answers.len() - 1
    }

    /// Lower and upper bound of the offsets in the backlog that come before a time, from the cached answers.
    fn bounds(&self, waiting: &[Waiting<'_>], time: i64) -> (u64, u64) {
        let bounds = waiting.iter().map(|waiting| self.bounds_of(*waiting, time));
        bounds.fold((0, 0), |sum, (least, most)| (sum.0 + least as u64, sum.1 + most as u64))
    }

    /// The same for one partition, counted from the range's start.
    fn bounds_of(&self, (slot, range): Waiting<'_>, time: i64) -> (i64, i64) {
        let taken = |answer: &Answer| (answer.offset - range.start).clamp(0, range.len());
        let answers = &self.answers[slot];
        let later = answers.partition_point(|(known, _)| *known < time);
        let earlier = later + usize::from(answers.get(later).is_some_and(|(known, _)| *known == time));
        let least = earlier.checked_sub(1).map_or(0, |at| taken(&answers[at].1));
        let most = answers.get(later).filter(|(_, answer)| answer.holds(range));
        (least, most.map_or(range.len(), |(_, answer)| taken(answer)))
    }

    /// Each partition's range up to a time.
    fn cut(&mut self, waiting: &[Waiting<'_>], time: i64) -> Result<Vec<OffsetRange>> {
        let (least, most) = self.bounds(waiting, time);
        if least < most {
            self.ask(waiting, time)?;
        }
        let cut = |waiting: &Waiting<'_>| {
            let range = waiting.1;
            OffsetRange { end: range.start + self.bounds_of(*waiting, time).0, ..range.clone() }
        };
        Ok(waiting.iter().map(cut).collect())
    }

    fn ask(&mut self, waiting: &[Waiting<'_>], time: i64) -> Result<()> {
        let partitions: Vec<PartitionId> = waiting.iter().map(|(_, range)| range.partition.clone()).collect();
        let found = (self.ask)(&partitions, time)?;
        for ((slot, range), found) in waiting.iter().zip(found) {
            let answer = match found {
                Some(offset) => Answer { offset, open: false },
                None => Answer { offset: range.end, open: true },
            };
            let answers = &mut self.answers[*slot];
            match answers.binary_search_by_key(&time, |(known, _)| *known) {
                Ok(at) => answers[at].1 = answer,
                Err(at) => answers.insert(at, (time, answer)),
            }
            if answers.len() > ANSWERS_MAX {
                answers.remove(0);
            }
        }
        Ok(())
    }
}

fn all(backlog: &[(PartitionId, OffsetRange)]) -> Vec<OffsetRange> {
    backlog.iter().map(|(_, range)| range.clone()).collect()
}

fn nothing(backlog: &[(PartitionId, OffsetRange)]) -> Vec<OffsetRange> {
    backlog.iter().map(|(_, range)| OffsetRange { end: range.start, ..range.clone() }).collect()
}

/// All of `first`, and the rest of the budget in proportion from what `second` has beyond it.
fn between(first: &[OffsetRange], second: &[OffsetRange], budget: u64) -> Vec<OffsetRange> {
    let taken: i64 = first.iter().map(OffsetRange::len).sum();
    let more = |(first, second): (&OffsetRange, &OffsetRange)| {
        (first.partition.clone(), OffsetRange { start: first.end, end: second.end.max(first.end), ..second.clone() })
    };
    let more: Vec<(PartitionId, OffsetRange)> = first.iter().zip(second).map(more).collect();
    let share: BTreeMap<PartitionId, i64> = plan::ranges(&more, Some(budget - taken as u64))
        .into_iter()
        .map(|range| (range.partition, range.end))
        .collect();
    let end = |range: &OffsetRange| share.get(&range.partition).copied().unwrap_or(range.end);
    let whole = first.iter().map(|range| OffsetRange { end: end(range), ..range.clone() });
    whole.filter(|range| !range.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const NONE: i64 = -1;

    fn id(partition: usize) -> PartitionId {
        PartitionId { source: 0, topic: "t".into(), partition: partition as i32 }
    }

    /// A level over these timestamps, and the number of lookups.
    fn level(times: &[Vec<i64>]) -> (Level, Arc<AtomicUsize>) {
        let (times, asked) = (times.to_vec(), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        let first = move |partition: &PartitionId, time: i64| {
            times[partition.partition as usize].iter().position(|at| *at >= time).map(|offset| offset as i64)
        };
        let ask = move |partitions: &[PartitionId], time: i64| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(partitions.iter().map(|partition| first(partition, time)).collect())
        };
        (Level::new(vec![true], Box::new(ask)), asked)
    }

    fn backlog(positions: &[i64], ends: &[i64]) -> Vec<(PartitionId, OffsetRange)> {
        let ranges = positions.iter().zip(ends).enumerate();
        let ranges =
            ranges.map(|(p, (start, end))| (id(p), OffsetRange { partition: id(p), start: *start, end: *end }));
        ranges.filter(|(_, range)| !range.is_empty()).collect()
    }

    /// Reads everything; gives the positions after each batch.
    fn drain(times: &[Vec<i64>], budget: u64, forget: bool) -> (Vec<Vec<i64>>, usize) {
        let (mut level, asked) = level(times);
        let ends: Vec<i64> = times.iter().map(|times| times.len() as i64).collect();
        let mut positions = vec![0; times.len()];
        let mut batches = Vec::new();
        loop {
            let backlog = backlog(&positions, &ends);
            if plan::total(&backlog) <= budget {
                return (batches, asked.load(Ordering::Relaxed));
            }
            if forget {
                level.answers.iter_mut().for_each(Vec::clear);
            }
            for range in level.ranges(&backlog, budget).unwrap() {
                assert_eq!(range.start, positions[range.partition.partition as usize]);
                positions[range.partition.partition as usize] = range.end;
            }
            batches.push(positions.clone());
        }
    }

    /// Timestamps by partition, and a budget → positions after each batch.
    fn check(times: &[&[i64]], budget: u64, expected: &[&[i64]]) {
        let times: Vec<Vec<i64>> = times.iter().map(|times| times.to_vec()).collect();
        assert_eq!(drain(&times, budget, false).0, expected, "{times:?} by {budget}");
        assert_eq!(drain(&times, budget, true).0, expected, "what was asked before must not count");
    }

    #[test]
    fn partitions_advance_together_in_time() {
        check(&[&[1, 2, 3, 4, 5, 6, 7, 8], &[2, 8]], 4, &[&[3, 1], &[7, 1]]);
        // A partition that is ahead waits.
        check(&[&[10, 11, 12, 13], &[1, 2, 3, 4]], 2, &[&[0, 2], &[0, 4], &[2, 4]]);
        // Out of order: cut before the first record that is as new, whatever follows.
        check(&[&[1, 5, 2, 6], &[3, 4, 5, 7]], 3, &[&[1, 2], &[3, 3]]);
    }

    #[test]
    fn equally_old_records_are_cut_in_proportion() {
        check(&[&[5; 6], &[5; 3]], 3, &[&[2, 1], &[4, 2]]);
        check(&[&[NONE; 4], &[NONE; 4]], 4, &[&[2, 2]]);
        check(&[&[1, 9, 9, 9, 9], &[9; 4]], 4, &[&[2, 1], &[4, 3]]);
        check(&[&[i64::MAX; 4], &[i64::MAX; 4]], 4, &[&[2, 2]]);
        check(&[&[0, 0], &[0, 0], &[0, 0]], 1, &[&[1, 1, 1], &[2, 2, 2]]);
    }

    #[test]
    fn a_batch_costs_few_questions() {
        // 4 partitions of 10,000 records, one every 40 to 160 ms from 2026 on.
        let partition = |p: i64| (0..10_000).map(|record| 1_767_225_600_000 + record * 40 * (p + 1)).collect();
        let times: Vec<Vec<i64>> = (0..4).map(partition).collect();
        let (batches, asked) = drain(&times, 500, false);
        assert!(asked <= 30 + 3 * batches.len(), "{asked} questions for {} batches", batches.len());
        assert_eq!(drain(&times, 500, true).0, batches);
    }

    #[test]
    fn an_end_that_moved_is_asked_about_again() {
        let (mut level, _) = level(&[vec![1, 2, 3, 4, 5, 6], vec![1, 2, 2, 2, 2, 2]]);
        let mut ends = |ends: [i64; 2]| {
            let ranges = level.ranges(&backlog(&[0, 0], &ends), 4).unwrap();
            ranges.iter().map(|range| range.end).collect::<Vec<_>>()
        };
        assert_eq!(ends([6, 1]), [3, 1]);
        assert_eq!(ends([6, 6]), [2, 2]);
    }
}
