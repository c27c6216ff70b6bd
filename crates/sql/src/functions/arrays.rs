//! Functions that build arrays, change them, or search them. The planner has converted elements to one type. A NULL
//! array gives NULL.

use super::lists::{DistinctValues, ListBuilder, Lists, is_null, is_same};
use super::maps::interleaved;
use super::{Arguments, Function, Param, build};
use crate::eval::Order;
use crate::eval::compare::order_at;
use crate::expr::Expr;
use crate::types;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use std::cmp::Ordering;
use std::sync::Arc;

/// Takes an array and gives one of its type.
const CHANGE: Function =
    Function { params: &[Param::Any], required: 1, gives: |arguments| arguments[0].data_type(), ..Function::BLANK };

/// Also takes a value of the element type, which may be NULL.
const WITH_VALUE: Function = Function { params: &[Param::Any, Param::Any], required: 2, ..CHANGE };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "array",
        usage: "array(value, …)",
        about: "An ARRAY of the values, brought to one type.",
        example: "array(1, 2, 3)",
        required: 0,
        repeats: true,
        gives: array_of_first,
        order: Order::Whole,
        kernel: array,
        ..CHANGE
    },
    Function {
        name: "array_append",
        usage: "array_append(array, value)",
        about: "The ARRAY with a value more at its end.",
        example: "array_append(array(1, 2), 3)",
        order: Order::InTurn,
        kernel: |a| extended(a, false),
        ..WITH_VALUE
    },
    Function {
        name: "array_prepend",
        usage: "array_prepend(array, value)",
        about: "The ARRAY with a value more at its start.",
        example: "array_prepend(array(2, 3), 1)",
        order: Order::InTurn,
        kernel: |a| extended(a, true),
        ..WITH_VALUE
    },
    Function {
        name: "array_insert",
        usage: "array_insert(array, position, value)",
        about: "The ARRAY with a value put in at a position, counted from 1, or from the end if negative.",
        example: "array_insert(array(1, 2, 4), 3, 3)",
        params: &[Param::Any, Param::Int, Param::Any],
        required: 3,
        order: Order::InTurn,
        kernel: insert,
        ..CHANGE
    },
    Function {
        name: "array_compact",
        usage: "array_compact(array)",
        about: "The ARRAY without its NULLs.",
        example: "array_compact(array(1, NULL, 2))",
        kernel: compact,
        ..CHANGE
    },
    Function {
        name: "array_distinct",
        usage: "array_distinct(array)",
        about: "The ARRAY with each value once.",
        example: "array_distinct(array(1, 2, 1))",
        kernel: distinct,
        ..CHANGE
    },
    Function {
        name: "array_union",
        usage: "array_union(array, other)",
        about: "The values of both arrays, each once.",
        example: "array_union(array(1, 2), array(2, 3))",
        kernel: union,
        ..WITH_VALUE
    },
    Function {
        name: "array_intersect",
        usage: "array_intersect(array, other)",
        about: "The values that both arrays have, each once.",
        example: "array_intersect(array(1, 2), array(2, 3))",
        kernel: |a| selected(a, true),
        ..WITH_VALUE
    },
    Function {
        name: "array_except",
        usage: "array_except(array, other)",
        about: "The values that only the first array has, each once.",
        example: "array_except(array(1, 2), array(2, 3))",
        kernel: |a| selected(a, false),
        ..WITH_VALUE
    },
    Function {
        name: "arrays_overlap",
        usage: "arrays_overlap(array, other)",
        about: "Whether the arrays share a value that is not NULL; NULL if none and one of them has a NULL.",
        example: "arrays_overlap(array(1, 2), array(2, 3))",
        gives: |_| DataType::Boolean,
        kernel: overlap,
        ..WITH_VALUE
    },
    Function {
        name: "array_remove",
        usage: "array_remove(array, value)",
        about: "The ARRAY without all elements equal to the value.",
        example: "array_remove(array(1, 2, 1), 1)",
        kernel: remove,
        ..WITH_VALUE
    },
    Function {
        name: "array_position",
        usage: "array_position(array, value)",
        about: "The place of the first element equal to the value, counted from 1; 0 if there is none.",
        example: "array_position(array('a', 'b'), 'b')",
        gives: |_| DataType::Int64,
        kernel: position,
        ..WITH_VALUE
    },
    Function {
        name: "array_max",
        usage: "array_max(array)",
        about: "The greatest element; NULLs do not count.",
        example: "array_max(array(1, 20, NULL, 3))",
        gives: element,
        kernel: |a| extreme(a, Ordering::Greater),
        ..CHANGE
    },
    Function {
        name: "array_min",
        usage: "array_min(array)",
        about: "The least element; NULLs do not count.",
        example: "array_min(array(1, 20, NULL, 3))",
        gives: element,
        kernel: |a| extreme(a, Ordering::Less),
        ..CHANGE
    },
    Function {
        name: "array_repeat",
        usage: "array_repeat(value, count)",
        about: "An ARRAY of so many times the value.",
        example: "array_repeat('a', 2)",
        params: &[Param::Any, Param::Int],
        gives: array_of_first,
        kernel: repeat,
        order: Order::Whole,
        ..WITH_VALUE
    },
    Function {
        name: "array_size",
        usage: "array_size(array)",
        about: "The number of elements; NULL for NULL.",
        example: "array_size(array('a', 'b'))",
        gives: |_| DataType::Int32,
        kernel: size,
        ..CHANGE
    },
    Function {
        name: "array_sort",
        usage: "array_sort(array[, (left, right) -> …])",
        about: "The ARRAY in ascending order with NULLs last, or in the order of a comparison that gives a negative number, 0 or a positive number.",
        example: "array_sort(array('b', NULL, 'a'))",
        kernel: |a| sort(a, |_, _| Some((false, false))),
        ..CHANGE
    },
    Function {
        name: "sort_array",
        usage: "sort_array(array[, ascending])",
        about: "The ARRAY in ascending order with NULLs first, or in descending order with NULLs last.",
        example: "sort_array(array('b', NULL, 'a'), true)",
        params: &[Param::Any, Param::Boolean],
        kernel: |a| sort(a, |arguments, row| descending(arguments, row).map(|descending| (descending, !descending))),
        ..CHANGE
    },
    Function {
        name: "slice",
        usage: "slice(array, start, length)",
        about: "A part of the ARRAY; the start is counted from 1, or from the end if negative.",
        example: "slice(array(1, 2, 3, 4), 2, 2)",
        params: &[Param::Any, Param::Int, Param::Int],
        required: 3,
        kernel: slice,
        ..CHANGE
    },
    Function {
        name: "flatten",
        usage: "flatten(arrays)",
        about: "The elements of an ARRAY of arrays, one after the other.",
        example: "flatten(array(array(1, 2), array(3)))",
        gives: element,
        kernel: flatten,
        ..CHANGE
    },
    // The planner calls these for `reverse` and `concat` of arrays.
    Function { name: "reverse array", kernel: reverse, ..CHANGE },
    Function { name: "concat arrays", repeats: true, kernel: concat, ..CHANGE },
    // The planner gives the result its type: the members are named like the arguments.
    Function {
        name: "arrays_zip",
        usage: "arrays_zip(array, …)",
        about: "An ARRAY of STRUCTs: the n-th has the n-th element of each array.",
        example: "arrays_zip(array(1, 2), array('a', 'b'))",
        required: 0,
        repeats: true,
        kernel: zip,
        ..CHANGE
    },
];

fn array_of_first(arguments: &[Expr]) -> DataType {
    types::array(arguments.first().map_or(DataType::Null, Expr::data_type))
}

fn element(arguments: &[Expr]) -> DataType {
    match arguments[0].data_type() {
        DataType::List(element) => element.data_type().clone(),
        other => panic!("{other} is no list"),
    }
}

fn array(arguments: &mut Arguments) -> ArrayRef {
    let DataType::List(field) = arguments.data_type else {
        panic!("an array is a list");
    };
    let values = interleaved(arguments.columns, arguments.rows, field.data_type());
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(arguments.columns.len(), arguments.rows));
    Arc::new(ListArray::new(field.clone(), offsets, values, None))
}

/// `array_append`, or `array_prepend` if `in_front`.
fn extended(arguments: &mut Arguments, in_front: bool) -> ArrayRef {
    let [array, value] = arguments.columns else {
        panic!("two arguments");
    };
    let lists = Lists::of(array);
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let range = lists.range(row)?;
        if in_front {
            out.push(1, value.at(row));
        }
        range.for_each(|at| out.push(0, at));
        if !in_front {
            out.push(1, value.at(row));
        }
        Some(())
    });
    out.finish(&[lists.values(), &value.array], arguments.data_type)
}

/// Inserts at a position counted from 1, or from −1 at the end; fills the gap to the array with NULLs.
fn insert(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (lists, places, value) = (Lists::of(&columns[0]), columns[1].numbers::<Int32Type>(), &columns[2]);
    let errors = &mut *arguments.errors;
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let (range, place) = (lists.range(row)?, places.get(row)?);
        let (length, place) = (range.len(), i64::from(place));
        let (before, gap_before_value, gap_behind_value) = match place {
            0 => {
                let message = || "the index 0 is invalid; count from 1, or from -1 at the end".to_string();
                errors.record(row, "INVALID_INDEX_OF_ZERO", message);
                return None;
            }
            1.. => (length.min(place as usize - 1), (place as usize - 1).saturating_sub(length), 0),
            _ if place.unsigned_abs() as usize <= length + 1 => ((length as i64 + 1 + place) as usize, 0, 0),
            _ => (0, 0, place.unsigned_abs() as usize - 1 - length),
        };
        if !out.has_room(length + 1 + gap_before_value + gap_behind_value, row, errors) {
            return None;
        }
        range.clone().take(before).for_each(|at| out.push(0, at));
        (0..gap_before_value).for_each(|_| out.push_null());
        out.push(1, value.at(row));
        (0..gap_behind_value).for_each(|_| out.push_null());
        range.skip(before).for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&[lists.values(), &value.array], arguments.data_type)
}

/// The wanted elements, in order.
fn kept(arguments: &Arguments, mut is_wanted: impl FnMut(usize, usize) -> bool) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        lists.range(row)?.filter(|at| is_wanted(row, *at)).for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&[lists.values()], arguments.data_type)
}

fn compact(arguments: &mut Arguments) -> ArrayRef {
    let values = Lists::of(&arguments.columns[0]).values();
    kept(arguments, |_, at| !is_null(values, at))
}

fn distinct(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let sources = [lists.values()];
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let mut seen = DistinctValues::new(&sources);
        lists.range(row)?.filter(|at| seen.add(0, *at)).for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&sources, arguments.data_type)
}

fn union(arguments: &mut Arguments) -> ArrayRef {
    let [left, right] = arguments.columns else {
        panic!("two arguments");
    };
    let (left, right) = (Lists::of(left), Lists::of(right));
    let sources = [left.values(), right.values()];
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let ranges = [left.range(row)?, right.range(row)?];
        let mut seen = DistinctValues::new(&sources);
        for (source, range) in ranges.into_iter().enumerate() {
            range.filter(|at| seen.add(source, *at)).for_each(|at| out.push(source, at));
        }
        Some(())
    });
    out.finish(&sources, arguments.data_type)
}

/// Distinct elements of the first array that the second has (`array_intersect`) or does not have (`array_except`).
fn selected(arguments: &mut Arguments, in_both: bool) -> ArrayRef {
    let [left, right] = arguments.columns else {
        panic!("two arguments");
    };
    let (left, right) = (Lists::of(left), Lists::of(right));
    let sources = [left.values(), right.values()];
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let (range, others) = (left.range(row)?, right.range(row)?);
        let (mut there, mut seen) = (DistinctValues::new(&sources), DistinctValues::new(&sources));
        for at in others {
            there.add(1, at);
        }
        let is_wanted = |at: &usize| there.has(0, *at) == in_both && seen.add(0, *at);
        range.filter(is_wanted).for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&sources, arguments.data_type)
}

/// Whether two arrays share an element that is not NULL. NULL if they do not and one of them holds a NULL.
fn overlap(arguments: &mut Arguments) -> ArrayRef {
    let [left, right] = arguments.columns else {
        panic!("two arguments");
    };
    let (left, right) = (Lists::of(left), Lists::of(right));
    let sources = [left.values(), right.values()];
    build::booleans(arguments.rows, |row| {
        let (range, others) = (left.range(row)?, right.range(row)?);
        if range.is_empty() || others.is_empty() {
            return Some(false);
        }
        let has_null =
            range.clone().any(|at| is_null(sources[0], at)) || others.clone().any(|at| is_null(sources[1], at));
        let mut there = DistinctValues::new(&sources);
        for at in others.filter(|at| !is_null(sources[1], *at)) {
            there.add(1, at);
        }
        let found = range.into_iter().any(|at| !is_null(sources[0], at) && there.has(0, at));
        (found || !has_null).then_some(found)
    })
}

fn remove(arguments: &mut Arguments) -> ArrayRef {
    let [array, value] = arguments.columns else {
        panic!("two arguments");
    };
    let lists = Lists::of(array);
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let range = lists.range(row)?;
        if value.is_null(row) {
            return None;
        }
        let is_it = |at: &usize| is_same((lists.values(), *at), (&value.array, value.at(row)));
        range.filter(|at| !is_it(at)).for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&[lists.values()], arguments.data_type)
}

/// Position counted from 1; 0 if the array has no such element.
fn position(arguments: &mut Arguments) -> ArrayRef {
    let [array, value] = arguments.columns else {
        panic!("two arguments");
    };
    let lists = Lists::of(array);
    let place = |row: usize| {
        let mut range = lists.range(row)?;
        if value.is_null(row) {
            return None;
        }
        let found = range.position(|at| is_same((lists.values(), at), (&value.array, value.at(row))));
        Some(found.map_or(0, |number| number as i64 + 1))
    };
    Arc::new(build::numbers::<Int64Type>(arguments.rows, place))
}

/// The first of the least or greatest elements; ignores NULLs.
fn extreme(arguments: &mut Arguments, wanted: Ordering) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let values = lists.values();
    let best = |row: usize| {
        let given = lists.range(row)?.filter(|at| !is_null(values, *at));
        given.reduce(|best, at| if order_at(values, at, values, best) == wanted { at } else { best })
    };
    let places: Vec<Option<usize>> = (0..arguments.rows).map(best).collect();
    crate::eval::take_or_null(values, &places)
}

fn repeat(arguments: &mut Arguments) -> ArrayRef {
    let [value, times] = arguments.columns else {
        panic!("two arguments");
    };
    let times = times.numbers::<Int32Type>();
    let errors = &mut *arguments.errors;
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let times = times.get(row)?.max(0) as usize;
        if !out.has_room(times, row, errors) {
            return None;
        }
        (0..times).for_each(|_| out.push(0, value.at(row)));
        Some(())
    });
    out.finish(&[&value.array], arguments.data_type)
}

fn size(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    Arc::new(build::numbers::<Int32Type>(arguments.rows, |row| Some(lists.range(row)?.len() as i32)))
}

/// Stable sort. `how` says for a row whether it is descending and whether NULLs come first.
fn sort(arguments: &mut Arguments, how: impl Fn(&Arguments, usize) -> Option<(bool, bool)>) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let values = lists.values();
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let range = lists.range(row)?;
        let (descending, nulls_first) = how(arguments, row)?;
        let (nulls, mut order): (Vec<usize>, Vec<usize>) = range.partition(|at| is_null(values, *at));
        order.sort_by(|l, r| {
            let order = order_at(values, *l, values, *r);
            if descending { order.reverse() } else { order }
        });
        let (first, then) = if nulls_first { (nulls, order) } else { (order, nulls) };
        first.into_iter().chain(then).for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&[values], arguments.data_type)
}

/// The direction from the second argument of `sort_array`, true for ascending.
fn descending(arguments: &Arguments, row: usize) -> Option<bool> {
    let Some(ascending) = arguments.columns.get(1) else {
        return Some(false);
    };
    (!ascending.is_null(row)).then(|| !ascending.array.as_boolean().value(ascending.at(row)))
}

/// From a position on, counted from 1, or from −1 at the end.
fn slice(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let lists = Lists::of(&columns[0]);
    let (starts, lengths) = (columns[1].numbers::<Int32Type>(), columns[2].numbers::<Int32Type>());
    let errors = &mut *arguments.errors;
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let (range, start, length) = (lists.range(row)?, starts.get(row)?, lengths.get(row)?);
        if start == 0 {
            let message = || "the start 0 is invalid; count from 1, or from -1 at the end".to_string();
            errors.record(row, "INVALID_PARAMETER_VALUE.START", message);
            return None;
        }
        if length < 0 {
            let message = || format!("the length {length} is invalid; it is 0 or more");
            errors.record(row, "INVALID_PARAMETER_VALUE.LENGTH", message);
            return None;
        }
        let (start, count) = (i64::from(start), range.len() as i64);
        let first = if start > 0 { start - 1 } else { count + start };
        if (0..count).contains(&first) {
            range.skip(first as usize).take(length as usize).for_each(|at| out.push(0, at));
        }
        Some(())
    });
    out.finish(&[lists.values()], arguments.data_type)
}

/// A NULL array inside makes the result NULL.
fn flatten(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let inner = lists.values().as_list::<i32>();
    let errors = &mut *arguments.errors;
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        for at in lists.range(row)? {
            if inner.is_null(at) {
                return None;
            }
            let range = inner.value_offsets()[at] as usize..inner.value_offsets()[at + 1] as usize;
            if !out.has_room(range.len(), row, errors) {
                return None;
            }
            range.for_each(|at| out.push(0, at));
        }
        Some(())
    });
    out.finish(&[inner.values()], arguments.data_type)
}

fn reverse(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        lists.range(row)?.rev().for_each(|at| out.push(0, at));
        Some(())
    });
    out.finish(&[lists.values()], arguments.data_type)
}

fn concat(arguments: &mut Arguments) -> ArrayRef {
    let lists: Vec<Lists> = arguments.columns.iter().map(Lists::of).collect();
    let sources: Vec<&ArrayRef> = lists.iter().map(Lists::values).collect();
    let errors = &mut *arguments.errors;
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let ranges: Vec<_> = lists.iter().map(|list| list.range(row)).collect::<Option<_>>()?;
        for (source, range) in ranges.into_iter().enumerate() {
            if !out.has_room(range.len(), row, errors) {
                return None;
            }
            range.for_each(|at| out.push(source, at));
        }
        Some(())
    });
    out.finish(&sources, arguments.data_type)
}

/// An array of structs with an element of each array; a missing element is NULL.
fn zip(arguments: &mut Arguments) -> ArrayRef {
    let DataType::List(field) = arguments.data_type else {
        panic!("an array is a list");
    };
    let DataType::Struct(fields) = field.data_type() else {
        panic!("its elements are structs");
    };
    let lists: Vec<Lists> = arguments.columns.iter().map(Lists::of).collect();
    let length = |row: usize| {
        let lengths: Option<Vec<usize>> = lists.iter().map(|list| Some(list.range(row)?.len())).collect();
        lengths.map(|lengths| lengths.into_iter().max().unwrap_or(0))
    };
    let lengths: Vec<Option<usize>> = (0..arguments.rows).map(length).collect();
    let mut columns = Vec::new();
    for list in &lists {
        let mut places = Vec::new();
        for (row, length) in lengths.iter().enumerate().filter_map(|(row, length)| Some((row, (*length)?))) {
            let range = list.range(row).expect("no array is NULL");
            places.extend((0..length).map(|number| (number < range.len()).then_some(range.start + number)));
        }
        columns.push(crate::eval::take_or_null(list.values(), &places));
    }
    let total = lengths.iter().flatten().sum();
    let members = StructArray::try_new_with_length(fields.clone(), columns, None, total);
    let offsets = OffsetBuffer::from_lengths(lengths.iter().map(|length| length.unwrap_or(0)));
    let nulls = arrow_buffer::NullBuffer::from(lengths.iter().map(Option::is_some).collect::<Vec<_>>());
    let members = Arc::new(members.expect("each member is of its field's type"));
    Arc::new(ListArray::new(field.clone(), offsets, members, Some(nulls)))
}
