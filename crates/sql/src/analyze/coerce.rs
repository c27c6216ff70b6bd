//! Implicit conversions by Spark's ANSI rules. Each one becomes an explicit cast.
//!
//! Where Spark converts a STRING implicitly and may fail at run time, a constant is converted here and anything else is
//! refused: an intended difference.

use super::failing;
use crate::eval::{RowErrors, cast};
use crate::expr::{Arithmetic, CastMode, Comparison, Expr};
use crate::functions::{self, Function};
use crate::syntax::Fault;
use crate::text::times::Defaults;
use crate::types::{self, adjusted_decimal, is_numeric};
use crate::value::Value;
use crate::zone::{WallClock, Zone};
use arrow_schema::{DataType, FieldRef};
use std::ops::Range;
use std::sync::Arc;

/// An expression and its position in the text.
pub(super) type SpannedExpr = (Expr, Range<usize>);

/// The expression cast to a type, unless it has it.
pub(super) fn cast_to(expr: Expr, to: &DataType) -> Expr {
    match expr {
        expr if expr.data_type() == *to => expr,
        Expr::Literal(Value::Null, _) => Expr::Literal(Value::Null, to.clone()),
        expr => Expr::Cast(Box::new(without_float(expr, to)), CastMode::Ansi, to.clone()),
    }
}

/// What is cast to DOUBLE: of an integral number that was cast to FLOAT the number itself, with all its digits, as Spark's
/// optimizer has it. Constants are computed before.
pub(super) fn without_float(expr: Expr, to: &DataType) -> Expr {
    match expr {
        Expr::Cast(x, _, DataType::Float32)
            if *to == DataType::Float64 && types::is_integral(&x.data_type()) && !failing::is_constant(&x) =>
        {
            *x
        }
        other => other,
    }
}

/// How two types become one: [`types::wider`], [`types::compared`] or [`types::common`].
pub(super) type CommonType = fn(&DataType, &DataType) -> Option<DataType>;

/// Converts values to their common type. `what` begins the message if there is none.
pub(super) fn unify(values: Vec<SpannedExpr>, zone: Zone, what: &str) -> Result<(Vec<Expr>, DataType), Fault> {
    unify_by(types::wider, values, zone, what)
}

/// A comparison of two values of one type that has an order.
pub(super) fn comparison(
    operator: Comparison,
    symbol: &str,
    sides: [SpannedExpr; 2],
    zone: Zone,
) -> Result<Expr, Fault> {
    let at = sides[0].1.clone();
    let sides = with_names_of_the_first(sides.into());
    let (sides, data_type) = unify_by(types::compared, sides, zone, &format!("`{symbol}` cannot compare"))?;
    if !types::is_orderable(&data_type) {
        let message = format!("`{symbol}` cannot compare values of type {}", types::name(&data_type));
        return Err(Fault::new(at, message, "a MAP has no order"));
    }
    let [left, right] = <[Expr; 2]>::try_from(sides).expect("two sides");
    Ok(Expr::Compare(operator, Box::new(left), Box::new(right)))
}

/// Whether an integral number is less or greater than a constant beyond the range of BIGINT. Spark decides that without the number,
/// which may be NULL; but not so in BETWEEN.
pub(super) fn beyond_bigint(operator: Comparison, sides: &[SpannedExpr; 2]) -> Option<bool> {
    let [(l, _), (r, _)] = sides;
    let is_integral = |x: &Expr| types::is_integral(&x.data_type());
    let (constant, swapped) = if is_integral(l) { (r, false) } else { (l, is_integral(r)) };
    let Expr::Literal(Value::Decimal(unscaled), DataType::Decimal128(_, scale)) = constant else { return None };
    if !is_integral(if swapped { r } else { l }) {
        return None;
    }
    let unit = 10_i128.pow(u32::try_from(*scale).ok()?);
    let (whole, rest) = (unscaled.div_euclid(unit), unscaled.rem_euclid(unit));
    let above = whole > i64::MAX.into() || whole == i64::MAX.into() && rest > 0;
    let below = whole < i64::MIN.into();
    let less = match operator {
        Comparison::Less | Comparison::LessOrEqual => true,
        Comparison::Greater | Comparison::GreaterOrEqual => false,
        _ => return None,
    };
    (above || below).then_some((less != swapped) == above)
}

/// STRUCTs that are compared: their fields by position, whatever their names.
pub(super) fn with_names_of_the_first(mut values: Vec<SpannedExpr>) -> Vec<SpannedExpr> {
    let first = values[0].0.data_type();
    for (value, _) in &mut values[1..] {
        let renamed = renamed(&value.data_type(), &first);
        *value = cast_to(std::mem::replace(value, Expr::Now), &renamed);
    }
    values
}

/// A type with the names of the fields of another.
fn renamed(data_type: &DataType, names: &DataType) -> DataType {
    match (data_type, names) {
        (DataType::Struct(fields), DataType::Struct(named)) if fields.len() == named.len() => {
            let field = |(field, named): (&FieldRef, &FieldRef)| {
                let data_type = renamed(field.data_type(), named.data_type());
                Arc::new(field.as_ref().clone().with_name(named.name()).with_data_type(data_type))
            };
            DataType::Struct(fields.iter().zip(named).map(field).collect())
        }
        _ => data_type.clone(),
    }
}

/// Converts values to their common type, where Spark makes no bytes of a text: `greatest`, `least`.
pub(super) fn unify_alike(values: Vec<SpannedExpr>, zone: Zone, what: &str) -> Result<(Vec<Expr>, DataType), Fault> {
    let is = |wanted: DataType| values.iter().find(|(expr, _)| expr.data_type() == wanted);
    if let (Some(_), Some((_, at))) = (is(DataType::Binary), is(DataType::Utf8)) {
        let message = format!("{what} BINARY and STRING");
        return Err(Fault::new(at.clone(), message, way_to_one_type(&DataType::Binary, &DataType::Utf8)));
    }
    unify_by(types::common, values, zone, what)
}

fn unify_by(
    common: CommonType,
    values: Vec<SpannedExpr>,
    zone: Zone,
    what: &str,
) -> Result<(Vec<Expr>, DataType), Fault> {
    let is_free_text = |(expr, _): &SpannedExpr| matches!(expr, Expr::Literal(Value::String(_), _));
    let mut others = values.iter().filter(|value| !is_free_text(value)).map(|(expr, at)| (expr.data_type(), at));
    let (first, _) = others.next().unwrap_or((DataType::Utf8, &(0..0)));
    let mut shared = first;
    for (next, at) in others {
        shared = match common(&shared, &next) {
            Some(wider) => wider,
            None => {
                let message = format!("{what} {} and {}", types::name(&shared), types::name(&next));
                return Err(Fault::new(at.clone(), message, way_to_one_type(&shared, &next)));
            }
        };
    }
    if shared.is_null() {
        shared = if values.iter().any(is_free_text) { DataType::Utf8 } else { DataType::Null };
    }
    let texts_as = match &shared {
        t if types::is_integral(t) => DataType::Int64,
        t if is_numeric(t) => DataType::Float64,
        t => t.clone(),
    };
    if texts_as != shared && values.iter().any(is_free_text) {
        shared = types::common(&shared, &texts_as).expect("both are numbers");
    }
    let convert = |(expr, at): SpannedExpr| match expr {
        Expr::Literal(Value::String(text), _) if shared != DataType::Utf8 => {
            Ok(cast_to(constant(&text, &texts_as, zone, at)?, &shared))
        }
        expr => Ok(cast_to(expr, &shared)),
    };
    Ok((values.into_iter().map(convert).collect::<Result<_, _>>()?, shared))
}

/// Help: how to make a time from a value that is not one.
pub(super) fn way_to_a_time(given: &DataType) -> &'static str {
    match given {
        t if types::is_integral(t) => {
            "convert it: timestamp_millis(…) of milliseconds, timestamp_seconds(…) of seconds"
        }
        _ => "convert it: CAST(… AS TIMESTAMP)",
    }
}

/// Help for two types without a common type.
pub(super) fn way_to_one_type(a: &DataType, b: &DataType) -> &'static str {
    match types::is_nested(a) || types::is_nested(b) {
        true => "CAST one of them to the type of the other",
        false => "make them one type with CAST",
    }
}

/// A constant text converted to another type. A time without zone is in `zone`.
pub(super) fn constant(text: &str, to: &DataType, zone: Zone, at: Range<usize>) -> Result<Expr, Fault> {
    let not = |help: &str| Fault::new(at.clone(), format!("'{text}' is no {}", types::name(to)), help);
    if types::is_nested(to) {
        return Err(not("give a value of that type"));
    }
    let mut errors = RowErrors::default();
    let input = Value::String(text.into()).to_array(&DataType::Utf8);
    let times = Defaults { clock: WallClock::new(zone), now: None };
    let array = cast::cast(&input, to, CastMode::Ansi, &times, &mut errors);
    if !errors.is_empty() {
        return Err(not("correct the constant"));
    }
    let value = Value::from_array(&array).expect("it is of no nested type");
    Ok(Expr::Literal(value, to.clone()))
}

/// `l operator r` on numbers: converts the operands as Spark does and types the result.
pub(super) fn arithmetic(operator: Arithmetic, symbol: &str, l: SpannedExpr, r: SpannedExpr) -> Result<Expr, Fault> {
    let at = l.1.start..r.1.end;
    // A constant text takes the other side's type: BIGINT beside an integral number, else DOUBLE.
    let beside = |other: &SpannedExpr| {
        if types::is_integral(&other.0.data_type()) { DataType::Int64 } else { DataType::Float64 }
    };
    let (beside_l, beside_r) = (beside(&r), beside(&l));
    let (l, r) = (number_operand(l, symbol, &beside_l)?, number_operand(r, symbol, &beside_r)?);
    if let (Expr::Literal(Value::Null, DataType::Null), Expr::Literal(Value::Null, DataType::Null)) = (&l, &r) {
        return Ok(Expr::Literal(
            Value::Null,
            if operator == Arithmetic::IntegerDivide { DataType::Int64 } else { DataType::Float64 },
        ));
    }
    let (l, r) = match (l.data_type(), r.data_type()) {
        (DataType::Null, other) => (cast_to(l, &other), r),
        (other, DataType::Null) => (l, cast_to(r, &other)),
        _ => (l, r),
    };
    let (left, right) = (l.data_type(), r.data_type());
    if operator == Arithmetic::IntegerDivide && (types::is_floating(&left) || types::is_floating(&right)) {
        let message =
            format!("`DIV` takes integral numbers or decimals, not {} and {}", types::name(&left), types::name(&right));
        return Err(Fault::new(at, message, "use `/`, or CAST both to BIGINT"));
    }
    let is_decimal = |t: &DataType| matches!(t, DataType::Decimal128(..));
    if (is_decimal(&left) || is_decimal(&right)) && !types::is_floating(&left) && !types::is_floating(&right) {
        return Ok(decimal_arithmetic(operator, as_decimal(l), as_decimal(r)));
    }
    let shared = match operator {
        Arithmetic::Divide => DataType::Float64,
        Arithmetic::IntegerDivide => DataType::Int64,
        _ => types::common(&left, &right).expect("two numbers have a type in common"),
    };
    let (l, r) = (cast_to(l, &shared), cast_to(r, &shared));
    Ok(Expr::Arithmetic(operator, Box::new(l), Box::new(r), shared))
}

/// The operand of a lone sign.
pub(super) fn arithmetic_sign(operand: SpannedExpr, symbol: &str) -> Result<Expr, Fault> {
    number_operand(operand, symbol, &DataType::Float64).map(|operand| match operand {
        Expr::Literal(Value::Null, _) => Expr::Literal(Value::Null, DataType::Float64),
        operand => operand,
    })
}

/// A number, NULL, or a constant text as a number of type `text_as`.
fn number_operand((expr, at): SpannedExpr, symbol: &str, text_as: &DataType) -> Result<Expr, Fault> {
    match expr {
        expr if is_numeric(&expr.data_type()) => Ok(expr),
        expr if expr.data_type().is_null() => Ok(expr),
        Expr::Literal(Value::String(text), _) => constant(&text, text_as, Zone::UTC, at),
        expr => {
            let message = format!("`{symbol}` takes numbers, not {}", types::name(&expr.data_type()));
            Err(Fault::new(at, message, "convert it with CAST(… AS DOUBLE) or another number type"))
        }
    }
}

/// An integral number as a decimal: a constant with the fewest digits, other values with enough digits for their type. A constant
/// TINYINT is one of those, for Spark's `fromLiteral` does not know it.
fn as_decimal(expr: Expr) -> Expr {
    let data_type = match &expr {
        Expr::Literal(Value::Integer(number), t) if types::is_integral(t) && *t != DataType::Int8 => {
            DataType::Decimal128(number.unsigned_abs().to_string().len() as u8, 0)
        }
        other => {
            let (precision, scale) = types::decimal_of(&other.data_type()).expect("integral or decimal");
            DataType::Decimal128(precision, scale)
        }
    };
    cast_to(expr, &data_type)
}

/// Spark's result types (`DecimalPrecision`, with precision loss allowed).
fn decimal_arithmetic(operator: Arithmetic, l: Expr, r: Expr) -> Expr {
    let parts = |expr: &Expr| {
        let (precision, scale) = types::decimal_of(&expr.data_type()).expect("a decimal");
        (i32::from(precision), i32::from(scale))
    };
    let ((p1, s1), (p2, s2)) = (parts(&l), parts(&r));
    let wider = s1.max(s2);
    let data_type = match operator {
        Arithmetic::Add | Arithmetic::Subtract => adjusted_decimal((p1 - s1).max(p2 - s2) + wider + 1, wider),
        Arithmetic::Multiply => adjusted_decimal(p1 + p2 + 1, s1 + s2),
        Arithmetic::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            adjusted_decimal(p1 - s1 + s2 + scale, scale)
        }
        Arithmetic::Remainder => adjusted_decimal((p1 - s1).min(p2 - s2) + wider, wider),
        Arithmetic::IntegerDivide => DataType::Int64,
    };
    Expr::Arithmetic(operator, Box::new(l), Box::new(r), data_type)
}

/// `ceil(x, places)` and `floor` are of DECIMALs: Spark makes one of any number.
pub(super) fn of_places(
    function: &'static Function,
    mut arguments: Vec<SpannedExpr>,
) -> (&'static Function, Vec<SpannedExpr>) {
    if !["ceil", "floor"].contains(&function.name) || arguments.len() != 2 {
        return (function, arguments);
    }
    let (x, _) = &mut arguments[0];
    let decimal = match x.data_type() {
        DataType::Int8 => DataType::Decimal128(3, 0),
        DataType::Int16 => DataType::Decimal128(5, 0),
        DataType::Int32 => DataType::Decimal128(10, 0),
        DataType::Int64 => DataType::Decimal128(20, 0),
        DataType::Float32 => DataType::Decimal128(14, 7),
        DataType::Float64 => DataType::Decimal128(30, 15),
        DataType::Null => DataType::Decimal128(38, 18),
        other => other,
    };
    *x = cast_to(x.clone(), &decimal);
    let of_places = functions::find(&format!("{} of places", function.name));
    (of_places.expect("a row of the table"), arguments)
}
