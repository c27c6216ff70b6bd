//! Aggregates that pick a row: `first`, `last`, `min_by`, `max_by`; and `min` and `max` of types that contain floating
//! point, where the first of 0.0 and −0.0 stays (rule T2).
//!
//! A pick remembers the position of its row, so the order of merging does not matter: slices of a window are merged by
//! time, not by offset.

use crate::key::{Encoder, Zeros};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tidemill_sql::plan::{AggregateCall, AggregateFunction};
use tidemill_state::{Object, Objects, Pick, PickRule, beats};

/// How a call picks a row; `None` if it picks none.
pub(super) fn rule(call: &AggregateCall) -> Option<PickRule> {
    use AggregateFunction::{First, Last, Max, MaxBy, Min, MinBy};
    match call.function {
        First { .. } => Some(PickRule::First),
        Last { .. } => Some(PickRule::Last),
        MinBy => Some(PickRule::MinBy),
        MaxBy => Some(PickRule::MaxBy),
        Min => holds_floats(&call.data_type).then_some(PickRule::Min),
        Max => holds_floats(&call.data_type).then_some(PickRule::Max),
        _ => None,
    }
}

fn holds_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float32 | DataType::Float64 => true,
        DataType::Struct(fields) => fields.iter().any(|field| holds_floats(field.data_type())),
        DataType::List(element) => holds_floats(element.data_type()),
        _ => false,
    }
}

/// Adds rows. `pairs` holds (row, group) in row order; row 0 of the batch is row `first_row` of the task.
pub(super) fn update(
    column: &mut Objects,
    function: AggregateFunction,
    rule: PickRule,
    inputs: &[ArrayRef],
    pairs: &[(u32, u32)],
    first_row: u64,
) {
    use AggregateFunction::{First, Last};
    let value = Encoder::new(&inputs[0], Zeros::Keep);
    let order = match rule {
        PickRule::Min | PickRule::Max => Some(Encoder::new(&inputs[0], Zeros::Normalize)),
        PickRule::MinBy | PickRule::MaxBy => Some(Encoder::new(&inputs[1], Zeros::Normalize)),
        PickRule::First | PickRule::Last => None,
    };
    let filter = match rule {
        PickRule::First | PickRule::Last => inputs.get(1).map(|filter| filter.as_boolean()),
        _ => None,
    };
    let ignores_nulls = matches!(function, First { ignore_nulls: true } | Last { ignore_nulls: true });
    let mut bytes = Vec::new();
    // `last` needs only the last row of each group: walk backwards and look at each group once.
    let is_last = rule == PickRule::Last;
    for index in 0..pairs.len() {
        let (row, group) = if is_last { pairs[pairs.len() - 1 - index] } else { pairs[index] };
        let (row, group) = (row as usize, group as usize);
        let best = column.at(group).map(pick);
        if is_last && best.is_some_and(|best| best.at.row >= first_row) {
            continue;
        }
        let passed = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let is_null = order.as_ref().is_some_and(|order| order.is_null(row)) || ignores_nulls && value.is_null(row);
        if !passed || is_null {
            continue;
        }
        bytes.clear();
        order.iter().for_each(|order| order.encode(row, &mut bytes));
        if best.is_some_and(|best| !beats(rule, &bytes, &best.order, true)) {
            continue;
        }
        column.change(
            group,
            || Object::Pick(Pick::default()),
            |object| {
                let Object::Pick(pick) = object else { panic!("a pick is not {object:?}") };
                pick.at.row = first_row + row as u64;
                std::mem::swap(&mut pick.order, &mut bytes);
                pick.result.clear();
                value.encode(row, &mut pick.result);
                if pick.result == pick.order {
                    pick.result.clear();
                }
            },
        );
    }
}

/// The pick in an object.
pub(crate) fn pick(object: &Object) -> &Pick {
    match object {
        Object::Pick(pick) => pick,
        other => panic!("a pick is not {other:?}"),
    }
}
