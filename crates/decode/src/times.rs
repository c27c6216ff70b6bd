//! Dates and times in strings, as Spark reads them without a format: casts, constants, JSON and CSV (rule J9).
//!
//! One scanner cuts the text into year, month, day, hour, minute, second, fraction and zone; the forms that Spark takes
//! are those that it accepts, oddities included.

use crate::zone::{WallClock, Zone};
use tidemill_model::Micros;
use tidemill_model::time::days_of_date;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// What a text without date or zone is completed with.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The session's clock: that of texts that name no zone.
    pub clock: WallClock,
    /// What time it is: gives a time alone its date. `None` where that is not known; a time alone is no time then.
    pub now: Option<Micros>,
}

/// A TIMESTAMP: `yyyy[-M[-d]]`, then `T` or a space and `H[:m[:s[.f*]]]`, then a zone; or a time alone. Microseconds since
/// the epoch.
pub fn timestamp(text: &str, defaults: &Defaults) -> Option<i64> {
    let parts = TimeFields::read(text)?;
    match parts.zone {
        Some(name) => parts.instant(&WallClock::new(Zone::parse(name)?), defaults.now),
        None => parts.instant(&defaults.clock, defaults.now),
    }
}

/// A TIMESTAMP_NTZ: microseconds since 1970-01-01T00:00:00 on any clock. A zone is passed over where it is `allowed`, as
/// casts do; else a text with one is none.
pub fn timestamp_ntz(text: &str, is_zone_allowed: bool) -> Option<i64> {
    let parts = TimeFields::read(text)?;
    if parts.time_alone || parts.zone.is_some_and(|name| !is_zone_allowed || Zone::parse(name).is_none()) {
        return None;
    }
    micros(parts.days()? * SECONDS_PER_DAY + parts.seconds()?, parts.micros())
}

/// A DATE: `yyyy[-M[-d]]`, whatever follows a full date behind `T` or a space: days since 1970-01-01.
pub fn date(text: &str) -> Option<i32> {
    let (sign, mut rest) = sign(trimmed(text));
    let mut fields = [1i64; 3];
    for (field, value) in fields.iter_mut().enumerate() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let allowed = if field == 0 { 4..=7 } else { 1..=2 };
        if !allowed.contains(&digits) {
            return None;
        }
        *value = rest[..digits].parse().ok()?;
        rest = match rest.as_bytes().get(digits) {
            None => break,
            Some(b'-') if field < 2 => &rest[digits + 1..],
            Some(b' ' | b'T') if field == 2 => break,
            Some(_) => return None,
        };
        if rest.is_empty() {
            return None;
        }
    }
    i32::try_from(days_of_date(fields[0] * sign.unwrap_or(1), fields[1], fields[2])?).ok()
}

/// A TIME: `H:m[:s[.f*]]`, which `T` may stand before, or `AM` or `PM` behind: microseconds of the day.
pub fn time_of_day(text: &str) -> Option<i64> {
    let text = text.trim_end_matches(' ');
    let half = text.len().checked_sub(2).and_then(|at| text.split_at_checked(at));
    let half = half.filter(|(_, half)| half.eq_ignore_ascii_case("AM") || half.eq_ignore_ascii_case("PM"));
    let mut parts = TimeFields::read(half.map_or(text, |(time, _)| time))?;
    if !parts.time_alone || parts.zone.is_some() {
        return None;
    }
    if let Some((_, half)) = half {
        let hour = parts.fields[3];
        if !(1..=12).contains(&hour) {
            return None;
        }
        parts.fields[3] = hour.rem_euclid(12) + if half.eq_ignore_ascii_case("PM") { 12 } else { 0 };
    }
    micros(parts.seconds()?, parts.micros())
}

/// Without white space and control characters at its ends, as Spark trims before it reads a value.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\x7f')
}

fn micros(seconds: i64, micros: i64) -> Option<i64> {
    i64::try_from(i128::from(seconds) * i128::from(MICROS_PER_SECOND) + i128::from(micros)).ok()
}

/// A text's fields, in the order year, month, day, hour, minute, second, fraction.
struct TimeFields<'a> {
    fields: [i64; 7],
    fraction_digits: u32,
    zone: Option<&'a str>,
    time_alone: bool,
}

impl<'a> TimeFields<'a> {
    fn read(text: &'a str) -> Option<TimeFields<'a>> {
        let starts_with_t = text.starts_with('T');
        let text = trimmed(text);
        let (sign, rest) = sign(text);
        let mut parts =
            TimeFields { fields: [1, 1, 1, 0, 0, 0, 0], fraction_digits: 0, zone: None, time_alone: starts_with_t };
        let mut rest = rest;
        let mut field = 0;
        if starts_with_t {
            (field, rest) = (3, &rest[1..]);
        }
        loop {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, behind) = rest.split_at(digits);
            let mark = behind.bytes().next();
            if field == 0 && mark == Some(b':') && sign.is_none() && !number.is_empty() {
                (parts.time_alone, field) = (true, 3);
            }
            parts.set(field, number)?;
            let Some(mark) = mark else { break };
            rest = match (field, mark) {
                (0 | 1, b'-') | (2, b' ' | b'T') | (3 | 4, b':') | (5, b'.') => &behind[1..],
                (5 | 6, _) => {
                    parts.zone = Some(behind.trim_matches(|c| c <= ' '));
                    break;
                }
                _ => return None,
            };
            field += 1;
        }
        parts.fields[0] *= sign.unwrap_or(1);
        Some(parts)
    }

    /// Sets a field if it has as many digits as it may.
    fn set(&mut self, field: usize, digits: &str) -> Option<()> {
        let allowed = match field {
            0 => 4..=6,
            6 => 0..=usize::MAX,
            _ => 1..=2,
        };
        if !allowed.contains(&digits.len()) {
            return None;
        }
        let kept = &digits[..digits.len().min(6)];
        if field == 6 {
            self.fraction_digits = kept.len() as u32;
        }
        self.fields[field] = kept.bytes().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        Some(())
    }

    /// When a clock shows it.
    fn instant(&self, clock: &WallClock, now: Option<Micros>) -> Option<i64> {
        let days = match (self.time_alone, now) {
            (false, _) => self.days()?,
            (true, Some(now)) => {
                let now = now.0.div_euclid(MICROS_PER_SECOND);
                (now + clock.offset_at(now)).div_euclid(SECONDS_PER_DAY)
            }
            (true, None) => return None,
        };
        micros(clock.second_of(days * SECONDS_PER_DAY + self.seconds()?), self.micros())
    }

    fn days(&self) -> Option<i64> {
        days_of_date(self.fields[0], self.fields[1], self.fields[2])
    }

    /// Of the day; none for hour 24 or second 60.
    fn seconds(&self) -> Option<i64> {
        let [_, _, _, hour, minute, second, _] = self.fields;
        (hour < 24 && minute < 60 && second < 60).then_some(hour * 3_600 + minute * 60 + second)
    }

    fn micros(&self) -> i64 {
        self.fields[6] * 10i64.pow(6 - self.fraction_digits)
    }
}

fn sign(text: &str) -> (Option<i64>, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (Some(-1), &text[1..]),
        Some(b'+') => (Some(1), &text[1..]),
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the golden files cannot hold, because Spark's answer depends on the day.
    #[test]
    fn j9_a_time_alone_in_a_cast_is_today_on_its_clock() {
        let noon = Micros(1_707_480_000_000_000);
        let check = |zone: &str, text: &str, now: Option<Micros>, expected: Option<i64>| {
            let defaults = Defaults { clock: WallClock::new(Zone::parse(zone).unwrap()), now };
            assert_eq!(timestamp(text, &defaults), expected, "{text} in {zone}");
        };
        let hours = |hours: i64| Some(noon.0 + hours * 3_600_000_000);
        check("UTC", "11:00", Some(noon), hours(-1));
        check("UTC", "T13:00:00", Some(noon), hours(1));
        check("Pacific/Auckland", "01:00", Some(noon), hours(0));
        check("Pacific/Auckland", "02:00:00 America/New_York", Some(noon), hours(-5));
        check("UTC", "11:00", None, None);
    }
}
