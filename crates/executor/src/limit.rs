//! The rate limit `max_records_per_second_per_core`: a worker that is ahead of its rate waits. Waiting does not count
//! as work.

use std::time::{Duration, Instant};
use tidemill_os::clock;

/// The rate limit of one worker.
pub(crate) struct Limit {
    per_second: Option<f64>,
    /// When the records taken so far are within the rate.
    paid_until: Instant,
}

impl Limit {
    pub(crate) fn new(per_second: Option<f64>) -> Limit {
        Limit { per_second, paid_until: clock::now() }
    }

    /// How many records to take at once, so that no wait is longer than about 50 ms.
    pub(crate) fn chunk_records(&self, most: usize) -> usize {
        self.per_second.map_or(most, |rate| ((rate / 20.0) as usize).clamp(1, most))
    }

    /// Waits until `records` more are within the rate. Returns the time waited.
    pub(crate) fn pay(&mut self, records: usize) -> Duration {
        let Some(rate) = self.per_second else { return Duration::ZERO };
        let now = clock::now();
        // Idle time is not saved up.
        self.paid_until = self.paid_until.max(now) + Duration::from_secs_f64(records as f64 / rate);
        let wait = self.paid_until.saturating_duration_since(now);
        clock::sleep(wait);
        wait
    }
}
