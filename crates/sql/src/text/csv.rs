//! Values as Spark's CSV writer writes them with default options (rule S1).
//!
//! NULL is nothing, an empty string is `""`; white space around a string is taken off; what holds a comma, a quote or a
//! line end, and a line's first value when it begins with `#`, stands in quotes, with `"` and `\` escaped by `\`. A line that
//! would be empty, a single column's NULL, is left out.

use super::{json, show};
use crate::zone::WallClock;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, FieldRef, Schema};

/// The first column whose type CSV does not hold.
pub fn refused(schema: &Schema) -> Option<&FieldRef> {
    schema.fields().iter().find(|field| field.data_type().is_nested())
}

/// Appends one row with its line end; instants as `clock` shows them.
///
/// # Panics
/// On a type that no plan has, or that is [`refused`].
pub fn write_row(out: &mut String, rows: &RecordBatch, row: usize, clock: &WallClock) {
    let start = out.len();
    for (column, array) in rows.columns().iter().enumerate() {
        if column > 0 {
            out.push(',');
        }
        if array.data_type() != &DataType::Null && !array.is_null(row) {
            write_value(out, array, row, column == 0, clock);
        }
    }
    if out.len() > start {
        out.push('\n');
    }
}

fn write_value(out: &mut String, array: &dyn Array, row: usize, is_first: bool, clock: &WallClock) {
    match array.data_type() {
        DataType::Utf8 => write_text(out, array.as_string::<i32>().value(row), is_first, ",", false),
        DataType::Binary => show::write_value(out, array, row, clock),
        // As in JSON, where dates, times and numbers that are none stand in quotes.
        _ => {
            let start = out.len();
            json::write_value(out, array, row, clock);
            if out[start..].starts_with('"') {
                out.pop();
                out.remove(start);
            }
        }
    }
}

/// Appends a text, in quotes if it needs them.
pub(crate) fn write_text(out: &mut String, text: &str, is_first: bool, separator: &str, quotes_all: bool) {
    let text = text.trim_matches(|c| c <= ' ');
    let quoted = quotes_all
        || text.is_empty()
        || text.contains(separator)
        || text.contains(['"', '\n', '\r'])
        || (is_first && text.starts_with('#'));
    if !quoted {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
