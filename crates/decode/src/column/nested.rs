//! Column builders for STRUCT, ARRAY and MAP.

use super::Column;
use super::plain::{Bytes, Nulls, cut, offset, take_offsets};
use crate::shape::Shape;
use arrow_array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow_schema::{DataType, FieldRef, Fields};
use std::ops::Range;
use std::sync::Arc;

/// A STRUCT column, or the root.
#[derive(Debug)]
pub struct Struct {
    pub names: Vec<Box<[u8]>>,
    pub columns: Vec<Column>,
    /// The expected order of members in a record.
    pub shape: Shape,
    /// For each field, the number of the row that last named it. Rows that were removed again count too.
    named_in: Vec<u64>,
    begun: u64,
    /// Number of fields that the current row has named.
    named: usize,
    /// Bit set of the fields (of the first 64) whose value in the row does not fit; see [`Struct::take_unfit`].
    unfit: u64,
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

impl Struct {
    /// An empty column with these fields.
    pub fn new(fields: &Fields) -> Struct {
        assert!(fields.iter().all(|field| field.is_nullable()), "fields of JSON are nullable: {fields:?}");
        Struct {
            names: fields.iter().map(|field| field.name().as_bytes().into()).collect(),
            columns: fields.iter().map(|field| Column::new(field.data_type())).collect(),
            shape: Shape::default(),
            named_in: vec![0; fields.len()],
            begun: 0,
            named: 0,
            unfit: 0,
            length: 0,
            nulls: Nulls::default(),
        }
    }

    /// Marks the row's value of a field as one that does not fit.
    #[cold]
    pub fn note_unfit(&mut self, field: usize) {
        self.unfit |= 1u64.checked_shl(field as u32).unwrap_or_default();
    }

    /// Bit set of the fields marked since the last call.
    pub fn take_unfit(&mut self) -> u64 {
        std::mem::take(&mut self.unfit)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Reserves space for `rows` more.
    pub fn reserve(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.reserve(rows));
    }

    /// Begins a row in which no field is named yet.
    #[inline]
    pub fn begin_row(&mut self) {
        self.begun += 1;
        self.named = 0;
    }

    /// Marks a field as named by the row; returns false if it already was.
    #[inline]
    pub fn is_first(&mut self, field: usize) -> bool {
        let first = self.named_in[field] != self.begun;
        self.named_in[field] = self.begun;
        self.named += usize::from(first);
        first
    }

    /// Ends a row: appends NULL to every field that it did not name.
    #[inline]
    pub fn end_row(&mut self) {
        if self.named < self.columns.len() {
            self.fill_row();
        }
        self.length += 1;
    }

    fn fill_row(&mut self) {
        for (column, named_in) in self.columns.iter_mut().zip(&self.named_in) {
            if *named_in != self.begun {
                column.push_null();
            }
        }
    }

    /// Appends a NULL.
    pub fn push_null(&mut self) {
        self.nulls.push(self.length);
        self.begin_row();
        self.end_row();
    }

    /// Removes rows from `length` on, and what an unfinished row left.
    pub fn truncate(&mut self, length: usize) {
        self.nulls.remove(&(length..usize::MAX));
        self.columns.iter_mut().for_each(|column| column.truncate(length));
        self.length = self.length.min(length);
    }

    pub(super) fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        self.length -= rows.len();
        self.columns.iter_mut().for_each(|column| column.remove(rows.clone()));
    }

    /// The columns' arrays. The builder is empty afterwards.
    pub fn finish_columns(&mut self, fields: &Fields) -> Vec<ArrayRef> {
        self.length = 0;
        self.nulls.clear();
        self.columns.iter_mut().zip(fields).map(|(column, field)| column.finish(field.data_type())).collect()
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> StructArray {
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
    /// An empty column with this element type.
    pub fn new(element: &FieldRef) -> List {
        assert!(element.is_nullable(), "elements of JSON are nullable: {element:?}");
        List { elements: Column::new(element.data_type()), offsets: vec![0], nulls: Nulls::default() }
    }

    /// Ends a row after its elements were appended.
    pub fn end_row(&mut self) {
        self.offsets.push(offset(self.elements.len()));
    }

    /// Appends a NULL.
    pub fn push_null(&mut self) {
        self.nulls.push(self.len());
        self.elements.truncate(self.end());
        self.end_row();
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn end(&self) -> usize {
        self.offsets[self.len()] as usize
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        self.offsets.reserve(rows);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.nulls.remove(&(length..usize::MAX));
        self.offsets.truncate(length + 1);
        self.elements.truncate(self.end());
    }

    pub(super) fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        self.elements.remove(cut(&mut self.offsets, rows));
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> ArrayRef {
        let DataType::List(element) = data_type else { panic!("an array's type is {data_type}") };
        let nulls = self.nulls.take(self.len());
        let elements = self.elements.finish(element.data_type());
        Arc::new(ListArray::new(element.clone(), take_offsets(&mut self.offsets), elements, nulls))
    }
}

impl Map {
    /// An empty column with this entry type.
    pub fn new(entries: &FieldRef) -> Map {
        let values = Column::new(map_value(entries).data_type());
        Map { keys: Bytes::default(), values, offsets: vec![0], nulls: Nulls::default() }
    }

    /// Ends a row after its entries were appended.
    pub fn end_row(&mut self) {
        self.offsets.push(offset(self.keys.len()));
    }

    /// Appends a NULL and removes entries that were appended for it.
    pub fn push_null(&mut self) {
        self.nulls.push(self.len());
        self.forget_entries();
        self.end_row();
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn forget_entries(&mut self) {
        let end = self.offsets[self.len()] as usize;
        self.keys.remove(end..self.keys.len());
        self.values.truncate(end);
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        self.offsets.reserve(rows);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.nulls.remove(&(length..usize::MAX));
        self.offsets.truncate(length + 1);
        self.forget_entries();
    }

    pub(super) fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        let entries = cut(&mut self.offsets, rows);
        self.keys.remove(entries.clone());
        self.values.remove(entries);
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> ArrayRef {
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
        DataType::Struct(fields) if fields.len() == 2 && *fields[0].data_type() == DataType::Utf8 => {
            assert!(fields[1].is_nullable(), "map values of JSON are nullable: {fields:?}");
            &fields[1]
        }
        other => panic!("decode builds no map of {other}"),
    }
}
