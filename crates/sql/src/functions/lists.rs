//! Helpers for array and map kernels: reading lists row by row, building lists from positions in others, finding equal
//! values.

use super::hashes::xxhash64_of;
use crate::eval::compare::order_at;
use crate::eval::{Column, RowErrors};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ListArray, make_array, new_null_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_schema::DataType;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// An argument that is an ARRAY.
pub(super) struct Lists<'a> {
    column: &'a Column,
    list: &'a ListArray,
}

impl<'a> Lists<'a> {
    pub fn of(column: &'a Column) -> Lists<'a> {
        Lists { column, list: column.array.as_list() }
    }

    /// The elements of all rows.
    pub fn values(&self) -> &'a ArrayRef {
        self.list.values()
    }

    /// Range of a row's elements in [`Lists::values`]; `None` for NULL.
    pub fn range(&self, row: usize) -> Option<Range<usize>> {
        let at = self.column.at(row);
        let offsets = self.list.value_offsets();
        self.list.is_valid(at).then(|| offsets[at] as usize..offsets[at + 1] as usize)
    }
}

/// Whether a value of an array is NULL, whatever its type.
pub(super) fn is_null(array: &ArrayRef, at: usize) -> bool {
    array.data_type().is_null() || array.is_null(at)
}

/// Whether two values of arrays of one type are equal; NULL equals NULL.
pub(super) fn is_same((l, i): (&ArrayRef, usize), (r, j): (&ArrayRef, usize)) -> bool {
    match (is_null(l, i), is_null(r, j)) {
        (false, false) => order_at(l, i, r, j).is_eq(),
        (left, right) => left && right,
    }
}

/// Index of a source and a position in it.
type Pick = (u32, u32);

/// A pick that gives NULL.
const NULL: Pick = (u32::MAX, 0);

/// Most elements of a batch's lists. A row that would make more of little input fails.
pub(super) const ELEMENTS_MAX: usize = 1 << 24;

/// As [`is_same`], but 0.0 and −0.0 differ.
fn is_twin((l, i): (&ArrayRef, usize), (r, j): (&ArrayRef, usize)) -> bool {
    is_same((l, i), (r, j)) && sign_of_zero(l, i) == sign_of_zero(r, j)
}

/// The sign of a FLOAT or DOUBLE that is zero.
fn sign_of_zero(array: &ArrayRef, at: usize) -> Option<bool> {
    let value = match array.data_type() {
        DataType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(at)),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(at),
        _ => return None,
    };
    (value == 0.0).then(|| value.is_sign_negative())
}

/// The elements of new lists, each given by its position in a source.
pub(super) struct ListBuilder {
    picks: Vec<Pick>,
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl ListBuilder {
    pub fn new(rows: usize) -> ListBuilder {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        ListBuilder { picks: Vec::new(), offsets, valid: Vec::with_capacity(rows) }
    }

    pub fn push(&mut self, source: usize, at: usize) {
        self.picks.push((source as u32, at as u32));
    }

    pub fn push_null(&mut self) {
        self.picks.push(NULL);
    }

    /// Number of elements of the current row.
    pub fn length(&self) -> usize {
        self.picks.len() - self.offsets[self.offsets.len() - 1] as usize
    }

    /// Whether this many more elements fit; else the row fails.
    pub fn has_room(&self, more: usize, row: usize, errors: &mut RowErrors) -> bool {
        let has_room = more <= ELEMENTS_MAX - self.picks.len().min(ELEMENTS_MAX);
        if !has_room {
            let message = || format!("an array of {more} elements is too large; make a shorter one");
            errors.record(row, "COLLECTION_SIZE_LIMIT_EXCEEDED", message);
        }
        has_room
    }

    /// Ends a row; NULL unless `is_list`.
    pub fn end(&mut self, is_list: bool) {
        if !is_list {
            self.picks.truncate(self.offsets[self.offsets.len() - 1] as usize);
        }
        self.offsets.push(self.picks.len() as i32);
        self.valid.push(is_list);
    }

    /// One list per row from what `row` pushes; `None` gives NULL.
    pub fn rows(rows: usize, mut row: impl FnMut(&mut ListBuilder, usize) -> Option<()>) -> ListBuilder {
        let mut lists = ListBuilder::new(rows);
        for number in 0..rows {
            let is_list = row(&mut lists, number).is_some();
            lists.end(is_list);
        }
        lists
    }

    /// The lists, with elements taken from the sources, which have the element type.
    pub fn finish(self, sources: &[&ArrayRef], data_type: &DataType) -> ArrayRef {
        let DataType::List(field) = data_type else {
            panic!("{data_type} is no list");
        };
        let values = self.picked(sources, field.data_type());
        let nulls = NullBuffer::from(self.valid);
        let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
        Arc::new(ListArray::new(field.clone(), OffsetBuffer::new(self.offsets.into()), values, nulls))
    }

    fn picked(&self, sources: &[&ArrayRef], element: &DataType) -> ArrayRef {
        let null = new_null_array(element, 1);
        let data: Vec<_> = sources.iter().copied().chain([&null]).map(|source| source.to_data()).collect();
        let mut out = MutableArrayData::new(data.iter().collect(), true, self.picks.len());
        let mut next = 0;
        while next < self.picks.len() {
            let (source, start) = self.picks[next];
            let mut length = 1;
            while source != NULL.0 && self.picks.get(next + length) == Some(&(source, start + length as u32)) {
                length += 1;
            }
            let source = (source as usize).min(sources.len());
            out.try_extend(source, start as usize, start as usize + length).expect("a batch is far from 2 GiB");
            next += length;
        }
        make_array(out.freeze())
    }
}

/// A set of values from sources of one type. A few values are compared one by one, many by hash. As in Spark's sets,
/// 0.0 and −0.0 differ, unless they are inside another value.
pub(super) struct DistinctValues<'a> {
    sources: &'a [&'a ArrayRef],
    values: Vec<(usize, usize)>,
    by_hash: HashMap<u64, Vec<usize>>,
    has_one_zero: bool,
}

/// Up to this many values are compared one by one.
const FEW: usize = 16;

impl<'a> DistinctValues<'a> {
    pub fn new(sources: &'a [&'a ArrayRef]) -> DistinctValues<'a> {
        DistinctValues { sources, values: Vec::new(), by_hash: HashMap::new(), has_one_zero: false }
    }

    /// As [`DistinctValues::new`], but −0.0 equals 0.0.
    pub fn with_one_zero(sources: &'a [&'a ArrayRef]) -> DistinctValues<'a> {
        DistinctValues { has_one_zero: true, ..DistinctValues::new(sources) }
    }

    pub fn has(&self, source: usize, at: usize) -> bool {
        let is_it = |known: &usize| {
            let (known_source, known_at) = self.values[*known];
            let (known, value) = ((self.sources[known_source], known_at), (self.sources[source], at));
            if self.has_one_zero { is_same(known, value) } else { is_twin(known, value) }
        };
        if self.values.len() <= FEW {
            return (0..self.values.len()).any(|known| is_it(&known));
        }
        self.by_hash.get(&hash(self.sources[source], at)).is_some_and(|known| known.iter().any(is_it))
    }

    /// Adds a value; false if it is already there.
    pub fn add(&mut self, source: usize, at: usize) -> bool {
        if self.has(source, at) {
            return false;
        }
        let number = self.values.len();
        self.values.push((source, at));
        if number == FEW {
            for (number, (source, at)) in self.values.iter().enumerate() {
                self.by_hash.entry(hash(self.sources[*source], *at)).or_default().push(number);
            }
        } else if number > FEW {
            self.by_hash.entry(hash(self.sources[source], at)).or_default().push(number);
        }
        true
    }
}

/// A hash that is equal for equal values.
fn hash(array: &ArrayRef, at: usize) -> u64 {
    xxhash64_of(42, array, at)
}
