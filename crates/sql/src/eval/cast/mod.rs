//! Casts (rules T3, T4): which exist, and how each converts a whole array.
//!
//! In ANSI mode a value that does not fit fails its row; TRY_CAST gives NULL instead.

pub(crate) mod interval;
mod number;
mod text;
pub(crate) mod time;

pub(crate) use number::doubles;

use super::RowErrors;
use crate::expr::CastMode;
use crate::functions::{collections, maps};
use crate::intervals;
use crate::text::show;
use crate::text::times::Defaults;
use crate::types;
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, ListArray, MapArray, PrimitiveArray, StringArray, StructArray, new_null_array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, FieldRef, Fields};
use std::sync::Arc;

/// Whether Spark's ANSI mode has this cast and it is supported here.
pub(crate) fn allowed(from: &DataType, to: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, Null, Timestamp, Utf8};
    match (from, to) {
        (from, to) if from == to => true,
        (Null, _) => true,
        (_, Utf8) => true,
        (Utf8, DataType::Interval(_)) => false,
        (Utf8, to) => !types::is_nested(to),
        (DataType::List(from), DataType::List(to)) => allowed(from.data_type(), to.data_type()),
        (DataType::Struct(from), DataType::Struct(to)) => {
            from.len() == to.len() && from.iter().zip(to).all(|(from, to)| allowed(from.data_type(), to.data_type()))
        }
        (DataType::Map(from, _), DataType::Map(to, _)) => allowed(from.data_type(), to.data_type()),
        (from, to) if types::is_numeric(from) && types::is_numeric(to) => true,
        (from, to) if intervals::is_interval(from) || intervals::is_interval(to) => interval::allowed(from, to),
        (from, Boolean) | (Boolean, from) if types::is_numeric(from) => true,
        (from, Timestamp(_, Some(_))) | (Timestamp(_, Some(_)), from) if types::is_numeric(from) => true,
        (from, to) if types::is_datetime(from) && types::is_datetime(to) => true,
        (Binary | Date32, _) => false,
        _ => false,
    }
}

/// Whether a cast changes the keys of a MAP inside: with TRY_CAST they could become NULL.
pub(crate) fn may_lose_keys(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::List(from), DataType::List(to)) => may_lose_keys(from.data_type(), to.data_type()),
        (DataType::Struct(from), DataType::Struct(to)) => {
            from.iter().zip(to).any(|(from, to)| may_lose_keys(from.data_type(), to.data_type()))
        }
        (DataType::Map(..), DataType::Map(..)) => collections::index_type(from) != collections::index_type(to),
        _ => false,
    }
}

/// Records the failed rows of a cast.
pub(crate) struct Failures<'a> {
    mode: CastMode,
    errors: &'a mut RowErrors,
    /// The target type's name.
    to: String,
}

impl Failures<'_> {
    /// The value of `row` has the right form but is too large.
    pub fn overflow(&mut self, row: usize, value: impl std::fmt::Display) {
        self.record(row, "CAST_OVERFLOW", |to| {
            format!("{value} does not fit in {to}; use TRY_CAST to get NULL instead")
        });
    }

    /// The value of `row` does not have the form of the target type.
    pub fn invalid(&mut self, row: usize, value: impl std::fmt::Display) {
        self.record(row, "CAST_INVALID_INPUT", |to| format!("'{value}' is no {to}; use TRY_CAST to get NULL instead"));
    }

    /// The value of `row` has too many digits for the target decimal.
    pub fn out_of_range(&mut self, row: usize, value: impl std::fmt::Display) {
        let message = |to: &str| format!("{value} does not fit in {to}; use TRY_CAST to get NULL instead");
        self.record(row, "NUMERIC_VALUE_OUT_OF_RANGE", message);
    }

    fn record(&mut self, row: usize, class: &'static str, message: impl FnOnce(&str) -> String) {
        if self.mode == CastMode::Ansi {
            let to = &self.to;
            self.errors.record(row, class, || message(to));
        }
    }
}

/// `input` converted to another type. [`allowed`] must hold.
pub(crate) fn cast(
    input: &ArrayRef,
    to: &DataType,
    mode: CastMode,
    times: &Defaults,
    errors: &mut RowErrors,
) -> ArrayRef {
    let from = input.data_type().clone();
    if from == *to {
        return input.clone();
    }
    let mut failures = Failures { mode, errors, to: types::name(to) };
    match (&from, to) {
        (DataType::Null, _) => new_null_array(to, input.len()),
        (DataType::Binary, DataType::Utf8) => {
            let input = input.as_binary::<i32>();
            Arc::new(input.iter().map(|bytes| bytes.map(String::from_utf8_lossy)).collect::<StringArray>())
        }
        (_, DataType::Utf8) => {
            let write = |row| input.is_valid(row).then(|| show::cast(input, row, &times.clock));
            Arc::new((0..input.len()).map(write).collect::<StringArray>())
        }
        (DataType::List(_), DataType::List(element)) => elements(input.as_list(), element, mode, times, errors),
        (DataType::Map(..), DataType::Map(entries, _)) => self::entries(input.as_map(), entries, mode, times, errors),
        (DataType::Struct(_), DataType::Struct(fields)) => members(input.as_struct(), fields, mode, times, errors),
        (_, to) if intervals::is_interval(&from) || intervals::is_interval(to) => {
            interval::cast(input, to, &mut failures)
        }
        (DataType::Utf8, _) => text::cast(input.as_string(), to, times, &mut failures),
        (from, DataType::Timestamp(..)) if types::is_numeric(from) => time::from_number(input, to, &mut failures),
        (DataType::Timestamp(..), to) if types::is_numeric(to) => {
            time::to_number(input.as_primitive(), to, &mut failures)
        }
        (from, to) if types::is_datetime(from) && types::is_datetime(to) => {
            time::between(input, to, &times.clock, &mut failures)
        }
        _ => number::cast(input, to, &mut failures),
    }
}

/// A number as BIGINT.
pub(crate) fn to_long(input: &ArrayRef, errors: &mut RowErrors) -> ArrayRef {
    if *input.data_type() == DataType::Int64 {
        return input.clone();
    }
    if input.data_type().is_null() {
        return arrow_array::new_null_array(&DataType::Int64, input.len());
    }
    let mut failures = Failures { mode: CastMode::Ansi, errors, to: types::name(&DataType::Int64) };
    number::cast(input, &DataType::Int64, &mut failures)
}

/// An ARRAY converted to another element type.
fn elements(
    input: &ListArray,
    element: &FieldRef,
    mode: CastMode,
    times: &Defaults,
    errors: &mut RowErrors,
) -> ArrayRef {
    let mut inner = RowErrors::default();
    let values = cast(input.values(), element.data_type(), mode, times, &mut inner);
    fail_rows(inner, input.value_offsets(), input.nulls(), errors);
    Arc::new(ListArray::new(element.clone(), input.offsets().clone(), values, input.nulls().cloned()))
}

/// Records the errors of elements for their rows.
fn fail_rows(inner: RowErrors, offsets: &[i32], nulls: Option<&NullBuffer>, errors: &mut RowErrors) {
    for (at, error) in inner.iter() {
        let Some(row) = offsets.partition_point(|start| *start as usize <= at).checked_sub(1) else {
            continue;
        };
        if row + 1 < offsets.len() && nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            errors.record(row, error.class, || error.message.clone());
        }
    }
}

/// A MAP converted to other key and value types. Keys that become equal stay separate. A MAP with a key that becomes
/// NULL is NULL.
fn entries(input: &MapArray, entries: &FieldRef, mode: CastMode, times: &Defaults, errors: &mut RowErrors) -> ArrayRef {
    let DataType::Struct(fields) = entries.data_type() else {
        panic!("a map's entries are structs");
    };
    let mut inner = RowErrors::default();
    let keys = cast(input.keys(), fields[0].data_type(), mode, times, &mut inner);
    let values = cast(input.values(), fields[1].data_type(), mode, times, &mut inner);
    fail_rows(inner, input.value_offsets(), input.nulls(), errors);
    let offsets: Vec<usize> = input.value_offsets().iter().map(|offset| *offset as usize).collect();
    let data_type = DataType::Map(entries.clone(), false);
    let is_whole = |row: usize| {
        let has_keys = || (offsets[row]..offsets[row + 1]).all(|at| keys.is_valid(at));
        input.is_valid(row) && errors.get(row).is_none() && has_keys()
    };
    maps::of_rows(&data_type, &offsets, &keys, &values, &is_whole)
}

/// A STRUCT converted to other member types, by position.
fn members(input: &StructArray, fields: &Fields, mode: CastMode, times: &Defaults, errors: &mut RowErrors) -> ArrayRef {
    let mut own = RowErrors::default();
    let columns = input.columns().iter().zip(fields);
    let columns = columns.map(|(column, field)| cast(column, field.data_type(), mode, times, &mut own)).collect();
    errors.absorb(own, |row| input.is_valid(row));
    let members = StructArray::try_new_with_length(fields.clone(), columns, input.nulls().cloned(), input.len());
    Arc::new(members.expect("each member has its field's type"))
}

/// Converts a fixed-width array value by value. `None` gives NULL; `convert` has recorded the failure.
fn map<A: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    input: &PrimitiveArray<A>,
    mut convert: impl FnMut(usize, A::Native) -> Option<O::Native>,
) -> PrimitiveArray<O> {
    let mut failed = false;
    let mut out = Vec::with_capacity(input.len());
    let mut valid = Vec::new();
    for (row, value) in input.values().iter().enumerate() {
        let result = if input.is_valid(row) { convert(row, *value) } else { None };
        if result.is_none() && !failed {
            failed = true;
            valid = vec![true; row];
        }
        if failed {
            valid.push(result.is_some());
        }
        out.push(result.unwrap_or_default());
    }
    PrimitiveArray::new(out.into(), failed.then(|| NullBuffer::from(valid)))
}

/// Calls a generic function with the Arrow type of a number type.
macro_rules! with_number_type {
    ($data_type:expr, $function:ident($($argument:expr),*)) => {
        match $data_type {
            DataType::Int8 => $function::<Int8Type>($($argument),*),
            DataType::Int16 => $function::<Int16Type>($($argument),*),
            DataType::Int32 => $function::<Int32Type>($($argument),*),
            DataType::Int64 => $function::<Int64Type>($($argument),*),
            other => panic!("{other} is not integral"),
        }
    };
}
use with_number_type;
