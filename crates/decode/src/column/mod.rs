//! Column builders: values are appended directly to what become Arrow's buffers.
//!
//! Rows are only appended. `truncate` removes a row that turned out malformed; `remove` removes a value that a
//! duplicate key replaced (rule J6). NULLs are a list of positions, so a column without NULLs pays nothing for them.
//! Knows no JSON.

mod nested;
mod plain;

use arrow_array::types::*;
use arrow_array::{ArrayRef, BinaryArray};
use arrow_schema::{DataType, TimeUnit};
pub use nested::{List, Map, Struct};
pub use plain::{Bytes, Fixed};
use std::ops::Range;
use std::sync::Arc;

/// A builder for a column of any type that rule J3 covers.
#[derive(Debug)]
pub enum Column {
    Boolean(Fixed<bool>),
    Byte(Fixed<i8>),
    Short(Fixed<i16>),
    Int(Fixed<i32>),
    Long(Fixed<i64>),
    Float(Fixed<f32>),
    Double(Fixed<f64>),
    Decimal {
        precision: u8,
        scale: i8,
        values: Fixed<i128>,
    },
    String(Bytes),
    Binary(Bytes),
    Date(Fixed<i32>),
    Timestamp(Fixed<i64>),
    TimestampNtz(Fixed<i64>),
    /// An INTERVAL of years and months.
    Months {
        data_type: DataType,
        values: Fixed<i32>,
    },
    /// An INTERVAL of days and times.
    Micros {
        data_type: DataType,
        values: Fixed<i64>,
    },
    Struct(Struct),
    List(Box<List>),
    Map(Box<Map>),
}

/// Matches on the kind of a column and runs one expression for each kind.
macro_rules! each {
    ($column:expr, $plain:ident => $body:expr, $nested:ident => $nested_body:expr) => {
        match $column {
            Column::Boolean($plain) => $body,
            Column::Byte($plain) => $body,
            Column::Short($plain) => $body,
            Column::Int($plain) | Column::Date($plain) => $body,
            Column::Long($plain) | Column::Timestamp($plain) | Column::TimestampNtz($plain) => $body,
            Column::Float($plain) => $body,
            Column::Double($plain) => $body,
            Column::Decimal { values: $plain, .. } => $body,
            Column::Months { values: $plain, .. } => $body,
            Column::Micros { values: $plain, .. } => $body,
            Column::String($plain) | Column::Binary($plain) => $body,
            Column::Struct($nested) => $nested_body,
            Column::List($nested) => $nested_body,
            Column::Map($nested) => $nested_body,
        }
    };
}

impl Column {
    /// An empty column.
    ///
    /// # Panics
    /// If no schema text can have this type: a bug in the planner.
    pub fn new(data_type: &DataType) -> Column {
        match data_type {
            DataType::Boolean => Column::Boolean(Fixed::default()),
            DataType::Int8 => Column::Byte(Fixed::default()),
            DataType::Int16 => Column::Short(Fixed::default()),
            DataType::Int32 => Column::Int(Fixed::default()),
            DataType::Int64 => Column::Long(Fixed::default()),
            DataType::Float32 => Column::Float(Fixed::default()),
            DataType::Float64 => Column::Double(Fixed::default()),
            &DataType::Decimal128(precision, scale) => Column::Decimal { precision, scale, values: Fixed::default() },
            DataType::Utf8 => Column::String(Bytes::default()),
            DataType::Binary => Column::Binary(Bytes::default()),
            DataType::Date32 => Column::Date(Fixed::default()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Column::Timestamp(Fixed::default()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Column::TimestampNtz(Fixed::default()),
            DataType::Decimal32(..) => Column::Months { data_type: data_type.clone(), values: Fixed::default() },
            DataType::Decimal64(..) => Column::Micros { data_type: data_type.clone(), values: Fixed::default() },
            DataType::Struct(fields) => Column::Struct(Struct::new(fields)),
            DataType::List(element) => Column::List(Box::new(List::new(element))),
            DataType::Map(entries, _) => Column::Map(Box::new(Map::new(entries))),
            other => panic!("decode builds no {other}"),
        }
    }

    /// Number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        each!(self, plain => plain.len(), nested => nested.len())
    }

    /// Reserves space for `rows` more.
    pub fn reserve(&mut self, rows: usize) {
        each!(self, plain => plain.reserve(rows), nested => nested.reserve(rows));
    }

    /// Appends a NULL.
    pub fn push_null(&mut self) {
        each!(self, plain => plain.push_null(), nested => nested.push_null());
    }

    /// Removes rows from `length` on, and what an unfinished row left in nested columns.
    pub fn truncate(&mut self, length: usize) {
        each!(self, plain => plain.remove(length..plain.len()), nested => nested.truncate(length));
    }

    /// Removes rows; later rows move up.
    pub fn remove(&mut self, rows: Range<usize>) {
        each!(self, plain => plain.remove(rows), nested => nested.remove(rows));
    }

    /// The rows as an Arrow array. The column is empty afterwards.
    pub fn finish(&mut self, data_type: &DataType) -> ArrayRef {
        match self {
            Column::Boolean(values) => Arc::new(values.finish_boolean()),
            Column::Byte(values) => values.finish::<Int8Type>(data_type),
            Column::Short(values) => values.finish::<Int16Type>(data_type),
            Column::Int(values) => values.finish::<Int32Type>(data_type),
            Column::Long(values) => values.finish::<Int64Type>(data_type),
            Column::Float(values) => values.finish::<Float32Type>(data_type),
            Column::Double(values) => values.finish::<Float64Type>(data_type),
            Column::Decimal { values, .. } => values.finish::<Decimal128Type>(data_type),
            Column::String(values) => Arc::new(values.finish_strings()),
            Column::Binary(values) => {
                let (offsets, bytes, nulls) = values.take();
                Arc::new(BinaryArray::new(offsets, bytes.into(), nulls))
            }
            Column::Date(values) => values.finish::<Date32Type>(data_type),
            Column::Timestamp(values) | Column::TimestampNtz(values) => {
                values.finish::<TimestampMicrosecondType>(data_type)
            }
            Column::Months { values, .. } => values.finish::<Decimal32Type>(data_type),
            Column::Micros { values, .. } => values.finish::<Decimal64Type>(data_type),
            Column::Struct(values) => Arc::new(values.finish(data_type)),
            Column::List(values) => values.finish(data_type),
            Column::Map(values) => values.finish(data_type),
        }
    }
}
