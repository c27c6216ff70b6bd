//! Dates and timestamps in strings, as Spark reads them without a format (rule J9).
//!
//! One scanner cuts the text into year, month, day, hour, minute, second, fraction and zone; the forms that Spark takes
//! are those that it accepts, oddities included. Knows no JSON.

use super::java::java_int;
use super::zone::{Clock, Zone};
use tidemill_model::time::{civil_from_days, days_from_civil};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// First day of the Gregorian calendar, 1582-10-15, in days since the epoch.
const GREGORIAN_START: i32 = -141_427;

/// What a text without date or zone is completed with.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// The zone of texts that name none.
    pub zone: Zone,
    /// What time it is, microseconds since the epoch: gives a time alone its date.
    pub now_micros: i64,
}

/// A TIMESTAMP: microseconds since the epoch.
pub fn timestamp(text: &str, defaults: &Defaults) -> Option<i64> {
    timestamp_once(text, defaults).or_else(|| timestamp_once(&without_gmt(text)?, defaults))
}

/// A TIMESTAMP_NTZ: microseconds since 1970-01-01T00:00:00 on any clock. A text with a zone is none.
pub fn timestamp_ntz(text: &str) -> Option<i64> {
    let parts = Parts::read(text)?;
    if parts.time_alone || parts.zone.is_some() {
        return None;
    }
    micros(parts.days()? * SECONDS_PER_DAY + parts.seconds()?, parts.micros())
}

/// A DATE: days since 1970-01-01; also written as that number, counted in the Julian calendar before 1582.
pub fn date(text: &str) -> Option<i32> {
    date_without_number(text).or_else(|| java_int(text).and_then(gregorian_from_julian))
}

/// As [`date`], but for day numbers.
pub fn date_without_number(text: &str) -> Option<i32> {
    date_once(text).or_else(|| date_once(&without_gmt(text)?))
}

fn timestamp_once(text: &str, defaults: &Defaults) -> Option<i64> {
    let parts = Parts::read(text)?;
    let zone = match parts.zone {
        Some(name) => Zone::parse(name)?,
        None => defaults.zone,
    };
    let days = if parts.time_alone {
        let now = defaults.now_micros.div_euclid(MICROS_PER_SECOND);
        (now + zone.offset_at(Clock::Universal, now)).div_euclid(SECONDS_PER_DAY)
    } else {
        parts.days()?
    };
    let local = days * SECONDS_PER_DAY + parts.seconds()?;
    micros(local - zone.offset_at(Clock::Wall, local), parts.micros())
}

fn micros(seconds: i64, micros: i64) -> Option<i64> {
    i64::try_from(i128::from(seconds) * i128::from(MICROS_PER_SECOND) + i128::from(micros)).ok()
}

/// Spark 1 wrote `2000-01-01T00:00:00GMT+01:00`; the text without `GMT`, where it has one.
fn without_gmt(text: &str) -> Option<String> {
    text.contains("GMT").then(|| text.replace("GMT", ""))
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\x7f')
}

/// A text's fields, in the order year, month, day, hour, minute, second, fraction.
struct Parts<'a> {
    fields: [i64; 7],
    fraction_digits: u32,
    zone: Option<&'a str>,
    time_alone: bool,
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Option<Parts<'a>> {
        let starts_with_t = text.starts_with('T');
        let text = trimmed(text);
        let (sign, rest) = sign(text);
        let mut parts =
            Parts { fields: [1, 1, 1, 0, 0, 0, 0], fraction_digits: 0, zone: None, time_alone: starts_with_t };
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

    fn days(&self) -> Option<i64> {
        days(self.fields[0], self.fields[1], self.fields[2])
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

fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    let known = (1..=12).contains(&month) && day >= 1;
    let days = known.then(|| days_from_civil(year, month, day))?;
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

fn date_once(text: &str) -> Option<i32> {
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
    i32::try_from(days(fields[0] * sign.unwrap_or(1), fields[1], fields[2])?).ok()
}

/// The day that has in the Gregorian calendar the date that day number `days` has in the calendar of its time: the hybrid
/// one that Spark 1 counted in.
fn gregorian_from_julian(days: i32) -> Option<i32> {
    if days >= GREGORIAN_START {
        return Some(days);
    }
    // Four Julian years that start in March have 1461 days; Julian 0000-03-01 is day −719470.
    let since_march = i64::from(days) + 719_470;
    let cycle = since_march.div_euclid(1_461);
    let of_cycle = since_march.rem_euclid(1_461);
    let year_of_cycle = (of_cycle - of_cycle / 1_460) / 365;
    let day_of_year = of_cycle - 365 * year_of_cycle;
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    let year = cycle * 4 + year_of_cycle + i64::from(month <= 2);
    i32::try_from(days_from_civil(year, month, day)).ok()
}
