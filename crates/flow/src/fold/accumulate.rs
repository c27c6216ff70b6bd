//! Accumulators of all groups of a fold, a column per aggregate; and how two accumulators merge.

use crate::key::{Encoder, Zeros};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use tidemill_model::Accumulator;
use tidemill_sql::plan::{AggregateCall, AggregateFunction};

/// One aggregate's accumulators, by group number.
pub(super) enum AccumulatorColumn {
    Count(Vec<i64>),
    CountIf(Vec<i64>),
    SumInt(Vec<(i128, u64)>),
    SumDouble(Vec<(f64, u64)>),
    Min(Vec<Option<Box<[u8]>>>),
    Max(Vec<Option<Box<[u8]>>>),
}

impl AccumulatorColumn {
    pub(super) fn new(call: &AggregateCall) -> AccumulatorColumn {
        let exact = call.inputs.first().is_some_and(|input| sums_exactly(call.function, &input.data_type()));
        match call.function {
            AggregateFunction::Count => AccumulatorColumn::Count(Vec::new()),
            AggregateFunction::CountIf => AccumulatorColumn::CountIf(Vec::new()),
            AggregateFunction::Sum | AggregateFunction::Avg if exact => AccumulatorColumn::SumInt(Vec::new()),
            AggregateFunction::Sum | AggregateFunction::Avg => AccumulatorColumn::SumDouble(Vec::new()),
            AggregateFunction::Min => AccumulatorColumn::Min(Vec::new()),
            AggregateFunction::Max => AccumulatorColumn::Max(Vec::new()),
        }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        match self {
            AccumulatorColumn::Count(column) | AccumulatorColumn::CountIf(column) => column.resize(groups, 0),
            AccumulatorColumn::SumInt(column) => column.resize(groups, (0, 0)),
            AccumulatorColumn::SumDouble(column) => column.resize(groups, (0.0, 0)),
            AccumulatorColumn::Min(column) | AccumulatorColumn::Max(column) => column.resize(groups, None),
        }
    }

    /// One group's accumulator, moved out.
    pub(super) fn take(&mut self, group: usize) -> Accumulator {
        match self {
            AccumulatorColumn::Count(column) | AccumulatorColumn::CountIf(column) => Accumulator::Count(column[group]),
            AccumulatorColumn::SumInt(column) => Accumulator::SumInt { sum: column[group].0, seen: column[group].1 },
            AccumulatorColumn::SumDouble(column) => {
                Accumulator::SumDouble { sum: column[group].0, seen: column[group].1 }
            }
            AccumulatorColumn::Min(column) | AccumulatorColumn::Max(column) => {
                Accumulator::Extreme(column[group].take())
            }
        }
    }

    /// Adds rows: `pairs` are (row, group), in row order.
    pub(super) fn update(&mut self, inputs: &[ArrayRef], pairs: &[(u32, u32)]) {
        match self {
            AccumulatorColumn::Count(column) => {
                match NullBuffer::union_many(inputs.iter().map(|input| input.nulls())) {
                    Some(nulls) => {
                        pairs.iter().for_each(|(row, group)| {
                            column[*group as usize] += i64::from(nulls.is_valid(*row as usize))
                        });
                    }
                    None => pairs.iter().for_each(|(_, group)| column[*group as usize] += 1),
                }
            }
            AccumulatorColumn::CountIf(column) => {
                let input = inputs[0].as_boolean();
                let truth = match input.nulls() {
                    Some(nulls) => input.values() & nulls.inner(),
                    None => input.values().clone(),
                };
                pairs.iter().for_each(|(row, group)| column[*group as usize] += i64::from(truth.value(*row as usize)));
            }
            AccumulatorColumn::SumInt(column) => sum_int(column, &inputs[0], pairs),
            AccumulatorColumn::SumDouble(column) => sum_double(column, &inputs[0], pairs),
            AccumulatorColumn::Min(column) => extreme(column, &inputs[0], pairs, std::cmp::Ordering::Less),
            AccumulatorColumn::Max(column) => extreme(column, &inputs[0], pairs, std::cmp::Ordering::Greater),
        }
    }
}

/// Whether an aggregate adds integers exactly: sums of integers and decimals, averages of decimals (rule T1: `avg` of
/// integers adds in double).
pub(crate) fn sums_exactly(function: AggregateFunction, input: &DataType) -> bool {
    match input {
        DataType::Decimal128(..) => true,
        DataType::Float32 | DataType::Float64 => false,
        _ => function == AggregateFunction::Sum,
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
        DataType::Decimal128(..) => add_each(input.as_primitive::<Decimal128Type>().values(), nulls, pairs, add),
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

fn extreme(column: &mut [Option<Box<[u8]>>], input: &ArrayRef, pairs: &[(u32, u32)], wanted: std::cmp::Ordering) {
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

/// Adds `later` to `earlier`; the rows of `later` come after those of `earlier` in offset order.
///
/// Panics when the two are not of one aggregate, and when an exact sum leaves 128 bits (more rows than fit in time).
pub(crate) fn merge(function: AggregateFunction, earlier: &mut Accumulator, later: &Accumulator) {
    match (earlier, later) {
        (Accumulator::Count(a), Accumulator::Count(b)) => *a += b,
        (Accumulator::SumInt { sum, seen }, Accumulator::SumInt { sum: more, seen: others }) => {
            *sum += more;
            *seen += others;
        }
        (Accumulator::SumDouble { sum, seen }, Accumulator::SumDouble { sum: more, seen: others }) => {
            *sum += more;
            *seen += others;
        }
        (Accumulator::Extreme(best), Accumulator::Extreme(other)) => {
            let wins = match (&*best, other) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(best), Some(other)) if function == AggregateFunction::Min => other < best,
                (Some(best), Some(other)) => other > best,
            };
            if wins {
                best.clone_from(other);
            }
        }
        (earlier, later) => panic!("accumulators of two kinds meet: {earlier:?}, {later:?}"),
    }
}
