//! The way that a run has gone so far, as rows of small bars. One sample a second, bounded, no clock.

use std::collections::VecDeque;
use tidemill_model::status::Status;

/// Samples kept: 15 minutes.
const SAMPLES_MAX: usize = 900;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is remembered of one second.
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
    /// Takes a snapshot in: the newest of each second stays.
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

    /// Milliseconds that the bars cover.
    pub(super) fn span_ms(&self) -> u64 {
        let seconds = self.samples.front().zip(self.samples.back()).map(|(first, last)| last.second - first.second);
        seconds.unwrap_or(0) * 1000
    }

    /// The highest value of a row.
    pub(super) fn highest(&self, of: fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).fold(0.0, f64::max)
    }

    /// A row of at most `columns` bars from zero to `top`. Where there are more samples than columns, a bar is the
    /// highest of its seconds: a short spike must not vanish. Which seconds share a bar does not change as time goes
    /// on, so that the row moves but never shimmers. Zero is a blank: nothing looks like nothing.
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

    /// Feeds one backlog a second; tells the bars in `columns` up to `top`.
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
