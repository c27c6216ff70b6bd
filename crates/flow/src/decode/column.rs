//! Columns under construction: values go straight into what becomes Arrow's buffers.
//!
//! Rows are only ever added at the end; `truncate` takes back a row that turned out malformed, `remove` a value that a
//! duplicate key replaced (rule J6). NULLs are kept as a list of positions, so that a column without any pays nothing.
//! Knows no JSON.

use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray};
use arrow_array::{StringArray, StructArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, BooleanBufferBuilder, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, FieldRef, Fields, TimeUnit};
use std::ops::Range;
use std::sync::Arc;

use super::shape::Shape;

/// A column of any type that rule J3's tables know.
#[derive(Debug)]
pub enum Column {
    Boolean(Fixed<bool>),
    Byte(Fixed<i8>),
    Short(Fixed<i16>),
    Int(Fixed<i32>),
    Long(Fixed<i64>),
    Float(Fixed<f32>),
    Double(Fixed<f64>),
    Decimal { precision: u8, scale: i8, values: Fixed<i128> },
    String(Bytes),
    Binary(Bytes),
    Date(Fixed<i32>),
    Timestamp(Fixed<i64>),
    TimestampNtz(Fixed<i64>),
    Struct(Struct),
    List(Box<List>),
    Map(Box<Map>),
}

/// Positions of NULLs, ascending.
#[derive(Debug, Default)]
pub struct Nulls(Vec<usize>);

/// Values of one width.
#[derive(Debug, Default)]
pub struct Fixed<T> {
    values: Vec<T>,
    nulls: Nulls,
}

/// Values of any length, one after the other.
#[derive(Debug)]
pub struct Bytes {
    values: Vec<u8>,
    offsets: Vec<i32>,
    nulls: Nulls,
}

/// A STRUCT column, or the root.
#[derive(Debug)]
pub struct Struct {
    pub names: Vec<Box<[u8]>>,
    pub columns: Vec<Column>,
    /// What the record before looked like.
    pub shape: Shape,
    length: usize,
    nulls: Nulls,
}

/// An ARRAY column.
#[derive(Debug)]
pub struct List {
    pub elements: Column,
    offsets: Vec<i32>,
    nulls: Nulls,
}

/// A MAP column.
#[derive(Debug)]
pub struct Map {
    pub keys: Bytes,
    pub values: Column,
    offsets: Vec<i32>,
    nulls: Nulls,
}

/// Runs one expression on whichever `Fixed` a column holds, another on `Bytes`, and so on.
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
    /// When no schema text can have that type: the plan made a mistake.
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
            DataType::Struct(fields) => Column::Struct(Struct::new(fields)),
            DataType::List(element) => Column::List(Box::new(List {
                elements: Column::new(element.data_type()),
                offsets: vec![0],
                nulls: Nulls::default(),
            })),
            DataType::Map(entries, _) => Column::Map(Box::new(Map {
                keys: Bytes::default(),
                values: Column::new(map_value(entries).data_type()),
                offsets: vec![0],
                nulls: Nulls::default(),
            })),
            other => panic!("decode builds no {other}"),
        }
    }

    /// Rows so far.
    #[inline]
    pub fn len(&self) -> usize {
        each!(self, plain => plain.len(), nested => nested.len())
    }

    /// Makes room for `rows` more.
    pub fn reserve(&mut self, rows: usize) {
        each!(self, plain => plain.reserve(rows), nested => nested.reserve(rows));
    }

    /// Adds a NULL.
    pub fn push_null(&mut self) {
        each!(self, plain => plain.push_null(), nested => nested.push_null());
    }

    /// Forgets rows from `length` on, and what an unfinished row left in nested columns.
    pub fn truncate(&mut self, length: usize) {
        each!(self, plain => plain.remove(length..plain.len()), nested => nested.truncate(length));
    }

    /// Takes rows out; those behind move up.
    pub fn remove(&mut self, rows: Range<usize>) {
        each!(self, plain => plain.remove(rows), nested => nested.remove(rows));
    }

    /// The rows as an Arrow array; the column is empty again.
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
            Column::Struct(values) => Arc::new(values.finish(data_type)),
            Column::List(values) => values.finish(data_type),
            Column::Map(values) => values.finish(data_type),
        }
    }
}

impl Nulls {
    fn remove(&mut self, rows: &Range<usize>) {
        if self.0.last().is_some_and(|&last| last >= rows.start) {
            self.0.retain(|at| !rows.contains(at));
            let moved = self.0.partition_point(|&at| at < rows.start);
            self.0[moved..].iter_mut().for_each(|at| *at -= rows.len());
        }
    }

    fn take(&mut self, length: usize) -> Option<NullBuffer> {
        if self.0.is_empty() {
            return None;
        }
        let mut valid = BooleanBufferBuilder::new(length);
        valid.append_n(length, true);
        self.0.drain(..).for_each(|at| valid.set_bit(at, false));
        Some(NullBuffer::new(valid.finish()))
    }
}

impl<T: Copy + Default> Fixed<T> {
    /// Adds a value.
    #[inline]
    pub fn push(&mut self, value: T) {
        self.values.push(value);
    }

    /// Adds a NULL.
    pub fn push_null(&mut self) {
        self.nulls.0.push(self.values.len());
        self.values.push(T::default());
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
    }

    fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        self.values.drain(rows);
    }
}

impl<T: ArrowNativeType> Fixed<T> {
    fn finish<A: ArrowPrimitiveType<Native = T>>(&mut self, data_type: &DataType) -> ArrayRef {
        let nulls = self.nulls.take(self.values.len());
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        Arc::new(PrimitiveArray::<A>::new(values, nulls).with_data_type(data_type.clone()))
    }
}

impl Fixed<bool> {
    fn finish_boolean(&mut self) -> BooleanArray {
        let nulls = self.nulls.take(self.values.len());
        let values = BooleanBuffer::from(self.values.as_slice());
        self.values.clear();
        BooleanArray::new(values, nulls)
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes { values: Vec::new(), offsets: vec![0], nulls: Nulls::default() }
    }
}

impl Bytes {
    /// Adds a value.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.offsets.push(offset(self.values.len()));
    }

    /// Adds a NULL.
    pub fn push_null(&mut self) {
        self.nulls.0.push(self.len());
        self.offsets.push(offset(self.values.len()));
    }

    /// Values so far.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn reserve(&mut self, rows: usize) {
        self.offsets.reserve(rows);
    }

    fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        self.values.drain(cut(&mut self.offsets, rows));
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Vec<u8>, Option<NullBuffer>) {
        let nulls = self.nulls.take(self.len());
        (take_offsets(&mut self.offsets), std::mem::take(&mut self.values), nulls)
    }

    fn finish_strings(&mut self) -> StringArray {
        let (offsets, bytes, nulls) = self.take();
        StringArray::new(offsets, bytes.into(), nulls)
    }
}

impl Struct {
    /// An empty column of these fields.
    pub fn new(fields: &Fields) -> Struct {
        Struct {
            names: fields.iter().map(|field| field.name().as_bytes().into()).collect(),
            columns: fields.iter().map(|field| Column::new(field.data_type())).collect(),
            shape: Shape::default(),
            length: 0,
            nulls: Nulls::default(),
        }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Makes room for `rows` more.
    pub fn reserve(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.reserve(rows));
    }

    /// Ends a row: NULL in every field that it did not name.
    #[inline]
    pub fn end_row(&mut self) {
        for column in &mut self.columns {
            if column.len() == self.length {
                column.push_null();
            }
        }
        self.length += 1;
    }

    /// Adds a NULL.
    pub fn push_null(&mut self) {
        self.nulls.0.push(self.length);
        self.end_row();
    }

    /// Forgets rows from `length` on, and what an unfinished row left.
    pub fn truncate(&mut self, length: usize) {
        self.nulls.remove(&(length..usize::MAX));
        self.columns.iter_mut().for_each(|column| column.truncate(length));
        self.length = self.length.min(length);
    }

    fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        self.length -= rows.len();
        self.columns.iter_mut().for_each(|column| column.remove(rows.clone()));
    }

    /// The columns' arrays; empty again.
    pub fn finish_columns(&mut self, fields: &Fields) -> Vec<ArrayRef> {
        self.length = 0;
        self.nulls.0.clear();
        self.columns.iter_mut().zip(fields).map(|(column, field)| column.finish(field.data_type())).collect()
    }

    fn finish(&mut self, data_type: &DataType) -> StructArray {
        let DataType::Struct(fields) = data_type else { panic!("a struct's type is {data_type}") };
        let (length, nulls) = (self.length, self.nulls.take(self.length));
        let columns = self.finish_columns(fields);
        if columns.is_empty() {
            return StructArray::new_empty_fields(length, nulls);
        }
        StructArray::new(fields.clone(), columns, nulls)
    }
}

impl List {
    /// Ends a row after its elements were added.
    pub fn end_row(&mut self) {
        self.offsets.push(offset(self.elements.len()));
    }

    /// Adds a NULL.
    pub fn push_null(&mut self) {
        self.nulls.0.push(self.len());
        self.elements.truncate(self.end());
        self.end_row();
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn end(&self) -> usize {
        self.offsets[self.len()] as usize
    }

    fn reserve(&mut self, rows: usize) {
        self.offsets.reserve(rows);
    }

    fn truncate(&mut self, length: usize) {
        self.nulls.remove(&(length..usize::MAX));
        self.offsets.truncate(length + 1);
        self.elements.truncate(self.end());
    }

    fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        self.elements.remove(cut(&mut self.offsets, rows));
    }

    fn finish(&mut self, data_type: &DataType) -> ArrayRef {
        let DataType::List(element) = data_type else { panic!("an array's type is {data_type}") };
        let nulls = self.nulls.take(self.len());
        let elements = self.elements.finish(element.data_type());
        Arc::new(ListArray::new(element.clone(), take_offsets(&mut self.offsets), elements, nulls))
    }
}

impl Map {
    /// Ends a row after its entries were added.
    pub fn end_row(&mut self) {
        self.offsets.push(offset(self.keys.len()));
    }

    /// Adds a NULL; entries that were added for it are forgotten.
    pub fn push_null(&mut self) {
        self.nulls.0.push(self.len());
        self.forget_entries();
        self.end_row();
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn forget_entries(&mut self) {
        let end = self.offsets[self.len()] as usize;
        self.keys.remove(end..self.keys.len());
        self.values.truncate(end);
    }

    fn reserve(&mut self, rows: usize) {
        self.offsets.reserve(rows);
    }

    fn truncate(&mut self, length: usize) {
        self.nulls.remove(&(length..usize::MAX));
        self.offsets.truncate(length + 1);
        self.forget_entries();
    }

    fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        let entries = cut(&mut self.offsets, rows);
        self.keys.remove(entries.clone());
        self.values.remove(entries);
    }

    fn finish(&mut self, data_type: &DataType) -> ArrayRef {
        let DataType::Map(entries, sorted) = data_type else { panic!("a map's type is {data_type}") };
        let DataType::Struct(fields) = entries.data_type() else { panic!("a map's entries are {data_type}") };
        let nulls = self.nulls.take(self.len());
        let values = self.values.finish(fields[1].data_type());
        let pairs = StructArray::new(fields.clone(), vec![Arc::new(self.keys.finish_strings()), values], None);
        Arc::new(MapArray::new(entries.clone(), take_offsets(&mut self.offsets), pairs, nulls, *sorted))
    }
}

/// The value field of a map's entries.
fn map_value(entries: &FieldRef) -> &FieldRef {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 && *fields[0].data_type() == DataType::Utf8 => &fields[1],
        other => panic!("decode builds no map of {other}"),
    }
}

/// Takes rows out of offsets; returns the range of values that were theirs.
fn cut(offsets: &mut Vec<i32>, rows: Range<usize>) -> Range<usize> {
    let (start, end) = (offsets[rows.start], offsets[rows.end]);
    offsets.drain(rows.start + 1..rows.end + 1);
    offsets[rows.start + 1..].iter_mut().for_each(|offset| *offset -= end - start);
    start as usize..end as usize
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
}

/// # Panics
/// Beyond 2 GiB of values in one chunk, which no reader makes.
#[inline]
fn offset(length: usize) -> i32 {
    i32::try_from(length).expect("a chunk's column stays below 2 GiB")
}
