//! When the driver replaces an executor: it is silent, or one of its tasks is late. Pure: times are arguments.
//!
//! ```text
//!  no message while tasks run, for 3 s or half of `task_timeout`    → silent: the process is stopped or dead
//!  messages, but a task makes no progress for `task_timeout`        → stuck: its worker loops
//!  progress, but the task takes ten times as long as expected       → slow: another executor may be faster
//! ```
//! A task that waits for its source makes no progress either. Its reader has its own deadline, so such a task gets
//! longer.

use std::time::{Duration, Instant};
use tidemill_link::Beat;

/// A task that takes this many times its expected time is slow.
const SLOW_FACTOR: f64 = 10.0;

/// A task that waits for its source is stuck only after this time. It is longer than any reader waits before it gives
/// up.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(90);

/// Twelve missed heartbeats. No machine is so busy that a process gets no time slice for this long.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Smaller tasks are not used to learn the rate: their time is mostly overhead.
const LEARNT_RECORDS_MIN: u64 = 1_000;

/// Weight of earlier tasks in the learnt rate.
const MEMORY: f64 = 0.9;

/// The rate of tasks, learnt from those that have ended.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// `[autoscale] task_timeout`.
    timeout: Duration,
    /// Records and seconds of past tasks; older tasks weigh less.
    records: f64,
    seconds: f64,
}

/// Why a task is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LateReason {
    /// No progress for this long.
    Stuck(Duration),
    /// It has run for the first duration; the second was expected.
    Slow(Duration, Duration),
}

/// Progress of a running task.
#[derive(Clone, Debug)]
pub(crate) struct TaskClock {
    records: u64,
    started: Instant,
    /// Records done, and when that number last changed.
    done: u64,
    moved: Instant,
    /// When the current wait for the source began.
    waits_since: Option<Instant>,
    /// Total of earlier waits for the source.
    waited: Duration,
}

impl Pace {
    pub(crate) fn new(timeout: Duration) -> Pace {
        Pace { timeout, records: 0.0, seconds: 0.0 }
    }

    /// Learns from a task: its records and the time it took.
    pub(crate) fn learn(&mut self, records: u64, took: Duration) {
        if records >= LEARNT_RECORDS_MIN {
            self.records = self.records * MEMORY + records as f64;
            self.seconds = self.seconds * MEMORY + took.as_secs_f64();
        }
    }

    /// An executor with tasks that sends nothing for longer than this is silent.
    pub(crate) fn silence_max(&self) -> Duration {
        SILENCE_MAX.min(self.timeout / 2)
    }

    /// How long a replaced executor may still answer before it is killed.
    pub(crate) fn grace(&self) -> Duration {
        self.timeout
    }

    /// Whether a task is late at this moment.
    pub(crate) fn late(&self, task: &TaskClock, now: Instant) -> Option<LateReason> {
        let waits = task.waits_since.map(|since| now.saturating_duration_since(since));
        let still = now.saturating_duration_since(task.moved);
        let patience = if waits.is_some() { self.timeout.max(SOURCE_TIMEOUT) } else { self.timeout };
        if still >= patience {
            return Some(LateReason::Stuck(still));
        }
        let took = now.saturating_duration_since(task.started).saturating_sub(task.waited + waits.unwrap_or_default());
        let expected = self.expected(task.records)?;
        (took >= self.timeout.max(expected.mul_f64(SLOW_FACTOR))).then_some(LateReason::Slow(took, expected))
    }

    /// The expected time of a task; `None` until some tasks have ended.
    fn expected(&self, records: u64) -> Option<Duration> {
        (self.records > 0.0).then(|| Duration::from_secs_f64(self.seconds / self.records * records as f64))
    }
}

impl TaskClock {
    pub(crate) fn start(records: u64, now: Instant) -> TaskClock {
        TaskClock { records, started: now, done: 0, moved: now, waits_since: None, waited: Duration::ZERO }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Takes a heartbeat: how far the task is.
    pub(crate) fn beat(&mut self, beat: &Beat, now: Instant) {
        if beat.records != self.done {
            (self.done, self.moved) = (beat.records, now);
        }
        match (self.waits_since, beat.waits) {
            (None, true) => self.waits_since = Some(now),
            (Some(since), false) => {
                // Progress counts from here: the wait is not part of it.
                (self.waits_since, self.moved) = (None, now);
                self.waited += now.saturating_duration_since(since);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heartbeats `(second, records done, waits for the source)` of a task of 10,000 records; the timeout is 10 s and
    /// the learnt rate is 10,000 records in `learnt` seconds → why the task is late at second `at`.
    fn check(learnt: Option<u64>, beats: &[(u64, u64, bool)], at: u64, expected: Option<LateReason>) {
        let start = tidemill_os::clock::now();
        let moment = |second: u64| start + Duration::from_secs(second);
        let mut pace = Pace::new(Duration::from_secs(10));
        learnt.iter().for_each(|seconds| pace.learn(10_000, Duration::from_secs(*seconds)));
        let mut task = TaskClock::start(10_000, start);
        for (second, records, waits) in beats {
            task.beat(&Beat { task: 0, records: *records, waits: *waits }, moment(*second));
        }
        assert_eq!(pace.late(&task, moment(at)), expected, "{learnt:?} {beats:?} at {at}");
    }

    #[test]
    fn a_task_is_late() {
        let seconds = Duration::from_secs;
        // No progress ever, or progress that stopped.
        check(None, &[], 9, None);
        check(None, &[], 10, Some(LateReason::Stuck(seconds(10))));
        check(None, &[(1, 100, false), (8, 100, false)], 10, None);
        check(None, &[(1, 100, false), (8, 100, false)], 11, Some(LateReason::Stuck(seconds(10))));
        // Progress: without a learnt rate it is never slow; with one, it is slow beyond ten times.
        check(None, &[(30, 100, false), (60, 200, false)], 61, None);
        check(Some(2), &[(10, 100, false), (19, 200, false)], 19, None);
        check(Some(2), &[(10, 100, false), (19, 200, false)], 20, Some(LateReason::Slow(seconds(20), seconds(2))));
        // The timeout is the lower bound of the learnt deadline.
        check(Some(0), &[(1, 100, false), (9, 200, false)], 9, None);
        check(Some(0), &[(1, 100, false), (9, 200, false)], 10, Some(LateReason::Slow(seconds(10), seconds(0))));
        // Waiting for the source does not make a task late, unless it waits for very long.
        check(Some(1), &[(1, 100, true), (60, 100, true)], 80, None);
        check(Some(2), &[(1, 100, true), (60, 100, false)], 69, None);
        check(Some(2), &[(1, 100, true), (60, 100, false)], 70, Some(LateReason::Stuck(seconds(10))));
        check(Some(1), &[(1, 100, true)], 91, Some(LateReason::Stuck(seconds(90))));
    }

    #[test]
    fn small_tasks_teach_nothing() {
        let mut pace = Pace::new(Duration::from_secs(1));
        pace.learn(LEARNT_RECORDS_MIN - 1, Duration::from_secs(9));
        assert_eq!(pace.expected(1_000), None);
        pace.learn(2_000, Duration::from_secs(2));
        assert_eq!(pace.expected(1_000), Some(Duration::from_secs(1)));
    }
}
