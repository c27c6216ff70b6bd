//! Functions that choose among their arguments. Those that do not evaluate all of them are separate expressions.

use super::{Arguments, Function, Param};
use crate::eval::Order;
use crate::eval::compare::order_at;
use crate::eval::pick;
use arrow_array::ArrayRef;
use std::cmp::Ordering;

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
];

/// The first of the extreme values; ignores NULLs.
fn extreme(arguments: &mut Arguments, wanted: Ordering) -> ArrayRef {
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
