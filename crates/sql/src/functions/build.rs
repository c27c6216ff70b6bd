//! Builds arrays from one value per row; kernels use it for their results.

use arrow_array::{ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use std::sync::Arc;

pub(super) fn texts<S: AsRef<str>>(rows: usize, value: impl FnMut(usize) -> Option<S>) -> ArrayRef {
    Arc::new((0..rows).map(value).collect::<StringArray>())
}

pub(super) fn booleans(rows: usize, value: impl FnMut(usize) -> Option<bool>) -> ArrayRef {
    Arc::new((0..rows).map(value).collect::<BooleanArray>())
}

pub(super) fn binaries(rows: usize, value: impl FnMut(usize) -> Option<Vec<u8>>) -> ArrayRef {
    Arc::new((0..rows).map(value).collect::<BinaryArray>())
}

pub(super) fn numbers<T: ArrowPrimitiveType>(
    rows: usize,
    value: impl FnMut(usize) -> Option<T::Native>,
) -> PrimitiveArray<T> {
    (0..rows).map(value).collect()
}
