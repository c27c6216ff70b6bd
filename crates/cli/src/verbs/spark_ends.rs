//! What the sources of a run on Spark hold, seen with the local engine's watches. A cluster without executors reads
//! nothing, so Spark's own figures stand still there.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidemill_driver::{Ages, Source};
use tidemill_flow::ports::{Extents, Watch};
use tidemill_model::pipeline::StartingOffsets;
use tidemill_model::progress::SourceProgress;
use tidemill_model::{PartitionId, Result};
use tidemill_os::clock::wall_ms;
use tidemill_os::thread::Job;
use tidemill_spark::ByPartition;

/// Longest wait of a watch, so that its thread sees the end of the run.
const WATCH_MAX: Duration = Duration::from_secs(1);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// What was seen longer ago is not known any more.
const KNOWN_MAX: Duration = Duration::from_secs(5);
/// Most moments that are kept of the arrivals.
const MOMENTS_MAX: usize = 100_000;

/// The sources' ends.
pub(super) struct SourceEnds {
    seen: Arc<Mutex<Vec<Seen>>>,
    arrivals: Arc<Mutex<Arrivals>>,
    ended: Arc<AtomicBool>,
    threads: Vec<Job<()>>,
    starting: Vec<StartingOffsets>,
    /// Records up to here are in committed batches: the sum of the batches' end offsets.
    done: u64,
}

/// What one source was seen to hold.
#[derive(Clone, Default)]
struct Seen {
    first: Option<Extents>,
    newest: Option<(Extents, Instant)>,
}

/// When records arrived: moments, and the sum of all end offsets then.
#[derive(Default)]
struct Arrivals(VecDeque<(i64, u64)>);

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) backlog: u64,
    pub(super) end_total: u64,
    pub(super) age_ms: u64,
}

impl SourceEnds {
    pub(super) fn watch(sources: Vec<Source>) -> Result<SourceEnds> {
        let seen = Arc::new(Mutex::new(vec![Seen::default(); sources.len()]));
        let (arrivals, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut ends = SourceEnds { seen, arrivals, ended, threads: Vec::new(), starting: Vec::new(), done: 0 };
        for (number, source) in sources.into_iter().enumerate() {
            ends.starting.push(source.starting_offsets);
            let (seen, arrivals, ended) = (ends.seen.clone(), ends.arrivals.clone(), ends.ended.clone());
            let watch = source.watch;
            ends.threads.push(Job::spawn("watch", move || follow(watch, number, &seen, &arrivals, &ended))?);
        }
        Ok(ends)
    }

    /// Where a thread has ended, which is a bug.
    pub(super) fn lost(&self) -> Option<String> {
        self.threads.iter().find_map(|thread| thread.try_end()?.err()).map(|panic| format!("the watch {panic}"))
    }

    /// What waits beyond these positions; `None` if anything is unknown.
    pub(super) fn waiting(&self, reached: Option<&[ByPartition]>) -> Option<Waiting> {
        let reached = reached?;
        let seen = locked(&self.seen);
        let mut all = Waiting { backlog: 0, end_total: 0, age_ms: 0 };
        for (source, starting) in seen.iter().zip(&self.starting) {
            let (extents, at) = source.newest.as_ref()?;
            if at.elapsed() > KNOWN_MAX {
                return None;
            }
            all.age_ms = all.age_ms.max(at.elapsed().as_millis() as u64);
            for (partition, extent) in extents {
                let first = source.first.as_ref().and_then(|first| first.get(partition));
                let position = position(reached, partition).unwrap_or(match (starting, first) {
                    (StartingOffsets::Latest, Some(first)) => first.end,
                    // A partition that has come since is read from its beginning.
                    _ => extent.start,
                });
                all.backlog += u64::try_from(extent.end - position.max(extent.start)).unwrap_or(0);
                all.end_total += u64::try_from(extent.end).unwrap_or(0);
            }
        }
        Some(all)
    }

    /// The sum of all end offsets; `None` if a source is unknown.
    pub(super) fn end_total(&self) -> Option<u64> {
        let of = |source: &Seen| {
            let (extents, _) = source.newest.as_ref()?;
            Some(extents.values().map(|extent| u64::try_from(extent.end).unwrap_or(0)).sum::<u64>())
        };
        locked(&self.seen).iter().map(of).sum()
    }

    /// Ages of a batch's records, from when they were seen in the sources until now.
    pub(super) fn ages(&mut self, sources: &[SourceProgress]) -> Ages {
        let sum = |of: &ByPartition| of.values().flat_map(|partitions| partitions.values()).sum::<i64>();
        let (start, end) = sources
            .iter()
            .fold((0, 0), |(start, end), source| (start + sum(&source.start_offset), end + sum(&source.end_offset)));
        let (start, end) = (u64::try_from(start).unwrap_or(0).max(self.done), u64::try_from(end).unwrap_or(0));
        self.done = self.done.max(end);
        let mut ages = Ages::default();
        ages.add(&locked(&self.arrivals).take(start, end), wall_ms());
        ages
    }
}

impl Drop for SourceEnds {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Watches one source until the run has ended.
fn follow(
    mut watch: Box<dyn Watch>,
    number: usize,
    seen: &Mutex<Vec<Seen>>,
    arrivals: &Mutex<Arrivals>,
    ended: &AtomicBool,
) {
    let mut known = Extents::new();
    while !ended.load(Ordering::Relaxed) {
        // A source that cannot be reached is unknown until it answers again.
        if let Ok(found) = watch.watch(&known, WATCH_MAX) {
            known = found;
            let mut seen = locked(seen);
            let newest = (known.clone(), Instant::now());
            seen[number].first.get_or_insert_with(|| known.clone());
            seen[number].newest = Some(newest);
            let ends =
                seen.iter().filter_map(|source| source.newest.as_ref()).flat_map(|(extents, _)| extents.values());
            let total = ends.map(|extent| u64::try_from(extent.end).unwrap_or(0)).sum();
            drop(seen);
            locked(arrivals).add(wall_ms(), total);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The least position of a partition in any source.
fn position(reached: &[ByPartition], partition: &PartitionId) -> Option<i64> {
    let number = partition.partition.to_string();
    reached.iter().filter_map(|topics| topics.get(&*partition.topic)?.get(&number).copied()).min()
}

impl Arrivals {
    fn add(&mut self, at_ms: i64, total: u64) {
        if self.0.back().is_some_and(|(_, before)| *before >= total) {
            return;
        }
        self.0.push_back((at_ms, total));
        if self.0.len() > MOMENTS_MAX {
            self.0.pop_front();
        }
    }

    /// The records from `start` to `end`, by the moment when they arrived. Forgets those before `end`.
    fn take(&mut self, start: u64, end: u64) -> Vec<(i64, u64)> {
        let mut from = start;
        let mut found = Vec::new();
        for (at_ms, total) in &self.0 {
            let to = (*total).min(end);
            if to > from {
                found.push((*at_ms, to - from));
                from = to;
            }
        }
        self.0.retain(|(_, total)| *total > end);
        found
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_flow::ports::Extent;

    /// Watched ends of partitions 0, 1, … of topic t, and positions → the backlog.
    fn check(starting: StartingOffsets, first: &[i64], ends: &[i64], reached: Option<&str>, expected: Option<u64>) {
        let id = |partition: usize| PartitionId { source: 0, topic: "t".into(), partition: partition as i32 };
        let extents = |ends: &[i64]| -> Extents {
            ends.iter().enumerate().map(|(at, end)| (id(at), Extent { start: 2, end: *end })).collect()
        };
        let seen = Seen { first: Some(extents(first)), newest: Some((extents(ends), Instant::now())) };
        let ends = SourceEnds {
            seen: Arc::new(Mutex::new(vec![seen])),
            arrivals: Arc::default(),
            ended: Arc::default(),
            threads: Vec::new(),
            starting: vec![starting],
            done: 0,
        };
        let reached: Option<Vec<ByPartition>> = reached.map(|json| serde_json::from_str(json).unwrap());
        assert_eq!(ends.waiting(reached.as_deref()).map(|all| all.backlog), expected, "{reached:?}");
    }

    #[test]
    fn what_waits_is_known_without_an_executor() {
        use StartingOffsets::{Earliest, Latest};
        check(Earliest, &[5, 5], &[7, 9], None, None);
        check(Earliest, &[5, 5], &[7, 9], Some("[]"), Some(12));
        check(Latest, &[5, 5], &[7, 9], Some("[]"), Some(6));
        check(Latest, &[5], &[7, 9], Some("[]"), Some(9));
        check(Earliest, &[5, 5], &[7, 9], Some(r#"[{"t":{"0":7,"1":8}}]"#), Some(1));
        check(Earliest, &[5, 5], &[7, 9], Some(r#"[{"t":{"0":7,"1":9}}]"#), Some(0));
        check(Earliest, &[5, 5], &[7, 9], Some(r#"[{"t":{"0":7,"1":9}},{"t":{"0":6,"1":9}}]"#), Some(1));
        check(Earliest, &[5, 5], &[7, 9], Some(r#"[{"t":{"0":0,"1":12}}]"#), Some(5));
    }

    #[test]
    fn ages_follow_the_arrivals() {
        let mut arrivals = Arrivals::default();
        for (at_ms, total) in [(100, 10), (110, 10), (200, 30), (300, 40)] {
            arrivals.add(at_ms, total);
        }
        assert_eq!(arrivals.take(5, 20), [(100, 5), (200, 10)]);
        assert_eq!(arrivals.take(20, 40), [(200, 10), (300, 10)]);
        assert_eq!(arrivals.take(40, 50), []);
    }
}
