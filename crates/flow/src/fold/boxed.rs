//! Aggregates that keep all values of a group, moments of higher order, or bits: adding rows, and building results.
//!
//! The planner expresses many SQL functions by these few: `percentile` is a function of all values, `corr` of moments.

use crate::key::{self, Encoder, Zeros};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_sql::plan::AggregateFunction;
use tidemill_state::{Bits, Boxed, Collected, Comoments, HighMoments, Object, Objects, Position};

/// Whether this module computes a function.
pub(crate) fn is_boxed(function: AggregateFunction) -> bool {
    use AggregateFunction as F;
    matches!(function, F::Collect | F::Comoments | F::HighMoments | F::BitAnd | F::BitOr | F::BitXor)
}

/// Adds rows. `pairs` holds (row, group) in row order; row 0 of the batch is row `first_row` of the task.
pub(super) fn update(
    column: &mut Objects,
    function: AggregateFunction,
    inputs: &[ArrayRef],
    pairs: &[(u32, u32)],
    first_row: u64,
) {
    use AggregateFunction as F;
    match function {
        F::Collect => collect(column, &inputs[0], pairs, first_row),
        F::Comoments => {
            let (x, y) = (inputs[0].as_primitive::<Float64Type>(), inputs[1].as_primitive::<Float64Type>());
            for (row, group) in pairs.iter().map(|(row, group)| (*row as usize, *group as usize)) {
                if x.is_valid(row) && y.is_valid(row) {
                    change(column, group, Boxed::Comoments(Comoments::default()), |boxed| match boxed {
                        Boxed::Comoments(moments) => moments.add(x.value(row), y.value(row)),
                        other => panic!("moments are not {other:?}"),
                    });
                }
            }
        }
        F::HighMoments => {
            let x = inputs[0].as_primitive::<Float64Type>();
            for (row, group) in pairs.iter().map(|(row, group)| (*row as usize, *group as usize)) {
                if x.is_valid(row) {
                    change(column, group, Boxed::HighMoments(HighMoments::default()), |boxed| match boxed {
                        Boxed::HighMoments(moments) => moments.add(x.value(row)),
                        other => panic!("moments are not {other:?}"),
                    });
                }
            }
        }
        F::BitAnd => bits(column, Bits::And, &inputs[0], pairs),
        F::BitOr => bits(column, Bits::Or, &inputs[0], pairs),
        F::BitXor => bits(column, Bits::Xor, &inputs[0], pairs),
        other => panic!("{other:?} is not computed here"),
    }
}

/// Changes a group's object; `fresh` is the object of a group without rows.
fn change(column: &mut Objects, group: usize, fresh: Boxed, change: impl FnOnce(&mut Boxed)) {
    column.change(
        group,
        || Object::Boxed(fresh),
        |object| match object {
            Object::Boxed(boxed) => change(boxed),
            other => panic!("a column of one kind has {other:?}"),
        },
    );
}

/// Collects the values that are not NULL.
fn collect(column: &mut Objects, input: &ArrayRef, pairs: &[(u32, u32)], first_row: u64) {
    let encoder = Encoder::new(input, Zeros::Keep);
    for (row, group) in pairs.iter().map(|(row, group)| (*row as usize, *group as usize)) {
        if encoder.is_null(row) {
            continue;
        }
        let mut bytes = Vec::new();
        encoder.encode(row, &mut bytes);
        let at = Position { row: first_row + row as u64, ..Position::default() };
        change(column, group, Boxed::Collected(Collected::default()), |boxed| match boxed {
            Boxed::Collected(values) => values.add(at, bytes.into()),
            other => panic!("values are not {other:?}"),
        });
    }
}

fn bits(column: &mut Objects, how: Bits, input: &ArrayRef, pairs: &[(u32, u32)]) {
    let input = input.as_primitive::<Int64Type>();
    let nothing = if how == Bits::And { -1 } else { 0 };
    for (row, group) in pairs.iter().map(|(row, group)| (*row as usize, *group as usize)) {
        if input.is_valid(row) {
            let value = input.value(row);
            change(column, group, Boxed::Bits(how, nothing), |boxed| match boxed {
                Boxed::Bits(_, bits) => *bits = how.of(*bits, value),
                other => panic!("bits are not {other:?}"),
            });
        }
    }
}

/// The results: all values as a list in row order, the moments as a list of numbers, or the bits.
pub(crate) fn finish<'a>(data_type: &DataType, objects: impl Iterator<Item = Option<&'a Object>>) -> ArrayRef {
    let boxed = |object: &'a Object| match object {
        Object::Boxed(boxed) => boxed,
        other => panic!("a column of one kind has {other:?}"),
    };
    let slots: Vec<Option<&Boxed>> = objects.map(|object| object.map(boxed)).collect();
    let DataType::List(field) = data_type else {
        let bits = slots.into_iter().map(|slot| match slot? {
            Boxed::Bits(_, bits) => Some(*bits),
            other => panic!("bits are not {other:?}"),
        });
        return Arc::new(bits.collect::<Int64Array>());
    };
    let mut values: Vec<&[u8]> = Vec::new();
    let mut numbers: Vec<f64> = Vec::new();
    let mut lengths = Vec::with_capacity(slots.len());
    for slot in slots {
        let before = values.len() + numbers.len();
        match slot {
            None => {}
            Some(Boxed::Collected(all)) => values.extend(all.in_order()),
            Some(Boxed::Comoments(m)) => numbers.extend([m.count, m.x, m.y, m.xy, m.xx, m.yy]),
            Some(Boxed::HighMoments(m)) => numbers.extend([m.count, m.mean, m.second, m.third, m.fourth]),
            Some(other) => panic!("a list is not {other:?}"),
        }
        lengths.push(values.len() + numbers.len() - before);
    }
    let elements: ArrayRef = if numbers.is_empty() {
        let mut cursors: Vec<Option<&[u8]>> = values.into_iter().map(Some).collect();
        key::decode(&mut cursors, field.data_type())
    } else {
        Arc::new(Float64Array::from(numbers))
    };
    Arc::new(ListArray::new(field.clone(), OffsetBuffer::from_lengths(lengths), elements, None))
}
