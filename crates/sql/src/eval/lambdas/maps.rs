//! Map functions that take lambdas. The order of a map's entries is kept.

use super::{Elements, apply, fail_rows, holds};
use crate::eval::compare::order_at;
use crate::eval::{Input, RowErrors, take, take_or_null};
use crate::expr::Lambda;
use crate::functions::maps;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, MapArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;

pub(super) fn transform_values(
    lambda: &Lambda,
    map: &ArrayRef,
    data_type: &DataType,
    input: &Input,
    errors: &mut RowErrors,
) -> ArrayRef {
    let map = map.as_map();
    let elements = Elements::of(map.value_offsets(), map.nulls());
    let (keys, values) = called(lambda, map, &elements, input, errors);
    maps::of(data_type, elements.list_offsets(), keys, values, map.nulls().cloned())
}

/// Two entries with one key, or a NULL key, fail the row.
pub(super) fn transform_keys(
    lambda: &Lambda,
    map: &ArrayRef,
    data_type: &DataType,
    input: &Input,
    errors: &mut RowErrors,
) -> ArrayRef {
    let map = map.as_map();
    let elements = Elements::of(map.value_offsets(), map.nulls());
    let (_, keys) = called(lambda, map, &elements, input, errors);
    let values = take(map.values(), &elements.positions);
    maps::checked(data_type, &elements.offsets, keys, values, &|row| map.is_valid(row), errors)
}

pub(super) fn map_filter(lambda: &Lambda, map: &ArrayRef, input: &Input, errors: &mut RowErrors) -> ArrayRef {
    let map = map.as_map();
    let elements = Elements::of(map.value_offsets(), map.nulls());
    let kept = holds(&called(lambda, map, &elements, input, errors).1);
    let mut offsets = vec![0];
    let mut positions = Vec::new();
    for row in 0..map.len() {
        positions.extend(elements.of_row(row).filter(|at| kept.value(*at)).map(|at| elements.positions[at]));
        offsets.push(positions.len() as i32);
    }
    let (keys, values) = (take(map.keys(), &positions), take(map.values(), &positions));
    maps::of(map.data_type(), OffsetBuffer::new(offsets.into()), keys, values, map.nulls().cloned())
}

/// The left map's keys, then the right map's other keys. A missing value is NULL.
pub(super) fn map_zip_with(
    lambda: &Lambda,
    arguments: &[ArrayRef],
    data_type: &DataType,
    input: &Input,
    errors: &mut RowErrors,
) -> ArrayRef {
    let (left, right) = (arguments[0].as_map(), arguments[1].as_map());
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    let mut offsets = vec![0];
    let mut rows = Vec::new();
    let mut places: Vec<[Option<usize>; 2]> = Vec::new();
    for row in 0..left.len() {
        if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            let first = places.len();
            for (side, map) in [left, right].into_iter().enumerate() {
                for at in range(map, row) {
                    let is_key = |place: &[Option<usize>; 2]| match place {
                        [Some(known), _] => order_at(left.keys(), *known, map.keys(), at).is_eq(),
                        [_, Some(known)] => order_at(right.keys(), *known, map.keys(), at).is_eq(),
                        [None, None] => false,
                    };
                    match places[first..].iter_mut().find(|place| is_key(place)) {
                        Some(place) => place[side] = place[side].or(Some(at)),
                        None if side == 0 => places.push([Some(at), None]),
                        None => places.push([None, Some(at)]),
                    }
                }
            }
            rows.extend((first..places.len()).map(|_| row));
        }
        offsets.push(places.len() as i32);
    }
    let side = |side: usize| places.iter().map(|place| place[side]).collect::<Vec<_>>();
    let (lefts, rights) = (side(0), side(1));
    let columns = [take_or_null(left.keys(), &lefts), take_or_null(right.keys(), &rights)];
    let columns = columns.map(crate::eval::Column::rows);
    let keys = crate::eval::pick(&columns, places.iter().map(|place| usize::from(place[0].is_none())));
    let values = vec![keys.clone(), take_or_null(left.values(), &lefts), take_or_null(right.values(), &rights)];
    let mut own = RowErrors::default();
    let values = apply(lambda, values, &rows, input, &mut own);
    fail_rows(&own, &rows, errors);
    maps::of(data_type, OffsetBuffer::new(offsets.into()), keys, values, nulls)
}

fn range(map: &MapArray, row: usize) -> std::ops::Range<usize> {
    map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize
}

/// The keys of the elements and the lambda's value for each entry.
fn called(
    lambda: &Lambda,
    map: &MapArray,
    elements: &Elements,
    input: &Input,
    errors: &mut RowErrors,
) -> (ArrayRef, ArrayRef) {
    let keys = take(map.keys(), &elements.positions);
    let values = vec![keys.clone(), take(map.values(), &elements.positions)];
    let mut own = RowErrors::default();
    let result = apply(lambda, values, &elements.rows, input, &mut own);
    fail_rows(&own, &elements.rows, errors);
    (keys, result)
}
