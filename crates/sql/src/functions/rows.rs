//! What generators compute beside the functions of the table: elements with their places, and the members that `json_tuple`
//! asks for. The planner alone can name them.

use super::json::{Json, Read};
use super::{Arguments, Function, Param};
use crate::expr::Expr;
use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, ListArray, StructArray};
use arrow_schema::DataType;
use std::sync::Arc;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "with places", params: &[Param::Any], kernel: with_places, ..Function::BLANK },
    Function {
        name: "json_tuple of",
        params: &[Param::String, Param::String],
        required: 2,
        repeats: true,
        gives: |_: &[Expr]| DataType::Utf8,
        kernel: json_tuple,
        ..Function::BLANK
    },
];

/// An array of `{pos, col}`, or of `{pos, key, value}` where the elements are a map's entries.
fn with_places(arguments: &mut Arguments) -> ArrayRef {
    let lists = arguments.columns[0].clone().into_rows(arguments.rows);
    let lists = lists.as_list::<i32>();
    let DataType::List(field) = arguments.data_type else { panic!("an array is given") };
    let DataType::Struct(fields) = field.data_type() else { panic!("of structs") };
    let mut places = vec![0; lists.values().len()];
    for row in 0..lists.len() {
        let (begin, end) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
        places[begin..end].iter_mut().zip(0..).for_each(|(place, number)| *place = number);
    }
    let places: ArrayRef = Arc::new(Int32Array::from(places));
    let members = match fields.len() {
        2 => vec![lists.values().clone()],
        _ => lists.values().as_struct().columns().to_vec(),
    };
    let elements = StructArray::new(fields.clone(), [vec![places], members].concat(), None);
    Arc::new(ListArray::new(field.clone(), lists.offsets().clone(), Arc::new(elements), lists.nulls().cloned()))
}

fn json_tuple(arguments: &mut Arguments) -> ArrayRef {
    let DataType::Struct(fields) = arguments.data_type else { panic!("a struct is given") };
    let texts = arguments.columns[0].texts();
    let names: Vec<_> = arguments.columns[1..].iter().map(|column| column.texts()).collect();
    let mut columns: Vec<StringBuilder> = fields.iter().map(|_| StringBuilder::new()).collect();
    for row in 0..arguments.rows {
        let names: Vec<Option<&str>> = names.iter().map(|names| names.get(row)).collect();
        let read = texts.get(row).and_then(|text| members(text, &names).ok());
        let values = read.unwrap_or_else(|| vec![None; columns.len()]);
        columns.iter_mut().zip(values).for_each(|(column, value)| column.append_option(value));
    }
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    Arc::new(StructArray::new(fields.clone(), columns, None))
}

/// The members of an object by name, as text. Of several of one name the last that is not null counts.
fn members(text: &str, names: &[Option<&str>]) -> Read<Vec<Option<String>>> {
    let mut found = vec![None; names.len()];
    let mut json = Json::new(text);
    json.members('{', '}', |json, _| {
        let key = json.key()?;
        let wanted = |name: &&Option<&str>| key.halves.is_empty() && **name == Some(key.whole.as_str());
        if json.rest_starts("null") || !names.iter().any(|name| wanted(&name)) {
            return json.copy(None);
        }
        let mut value = String::new();
        json.raw(&mut value)?;
        for (place, _) in names.iter().enumerate().filter(|(_, name)| wanted(name)) {
            found[place] = Some(value.clone());
        }
        Ok(())
    })?;
    Ok(found)
}
