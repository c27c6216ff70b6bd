//! Units of time as types: event times are [`Micros`], watermarks and wall-clock times are [`Millis`].

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z; or a duration, where the name says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// Milliseconds since 1970-01-01T00:00:00Z; or a duration, where the name says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Micros {
    /// Rounds down to milliseconds, as Spark does for the watermark (rule M1). Correct below zero.
    pub fn floor_millis(self) -> Millis {
        Millis(self.0.div_euclid(1_000))
    }
}

impl Millis {
    /// The same instant in microseconds; saturates at the ends of the 64-bit range.
    pub fn to_micros(self) -> Micros {
        Micros(self.0.saturating_mul(1_000))
    }
}

/// ISO 8601 in UTC with milliseconds, `2026-01-01T00:00:05.000Z`, as Spark writes it in progress records.
pub fn iso_millis(at: Millis) -> String {
    let days = at.0.div_euclid(86_400_000);
    let of_day = at.0.rem_euclid(86_400_000);
    let (year, month, day) = civil_from_days(days);
    let (h, m, s, ms) = (
        of_day / 3_600_000,
        (of_day / 60_000).rem_euclid(60),
        (of_day / 1_000).rem_euclid(60),
        of_day.rem_euclid(1_000),
    );
    if year > 9_999 {
        format!("+{year}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }
}

/// Year, month (1–12) and day (1–31) of a day number (days since 1970-01-01), in the proleptic Gregorian calendar.
///
/// Source: `civil_from_days` in Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms". An era has 400 years or
/// 146 097 days; years start in March.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a proleptic Gregorian date. The inverse of [`civil_from_days`].
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + (year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year) - 719_468
}

/// As [`days_from_civil`]; `None` if the calendar has no such day.
pub fn days_of_date(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (month, day) = (month as u32, day as u32);
    let days = days_from_civil(year, month, day);
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

/// Microseconds in the largest unit that expresses them exactly.
pub fn length(micros: i64) -> String {
    let units = [(60_000_000, "min"), (1_000_000, "s"), (1_000, "ms")];
    match units.iter().find(|(unit, _)| micros != 0 && micros.rem_euclid(*unit) == 0) {
        Some((unit, word)) => format!("{} {word}", micros / unit),
        None => format!("{micros} µs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for (days, date) in [(0, (1970, 1, 1)), (-1, (1969, 12, 31)), (11_016, (2000, 2, 29)), (20_454, (2026, 1, 1))] {
            assert_eq!(civil_from_days(days), date);
            assert_eq!(days_from_civil(date.0, date.1, date.2), days);
        }
        for days in (-1_000_000..1_000_000).step_by(997) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }

    #[test]
    fn instants_as_spark_prints_them() {
        assert_eq!(iso_millis(Millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_millis(Millis(-1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(iso_millis(Millis(1_767_225_605_123)), "2026-01-01T00:00:05.123Z");
    }

    #[test]
    fn m1_floor_is_a_floor() {
        assert_eq!(Micros(-1).floor_millis(), Millis(-1));
        assert_eq!(Micros(1_999).floor_millis(), Millis(1));
    }
}
