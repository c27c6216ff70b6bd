//! How many records are due: pure arithmetic; the time is an argument.

use std::time::Duration;

/// The rate of a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Records per second, of all producers together; 0 pauses.
    PerSecond(f64),
    /// As fast as the broker takes them.
    Max,
}

impl Rate {
    /// Records per second to keep; 0 for [`Rate::Max`], which has no pace.
    pub(crate) fn per_second(self) -> f64 {
        match self {
            Rate::PerSecond(rate) => rate,
            Rate::Max => 0.0,
        }
    }
}

/// A producer that fell behind (a slow broker, a busy machine) catches up with at most this many seconds of its rate.
const DEBT_SECONDS_MAX: f64 = 1.0;

/// Keeps one producer at its share of the rate. At a steady rate r, record k is due k / r after the start. Changing the
/// rate neither loses nor adds records.
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    /// When the rate last changed, as time since the start.
    since: Duration,
    /// Records due minus records sent, at `since`.
    owed: f64,
    /// Records sent after `since`.
    sent: u64,
}

impl Pace {
    /// Starts at time zero. `per_second` is finite.
    pub fn new(per_second: f64) -> Pace {
        Pace { per_second, since: Duration::ZERO, owed: 0.0, sent: 0 }
    }

    /// Changes the rate at `now`.
    pub fn set(&mut self, per_second: f64, now: Duration) {
        if per_second != self.per_second {
            self.owed = self.balance(now);
            self.since = now;
            self.sent = 0;
            self.per_second = per_second;
        }
    }

    /// Number of records to send at `now`.
    pub fn due(&mut self, now: Duration) -> u64 {
        let debt_max = (self.per_second * DEBT_SECONDS_MAX).max(1.0);
        let balance = self.balance(now);
        if balance > debt_max {
            self.owed -= balance - debt_max;
        }
        if self.per_second == 0.0 { 0 } else { self.balance(now).ceil().max(0.0) as u64 }
    }

    /// Counts records as sent.
    pub fn sent(&mut self, records: u64) {
        self.sent += records;
    }

    /// How long to sleep at `now`: until the next record is due, but at most `tick`, so that a change of the rate is
    /// noticed. At high rates the records of several milliseconds are sent together.
    pub fn sleep(&self, now: Duration, tick: Duration) -> Duration {
        let wait = if self.per_second > 0.0 { -self.balance(now) / self.per_second } else { f64::INFINITY };
        Duration::from_secs_f64(wait.clamp(0.001, tick.as_secs_f64()))
    }

    fn balance(&self, now: Duration) -> f64 {
        self.owed + self.per_second * now.saturating_sub(self.since).as_secs_f64() - self.sent as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a pace on a clock of `tick_ms`, with rates changed at given milliseconds. Counts the records sent until
    /// each end.
    fn check(tick_ms: u64, rates: &[(u64, f64)], expected: &[(u64, u64)]) {
        let mut pace = Pace::new(0.0);
        let mut total = 0;
        let last = expected.iter().map(|(at, _)| *at).max().unwrap();
        for ms in (0..=last).step_by(tick_ms as usize) {
            let now = Duration::from_millis(ms);
            for (_, rate) in rates.iter().filter(|(at, _)| *at == ms) {
                pace.set(*rate, now);
            }
            let due = pace.due(now);
            pace.sent(due);
            total += due;
            for (_, records) in expected.iter().filter(|(at, _)| *at == ms) {
                assert_eq!(total, *records, "after {ms} ms at ticks of {tick_ms} ms");
            }
        }
    }

    #[test]
    fn a_steady_rate_is_kept_at_any_tick() {
        for tick_ms in [1, 2, 5, 10] {
            check(tick_ms, &[(0, 10.0)], &[(0, 0), (100, 1), (990, 10), (1_000, 10), (60_000, 600)]);
            check(tick_ms, &[(0, 5_000.0)], &[(10, 50), (1_000, 5_000), (60_000, 300_000)]);
        }
    }

    #[test]
    fn a_change_of_the_rate_neither_loses_nor_gains() {
        check(
            10,
            &[(0, 10.0), (1_000, 0.0), (5_000, 1_000.0), (6_000, 10.0)],
            &[(5_000, 10), (6_000, 1_010), (7_000, 1_020)],
        );
        let wavering: Vec<_> = (0..200).map(|k| (k * 50, if k % 2 == 0 { 9.0 } else { 11.0 })).collect();
        check(10, &wavering, &[(10_000, 100)]);
    }

    #[test]
    fn who_falls_behind_catches_up_by_one_second_at_most() {
        check(10_000, &[(0, 100.0)], &[(10_000, 100), (20_000, 200)]);
        check(1_000, &[(0, 0.5)], &[(1_000, 1), (2_000, 1), (4_000, 2), (20_000, 10)]);
    }

    #[test]
    fn sleep_ends_when_a_record_is_due_or_the_rate_may_have_changed() {
        let (mut pace, tick, ms) = (Pace::new(200.0), Duration::from_millis(10), Duration::from_millis);
        assert_eq!(pace.due(ms(1)), 1);
        pace.sent(1);
        assert_eq!(pace.sleep(ms(1), tick), ms(4));
        assert_eq!(Pace::new(0.0).sleep(ms(1), tick), tick);
        assert_eq!(Pace::new(1e6).sleep(ms(1), tick), ms(1));
    }
}
