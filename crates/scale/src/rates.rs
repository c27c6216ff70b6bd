//! Arrival rates from the end offsets, never from consumption.
//!
//! A ring holds (time, Σ end offsets) of the last 21 seconds. A rate is the difference over a window; its older edge is
//! interpolated between two samples. If samples are more than a second apart, nobody observed the time between them,
//! and all records of that gap count as arriving at its end: a stream that wakes up must not look slower than it is.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How far back rates are needed: λ5 of 15 s ago, plus one second for interpolation.
const HORIZON_MS: u64 = 21_000;
/// Samples closer than this replace each other.
const SPACING_MS: u64 = 200;
/// There is no interpolation between samples further apart than this.
const GAP_MS: u64 = 1_000;
/// Shorter spans are divided by this: one record 5 ms after the start is not a rate of 200/s.
const SPAN_MIN_MS: u64 = 1_000;

/// The span of the newest rate: two observations, so that one that comes early or late does not double it.
const NEWEST_MS: u64 = 500;

/// The arrival curve of the last seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    samples: VecDeque<(u64, u64)>,
}

impl Rates {
    /// Adds an observation. A total below the last one means that the topic was recreated; the history is dropped.
    pub fn observe(&mut self, now_ms: u64, end_total: u64) {
        if self.samples.back().is_some_and(|&(at, total)| end_total < total || now_ms < at) {
            self.samples.clear();
        }
        let len = self.samples.len();
        if len >= 2 && now_ms - self.samples[len - 2].0 < SPACING_MS {
            self.samples.pop_back();
        }
        self.samples.push_back((now_ms, end_total));
        while self.samples.len() >= 2 && self.samples[1].0 + HORIZON_MS <= now_ms {
            self.samples.pop_front();
        }
    }

    /// Records/s over the `window_s` before the newest sample; over what is known where that is less; 0 before two samples.
    pub fn rate(&self, window_s: u64) -> f64 {
        self.samples.back().map_or(0.0, |&(now_ms, _)| self.rate_until(now_ms, window_s))
    }

    /// Records/s over the newest half second, or over as much as is known.
    pub fn newest(&self) -> f64 {
        let Some(&(now_ms, _)) = self.samples.back() else { return 0.0 };
        let from_ms = now_ms.saturating_sub(NEWEST_MS).max(self.samples[0].0);
        let span_s = (now_ms - from_ms).max(NEWEST_MS) as f64 / 1000.0;
        (self.total_at(now_ms) - self.total_at(from_ms)) / span_s
    }

    /// The rate over the same window `ago_s` earlier; `None` if the history is too short.
    pub fn rate_ago(&self, window_s: u64, ago_s: u64) -> Option<f64> {
        let until_ms = self.samples.back()?.0.checked_sub(ago_s * 1000)?;
        (self.samples[0].0 + window_s * 1000 <= until_ms).then(|| self.rate_until(until_ms, window_s))
    }

    /// The rate over the same window `ago_s` earlier, over the known part of it; 0 if none is known.
    pub fn rate_before(&self, window_s: u64, ago_s: u64) -> f64 {
        let until_ms = self.samples.back().map_or(0, |&(now_ms, _)| now_ms.saturating_sub(ago_s * 1000));
        let known = self.samples.front().is_some_and(|&(first_ms, _)| first_ms < until_ms);
        if known { self.rate_until(until_ms, window_s) } else { 0.0 }
    }

    fn rate_until(&self, until_ms: u64, window_s: u64) -> f64 {
        let from_ms = until_ms.saturating_sub(window_s * 1000).max(self.samples[0].0);
        let span_s = (until_ms - from_ms).max(SPAN_MIN_MS) as f64 / 1000.0;
        (self.total_at(until_ms) - self.total_at(from_ms)) / span_s
    }

    fn total_at(&self, at_ms: u64) -> f64 {
        let after = self.samples.partition_point(|&(sampled_ms, _)| sampled_ms <= at_ms);
        let (left_ms, left) = self.samples[after - 1];
        match self.samples.get(after) {
            Some(&(right_ms, right)) if right_ms - left_ms <= GAP_MS => {
                let share = (at_ms - left_ms) as f64 / (right_ms - left_ms) as f64;
                left as f64 + (right - left) as f64 * share
            }
            _ => left as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: &[(u64, u64)], window_s: u64, expected: f64) {
        let mut rates = Rates::default();
        for &(now_ms, total) in samples {
            rates.observe(now_ms, total);
        }
        assert_eq!(rates.rate(window_s), expected, "{samples:?} over {window_s} s");
    }

    #[test]
    fn a_rate_is_a_difference_over_its_window() {
        check(&[], 5, 0.0);
        check(&[(0, 1_000_000)], 5, 0.0);
        check(&[(0, 0), (500, 50)], 5, 50.0); // a short span counts as a second
        check(&[(0, 0), (1_000, 100), (2_000, 200), (3_000, 300)], 2, 100.0);
        check(&[(0, 0), (1_000, 100), (2_000, 200), (3_000, 300)], 5, 100.0); // over what is known
        check(&[(0, 0), (900, 90), (1_800, 180), (2_700, 270)], 2, 100.0); // edge interpolated
        check(&[(0, 7), (60_000, 107)], 2, 50.0); // nobody looked in between: it may all have come just now
        check(&[(0, 900), (1_000, 1_000), (2_000, 0), (3_000, 10)], 5, 10.0); // topic made anew
        check(&[(0, 0), (100, 10), (150, 20), (5_000, 30)], 5, 6.0); // close samples replace each other
    }

    #[test]
    fn the_rate_of_before_needs_history() {
        let mut rates = Rates::default();
        for second in 0..=19 {
            rates.observe(second * 1000, second * 10);
        }
        assert_eq!(rates.rate_ago(5, 15), None);
        assert_eq!(rates.rate_before(15, 2), 10.0);
        assert_eq!(rates.rate_before(15, 20), 0.0);
        rates.observe(20_000, 300);
        assert_eq!(rates.rate_ago(5, 15), Some(10.0));
        assert_eq!(rates.rate(5), 30.0);
    }
}
