//! Functions that take lambdas. A lambda's body is evaluated once for all elements of all rows.
//!
//! ```text
//!   rows:      a  b        transform(a, x -> x + b)
//!   0    [1, 2]  10        elements: x = 1, 2, 3   b = 10, 10, 20   row of each = 0, 0, 1
//!   1       [3]  20        body over 3 elements = 11, 12, 23, cut into [11, 12], [23]
//! ```
//! `aggregate` processes the arrays position by position, and `array_sort` merges all arrays in step, so they also
//! evaluate the body for many rows at once. A body that fails for an element fails the element's row.

mod maps;
mod sort;

use super::{Column, Input, Order, RowErrors, column, take, take_or_null};
use crate::expr::{HigherCall, HigherFunction, Lambda};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, ListArray, NullArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use std::ops::Range;
use std::sync::Arc;

/// The call's value for every row.
pub(super) fn call(call: &HigherCall, input: &Input, errors: &mut RowErrors) -> Column {
    let rows = input.rows.num_rows();
    let first = if call.function == HigherFunction::Aggregate { 1 } else { call.arguments.len() };
    let arguments = Order::Forward.compute(&call.arguments[..first], input, errors);
    let arguments: Vec<ArrayRef> = arguments.into_iter().map(|argument| argument.into_rows(rows)).collect();
    let lambda = &call.lambdas[0];
    let result: ArrayRef = match call.function {
        HigherFunction::Transform => transform(lambda, arguments[0].as_list(), &call.data_type, input, errors),
        HigherFunction::Filter => filter(lambda, arguments[0].as_list(), input, errors),
        HigherFunction::Exists => any(lambda, arguments[0].as_list(), true, input, errors),
        HigherFunction::Forall => any(lambda, arguments[0].as_list(), false, input, errors),
        HigherFunction::Aggregate => aggregate(call, arguments[0].as_list(), input, errors),
        HigherFunction::ZipWith => zip_with(lambda, &arguments, &call.data_type, input, errors),
        HigherFunction::ArraySort => sort::array_sort(lambda, arguments[0].as_list(), input, errors),
        HigherFunction::TransformKeys => maps::transform_keys(lambda, &arguments[0], &call.data_type, input, errors),
        HigherFunction::TransformValues => {
            maps::transform_values(lambda, &arguments[0], &call.data_type, input, errors)
        }
        HigherFunction::MapFilter => maps::map_filter(lambda, &arguments[0], input, errors),
        HigherFunction::MapZipWith => maps::map_zip_with(lambda, &arguments, &call.data_type, input, errors),
    };
    Column::rows(result)
}

/// The elements that a lambda is called with: their positions and rows.
struct Elements {
    positions: Vec<usize>,
    rows: Vec<usize>,
    /// For each row, its range among the elements.
    offsets: Vec<usize>,
}

impl Elements {
    /// All elements of the rows that are not NULL.
    fn of(offsets: &[i32], nulls: Option<&NullBuffer>) -> Elements {
        let rows = offsets.len() - 1;
        let mut elements = Elements { positions: Vec::new(), rows: Vec::new(), offsets: vec![0] };
        for row in 0..rows {
            if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                elements.rows.extend(range.clone().map(|_| row));
                elements.positions.extend(range);
            }
            elements.offsets.push(elements.positions.len());
        }
        elements
    }

    fn of_row(&self, row: usize) -> Range<usize> {
        self.offsets[row]..self.offsets[row + 1]
    }

    /// Each element's number in its row, from 0.
    fn numbers(&self) -> ArrayRef {
        let number = |(at, row): (usize, &usize)| (at - self.offsets[*row]) as i32;
        Arc::new(self.rows.iter().enumerate().map(number).collect::<Int32Array>())
    }

    /// Offsets of a list with these elements.
    fn list_offsets(&self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(self.offsets.iter().map(|offset| *offset as i32).collect())
    }
}

/// The lambda's value for each call, given the parameters' values and the row of each call. Errors are by call.
fn apply(lambda: &Lambda, values: Vec<ArrayRef>, rows: &[usize], input: &Input, errors: &mut RowErrors) -> ArrayRef {
    let mut used = vec![false; input.rows.num_columns()];
    lambda.body.columns(&mut |index| used[index] = true);
    let column_of = |(index, array): (usize, &ArrayRef)| -> ArrayRef {
        if used[index] { take(array, rows) } else { Arc::new(NullArray::new(rows.len())) }
    };
    let columns: Vec<ArrayRef> = input.rows.columns().iter().enumerate().map(column_of).collect();
    let fields: Vec<Field> = columns.iter().map(|column| Field::new("", column.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
    let outer = input.variables.iter().map(|(number, array)| (*number, take(array, rows)));
    let own = lambda.parameters.iter().zip(values).map(|((number, _), value)| (*number, value));
    let inner = Input {
        rows: &batch.expect("all columns are of one length"),
        context: input.context,
        times: input.times.clone(),
        variables: outer.chain(own).collect(),
    };
    column(&lambda.body, &inner, errors).into_rows(rows.len())
}

/// Records a call's error for its row: the first one of each row.
fn fail_rows(own: &RowErrors, rows: &[usize], errors: &mut RowErrors) {
    for (at, error) in own.iter() {
        errors.record(rows[at], error.class, || error.message.clone());
    }
}

/// The body's value for all elements; errors are recorded by row.
fn apply_to_elements(
    lambda: &Lambda,
    values: &ArrayRef,
    elements: &Elements,
    input: &Input,
    errors: &mut RowErrors,
) -> ArrayRef {
    let mut own = RowErrors::default();
    let result = apply(lambda, parameters(lambda, values, elements), &elements.rows, input, &mut own);
    fail_rows(&own, &elements.rows, errors);
    result
}

/// An element and, for a lambda with two parameters, its index.
fn parameters(lambda: &Lambda, values: &ArrayRef, elements: &Elements) -> Vec<ArrayRef> {
    let mut parameters = vec![take(values, &elements.positions)];
    if lambda.parameters.len() > 1 {
        parameters.push(elements.numbers());
    }
    parameters
}

fn element_field(data_type: &DataType) -> FieldRef {
    match data_type {
        DataType::List(element) => element.clone(),
        other => panic!("{other} is no list"),
    }
}

fn transform(
    lambda: &Lambda,
    list: &ListArray,
    data_type: &DataType,
    input: &Input,
    errors: &mut RowErrors,
) -> ArrayRef {
    let elements = Elements::of(list.value_offsets(), list.nulls());
    let values = apply_to_elements(lambda, list.values(), &elements, input, errors);
    Arc::new(ListArray::new(element_field(data_type), elements.list_offsets(), values, list.nulls().cloned()))
}

/// Where a condition holds; NULL counts as false.
fn holds(array: &ArrayRef) -> BooleanBuffer {
    if array.data_type().is_null() {
        return BooleanBuffer::new_unset(array.len());
    }
    let array = array.as_boolean();
    match array.nulls() {
        Some(nulls) => array.values() & nulls.inner(),
        None => array.values().clone(),
    }
}

fn filter(lambda: &Lambda, list: &ListArray, input: &Input, errors: &mut RowErrors) -> ArrayRef {
    let elements = Elements::of(list.value_offsets(), list.nulls());
    let kept = holds(&apply_to_elements(lambda, list.values(), &elements, input, errors));
    let mut offsets = vec![0];
    let mut positions = Vec::new();
    for row in 0..list.len() {
        positions.extend(elements.of_row(row).filter(|at| kept.value(*at)).map(|at| elements.positions[at]));
        offsets.push(positions.len() as i32);
    }
    let values = take(list.values(), &positions);
    let field = element_field(list.data_type());
    Arc::new(ListArray::new(field, OffsetBuffer::new(offsets.into()), values, list.nulls().cloned()))
}

/// `exists` (`decides` = true) and `forall` (false): an element with the deciding value gives the result, else NULL if
/// an element is NULL. Elements after the deciding one cannot fail.
fn any(lambda: &Lambda, list: &ListArray, decides: bool, input: &Input, errors: &mut RowErrors) -> ArrayRef {
    let elements = Elements::of(list.value_offsets(), list.nulls());
    let mut own = RowErrors::default();
    let values = parameters(lambda, list.values(), &elements);
    let result = apply(lambda, values, &elements.rows, input, &mut own);
    let is_known = |at: usize| !result.data_type().is_null() && result.is_valid(at);
    let mut counts = vec![true; result.len()];
    let value = |row: usize| {
        if list.is_null(row) {
            return None;
        }
        let range = elements.of_row(row);
        let decided = range.clone().find(|at| is_known(*at) && result.as_boolean().value(*at) == decides);
        if let Some(at) = decided {
            counts[at + 1..range.end].fill(false);
            return Some(decides);
        }
        range.clone().all(is_known).then_some(!decides)
    };
    let result: BooleanArray = (0..list.len()).map(value).collect();
    own = {
        let mut kept = RowErrors::default();
        kept.absorb(own, |at| counts[at]);
        kept
    };
    fail_rows(&own, &elements.rows, errors);
    Arc::new(result)
}

/// Folds each array from its first element on: the first elements of all rows at once, then the second ones, and so on.
fn aggregate(call: &HigherCall, list: &ListArray, input: &Input, errors: &mut RowErrors) -> ArrayRef {
    let rows = list.len();
    let mut own = RowErrors::default();
    let start = column(&call.arguments[1], input, &mut own);
    errors.absorb(own, |row| list.is_valid(row));
    let mut accumulators = start.into_rows(rows);
    let elements = Elements::of(list.value_offsets(), list.nulls());
    for step in 0.. {
        let mut going = (0..rows).filter(|row| elements.of_row(*row).len() > step).peekable();
        if going.peek().is_none() {
            break;
        }
        let going: Vec<usize> = going.filter(|row| errors.get(*row).is_none()).collect();
        let positions: Vec<usize> = going.iter().map(|row| elements.positions[elements.offsets[*row] + step]).collect();
        let values = vec![take(&accumulators, &going), take(list.values(), &positions)];
        let mut own = RowErrors::default();
        let merged = apply(&call.lambdas[0], values, &going, input, &mut own);
        fail_rows(&own, &going, errors);
        accumulators = replaced(accumulators, &going, merged);
    }
    let valid: Vec<usize> = (0..rows).filter(|row| list.is_valid(*row)).collect();
    let finished = match call.lambdas.get(1) {
        Some(finish) => {
            let mut own = RowErrors::default();
            let finished = apply(finish, vec![take(&accumulators, &valid)], &valid, input, &mut own);
            fail_rows(&own, &valid, errors);
            finished
        }
        None => take(&accumulators, &valid),
    };
    let mut next = 0..;
    let place: Vec<Option<usize>> = (0..rows).map(|row| list.is_valid(row).then(|| next.next()).flatten()).collect();
    take_or_null(&finished, &place)
}

/// The array with other values in some rows, which are ascending.
fn replaced(array: ArrayRef, rows: &[usize], values: ArrayRef) -> ArrayRef {
    if rows.len() == array.len() {
        return values;
    }
    let columns = [Column::rows(array.clone()), Column::rows(spread(&values, rows, array.len()))];
    let mut is_replaced = vec![0; array.len()];
    rows.iter().for_each(|row| is_replaced[*row] = 1);
    super::pick(&columns, is_replaced.into_iter())
}

/// Moves values to their rows; NULL in the others.
fn spread(values: &ArrayRef, rows: &[usize], length: usize) -> ArrayRef {
    let mut places = vec![None; length];
    rows.iter().enumerate().for_each(|(at, row)| places[*row] = Some(at));
    take_or_null(values, &places)
}

/// The shorter array is extended with NULLs.
fn zip_with(
    lambda: &Lambda,
    arguments: &[ArrayRef],
    data_type: &DataType,
    input: &Input,
    errors: &mut RowErrors,
) -> ArrayRef {
    let (left, right) = (arguments[0].as_list::<i32>(), arguments[1].as_list::<i32>());
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    let mut rows = Vec::new();
    let mut places: [Vec<Option<usize>>; 2] = [Vec::new(), Vec::new()];
    let mut offsets = vec![0];
    for row in 0..left.len() {
        if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            let lengths = [left, right].map(|list| list.value_length(row) as usize);
            for number in 0..lengths[0].max(lengths[1]) {
                rows.push(row);
                for (places, (list, length)) in places.iter_mut().zip([left, right].into_iter().zip(lengths)) {
                    places.push((number < length).then_some(list.value_offsets()[row] as usize + number));
                }
            }
        }
        offsets.push(rows.len() as i32);
    }
    let values = vec![take_or_null(left.values(), &places[0]), take_or_null(right.values(), &places[1])];
    let mut own = RowErrors::default();
    let result = apply(lambda, values, &rows, input, &mut own);
    fail_rows(&own, &rows, errors);
    Arc::new(ListArray::new(element_field(data_type), OffsetBuffer::new(offsets.into()), result, nulls))
}
