//! Types constants as Spark does.

use super::coerce;
use super::resolve::sentence;
use crate::expr::Expr;
use crate::intervals;
use crate::syntax::{Fault, Literal};
use crate::types;
use crate::value::Value;
use crate::zone::Zone;
use arrow_schema::DataType;
use std::ops::Range;

/// A typed constant. A time without zone is in `zone`.
pub(super) fn constant(literal: &Literal, zone: Zone, at: &Range<usize>) -> Result<Expr, Fault> {
    match literal {
        Literal::Null => Ok(Expr::Literal(Value::Null, DataType::Null)),
        Literal::Boolean(value) => Ok(Expr::Literal(Value::Boolean(*value), DataType::Boolean)),
        Literal::Number(text) => number(text, at),
        Literal::String(text) => Ok(Expr::Literal(Value::String(text.clone()), DataType::Utf8)),
        Literal::Binary(bytes) => Ok(Expr::Literal(Value::Binary(bytes.clone()), DataType::Binary)),
        Literal::Date(text) => coerce::constant(text, &DataType::Date32, zone, at.clone()),
        Literal::Timestamp(text) => coerce::constant(text, &types::timestamp(), zone, at.clone()),
        Literal::TimestampNtz(text) => coerce::constant(text, &types::timestamp_ntz(), zone, at.clone()),
        // `make_timestamp(date, TIME '…')` reads it itself.
        Literal::Time(_) => {
            let help = "keep the time of day as text or as seconds: hour(t) * 3600 + minute(t) * 60 + second(t)";
            Err(Fault::new(at.clone(), "the type TIME is not supported", help))
        }
        Literal::Interval(_) | Literal::IntervalFields(..) => {
            let (value, data_type) = interval(literal).map_err(|message| sentence(at.clone(), &message))?;
            Ok(Expr::Literal(Value::Integer(value), data_type))
        }
    }
}

/// An interval's months or microseconds, and its type; the error is a sentence for the user.
pub(super) fn interval(literal: &Literal) -> Result<(i64, DataType), String> {
    match literal {
        Literal::Interval(text) => intervals::of_units(text),
        Literal::IntervalFields(text, first, last) => {
            let data_type = intervals::of_fields(first, last).filter(|_| !first.eq_ignore_ascii_case(last));
            let data_type = data_type.ok_or_else(|| {
                format!("there is no INTERVAL {first} TO {last}; write YEAR TO MONTH, DAY TO SECOND or fields between")
            })?;
            let value = intervals::of_text(text, &data_type);
            let value =
                value.ok_or_else(|| format!("'{text}' is no {}; correct the constant", types::name(&data_type)))?;
            Ok((value, data_type))
        }
        other => panic!("{other:?} is no interval"),
    }
}

/// A number with Spark's type: INT, BIGINT or DECIMAL by its size, DECIMAL with a point, DOUBLE with an exponent, or by
/// its suffix.
pub(super) fn number(text: &str, at: &Range<usize>) -> Result<Expr, Fault> {
    let upper = text.to_ascii_uppercase();
    let suffix = ["BD", "L", "S", "Y", "D", "F"].into_iter().find(|suffix| upper.ends_with(suffix)).unwrap_or("");
    let digits = &upper[..upper.len() - suffix.len()];
    let wrong = |what: &str| Fault::new(at.clone(), format!("{text} is no {what}"), "give a number in its range");
    let integer = |data_type: DataType, least: i64, greatest: i64| {
        let number = digits.parse::<i64>().ok().filter(|number| (least..=greatest).contains(number));
        let number = number.ok_or_else(|| wrong(&types::name(&data_type)))?;
        Ok(Expr::Literal(Value::Integer(number), data_type))
    };
    let floating = |data_type: DataType| {
        let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
        Ok(Expr::Literal(Value::Double(number.ok_or_else(|| wrong(&types::name(&data_type)))?), data_type))
    };
    match suffix {
        "L" => integer(DataType::Int64, i64::MIN, i64::MAX),
        "S" => integer(DataType::Int16, i16::MIN.into(), i16::MAX.into()),
        "Y" => integer(DataType::Int8, i8::MIN.into(), i8::MAX.into()),
        "D" => floating(DataType::Float64),
        "F" => floating(DataType::Float32),
        "BD" => decimal(digits).ok_or_else(|| wrong("DECIMAL")),
        _ if digits.contains('E') => floating(DataType::Float64),
        _ if digits.contains('.') => decimal(digits).ok_or_else(|| wrong("DECIMAL")),
        _ => match digits.parse::<i64>() {
            Ok(number) if i32::try_from(number).is_ok() => Ok(Expr::Literal(Value::Integer(number), DataType::Int32)),
            Ok(number) => Ok(Expr::Literal(Value::Integer(number), DataType::Int64)),
            Err(_) => decimal(digits).ok_or_else(|| wrong("number that fits")),
        },
    }
}

/// A decimal constant with the precision and scale of its digits.
fn decimal(digits: &str) -> Option<Expr> {
    let (mantissa, exponent) = digits.split_once('E').unwrap_or((digits, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = fraction.len() as i32 - exponent;
    let unscaled = if scale < 0 { unscaled.checked_mul(10_i128.checked_pow(scale.unsigned_abs())?)? } else { unscaled };
    let scale = scale.max(0);
    let precision = (unscaled.unsigned_abs().to_string().len() as i32).max(scale);
    (precision <= 38)
        .then_some(Expr::Literal(Value::Decimal(unscaled), DataType::Decimal128(precision as u8, scale as i8)))
}
