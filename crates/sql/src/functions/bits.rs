//! Bits: `& | ^ ~`, shifts, single bits, and where a number stands in a bitmap.
//!
//! Shifts go by Java's rule: of the distance only the last 5 bits count, or the last 6 for a BIGINT.

use super::{Arguments, Function, Param, build};
use crate::eval::Column;
use crate::eval::cast::to_long;
use crate::expr::Expr;
use crate::types;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType};
use arrow_schema::DataType;
use std::sync::Arc;

/// Both of one integral type, which is the result's: the planner sees to it.
const OPERATOR: Function = Function {
    params: &[Param::Any, Param::Any],
    required: 2,
    gives: |arguments| arguments[0].data_type(),
    ..Function::BLANK
};

const SHIFT: Function = Function { params: &[Param::Whole, Param::Int], ..OPERATOR };

const BIT: Function = Function {
    params: &[Param::Any, Param::Int],
    check: check_integral,
    gives: |_| DataType::Int8,
    kernel: bit,
    ..OPERATOR
};

const PLACE: Function = Function { params: &[Param::Long], required: 1, gives: |_| DataType::Int64, ..Function::BLANK };

/// Numbers that one bitmap holds.
const BITMAP_BITS: i64 = 8 * 4_096;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "&",
        usage: "number & number",
        about: "The bits that both integral numbers have.",
        example: "3 & 5",
        kernel: |a| combined(a, |x, y| x & y),
        ..OPERATOR
    },
    Function {
        name: "|",
        usage: "number | number",
        about: "The bits that one of two integral numbers has.",
        example: "3 | 5",
        kernel: |a| combined(a, |x, y| x | y),
        ..OPERATOR
    },
    Function {
        name: "^",
        usage: "number ^ number",
        about: "The bits that exactly one of two integral numbers has.",
        example: "3 ^ 5",
        kernel: |a| combined(a, |x, y| x ^ y),
        ..OPERATOR
    },
    Function {
        name: "~",
        usage: "~ number",
        about: "The inverted bits of an integral number.",
        example: "~ 0",
        params: &[Param::Any],
        required: 1,
        kernel: inverted,
        ..OPERATOR
    },
    Function {
        name: "shiftleft",
        usage: "shiftleft(number, bits) or number << bits",
        about: "An INT or BIGINT with its bits moved to the left.",
        example: "shiftleft(2, 1)",
        kernel: |a| shifted(a, |x, by| x.wrapping_shl(by), |x, by| x.wrapping_shl(by)),
        ..SHIFT
    },
    Function {
        name: "shiftright",
        usage: "shiftright(number, bits) or number >> bits",
        about: "An INT or BIGINT with its bits moved to the right; the sign stays.",
        example: "shiftright(-4, 1)",
        kernel: |a| shifted(a, |x, by| x.wrapping_shr(by), |x, by| x.wrapping_shr(by)),
        ..SHIFT
    },
    Function {
        name: "shiftrightunsigned",
        usage: "shiftrightunsigned(number, bits) or number >>> bits",
        about: "An INT or BIGINT with its bits moved to the right, with zeros from the left.",
        example: "shiftrightunsigned(-4, 1)",
        kernel: |a| {
            shifted(
                a,
                |x, by| x.cast_unsigned().wrapping_shr(by).cast_signed(),
                |x, by| x.cast_unsigned().wrapping_shr(by).cast_signed(),
            )
        },
        ..SHIFT
    },
    Function {
        name: "bit_get",
        aliases: &["getbit"],
        usage: "bit_get(number, position)",
        about: "The bit at a position, counted from 0 at the right.",
        example: "bit_get(11, 2)",
        ..BIT
    },
    Function {
        name: "bitmap_bit_position",
        usage: "bitmap_bit_position(number)",
        about: "The number's place in the bitmap of its bucket, from 0 to 32767.",
        example: "bitmap_bit_position(123)",
        kernel: |a| {
            place(
                a,
                |x| if x > 0 { (x - 1).rem_euclid(BITMAP_BITS) } else { x.wrapping_neg().wrapping_rem(BITMAP_BITS) },
            )
        },
        ..PLACE
    },
    Function {
        name: "bitmap_bucket_number",
        usage: "bitmap_bucket_number(number)",
        about: "The bucket of 32768 numbers that the number is in; the first is 1.",
        example: "bitmap_bucket_number(123)",
        kernel: |a| place(a, |x| if x > 0 { 1 + (x - 1) / BITMAP_BITS } else { x / BITMAP_BITS }),
        ..PLACE
    },
    Function {
        name: "bitmap_count",
        usage: "bitmap_count(bitmap)",
        about: "How many bits of a BINARY are set.",
        example: "bitmap_count(X'1010')",
        params: &[Param::Binary],
        gives: |_| DataType::Int64,
        kernel: |a| {
            let input = &a.columns[0];
            let count = |row| Some(input.bytes(row)?.iter().map(|byte| i64::from(byte.count_ones())).sum());
            Arc::new(build::numbers::<Int64Type>(a.rows, count))
        },
        ..Function::BLANK
    },
];

fn check_integral(arguments: &[Expr]) -> Result<(), String> {
    match arguments[0].data_type() {
        t if types::is_integral(&t) || t.is_null() => Ok(()),
        other => Err(format!("an integral number is wanted, not {}; CAST it to BIGINT", types::name(&other))),
    }
}

/// Two columns as BIGINT, combined, as the result's type. Signs are extended, so the low bits are those of the type.
fn combined(arguments: &mut Arguments, combine: fn(i64, i64) -> i64) -> ArrayRef {
    let (x, y) = (long(arguments, 0), long(arguments, 1));
    let (x, y) = (x.numbers::<Int64Type>(), y.numbers::<Int64Type>());
    narrowed(arguments, |row| Some(combine(x.get(row)?, y.get(row)?)))
}

fn inverted(arguments: &mut Arguments) -> ArrayRef {
    let x = long(arguments, 0);
    let x = x.numbers::<Int64Type>();
    narrowed(arguments, |row| Some(!x.get(row)?))
}

fn long(arguments: &mut Arguments, index: usize) -> Column {
    let column = &arguments.columns[index];
    Column { array: to_long(&column.array, arguments.errors), constant: column.constant }
}

/// The low bits of each value, as many as the result's type has.
fn narrowed(arguments: &Arguments, mut value: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
    let rows = arguments.rows;
    match arguments.data_type {
        DataType::Int8 => Arc::new(build::numbers::<Int8Type>(rows, |row| Some(value(row)? as i8))),
        DataType::Int16 => Arc::new(build::numbers::<Int16Type>(rows, |row| Some(value(row)? as i16))),
        DataType::Int32 => Arc::new(build::numbers::<Int32Type>(rows, |row| Some(value(row)? as i32))),
        _ => Arc::new(build::numbers::<Int64Type>(rows, value)),
    }
}

fn shifted(arguments: &mut Arguments, int: fn(i32, u32) -> i32, long: fn(i64, u32) -> i64) -> ArrayRef {
    match arguments.data_type {
        DataType::Int32 => shifted_as::<Int32Type>(arguments, int),
        _ => shifted_as::<Int64Type>(arguments, long),
    }
}

fn shifted_as<T: ArrowPrimitiveType>(arguments: &Arguments, shift: fn(T::Native, u32) -> T::Native) -> ArrayRef {
    let (x, by) = (arguments.columns[0].numbers::<T>(), arguments.columns[1].numbers::<Int32Type>());
    let value = |row| Some(shift(x.get(row)?, by.get(row)?.cast_unsigned()));
    Arc::new(build::numbers::<T>(arguments.rows, value))
}

fn bit(arguments: &mut Arguments) -> ArrayRef {
    let bits = match arguments.columns[0].array.data_type() {
        DataType::Int8 => 8,
        DataType::Int16 => 16,
        DataType::Int32 => 32,
        _ => 64,
    };
    let (x, rows) = (long(arguments, 0), arguments.rows);
    let (x, place) = (x.numbers::<Int64Type>(), arguments.columns[1].numbers::<Int32Type>());
    let value = |row| {
        let (x, place) = (x.get(row)?, place.get(row)?);
        if !(0..bits).contains(&place) {
            let message = || format!("the number has no bit {place}; its bits are 0 to {}", bits - 1);
            arguments.errors.record(row, "INVALID_PARAMETER_VALUE.BIT_POSITION_RANGE", message);
            return None;
        }
        Some((x >> place & 1) as i8)
    };
    Arc::new(build::numbers::<Int8Type>(rows, value))
}

fn place(arguments: &mut Arguments, of: fn(i64) -> i64) -> ArrayRef {
    let input = arguments.columns[0].numbers::<Int64Type>();
    Arc::new(build::numbers::<Int64Type>(arguments.rows, |row| Some(of(input.get(row)?))))
}
