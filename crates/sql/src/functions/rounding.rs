//! Rounding; arithmetic that gives NULL where plain arithmetic fails; the remainder that is never negative.

use super::numbers::overflow;
use super::{Arguments, Function, Param, build};
use crate::eval::Order;
use crate::eval::arithmetic::{REMAINDER_BY_ZERO, arithmetic, decimal_in, pow10, zip};
use crate::eval::{Column, RowErrors, cast};
use crate::expr::{Arithmetic, Expr};
use crate::text::java_double::{java_double, java_float, short_decimal};
use crate::types;
use crate::value::Value;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_buffer::i256;
use arrow_schema::DataType;
use std::sync::Arc;

const ROUND: Function =
    Function { params: &[Param::Number, Param::Int], gives: round_type, check: check_round, ..Function::BLANK };

const WHOLE: Function = Function { params: &[Param::Number, Param::Int], gives: whole_type, ..Function::BLANK };

/// Of DECIMALs alone: the planner makes DECIMALs of other numbers, as Spark does.
const WHOLE_PLACES: Function = Function { required: 2, ..ROUND };

/// The planner types these as it types the operator.
const TRY: Function =
    Function { params: &[Param::Any, Param::Any], required: 2, gives: |x| x[0].data_type(), ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "round",
        usage: "round(number[, places])",
        about: "Rounded to so many places, a half away from zero; a negative number of places rounds before the point.",
        example: "round(2.5, 0)",
        kernel: |a| round(a, Half::Up),
        ..ROUND
    },
    Function {
        name: "bround",
        usage: "bround(number[, places])",
        about: "Rounded to so many places, a half to the even digit.",
        example: "bround(2.5, 0)",
        kernel: |a| round(a, Half::Even),
        ..ROUND
    },
    Function {
        name: "ceil",
        aliases: &["ceiling"],
        usage: "ceil(number[, places])",
        about: "The least whole number that is not less; with places the least such DECIMAL.",
        example: "ceil(-0.1)",
        kernel: |a| whole(a, f64::ceil, 1),
        ..WHOLE
    },
    Function {
        name: "floor",
        usage: "floor(number[, places])",
        about: "The greatest whole number that is not greater; with places the greatest such DECIMAL.",
        example: "floor(-0.1)",
        kernel: |a| whole(a, f64::floor, -1),
        ..WHOLE
    },
    Function { name: "ceil of places", kernel: |a| round(a, Half::Ceiling), ..WHOLE_PLACES },
    Function { name: "floor of places", kernel: |a| round(a, Half::Floor), ..WHOLE_PLACES },
    Function {
        name: "try_add",
        usage: "try_add(left, right)",
        about: "`left + right`, or NULL if that overflows.",
        example: "try_add(2147483647, 1)",
        kernel: |a| attempt(a, Arithmetic::Add),
        ..TRY
    },
    Function {
        name: "try_subtract",
        usage: "try_subtract(left, right)",
        about: "`left - right`, or NULL if that overflows.",
        example: "try_subtract(2, 1)",
        kernel: |a| attempt(a, Arithmetic::Subtract),
        ..TRY
    },
    Function {
        name: "try_multiply",
        usage: "try_multiply(left, right)",
        about: "`left * right`, or NULL if that overflows.",
        example: "try_multiply(2, 3)",
        kernel: |a| attempt(a, Arithmetic::Multiply),
        ..TRY
    },
    Function {
        name: "try_divide",
        usage: "try_divide(left, right)",
        about: "`left / right`, or NULL if the right side is 0.",
        example: "try_divide(3, 0)",
        order: Order::Backward,
        kernel: |a| attempt(a, Arithmetic::Divide),
        ..TRY
    },
    Function {
        name: "try_mod",
        usage: "try_mod(left, right)",
        about: "`left % right`, or NULL if the right side is 0.",
        example: "try_mod(3, 0)",
        order: Order::Backward,
        kernel: |a| attempt(a, Arithmetic::Remainder),
        ..TRY
    },
    Function {
        name: "mod",
        usage: "mod(number, divisor)",
        about: "The rest of a division, with the sign of the number: the operator `%`.",
        example: "mod(-7, 3)",
        form: true,
        ..TRY
    },
    Function {
        name: "pmod",
        usage: "pmod(left, right)",
        about: "The remainder that is never negative if the right side is positive.",
        example: "pmod(-10, 3)",
        order: Order::Backward,
        kernel: pmod,
        ..TRY
    },
];

/// Which way a half goes, or whatever is left.
#[derive(Clone, Copy, PartialEq)]
enum Half {
    Up,
    Even,
    Ceiling,
    Floor,
}

/// The number of digits behind the point: the second argument, a constant.
fn places(arguments: &[Expr]) -> Option<i64> {
    match arguments.get(1) {
        None => Some(0),
        Some(Expr::Literal(Value::Integer(places), _)) => Some(*places),
        Some(Expr::Cast(inner, ..)) => match inner.as_ref() {
            Expr::Literal(Value::Integer(places), _) => Some(*places),
            _ => None,
        },
        Some(Expr::Arithmetic(..)) | Some(_) => None,
    }
}

fn check_round(arguments: &[Expr]) -> Result<(), String> {
    match places(arguments) {
        Some(_) => Ok(()),
        None => Err("the number of digits is not a constant; write a number".into()),
    }
}

/// Spark's `RoundBase.dataType`.
fn round_type(arguments: &[Expr]) -> DataType {
    match (arguments[0].data_type(), places(arguments)) {
        (DataType::Decimal128(p, s), Some(places)) => {
            let whole = i64::from(p) - i64::from(s) + 1;
            let (precision, scale) = if places < 0 {
                (whole.max(1 - places), 0)
            } else {
                (whole + places.min(i64::from(s)), places.min(i64::from(s)))
            };
            DataType::Decimal128(precision.min(38) as u8, scale as i8)
        }
        (other, _) => other,
    }
}

fn whole_type(arguments: &[Expr]) -> DataType {
    match arguments[0].data_type() {
        whole @ DataType::Decimal128(_, 0) => whole,
        DataType::Decimal128(p, s) => types::bounded_decimal(i32::from(p) - i32::from(s) + 1, 0),
        _ => DataType::Int64,
    }
}

fn round(arguments: &mut Arguments, half: Half) -> ArrayRef {
    let places = arguments.columns.get(1).map_or(Some(0), |places| places.numbers::<Int32Type>().get(0));
    let Some(places) = places else {
        return arrow_array::new_null_array(arguments.data_type, arguments.rows);
    };
    match arguments.columns[0].array.data_type().clone() {
        DataType::Int8 => round_integers::<Int8Type>(arguments, places, half),
        DataType::Int16 => round_integers::<Int16Type>(arguments, places, half),
        DataType::Int32 => round_integers::<Int32Type>(arguments, places, half),
        DataType::Int64 => round_integers::<Int64Type>(arguments, places, half),
        DataType::Float32 => {
            let input = arguments.columns[0].numbers::<Float32Type>();
            let round =
                |x: f32| if x.is_finite() { round_text(&java_float(x), places, half).parse().unwrap_or(x) } else { x };
            Arc::new(build::numbers::<Float32Type>(arguments.rows, |row| input.get(row).map(round)))
        }
        DataType::Float64 => {
            let input = arguments.columns[0].numbers::<Float64Type>();
            let round = |x: f64| match short_decimal(x) {
                Some((unscaled, scale)) if (0..=15).contains(&places) => round_short(x, unscaled, scale, places, half),
                _ if x.is_finite() => round_text(&java_double(x), places, half).parse().unwrap_or(x),
                _ => x,
            };
            Arc::new(build::numbers::<Float64Type>(arguments.rows, |row| input.get(row).map(round)))
        }
        DataType::Decimal128(_, scale) => {
            let DataType::Decimal128(precision, to) = *arguments.data_type else {
                panic!("a rounded decimal is a decimal");
            };
            let input = arguments.columns[0].numbers::<Decimal128Type>();
            let value = |row| {
                // Down to the digits that are kept, then up to the scale of the type.
                let kept = places.min(i32::from(scale)).max(-38);
                let rounded = divide(i256::from_i128(input.get(row)?), i32::from(scale) - kept, half);
                let fitted = decimal_in(rounded.wrapping_mul(pow10(i32::from(to) - kept)), precision);
                fitted.is_none().then(|| overflow(arguments.errors, row));
                fitted
            };
            let array = build::numbers::<Decimal128Type>(arguments.rows, value);
            Arc::new(array.with_data_type(arguments.data_type.clone()))
        }
        other => panic!("{other} is no number"),
    }
}

fn round_integers<T: ArrowPrimitiveType<Native: Into<i64> + TryFrom<i128>>>(
    arguments: &mut Arguments,
    places: i32,
    half: Half,
) -> ArrayRef {
    let input = arguments.columns[0].numbers::<T>();
    let digits = places.saturating_neg().clamp(0, 30);
    let value = |row| {
        let x: i64 = input.get(row)?.into();
        let rounded = divide(i256::from_i128(x.into()), digits, half).wrapping_mul(pow10(digits));
        let fitted = rounded.to_i128().and_then(|x| T::Native::try_from(x).ok());
        fitted.is_none().then(|| overflow(arguments.errors, row));
        fitted
    };
    Arc::new(build::numbers::<T>(arguments.rows, value))
}

/// `x / 10^digits`, rounded.
fn divide(x: i256, digits: i32, half: Half) -> i256 {
    if digits <= 0 {
        return x;
    }
    let divisor = pow10(digits.min(76));
    let (quotient, rest) = (x.wrapping_div(divisor), x.wrapping_rem(divisor).wrapping_abs());
    let twice = rest.wrapping_add(rest);
    let odd = quotient.wrapping_rem(i256::from_i128(2)) != i256::ZERO;
    let away = match half {
        Half::Ceiling => rest != i256::ZERO && x > i256::ZERO,
        Half::Floor => rest != i256::ZERO && x < i256::ZERO,
        half => twice > divisor || (twice == divisor && (half == Half::Up || odd)),
    };
    let step = if x < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
    if away { quotient.wrapping_add(step) } else { quotient }
}

/// A decimal of few digits, which a double is printed as, rounded to a number of places.
fn round_short(x: f64, unscaled: i64, scale: i32, places: i32, half: Half) -> f64 {
    if scale <= places {
        return x;
    }
    let divisor = 10_i64.pow((scale - places) as u32);
    let (quotient, twice) = (unscaled / divisor, 2 * (unscaled - unscaled / divisor * divisor).abs());
    let away = twice > divisor || (twice == divisor && (half == Half::Up || quotient & 1 == 1));
    // Both are exact, so their quotient is the nearest double.
    (quotient + if away { unscaled.signum() } else { 0 }) as f64 / 10_f64.powi(places)
}

/// A number's text rounded to a number of places, as Java rounds the decimal that a double prints as.
fn round_text(text: &str, places: i32, half: Half) -> String {
    let (mantissa, exponent) = text.split_once('E').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().expect("Java's exponents are integers");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unscaled: i128 = format!("{whole}{fraction}").parse().expect("seventeen digits fit");
    let scale = fraction.len() as i32 - exponent;
    // Java's decimals have no −0.
    if scale <= places && unscaled != 0 {
        return text.into();
    }
    let rounded = divide(i256::from_i128(unscaled), scale.saturating_sub(places), half);
    format!("{rounded}e{}", -i64::from(places))
}

/// Ceiling (`step` 1) or floor (`step` −1).
fn whole(arguments: &mut Arguments, real: fn(f64) -> f64, step: i128) -> ArrayRef {
    let columns = arguments.columns;
    match columns[0].array.data_type() {
        DataType::Decimal128(_, scale) => {
            let unit = 10_i128.pow(*scale as u32);
            let input = columns[0].numbers::<Decimal128Type>();
            let value = |row| {
                let x = input.get(row)?;
                let floor = x.div_euclid(unit);
                Some(if step > 0 && x.rem_euclid(unit) != 0 { floor + 1 } else { floor })
            };
            let array = build::numbers::<Decimal128Type>(arguments.rows, value);
            Arc::new(array.with_data_type(arguments.data_type.clone()))
        }
        t if types::is_floating(t) => {
            let input = Column { array: Arc::new(cast::doubles(&columns[0].array)), constant: columns[0].constant };
            let input = input.numbers::<Float64Type>();
            // As Java turns a double into a long: NaN is 0, what is too large becomes the last long.
            Arc::new(build::numbers::<Int64Type>(arguments.rows, |row| Some(real(input.get(row)?) as i64)))
        }
        _ => {
            let mut errors = RowErrors::default();
            let array = cast::to_long(&columns[0].array, &mut errors);
            Column { array, ..columns[0].clone() }.into_rows(arguments.rows)
        }
    }
}

/// The operator, with NULL where it fails.
fn attempt(arguments: &mut Arguments, operator: Arithmetic) -> ArrayRef {
    let [l, r] = arguments.columns else {
        panic!("two arguments");
    };
    arithmetic(operator, l, r, arguments.data_type, arguments.rows, &mut RowErrors::default())
}

/// The remainder, with the divisor added where it is negative.
#[allow(clippy::modulo_arithmetic, reason = "the sign of the remainder is what this is about")]
fn pmod(arguments: &mut Arguments) -> ArrayRef {
    match arguments.data_type {
        DataType::Int8 => pmod_integers::<Int8Type>(arguments),
        DataType::Int16 => pmod_integers::<Int16Type>(arguments),
        DataType::Int32 => pmod_integers::<Int32Type>(arguments),
        DataType::Int64 => pmod_integers::<Int64Type>(arguments),
        DataType::Float32 => pmod_by::<Float32Type>(arguments, |x, n| {
            let rest = x % n;
            if n == 0.0 {
                None
            } else if rest < 0.0 {
                Some((rest + n) % n)
            } else {
                Some(rest)
            }
        }),
        _ => pmod_by::<Float64Type>(arguments, |x, n| {
            let rest = x % n;
            if n == 0.0 {
                None
            } else if rest < 0.0 {
                Some((rest + n) % n)
            } else {
                Some(rest)
            }
        }),
    }
}

#[allow(clippy::modulo_arithmetic, reason = "the sign of the remainder is what this is about")]
fn pmod_integers<T: ArrowPrimitiveType<Native: Into<i64> + TryFrom<i64>>>(arguments: &mut Arguments) -> ArrayRef {
    // Java adds in 32 bits at least, where the sum may wrap.
    let add = |x: i64, n: i64| match size_of::<T::Native>() {
        ..=4 => i64::from((x as i32).wrapping_add(n as i32)),
        _ => x.wrapping_add(n),
    };
    pmod_by::<T>(arguments, |x, n| {
        let (x, n): (i64, i64) = (x.into(), n.into());
        if n == 0 {
            return None;
        }
        let rest = x.wrapping_rem(n);
        let rest = if rest < 0 { add(rest, n).wrapping_rem(n) } else { rest };
        T::Native::try_from(rest).ok()
    })
}

fn pmod_by<T: ArrowPrimitiveType>(
    arguments: &mut Arguments,
    compute: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> ArrayRef {
    let [x, n] = arguments.columns else {
        panic!("two arguments");
    };
    let compute = |x, n| compute(x, n).ok_or(REMAINDER_BY_ZERO);
    Arc::new(zip::<T, T, T>(x, n, arguments.rows, arguments.errors, compute))
}
