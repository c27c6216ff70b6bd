//! Values as Spark's `to_json` and JSON sink write them (rule S1).
//!
//! NULL members of a struct are left out at every level, NULL elements of arrays and values of maps stay as `null`;
//! `/`, `<`, `&` and what is not ASCII are not escaped.

use super::{offset_of, show, write_date, write_date_time, write_decimal};
use crate::intervals;
use crate::text::java_double::{write_java_double, write_java_float};
use crate::zone::WallClock;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float32Type, Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, FieldRef, Fields, TimeUnit};
use std::fmt::Write;

/// How values are written.
pub struct Style<'a> {
    /// What instants are shown by.
    pub clock: &'a WallClock,
    /// Whether members of a STRUCT that are NULL are written as `null`.
    pub keeps_nulls: bool,
    /// How a TIMESTAMP is written, in microseconds; `None`: as ISO 8601.
    pub timestamp: Option<&'a dyn Fn(i64) -> String>,
    /// The same of a TIMESTAMP_NTZ.
    pub timestamp_ntz: Option<&'a dyn Fn(i64) -> String>,
    /// The same of a DATE, in days.
    pub date: Option<&'a dyn Fn(i64) -> String>,
}

impl<'a> Style<'a> {
    /// Spark's without options.
    pub fn plain(clock: &'a WallClock) -> Style<'a> {
        Style { clock, keeps_nulls: false, timestamp: None, timestamp_ntz: None, date: None }
    }
}

/// Appends one row as a JSON object, without a line end; instants as `clock` shows them.
///
/// # Panics
/// On a type that no plan has.
pub fn write_row(out: &mut String, rows: &RecordBatch, row: usize, clock: &WallClock) {
    RowWriter::new(rows, clock).write(out, row);
}

/// Appends rows of a batch, each as [`write_row`] does. Names and types of the columns are looked up once.
pub struct RowWriter<'a> {
    /// For each column, its name in quotes with a colon, and its values.
    columns: Vec<(String, Cells<'a>)>,
    style: Style<'a>,
}

enum Cells<'a> {
    Utf8(&'a StringArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    Other(&'a ArrayRef),
}

impl<'a> RowWriter<'a> {
    /// A writer of these rows; instants as `clock` shows them.
    pub fn new(rows: &'a RecordBatch, clock: &'a WallClock) -> RowWriter<'a> {
        let column = |(field, column): (&FieldRef, &'a ArrayRef)| {
            let mut name = String::new();
            write_string(&mut name, field.name());
            name.push(':');
            let cells = match column.data_type() {
                DataType::Utf8 => Cells::Utf8(column.as_string()),
                DataType::Int32 => Cells::Int32(column.as_primitive()),
                DataType::Int64 => Cells::Int64(column.as_primitive()),
                DataType::Float64 => Cells::Float64(column.as_primitive()),
                _ => Cells::Other(column),
            };
            (name, cells)
        };
        let columns = rows.schema_ref().fields().iter().zip(rows.columns()).map(column).collect();
        RowWriter { columns, style: Style::plain(clock) }
    }

    /// Appends one row as a JSON object, without a line end.
    ///
    /// # Panics
    /// On a type that no plan has.
    pub fn write(&self, out: &mut String, row: usize) {
        let start = out.len();
        for (name, cells) in &self.columns {
            let is_there = match cells {
                Cells::Utf8(values) => values.is_valid(row),
                Cells::Int32(values) => values.is_valid(row),
                Cells::Int64(values) => values.is_valid(row),
                Cells::Float64(values) => values.is_valid(row),
                Cells::Other(values) => values.data_type() != &DataType::Null && values.is_valid(row),
            };
            if !is_there {
                continue;
            }
            out.push(if out.len() == start { '{' } else { ',' });
            out.push_str(name);
            match cells {
                Cells::Utf8(values) => write_string(out, values.value(row)),
                Cells::Int32(values) => out.push_str(itoa::Buffer::new().format(values.value(row))),
                Cells::Int64(values) => out.push_str(itoa::Buffer::new().format(values.value(row))),
                Cells::Float64(values) => {
                    let value = values.value(row);
                    write_number(out, value.is_finite(), |out| write_java_double(out, value));
                }
                Cells::Other(values) => write_styled(out, values, row, &self.style),
            }
        }
        out.push_str(if out.len() == start { "{}" } else { "}" });
    }
}

/// Appends one value; NULL as `null`.
///
/// # Panics
/// On a type that no plan has.
pub fn write_value(out: &mut String, array: &dyn Array, row: usize, clock: &WallClock) {
    write_styled(out, array, row, &Style::plain(clock));
}

/// The same in a style.
pub fn write_styled(out: &mut String, array: &dyn Array, row: usize, style: &Style) {
    if array.data_type() == &DataType::Null || array.is_null(row) {
        out.push_str("null");
        return;
    }
    match array.data_type() {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            show::write_value(out, array, row, style.clock);
        }
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            write_number(out, value.is_finite(), |out| write_java_float(out, value));
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            write_number(out, value.is_finite(), |out| write_java_double(out, value));
        }
        DataType::Decimal128(_, scale) => {
            write_big_decimal(out, array.as_primitive::<Decimal128Type>().value(row), *scale);
        }
        DataType::Utf8 => write_string(out, array.as_string::<i32>().value(row)),
        DataType::Binary => write_base64(out, array.as_binary::<i32>().value(row)),
        DataType::Date32 => {
            let day = i64::from(array.as_primitive::<Date32Type>().value(row));
            match style.date {
                Some(format) => write_string(out, &format(day)),
                None => {
                    out.push('"');
                    write_date(out, day);
                    out.push('"');
                }
            }
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let format = if zone.is_some() { style.timestamp } else { style.timestamp_ntz };
            match format {
                Some(format) => write_string(out, &format(micros)),
                None => {
                    let offset = offset_of(micros, zone.is_some(), style.clock);
                    write_timestamp(out, micros, offset, zone.is_some());
                }
            }
        }
        DataType::Struct(fields) => write_members(out, fields, array.as_struct().columns(), row, style),
        DataType::List(_) => write_array(out, &array.as_list::<i32>().value(row), style),
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            write_map(out, entries.column(0), entries.column(1), style);
        }
        other if intervals::is_interval(other) => write_string(out, &show::value(array, row, style.clock)),
        other => panic!("no plan has columns of type {other}"),
    }
}

/// Appends text in quotes, escaped as Spark's writer (Jackson) escapes it.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let is_escaped = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    // Most texts have nothing to escape: to find that out without a branch for each byte is several times faster.
    let has_any = text.as_bytes().chunks(16).any(|bytes| bytes.iter().fold(false, |any, byte| any | is_escaped(byte)));
    let mut plain = 0;
    let escaped = text.bytes().enumerate().filter(|(_, byte)| is_escaped(byte));
    for (at, byte) in escaped.take(if has_any { usize::MAX } else { 0 }) {
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => write!(out, "\\u{byte:04X}").expect("a String takes any text"),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

fn write_members(out: &mut String, fields: &Fields, columns: &[ArrayRef], row: usize, style: &Style) {
    out.push('{');
    let mut first = true;
    for (field, column) in fields.iter().zip(columns) {
        if !style.keeps_nulls && (column.data_type() == &DataType::Null || column.is_null(row)) {
            continue;
        }
        write_comma(out, &mut first);
        write_string(out, field.name());
        out.push(':');
        write_styled(out, column, row, style);
    }
    out.push('}');
}

fn write_array(out: &mut String, items: &dyn Array, style: &Style) {
    out.push('[');
    let mut first = true;
    for item in 0..items.len() {
        write_comma(out, &mut first);
        write_styled(out, items, item, style);
    }
    out.push(']');
}

/// A key as the text of what Spark keeps it as: days, microseconds, `[1,x]` of a STRUCT.
fn internal_text(keys: &dyn Array, entry: usize, clock: &WallClock) -> String {
    match keys.data_type() {
        _ if keys.is_null(entry) => "null".into(),
        DataType::Date32 => keys.as_primitive::<Date32Type>().value(entry).to_string(),
        DataType::Timestamp(_, _) => keys.as_primitive::<TimestampMicrosecondType>().value(entry).to_string(),
        DataType::Struct(_) => {
            let fields = keys.as_struct().columns().iter();
            let fields: Vec<String> = fields.map(|field| internal_text(field, entry, clock)).collect();
            format!("[{}]", fields.join(","))
        }
        _ => show::value(keys, entry, clock),
    }
}

/// Keys are names, so always quoted: a string as it is, other types as Spark holds them inside (a DATE as its day
/// number, a TIMESTAMP in microseconds).
fn write_map(out: &mut String, keys: &dyn Array, values: &dyn Array, style: &Style) {
    out.push('{');
    let mut first = true;
    for entry in 0..keys.len() {
        write_comma(out, &mut first);
        let key = internal_text(keys, entry, style.clock);
        write_string(out, &key);
        out.push(':');
        write_styled(out, values, entry, style);
    }
    out.push('}');
}

fn write_comma(out: &mut String, first: &mut bool) {
    if !std::mem::replace(first, false) {
        out.push(',');
    }
}

/// What JSON has no number for is written as a string.
fn write_number(out: &mut String, finite: bool, write_text: impl FnOnce(&mut String)) {
    let quote = if finite { "" } else { "\"" };
    out.push_str(quote);
    write_text(out);
    out.push_str(quote);
}

/// Java's `BigDecimal.toString`: plain down to an exponent of −6, then `1.5E-7`.
fn write_big_decimal(out: &mut String, unscaled: i128, scale: i8) {
    let digits = unscaled.unsigned_abs().to_string();
    let exponent = digits.len() as i64 - 1 - i64::from(scale);
    if exponent >= -6 {
        write_decimal(out, unscaled, scale);
        return;
    }
    if unscaled < 0 {
        out.push('-');
    }
    let (first, rest) = digits.split_at(1);
    out.push_str(first);
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    write!(out, "E{exponent}").expect("a String takes any text");
}

/// `2026-01-01T01:00:05.000+01:00`, with the offset's seconds where it has some; a TIMESTAMP_NTZ has no offset.
fn write_timestamp(out: &mut String, micros: i64, offset: i64, zoned: bool) {
    out.push('"');
    let fraction = write_date_time(out, micros, offset, 'T');
    write!(out, ".{:03}", fraction / 1_000).expect("a String takes any text");
    match offset {
        _ if !zoned => {}
        0 => out.push('Z'),
        offset => {
            let (sign, seconds) = (if offset < 0 { '-' } else { '+' }, offset.abs());
            let (hours, minutes, seconds) = (seconds / 3_600, (seconds / 60).rem_euclid(60), seconds.rem_euclid(60));
            write!(out, "{sign}{hours:02}:{minutes:02}").expect("a String takes any text");
            if seconds != 0 {
                write!(out, ":{seconds:02}").expect("a String takes any text");
            }
        }
    }
    out.push('"');
}

/// Appends bytes in Base64, in quotes.
pub fn write_base64(out: &mut String, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.push('"');
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let six = group >> (18 - 6 * digit) & 63;
            out.push(if digit > chunk.len() { '=' } else { char::from(ALPHABET[six as usize]) });
        }
    }
    out.push('"');
}
