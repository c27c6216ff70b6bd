//! The history for a page that is opened late: one sample per second, and the decisions. Bounded; reads no clock.

use serde::Serialize;
use std::collections::VecDeque;
use tidemill_model::status::{DecisionLine, Status};

/// Samples kept: 15 minutes at one a second, 90 KB.
pub const SAMPLES_MAX: usize = 900;

/// Decisions kept.
pub const DECISIONS_MAX: usize = 1000;

/// The history of one run.
#[derive(Debug, Default)]
pub struct RunHistory {
    samples: VecDeque<Sample>,
    decisions: VecDeque<DecisionLine>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    at_ms: i64,
    rate_in: f64,
    rate_done: f64,
    backlog: u64,
    executors: u32,
    executors_target: u32,
    age_p50_ms: u64,
    age_p99_ms: u64,
}

/// The samples column by column, oldest first: a third of the size of one object each.
#[derive(Debug, Default, Serialize)]
pub struct History {
    at_ms: Vec<i64>,
    rate_in: Vec<f64>,
    rate_done: Vec<f64>,
    backlog: Vec<u64>,
    executors: Vec<u32>,
    executors_target: Vec<u32>,
    age_p50_ms: Vec<u64>,
    age_p99_ms: Vec<u64>,
}

impl RunHistory {
    /// Adds a snapshot. The newest snapshot of each second is kept.
    pub fn add(&mut self, status: &Status) {
        self.add_sample(Sample {
            at_ms: status.now_ms,
            rate_in: round(status.rate_in),
            rate_done: round(status.rate_done),
            backlog: status.backlog,
            executors: u32::try_from(status.executors.len()).unwrap_or(u32::MAX),
            executors_target: status.executors_target,
            age_p50_ms: status.age_p50_ms,
            age_p99_ms: status.age_p99_ms,
        });
        self.add_decisions(&status.decisions);
    }

    /// All decisions kept, oldest first.
    pub fn decisions(&self) -> Vec<&DecisionLine> {
        self.decisions.iter().collect()
    }

    /// All samples kept.
    pub fn history(&self) -> History {
        let mut all = History::default();
        for sample in &self.samples {
            all.at_ms.push(sample.at_ms);
            all.rate_in.push(sample.rate_in);
            all.rate_done.push(sample.rate_done);
            all.backlog.push(sample.backlog);
            all.executors.push(sample.executors);
            all.executors_target.push(sample.executors_target);
            all.age_p50_ms.push(sample.age_p50_ms);
            all.age_p99_ms.push(sample.age_p99_ms);
        }
        all
    }

    /// Adds a sample. If the clock was set back, later samples are removed, so that time only increases.
    fn add_sample(&mut self, sample: Sample) {
        let second = sample.at_ms.div_euclid(1000);
        while self.samples.back().is_some_and(|last| last.at_ms.div_euclid(1000) >= second) {
            self.samples.pop_back();
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Adds the decisions after the last known one. A snapshot carries only the newest few.
    fn add_decisions(&mut self, newest: &[DecisionLine]) {
        let known = self.decisions.back().and_then(|last| newest.iter().rposition(|line| line == last));
        for line in &newest[known.map_or(0, |position| position + 1)..] {
            if self.decisions.len() == DECISIONS_MAX {
                self.decisions.pop_front();
            }
            self.decisions.push_back(line.clone());
        }
    }
}

/// Rounds to one decimal, as the page shows it. NaN and infinity become 0, since JSON has neither.
fn round(rate: f64) -> f64 {
    if rate.is_finite() { (rate * 10.0).round() / 10.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds snapshots `(now_ms, backlog, decisions)`; compares the samples as `at_ms:backlog`, and the sizes of the
    /// decisions.
    fn check(snapshots: &[(i64, u64, &[u32])], samples: &str, decisions: &str) {
        let mut past = RunHistory::default();
        for &(now_ms, backlog, sizes) in snapshots {
            let line = |&to: &u32| DecisionLine { at_ms: i64::from(to), from: 0, to, reason: String::new() };
            past.add(&Status { now_ms, backlog, decisions: sizes.iter().map(line).collect(), ..Status::default() });
        }
        let history = past.history();
        let told: Vec<String> = history.at_ms.iter().zip(&history.backlog).map(|(at, n)| format!("{at}:{n}")).collect();
        assert_eq!(told.join(" "), samples);
        let told: Vec<String> = past.decisions().iter().map(|line| line.to.to_string()).collect();
        assert_eq!(told.join(" "), decisions);
    }

    #[test]
    fn the_newest_snapshot_of_each_second_stays() {
        check(&[(1000, 1, &[]), (1250, 2, &[]), (1999, 3, &[]), (2000, 4, &[])], "1999:3 2000:4", "");
    }

    #[test]
    fn a_clock_set_back_never_leaves_a_zigzag() {
        check(&[(1000, 1, &[]), (5000, 2, &[]), (9000, 3, &[]), (4000, 4, &[])], "1000:1 4000:4", "");
    }

    #[test]
    fn a_decision_seen_in_many_snapshots_is_one() {
        check(&[(0, 0, &[1]), (1, 0, &[1, 2]), (2, 0, &[1, 2]), (3, 0, &[2, 3, 4])], "3:0", "1 2 3 4");
    }

    #[test]
    fn decisions_that_were_missed_leave_a_gap_but_no_double() {
        check(&[(0, 0, &[1, 2]), (1, 0, &[7, 8])], "1:0", "1 2 7 8");
    }

    #[test]
    fn the_past_is_bounded() {
        let mut past = RunHistory::default();
        for second in 0..2000 {
            let line = DecisionLine { at_ms: second, ..DecisionLine::default() };
            past.add(&Status { now_ms: second * 1000, decisions: vec![line], ..Status::default() });
        }
        assert_eq!(past.history().at_ms.len(), SAMPLES_MAX);
        assert_eq!(past.history().at_ms.last(), Some(&1_999_000));
        assert_eq!(past.decisions().len(), DECISIONS_MAX);
    }
}
