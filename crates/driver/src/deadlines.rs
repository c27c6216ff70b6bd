//! When an executor is given up: it is silent, or a task of it is late. Pure: moments and figures in, a verdict out.
//!
//! ```text
//!  nothing heard while tasks run, for 3 s or half of `task_timeout`  → silent: the process is stopped or dead
//!  heard, but a task makes no progress for `task_timeout`           → stuck: its worker loops
//!  progress, but the task takes ten times what such a task takes    → slow: somebody else may be faster
//! ```
//! A task that waits for its source makes no progress either; its reader has a deadline of its own, so it gets longer.

use std::time::{Duration, Instant};
use tidemill_link::Beat;

/// A task that takes so many times as long as it should is slow.
const SLOW_FACTOR: f64 = 10.0;

/// A task that waits for its source is not stuck until after this: longer than any reader waits before it gives up.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(90);

/// Twelve signs of life are missing: no machine is so busy that an executor gets no time slice for so long.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Tasks of fewer records say nothing about the rate: their time is overhead.
const LEARNT_RECORDS_MIN: u64 = 1_000;

/// Weight of the past when a task's time is learnt.
const MEMORY: f64 = 0.9;

/// What tasks take, learnt from those that have ended.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// `[autoscale] task_timeout`.
    timeout: Duration,
    /// Records and seconds of past tasks, older ones count less.
    records: f64,
    seconds: f64,
}

/// Why an executor is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LateReason {
    /// No progress for so long.
    Stuck(Duration),
    /// It runs for so long, and should have taken this.
    Slow(Duration, Duration),
}

/// What is known of a running task.
#[derive(Clone, Debug)]
pub(crate) struct TaskClock {
    records: u64,
    started: Instant,
    /// Records that it has done, and when that was seen to change last.
    done: u64,
    moved: Instant,
    /// Since when it waits for its source.
    waits_since: Option<Instant>,
    /// How long it has waited for its source before.
    waited: Duration,
}

impl Pace {
    pub(crate) fn new(timeout: Duration) -> Pace {
        Pace { timeout, records: 0.0, seconds: 0.0 }
    }

    /// A task of so many records has taken this.
    pub(crate) fn learn(&mut self, records: u64, took: Duration) {
        if records >= LEARNT_RECORDS_MIN {
            self.records = self.records * MEMORY + records as f64;
            self.seconds = self.seconds * MEMORY + took.as_secs_f64();
        }
    }

    /// An executor that says nothing for so long while it has tasks is silent.
    pub(crate) fn silence_max(&self) -> Duration {
        SILENCE_MAX.min(self.timeout / 2)
    }

    /// An executor that is given up gets so long to answer all the same.
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

    /// What a task should take; `None` until some have ended.
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

    /// The executor says how far the task is.
    pub(crate) fn beat(&mut self, beat: &Beat, now: Instant) {
        if beat.records != self.done {
            (self.done, self.moved) = (beat.records, now);
        }
        match (self.waits_since, beat.waits) {
            (None, true) => self.waits_since = Some(now),
            (Some(since), false) => {
                // What it does from here on is new: the wait is no part of it.
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

    /// Beats `(second, records done, waits for the source)` of a task of 10,000 records, with a timeout of 10 s and a rate of
    /// 10,000 records in `learnt` seconds → what is said at the second `at`.
    fn check(learnt: Option<u64>, beats: &[(u64, u64, bool)], at: u64, expected: Option<LateReason>) {
        let start = Instant::now();
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
        // It never says anything, or stands still.
        check(None, &[], 9, None);
        check(None, &[], 10, Some(LateReason::Stuck(seconds(10))));
        check(None, &[(1, 100, false), (8, 100, false)], 10, None);
        check(None, &[(1, 100, false), (8, 100, false)], 11, Some(LateReason::Stuck(seconds(10))));
        // It moves: nobody knows how long it should take, or it is ten times over.
        check(None, &[(30, 100, false), (60, 200, false)], 61, None);
        check(Some(2), &[(10, 100, false), (19, 200, false)], 19, None);
        check(Some(2), &[(10, 100, false), (19, 200, false)], 20, Some(LateReason::Slow(seconds(20), seconds(2))));
        // The timeout is the floor of what is learnt.
        check(Some(0), &[(1, 100, false), (9, 200, false)], 9, None);
        check(Some(0), &[(1, 100, false), (9, 200, false)], 10, Some(LateReason::Slow(seconds(10), seconds(0))));
        // Who waits for the source is not late for that, unless for very long.
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
