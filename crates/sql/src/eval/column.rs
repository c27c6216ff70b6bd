//! A column with one value per row, or one value for all rows; typed views of it; picking rows.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray, make_array, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_data::transform::MutableArrayData;

/// The values of an expression.
#[derive(Clone, Debug)]
pub struct Column {
    /// One value per row, or a single value.
    pub array: ArrayRef,
    /// Whether it is a single value for all rows.
    pub constant: bool,
}

impl Column {
    /// One value per row.
    pub fn rows(array: ArrayRef) -> Column {
        Column { array, constant: false }
    }

    /// One value for all rows.
    pub fn constant(array: ArrayRef) -> Column {
        assert_eq!(array.len(), 1, "a constant is one value");
        Column { array, constant: true }
    }

    /// Expands to one value per row.
    pub fn into_rows(self, rows: usize) -> ArrayRef {
        if self.constant { pick(&[self], (0..rows).map(|_| 0)) } else { self.array }
    }

    /// Index in the array of a row's value.
    pub(crate) fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.array.data_type().is_null() || self.array.is_null(self.at(row))
    }

    /// Which rows are not NULL; `None`: all of them.
    pub(crate) fn nulls(&self, rows: usize) -> Option<NullBuffer> {
        if !self.constant {
            return self.array.logical_nulls();
        }
        self.is_null(0).then(|| NullBuffer::new_null(rows))
    }

    pub(crate) fn texts(&self) -> Texts<'_> {
        Texts { array: self.array.as_string(), column: self }
    }

    pub(crate) fn numbers<T: ArrowPrimitiveType>(&self) -> Numbers<'_, T> {
        Numbers { array: self.array.as_primitive(), column: self }
    }

    /// The bytes of a STRING or BINARY.
    pub(crate) fn bytes(&self, row: usize) -> Option<&[u8]> {
        if self.is_null(row) {
            return None;
        }
        match self.array.as_string_opt::<i32>() {
            Some(array) => Some(array.value(self.at(row)).as_bytes()),
            None => Some(self.array.as_binary::<i32>().value(self.at(row))),
        }
    }
}

/// A STRING column.
pub(crate) struct Texts<'a> {
    array: &'a StringArray,
    column: &'a Column,
}

impl<'a> Texts<'a> {
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let at = self.column.at(row);
        self.array.is_valid(at).then(|| self.array.value(at))
    }
}

/// A column of a fixed-width type.
pub(crate) struct Numbers<'a, T: ArrowPrimitiveType> {
    array: &'a PrimitiveArray<T>,
    column: &'a Column,
}

impl<T: ArrowPrimitiveType> Numbers<'_, T> {
    pub fn get(&self, row: usize) -> Option<T::Native> {
        let at = self.column.at(row);
        self.array.is_valid(at).then(|| self.array.value(at))
    }

    /// The value; meaningless if it is NULL.
    #[inline]
    pub fn value(&self, row: usize) -> T::Native {
        self.array.values()[self.column.at(row)]
    }
}

/// An array whose row `i` is row `i` of the column that `choice` selects. All columns have one type.
pub(crate) fn pick(columns: &[Column], choice: impl Iterator<Item = usize>) -> ArrayRef {
    let data: Vec<_> = columns.iter().map(|column| column.array.to_data()).collect();
    let choice = choice.enumerate();
    let mut out = MutableArrayData::new(data.iter().collect(), false, choice.size_hint().0);
    for (row, source) in choice {
        let at = columns[source].at(row);
        out.try_extend(source, at, at + 1).expect("a batch is far from 2 GiB");
    }
    make_array(out.freeze())
}

/// The elements of an array at these positions. Runs are copied at once.
pub fn take(array: &ArrayRef, positions: &[usize]) -> ArrayRef {
    let is_whole = positions.len() == array.len() && positions.iter().enumerate().all(|(at, from)| at == *from);
    if is_whole {
        return array.clone();
    }
    let data = array.to_data();
    let mut out = MutableArrayData::new(vec![&data], false, positions.len());
    let mut next = 0;
    while next < positions.len() {
        let start = positions[next];
        let mut length = 1;
        while positions.get(next + length) == Some(&(start + length)) {
            length += 1;
        }
        out.try_extend(0, start, start + length).expect("a batch is far from 2 GiB");
        next += length;
    }
    make_array(out.freeze())
}

/// As [`take`]; NULL for a missing position.
pub fn take_or_null(array: &ArrayRef, positions: &[Option<usize>]) -> ArrayRef {
    let data = array.to_data();
    let null = new_null_array(array.data_type(), 1).to_data();
    let mut out = MutableArrayData::new(vec![&data, &null], true, positions.len());
    for position in positions {
        let (source, at) = position.map_or((1, 0), |at| (0, at));
        out.try_extend(source, at, at + 1).expect("a batch is far from 2 GiB");
    }
    make_array(out.freeze())
}
