//! Adds rows to the accumulators of their groups, one column per aggregate. `tidemill_state` merges accumulators.

use super::{boxed, distinct, moments, pick};
use crate::key::{Encoder, Zeros, f64_of, ordered_f32, ordered_f64};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use tidemill_sql::plan::{AggregateCall, AggregateFunction};
use tidemill_state::{Column, Counts, DoubleSums, ExactSums, Extremes, Kind, Objects, Rule, Slots};

/// The kind of accumulator that an aggregate needs.
pub(crate) fn kind(call: &AggregateCall) -> Kind {
    use AggregateFunction as F;
    let exact = call.inputs.first().is_some_and(|input| sums_exactly(call.function, &input.data_type()));
    if let Some(rule) = pick::rule(call) {
        return Kind::Object(Rule::Pick(rule));
    }
    match call.function {
        F::Count | F::CountIf => Kind::Count,
        F::Sum | F::Avg | F::TrySum | F::TryAvg if exact => Kind::ExactSum,
        F::Sum | F::Avg | F::TrySum | F::TryAvg => Kind::DoubleSum,
        F::Min | F::Max => extreme_kind(call.function == F::Min, &call.data_type),
        F::StddevSamp | F::StddevPop | F::VarSamp | F::VarPop => Kind::Moments,
        F::ApproxCountDistinct { precision } => Kind::Object(Rule::Distinct { precision }),
        F::Collect | F::Comoments | F::HighMoments | F::BitAnd | F::BitOr | F::BitXor => Kind::Object(Rule::Boxed),
        F::First { .. } | F::Last { .. } | F::MinBy | F::MaxBy => unreachable!("these pick a row"),
    }
}

fn extreme_kind(least: bool, data_type: &DataType) -> Kind {
    match data_type {
        DataType::Decimal128(..) if least => Kind::LeastWide,
        DataType::Decimal128(..) => Kind::GreatestWide,
        fixed if fits_64_bits(fixed) && least => Kind::Least,
        fixed if fits_64_bits(fixed) => Kind::Greatest,
        _ if least => Kind::Object(Rule::Least),
        _ => Kind::Object(Rule::Greatest),
    }
}

/// Whether values of a type become numbers of 64 bits in the same order ([`extreme`]).
fn fits_64_bits(data_type: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal32, Decimal64, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp};
    // Decimal32 and Decimal64 are intervals.
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | Date32
            | Timestamp(TimeUnit::Microsecond, _)
            | Float32
            | Float64
            | Decimal32(..)
            | Decimal64(..)
    )
}

/// Adds rows to an aggregate's column. `pairs` holds (row, group) in row order; row 0 of the batch is row `first_row`
/// of the task.
pub(super) fn update(
    column: &mut Column,
    function: AggregateFunction,
    inputs: &[ArrayRef],
    pairs: &[(u32, u32)],
    first_row: u64,
) {
    match column {
        Column::Counts(column) if function == AggregateFunction::CountIf => count_if(column, &inputs[0], pairs),
        Column::Counts(column) => count(column, inputs, pairs),
        Column::ExactSums(column) => sum_exactly(column, &inputs[0], pairs),
        Column::DoubleSums(column) => sum_double(column, &inputs[0], pairs),
        Column::Moments(column) => moments::update(column, &inputs[0], pairs),
        Column::Extremes(column) => extreme(column, &inputs[0], pairs),
        Column::WideExtremes(column) => {
            let input = inputs[0].as_primitive::<Decimal128Type>();
            add_each(input.values(), input.nulls(), pairs, |group, value| column.add(group, Some(value)));
        }
        Column::Objects(column) => match column.rule() {
            Rule::Least | Rule::Greatest => extreme_bytes(column, &inputs[0], pairs),
            Rule::Pick(rule) => pick::update(column, function, rule, inputs, pairs, first_row),
            Rule::Distinct { precision } => distinct::update(column, precision, &inputs[0], pairs),
            Rule::Boxed => boxed::update(column, function, inputs, pairs, first_row),
        },
    }
}

fn count(column: &mut Counts, inputs: &[ArrayRef], pairs: &[(u32, u32)]) {
    match NullBuffer::union_many(
        inputs.iter().map(|input| input.logical_nulls()).collect::<Vec<_>>().iter().map(Option::as_ref),
    ) {
        Some(nulls) => {
            pairs.iter().for_each(|(row, group)| column.add(*group as usize, nulls.is_valid(*row as usize).into()));
        }
        None => pairs.iter().for_each(|(_, group)| column.add(*group as usize, 1)),
    }
}

fn count_if(column: &mut Counts, input: &ArrayRef, pairs: &[(u32, u32)]) {
    let input = input.as_boolean();
    let holding = match input.nulls() {
        Some(nulls) => input.values() & nulls.inner(),
        None => input.values().clone(),
    };
    pairs.iter().for_each(|(row, group)| column.add(*group as usize, holding.value(*row as usize).into()));
}

/// Whether an aggregate adds integers exactly: sums of integers and decimals, averages of decimals. `avg` of integers
/// adds doubles (rule T1).
pub(crate) fn sums_exactly(function: AggregateFunction, input: &DataType) -> bool {
    match input {
        // The last two are intervals.
        DataType::Decimal128(..) | DataType::Decimal32(..) | DataType::Decimal64(..) => true,
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

fn sum_exactly(column: &mut ExactSums, input: &ArrayRef, pairs: &[(u32, u32)]) {
    let nulls = input.nulls();
    let mut add = |group: usize, value: i128| column.add(group, (value, 1));
    match input.data_type() {
        DataType::Int8 => add_each(input.as_primitive::<Int8Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int16 => add_each(input.as_primitive::<Int16Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int32 => add_each(input.as_primitive::<Int32Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int64 => add_each(input.as_primitive::<Int64Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Decimal32(..) => {
            add_each(input.as_primitive::<Decimal32Type>().values(), nulls, pairs, |g, v| add(g, v.into()));
        }
        DataType::Decimal64(..) => {
            add_each(input.as_primitive::<Decimal64Type>().values(), nulls, pairs, |g, v| add(g, v.into()));
        }
        DataType::Decimal128(..) => add_each(input.as_primitive::<Decimal128Type>().values(), nulls, pairs, add),
        other => panic!("the plan lets no sum take {other}"),
    }
}

fn sum_double(column: &mut DoubleSums, input: &ArrayRef, pairs: &[(u32, u32)]) {
    let nulls = input.nulls();
    let mut add = |group: usize, value: f64| column.add(group, (value, 1));
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

fn extreme(column: &mut Extremes<i64>, input: &ArrayRef, pairs: &[(u32, u32)]) {
    let nulls = input.nulls();
    let mut add = |group: usize, value: i64| column.add(group, Some(value));
    match input.data_type() {
        DataType::Boolean => {
            let input = input.as_boolean();
            for (row, group) in pairs.iter().filter(|(row, _)| input.is_valid(*row as usize)) {
                add(*group as usize, input.value(*row as usize).into());
            }
        }
        DataType::Int8 => add_each(input.as_primitive::<Int8Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int16 => add_each(input.as_primitive::<Int16Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int32 => add_each(input.as_primitive::<Int32Type>().values(), nulls, pairs, |g, v| add(g, v.into())),
        DataType::Int64 => add_each(input.as_primitive::<Int64Type>().values(), nulls, pairs, add),
        DataType::Date32 => {
            add_each(input.as_primitive::<Date32Type>().values(), nulls, pairs, |g, v| add(g, v.into()));
        }
        DataType::Timestamp(..) => {
            add_each(input.as_primitive::<TimestampMicrosecondType>().values(), nulls, pairs, add)
        }
        DataType::Float32 => add_each(input.as_primitive::<Float32Type>().values(), nulls, pairs, |g, v| {
            add(g, ordered_f32(v, Zeros::Keep).into());
        }),
        DataType::Float64 => add_each(input.as_primitive::<Float64Type>().values(), nulls, pairs, |g, v| {
            add(g, signed(ordered_f64(v, Zeros::Keep)));
        }),
        DataType::Decimal32(..) => {
            add_each(input.as_primitive::<Decimal32Type>().values(), nulls, pairs, |g, v| add(g, v.into()));
        }
        DataType::Decimal64(..) => add_each(input.as_primitive::<Decimal64Type>().values(), nulls, pairs, add),
        other => panic!("the least and greatest of {other} are not kept as numbers"),
    }
}

/// The signed number in the same place of the order.
fn signed(ordered: u64) -> i64 {
    (ordered ^ 1 << 63) as i64
}

/// A DOUBLE from what [`extreme`] made of it.
pub(crate) fn double_of(extreme: i64) -> f64 {
    f64_of(extreme as u64 ^ 1 << 63)
}

fn extreme_bytes(column: &mut Objects, input: &ArrayRef, pairs: &[(u32, u32)]) {
    let encoder = Encoder::new(input, Zeros::Keep);
    let mut bytes = Vec::new();
    for (row, group) in pairs.iter().filter(|(row, _)| !encoder.is_null(*row as usize)) {
        bytes.clear();
        encoder.encode(*row as usize, &mut bytes);
        column.see(*group as usize, &bytes);
    }
}
