//! The history of a run as rows of small bars. One sample per second, bounded; reads no clock.

use std::collections::VecDeque;
use tidemill_model::status::Status;

/// Samples kept: 15 minutes.
const SAMPLES_MAX: usize = 900;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The figures of one second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    second: u64,
    pub(super) rate_in: f64,
    pub(super) rate_done: f64,
    pub(super) backlog: f64,
    pub(super) executors: f64,
}

/// The samples, oldest first.
#[derive(Debug, Default)]
pub(super) struct SampleHistory {
    samples: VecDeque<Sample>,
}

impl SampleHistory {
    /// Adds a snapshot. The newest snapshot of each second is kept.
    pub(super) fn add(&mut self, status: &Status) {
        let second = status.uptime_ms / 1000;
        while self.samples.back().is_some_and(|last| last.second >= second) {
            self.samples.pop_back();
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            second,
            rate_in: status.rate_in,
            rate_done: status.rate_done,
            backlog: status.backlog as f64,
            executors: status.executors.len() as f64,
        });
    }

    /// Time that the bars cover, ms.
    pub(super) fn span_ms(&self) -> u64 {
        let seconds = self.samples.front().zip(self.samples.back()).map(|(first, last)| last.second - first.second);
        seconds.unwrap_or(0) * 1000
    }

    /// The highest value.
    pub(super) fn highest(&self, of: fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).fold(0.0, f64::max)
    }

    /// A row of at most `columns` bars from zero to `top`. With more samples than columns, a bar shows the highest of
    /// its seconds, so that a short spike stays visible. The same seconds always share a bar, so the row moves without
    /// flicker. Zero is a blank.
    pub(super) fn bars(&self, columns: usize, top: f64, of: fn(&Sample) -> f64) -> String {
        let per_bar = self.samples.len().div_ceil(columns.max(1)).max(1) as u64;
        let mut bars: Vec<(u64, f64)> = Vec::new();
        for sample in &self.samples {
            let key = sample.second / per_bar;
            match bars.last_mut() {
                Some((last, highest)) if *last == key => *highest = highest.max(of(sample)),
                _ => bars.push((key, of(sample))),
            }
        }
        let first = bars.len().saturating_sub(columns.max(1));
        bars[first..].iter().map(|&(_, highest)| bar(highest, top)).collect()
    }
}

fn bar(value: f64, top: f64) -> char {
    if value <= 0.0 || top <= 0.0 {
        return ' ';
    }
    let level = (value / top * BARS.len() as f64).ceil() as usize;
    BARS[level.clamp(1, BARS.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds one backlog per second; compares the bars in `columns` up to `top`.
    fn check(backlogs: &[u64], columns: usize, top: f64, expected: &str) {
        let mut samples = SampleHistory::default();
        for (second, &backlog) in (0..).zip(backlogs) {
            samples.add(&Status { uptime_ms: second * 1000, backlog, ..Status::default() });
        }
        assert_eq!(samples.bars(columns, top, |sample| sample.backlog), expected);
    }

    #[test]
    fn bars_grow_from_nothing_to_the_top() {
        check(&[0, 1, 10, 20, 30, 40, 50, 60, 70, 80], 10, 80.0, " ▁▁▂▃▄▅▆▇█");
        check(&[0, 1, 2, 3, 4], 9, 4.0, " ▂▄▆█");
        check(&[0, 0], 9, 0.0, "  ");
        check(&[], 9, 1.0, "");
        check(&[500], 9, 4.0, "█");
    }

    #[test]
    fn a_short_spike_survives_narrow_terminals() {
        check(&[0, 0, 0, 8, 0, 0, 0, 0], 2, 8.0, "█ ");
        check(&[0, 0, 0, 8, 0, 0, 0, 0, 4], 3, 8.0, " █▄");
        check(&[4, 8], 0, 8.0, "█");
    }

    #[test]
    fn the_newest_of_each_second_stays() {
        let mut samples = SampleHistory::default();
        for (uptime_ms, backlog) in [(0, 1), (900, 8), (1000, 4)] {
            samples.add(&Status { uptime_ms, backlog, ..Status::default() });
        }
        assert_eq!(samples.bars(9, 8.0, |sample| sample.backlog), "█▄");
        assert_eq!((samples.span_ms(), samples.highest(|sample| sample.backlog)), (1000, 8.0));
    }
}
