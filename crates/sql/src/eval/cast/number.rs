//! Casts between numbers and booleans.

use super::{Failures, map, with_number_type};
use crate::eval::arithmetic::{decimal_in, rescale};
use crate::text::java_double::{java_double, java_float, short_decimal};
use crate::zone::WallClock;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray};
use arrow_buffer::{BooleanBuffer, i256};
use arrow_schema::DataType;
use std::sync::Arc;

pub(super) fn cast(input: &ArrayRef, to: &DataType, failures: &mut Failures) -> ArrayRef {
    match to {
        DataType::Boolean => to_boolean(input),
        DataType::Float32 => match input.data_type() {
            DataType::Float64 => Arc::new(input.as_primitive::<Float64Type>().unary::<_, Float32Type>(|x| x as f32)),
            DataType::Decimal128(_, scale) => {
                let scale = *scale;
                let parse = move |x: i128| decimal_text(x, scale).parse().expect("a decimal is a float");
                Arc::new(input.as_primitive::<Decimal128Type>().unary::<_, Float32Type>(parse))
            }
            _ => Arc::new(integers(input).unary::<_, Float32Type>(|x| x as f32)),
        },
        DataType::Float64 => Arc::new(doubles(input)),
        DataType::Decimal128(..) => to_decimal(input, to, failures),
        to => with_number_type!(to, to_integral(input, failures)),
    }
}

fn to_boolean(input: &ArrayRef) -> ArrayRef {
    let holds = match input.data_type() {
        DataType::Float32 => {
            let input = input.as_primitive::<Float32Type>();
            BooleanBuffer::collect_bool(input.len(), |row| input.value(row) != 0.0)
        }
        DataType::Float64 => {
            let input = input.as_primitive::<Float64Type>();
            BooleanBuffer::collect_bool(input.len(), |row| input.value(row) != 0.0)
        }
        DataType::Decimal128(..) => {
            let input = input.as_primitive::<Decimal128Type>();
            BooleanBuffer::collect_bool(input.len(), |row| input.value(row) != 0)
        }
        _ => {
            let input = integers(input);
            BooleanBuffer::collect_bool(input.len(), |row| input.value(row) != 0)
        }
    };
    Arc::new(BooleanArray::new(holds, input.nulls().cloned()))
}

/// A BOOLEAN or integral array as BIGINT.
pub(super) fn integers(input: &ArrayRef) -> arrow_array::Int64Array {
    fn widen<T: ArrowPrimitiveType<Native: Into<i64>>>(input: &ArrayRef) -> arrow_array::Int64Array {
        input.as_primitive::<T>().unary(Into::into)
    }
    match input.data_type() {
        DataType::Boolean => input.as_boolean().iter().map(|value| value.map(i64::from)).collect(),
        other => with_number_type!(other, widen(input)),
    }
}

/// A BOOLEAN or number array as DOUBLE.
pub(crate) fn doubles(input: &ArrayRef) -> arrow_array::Float64Array {
    match input.data_type() {
        DataType::Float64 => input.as_primitive::<Float64Type>().clone(),
        DataType::Float32 => input.as_primitive::<Float32Type>().unary(f64::from),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            input.as_primitive::<Decimal128Type>().unary(move |x| decimal_to_double(x, scale))
        }
        _ => integers(input).unary(|x| x as f64),
    }
}

/// The nearest double, as `BigDecimal.doubleValue`.
pub(crate) fn decimal_to_double(unscaled: i128, scale: i8) -> f64 {
    decimal_text(unscaled, scale).parse().expect("a decimal is a double")
}

fn decimal_text(unscaled: i128, scale: i8) -> String {
    format!("{unscaled}e-{scale}")
}

fn to_integral<T>(input: &ArrayRef, failures: &mut Failures) -> ArrayRef
where
    T: ArrowPrimitiveType<Native: TryFrom<i64> + TryFrom<i128>>,
{
    let least_and_greatest = |bits: usize| {
        let limit = 2f64.powi(bits as i32 - 1);
        (-limit, limit)
    };
    let (least, limit) = least_and_greatest(8 * size_of::<T::Native>());
    // Java compares the floor with the greatest value widened to double. For BIGINT that is 2^63, which saturates.
    let greatest = if limit < 9e18 { limit - 1.0 } else { limit };
    let fits = |x: f64| x.floor() <= greatest && x.ceil() >= least;
    match input.data_type() {
        DataType::Float32 => Arc::new(map::<Float32Type, T>(input.as_primitive(), |row, x| {
            if !fits(f64::from(x)) {
                failures.overflow(row, java_float(x));
                return None;
            }
            T::Native::try_from(x as i64).ok()
        })),
        DataType::Float64 => Arc::new(map::<Float64Type, T>(input.as_primitive(), |row, x| {
            if !fits(x) {
                failures.overflow(row, java_double(x));
                return None;
            }
            T::Native::try_from(x as i64).ok()
        })),
        DataType::Decimal128(_, scale) => {
            let divisor = 10_i128.pow(*scale as u32);
            Arc::new(map::<Decimal128Type, T>(input.as_primitive(), |row, x| {
                let whole = T::Native::try_from(x / divisor).ok();
                if whole.is_none() {
                    failures.overflow(row, x / divisor);
                }
                whole
            }))
        }
        _ => Arc::new(map::<Int64Type, T>(&integers(input), |row, x| {
            let narrow = T::Native::try_from(x).ok();
            if narrow.is_none() {
                failures.overflow(row, x);
            }
            narrow
        })),
    }
}

fn to_decimal(input: &ArrayRef, to: &DataType, failures: &mut Failures) -> ArrayRef {
    let DataType::Decimal128(precision, scale) = *to else {
        panic!("{to} is no decimal");
    };
    let mut fit = |row: usize, fitted: Option<i128>, shown: &dyn Fn() -> String| {
        if fitted.is_none() {
            failures.out_of_range(row, shown());
        }
        fitted
    };
    let exact = |value: i256, from: i8| decimal_in(rescale(value, i32::from(from), i32::from(scale)), precision);
    let array = match input.data_type() {
        DataType::Float32 | DataType::Float64 => {
            // Uses the digits that Java prints of the DOUBLE. A FLOAT is widened first, so 0.1 is 0.10000000149011612.
            map::<Float64Type, Decimal128Type>(&doubles(input), |row, x| {
                if !x.is_finite() {
                    return None;
                }
                if let Some((unscaled, digits)) = short_decimal(x) {
                    return fit(row, exact(i256::from_i128(unscaled.into()), digits as i8), &|| java_double(x));
                }
                let text = java_double(x);
                let parsed = match parse_decimal(&text, precision, scale) {
                    Parsed::Fits(value) => Some(value),
                    Parsed::TooLarge | Parsed::Invalid => None,
                };
                fit(row, parsed, &|| text.clone())
            })
        }
        DataType::Decimal128(_, from) => map::<Decimal128Type, Decimal128Type>(input.as_primitive(), |row, x| {
            let text = || crate::text::show::value(input, row, &WallClock::utc());
            fit(row, exact(i256::from_i128(x), *from), &text)
        }),
        _ => map::<Int64Type, Decimal128Type>(&integers(input), |row, x| {
            fit(row, exact(i256::from_i128(x.into()), 0), &|| x.to_string())
        }),
    };
    Arc::new(array.with_data_type(to.clone()))
}

/// The result of reading a decimal.
pub(crate) enum Parsed {
    Fits(i128),
    TooLarge,
    Invalid,
}

/// `[+-]digits[.digits][e[+-]digits]` as an unscaled value, HALF_UP.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: i8) -> Parsed {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        // Java's exponents and scales have 32 bits, so the sums below stay far from the limits of 64.
        Some(at) => match digits[at + 1..].parse::<i32>() {
            Ok(exponent) => (&digits[..at], i64::from(exponent)),
            Err(_) => return Parsed::Invalid,
        },
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return Parsed::Invalid;
    }
    // The value is `all`·10^-point. Digits left of the wanted scale are kept.
    let point = fraction.len() as i64 - exponent;
    let kept = all.len() as i64 - point + i64::from(scale);
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Parsed::Fits(0);
    }
    let zeros = (all.len() - significant.len()) as i64;
    if kept - zeros > i64::from(precision) + 1 {
        return Parsed::TooLarge;
    }
    if kept < 0 {
        return Parsed::Fits(0);
    }
    let kept = kept as usize;
    let head: String = all.chars().chain(std::iter::repeat('0')).take(kept).collect();
    let rounds_up = all.as_bytes().get(kept).is_some_and(|digit| *digit >= b'5');
    let Ok(value) = format!("0{head}")
        .trim_start_matches('0')
        .parse::<i128>()
        .or_else(|error| if head.bytes().all(|digit| digit == b'0') { Ok(0) } else { Err(error) })
    else {
        return Parsed::TooLarge;
    };
    let value = value + i128::from(rounds_up);
    match decimal_in(i256::from_i128(value), precision) {
        Some(value) => Parsed::Fits(if negative { -value } else { value }),
        None => Parsed::TooLarge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_rounded_half_up() {
        for (text, precision, scale, expected) in [
            ("1.5", 2, 1, Some(15)),
            ("-1.25", 3, 1, Some(-13)),
            ("+.5", 1, 0, Some(1)),
            ("0.04", 3, 1, Some(0)),
            ("0.05", 3, 1, Some(1)),
            ("1e2", 5, 1, Some(1000)),
            ("1e-3", 5, 2, Some(0)),
            ("5e-3", 5, 2, Some(1)),
            ("000123", 3, 0, Some(123)),
            ("99.95", 3, 1, None),
            ("123456789012345678901234567890123456789", 38, 0, None),
            ("0e999999", 3, 0, Some(0)),
        ] {
            let found = match parse_decimal(text, precision, scale) {
                Parsed::Fits(value) => Some(value),
                Parsed::TooLarge => None,
                Parsed::Invalid => panic!("{text} is valid"),
            };
            assert_eq!(found, expected, "{text}");
        }
        for text in ["", "-", ".", "1e", "1x", "1.2.3", "e5"] {
            assert!(matches!(parse_decimal(text, 10, 2), Parsed::Invalid), "{text}");
        }
    }
}
