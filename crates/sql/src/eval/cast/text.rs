//! Casts from STRING.

use super::number::{Parsed, parse_decimal};
use super::{Failures, with_number_type};
use crate::text::times::{self, Defaults, trimmed};
use arrow_array::types::{Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, PrimitiveArray,
    StringArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use std::str::FromStr;
use std::sync::Arc;

pub(super) fn cast(input: &StringArray, to: &DataType, defaults: &Defaults, failures: &mut Failures) -> ArrayRef {
    match to {
        DataType::Boolean => Arc::new(BooleanArray::from(read(input, failures, parse_boolean))),
        DataType::Binary => Arc::new(input.iter().map(|text| text.map(str::as_bytes)).collect::<BinaryArray>()),
        DataType::Float32 => Arc::new(Float32Array::from(read(input, failures, parse_float::<f32>))),
        DataType::Float64 => Arc::new(Float64Array::from(read(input, failures, parse_float::<f64>))),
        DataType::Decimal128(precision, scale) => {
            Arc::new(decimals(input, *precision, *scale, failures).with_data_type(to.clone()))
        }
        DataType::Date32 => Arc::new(Date32Array::from(read(input, failures, times::date))),
        DataType::Timestamp(_, Some(_)) => {
            let values = read(input, failures, |text| times::timestamp(text, defaults));
            Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
        }
        DataType::Timestamp(_, None) => {
            Arc::new(TimestampMicrosecondArray::from(read(input, failures, |text| times::timestamp_ntz(text, true))))
        }
        to => with_number_type!(to, integers(input, failures)),
    }
}

fn read<T>(input: &StringArray, failures: &mut Failures, parse: impl Fn(&str) -> Option<T>) -> Vec<Option<T>> {
    let read = |(row, text): (usize, Option<&str>)| {
        let text = text?;
        let value = parse(text);
        if value.is_none() {
            failures.invalid(row, text);
        }
        value
    };
    input.iter().enumerate().map(read).collect()
}

fn integers<T: ArrowPrimitiveType<Native: FromStr>>(input: &StringArray, failures: &mut Failures) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter(read(input, failures, |text| trimmed(text).parse().ok())))
}

fn decimals(input: &StringArray, precision: u8, scale: i8, failures: &mut Failures) -> PrimitiveArray<Decimal128Type> {
    let read = |(row, text): (usize, Option<&str>)| match parse_decimal(trimmed(text?), precision, scale) {
        Parsed::Fits(value) => Some(value),
        Parsed::TooLarge => {
            failures.out_of_range(row, text?);
            None
        }
        Parsed::Invalid => {
            failures.invalid(row, text?);
            None
        }
    };
    input.iter().enumerate().map(read).collect()
}

fn parse_boolean(text: &str) -> Option<bool> {
    let text = trimmed(text).to_ascii_lowercase();
    match text.as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Reads a double as Java does (with an optional suffix `d` or `f`), and Spark's words for infinity and NaN.
fn parse_float<T: FromStr>(text: &str) -> Option<T> {
    let text = trimmed(text);
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "+inf" | "infinity" | "+infinity" => return "inf".parse().ok(),
        "-inf" | "-infinity" => return "-inf".parse().ok(),
        "nan" => return "NaN".parse().ok(),
        _ => {}
    }
    let digits = lower.strip_suffix(['d', 'f']).unwrap_or(&lower);
    if digits.bytes().all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte)) { digits.parse().ok() } else { None }
}
