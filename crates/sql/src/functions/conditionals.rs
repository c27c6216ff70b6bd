//! Functions that choose among their arguments. Those that do not evaluate all of them are separate expressions.

use super::{Arguments, Function, Param};
use crate::eval::Order;
use crate::eval::compare::{order_at, order_doubles};
use crate::eval::pick;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use std::cmp::Ordering;
use std::sync::Arc;

const COMMON: Function = Function {
    params: &[Param::Common, Param::Common],
    required: 2,
    repeats: true,
    gives: |arguments| arguments[0].data_type(),
    ..Function::BLANK
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "greatest",
        usage: "greatest(value, value, …)",
        about: "The greatest value; NULLs do not count.",
        example: "greatest(10, 9, NULL, 2)",
        order: Order::Whole,
        kernel: |arguments| extreme(arguments, Ordering::Greater),
        ..COMMON
    },
    Function {
        name: "least",
        usage: "least(value, value, …)",
        about: "The least value; NULLs do not count.",
        example: "least(10, 9, NULL, 2)",
        order: Order::Whole,
        kernel: |arguments| extreme(arguments, Ordering::Less),
        ..COMMON
    },
    // The last value, in rows in which no value fails.
    Function { name: "the last", order: Order::Whole, kernel: the_last, params: &[Param::Any], ..Function::BLANK },
];

fn the_last(arguments: &mut Arguments) -> ArrayRef {
    arguments.columns.last().expect("one at least").clone().into_rows(arguments.rows)
}

/// The first of the extreme values; ignores NULLs.
fn extreme(arguments: &mut Arguments, wanted: Ordering) -> ArrayRef {
    match arguments.data_type {
        DataType::Int8 => of_numbers::<Int8Type>(arguments, wanted, Ord::cmp),
        DataType::Int16 => of_numbers::<Int16Type>(arguments, wanted, Ord::cmp),
        DataType::Int32 => of_numbers::<Int32Type>(arguments, wanted, Ord::cmp),
        DataType::Int64 => of_numbers::<Int64Type>(arguments, wanted, Ord::cmp),
        DataType::Date32 => of_numbers::<Date32Type>(arguments, wanted, Ord::cmp),
        DataType::Timestamp(..) => of_numbers::<TimestampMicrosecondType>(arguments, wanted, Ord::cmp),
        DataType::Decimal128(..) => of_numbers::<Decimal128Type>(arguments, wanted, Ord::cmp),
        DataType::Float64 => of_numbers::<Float64Type>(arguments, wanted, |l, r| order_doubles(*l, *r)),
        _ => of_values(arguments, wanted),
    }
}

/// Column by column.
fn of_numbers<T: ArrowPrimitiveType>(
    arguments: &Arguments,
    wanted: Ordering,
    order: impl Fn(&T::Native, &T::Native) -> Ordering,
) -> ArrayRef {
    let rows = arguments.rows;
    let mut best = vec![T::Native::default(); rows];
    // Which rows have a value yet.
    let mut known = BooleanBuffer::new_unset(rows);
    for column in arguments.columns {
        let values = column.numbers::<T>();
        let nulls = column.nulls(rows).filter(|nulls| nulls.null_count() > 0);
        let is_given = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        match (known.count_set_bits(), &nulls) {
            (0, _) => best.iter_mut().enumerate().for_each(|(row, best)| *best = values.value(row)),
            (all, None) if all == rows => {
                for (row, best) in best.iter_mut().enumerate() {
                    let value = values.value(row);
                    *best = if order(&value, best) == wanted { value } else { *best };
                }
            }
            _ => {
                for (row, best) in best.iter_mut().enumerate().filter(|(row, _)| is_given(*row)) {
                    let value = values.value(row);
                    if !known.value(row) || order(&value, best) == wanted {
                        *best = value;
                    }
                }
            }
        }
        known = match &nulls {
            None => BooleanBuffer::new_set(rows),
            Some(nulls) => &known | nulls.inner(),
        };
    }
    let nulls = NullBuffer::new(known);
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    Arc::new(PrimitiveArray::<T>::new(best.into(), nulls).with_data_type(arguments.data_type.clone()))
}

/// Row by row.
fn of_values(arguments: &Arguments, wanted: Ordering) -> ArrayRef {
    let columns = arguments.columns;
    let best = |row: usize| {
        let given = (0..columns.len()).filter(|index| !columns[*index].is_null(row));
        let better = |best: usize, index: usize| {
            let (old, new) = (&columns[best], &columns[index]);
            let order = order_at(&new.array, new.at(row), &old.array, old.at(row));
            if order == wanted { index } else { best }
        };
        given.reduce(better).unwrap_or(0)
    };
    pick(columns, (0..arguments.rows).map(best))
}
