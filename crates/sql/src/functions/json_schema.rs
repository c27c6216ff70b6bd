//! What a JSON text is made of: `schema_of_json`, `json_array_length`, `json_object_keys`.
//!
//! The schema is inferred as Spark's JSON source infers it: fields sorted by name, whole numbers BIGINT or DECIMAL, others
//! DOUBLE, NULL as STRING, and of the elements of an array the type that they have in common.

use super::json::{Json, Malformed, Read};
use super::lists::ListBuilder;
use super::{Arguments, Function, Param, build, json_options};
use crate::expr::Expr;
use crate::types;
use crate::value::Value;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use std::cmp::Ordering;
use std::sync::Arc;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: SCHEMA_OF_JSON,
        usage: "schema_of_json(json[, options])",
        about: "The schema of a constant JSON text, as `from_json` takes it. Options: `map('allowNumericLeadingZeros', 'true')`, \
                `primitivesAsString`.",
        params: &[Param::OnlyString, Param::Any],
        required: 1,
        example: "schema_of_json('{\"a\":1, \"b\":[0.8]}')",
        check: check_constant,
        kernel: schema_of_json,
        ..Function::BLANK
    },
    Function {
        name: "json_array_length",
        usage: "json_array_length(json)",
        about: "The number of elements of a JSON array; NULL for any other text.",
        params: &[Param::OnlyString],
        example: "json_array_length('[1, 2, [3, 4]]')",
        gives: |_| DataType::Int32,
        kernel: array_length,
        ..Function::BLANK
    },
    Function {
        name: "json_object_keys",
        usage: "json_object_keys(json)",
        about: "The names of a JSON object's outermost members, as an ARRAY; NULL for any other text.",
        params: &[Param::OnlyString],
        example: "json_object_keys('{\"a\":1, \"b\":{\"c\":2}}')",
        gives: |_| types::array(DataType::Utf8),
        kernel: object_keys,
        ..Function::BLANK
    },
];

/// Its name in the table.
pub(crate) const SCHEMA_OF_JSON: &str = "schema_of_json";

/// The options of a call of `schema_of_json`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SchemaOptions {
    leading_zeros: bool,
    primitives_as_string: bool,
}

impl SchemaOptions {
    /// Reads pairs of names and values.
    ///
    /// # Errors
    /// Which option is wrong, and what to do.
    pub fn of(pairs: &[(String, String)]) -> Result<SchemaOptions, String> {
        let mut options = SchemaOptions::default();
        for (name, value) in pairs {
            let option = match name.to_ascii_lowercase().as_str() {
                "allownumericleadingzeros" => &mut options.leading_zeros,
                "primitivesasstring" => &mut options.primitives_as_string,
                _ => {
                    let known = "allowNumericLeadingZeros and primitivesAsString";
                    return Err(format!("the option `{name}` is not supported; the options are {known}"));
                }
            };
            *option = json_options::is_true(name, value)?;
        }
        Ok(options)
    }
}

fn check_constant(arguments: &[Expr]) -> Result<(), String> {
    let is_null = matches!(arguments[0], Expr::Literal(Value::Null, _)) || arguments[0].data_type().is_null();
    match is_null || arguments[0].has_column(|_| true) {
        true => Err("the text is not a constant; write an example of the records as a string".into()),
        false => Ok(()),
    }
}

fn array_length(arguments: &mut Arguments) -> ArrayRef {
    let texts = arguments.columns[0].texts();
    let length = |row| {
        let mut length = 0;
        let mut json = Json::new(texts.get(row)?);
        let read = json.members('[', ']', |json, _| {
            length += 1;
            json.copy(None)
        });
        read.is_ok().then_some(length)
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, length))
}

fn object_keys(arguments: &mut Arguments) -> ArrayRef {
    let texts = arguments.columns[0].texts();
    let mut all: Vec<String> = Vec::new();
    let out = ListBuilder::rows(arguments.rows, |out, row| {
        let before = all.len();
        let mut json = Json::new(texts.get(row)?);
        let read = json.members('{', '}', |json, _| {
            all.push(json.key()?.whole);
            json.copy(None)
        });
        if read.is_err() {
            all.truncate(before);
            return None;
        }
        (before..all.len()).for_each(|at| out.push(0, at));
        Some(())
    });
    let names: ArrayRef = Arc::new(StringArray::from(all));
    out.finish(&[&names], arguments.data_type)
}

fn schema_of_json(arguments: &mut Arguments) -> ArrayRef {
    let texts = arguments.columns[0].texts();
    let options = SchemaOptions::of(&json_options::of_columns(&arguments.columns[1..]));
    let options = options.expect("the planner has read the options");
    let errors = &mut *arguments.errors;
    build::texts(arguments.rows, |row| {
        let text = texts.get(row)?;
        let mut json = Json::new(text).with_leading_zeros(options.leading_zeros);
        let inferred = if text.trim().is_empty() { Ok(DataType::Null) } else { infer(&mut json, options) };
        match inferred {
            Ok(inferred) => Some(ddl(&canonical(&inferred).unwrap_or_else(|| empty(&inferred)))),
            Err(Malformed) => {
                let message = || format!("'{text}' is not JSON");
                errors.record(row, "MALFORMED_RECORD_IN_PARSING", message);
                None
            }
        }
    })
}

/// The type of the next value; NULL where it tells nothing.
fn infer(json: &mut Json, options: SchemaOptions) -> Read<DataType> {
    match json.peek()? {
        '{' => {
            let mut fields: Vec<Field> = Vec::new();
            json.members('{', '}', |json, _| {
                let name = json.key()?.whole;
                fields.push(Field::new(name, infer(json, options)?, true));
                Ok(())
            })?;
            fields.sort_by(|a, b| utf16_order(a.name(), b.name()));
            Ok(DataType::Struct(fields.into()))
        }
        '[' => {
            let mut element = DataType::Null;
            json.members('[', ']', |json, _| {
                element = common(&element, &infer(json, options)?);
                Ok(())
            })?;
            Ok(types::array(element))
        }
        '"' | '\'' => {
            let mut text = String::new();
            json.copy(Some(&mut text))?;
            Ok(if text == "\"\"" { DataType::Null } else { DataType::Utf8 })
        }
        first => {
            let mut text = String::new();
            json.copy(Some(&mut text))?;
            Ok(match first {
                'n' => DataType::Null,
                _ if options.primitives_as_string => DataType::Utf8,
                't' | 'f' => DataType::Boolean,
                _ => number(&text),
            })
        }
    }
}

/// As Java compares strings.
fn utf16_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

fn number(text: &str) -> DataType {
    if text.contains(['.', 'E', 'I']) {
        return DataType::Float64;
    }
    match (text.parse::<i64>(), text.trim_start_matches('-').trim_start_matches('0').len()) {
        (Ok(_), _) => DataType::Int64,
        (Err(_), digits @ ..=38) => DataType::Decimal128(digits as u8, 0),
        _ => DataType::Float64,
    }
}

/// The type that holds both: a STRING if nothing else does.
fn common(a: &DataType, b: &DataType) -> DataType {
    match (a, b) {
        (DataType::List(a), DataType::List(b)) => types::array(common(a.data_type(), b.data_type())),
        (DataType::Struct(a), DataType::Struct(b)) => {
            let mut fields: Vec<FieldRef> = a.iter().cloned().collect();
            for field in b {
                match fields.iter_mut().find(|known| known.name() == field.name()) {
                    Some(known) => {
                        let shared = common(known.data_type(), field.data_type());
                        *known = Arc::new(Field::new(field.name(), shared, true));
                    }
                    None => fields.push(field.clone()),
                }
            }
            fields.sort_by(|a, b| utf16_order(a.name(), b.name()));
            DataType::Struct(fields.into())
        }
        _ => types::common(a, b).unwrap_or(DataType::Utf8),
    }
}

/// Without what has no fields; NULL is a STRING.
fn canonical(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Null => Some(DataType::Utf8),
        DataType::List(element) => canonical(element.data_type()).map(types::array),
        DataType::Struct(fields) => {
            let kept = |field: &FieldRef| Some(Field::new(field.name(), canonical(field.data_type())?, true));
            let fields: Fields = fields.iter().filter(|field| !field.name().is_empty()).filter_map(kept).collect();
            (!fields.is_empty()).then_some(DataType::Struct(fields))
        }
        other => Some(other.clone()),
    }
}

/// Of a value without fields.
fn empty(data_type: &DataType) -> DataType {
    let nothing = DataType::Struct(Fields::empty());
    match data_type {
        DataType::List(element) if matches!(element.data_type(), DataType::Struct(_)) => types::array(nothing),
        DataType::Struct(_) => nothing,
        _ => DataType::Utf8,
    }
}

/// The type as `from_json` takes it.
pub(super) fn ddl(data_type: &DataType) -> String {
    match data_type {
        DataType::List(element) => format!("ARRAY<{}>", ddl(element.data_type())),
        DataType::Struct(fields) => {
            let field = |field: &FieldRef| format!("{}: {}", quoted(field.name()), ddl(field.data_type()));
            format!("STRUCT<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => types::name(other),
    }
}

/// In backquotes where it needs them.
fn quoted(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match plain && !name.bytes().all(|byte| byte.is_ascii_digit()) {
        true => name.into(),
        false => format!("`{}`", name.replace('`', "``")),
    }
}
