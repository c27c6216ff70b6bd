//! Column builders for scalars.

use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, BooleanBufferBuilder, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use std::ops::Range;
use std::sync::Arc;

/// Positions of NULLs, ascending.
#[derive(Debug, Default)]
pub struct Nulls(Vec<usize>);

/// Values of a fixed width.
#[derive(Debug, Default)]
pub struct Fixed<T> {
    values: Vec<T>,
    nulls: Nulls,
}

/// Bytes copied at once. Most strings fit.
const BLOCK: usize = 32;

/// Values of variable length in one buffer.
#[derive(Debug)]
pub struct Bytes {
    values: Vec<u8>,
    offsets: Vec<i32>,
    nulls: Nulls,
    /// Length of the chunk before, for reserving.
    expected: usize,
}

impl Nulls {
    pub(super) fn push(&mut self, at: usize) {
        self.0.push(at);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn remove(&mut self, rows: &Range<usize>) {
        if self.0.last().is_some_and(|&last| last >= rows.start) {
            self.0.retain(|at| !rows.contains(at));
            let moved = self.0.partition_point(|&at| at < rows.start);
            self.0[moved..].iter_mut().for_each(|at| *at -= rows.len());
        }
    }

    pub(super) fn take(&mut self, length: usize) -> Option<NullBuffer> {
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
    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: T) {
        self.values.push(value);
    }

    /// Appends a NULL.
    pub fn push_null(&mut self) {
        self.nulls.push(self.values.len());
        self.values.push(T::default());
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
    }

    pub(super) fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        self.values.drain(rows);
    }
}

impl<T: ArrowNativeType> Fixed<T> {
    pub(super) fn finish<A: ArrowPrimitiveType<Native = T>>(&mut self, data_type: &DataType) -> ArrayRef {
        let nulls = self.nulls.take(self.values.len());
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        Arc::new(PrimitiveArray::<A>::new(values, nulls).with_data_type(data_type.clone()))
    }
}

impl Fixed<bool> {
    pub(super) fn finish_boolean(&mut self) -> BooleanArray {
        let nulls = self.nulls.take(self.values.len());
        let values = BooleanBuffer::from(self.values.as_slice());
        self.values.clear();
        BooleanArray::new(values, nulls)
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes { values: Vec::new(), offsets: vec![0], nulls: Nulls::default(), expected: 0 }
    }
}

impl Bytes {
    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.offsets.push(offset(self.values.len()));
    }

    /// Appends `bytes[start..end]`. If possible it copies a fixed number of bytes, so that the length needs no branch.
    #[inline(always)]
    pub fn push_part(&mut self, bytes: &[u8], start: usize, end: usize) {
        let length = self.values.len() + end - start;
        match bytes.get(start..start + BLOCK) {
            Some(block) if end - start <= BLOCK => {
                self.values.extend_from_slice(block);
                self.values.truncate(length);
            }
            _ => self.values.extend_from_slice(&bytes[start..end]),
        }
        self.offsets.push(offset(length));
    }

    /// Appends a NULL.
    pub fn push_null(&mut self) {
        self.nulls.push(self.len());
        self.offsets.push(offset(self.values.len()));
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        self.offsets.reserve(rows);
        self.values.reserve(self.expected + BLOCK);
    }

    pub(super) fn remove(&mut self, rows: Range<usize>) {
        self.nulls.remove(&rows);
        self.values.drain(cut(&mut self.offsets, rows));
    }

    pub(super) fn take(&mut self) -> (OffsetBuffer<i32>, Vec<u8>, Option<NullBuffer>) {
        let nulls = self.nulls.take(self.len());
        self.expected = self.values.len();
        (take_offsets(&mut self.offsets), std::mem::take(&mut self.values), nulls)
    }

    pub(crate) fn finish_strings(&mut self) -> StringArray {
        let (offsets, bytes, nulls) = self.take();
        StringArray::new(offsets, bytes.into(), nulls)
    }
}

/// Removes rows from offsets; returns the range of their values.
pub(super) fn cut(offsets: &mut Vec<i32>, rows: Range<usize>) -> Range<usize> {
    let (start, end) = (offsets[rows.start], offsets[rows.end]);
    offsets.drain(rows.start + 1..rows.end + 1);
    offsets[rows.start + 1..].iter_mut().for_each(|offset| *offset -= end - start);
    start as usize..end as usize
}

pub(super) fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
}

/// # Panics
/// Beyond 2 GiB of values in one chunk; no reader produces that.
#[inline]
pub(super) fn offset(length: usize) -> i32 {
    i32::try_from(length).expect("a chunk's column stays below 2 GiB")
}
