//! Casts of dates and times from and to numbers, and between each other.

use super::number::doubles;
use super::{Failures, map, number};
use crate::text::java_double::java_double;
use crate::types;
use crate::zone::WallClock;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray, TimestampMicrosecondArray};
use arrow_schema::DataType;
use std::sync::Arc;

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

/// `(d·1 000 000)` in double, truncated toward zero. The common case, all values finite and in range, is one tight
/// loop.
fn from_doubles(input: &PrimitiveArray<Float64Type>, failures: &mut Failures) -> TimestampMicrosecondArray {
    // 2^63: as a double it stands for the greatest long and is accepted as that.
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

/// TIMESTAMP as seconds since the epoch: floored for an integral target, rounded for a DECIMAL.
pub(super) fn to_number(
    input: &PrimitiveArray<TimestampMicrosecondType>,
    to: &DataType,
    failures: &mut Failures,
) -> ArrayRef {
    if types::is_integral(to) {
        let seconds: ArrayRef = Arc::new(input.unary::<_, Int64Type>(|micros| micros.div_euclid(MICROS_PER_SECOND)));
        return if *to == DataType::Int64 { seconds } else { number::cast(&seconds, to, failures) };
    }
    if let DataType::Decimal128(..) = to {
        let seconds = input.unary::<_, Decimal128Type>(i128::from).with_data_type(DataType::Decimal128(20, 6));
        let seconds: ArrayRef = Arc::new(seconds);
        return if seconds.data_type() == to { seconds } else { number::cast(&seconds, to, failures) };
    }
    let seconds: ArrayRef = Arc::new(input.unary::<_, Float64Type>(|micros| micros as f64 / 1e6));
    if *to == DataType::Float64 { seconds } else { number::cast(&seconds, to, failures) }
}

/// Casts between DATE, TIMESTAMP and TIMESTAMP_NTZ.
pub(super) fn between(input: &ArrayRef, to: &DataType, clock: &WallClock, failures: &mut Failures) -> ArrayRef {
    let of_zone = |data_type: &DataType| matches!(data_type, DataType::Timestamp(_, Some(_)));
    if *input.data_type() == DataType::Date32 {
        let days = input.as_primitive::<Date32Type>();
        let has_zone = of_zone(to) && !clock.zone().is_utc();
        let second =
            |day: i64| if has_zone { clock.second_of_day(day) } else { day * (MICROS_PER_DAY / MICROS_PER_SECOND) };
        let micros: TimestampMicrosecondArray = map(days, |row, day| {
            let micros = second(day.into()).checked_mul(MICROS_PER_SECOND);
            if micros.is_none() {
                failures.overflow(row, format!("day {day}"));
            }
            micros
        });
        return Arc::new(micros.with_data_type(to.clone()));
    }
    let micros = input.as_primitive::<TimestampMicrosecondType>();
    if of_zone(to) {
        return Arc::new(instants(micros, clock));
    }
    let shown = if of_zone(input.data_type()) { shown(micros, clock) } else { micros.clone() };
    match to {
        DataType::Date32 => Arc::new(shown.unary::<_, Date32Type>(|micros| micros.div_euclid(MICROS_PER_DAY) as i32)),
        _ => Arc::new(shown.with_data_type(to.clone())),
    }
}

/// The local times that a clock shows at instants, as TIMESTAMP_NTZ. Free in UTC.
pub(crate) fn shown(instants: &TimestampMicrosecondArray, clock: &WallClock) -> TimestampMicrosecondArray {
    let shown = match clock.zone() {
        zone if zone.is_utc() => instants.clone(),
        _ => instants.unary(|micros| clock.shows(micros)),
    };
    shown.with_data_type(types::timestamp_ntz())
}

/// The instants at which a clock shows local times, as TIMESTAMP. Free in UTC.
pub(crate) fn instants(shown: &TimestampMicrosecondArray, clock: &WallClock) -> TimestampMicrosecondArray {
    let instants = match clock.zone() {
        zone if zone.is_utc() => shown.clone(),
        _ => shown.unary(|micros| clock.instant_of(micros)),
    };
    instants.with_data_type(types::timestamp())
}
