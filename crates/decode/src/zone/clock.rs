//! A zone's wall clock: what it shows at an instant, and when it shows a date and time.

use super::Zone;
use super::tzif::{Side, Span};
use std::cell::Cell;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A clock on the wall of a zone. It remembers for how long the last offset that it looked up holds: times that lie near
/// one another cost two comparisons each.
///
/// Microseconds are since 1970-01-01T00:00:00, of UTC for instants and on the clock itself for what it shows. At the ends
/// of the 64-bit range they saturate.
#[derive(Clone, Debug)]
pub struct WallClock {
    zone: Zone,
    universal: Cell<Span>,
    wall: Cell<Span>,
}

impl WallClock {
    /// The clock of a zone.
    pub fn new(zone: Zone) -> WallClock {
        let unknown = match zone {
            Zone::Fixed { offset, .. } => Span::always(offset.into()),
            Zone::Region { .. } => Span { from: 0, until: 0, offset: 0 },
        };
        WallClock { zone, universal: Cell::new(unknown), wall: Cell::new(unknown) }
    }

    /// The clock of universal time.
    pub fn utc() -> WallClock {
        WallClock::new(Zone::UTC)
    }

    /// Whose clock it is.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// Seconds east of UTC at an instant, in seconds.
    #[inline]
    pub fn offset_at(&self, seconds: i64) -> i64 {
        self.span(Side::Universal, seconds).offset
    }

    /// What it shows at an instant.
    #[inline]
    pub fn shows(&self, micros: i64) -> i64 {
        micros.saturating_add(self.offset_at(micros.div_euclid(MICROS_PER_SECOND)) * MICROS_PER_SECOND)
    }

    /// When it shows a time, in seconds: of a time that it never shows, as much later as the gap is long; of one that it
    /// shows twice, the first time.
    #[inline]
    pub fn second_of(&self, shown_seconds: i64) -> i64 {
        shown_seconds - self.span(Side::Wall, shown_seconds).offset
    }

    /// As [`WallClock::second_of`], in microseconds.
    #[inline]
    pub fn instant_of(&self, shown: i64) -> i64 {
        let offset = self.span(Side::Wall, shown.div_euclid(MICROS_PER_SECOND)).offset;
        shown.saturating_sub(offset * MICROS_PER_SECOND)
    }

    /// As [`WallClock::instant_of`], but of two times the one with this offset, if one has it.
    pub fn instant_of_preferring(&self, shown: i64, offset: i64) -> i64 {
        let preferred = shown.saturating_sub(offset * MICROS_PER_SECOND);
        let holds = self.offset_at(preferred.div_euclid(MICROS_PER_SECOND)) == offset;
        if holds { preferred } else { self.instant_of(shown) }
    }

    /// When a day, counted from 1970-01-01, begins: at midnight, or with the first time that the clock shows on it.
    pub fn start_of_day(&self, day: i64) -> i64 {
        self.second_of_day(day).saturating_mul(MICROS_PER_SECOND)
    }

    /// As [`WallClock::start_of_day`], in seconds.
    pub fn second_of_day(&self, day: i64) -> i64 {
        let midnight = day.saturating_mul(SECONDS_PER_DAY);
        let wall = self.span(Side::Wall, midnight);
        let second = midnight.saturating_sub(wall.offset);
        let universal = self.span(Side::Universal, second);
        // Midnight is in a gap where the offset has changed meanwhile.
        if universal.offset == wall.offset { second } else { universal.from }
    }

    #[inline]
    fn span(&self, side: Side, seconds: i64) -> Span {
        let known = match side {
            Side::Wall => &self.wall,
            Side::Universal => &self.universal,
        };
        let span = known.get();
        if span.holds(seconds) {
            return span;
        }
        let span = self.zone.span(side, seconds);
        known.set(span);
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::time::days_from_civil;

    const HOUR: i64 = 3_600 * MICROS_PER_SECOND;

    fn clock(zone: &str) -> WallClock {
        WallClock::new(Zone::parse(zone).unwrap())
    }

    fn at(year: i64, month: u32, day: u32, hours: i64) -> i64 {
        days_from_civil(year, month, day) * 24 * HOUR + hours * HOUR
    }

    #[test]
    fn a_clock_shows_and_finds_times() {
        let check = |zone: &str, instant: i64, shown: i64| {
            let clock = clock(zone);
            assert_eq!(clock.shows(instant), shown, "{zone}");
            assert_eq!(clock.instant_of(shown), instant, "{zone}");
        };
        check("UTC", 5, 5);
        check("+05:30", 0, 11 * HOUR / 2);
        check("Europe/Paris", at(2024, 7, 1, 10), at(2024, 7, 1, 12));
        check("Europe/Paris", at(2024, 1, 1, 11), at(2024, 1, 1, 12));
        check("America/New_York", at(1800, 1, 1, 0), at(1800, 1, 1, 0) - 17_762 * MICROS_PER_SECOND);
        check("America/New_York", at(9999, 7, 1, 4), at(9999, 7, 1, 0));
        assert_eq!(clock("+01:00").shows(i64::MAX), i64::MAX);
    }

    /// One clock, asked back and forth, says what fresh ones say.
    #[test]
    fn what_it_remembers_changes_nothing() {
        let clock = clock("Europe/Paris");
        for step in [977 * HOUR, -977 * HOUR, 12_347 * HOUR, 5 * HOUR] {
            for n in 0..2_000 {
                let time = at(2023, 10, 1, 0) + n * step;
                let fresh = || WallClock::new(clock.zone());
                assert_eq!(clock.shows(time), fresh().shows(time));
                assert_eq!(clock.instant_of(time), fresh().instant_of(time));
            }
        }
    }

    #[test]
    fn gaps_overlaps_and_days_without_midnight() {
        let paris = clock("Europe/Paris");
        assert_eq!(paris.instant_of(at(2024, 3, 31, 2)), at(2024, 3, 31, 1));
        assert_eq!(paris.instant_of(at(2024, 10, 27, 2)), at(2024, 10, 27, 0));
        assert_eq!(paris.instant_of_preferring(at(2024, 10, 27, 2), 3_600), at(2024, 10, 27, 1));
        assert_eq!(paris.instant_of_preferring(at(2024, 10, 27, 4), 7_200), at(2024, 10, 27, 3));
        let start = |zone: &str, year, month, day| clock(zone).start_of_day(days_from_civil(year, month, day));
        assert_eq!(start("Europe/Paris", 2024, 7, 1), at(2024, 6, 30, 22));
        assert_eq!(start("America/Sao_Paulo", 2018, 11, 4), at(2018, 11, 4, 3));
        // From 23:30 of the day before to 00:30.
        assert_eq!(start("America/Toronto", 1919, 3, 31), at(1919, 3, 31, 4) + HOUR / 2);
        assert_eq!(start("Pacific/Apia", 2011, 12, 30), at(2011, 12, 30, 10));
    }
}
