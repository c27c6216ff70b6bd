//! Functions that build maps or take them apart. A map's entries keep their order. A NULL key or a duplicate key fails
//! the row, as with Spark's default policy.

use super::lists::{DistinctValues, ListBuilder, Lists, is_null, is_same};
use super::{Arguments, Function, Param, build};
use crate::eval::compare::order_at;
use crate::eval::{Column, Order, RowErrors, take};
use crate::expr::Expr;
use crate::types;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, make_array};
use arrow_buffer::{MutableBuffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, FieldRef, Fields};
use std::ops::Range;
use std::sync::Arc;

const OF_MAP: Function = Function { params: &[Param::Any], required: 1, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "map",
        usage: "map(key, value, …)",
        about: "A MAP of keys and values. A key that is NULL or comes twice fails the row.",
        example: "map(1, 'a', 2, 'b')",
        required: 0,
        repeats: true,
        gives: map_of_pairs,
        order: Order::Whole,
        kernel: map,
        ..OF_MAP
    },
    Function {
        name: "map_from_arrays",
        usage: "map_from_arrays(keys, values)",
        about: "A MAP of an ARRAY of keys and one of values.",
        example: "map_from_arrays(array(1, 2), array('a', 'b'))",
        params: &[Param::Any, Param::Any],
        required: 2,
        gives: map_of_arrays,
        kernel: from_arrays,
        ..OF_MAP
    },
    Function {
        name: "map_from_entries",
        usage: "map_from_entries(entries)",
        about: "A MAP of an ARRAY of STRUCTs with key and value.",
        example: "map_from_entries(array(struct(1, 'a'), struct(2, 'b')))",
        gives: map_of_entries,
        kernel: from_entries,
        ..OF_MAP
    },
    Function {
        name: "map_concat",
        usage: "map_concat(map, …)",
        about: "The entries of all maps. A key that comes twice fails the row.",
        example: "map_concat(map(1, 'a'), map(2, 'b'))",
        required: 0,
        repeats: true,
        gives: first_map,
        kernel: concat,
        ..OF_MAP
    },
    Function {
        name: "map_keys",
        usage: "map_keys(map)",
        about: "The keys, an ARRAY.",
        example: "map_keys(map(1, 'a', 2, 'b'))",
        gives: |a| types::array(entry(a, 0)),
        kernel: |a| side(a, 0),
        ..OF_MAP
    },
    Function {
        name: "map_values",
        usage: "map_values(map)",
        about: "The values, an ARRAY.",
        example: "map_values(map(1, 'a', 2, 'b'))",
        gives: |a| types::array(entry(a, 1)),
        kernel: |a| side(a, 1),
        ..OF_MAP
    },
    Function {
        name: "map_entries",
        usage: "map_entries(map)",
        about: "The entries, an ARRAY of STRUCTs with key and value.",
        example: "map_entries(map(1, 'a', 2, 'b'))",
        gives: array_of_entries,
        kernel: entries,
        ..OF_MAP
    },
    // The planner uses it for group keys.
    Function { name: "sorted maps", kernel: |a| sorted(&a.columns[0].clone().into_rows(a.rows)), ..OF_MAP },
    Function {
        name: "map_contains_key",
        usage: "map_contains_key(map, key)",
        about: "Whether the MAP has the key.",
        example: "map_contains_key(map(1, 'a'), 1)",
        params: &[Param::Any, Param::Any],
        required: 2,
        gives: |_| DataType::Boolean,
        kernel: contains_key,
        ..OF_MAP
    },
];

/// The array with the entries of all its maps sorted by key.
fn sorted(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Map(..) => {
            let map = array.as_map();
            let values = sorted(map.values());
            let offsets: Vec<usize> = map.value_offsets().iter().map(|offset| *offset as usize).collect();
            let mut positions: Vec<usize> = (0..map.keys().len()).collect();
            for row in 0..map.len() {
                let keys = map.keys();
                positions[offsets[row]..offsets[row + 1]].sort_by(|l, r| order_at(keys, *l, keys, *r));
            }
            let (keys, values) = (take(map.keys(), &positions), take(&values, &positions));
            of_rows(array.data_type(), &offsets, &keys, &values, &|row| map.is_valid(row))
        }
        DataType::List(field) => {
            let list = array.as_list::<i32>();
            let values = sorted(list.values());
            Arc::new(ListArray::new(field.clone(), list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::Struct(fields) => {
            let members = array.as_struct();
            let columns = members.columns().iter().map(sorted).collect();
            let made = StructArray::try_new_with_length(fields.clone(), columns, members.nulls().cloned(), array.len());
            Arc::new(made.expect("each member keeps its type"))
        }
        _ => array.clone(),
    }
}

/// The type of a map's keys (0) or values (1).
fn entry(arguments: &[Expr], side: usize) -> DataType {
    entry_fields(&arguments[0].data_type())[side].data_type().clone()
}

fn entry_fields(data_type: &DataType) -> Fields {
    match data_type {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.clone(),
            other => panic!("a map of {other}"),
        },
        other => panic!("{other} is no map"),
    }
}

fn map_of_pairs(arguments: &[Expr]) -> DataType {
    let side = |at: usize| arguments.get(at).map_or(DataType::Null, Expr::data_type);
    types::map(side(0), side(1))
}

fn map_of_arrays(arguments: &[Expr]) -> DataType {
    let [key, value] = [0, 1].map(|at| element(&arguments[at].data_type()));
    types::map(key, value)
}

fn element(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(element) => element.data_type().clone(),
        other => panic!("{other} is no list"),
    }
}

fn map_of_entries(arguments: &[Expr]) -> DataType {
    match element(&arguments[0].data_type()) {
        DataType::Struct(fields) => types::map(fields[0].data_type().clone(), fields[1].data_type().clone()),
        other => panic!("{other} is no entry"),
    }
}

fn first_map(arguments: &[Expr]) -> DataType {
    arguments.first().map_or_else(|| types::map(DataType::Utf8, DataType::Utf8), Expr::data_type)
}

fn array_of_entries(arguments: &[Expr]) -> DataType {
    let [key, value] = [0, 1].map(|side| entry(arguments, side));
    types::array(types::entry(key, value))
}

/// A MAP from entries that `offsets` assigns to rows; NULL where `is_valid` is false. A row with NULL or duplicate keys
/// fails.
pub(crate) fn checked(
    data_type: &DataType,
    offsets: &[usize],
    keys: ArrayRef,
    values: ArrayRef,
    is_valid: &dyn Fn(usize) -> bool,
    errors: &mut RowErrors,
) -> ArrayRef {
    let keys = without_negative_zeros(keys);
    for row in 0..offsets.len() - 1 {
        if is_valid(row) && errors.get(row).is_none() {
            check_keys(&keys, offsets[row]..offsets[row + 1], row, errors);
        }
    }
    of_rows(data_type, offsets, &keys, &values, &|row| is_valid(row) && errors.get(row).is_none())
}

fn check_keys(keys: &ArrayRef, range: Range<usize>, row: usize, errors: &mut RowErrors) {
    let sources = [keys];
    let mut seen = DistinctValues::new(&sources);
    for at in range {
        if is_null(keys, at) {
            return errors.record(row, "NULL_MAP_KEY", || "a key of a MAP is NULL; filter such keys".into());
        }
        if !seen.add(0, at) {
            let message = || "a key of a MAP comes twice; keep one of each".to_string();
            return errors.record(row, "DUPLICATED_MAP_KEY", message);
        }
    }
}

/// Replaces keys of −0.0 by 0.0.
fn without_negative_zeros(keys: ArrayRef) -> ArrayRef {
    match keys.data_type() {
        DataType::Float32 => Arc::new(keys.as_primitive::<Float32Type>().unary::<_, Float32Type>(|x| x + 0.0)),
        DataType::Float64 => Arc::new(keys.as_primitive::<Float64Type>().unary::<_, Float64Type>(|x| x + 0.0)),
        _ => keys,
    }
}

/// As [`checked`], with any keys.
pub(crate) fn of_rows(
    data_type: &DataType,
    offsets: &[usize],
    keys: &ArrayRef,
    values: &ArrayRef,
    is_valid: &dyn Fn(usize) -> bool,
) -> ArrayRef {
    let mut positions = Vec::with_capacity(keys.len());
    let mut new_offsets = vec![0];
    let valid: Vec<bool> = (0..offsets.len() - 1).map(is_valid).collect();
    for (row, valid) in valid.iter().enumerate() {
        if *valid {
            positions.extend(offsets[row]..offsets[row + 1]);
        }
        new_offsets.push(positions.len() as i32);
    }
    let nulls = NullBuffer::from(valid);
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    of(data_type, OffsetBuffer::new(new_offsets.into()), take(keys, &positions), take(values, &positions), nulls)
}

/// A MAP array from its parts; no key is NULL.
pub(crate) fn of(
    data_type: &DataType,
    offsets: OffsetBuffer<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let DataType::Map(field, _) = data_type else {
        panic!("{data_type} is no map");
    };
    let entries = StructArray::new(entry_fields(data_type), vec![keys, values], None);
    Arc::new(MapArray::new(field.clone(), offsets, entries, nulls, false))
}

/// `map(key, value, …)`.
fn map(arguments: &mut Arguments) -> ArrayRef {
    let (rows, data_type) = (arguments.rows, arguments.data_type);
    let fields = entry_fields(data_type);
    let side = |side: usize| -> ArrayRef {
        let columns: Vec<Column> = arguments.columns.iter().skip(side).step_by(2).cloned().collect();
        interleaved(&columns, rows, fields[side].data_type())
    };
    let pairs = arguments.columns.len() / 2;
    let offsets: Vec<usize> = (0..=rows).map(|row| row * pairs).collect();
    checked(data_type, &offsets, side(0), side(1), &|_| true, arguments.errors)
}

/// The first row of all columns, then the second row of all, and so on.
pub(super) fn interleaved(columns: &[Column], rows: usize, data_type: &DataType) -> ArrayRef {
    match data_type.primitive_width() {
        Some(1) => woven::<1>(columns, rows, data_type),
        Some(2) => woven::<2>(columns, rows, data_type),
        Some(4) => woven::<4>(columns, rows, data_type),
        Some(8) => woven::<8>(columns, rows, data_type),
        Some(16) => woven::<16>(columns, rows, data_type),
        _ => {
            let mut list = ListBuilder::new(rows);
            for row in 0..rows {
                columns.iter().enumerate().for_each(|(source, column)| list.push(source, column.at(row)));
                list.end(true);
            }
            let sources: Vec<&ArrayRef> = columns.iter().map(|column| &column.array).collect();
            list.finish(&sources, &types::array(data_type.clone())).as_list::<i32>().values().clone()
        }
    }
}

/// [`interleaved`] for types of `WIDTH` bytes, whatever they mean.
fn woven<const WIDTH: usize>(columns: &[Column], rows: usize, data_type: &DataType) -> ArrayRef {
    let length = rows * columns.len();
    let mut bytes = MutableBuffer::from_len_zeroed(length * WIDTH);
    let values = bytes.as_slice_mut().as_chunks_mut::<WIDTH>().0;
    let mut valid = None;
    for (place, column) in columns.iter().enumerate() {
        let data = column.array.to_data();
        let source = &data.buffers()[0].as_slice().as_chunks::<WIDTH>().0[data.offset()..];
        let slots = values.iter_mut().skip(place).step_by(columns.len());
        match column.constant {
            true => slots.for_each(|slot| *slot = source[0]),
            false => slots.zip(source).for_each(|(slot, value)| *slot = *value),
        }
        if let Some(nulls) = column.nulls(rows).filter(|nulls| nulls.null_count() > 0) {
            let valid = valid.get_or_insert_with(|| vec![true; length]);
            (0..rows).filter(|row| nulls.is_null(*row)).for_each(|row| valid[row * columns.len() + place] = false);
        }
    }
    let data = ArrayData::builder(data_type.clone()).len(length).add_buffer(bytes.into());
    make_array(data.nulls(valid.map(NullBuffer::from)).build().expect("as many values as the array is long"))
}

fn from_arrays(arguments: &mut Arguments) -> ArrayRef {
    let [keys, values] = arguments.columns else {
        panic!("two arguments");
    };
    let (keys, values) = (Lists::of(keys), Lists::of(values));
    let mut positions: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    let mut offsets = vec![0];
    let mut valid = vec![true; arguments.rows];
    for (row, valid) in valid.iter_mut().enumerate() {
        match (keys.range(row), values.range(row)) {
            (Some(keys), Some(values)) if keys.len() == values.len() => {
                positions[0].extend(keys);
                positions[1].extend(values);
            }
            (Some(keys), Some(values)) => {
                let message = || {
                    let lengths = (keys.len(), values.len());
                    format!(
                        "{} keys and {} values make no MAP; give as many of one as of the other",
                        lengths.0, lengths.1
                    )
                };
                arguments.errors.record(row, "_LEGACY_ERROR_TEMP_2128", message);
                *valid = false;
            }
            _ => *valid = false,
        }
        offsets.push(positions[0].len());
    }
    let (keys, values) = (take(keys.values(), &positions[0]), take(values.values(), &positions[1]));
    checked(arguments.data_type, &offsets, keys, values, &|row| valid[row], arguments.errors)
}

/// A NULL entry makes the map NULL.
fn from_entries(arguments: &mut Arguments) -> ArrayRef {
    let lists = Lists::of(&arguments.columns[0]);
    let entries = lists.values().as_struct();
    let mut positions = Vec::new();
    let mut offsets = vec![0];
    let mut valid = vec![true; arguments.rows];
    for (row, valid) in valid.iter_mut().enumerate() {
        match lists.range(row) {
            Some(range) if range.clone().all(|at| entries.is_valid(at)) => positions.extend(range),
            _ => *valid = false,
        }
        offsets.push(positions.len());
    }
    let [keys, values] = [0, 1].map(|side| take(entries.column(side), &positions));
    checked(arguments.data_type, &offsets, keys, values, &|row| valid[row], arguments.errors)
}

fn map_range(column: &Column, row: usize) -> Option<Range<usize>> {
    let map = column.array.as_map();
    let at = column.at(row);
    map.is_valid(at).then(|| map.value_offsets()[at] as usize..map.value_offsets()[at + 1] as usize)
}

fn concat(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (mut keys, mut values) = (ListBuilder::new(arguments.rows), ListBuilder::new(arguments.rows));
    let mut offsets = vec![0];
    let mut valid = vec![true; arguments.rows];
    for (row, valid) in valid.iter_mut().enumerate() {
        let ranges: Option<Vec<_>> = columns.iter().map(|column| map_range(column, row)).collect();
        *valid = ranges.is_some();
        for (source, range) in ranges.into_iter().flatten().enumerate() {
            for at in range {
                keys.push(source, at);
                values.push(source, at);
            }
        }
        offsets.push(offsets[row] + keys.length());
        keys.end(true);
        values.end(true);
    }
    let fields = entry_fields(arguments.data_type);
    let side = |lists: ListBuilder, side: usize| {
        let sources: Vec<&ArrayRef> =
            columns.iter().map(|column| column.array.as_map().entries().column(side)).collect();
        let list = lists.finish(&sources, &types::array(fields[side].data_type().clone()));
        list.as_list::<i32>().values().clone()
    };
    let (keys, values) = (side(keys, 0), side(values, 1));
    checked(arguments.data_type, &offsets, keys, values, &|row| valid[row], arguments.errors)
}

/// The keys (0) or values (1) as an array.
fn side(arguments: &mut Arguments, side: usize) -> ArrayRef {
    let map = arguments.columns[0].clone().into_rows(arguments.rows);
    let map = map.as_map();
    Arc::new(ListArray::new(
        element_field(arguments.data_type),
        map.offsets().clone(),
        map.entries().column(side).clone(),
        map.nulls().cloned(),
    ))
}

fn element_field(data_type: &DataType) -> FieldRef {
    match data_type {
        DataType::List(field) => field.clone(),
        other => panic!("{other} is no list"),
    }
}

fn entries(arguments: &mut Arguments) -> ArrayRef {
    let map = arguments.columns[0].clone().into_rows(arguments.rows);
    let map = map.as_map();
    let field = element_field(arguments.data_type);
    let DataType::Struct(fields) = field.data_type() else {
        panic!("an entry is a struct");
    };
    let entries = StructArray::new(fields.clone(), map.entries().columns().to_vec(), None);
    Arc::new(ListArray::new(field, map.offsets().clone(), Arc::new(entries), map.nulls().cloned()))
}

fn contains_key(arguments: &mut Arguments) -> ArrayRef {
    let [map, key] = arguments.columns else {
        panic!("two arguments");
    };
    let keys = map.array.as_map().keys();
    build::booleans(arguments.rows, |row| {
        let mut range = map_range(map, row)?;
        if key.is_null(row) {
            return None;
        }
        Some(range.any(|at| is_same((keys, at), (&key.array, key.at(row)))))
    })
}
