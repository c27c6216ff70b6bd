//! Accumulators of all groups of a fold, a column per aggregate; and how two accumulators merge.

use super::{distinct, moments, pick};
use crate::key::{Encoder, Zeros};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use std::cmp::Ordering;
use tidemill_model::{Accumulator, Moments, Picked, Position, Registers};
use tidemill_sql::plan::{AggregateCall, AggregateFunction};

/// What an exact sum is that has left 128 bits; it stays so. No result type holds it.
pub(crate) const OVERFLOWN: i128 = i128::MAX;

/// One aggregate's accumulators, by group number.
pub(super) struct AccumulatorColumn {
    function: AggregateFunction,
    slots: Slots,
}

enum Slots {
    Count(Vec<i64>),
    SumInt(Vec<(i128, u64)>),
    SumDouble(Vec<(f64, u64)>),
    Extreme(Vec<Option<Box<[u8]>>>),
    Moments(Vec<Moments>),
    Pick(Vec<Option<pick::Slot>>),
    Distinct(u8, Vec<Registers>),
}

impl AccumulatorColumn {
    pub(super) fn new(call: &AggregateCall) -> AccumulatorColumn {
        use AggregateFunction as F;
        let exact = call.inputs.first().is_some_and(|input| sums_exactly(call.function, &input.data_type()));
        let slots = match call.function {
            _ if pick::is_pick(call) => Slots::Pick(Vec::new()),
            F::Count | F::CountIf => Slots::Count(Vec::new()),
            F::Sum | F::Avg | F::TrySum | F::TryAvg if exact => Slots::SumInt(Vec::new()),
            F::Sum | F::Avg | F::TrySum | F::TryAvg => Slots::SumDouble(Vec::new()),
            F::Min | F::Max => Slots::Extreme(Vec::new()),
            F::StddevSamp | F::StddevPop | F::VarSamp | F::VarPop => Slots::Moments(Vec::new()),
            F::ApproxCountDistinct { precision } => Slots::Distinct(precision, Vec::new()),
            F::First { .. } | F::Last { .. } | F::MinBy | F::MaxBy => unreachable!("these pick a row"),
        };
        AccumulatorColumn { function: call.function, slots }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        match &mut self.slots {
            Slots::Count(column) => column.resize(groups, 0),
            Slots::SumInt(column) => column.resize(groups, (0, 0)),
            Slots::SumDouble(column) => column.resize(groups, (0.0, 0)),
            Slots::Extreme(column) => column.resize(groups, None),
            Slots::Moments(column) => column.resize(groups, Moments::default()),
            Slots::Pick(column) => column.resize_with(groups, || None),
            Slots::Distinct(_, column) => column.resize(groups, distinct::EMPTY),
        }
    }

    /// One group's accumulator, moved out.
    pub(super) fn take(&mut self, group: usize) -> Accumulator {
        match &mut self.slots {
            Slots::Count(column) => Accumulator::Count(column[group]),
            Slots::SumInt(column) => Accumulator::SumInt { sum: column[group].0, seen: column[group].1 },
            Slots::SumDouble(column) => Accumulator::SumDouble { sum: column[group].0, seen: column[group].1 },
            Slots::Extreme(column) => Accumulator::Extreme(column[group].take()),
            Slots::Moments(column) => Accumulator::Moments(column[group]),
            Slots::Pick(column) => Accumulator::Pick(column[group].take().map(pick::Slot::finish)),
            Slots::Distinct(_, column) => Accumulator::Distinct(std::mem::replace(&mut column[group], distinct::EMPTY)),
        }
    }

    /// Adds rows: `pairs` are (row, group), in row order; the batch's row 0 is row `first_row` of the task.
    pub(super) fn update(&mut self, inputs: &[ArrayRef], pairs: &[(u32, u32)], first_row: u64) {
        match &mut self.slots {
            Slots::Count(column) if self.function == AggregateFunction::CountIf => count_if(column, &inputs[0], pairs),
            Slots::Count(column) => count(column, inputs, pairs),
            Slots::SumInt(column) => sum_int(column, &inputs[0], pairs),
            Slots::SumDouble(column) => sum_double(column, &inputs[0], pairs),
            Slots::Extreme(column) => extreme(column, &inputs[0], pairs, wanted(self.function)),
            Slots::Moments(column) => moments::update(column, &inputs[0], pairs),
            Slots::Pick(column) => pick::update(column, self.function, inputs, pairs, first_row),
            Slots::Distinct(precision, column) => distinct::update(column, *precision, &inputs[0], pairs),
        }
    }
}

/// The accumulator of a group without rows.
pub(crate) fn fresh(call: &AggregateCall) -> Accumulator {
    let mut column = AccumulatorColumn::new(call);
    column.grow(1);
    column.take(0)
}

/// How the winner of `min` or `max` compares with the best so far.
fn wanted(function: AggregateFunction) -> Ordering {
    if function == AggregateFunction::Min { Ordering::Less } else { Ordering::Greater }
}

fn count(column: &mut [i64], inputs: &[ArrayRef], pairs: &[(u32, u32)]) {
    match NullBuffer::union_many(
        inputs.iter().map(|input| input.logical_nulls()).collect::<Vec<_>>().iter().map(Option::as_ref),
    ) {
        Some(nulls) => {
            pairs.iter().for_each(|(row, group)| column[*group as usize] += i64::from(nulls.is_valid(*row as usize)));
        }
        None => pairs.iter().for_each(|(_, group)| column[*group as usize] += 1),
    }
}

fn count_if(column: &mut [i64], input: &ArrayRef, pairs: &[(u32, u32)]) {
    let input = input.as_boolean();
    let truth = match input.nulls() {
        Some(nulls) => input.values() & nulls.inner(),
        None => input.values().clone(),
    };
    pairs.iter().for_each(|(row, group)| column[*group as usize] += i64::from(truth.value(*row as usize)));
}

/// Whether an aggregate adds integers exactly: sums of integers and decimals, averages of decimals (rule T1: `avg` of
/// integers adds in double).
pub(crate) fn sums_exactly(function: AggregateFunction, input: &DataType) -> bool {
    match input {
        DataType::Decimal128(..) => true,
        DataType::Float32 | DataType::Float64 => false,
        _ => matches!(function, AggregateFunction::Sum | AggregateFunction::TrySum),
    }
}

fn add_each<T: Copy>(values: &[T], nulls: Option<&NullBuffer>, pairs: &[(u32, u32)], mut add: impl FnMut(usize, T)) {
    match nulls {
        None => pairs.iter().for_each(|(row, group)| add(*group as usize, values[*row as usize])),
        Some(nulls) => {
            for (row, group) in pairs.iter().filter(|(row, _)| nulls.is_valid(*row as usize)) {
                add(*group as usize, values[*row as usize]);
            }
        }
    }
}

fn sum_int(column: &mut [(i128, u64)], input: &ArrayRef, pairs: &[(u32, u32)]) {
    let nulls = input.nulls();
    let mut add = |group: usize, value: i128| {
        let slot = &mut column[group];
        slot.0 += value;
        slot.1 += 1;
    };
    match input.data_type() {
        DataType::Int8 => add_each(input.as_primitive::<Int8Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int16 => add_each(input.as_primitive::<Int16Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int32 => add_each(input.as_primitive::<Int32Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int64 => add_each(input.as_primitive::<Int64Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Decimal128(..) => {
            add_each(input.as_primitive::<Decimal128Type>().values(), nulls, pairs, |group, value| {
                let slot = &mut column[group];
                slot.0 = add_exactly(slot.0, value);
                slot.1 += 1;
            });
        }
        other => panic!("the plan lets no sum take {other}"),
    }
}

fn sum_double(column: &mut [(f64, u64)], input: &ArrayRef, pairs: &[(u32, u32)]) {
    let nulls = input.nulls();
    let mut add = |group: usize, value: f64| {
        let slot = &mut column[group];
        slot.0 += value;
        slot.1 += 1;
    };
    match input.data_type() {
        DataType::Int8 => add_each(input.as_primitive::<Int8Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int16 => add_each(input.as_primitive::<Int16Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int32 => add_each(input.as_primitive::<Int32Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int64 => add_each(input.as_primitive::<Int64Type>().values(), nulls, pairs, |g, v| add(g, v as f64)),
        DataType::Float32 => {
            add_each(input.as_primitive::<Float32Type>().values(), nulls, pairs, |g, v| add(g, v.into()))
        }
        DataType::Float64 => add_each(input.as_primitive::<Float64Type>().values(), nulls, pairs, add),
        other => panic!("the plan lets no sum or average take {other}"),
    }
}

fn extreme(column: &mut [Option<Box<[u8]>>], input: &ArrayRef, pairs: &[(u32, u32)], wanted: Ordering) {
    let encoder = Encoder::new(input, Zeros::Keep);
    let mut bytes = Vec::new();
    for (row, group) in pairs.iter().filter(|(row, _)| !encoder.is_null(*row as usize)) {
        bytes.clear();
        encoder.encode(*row as usize, &mut bytes);
        let slot = &mut column[*group as usize];
        if slot.as_ref().is_none_or(|best| bytes.as_slice().cmp(best) == wanted) {
            *slot = Some(bytes.as_slice().into());
        }
    }
}

fn add_exactly(a: i128, b: i128) -> i128 {
    if a == OVERFLOWN || b == OVERFLOWN { OVERFLOWN } else { a.checked_add(b).unwrap_or(OVERFLOWN) }
}

/// Adds `later`, of task `origin` (its batch, its number), to `earlier`. Tasks are merged in offset order.
///
/// Panics when the two are not of one aggregate.
pub(crate) fn merge(function: AggregateFunction, earlier: &mut Accumulator, later: &Accumulator, origin: (u64, u32)) {
    if let (Accumulator::Extreme(best), Accumulator::Pick(_)) = (&*earlier, later) {
        *earlier = as_pick(best.as_deref());
    }
    match (earlier, later) {
        (Accumulator::Count(a), Accumulator::Count(b)) => *a += b,
        (Accumulator::SumInt { sum, seen }, Accumulator::SumInt { sum: more, seen: others }) => {
            *sum = add_exactly(*sum, *more);
            *seen += others;
        }
        (Accumulator::SumDouble { sum, seen }, Accumulator::SumDouble { sum: more, seen: others }) => {
            *sum += more;
            *seen += others;
        }
        (Accumulator::Extreme(best), Accumulator::Extreme(Some(other))) => {
            if best.as_ref().is_none_or(|best| other.cmp(best) == wanted(function)) {
                *best = Some(other.clone());
            }
        }
        (Accumulator::Extreme(_), Accumulator::Extreme(None)) => {}
        (Accumulator::Moments(earlier), Accumulator::Moments(later)) => moments::merge(earlier, later),
        (Accumulator::Pick(best), Accumulator::Pick(other)) => pick::merge(function, best, other, origin),
        (Accumulator::Distinct(into), Accumulator::Distinct(from)) => match function {
            AggregateFunction::ApproxCountDistinct { precision } => distinct::merge(into, precision, from),
            other => panic!("{other:?} counts no distinct values"),
        },
        (earlier, later) => panic!("accumulators of two kinds meet: {earlier:?}, {later:?}"),
    }
}

/// What states of earlier versions hold for `min` and `max` of floating point: the oldest pick there can be.
fn as_pick(winner: Option<&[u8]>) -> Accumulator {
    let pick = |value: &[u8]| Box::new(Picked { at: Position::default(), order: value.into(), result: Box::default() });
    Accumulator::Pick(winner.map(pick))
}
