//! Aggregates that pick a row: `first`, `last`, `min_by`, `max_by`, and `min` and `max` of types with floating point in
//! them, where the first of 0.0 and −0.0 stays (rule T2).
//!
//! A pick remembers where its row stood, so that the order of merging does not matter: the slices of a window are merged
//! by time, not by offset.

use crate::key::{Encoder, Zeros};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use std::cmp::Ordering;
use tidemill_model::{Picked, Position};
use tidemill_sql::plan::{AggregateCall, AggregateFunction};

/// Whether a call is computed here.
pub(super) fn is_pick(call: &AggregateCall) -> bool {
    use AggregateFunction::{First, Last, Max, MaxBy, Min, MinBy};
    match call.function {
        First { .. } | Last { .. } | MinBy | MaxBy => true,
        Min | Max => holds_floats(&call.data_type),
        _ => false,
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

/// The row picked so far in a group of a task; its buffers are used again by the next one.
pub(super) struct Slot {
    row: u64,
    order: Vec<u8>,
    value: Vec<u8>,
}

impl Slot {
    pub(super) fn finish(self) -> Box<Picked> {
        let at = Position { row: self.row, ..Position::default() };
        let result = if self.value == self.order { Box::default() } else { self.value.into() };
        Box::new(Picked { at, order: self.order.into(), result })
    }
}

/// Adds rows: `pairs` are (row, group), in row order; the batch's row 0 is row `first_row` of the task.
pub(super) fn update(
    column: &mut [Option<Slot>],
    function: AggregateFunction,
    inputs: &[ArrayRef],
    pairs: &[(u32, u32)],
    first_row: u64,
) {
    use AggregateFunction::{First, Last, Max, MaxBy, Min, MinBy};
    let value = Encoder::new(&inputs[0], Zeros::Keep);
    let order = match function {
        Min | Max => Some(Encoder::new(&inputs[0], Zeros::Normalize)),
        MinBy | MaxBy => Some(Encoder::new(&inputs[1], Zeros::Normalize)),
        _ => None,
    };
    let filter = match function {
        First { .. } | Last { .. } => inputs.get(1).map(|filter| filter.as_boolean()),
        _ => None,
    };
    let ignores_nulls = matches!(function, First { ignore_nulls: true } | Last { ignore_nulls: true });
    let mut bytes = Vec::new();
    // Of the last rows only the last of the batch is wanted: from behind, a group is looked at once.
    let is_last = matches!(function, Last { .. });
    for index in 0..pairs.len() {
        let (row, group) = if is_last { pairs[pairs.len() - 1 - index] } else { pairs[index] };
        let (row, slot) = (row as usize, &mut column[group as usize]);
        if is_last && slot.as_ref().is_some_and(|slot| slot.row >= first_row) {
            continue;
        }
        let passed = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let is_null = order.as_ref().is_some_and(|order| order.is_null(row)) || ignores_nulls && value.is_null(row);
        if !passed || is_null {
            continue;
        }
        bytes.clear();
        order.iter().for_each(|order| order.encode(row, &mut bytes));
        if slot.as_ref().is_some_and(|slot| !beats(function, &bytes, &slot.order, true)) {
            continue;
        }
        let slot = slot.get_or_insert_with(|| Slot { row: 0, order: Vec::new(), value: Vec::new() });
        slot.row = first_row + row as u64;
        std::mem::swap(&mut slot.order, &mut bytes);
        slot.value.clear();
        value.encode(row, &mut slot.value);
    }
}

/// Whether a row, `later` or not than the best so far, takes its place.
fn beats(function: AggregateFunction, order: &[u8], best: &[u8], later: bool) -> bool {
    use AggregateFunction::{First, Last, Max, MaxBy, Min, MinBy};
    let compared = order.cmp(best);
    match function {
        First { .. } => !later,
        Last { .. } => later,
        Min => compared == Ordering::Less || compared.is_eq() && !later,
        Max => compared == Ordering::Greater || compared.is_eq() && !later,
        MinBy => compared == Ordering::Less || compared.is_eq() && later,
        MaxBy => compared == Ordering::Greater || compared.is_eq() && later,
        other => panic!("{other:?} picks no row"),
    }
}

/// Adds a task's pick to a group's; `origin` is the task's batch and number.
pub(super) fn merge(
    function: AggregateFunction,
    best: &mut Option<Box<Picked>>,
    other: &Option<Box<Picked>>,
    origin: (u64, u32),
) {
    let Some(other) = other else { return };
    let at = Position { batch_id: origin.0, task: origin.1, row: other.at.row };
    if best.as_ref().is_none_or(|best| beats(function, &other.order, &best.order, at > best.at)) {
        *best = Some(Box::new(Picked { at, ..(**other).clone() }));
    }
}
