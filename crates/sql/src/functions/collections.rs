//! Functions that read arrays and maps: one element, whether it exists, the number of elements.

use super::{Arguments, Function, Param, build};
use crate::eval::Column;
use crate::eval::compare::order_at;
use crate::expr::Expr;
use crate::types;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, make_array, new_null_array};
use arrow_data::transform::MutableArrayData;
use arrow_schema::DataType;
use std::sync::Arc;

const READ: Function = Function {
    params: &[Param::Any, Param::Any],
    required: 2,
    gives: |arguments| element_type(&arguments[0].data_type()).unwrap_or(DataType::Null),
    ..Function::BLANK
};

pub(super) const FUNCTIONS: &[Function] = &[
    // `x[i]`: arrays from 0. Only the planner can use this name.
    Function { name: "[ ]", kernel: |a| element(a, Base::Zero), ..READ },
    Function {
        name: "element_at",
        usage: "element_at(array, index) or element_at(map, key)",
        about: "The element at an index, counted from 1 or from the end if negative, or the value of a key. NULL if there is no such key; an index out of bounds fails the row.",
        example: "element_at(array(1, 2, 3), 2)",
        check: check_read,
        kernel: |a| element(a, Base::One),
        ..READ
    },
    // `get(array, i)` and `try_element_at`: NULL outside of the array.
    Function {
        name: "get",
        usage: "get(array, index)",
        about: "The element at an index, counted from 0; NULL if there is none.",
        example: "get(array(1, 2, 3), 0)",
        check: check_read,
        kernel: |a| element(a, Base::ZeroOrNull),
        ..READ
    },
    Function {
        name: "try_element_at",
        usage: "try_element_at(array, index) or try_element_at(map, key)",
        about: "As `element_at`, but NULL for an index out of bounds.",
        example: "try_element_at(array(1, 2, 3), 4)",
        check: check_read,
        kernel: |a| element(a, Base::OneOrNull),
        ..READ
    },
    Function {
        name: "size",
        aliases: &["cardinality"],
        usage: "size(value)",
        about: "The number of elements of an ARRAY or MAP; NULL for NULL.",
        example: "size(array('a', 'b'))",
        params: &[Param::Any],
        required: 1,
        gives: |_| DataType::Int32,
        check: check_collection,
        kernel: size,
        ..READ
    },
    Function {
        name: "array_contains",
        usage: "array_contains(array, value)",
        about: "Whether an element is equal to the value; NULL if none is and one is NULL.",
        example: "array_contains(array(1, 2), 2)",
        gives: |_| DataType::Boolean,
        check: check_array,
        kernel: contains,
        ..READ
    },
    Function {
        name: "array_join",
        usage: "array_join(array, separator[, null_text])",
        about: "The elements as one text; NULLs are left out or written as the last argument.",
        example: "array_join(array('a', NULL, 'b'), ',', '?')",
        params: &[Param::Any, Param::OnlyString, Param::OnlyString],
        gives: |_| DataType::Utf8,
        check: check_texts,
        kernel: join,
        ..READ
    },
];

/// The type of an ARRAY's elements or a MAP's values.
pub(crate) fn element_type(t: &DataType) -> Option<DataType> {
    match t {
        DataType::List(element) => Some(element.data_type().clone()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => Some(fields[1].data_type().clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The type of an ARRAY's index (INT) or a MAP's key.
pub(crate) fn index_type(t: &DataType) -> Option<DataType> {
    match t {
        DataType::List(_) => Some(DataType::Int32),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => Some(fields[0].data_type().clone()),
            _ => None,
        },
        _ => None,
    }
}

fn check_collection(arguments: &[Expr]) -> Result<(), String> {
    match arguments[0].data_type() {
        t if index_type(&t).is_some() => Ok(()),
        other => Err(format!("an ARRAY or a MAP is wanted, not {}; give it one", types::name(&other))),
    }
}

fn check_read(arguments: &[Expr]) -> Result<(), String> {
    check_collection(arguments)?;
    match (index_type(&arguments[0].data_type()), arguments[1].data_type()) {
        (Some(wanted), given) if wanted == given => Ok(()),
        (Some(wanted), given) => {
            let names = (types::name(&wanted), types::name(&given));
            Err(format!("its key is {}, not {}; CAST the argument", names.0, names.1))
        }
        (None, _) => Err("an ARRAY or a MAP is wanted; give it one".into()),
    }
}

fn check_array(arguments: &[Expr]) -> Result<(), String> {
    match (arguments[0].data_type(), arguments[1].data_type()) {
        (DataType::List(element), given) if *element.data_type() == given && types::is_orderable(&given) => Ok(()),
        (DataType::List(element), given) => {
            let names = (types::name(element.data_type()), types::name(&given));
            Err(format!("the array holds {}, not {}; CAST the argument", names.0, names.1))
        }
        (other, _) => Err(format!("an ARRAY is wanted, not {}; give it one", types::name(&other))),
    }
}

fn check_texts(arguments: &[Expr]) -> Result<(), String> {
    match arguments[0].data_type() {
        DataType::List(element) if *element.data_type() == DataType::Utf8 => Ok(()),
        other => Err(format!("an ARRAY<STRING> is wanted, not {}; give it one", types::name(&other))),
    }
}

/// Where an array's index starts, and what an index outside gives.
#[derive(Clone, Copy, PartialEq)]
enum Base {
    Zero,
    ZeroOrNull,
    One,
    OneOrNull,
}

/// The element of an array at an index, or a map's value for a key (NULL if it has none).
fn element(arguments: &mut Arguments, base: Base) -> ArrayRef {
    let [collection, index] = arguments.columns else {
        panic!("two arguments");
    };
    let (values, bounds): (ArrayRef, &[i32]) = match collection.array.data_type() {
        DataType::Map(..) => {
            let map = collection.array.as_map();
            (map.values().clone(), map.value_offsets())
        }
        _ => {
            let list = collection.array.as_list::<i32>();
            (list.values().clone(), list.value_offsets())
        }
    };
    let is_map = matches!(collection.array.data_type(), DataType::Map(..));
    let data = values.to_data();
    let null = new_null_array(arguments.data_type, 1).to_data();
    let mut out = MutableArrayData::new(vec![&data, &null], true, arguments.rows);
    for row in 0..arguments.rows {
        let mut found = None;
        if !collection.is_null(row) && !index.is_null(row) {
            let at = collection.at(row);
            let bounds = bounds[at] as usize..bounds[at + 1] as usize;
            found = if is_map {
                find_key(collection, index, row, bounds)
            } else {
                find_place(arguments, row, bounds, base)
            };
        }
        let (source, at) = found.map_or((1, 0), |at| (0, at));
        out.try_extend(source, at, at + 1).expect("a batch is far from 2 GiB");
    }
    make_array(out.freeze())
}

/// Index of a key's value in the map's values; the first one if the key occurs twice.
fn find_key(map: &Column, key: &Column, row: usize, bounds: std::ops::Range<usize>) -> Option<usize> {
    let keys = map.array.as_map().keys();
    let mut bounds = bounds;
    bounds.find(|at| order_at(keys, *at, &key.array, key.at(row)).is_eq())
}

fn find_place(arguments: &mut Arguments, row: usize, bounds: std::ops::Range<usize>, base: Base) -> Option<usize> {
    let index = arguments.columns[1].numbers::<Int32Type>().get(row)?;
    let length = bounds.len() as i64;
    let index = i64::from(index);
    let from_zero = match base {
        Base::Zero | Base::ZeroOrNull => index,
        Base::One | Base::OneOrNull if index > 0 => index - 1,
        Base::One | Base::OneOrNull if index < 0 => length + index,
        Base::One | Base::OneOrNull => {
            let message = || "the index 0 is invalid; count from 1, or from -1 at the end".to_string();
            arguments.errors.record(row, "INVALID_INDEX_OF_ZERO", message);
            return None;
        }
    };
    if (0..length).contains(&from_zero) {
        return Some(bounds.start + from_zero as usize);
    }
    let (class, helper) = match base {
        Base::Zero => ("INVALID_ARRAY_INDEX", "get(array, index)"),
        Base::One => ("INVALID_ARRAY_INDEX_IN_ELEMENT_AT", "try_element_at(array, index)"),
        Base::ZeroOrNull | Base::OneOrNull => return None,
    };
    let message =
        || format!("the index {index} is outside an array of {length} elements; use {helper} to get NULL instead");
    arguments.errors.record(row, class, message);
    None
}

/// Number of elements or entries; NULL for NULL.
fn size(arguments: &mut Arguments) -> ArrayRef {
    let column = &arguments.columns[0];
    let value = |row| {
        if column.is_null(row) {
            return None;
        }
        let at = column.at(row);
        Some(match column.array.data_type() {
            DataType::Map(..) => column.array.as_map().value_length(at),
            _ => column.array.as_list::<i32>().value_length(at),
        })
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}

/// Whether an array contains a value; NULL if it does not but contains a NULL.
fn contains(arguments: &mut Arguments) -> ArrayRef {
    let [array, wanted] = arguments.columns else {
        panic!("two arguments");
    };
    let list = array.array.as_list::<i32>();
    build::booleans(arguments.rows, |row| {
        if array.is_null(row) || wanted.is_null(row) {
            return None;
        }
        let elements = list.value(array.at(row));
        let is_it = |at: usize| order_at(&elements, at, &wanted.array, wanted.at(row)).is_eq();
        let found = (0..elements.len()).any(|at| elements.is_valid(at) && is_it(at));
        (found || elements.null_count() == 0).then_some(found)
    })
}

/// Joins the elements with a separator. NULLs are skipped, or replaced by the third argument.
fn join(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let list = columns[0].array.as_list::<i32>();
    let separators = columns[1].texts();
    let fillings = columns.get(2).map(|filling| filling.texts());
    build::texts(arguments.rows, |row| {
        let separator = separators.get(row)?;
        if columns[0].is_null(row) {
            return None;
        }
        let filling = match &fillings {
            Some(fillings) => Some(fillings.get(row)?),
            None => None,
        };
        let elements = list.value(columns[0].at(row));
        let parts: Vec<&str> = elements.as_string::<i32>().iter().filter_map(|part| part.or(filling)).collect();
        Some(parts.join(separator))
    })
}
