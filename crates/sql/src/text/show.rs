//! Values as Spark's `show` prints them: `2026-01-01 00:00:05.5`, `{a, NULL}`, `[1, 2]`, `{k -> v}`, `[CA FE]`.
//!
//! Strings stand as they are, without quotes. `CAST(x AS STRING)`, here too, is another text: BINARY is its bytes there, and a
//! NULL inside a value is `null`.

use super::{offset_of, write_date, write_date_time, write_decimal};
use crate::intervals::{self, Kind};
use crate::text::java_double::{write_java_double, write_java_float};
use crate::zone::WallClock;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use std::fmt::Write;
use tidemill_model::status::ResultRows;

/// The first `rows_max` rows as text; instants as `clock` shows them.
pub fn result_rows(rows: &RecordBatch, rows_max: usize, clock: &WallClock) -> ResultRows {
    let columns = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    let cells = |row: usize| rows.columns().iter().map(|column| value(column, row, clock)).collect();
    ResultRows { columns, rows: (0..rows.num_rows().min(rows_max)).map(cells).collect() }
}

/// One value as text.
pub fn value(array: &dyn Array, row: usize, clock: &WallClock) -> String {
    let mut out = String::new();
    write_value(&mut out, array, row, clock);
    out
}

/// One value as `CAST(x AS STRING)` gives it; of no use for NULL.
pub fn cast(array: &dyn Array, row: usize, clock: &WallClock) -> String {
    let mut out = String::new();
    write(
        &mut out,
        array,
        row,
        &Style { clock, null: "null", bytes: |out, bytes| out.push_str(&String::from_utf8_lossy(bytes)) },
    );
    out
}

/// As [`cast`], but a NULL inside the value is nothing at all: `[1,, 2]`.
pub(crate) fn bare(array: &dyn Array, row: usize, clock: &WallClock) -> String {
    let mut out = String::new();
    write(&mut out, array, row, &Style { clock, null: "", bytes: write_hex });
    out
}

/// Appends one value.
///
/// # Panics
/// On a type that no plan has.
pub fn write_value(out: &mut String, array: &dyn Array, row: usize, clock: &WallClock) {
    write(out, array, row, &Style { clock, null: "NULL", bytes: write_hex });
}

/// Where the two texts differ.
struct Style<'a> {
    clock: &'a WallClock,
    null: &'static str,
    bytes: fn(&mut String, &[u8]),
}

fn write(out: &mut String, array: &dyn Array, row: usize, style: &Style) {
    if array.data_type() == &DataType::Null || array.is_null(row) {
        out.push_str(style.null);
        return;
    }
    let clock = style.clock;
    match array.data_type() {
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Int8 => write_display(out, array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => write_display(out, array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => write_display(out, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => write_display(out, array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => write_java_float(out, array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => write_java_double(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            write_decimal(out, array.as_primitive::<Decimal128Type>().value(row), *scale);
        }
        DataType::Utf8 => out.push_str(array.as_string::<i32>().value(row)),
        DataType::Binary => (style.bytes)(out, array.as_binary::<i32>().value(row)),
        DataType::Date32 => write_date(out, i64::from(array.as_primitive::<Date32Type>().value(row))),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            write_timestamp(out, micros, offset_of(micros, zone.is_some(), clock));
        }
        DataType::Struct(_) => write_list(out, ['{', '}'], array.as_struct().columns(), |out, column| {
            write_item(out, column, row, style);
        }),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            write_list(out, ['[', ']'], 0..items.len(), |out, item| write_item(out, &items, item, style));
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            write_list(out, ['{', '}'], 0..entries.len(), |out, entry| {
                write(out, entries.column(0), entry, style);
                out.push_str(" -> ");
                write(out, entries.column(1), entry, style);
            });
        }
        other => write_interval(out, array, row, other),
    }
}

fn write_interval(out: &mut String, array: &dyn Array, row: usize, data_type: &DataType) {
    let kind = intervals::kind(data_type).unwrap_or_else(|| panic!("no plan has columns of type {data_type}"));
    match kind {
        Kind::YearMonth(..) => intervals::write(out, array.as_primitive::<Decimal32Type>().value(row).into(), kind),
        Kind::DayTime(..) => intervals::write(out, array.as_primitive::<Decimal64Type>().value(row), kind),
        Kind::Calendar => intervals::write_calendar(out, array.as_primitive::<IntervalMonthDayNanoType>().value(row)),
    }
}

/// An item of a list; the space before a NULL that is nothing goes away.
fn write_item(out: &mut String, array: &dyn Array, row: usize, style: &Style) {
    let is_nothing = style.null.is_empty() && (array.data_type() == &DataType::Null || array.is_null(row));
    if is_nothing && out.ends_with(' ') {
        out.pop();
    }
    write(out, array, row, style);
}

fn write_display(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("a String takes any text");
}

fn write_list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    mut write_item: impl FnMut(&mut String, T),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_item(out, item);
    }
    out.push(close);
}

/// The fraction as far as it is not zero.
fn write_timestamp(out: &mut String, micros: i64, offset: i64) {
    let fraction = write_date_time(out, micros, offset, ' ');
    if fraction > 0 {
        out.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
}

fn write_hex(out: &mut String, bytes: &[u8]) {
    out.push('[');
    for (index, byte) in bytes.iter().enumerate() {
        let space = if index > 0 { " " } else { "" };
        write!(out, "{space}{byte:02X}").expect("a String takes any text");
    }
    out.push(']');
}
