//! Arithmetic with Spark's types and ANSI errors (rule T3).

use super::{Column, RowErrors};
use crate::expr::Arithmetic;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, NullBuffer, i256};
use arrow_schema::DataType;
use std::sync::Arc;

/// An error's class and message.
pub(crate) type Failure = (&'static str, &'static str);

pub(crate) const OVERFLOW: Failure = ("ARITHMETIC_OVERFLOW", "the result does not fit; use a wider type");
pub(crate) const INTERVAL_OVERFLOW: Failure =
    ("INTERVAL_ARITHMETIC_OVERFLOW", "the result does not fit in an INTERVAL; use a smaller one");
const DIVIDE_BY_ZERO: Failure = ("DIVIDE_BY_ZERO", "division by zero; use nullif(divisor, 0) to get NULL instead");
pub(crate) const REMAINDER_BY_ZERO: Failure =
    ("REMAINDER_BY_ZERO", "remainder by zero; use nullif(divisor, 0) to get NULL instead");
const OUT_OF_RANGE: Failure =
    ("NUMERIC_VALUE_OUT_OF_RANGE", "the result does not fit in its DECIMAL; use a wider type");

/// `l operator r`. Apart from decimals, both sides have the result's type.
#[allow(clippy::modulo_arithmetic, reason = "SQL's % on floats has the sign of the left side, as Rust's")]
pub(crate) fn arithmetic(
    operator: Arithmetic,
    l: &Column,
    r: &Column,
    to: &DataType,
    rows: usize,
    errors: &mut RowErrors,
) -> ArrayRef {
    match l.array.data_type() {
        DataType::Int8 => integral::<Int8Type>(operator, l, r, rows, errors),
        DataType::Int16 => integral::<Int16Type>(operator, l, r, rows, errors),
        DataType::Int32 => integral::<Int32Type>(operator, l, r, rows, errors),
        DataType::Int64 => integral::<Int64Type>(operator, l, r, rows, errors),
        DataType::Float32 => {
            Arc::new(zip::<Float32Type, Float32Type, Float32Type>(l, r, rows, errors, |x, y| match operator {
                Arithmetic::Add => Ok(x + y),
                Arithmetic::Subtract => Ok(x - y),
                Arithmetic::Multiply => Ok(x * y),
                Arithmetic::Divide if y != 0.0 => Ok(x / y),
                Arithmetic::Remainder if y != 0.0 => Ok(x % y),
                Arithmetic::Remainder => Err(REMAINDER_BY_ZERO),
                Arithmetic::Divide | Arithmetic::IntegerDivide => Err(DIVIDE_BY_ZERO),
            }))
        }
        DataType::Float64 => doubles(operator, l, r, rows, errors),
        DataType::Decimal128(..) => decimal(operator, l, r, to, rows, errors),
        DataType::Decimal32(..) => intervals::<Decimal32Type>(operator, l, r, to, rows, errors),
        DataType::Decimal64(..) => intervals::<Decimal64Type>(operator, l, r, to, rows, errors),
        other => panic!("{other} has no arithmetic"),
    }
}

/// Computes row by row where neither side is NULL; failed rows are recorded and NULL.
pub(crate) fn zip<A: ArrowPrimitiveType, B: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    l: &Column,
    r: &Column,
    rows: usize,
    errors: &mut RowErrors,
    operation: impl Fn(A::Native, B::Native) -> Result<O::Native, Failure>,
) -> PrimitiveArray<O> {
    let nulls = NullBuffer::union(l.nulls(rows).as_ref(), r.nulls(rows).as_ref());
    let (l, r) = (l.numbers::<A>(), r.numbers::<B>());
    let mut failed = Vec::new();
    let values: Vec<O::Native> = (0..rows)
        .map(|row| {
            operation(l.value(row), r.value(row)).unwrap_or_else(|failure| {
                failed.push((row, failure));
                O::Native::default()
            })
        })
        .collect();
    let nulls = record(failed, nulls, rows, errors);
    PrimitiveArray::new(values.into(), nulls)
}

/// Records failed rows that are not NULL anyway, and makes them NULL.
fn record(
    failed: Vec<(usize, Failure)>,
    nulls: Option<NullBuffer>,
    rows: usize,
    errors: &mut RowErrors,
) -> Option<NullBuffer> {
    if failed.is_empty() {
        return nulls;
    }
    let mut valid: Vec<bool> = (0..rows).map(|row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))).collect();
    for (row, (class, message)) in failed {
        if valid[row] {
            errors.record(row, class, || message.into());
            valid[row] = false;
        }
    }
    Some(NullBuffer::from(valid))
}

fn integral<T>(operator: Arithmetic, l: &Column, r: &Column, rows: usize, errors: &mut RowErrors) -> ArrayRef
where
    T: ArrowPrimitiveType<Native: ArrowNativeType + Integral>,
{
    if operator == Arithmetic::IntegerDivide {
        return Arc::new(zip::<T, T, Int64Type>(l, r, rows, errors, |x, y| {
            let (x, y) = (x.widen(), y.widen());
            if y == 0 { Err(DIVIDE_BY_ZERO) } else { x.checked_div(y).ok_or(OVERFLOW) }
        }));
    }
    Arc::new(zip::<T, T, T>(l, r, rows, errors, |x, y| match operator {
        Arithmetic::Add => x.add(y).ok_or(OVERFLOW),
        Arithmetic::Subtract => x.subtract(y).ok_or(OVERFLOW),
        Arithmetic::Multiply => x.multiply(y).ok_or(OVERFLOW),
        Arithmetic::Remainder => x.remainder(y).ok_or(REMAINDER_BY_ZERO),
        Arithmetic::Divide | Arithmetic::IntegerDivide => panic!("`/` is of doubles or decimals"),
    }))
}

/// Sums of intervals of one kind.
fn intervals<T>(
    operator: Arithmetic,
    l: &Column,
    r: &Column,
    to: &DataType,
    rows: usize,
    errors: &mut RowErrors,
) -> ArrayRef
where
    T: ArrowPrimitiveType<Native: ArrowNativeType + Integral>,
{
    let sum = zip::<T, T, T>(l, r, rows, errors, |x, y| {
        let sum = if operator == Arithmetic::Add { x.add(y) } else { x.subtract(y) };
        sum.ok_or(INTERVAL_OVERFLOW)
    });
    Arc::new(sum.with_data_type(to.clone()))
}

/// Checked arithmetic of the integral types.
trait Integral: Sized {
    fn widen(self) -> i64;
    fn add(self, other: Self) -> Option<Self>;
    fn subtract(self, other: Self) -> Option<Self>;
    fn multiply(self, other: Self) -> Option<Self>;
    /// With the sign of the left side; `None` for a zero divisor.
    fn remainder(self, other: Self) -> Option<Self>;
}

macro_rules! integral {
    ($($native:ty),*) => {$(
        impl Integral for $native {
            fn widen(self) -> i64 {
                self.into()
            }
            fn add(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }
            fn subtract(self, other: Self) -> Option<Self> {
                self.checked_sub(other)
            }
            fn multiply(self, other: Self) -> Option<Self> {
                self.checked_mul(other)
            }
            fn remainder(self, other: Self) -> Option<Self> {
                (other != 0).then(|| self.wrapping_rem(other))
            }
        }
    )*};
}

integral!(i8, i16, i32, i64);

#[allow(clippy::modulo_arithmetic, reason = "SQL's % on doubles has the sign of the left side, as Rust's")]
fn doubles(operator: Arithmetic, l: &Column, r: &Column, rows: usize, errors: &mut RowErrors) -> ArrayRef {
    Arc::new(zip::<Float64Type, Float64Type, Float64Type>(l, r, rows, errors, |x, y| match operator {
        Arithmetic::Add => Ok(x + y),
        Arithmetic::Subtract => Ok(x - y),
        Arithmetic::Multiply => Ok(x * y),
        Arithmetic::Divide if y != 0.0 => Ok(x / y),
        Arithmetic::Remainder if y != 0.0 => Ok(x % y),
        Arithmetic::Remainder => Err(REMAINDER_BY_ZERO),
        Arithmetic::Divide | Arithmetic::IntegerDivide => Err(DIVIDE_BY_ZERO),
    }))
}

/// Computes exactly in 256 bits, then rounds HALF_UP to the result's scale. A result beyond its precision fails.
fn decimal(
    operator: Arithmetic,
    l: &Column,
    r: &Column,
    to: &DataType,
    rows: usize,
    errors: &mut RowErrors,
) -> ArrayRef {
    let (left_scale, right_scale) = (scale_of(l), scale_of(r));
    let shared = left_scale.max(right_scale);
    let align = |x: i128, scale: i32| i256::from_i128(x).wrapping_mul(pow10(shared - scale));
    if operator == Arithmetic::IntegerDivide {
        return Arc::new(zip::<Decimal128Type, Decimal128Type, Int64Type>(l, r, rows, errors, |x, y| {
            if y == 0 {
                return Err(DIVIDE_BY_ZERO);
            }
            let quotient = align(x, left_scale).wrapping_div(align(y, right_scale));
            quotient.to_i128().and_then(|quotient| i64::try_from(quotient).ok()).ok_or(OVERFLOW)
        }));
    }
    let DataType::Decimal128(precision, scale) = *to else {
        panic!("arithmetic of decimals gives a decimal, not {to}");
    };
    let scale = i32::from(scale);
    let result = zip::<Decimal128Type, Decimal128Type, Decimal128Type>(l, r, rows, errors, |x, y| {
        let exact = match operator {
            Arithmetic::Add => (align(x, left_scale).wrapping_add(align(y, right_scale)), shared),
            Arithmetic::Subtract => (align(x, left_scale).wrapping_sub(align(y, right_scale)), shared),
            Arithmetic::Multiply => (i256::from_i128(x).wrapping_mul(i256::from_i128(y)), left_scale + right_scale),
            Arithmetic::Remainder if y == 0 => return Err(REMAINDER_BY_ZERO),
            Arithmetic::Remainder => (align(x, left_scale).wrapping_rem(align(y, right_scale)), shared),
            Arithmetic::Divide | Arithmetic::IntegerDivide if y == 0 => return Err(DIVIDE_BY_ZERO),
            Arithmetic::Divide | Arithmetic::IntegerDivide => {
                let raise = scale + right_scale - left_scale;
                let (numerator, divisor) = (i256::from_i128(x), i256::from_i128(y));
                return if raise >= 0 {
                    // A numerator beyond 256 bits has a quotient beyond 128, since the divisor has at most 38 digits.
                    let raised = (raise <= 76).then(|| numerator.checked_mul(pow10(raise))).flatten();
                    fit(divide_half_up(raised.ok_or(OUT_OF_RANGE)?, divisor), precision)
                } else {
                    fit(divide_half_up(numerator, divisor.wrapping_mul(pow10(-raise))), precision)
                };
            }
        };
        fit(rescale(exact.0, exact.1, scale), precision)
    });
    Arc::new(result.with_data_type(to.clone()))
}

fn scale_of(column: &Column) -> i32 {
    match column.array.data_type() {
        DataType::Decimal128(_, scale) => i32::from(*scale),
        other => panic!("{other} is no decimal"),
    }
}

fn fit(value: i256, precision: u8) -> Result<i128, Failure> {
    decimal_in(value, precision).ok_or(OUT_OF_RANGE)
}

/// The value, if it has at most `precision` digits.
pub(crate) fn decimal_in(value: i256, precision: u8) -> Option<i128> {
    let value = value.to_i128()?;
    (value.unsigned_abs() < 10_u128.pow(u32::from(precision))).then_some(value)
}

/// An unscaled value at another scale, HALF_UP.
pub(crate) fn rescale(value: i256, from: i32, to: i32) -> i256 {
    if to >= from { value.wrapping_mul(pow10(to - from)) } else { divide_half_up(value, pow10(from - to)) }
}

pub(crate) fn pow10(exponent: i32) -> i256 {
    i256::from_i128(10).wrapping_pow(exponent as u32)
}

/// Quotient rounded half away from zero.
pub(crate) fn divide_half_up(numerator: i256, divisor: i256) -> i256 {
    let quotient = numerator.wrapping_div(divisor);
    let rest = numerator.wrapping_rem(divisor).wrapping_abs();
    if rest.wrapping_add(rest) < divisor.wrapping_abs() {
        return quotient;
    }
    let away = if (numerator < i256::ZERO) == (divisor < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    quotient.wrapping_add(away)
}
