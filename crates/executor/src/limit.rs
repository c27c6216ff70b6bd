//! `max_records_per_second_per_core`: a worker that is ahead of its allowance waits. Waiting is not work.

use std::time::{Duration, Instant};

/// The allowance of one worker.
pub(crate) struct Limit {
    per_second: Option<f64>,
    /// When the records taken so far are paid for.
    paid_until: Instant,
}

impl Limit {
    pub(crate) fn new(per_second: Option<f64>) -> Limit {
        Limit { per_second, paid_until: Instant::now() }
    }

    /// Records to take at once, so that no wait is longer than about 50 ms.
    pub(crate) fn chunk_records(&self, most: usize) -> usize {
        self.per_second.map_or(most, |rate| ((rate / 20.0) as usize).clamp(1, most))
    }

    /// Waits until `records` more are paid for; returns how long.
    pub(crate) fn pay(&mut self, records: usize) -> Duration {
        let Some(rate) = self.per_second else { return Duration::ZERO };
        let now = Instant::now();
        // Time that passed without work is not saved up.
        self.paid_until = self.paid_until.max(now) + Duration::from_secs_f64(records as f64 / rate);
        let wait = self.paid_until.saturating_duration_since(now);
        std::thread::sleep(wait);
        wait
    }
}
