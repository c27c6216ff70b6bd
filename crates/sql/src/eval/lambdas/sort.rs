//! `array_sort` with a comparator: a merge sort of all arrays in step, starting from runs of one element.
//!
//! In every step each running merge compares one pair, all pairs in one call of the lambda: about 2 n calls for arrays
//! of n elements, however many arrays there are. Stable, as in Spark.

use super::{Elements, apply, element_field};
use crate::eval::{Input, RowErrors, take};
use crate::expr::Lambda;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, ListArray};
use std::sync::Arc;

/// Two neighbouring runs being merged.
struct Merge {
    row: usize,
    left: std::ops::Range<usize>,
    right: std::ops::Range<usize>,
    merged: Vec<usize>,
}

pub(super) fn array_sort(lambda: &Lambda, list: &ListArray, input: &Input, errors: &mut RowErrors) -> ArrayRef {
    let elements = Elements::of(list.value_offsets(), list.nulls());
    let mut order = elements.positions.clone();
    let longest = (0..list.len()).map(|row| elements.of_row(row).len()).max().unwrap_or(0);
    let mut width = 1;
    while width < longest {
        let mut merges = merges(&elements, list.len(), width);
        merge_all(&mut merges, lambda, list, &order, input, errors);
        let mut sorted = order.clone();
        for merge in merges {
            let start = merge.right.end - merge.merged.len();
            sorted[start..merge.right.end].copy_from_slice(&merge.merged);
        }
        order = sorted;
        width *= 2;
    }
    let values = take(list.values(), &order);
    Arc::new(ListArray::new(element_field(list.data_type()), elements.list_offsets(), values, list.nulls().cloned()))
}

fn merges(elements: &Elements, rows: usize, width: usize) -> Vec<Merge> {
    let mut merges = Vec::new();
    for row in 0..rows {
        let range = elements.of_row(row);
        let mut start = range.start;
        while start + width < range.end {
            let end = (start + 2 * width).min(range.end);
            merges.push(Merge { row, left: start..start + width, right: start + width..end, merged: Vec::new() });
            start = end;
        }
    }
    merges
}

/// Runs all merges; `order` names the elements at the runs' positions.
fn merge_all(
    merges: &mut [Merge],
    lambda: &Lambda,
    list: &ListArray,
    order: &[usize],
    input: &Input,
    errors: &mut RowErrors,
) {
    loop {
        let going: Vec<usize> =
            (0..merges.len()).filter(|at| !merges[*at].left.is_empty() && !merges[*at].right.is_empty()).collect();
        if going.is_empty() {
            break;
        }
        let rows: Vec<usize> = going.iter().map(|at| merges[*at].row).collect();
        let lefts: Vec<usize> = going.iter().map(|at| order[merges[*at].left.start]).collect();
        let rights: Vec<usize> = going.iter().map(|at| order[merges[*at].right.start]).collect();
        let values = vec![take(list.values(), &lefts), take(list.values(), &rights)];
        let mut own = RowErrors::default();
        let compared = apply(lambda, values, &rows, input, &mut own);
        for (number, at) in going.into_iter().enumerate() {
            let merge = &mut merges[at];
            let is_null = compared.data_type().is_null() || compared.is_null(number);
            if let Some(error) = own.get(number) {
                errors.record(merge.row, error.class, || error.message.clone());
            } else if is_null {
                let message = || "the comparator gives NULL; make it give -1, 0 or 1".to_string();
                errors.record(merge.row, "COMPARATOR_RETURNS_NULL", message);
            }
            let right_first = !is_null && compared.as_primitive::<Int32Type>().value(number) > 0;
            let next = if right_first { merge.right.next() } else { merge.left.next() };
            merge.merged.push(order[next.expect("neither run is empty")]);
        }
    }
    for merge in merges {
        let rest = merge.left.clone().chain(merge.right.clone()).map(|at| order[at]);
        merge.merged.extend(rest);
    }
}
