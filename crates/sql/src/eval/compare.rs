//! Comparisons: NaN equals NaN and is the greatest, −0.0 equals 0.0, false < true, strings by bytes (rules W4, T2).

use super::Column;
use crate::expr::Comparison;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrowPrimitiveType, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use std::cmp::Ordering;

/// Compares two columns of one type, row by row.
pub(crate) fn compare(operator: Comparison, l: &Column, r: &Column, rows: usize) -> BooleanArray {
    if operator == Comparison::NullSafeEqual {
        let both = |row| match (l.is_null(row), r.is_null(row)) {
            (false, false) => order_at(&l.array, l.at(row), &r.array, r.at(row)).is_eq(),
            (left, right) => left && right,
        };
        return BooleanArray::new(BooleanBuffer::collect_bool(rows, both), None);
    }
    let nulls = NullBuffer::union(l.nulls(rows).as_ref(), r.nulls(rows).as_ref());
    if nulls.as_ref().is_some_and(|nulls| nulls.null_count() == rows) {
        return BooleanArray::new_null(rows);
    }
    BooleanArray::new(values(operator, l, r, rows), nulls)
}

fn values(operator: Comparison, l: &Column, r: &Column, rows: usize) -> BooleanBuffer {
    match l.array.data_type() {
        DataType::Int8 => numbers::<Int8Type>(operator, l, r, rows),
        DataType::Int16 => numbers::<Int16Type>(operator, l, r, rows),
        DataType::Int32 => numbers::<Int32Type>(operator, l, r, rows),
        DataType::Int64 => numbers::<Int64Type>(operator, l, r, rows),
        DataType::Date32 => numbers::<Date32Type>(operator, l, r, rows),
        DataType::Timestamp(..) => numbers::<TimestampMicrosecondType>(operator, l, r, rows),
        DataType::Decimal128(..) => numbers::<Decimal128Type>(operator, l, r, rows),
        DataType::Float64 => {
            let (l, r) = (l.numbers::<Float64Type>(), r.numbers::<Float64Type>());
            tested(operator, rows, |row| order_doubles(l.value(row), r.value(row)))
        }
        DataType::Utf8 => {
            let (left, right) = (l.array.as_string::<i32>(), r.array.as_string::<i32>());
            tested(operator, rows, |row| left.value(l.at(row)).as_bytes().cmp(right.value(r.at(row)).as_bytes()))
        }
        _ => tested(operator, rows, |row| {
            if l.is_null(row) || r.is_null(row) {
                return Ordering::Equal;
            }
            order_at(&l.array, l.at(row), &r.array, r.at(row))
        }),
    }
}

fn numbers<T: ArrowPrimitiveType<Native: Ord>>(
    operator: Comparison,
    l: &Column,
    r: &Column,
    rows: usize,
) -> BooleanBuffer {
    let (l, r) = (l.numbers::<T>(), r.numbers::<T>());
    tested(operator, rows, |row| l.value(row).cmp(&r.value(row)))
}

/// One loop per operator, so that the inner test does not branch on it.
fn tested(operator: Comparison, rows: usize, order: impl Fn(usize) -> Ordering) -> BooleanBuffer {
    match operator {
        Comparison::Equal | Comparison::NullSafeEqual => BooleanBuffer::collect_bool(rows, |row| order(row).is_eq()),
        Comparison::NotEqual => BooleanBuffer::collect_bool(rows, |row| order(row).is_ne()),
        Comparison::Less => BooleanBuffer::collect_bool(rows, |row| order(row).is_lt()),
        Comparison::LessOrEqual => BooleanBuffer::collect_bool(rows, |row| order(row).is_le()),
        Comparison::Greater => BooleanBuffer::collect_bool(rows, |row| order(row).is_gt()),
        Comparison::GreaterOrEqual => BooleanBuffer::collect_bool(rows, |row| order(row).is_ge()),
    }
}

/// Spark's order of doubles.
pub(crate) fn order_doubles(l: f64, r: f64) -> Ordering {
    l.partial_cmp(&r).unwrap_or_else(|| l.is_nan().cmp(&r.is_nan()))
}

/// Spark's order of two values of one type that are not NULL. Inside structs and arrays NULL comes first.
pub(crate) fn order_at(l: &dyn Array, i: usize, r: &dyn Array, j: usize) -> Ordering {
    fn primitive<T: ArrowPrimitiveType<Native: Ord>>(l: &dyn Array, i: usize, r: &dyn Array, j: usize) -> Ordering {
        l.as_primitive::<T>().value(i).cmp(&r.as_primitive::<T>().value(j))
    }
    match l.data_type() {
        DataType::Null => Ordering::Equal,
        DataType::Boolean => l.as_boolean().value(i).cmp(&r.as_boolean().value(j)),
        DataType::Int8 => primitive::<Int8Type>(l, i, r, j),
        DataType::Int16 => primitive::<Int16Type>(l, i, r, j),
        DataType::Int32 => primitive::<Int32Type>(l, i, r, j),
        DataType::Int64 => primitive::<Int64Type>(l, i, r, j),
        DataType::Date32 => primitive::<Date32Type>(l, i, r, j),
        DataType::Decimal32(..) => primitive::<Decimal32Type>(l, i, r, j),
        DataType::Decimal64(..) => primitive::<Decimal64Type>(l, i, r, j),
        DataType::Timestamp(..) => primitive::<TimestampMicrosecondType>(l, i, r, j),
        DataType::Decimal128(..) => primitive::<Decimal128Type>(l, i, r, j),
        DataType::Float32 => {
            let value = |array: &dyn Array, at| f64::from(array.as_primitive::<Float32Type>().value(at));
            order_doubles(value(l, i), value(r, j))
        }
        DataType::Float64 => {
            order_doubles(l.as_primitive::<Float64Type>().value(i), r.as_primitive::<Float64Type>().value(j))
        }
        DataType::Utf8 => l.as_string::<i32>().value(i).as_bytes().cmp(r.as_string::<i32>().value(j).as_bytes()),
        DataType::Binary => l.as_binary::<i32>().value(i).cmp(r.as_binary::<i32>().value(j)),
        DataType::Struct(_) => {
            let members = l.as_struct().columns().iter().zip(r.as_struct().columns());
            members.map(|(l, r)| order_nullable(l, i, r, j)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }
        DataType::List(_) => {
            let (l, r) = (l.as_list::<i32>().value(i), r.as_list::<i32>().value(j));
            let shared = 0..l.len().min(r.len());
            let unequal = shared.map(|at| order_nullable(&l, at, &r, at)).find(|order| order.is_ne());
            unequal.unwrap_or(l.len().cmp(&r.len()))
        }
        other => panic!("values of type {other} have no order"),
    }
}

pub(super) fn order_nullable(l: &dyn Array, i: usize, r: &dyn Array, j: usize) -> Ordering {
    match (l.is_null(i), r.is_null(j)) {
        (false, false) => order_at(l, i, r, j),
        (left, right) => right.cmp(&left),
    }
}
