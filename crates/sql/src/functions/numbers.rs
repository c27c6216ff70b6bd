//! Functions of numbers. Those of doubles are Java's `StrictMath` to the last digit or the one before it.

use super::{Arguments, Function, Param, build};
use crate::eval::arithmetic::{OVERFLOW, zip};
use crate::eval::{Order, RowErrors};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType};
use arrow_schema::DataType;
use std::f64::consts;
use std::sync::Arc;

/// DOUBLE → DOUBLE.
const REAL: Function = Function { params: &[Param::Double], gives: |_| DataType::Float64, ..Function::BLANK };

/// DOUBLE × DOUBLE → DOUBLE.
const REAL2: Function = Function { params: &[Param::Double, Param::Double], required: 2, ..REAL };

/// A number of the argument's type.
const SAME: Function =
    Function { params: &[Param::Number], gives: |arguments| arguments[0].data_type(), ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "abs",
        usage: "abs(number)",
        about: "The number without its sign.",
        example: "abs(-1)",
        kernel: abs,
        ..SAME
    },
    Function {
        name: "negative",
        usage: "negative(number)",
        about: "The number with the other sign.",
        example: "negative(1)",
        form: true,
        ..SAME
    },
    Function {
        name: "positive",
        usage: "positive(number)",
        about: "The number itself.",
        example: "positive(1)",
        kernel: |a| a.columns[0].clone().into_rows(a.rows),
        ..SAME
    },
    Function {
        name: "sign",
        aliases: &["signum"],
        usage: "sign(number)",
        about: "-1.0, 0.0 or 1.0.",
        example: "sign(-40)",
        kernel: |a| real(a, sign),
        ..REAL
    },
    Function {
        name: "sqrt",
        usage: "sqrt(x)",
        about: "The square root.",
        example: "sqrt(4)",
        kernel: |a| real(a, f64::sqrt),
        ..REAL
    },
    Function {
        name: "cbrt",
        usage: "cbrt(x)",
        about: "The cube root.",
        example: "cbrt(27)",
        kernel: |a| real(a, f64::cbrt),
        ..REAL
    },
    Function {
        name: "exp",
        usage: "exp(x)",
        about: "e to the power of x.",
        example: "exp(0)",
        kernel: |a| real(a, f64::exp),
        ..REAL
    },
    Function {
        name: "expm1",
        usage: "expm1(x)",
        about: "exp(x) - 1, exact near 0.",
        example: "expm1(0)",
        kernel: |a| real(a, f64::exp_m1),
        ..REAL
    },
    Function {
        name: "ln",
        usage: "ln(x)",
        about: "The natural logarithm; NULL at and below 0.",
        example: "ln(1)",
        kernel: |a| logarithm(a, f64::ln, 0.0),
        ..REAL
    },
    Function {
        name: "log10",
        usage: "log10(x)",
        about: "The logarithm with base 10; NULL at and below 0.",
        example: "log10(10)",
        kernel: |a| logarithm(a, f64::log10, 0.0),
        ..REAL
    },
    Function {
        name: "log2",
        usage: "log2(x)",
        about: "The logarithm with base 2; NULL at and below 0.",
        example: "log2(2)",
        kernel: |a| logarithm(a, |x| x.ln() / 2f64.ln(), 0.0),
        ..REAL
    },
    Function {
        name: "log1p",
        usage: "log1p(x)",
        about: "ln(1 + x), exact near 0.",
        example: "log1p(0)",
        kernel: |a| logarithm(a, f64::ln_1p, -1.0),
        ..REAL
    },
    Function {
        name: "log",
        usage: "log([base, ]x)",
        about: "The logarithm with a base, or the natural one.",
        example: "log(10, 100)",
        params: &[Param::Double, Param::Double],
        kernel: log,
        ..REAL
    },
    Function {
        name: "sin",
        usage: "sin(x)",
        about: "The sine of an angle in radians.",
        example: "sin(0)",
        kernel: |a| real(a, f64::sin),
        ..REAL
    },
    Function {
        name: "cos",
        usage: "cos(x)",
        about: "The cosine of an angle in radians.",
        example: "cos(0)",
        kernel: |a| real(a, f64::cos),
        ..REAL
    },
    Function {
        name: "tan",
        usage: "tan(x)",
        about: "The tangent of an angle in radians.",
        example: "tan(0)",
        kernel: |a| real(a, f64::tan),
        ..REAL
    },
    Function {
        name: "asin",
        usage: "asin(x)",
        about: "The angle of a sine, in radians.",
        example: "asin(0)",
        kernel: |a| real(a, f64::asin),
        ..REAL
    },
    Function {
        name: "acos",
        usage: "acos(x)",
        about: "The angle of a cosine, in radians.",
        example: "acos(1)",
        kernel: |a| real(a, f64::acos),
        ..REAL
    },
    Function {
        name: "atan",
        usage: "atan(x)",
        about: "The angle of a tangent, in radians.",
        example: "atan(0)",
        kernel: |a| real(a, f64::atan),
        ..REAL
    },
    Function {
        name: "sinh",
        usage: "sinh(x)",
        about: "The hyperbolic sine.",
        example: "sinh(0)",
        kernel: |a| real(a, f64::sinh),
        ..REAL
    },
    Function {
        name: "cosh",
        usage: "cosh(x)",
        about: "The hyperbolic cosine.",
        example: "cosh(0)",
        kernel: |a| real(a, f64::cosh),
        ..REAL
    },
    Function {
        name: "tanh",
        usage: "tanh(x)",
        about: "The hyperbolic tangent.",
        example: "tanh(0)",
        kernel: |a| real(a, f64::tanh),
        ..REAL
    },
    Function {
        name: "acosh",
        usage: "acosh(x)",
        about: "The number whose hyperbolic cosine is x, NaN below 1.",
        example: "acosh(2.5)",
        kernel: |a| real(a, |x| (x + (x * x - 1.0).sqrt()).ln()),
        ..REAL
    },
    Function {
        name: "asinh",
        usage: "asinh(x)",
        about: "The number whose hyperbolic sine is x.",
        example: "asinh(0)",
        kernel: |a| real(a, |x| if x == f64::NEG_INFINITY { x } else { (x + (x * x + 1.0).sqrt()).ln() }),
        ..REAL
    },
    Function {
        name: "atanh",
        usage: "atanh(x)",
        about: "The number whose hyperbolic tangent is x, NaN beyond −1 and 1.",
        example: "atanh(0.5)",
        kernel: |a| real(a, |x| 0.5 * (x.ln_1p() - (-x).ln_1p())),
        ..REAL
    },
    Function {
        name: "cot",
        usage: "cot(x)",
        about: "The cotangent of an angle in radians.",
        example: "cot(1)",
        kernel: |a| real(a, |x| 1.0 / x.tan()),
        ..REAL
    },
    Function {
        name: "csc",
        usage: "csc(x)",
        about: "The cosecant of an angle in radians.",
        example: "csc(1)",
        kernel: |a| real(a, |x| 1.0 / x.sin()),
        ..REAL
    },
    Function {
        name: "sec",
        usage: "sec(x)",
        about: "The secant of an angle in radians.",
        example: "sec(0)",
        kernel: |a| real(a, |x| 1.0 / x.cos()),
        ..REAL
    },
    Function {
        name: "degrees",
        usage: "degrees(x)",
        about: "Radians as degrees.",
        example: "degrees(3.141592653589793)",
        kernel: |a| real(a, |x| x * (180.0 / consts::PI)),
        ..REAL
    },
    Function {
        name: "radians",
        usage: "radians(x)",
        about: "Degrees as radians.",
        example: "radians(180)",
        kernel: |a| real(a, |x| x * (consts::PI / 180.0)),
        ..REAL
    },
    Function {
        name: "rint",
        usage: "rint(x)",
        about: "The nearest whole number, a DOUBLE; a half goes to the even one.",
        example: "rint(12.3456)",
        kernel: |a| real(a, f64::round_ties_even),
        ..REAL
    },
    // Spark adds 0.0 to both, so that there is no −0.0.
    Function {
        name: "atan2",
        usage: "atan2(y, x)",
        about: "The angle of the point (x, y) in radians.",
        example: "atan2(0, 0)",
        kernel: |a| real2(a, |y, x| (y + 0.0).atan2(x + 0.0)),
        ..REAL2
    },
    Function {
        name: "hypot",
        usage: "hypot(x, y)",
        about: "The square root of x² + y².",
        example: "hypot(3, 4)",
        kernel: |a| real2(a, f64::hypot),
        ..REAL2
    },
    Function {
        name: "pow",
        aliases: &["power"],
        usage: "pow(x, y)",
        about: "x to the power of y, a DOUBLE.",
        example: "pow(2, 3)",
        kernel: |a| real2(a, pow),
        ..REAL2
    },
    Function {
        name: "pi",
        usage: "pi()",
        about: "The number π.",
        example: "pi()",
        params: &[],
        required: 0,
        kernel: |_| constant(consts::PI),
        ..REAL
    },
    Function {
        name: "e",
        usage: "e()",
        about: "Euler's number.",
        example: "e()",
        params: &[],
        required: 0,
        kernel: |_| constant(consts::E),
        ..REAL
    },
    Function {
        name: "isnan",
        usage: "isnan(x)",
        about: "Whether the number is NaN; false for NULL.",
        example: "isnan(double('NaN'))",
        params: &[Param::Double],
        gives: |_| DataType::Boolean,
        kernel: is_nan,
        ..REAL
    },
    Function {
        name: "nanvl",
        usage: "nanvl(x, otherwise)",
        about: "The first number, or the second if the first is NaN.",
        example: "nanvl(double('NaN'), 123)",
        order: Order::IfNan,
        kernel: nanvl::<Float64Type>,
        ..REAL2
    },
    // Of two FLOATs: only the planner uses this name.
    Function {
        name: "nanvl of floats",
        order: Order::IfNan,
        params: &[Param::Any, Param::Any],
        gives: |_| DataType::Float32,
        kernel: nanvl::<Float32Type>,
        ..REAL2
    },
    Function {
        name: "bin",
        usage: "bin(number)",
        about: "The number in binary digits.",
        example: "bin(13)",
        params: &[Param::Long],
        kernel: bin,
        ..Function::BLANK
    },
    Function {
        name: "bit_count",
        usage: "bit_count(number)",
        about: "How many bits of the number are set.",
        example: "bit_count(7)",
        params: &[Param::Integral],
        gives: |_| DataType::Int32,
        kernel: bit_count,
        ..REAL
    },
    Function {
        name: "factorial",
        usage: "factorial(number)",
        about: "The factorial of 0 to 20; NULL for another number.",
        example: "factorial(5)",
        params: &[Param::Int],
        gives: |_| DataType::Int64,
        kernel: factorial,
        ..REAL
    },
];

fn abs(arguments: &mut Arguments) -> ArrayRef {
    match arguments.data_type {
        DataType::Int8 => checked::<Int8Type>(arguments, i8::checked_abs),
        DataType::Int16 => checked::<Int16Type>(arguments, i16::checked_abs),
        DataType::Int32 => checked::<Int32Type>(arguments, i32::checked_abs),
        DataType::Int64 => checked::<Int64Type>(arguments, i64::checked_abs),
        DataType::Float32 => {
            Arc::new(arguments.columns[0].array.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::abs))
        }
        DataType::Float64 => {
            Arc::new(arguments.columns[0].array.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::abs))
        }
        other => {
            let array = arguments.columns[0].array.as_primitive::<Decimal128Type>();
            Arc::new(array.unary::<_, Decimal128Type>(i128::abs).with_data_type(other.clone()))
        }
    }
}

fn checked<T: ArrowPrimitiveType>(arguments: &mut Arguments, compute: fn(T::Native) -> Option<T::Native>) -> ArrayRef {
    let input = arguments.columns[0].numbers::<T>();
    let value = |row| {
        let result = compute(input.get(row)?);
        result.is_none().then(|| overflow(arguments.errors, row));
        result
    };
    Arc::new(build::numbers::<T>(arguments.rows, value))
}

pub(super) fn overflow(errors: &mut RowErrors, row: usize) {
    errors.record(row, OVERFLOW.0, || OVERFLOW.1.into());
}

fn real(arguments: &mut Arguments, compute: fn(f64) -> f64) -> ArrayRef {
    let input = arguments.columns[0].array.as_primitive::<Float64Type>();
    Arc::new(input.unary::<_, Float64Type>(compute))
}

fn real2(arguments: &mut Arguments, compute: fn(f64, f64) -> f64) -> ArrayRef {
    let [x, y] = arguments.columns else {
        panic!("two arguments");
    };
    let compute = |x, y| Ok(compute(x, y));
    Arc::new(zip::<Float64Type, Float64Type, Float64Type>(x, y, arguments.rows, arguments.errors, compute))
}

fn constant(value: f64) -> ArrayRef {
    Arc::new(arrow_array::Float64Array::from(vec![value]))
}

fn sign(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 { x } else { x.signum() }
}

/// As Java's: 1 to the power of NaN is NaN, and so is ±1 to the power of ±∞.
fn pow(x: f64, y: f64) -> f64 {
    if y.is_nan() && y != 0.0 || (x.abs() == 1.0 && y.is_infinite()) { f64::NAN } else { x.powf(y) }
}

/// NULL at and below `limit`.
fn logarithm(arguments: &mut Arguments, compute: fn(f64) -> f64, limit: f64) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Float64Type>();
    let value = |row| input.get(row).filter(|x| x.is_nan() || *x > limit).map(compute);
    Arc::new(build::numbers::<Float64Type>(arguments.rows, value))
}

/// `log(x)`, or `log(base, x)`.
fn log(arguments: &mut Arguments) -> ArrayRef {
    let [base, x] = arguments.columns else {
        return logarithm(arguments, f64::ln, 0.0);
    };
    let (base, x) = (base.numbers::<Float64Type>(), x.numbers::<Float64Type>());
    let value = |row| {
        let (base, x) = (base.get(row)?, x.get(row)?);
        let defined = |x: f64| x.is_nan() || x > 0.0;
        (defined(base) && defined(x)).then(|| x.ln() / base.ln())
    };
    Arc::new(build::numbers::<Float64Type>(arguments.rows, value))
}

fn is_nan(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Float64Type>();
    build::booleans(arguments.rows, |row| Some(input.get(row).is_some_and(f64::is_nan)))
}

/// The first, or the second where the first is NaN.
fn nanvl<T: ArrowPrimitiveType>(arguments: &mut Arguments) -> ArrayRef
where
    T::Native: Into<f64>,
{
    let (x, y) = (arguments.columns[0].numbers::<T>(), arguments.columns[1].numbers::<T>());
    let is_nan = |x: T::Native| -> bool { Into::<f64>::into(x).is_nan() };
    let value = |row| x.get(row).and_then(|x| if is_nan(x) { y.get(row) } else { Some(x) });
    Arc::new(build::numbers::<T>(arguments.rows, value))
}

fn bin(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Int64Type>();
    build::texts(arguments.rows, |row| Some(format!("{:b}", input.get(row)?)))
}

fn bit_count(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Int64Type>();
    Arc::new(build::numbers::<Int32Type>(arguments.rows, |row| Some(input.get(row)?.count_ones() as i32)))
}

/// NULL outside 0–20, beyond which BIGINT ends.
fn factorial(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Int32Type>();
    let value = |row| input.get(row).filter(|n| (0..=20).contains(n)).map(|n| (1..=i64::from(n)).product());
    Arc::new(build::numbers::<Int64Type>(arguments.rows, value))
}
