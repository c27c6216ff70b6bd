//! Intervals: their types, constants and texts.
//!
//! A year-month interval is a number of months in 32 bits, a day-time interval a number of microseconds in 64. Both types have a
//! first and a last field, as `INTERVAL DAY TO SECOND`. Arrow's interval types cannot hold them, so the types are Arrow's
//! Decimal32 and Decimal64, which have two parameters and are of no other use here; only this file knows how. What
//! `make_interval` gives has months, days and microseconds, and is Arrow's month-day-nano interval with microseconds in the
//! place of nanoseconds.

use arrow_array::types::IntervalMonthDayNano;
use arrow_schema::{DataType, IntervalUnit};
use std::fmt::Write;
use tidemill_model::Interval;

/// Microseconds of a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Of a minute.
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
/// Of an hour.
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
/// Of a day of 24 hours.
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// Names of fields, by number.
const YEAR_MONTH: [&str; 2] = ["YEAR", "MONTH"];
const DAY_TIME: [&str; 4] = ["DAY", "HOUR", "MINUTE", "SECOND"];

/// Number of the first field of day-time intervals.
pub const DAY: usize = 0;
/// Number of the last.
pub const SECOND: usize = 3;

/// INTERVAL YEAR TO MONTH, or one field of it.
pub fn year_month(first: usize, last: usize) -> DataType {
    DataType::Decimal32(first as u8 + 1, last as i8 + 1)
}

/// INTERVAL DAY TO SECOND, or some fields of it.
pub fn day_time(first: usize, last: usize) -> DataType {
    DataType::Decimal64(first as u8 + 1, last as i8 + 1)
}

/// INTERVAL: months, days and microseconds.
pub fn calendar() -> DataType {
    DataType::Interval(IntervalUnit::MonthDayNano)
}

/// What kind of interval a type is, with its first and last field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Months.
    YearMonth(usize, usize),
    /// Microseconds.
    DayTime(usize, usize),
    /// Months, days and microseconds.
    Calendar,
}

/// `None` for a type that is no interval.
pub fn kind(data_type: &DataType) -> Option<Kind> {
    match data_type {
        DataType::Decimal32(first, last) => Some(Kind::YearMonth(usize::from(*first) - 1, *last as usize - 1)),
        DataType::Decimal64(first, last) => Some(Kind::DayTime(usize::from(*first) - 1, *last as usize - 1)),
        DataType::Interval(IntervalUnit::MonthDayNano) => Some(Kind::Calendar),
        _ => None,
    }
}

/// Whether it is one.
pub fn is_interval(data_type: &DataType) -> bool {
    kind(data_type).is_some()
}

/// Of two intervals of one kind: the fields of both.
pub fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    match (kind(a)?, kind(b)?) {
        (Kind::YearMonth(a, b), Kind::YearMonth(c, d)) => Some(year_month(a.min(c), b.max(d))),
        (Kind::DayTime(a, b), Kind::DayTime(c, d)) => Some(day_time(a.min(c), b.max(d))),
        (Kind::Calendar, Kind::Calendar) => Some(calendar()),
        _ => None,
    }
}

/// The same kind with all fields.
pub fn whole(data_type: &DataType) -> DataType {
    match kind(data_type) {
        Some(Kind::YearMonth(..)) => year_month(0, 1),
        Some(Kind::DayTime(..)) => day_time(DAY, SECOND),
        _ => data_type.clone(),
    }
}

impl Kind {
    fn names(self) -> (&'static [&'static str], usize, usize) {
        match self {
            Kind::YearMonth(first, last) => (&YEAR_MONTH, first, last),
            Kind::DayTime(first, last) => (&DAY_TIME, first, last),
            Kind::Calendar => (&[], 0, 0),
        }
    }

    /// `INTERVAL DAY TO SECOND`.
    pub fn name(self) -> String {
        match self.names() {
            ([], ..) => "INTERVAL".into(),
            (names, first, last) if first == last => format!("INTERVAL {}", names[first]),
            (names, first, last) => format!("INTERVAL {} TO {}", names[first], names[last]),
        }
    }
}

/// The type of fields by name: `DAY`, or `DAY` to `SECOND`; `None` where there is none.
pub fn of_fields(first: &str, last: &str) -> Option<DataType> {
    let place = |names: &[&str], name: &str| names.iter().position(|known| known.eq_ignore_ascii_case(name));
    if let (Some(first), Some(last)) = (place(&YEAR_MONTH, first), place(&YEAR_MONTH, last)) {
        return (first <= last).then(|| year_month(first, last));
    }
    let (first, last) = (place(&DAY_TIME, first)?, place(&DAY_TIME, last)?);
    (first <= last).then(|| day_time(first, last))
}

/// A constant of numbers with units: `1 day 2 hours`. Its type has the fields that the units name. The error is a sentence for
/// the user.
pub fn of_units(text: &str) -> Result<(i64, DataType), String> {
    let value = Interval::parse(text)?;
    let lower = text.to_ascii_lowercase();
    let words = lower.split_ascii_whitespace().filter(|word| *word != "interval");
    let units = words.filter(|word| word.ends_with(|c: char| c.is_ascii_alphabetic()));
    let (mut of_months, mut of_time) = (Vec::new(), Vec::new());
    for unit in units {
        match unit.strip_suffix('s').unwrap_or(unit) {
            "year" => of_months.push(0),
            "month" => of_months.push(1),
            "day" | "week" => of_time.push(DAY),
            "hour" => of_time.push(1),
            "minute" => of_time.push(2),
            _ => of_time.push(SECOND),
        }
    }
    let bounds = |fields: &[usize]| Some((*fields.iter().min()?, *fields.iter().max()?));
    match (bounds(&of_months), bounds(&of_time)) {
        (Some((first, last)), None) => {
            let months = i32::try_from(value.months).map_err(|_| "too many months; use fewer".to_string())?;
            Ok((months.into(), year_month(first, last)))
        }
        (None, Some((first, last))) => Ok((value.micros, day_time(first, last))),
        _ => Err("one INTERVAL cannot have years or months and days or smaller units; \
                  add two, one after the other: time + INTERVAL '1 month' + INTERVAL '2 days'"
            .into()),
    }
}

/// A text of all fields of a type, as `1 02:03:04.5` of DAY TO SECOND: its number of months or microseconds.
pub fn of_text(text: &str, data_type: &DataType) -> Option<i64> {
    let kind = kind(data_type)?;
    let text = crate::times::trimmed(text);
    let (turned, inner) = quoted(text, kind).unwrap_or((false, text));
    let (negative, digits) = signed(inner);
    let value = match kind {
        Kind::YearMonth(first, last) => months(digits, first, last)?,
        Kind::DayTime(first, last) => micros(digits, first, last)?,
        Kind::Calendar => return None,
    };
    let value = if negative != turned { -value } else { value };
    match kind {
        Kind::YearMonth(..) => i32::try_from(value).ok().map(i64::from),
        _ => i64::try_from(value).ok(),
    }
}

/// What is in quotes in `INTERVAL [-]'…' DAY TO SECOND`, and whether a minus is before them.
fn quoted(text: &str, kind: Kind) -> Option<(bool, &str)> {
    const WORD: &str = "INTERVAL";
    let rest = text.get(WORD.len()..).filter(|_| text[..WORD.len()].eq_ignore_ascii_case(WORD))?.trim_start();
    let (negative, rest) = signed(rest);
    let (inner, fields) = rest.strip_prefix('\'')?.split_once('\'')?;
    let name = kind.name();
    let words = fields.split_ascii_whitespace().map(str::to_ascii_uppercase);
    words.eq(name.split_ascii_whitespace().skip(1)).then_some((negative, inner))
}

/// Whether a minus is in front of a text, and what follows the sign.
fn signed(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn number(digits: &str, length_max: usize) -> Option<i128> {
    let is_number = (1..=length_max).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

fn months(digits: &str, first: usize, last: usize) -> Option<i128> {
    match (first, last) {
        (0, 0) => Some(12 * number(digits, 10)?),
        (1, 1) => number(digits, 10),
        _ => {
            let (years, months) = digits.split_once('-')?;
            Some(12 * number(years, 9)? + number(months, 2).filter(|months| *months < 12)?)
        }
    }
}

fn micros(digits: &str, first: usize, last: usize) -> Option<i128> {
    const UNITS: [i64; 4] = [MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND];
    /// Digits of a first field, and where a further one ends.
    const LENGTHS: [usize; 4] = [9, 10, 12, 13];
    const LIMITS: [i128; 4] = [0, 24, 60, 60];
    let mut rest = digits;
    let mut total = 0;
    for field in first..=last {
        let (this, after) = match field {
            _ if field == last => (rest, ""),
            DAY => rest.split_once(' ')?,
            _ => rest.split_once(':')?,
        };
        rest = after;
        let (whole, fraction) = if field == SECOND { this.split_once('.').unwrap_or((this, "0")) } else { (this, "0") };
        let value = if field == first {
            number(whole, LENGTHS[field])?
        } else {
            number(whole, 2).filter(|value| *value < LIMITS[field])?
        };
        number(fraction, 9)?;
        let fraction: i128 = format!("{fraction:0<9}")[..6].parse().ok()?;
        total += value * i128::from(UNITS[field]) + fraction;
    }
    Some(total)
}

/// A value as Spark writes it: `INTERVAL '1 02:03:04.5' DAY TO SECOND`.
pub fn write(out: &mut String, value: i64, kind: Kind) {
    let sign = if value < 0 { "-" } else { "" };
    let size = value.unsigned_abs();
    let text = match kind {
        Kind::YearMonth(0, 0) => format!("{}", size / 12),
        Kind::YearMonth(1, 1) => format!("{size}"),
        Kind::YearMonth(..) => format!("{}-{}", size / 12, size - size / 12 * 12),
        Kind::DayTime(first, last) => fields(size, first, last),
        Kind::Calendar => String::new(),
    };
    let name = kind.name();
    let names = name.strip_prefix("INTERVAL ").unwrap_or_default();
    write!(out, "INTERVAL '{sign}{text}' {names}").expect("a String takes any text");
}

fn fields(micros: u64, first: usize, last: usize) -> String {
    const UNITS: [u64; 4] = [
        MICROS_PER_DAY.unsigned_abs(),
        MICROS_PER_HOUR.unsigned_abs(),
        MICROS_PER_MINUTE.unsigned_abs(),
        MICROS_PER_SECOND.unsigned_abs(),
    ];
    let mut rest = micros;
    let mut out = String::new();
    for (field, unit) in UNITS.iter().enumerate().take(last + 1).skip(first) {
        let value = rest / unit;
        rest -= value * unit;
        let before = match field {
            _ if field == first => "",
            1 => " ",
            _ => ":",
        };
        let shown = if field == DAY { value.to_string() } else { format!("{value:02}") };
        out.push_str(before);
        out.push_str(&shown);
    }
    if last == SECOND && rest > 0 {
        out.push_str(format!(".{rest:06}").trim_end_matches('0'));
    }
    out
}

/// `1 years 2 months 3 days 4 hours 5 minutes 6.7 seconds`, without the parts that are 0.
pub fn write_calendar(out: &mut String, value: IntervalMonthDayNano) {
    let mut parts = Vec::new();
    let mut part = |number: i64, unit: &str| {
        if number != 0 {
            parts.push(format!("{number} {unit}"));
        }
    };
    let months = i64::from(value.months);
    let micros = value.nanoseconds;
    part(months / 12, "years");
    part(months - months / 12 * 12, "months");
    part(value.days.into(), "days");
    part(micros / MICROS_PER_HOUR, "hours");
    let rest = micros - micros / MICROS_PER_HOUR * MICROS_PER_HOUR;
    part(rest / MICROS_PER_MINUTE, "minutes");
    let rest = rest - rest / MICROS_PER_MINUTE * MICROS_PER_MINUTE;
    if rest != 0 {
        let sign = if rest < 0 { "-" } else { "" };
        let size = rest.unsigned_abs();
        let unit = MICROS_PER_SECOND.unsigned_abs();
        let text = format!("{sign}{}.{:06}", size / unit, size - size / unit * unit);
        parts.push(format!("{} seconds", text.trim_end_matches('0').trim_end_matches('.')));
    }
    out.push_str(&if parts.is_empty() { "0 seconds".into() } else { parts.join(" ") });
}
