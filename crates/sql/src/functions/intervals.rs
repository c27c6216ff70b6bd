//! Interval functions: make, multiply and split intervals, add them to times, and compute differences of times.
//!
//! A time moves as in Java's `ZonedDateTime`: months and days on the session's clock, the rest on any clock. A time in
//! a gap moves forward by the gap's length; a time that occurs twice keeps its offset.

use super::numbers::overflow;
use super::times::add_months;
use super::{Arguments, Function, Param, ZONED, build};
use crate::eval::arithmetic::{INTERVAL_OVERFLOW, divide_half_up, pow10};
use crate::eval::cast::cast;
use crate::eval::cast::interval::{counts, with_type};
use crate::eval::{Column, Order, RowErrors};
use crate::expr::CastMode;
use crate::intervals::{self, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::types;
use crate::zone::WallClock;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, ListArray};
use arrow_buffer::i256;
use arrow_schema::DataType;
use std::sync::Arc;

/// Only the planner uses these names; it sets the type.
const INTERNAL: Function = Function { params: &[Param::Any, Param::Any], required: 1, ..Function::BLANK };

const MAKE: Function = Function { required: 0, order: Order::Forward, ..Function::BLANK };

const WHOLE_NUMBERS: &[Param] = &[Param::Int, Param::Int, Param::Int, Param::Seconds(18)];

const ALL_PARTS: &[Param] =
    &[Param::Int, Param::Int, Param::Int, Param::Int, Param::Int, Param::Int, Param::Seconds(18)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "make_dt_interval",
        usage: "make_dt_interval([days[, hours[, minutes[, seconds]]]])",
        about: "An INTERVAL DAY TO SECOND of its parts.",
        example: "make_dt_interval(1, 12, 30, 1.001001)",
        params: WHOLE_NUMBERS,
        gives: |_| intervals::day_time(intervals::DAY, intervals::SECOND),
        kernel: make_day_time,
        ..MAKE
    },
    Function {
        name: "make_ym_interval",
        usage: "make_ym_interval([years[, months]])",
        about: "An INTERVAL YEAR TO MONTH of its parts.",
        example: "make_ym_interval(1, 2)",
        params: &[Param::Int, Param::Int],
        gives: |_| intervals::year_month(0, 1),
        kernel: make_year_month,
        ..MAKE
    },
    Function {
        name: "make_interval",
        usage: "make_interval([years[, months[, weeks[, days[, hours[, minutes[, seconds]]]]]]])",
        about: "An interval of months, days and seconds. It may be added to a time; it is no column of a result.",
        example: "TIMESTAMP_NTZ '2024-01-31 00:00:00' + make_interval(0, 1, 0, 1)",
        params: ALL_PARTS,
        gives: |_| intervals::calendar(),
        kernel: |a| make(a, true),
        ..MAKE
    },
    Function {
        name: "try_make_interval",
        usage: "try_make_interval([years[, months[, weeks[, days[, hours[, minutes[, seconds]]]]]]])",
        about: "As `make_interval`, but NULL for an overflow.",
        example: "TIMESTAMP_NTZ '2024-01-31 00:00:00' + try_make_interval(0, 1)",
        params: ALL_PARTS,
        required: 1,
        gives: |_| intervals::calendar(),
        kernel: |a| make(a, false),
        ..MAKE
    },
    // Of months and microseconds, whole days among them.
    Function {
        name: "+ interval",
        params: &[Param::Any, Param::Long, Param::Long],
        required: 3,
        gives: |arguments| arguments[0].data_type(),
        zoned: ZONED,
        kernel: add_interval,
        ..Function::BLANK
    },
    Function { name: "+ calendar interval", zoned: ZONED, kernel: add_calendar, ..INTERNAL },
    Function { name: "* interval", kernel: |a| scaled(a, true), ..INTERNAL },
    Function { name: "/ interval", order: Order::Backward, kernel: |a| scaled(a, false), ..INTERNAL },
    Function { name: "negative interval", kernel: |a| of_each(a, i64::checked_neg), ..INTERNAL },
    Function { name: "abs interval", kernel: |a| of_each(a, i64::checked_abs), ..INTERNAL },
    Function { name: "sign interval", kernel: sign, ..INTERNAL },
    Function {
        name: "count of interval",
        kernel: |a| Arc::new(counts(&a.columns[0].clone().into_rows(a.rows))),
        ..INTERNAL
    },
    Function { name: "interval of count", kernel: of_count, ..INTERNAL },
    Function { name: "part of interval", kernel: part, ..INTERNAL },
    Function { name: "days between", kernel: days_between, ..INTERNAL },
    Function { name: "time between", zoned: ZONED, kernel: time_between, ..INTERNAL },
];

/// Months or microseconds per row, as an interval of the call's type.
fn interval(
    arguments: &mut Arguments,
    mut value: impl FnMut(usize, &mut RowErrors) -> Option<Option<i64>>,
) -> ArrayRef {
    let is_months = matches!(arguments.data_type, DataType::Decimal32(..));
    let errors = &mut *arguments.errors;
    let values: Int64Array = (0..arguments.rows)
        .map(|row| {
            let value = value(row, errors)?;
            let value = value.filter(|value| !is_months || i32::try_from(*value).is_ok());
            if value.is_none() {
                errors.record(row, INTERVAL_OVERFLOW.0, || INTERVAL_OVERFLOW.1.into());
            }
            value
        })
        .collect();
    with_type(values, arguments.data_type)
}

/// An optional argument of a row: 0 if it is missing, `None` if it is NULL.
fn given(columns: &[Column], index: usize, row: usize) -> Option<i64> {
    match columns.get(index) {
        None => Some(0),
        Some(column) => column.numbers::<Int32Type>().get(row).map(i64::from),
    }
}

/// The argument of seconds as microseconds.
fn micros_of(seconds: Option<&Column>, row: usize) -> Option<i64> {
    match seconds {
        None => Some(0),
        Some(column) => column.numbers::<Decimal128Type>().get(row).map(|micros| micros as i64),
    }
}

/// Hours, minutes and microseconds of seconds together.
fn time_of(hours: i64, minutes: i64, micros: i64) -> Option<i64> {
    (hours * MICROS_PER_HOUR).checked_add(minutes * MICROS_PER_MINUTE)?.checked_add(micros)
}

fn make_day_time(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    interval(arguments, |row, _| {
        let (days, hours, minutes) = (given(columns, 0, row)?, given(columns, 1, row)?, given(columns, 2, row)?);
        let micros = micros_of(columns.get(3), row)?;
        let time = days.checked_mul(MICROS_PER_DAY).zip(time_of(hours, minutes, micros));
        Some(time.and_then(|(days, time)| days.checked_add(time)))
    })
}

fn make_year_month(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    interval(arguments, |row, _| Some(Some(12 * given(columns, 0, row)? + given(columns, 1, row)?)))
}

/// `make_interval(years, months, weeks, days, hours, minutes, seconds)`. A value out of range fails the row, or gives
/// NULL.
fn make(arguments: &mut Arguments, fails: bool) -> ArrayRef {
    let columns = arguments.columns;
    let errors = &mut *arguments.errors;
    let value = |row: usize| {
        let mut parts = [0; 6];
        for (index, part) in parts.iter_mut().enumerate() {
            *part = given(columns, index, row)?;
        }
        let [years, months, weeks, days, hours, minutes] = parts;
        let micros = micros_of(columns.get(6), row)?;
        let made = i32::try_from(12 * years + months).ok().zip(i32::try_from(7 * weeks + days).ok());
        let made = made.zip(time_of(hours, minutes, micros));
        if made.is_none() && fails {
            errors.record(row, "ARITHMETIC_OVERFLOW", || INTERVAL_OVERFLOW.1.into());
        }
        made.map(|((months, days), micros)| IntervalMonthDayNano::new(months, days, micros))
    };
    Arc::new(build::numbers::<IntervalMonthDayNanoType>(arguments.rows, value))
}

fn of_each(arguments: &mut Arguments, operation: fn(i64) -> Option<i64>) -> ArrayRef {
    let column = &arguments.columns[0];
    let values = counts(&column.array);
    interval(arguments, |row, _| (!column.is_null(row)).then(|| operation(values.value(column.at(row)))))
}

/// So many months or microseconds as an interval; of an array of such numbers, an array.
fn of_count(arguments: &mut Arguments) -> ArrayRef {
    let column = arguments.columns[0].clone();
    if let DataType::List(field) = arguments.data_type {
        let lists = column.into_rows(arguments.rows);
        let lists = lists.as_list::<i32>();
        let values = with_type(lists.values().as_primitive::<Int64Type>().clone(), field.data_type());
        return Arc::new(ListArray::new(field.clone(), lists.offsets().clone(), values, lists.nulls().cloned()));
    }
    let counts = column.numbers::<Int64Type>();
    interval(arguments, |row, _| counts.get(row).map(Some))
}

fn sign(arguments: &mut Arguments) -> ArrayRef {
    let column = &arguments.columns[0];
    let values = counts(&column.array);
    let sign = |row: usize| (!column.is_null(row)).then(|| values.value(column.at(row)).signum() as f64);
    Arc::new((0..arguments.rows).map(sign).collect::<Float64Array>())
}

/// Multiplies or divides by a number; rounds half up.
fn scaled(arguments: &mut Arguments, multiply: bool) -> ArrayRef {
    let [interval_column, number] = arguments.columns else {
        panic!("two arguments");
    };
    let values = counts(&interval_column.array);
    let numbers = match number.array.data_type() {
        DataType::Decimal128(..) => number.clone(),
        t if types::is_floating(t) => {
            Column { array: Arc::new(crate::eval::cast::doubles(&number.array)), constant: number.constant }
        }
        _ => Column { array: crate::eval::cast::to_long(&number.array, arguments.errors), constant: number.constant },
    };
    interval(arguments, |row, errors| {
        if interval_column.is_null(row) || numbers.is_null(row) {
            return None;
        }
        let (value, at) = (values.value(interval_column.at(row)), numbers.at(row));
        let is_zero = match numbers.array.data_type() {
            DataType::Decimal128(..) => numbers.array.as_primitive::<Decimal128Type>().value(at) == 0,
            DataType::Float64 => numbers.array.as_primitive::<Float64Type>().value(at) == 0.0,
            _ => numbers.array.as_primitive::<Int64Type>().value(at) == 0,
        };
        if is_zero && !multiply {
            let message = || "division of an INTERVAL by zero; use nullif(divisor, 0) to get NULL instead".to_string();
            errors.record(row, "INTERVAL_DIVIDED_BY_ZERO", message);
            return None;
        }
        Some(match numbers.array.data_type() {
            DataType::Decimal128(_, scale) => {
                let number = numbers.array.as_primitive::<Decimal128Type>().value(at);
                by_decimal(value, number, (*scale).into(), multiply)
            }
            DataType::Float64 => {
                let number = numbers.array.as_primitive::<Float64Type>().value(at);
                half_up(if multiply { value as f64 * number } else { value as f64 / number })
            }
            _ => {
                let number = numbers.array.as_primitive::<Int64Type>().value(at);
                if multiply { value.checked_mul(number) } else { by_decimal(value, number.into(), 0, false) }
            }
        })
    })
}

fn by_decimal(value: i64, number: i128, scale: i32, multiply: bool) -> Option<i64> {
    let (value, number) = (i256::from_i128(value.into()), i256::from_i128(number));
    let exact = match multiply {
        true => divide_half_up(value.wrapping_mul(number), pow10(scale)),
        false => divide_half_up(value.wrapping_mul(pow10(scale)), number),
    };
    exact.to_i128().and_then(|exact| i64::try_from(exact).ok())
}

/// Rounded half away from zero; `None` beyond 64 bits.
fn half_up(x: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let rounded = x.round();
    (-LIMIT..LIMIT).contains(&rounded).then_some(rounded as i64)
}

/// Year, month, day, hour, minute or second of an interval, with its sign.
fn part(arguments: &mut Arguments) -> ArrayRef {
    let column = &arguments.columns[0];
    let values = counts(&column.array);
    let part = arguments.columns[1].numbers::<Int32Type>().value(0);
    let rest = |value: i64, of: i64| value - value / of * of;
    let value = |row: usize| {
        let value = (!column.is_null(row)).then(|| values.value(column.at(row)))?;
        Some(match part {
            0 => value / 12,
            1 => rest(value, 12),
            2 => value / MICROS_PER_DAY,
            3 => rest(value, MICROS_PER_DAY) / MICROS_PER_HOUR,
            4 => rest(value, MICROS_PER_HOUR) / MICROS_PER_MINUTE,
            _ => rest(value, MICROS_PER_MINUTE),
        })
    };
    let parts = (0..arguments.rows).map(value);
    if let DataType::Decimal128(..) = arguments.data_type {
        let parts: Decimal128Array = parts.map(|part| part.map(i128::from)).collect();
        return Arc::new(parts.with_data_type(arguments.data_type.clone()));
    }
    let parts: ArrayRef = Arc::new(parts.collect::<Int64Array>());
    cast(&parts, arguments.data_type, CastMode::Ansi, arguments.times, arguments.errors)
}

fn days_between(arguments: &mut Arguments) -> ArrayRef {
    let [left, right] = [0, 1].map(|at| arguments.columns[at].numbers::<Date32Type>());
    interval(arguments, |row, _| {
        let days = i64::from(left.get(row)?) - i64::from(right.get(row)?);
        Some(days.checked_mul(MICROS_PER_DAY))
    })
}

fn time_between(arguments: &mut Arguments) -> ArrayRef {
    let (left, right) = (arguments.shown(0), arguments.shown(1));
    let [left, right] = [&left, &right].map(|column| column.numbers::<TimestampMicrosecondType>());
    interval(arguments, |row, _| Some(left.get(row)?.checked_sub(right.get(row)?)))
}

/// Adds months first, to the same day of the month or its last day; then microseconds.
fn add_interval(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (months, micros) = (columns[1].numbers::<Int64Type>(), columns[2].numbers::<Int64Type>());
    moved(arguments, |row| Some((months.get(row)?, 0, micros.get(row)?)), MICROS_PER_DAY)
}

/// Moves a time by months, days and microseconds. For a DATE, `day_micros` microseconds are a day.
pub(super) fn moved(
    arguments: &mut Arguments,
    by: impl Fn(usize) -> Option<(i64, i64, i64)>,
    day_micros: i64,
) -> ArrayRef {
    let columns = arguments.columns;
    if columns[0].array.data_type() == &DataType::Date32 {
        let dates = columns[0].numbers::<Date32Type>();
        let value = |row: usize| {
            let date = i64::from(dates.get(row)?);
            let (months, days, micros) = by(row)?;
            let moved = add_months(date, months).and_then(|date| i32::try_from(date).ok());
            moved.is_none().then(|| overflow(arguments.errors, row));
            // After the last day follows the first, as in Spark.
            Some(moved?.wrapping_add(days.wrapping_add(micros.div_euclid(day_micros)) as i32))
        };
        return Arc::new(build::numbers::<Date32Type>(arguments.rows, value));
    }
    let times = columns[0].numbers::<TimestampMicrosecondType>();
    let clock = &arguments.times.clock;
    let has_zone = columns[0].array.data_type() == &types::timestamp();
    let value = |row: usize| {
        let time = times.get(row)?;
        let moved = later(time, by(row)?, Some(clock).filter(|_| has_zone));
        moved.is_none().then(|| overflow(arguments.errors, row));
        moved
    };
    let array = build::numbers::<TimestampMicrosecondType>(arguments.rows, value);
    Arc::new(array.with_data_type(columns[0].array.data_type().clone()))
}

/// `time ± make_interval(…)`. A DATE takes no hours.
fn add_calendar(arguments: &mut Arguments) -> ArrayRef {
    let [time, interval, back] = arguments.columns else {
        panic!("three arguments");
    };
    let sign = if back.array.as_boolean().value(0) { -1 } else { 1 };
    let values = interval.numbers::<IntervalMonthDayNanoType>();
    let is_date = time.array.data_type() == &DataType::Date32;
    let mut errors = std::mem::take(arguments.errors);
    if is_date {
        for row in 0..arguments.rows {
            if !time.is_null(row) && values.get(row).is_some_and(|value| value.nanoseconds != 0) {
                let message = || "hours and less cannot be added to a DATE; CAST it to TIMESTAMP".to_string();
                errors.record(row, "INVALID_INTERVAL_WITH_MICROSECONDS_ADDITION", message);
            }
        }
    }
    *arguments.errors = errors;
    let by = |row: usize| {
        let value = values.get(row)?;
        let micros = if is_date { 0 } else { value.nanoseconds };
        Some((sign * i64::from(value.months), sign * i64::from(value.days), micros.checked_mul(sign)?))
    };
    moved(arguments, by, MICROS_PER_DAY)
}

/// Moves a time by months, days and microseconds. With a clock it is an instant.
pub(super) fn later(time: i64, (months, days, micros): (i64, i64, i64), clock: Option<&WallClock>) -> Option<i64> {
    match clock {
        Some(clock) if !clock.zone().is_utc() => moved_on(clock, time, months, days, micros),
        _ => {
            let days = days.checked_mul(MICROS_PER_DAY)?;
            months_later(time, months)?.checked_add(days)?.checked_add(micros)
        }
    }
}

/// Moves an instant by months, then days, on a clock, then by the rest of the microseconds.
fn moved_on(clock: &WallClock, time: i64, months: i64, days: i64, micros: i64) -> Option<i64> {
    let whole = micros / MICROS_PER_DAY;
    let (days, rest) = (days + whole, micros - whole * MICROS_PER_DAY);
    let mut time = time;
    for move_shown in [&|shown| months_later(shown, months), &|shown: i64| shown.checked_add(days * MICROS_PER_DAY)]
        as [&dyn Fn(i64) -> Option<i64>; 2]
    {
        let shown = clock.shows(time);
        time = clock.instant_of_preferring(move_shown(shown)?, (shown - time) / MICROS_PER_SECOND);
    }
    time.checked_add(rest)
}

/// The same time of day on the same day of another month, or on its last day.
fn months_later(micros: i64, months: i64) -> Option<i64> {
    let (day, of_day) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    // The first representable day begins before the first representable time.
    i64::try_from(i128::from(add_months(day, months)?) * i128::from(MICROS_PER_DAY) + i128::from(of_day)).ok()
}
