//! Holds a source's records back until there are enough of them, or for long enough: Spark's `minOffsetsPerTrigger` and
//! `maxTriggerDelay`.
//!
//! The delay counts from the last batch with records of the source. If there are none when it is over, it begins anew.
//! So do Spark's. The first batch of a run does not wait. Does not know the clock: time is an argument.

use std::time::{Duration, Instant};
use tidemill_model::pipeline::MinOffsets;

pub(crate) struct Hold {
    offsets_min: u64,
    delay_max: Duration,
    /// Since when the delay counts; `None` before the first look.
    since: Option<Instant>,
    /// When there was last nothing to read.
    empty_at: Option<Instant>,
}

impl Hold {
    pub(crate) fn new(least: MinOffsets) -> Hold {
        let delay_max = Duration::from_millis(least.delay_max_ms);
        Hold { offsets_min: least.offsets, delay_max, since: None, empty_at: None }
    }

    /// Takes note of how many offsets there are to read. Returns when they may be read: now, or later if no more come.
    pub(crate) fn free_at(&mut self, offsets: u64, now: Instant) -> Instant {
        if offsets == 0 {
            self.since.get_or_insert(now);
            self.empty_at = Some(now);
        }
        let (Some(since), false) = (self.since, offsets >= self.offsets_min) else { return now };
        if self.delay_max.is_zero() {
            return now;
        }
        // The delays that were over while there was nothing.
        let empty = self.empty_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(since));
        let over = empty.as_nanos() / self.delay_max.as_nanos();
        let since = since + self.delay_max * u32::try_from(over).unwrap_or(u32::MAX);
        self.since = Some(since);
        (since + self.delay_max).max(now)
    }

    /// A batch begins with records of the source.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at (seconds, offsets there are) → seconds from the start until which they are held; a batch begins when
    /// they are free.
    fn check(looks: &[(u64, u64)], expected: &[u64]) {
        let start = tidemill_os::clock::now();
        let mut hold = Hold::new(MinOffsets { offsets: 100, delay_max_ms: 10_000 });
        let free = looks.iter().map(|(second, offsets)| {
            let now = start + Duration::from_secs(*second);
            let free_at = hold.free_at(*offsets, now);
            if free_at == now && *offsets > 0 {
                hold.begin(now);
            }
            (free_at - start).as_secs()
        });
        assert_eq!(free.collect::<Vec<_>>(), expected, "{looks:?}");
    }

    #[test]
    fn a_batch_waits_for_enough_or_for_long_enough() {
        // The first batch does not wait; later ones wait for 100 offsets or 10 s.
        check(&[(0, 1), (1, 99), (2, 100), (3, 5), (12, 6)], &[0, 10, 2, 12, 12]);
        // Nothing at the start: the delay counts from there.
        check(&[(0, 0), (4, 1), (10, 1)], &[10, 10, 10]);
        // The delay was over while there was nothing: it began anew.
        check(&[(0, 1), (5, 0), (10, 0), (12, 3), (20, 3)], &[0, 10, 20, 20, 20]);
    }
}
