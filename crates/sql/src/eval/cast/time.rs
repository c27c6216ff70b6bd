//! Dates and times from and to numbers and text. The session time zone is UTC.

use super::number::doubles;
use super::{Failures, map, number};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray, TimestampMicrosecondArray};
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::java_double::java_double;
use tidemill_model::time::{civil_from_days, days_from_civil};

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Seconds since the epoch as TIMESTAMP (rule T4).
pub(super) fn from_number(input: &ArrayRef, to: &DataType, failures: &mut Failures) -> ArrayRef {
    let array: TimestampMicrosecondArray = match input.data_type() {
        DataType::Float32 | DataType::Float64 => from_doubles(&doubles(input), failures),
        DataType::Decimal128(_, scale) => {
            let scale = *scale as u32;
            input.as_primitive::<Decimal128Type>().unary(move |x| decimal_seconds(x, scale))
        }
        _ => number::integers(input).unary(|seconds| seconds.saturating_mul(MICROS_PER_SECOND)),
    };
    Arc::new(array.with_data_type(to.clone()))
}

/// `(d·1 000 000)` in double, truncated toward zero. The common case, all finite and in range, is one tight loop.
fn from_doubles(input: &PrimitiveArray<Float64Type>, failures: &mut Failures) -> TimestampMicrosecondArray {
    // 2^63: as a double it stands for the greatest long, and passes as that.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let fits = |seconds: f64| (seconds * 1e6).abs() <= LIMIT;
    if input.values().iter().all(|seconds| fits(*seconds)) {
        return input.unary(|seconds| (seconds * 1e6) as i64);
    }
    map(input, |row, seconds| {
        if fits(seconds) {
            return Some((seconds * 1e6) as i64);
        }
        if seconds.is_finite() {
            failures.overflow(row, java_double(seconds));
        } else {
            failures.invalid(row, java_double(seconds));
        }
        None
    })
}

/// Microseconds of a decimal number of seconds: truncated, then wrapped to 64 bits.
fn decimal_seconds(unscaled: i128, scale: u32) -> i64 {
    match scale.checked_sub(6) {
        Some(more) => (unscaled / 10_i128.pow(more)) as i64,
        None => unscaled.wrapping_mul(10_i128.pow(6 - scale)) as i64,
    }
}

/// TIMESTAMP as seconds since the epoch: floored where the target is integral.
pub(super) fn to_number(
    input: &PrimitiveArray<TimestampMicrosecondType>,
    to: &DataType,
    failures: &mut Failures,
) -> ArrayRef {
    if crate::types::is_integral(to) {
        let seconds: ArrayRef = Arc::new(input.unary::<_, Int64Type>(|micros| micros.div_euclid(MICROS_PER_SECOND)));
        return if *to == DataType::Int64 { seconds } else { number::cast(&seconds, to, failures) };
    }
    let seconds: ArrayRef = Arc::new(input.unary::<_, Float64Type>(|micros| micros as f64 / 1e6));
    if *to == DataType::Float64 { seconds } else { number::cast(&seconds, to, failures) }
}

/// DATE, TIMESTAMP and TIMESTAMP_NTZ as one another.
pub(super) fn between(input: &ArrayRef, to: &DataType) -> ArrayRef {
    match (input.data_type(), to) {
        (DataType::Date32, _) => {
            let days = input.as_primitive::<Date32Type>();
            let micros =
                days.unary::<_, TimestampMicrosecondType>(|days| i64::from(days).saturating_mul(MICROS_PER_DAY));
            Arc::new(micros.with_data_type(to.clone()))
        }
        (_, DataType::Date32) => {
            let micros = input.as_primitive::<TimestampMicrosecondType>();
            Arc::new(micros.unary::<_, Date32Type>(|micros| micros.div_euclid(MICROS_PER_DAY) as i32))
        }
        _ => Arc::new(input.as_primitive::<TimestampMicrosecondType>().clone().with_data_type(to.clone())),
    }
}

/// `yyyy[-M[-d]]`, whatever follows a full date behind `T` or a space: days since the epoch.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let text = super::text::trim(text);
    let (date, rest) = read_date(text.as_bytes())?;
    if !rest.is_empty() && (date.parts < 3 || !matches!(rest[0], b'T' | b' ')) {
        return None;
    }
    i32::try_from(date.days()?).ok()
}

/// Spark's timestamp text: a date as [`parse_date`]'s, then `T` or a space and `H[:m[:s[.f*]]]`, then a zone;
/// microseconds since the epoch. With `zoned` false (TIMESTAMP_NTZ) a zone is dropped, else it shifts the time.
/// A time without a date needs today's and is refused, as are region names: UTC, Z, GMT and offsets are known.
pub(crate) fn parse_timestamp(text: &str, zoned: bool) -> Option<i64> {
    let text = super::text::trim(text);
    let (date, rest) = read_date(text.as_bytes())?;
    let days = date.days()?;
    let (of_day, zone) = match rest {
        [] => (0, 0),
        [b'T' | b' ', rest @ ..] if date.parts == 3 => {
            if rest.is_empty() {
                return None;
            }
            let (of_day, rest) = read_time(rest)?;
            (of_day, read_zone(std::str::from_utf8(rest).ok()?)?)
        }
        _ => return None,
    };
    let shift = if zoned { zone * MICROS_PER_SECOND } else { 0 };
    days.checked_mul(MICROS_PER_DAY)?.checked_add(of_day)?.checked_sub(shift)
}

struct DateParts {
    year: i64,
    month: u32,
    day: u32,
    /// How many of year, month and day were given.
    parts: usize,
}

impl DateParts {
    fn days(&self) -> Option<i64> {
        let valid = (1..=12).contains(&self.month) && (1..=31).contains(&self.day);
        let days = valid.then(|| days_from_civil(self.year, self.month, self.day))?;
        (civil_from_days(days) == (self.year, self.month, self.day)).then_some(days)
    }
}

fn read_date(bytes: &[u8]) -> Option<(DateParts, &[u8])> {
    let (sign, unsigned) = match bytes {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, bytes),
    };
    let (year, mut rest) = digits(unsigned, 4, 7)?;
    let mut date = DateParts { year: sign * year, month: 1, day: 1, parts: 1 };
    for part in [&mut date.month, &mut date.day] {
        let [b'-', tail @ ..] = rest else {
            break;
        };
        let (number, tail) = digits(tail, 1, 2)?;
        *part = number as u32;
        rest = tail;
        date.parts += 1;
    }
    Some((date, rest))
}

/// `H[:m[:s[.f*]]]` as microseconds of the day, and what follows.
fn read_time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (hour, mut rest) = digits(bytes, 1, 2)?;
    let mut parts = [0, 0];
    for part in &mut parts {
        let [b':', tail @ ..] = rest else {
            break;
        };
        let (number, tail) = digits(tail, 1, 2)?;
        *part = number;
        rest = tail;
    }
    let mut micros = 0;
    if let [b'.', tail @ ..] = rest {
        let length = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let kept = &tail[..length.min(6)];
        micros =
            kept.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')) * 10_i64.pow(6 - kept.len() as u32);
        rest = &tail[length..];
    }
    let [minute, second] = parts;
    let valid = hour < 24 && minute < 60 && second < 60;
    valid.then_some((((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros, rest))
}

/// Seconds east of UTC.
fn read_zone(text: &str) -> Option<i64> {
    let text = text.trim();
    let offset = match text {
        "" | "Z" | "UTC" | "GMT" | "UT" => return Some(0),
        _ => ["UTC", "GMT", "UT"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text),
    };
    let sign = match offset.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &offset[1..];
    let number = |text: &str| {
        (matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<i64>().ok())?
    };
    let parts: Vec<i64> = if digits.contains(':') {
        digits.split(':').map(number).collect::<Option<_>>()?
    } else if digits.len() == 4 || digits.len() == 6 {
        (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2).and_then(number)).collect::<Option<_>>()?
    } else {
        vec![number(digits)?]
    };
    let seconds = match parts[..] {
        [h] => h * 3_600,
        [h, m] if m < 60 => h * 3_600 + m * 60,
        [h, m, s] if m < 60 && s < 60 => h * 3_600 + m * 60 + s,
        _ => return None,
    };
    (seconds <= 18 * 3_600).then_some(sign * seconds)
}

/// A number of `least` to `most` digits, and what follows; more digits are a fault.
fn digits(bytes: &[u8], least: usize, most: usize) -> Option<(i64, &[u8])> {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = bytes[..length.min(most)].iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    (least..=most).contains(&length).then_some((number, &bytes[length..]))
}
