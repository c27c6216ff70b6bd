//! Repeats rows for each of their windows, with the window as a column, if the query uses the window beyond grouping.
//! Costs a copy of the columns per window. A window that is only a key is folded by slices instead.

use super::rows::Selection;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StructArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;
use tidemill_model::WindowSpec;
use tidemill_sql::eval::take;
use tidemill_sql::types;

/// A piece ends after this many rows; all rows of a record are in one piece.
pub(super) const PIECE_ROWS: usize = 8_192;

/// The selected rows, once for each of their windows, in pieces. All of them have a time.
pub(super) fn pieces<'a>(
    spec: &'a WindowSpec,
    times: &'a ArrayRef,
    rows: &'a RecordBatch,
    selection: &'a Selection,
) -> impl Iterator<Item = (RecordBatch, Selection)> + use<'a> {
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let mut selected = selection.rows().peekable();
    std::iter::from_fn(move || {
        let (mut origins, mut starts) = (Vec::new(), Vec::new());
        selected.peek()?;
        while let Some(row) = selected.next_if(|row| {
            let last: Option<&usize> = origins.last();
            origins.len() < PIECE_ROWS || last.is_some_and(|last| selection.record(*last) == selection.record(*row))
        }) {
            starts.extend(spec.windows_of(times.value(row)));
            origins.resize(starts.len(), row);
        }
        Some((with_windows(spec, rows, &origins, starts), selection.repeated(&origins)))
    })
}

fn with_windows(spec: &WindowSpec, rows: &RecordBatch, origins: &[usize], starts: Vec<i64>) -> RecordBatch {
    let DataType::Struct(fields) = types::window() else { panic!("a window is a struct") };
    let times = |values: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(values).with_data_type(types::timestamp()))
    };
    let ends = starts.iter().map(|start| spec.end(*start)).collect();
    let window = StructArray::new(fields, vec![times(starts), times(ends)], None);
    let columns = rows.columns().iter().map(|column| take(column, origins));
    let columns = columns.chain([Arc::new(window) as ArrayRef]).collect();
    let mut schema: Vec<Field> = rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    schema.push(Field::new("window", types::window(), true));
    let options = RecordBatchOptions::new().with_row_count(Some(origins.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(schema)), columns, &options).expect("columns of one length")
}
