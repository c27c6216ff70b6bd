//! Casts of intervals from and to text and numbers, and between interval types.

use super::{Failures, map, number};
use crate::eval::arithmetic::{divide_half_up, pow10};
use crate::intervals::{self, Kind, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::types;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Decimal64Type, Decimal128Type, Int64Type};
use arrow_array::{Array, ArrayRef, Decimal32Array, Decimal64Array, Int64Array};
use arrow_buffer::i256;
use arrow_schema::DataType;
use std::sync::Arc;

/// Intervals of one kind; an interval and a number in units of its last field.
pub(super) fn allowed(from: &DataType, to: &DataType) -> bool {
    let is_counted = |kind: Kind, number: &DataType| {
        let is_decimal = matches!(number, DataType::Decimal128(..));
        kind != Kind::Calendar && (types::is_integral(number) || is_decimal)
    };
    match (intervals::kind(from), intervals::kind(to)) {
        (Some(_), Some(_)) => intervals::common(from, to).is_some(),
        (Some(kind), None) => is_counted(kind, to),
        (None, Some(kind)) => is_counted(kind, from),
        (None, None) => false,
    }
}

/// Months or microseconds of a field.
fn unit(kind: Kind) -> i64 {
    const UNITS: [i64; 4] = [MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND];
    match kind {
        Kind::YearMonth(_, last) => {
            if last == 0 {
                12
            } else {
                1
            }
        }
        Kind::DayTime(_, last) => UNITS[last],
        Kind::Calendar => 1,
    }
}

pub(super) fn cast(input: &ArrayRef, to: &DataType, failures: &mut Failures) -> ArrayRef {
    let Some(target) = intervals::kind(to) else {
        let kind = intervals::kind(input.data_type()).expect("one of the two is an interval");
        if let DataType::Decimal128(..) = to {
            return to_decimal(input, unit(kind), to, failures);
        }
        let counted: ArrayRef = Arc::new(counts(input).unary::<_, Int64Type>(|value| value / unit(kind)));
        return if *to == DataType::Int64 { counted } else { number::cast(&counted, to, failures) };
    };
    let values: Int64Array = match input.data_type() {
        DataType::Utf8 => {
            let read = |(row, text): (usize, Option<&str>)| {
                let value = intervals::of_text(text?, to);
                if value.is_none() {
                    failures.record(row, "INVALID_INTERVAL_FORMAT", |to| {
                        format!("'{}' is no {to}", text.unwrap_or_default())
                    });
                }
                value
            };
            input.as_string::<i32>().iter().enumerate().map(read).collect()
        }
        DataType::Decimal128(_, scale) => {
            let scale = i32::from(*scale);
            map::<Decimal128Type, Int64Type>(input.as_primitive(), |row, count| {
                let exact = i256::from_i128(count).wrapping_mul(i256::from_i128(unit(target).into()));
                let value = divide_half_up(exact, pow10(scale)).to_i128().and_then(|value| i64::try_from(value).ok());
                let value = value.filter(|value| fits(*value, target));
                if value.is_none() {
                    failures.overflow(row, count);
                }
                value
            })
        }
        from if types::is_integral(from) => map::<Int64Type, Int64Type>(&number::integers(input), |row, count| {
            let value = count.checked_mul(unit(target)).filter(|value| fits(*value, target));
            if value.is_none() {
                failures.overflow(row, count);
            }
            value
        }),
        _ => counts(input).unary(|value| value / unit(target) * unit(target)),
    };
    with_type(values, to)
}

/// An interval as a number with its fraction.
fn to_decimal(input: &ArrayRef, unit: i64, to: &DataType, failures: &mut Failures) -> ArrayRef {
    let scaled = counts(input).unary::<_, Decimal128Type>(|value| i128::from(value) * 1_000_000 / i128::from(unit));
    let scaled: ArrayRef = Arc::new(scaled.with_data_type(DataType::Decimal128(26, 6)));
    if scaled.data_type() == to { scaled } else { number::cast(&scaled, to, failures) }
}

fn fits(value: i64, kind: Kind) -> bool {
    matches!(kind, Kind::DayTime(..)) || i32::try_from(value).is_ok()
}

/// An interval's months or microseconds.
pub(crate) fn counts(input: &ArrayRef) -> Int64Array {
    match input.data_type() {
        DataType::Decimal32(..) => input.as_primitive::<Decimal32Type>().unary(i64::from),
        _ => input.as_primitive::<Decimal64Type>().unary(|value| value),
    }
}

/// Months or microseconds as an interval of this type, which holds them.
pub(crate) fn with_type(values: Int64Array, to: &DataType) -> ArrayRef {
    match to {
        DataType::Decimal32(..) => {
            let months: Decimal32Array = values.unary(|value| value as i32);
            Arc::new(months.with_data_type(to.clone()))
        }
        _ => {
            let micros: Decimal64Array = values.unary(|value| value);
            Arc::new(micros.with_data_type(to.clone()))
        }
    }
}
