//! Rows repeated for each element of an array, with the element's columns behind the others: `explode` and similar generators. Costs a
//! copy of the columns for each element. Rows of elements that are not there come to nothing, unless the query keeps them.

use super::rows::Selection;
use super::windows::PIECE_ROWS;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use std::sync::Arc;
use tidemill_sql::eval::{field, take, take_or_null};
use tidemill_sql::plan::GeneratePlan;

/// The selected rows, once for each element of their arrays, piece by piece. A record of which nothing is left counts as
/// filtered.
pub(super) fn pieces<'a>(
    plan: &'a GeneratePlan,
    arrays: &'a ArrayRef,
    rows: &'a RecordBatch,
    selection: &'a mut Selection,
) -> impl Iterator<Item = (RecordBatch, Selection)> + use<'a> {
    let lists = arrays.as_list::<i32>();
    let elements = move |row: usize| {
        let offsets = lists.value_offsets();
        if lists.is_valid(row) { offsets[row] as usize..offsets[row + 1] as usize } else { 0..0 }
    };
    if !plan.outer {
        selection.keep_if(|row| !elements(row).is_empty());
    }
    let selection = &*selection;
    let mut selected = selection.rows().peekable();
    std::iter::from_fn(move || {
        let (mut origins, mut places): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
        selected.peek()?;
        while let Some(row) = selected.next_if(|row| {
            let last = origins.last();
            origins.len() < PIECE_ROWS || last.is_some_and(|last| selection.record(*last) == selection.record(*row))
        }) {
            let found = elements(row);
            if found.is_empty() {
                places.push(None);
            } else {
                places.extend(found.map(Some));
            }
            origins.resize(places.len(), row);
        }
        Some((with_elements(plan, rows, lists.values(), &origins, &places), selection.repeated(&origins)))
    })
}

/// The number of each element among those of its row, from 0. A row is not spread over pieces.
fn numbers(origins: &[usize]) -> Int32Array {
    let mut last = None;
    let number = |origin: &usize| {
        let number = last.filter(|(row, _)| row == origin).map_or(0, |(_, number)| number + 1);
        last = Some((*origin, number));
        number
    };
    origins.iter().map(number).collect::<Vec<i32>>().into()
}

fn with_elements(
    plan: &GeneratePlan,
    rows: &RecordBatch,
    elements: &ArrayRef,
    origins: &[usize],
    places: &[Option<usize>],
) -> RecordBatch {
    let elements = take_or_null(elements, places);
    let mut added: Vec<ArrayRef> = match plan.members {
        true => (0..plan.columns.len()).map(|member| field(&elements, member)).collect(),
        false => vec![elements],
    };
    let mut fields: Vec<FieldRef> = rows.schema().fields().iter().chain(plan.columns.iter()).cloned().collect();
    if plan.numbered {
        added.push(Arc::new(numbers(origins)));
        fields.push(Arc::new(Field::new("element", DataType::Int32, true)));
    }
    let columns = rows.columns().iter().map(|column| take(column, origins)).chain(added).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(origins.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).expect("columns of one length")
}
