//! When the next batch of a query may begin that runs as soon as possible.
//!
//! A batch has a fixed cost in the driver, however few records it reads. If a batch has read all that there was, the next one
//! begins after ten times its cost, so a trickle takes at most a tenth of the driver's core. A record waits half of that time
//! on average. After a pause it does not wait. A batch without data waits twice as long: if records come meanwhile, their
//! batch also moves the watermark through the state.

use std::time::{Duration, Instant};

/// The driver's share of its core, inverted.
const COST_FACTOR: u32 = 10;

/// The shortest interval: half of it would cost nearly twice the CPU time at 1,000 records a second, for results 5 ms younger.
const INTERVAL_MIN: Duration = Duration::from_millis(20);

/// The longest interval: on a loaded machine, most of the measured time is not the batch's cost.
const INTERVAL_MAX: Duration = Duration::from_millis(50);

pub(crate) struct Pacing {
    as_soon_as_possible: bool,
    /// The loop's time since the last batch began.
    spent: Duration,
    /// When the last batch began that has read all there was, and the interval after it.
    last: Option<(Instant, Duration)>,
}

impl Pacing {
    pub(crate) fn new(as_soon_as_possible: bool) -> Pacing {
        Pacing { as_soon_as_possible, spent: Duration::ZERO, last: None }
    }

    /// The loop has worked for so long.
    pub(crate) fn spend(&mut self, time: Duration) {
        self.spent += time;
    }

    /// A batch begins, and reads all there is or leaves some.
    pub(crate) fn begin(&mut self, now: Instant, reads_all: bool) {
        let interval = (std::mem::take(&mut self.spent) * COST_FACTOR).clamp(INTERVAL_MIN, INTERVAL_MAX);
        self.last = (self.as_soon_as_possible && reads_all).then_some((now, interval));
    }

    /// No batch with data before this moment.
    pub(crate) fn data_from(&self) -> Option<Instant> {
        self.last.map(|(begun, interval)| begun + interval)
    }

    /// No batch without data before this moment.
    pub(crate) fn no_data_from(&self) -> Option<Instant> {
        self.last.map(|(begun, interval)| begun + 2 * interval)
    }

    /// Whether the driver asks the sources what there is, now.
    pub(crate) fn asks(&self, now: Instant) -> bool {
        self.as_soon_as_possible && self.data_from().is_none_or(|from| from <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_follows_the_cost() {
        let start = tidemill_os::clock::now();
        for (spent_us, expected_ms) in [(0, 20), (800, 20), (2_500, 25), (60_000, 50)] {
            let mut pacing = Pacing::new(true);
            assert!(pacing.asks(start));
            pacing.spend(Duration::from_micros(spent_us));
            pacing.begin(start, true);
            let after = [pacing.data_from(), pacing.no_data_from()].map(|from| from.map(|from| from - start));
            assert_eq!(after, [expected_ms, 2 * expected_ms].map(|ms| Some(Duration::from_millis(ms))), "{spent_us}");
            assert!(!pacing.asks(start));
            pacing.begin(start, false);
            assert_eq!((pacing.data_from(), pacing.asks(start)), (None, true));
        }
        let mut at_intervals = Pacing::new(false);
        at_intervals.begin(start, true);
        assert_eq!((at_intervals.data_from(), at_intervals.asks(start)), (None, false));
    }
}
