//! STRUCTs made of values, and values written as JSON: `named_struct`, `struct` and `to_json` (rule S1).

use super::time_text::Pattern;
use super::{Arguments, Function, Param, ZONED, build, json_options};
use crate::eval::Order;
use crate::eval::cast::time::MICROS_PER_DAY;
use crate::expr::Expr;
use crate::text::json;
use crate::types;
use crate::value::Value;
use crate::zone::{WallClock, Zone};
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::{DataType, Field, Fields};
use std::sync::Arc;

/// The name of `to_json` in the table.
pub(crate) const TO_JSON: &str = "to_json";

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "struct",
        usage: "struct(value, …)",
        about: "A STRUCT of values. A field has the name of its column, else `col1`, `col2` and so on by its place.",
        example: "struct(1, 'a')",
        form: true,
        params: &[Param::Any],
        repeats: true,
        ..Function::BLANK
    },
    Function {
        name: "named_struct",
        usage: "named_struct(name, value, …)",
        about: "A STRUCT of named fields.",
        example: "named_struct('a', 1, 'b', 2)",
        params: &[Param::Any, Param::Any],
        required: 2,
        repeats: true,
        gives: |arguments| DataType::Struct(fields(arguments)),
        check: check_names,
        order: Order::Whole,
        kernel: named_struct,
        ..Function::BLANK
    },
    Function {
        name: TO_JSON,
        usage: "to_json(value[, options])",
        about: "A STRUCT, ARRAY or MAP as JSON. Options: `map('ignoreNullFields', 'false')`, `timestampFormat`, \
                `timestampNTZFormat`, `dateFormat`, `timeZone`.",
        example: "to_json(named_struct('a', 1, 'b', 2))",
        params: &[Param::Any, Param::Any],
        required: 1,
        check: check_nested,
        zoned: ZONED,
        kernel: to_json,
        ..Function::BLANK
    },
];

fn name(argument: &Expr) -> Option<&str> {
    match argument {
        Expr::Literal(Value::String(name), _) => Some(name),
        _ => None,
    }
}

fn check_names(arguments: &[Expr]) -> Result<(), String> {
    if arguments.len() & 1 == 1 {
        return Err("the names and values are not in pairs; write named_struct('a', x, 'b', y)".into());
    }
    match arguments.iter().step_by(2).all(|argument| name(argument).is_some()) {
        true => Ok(()),
        false => Err("a field's name is a constant STRING; write named_struct('a', x)".into()),
    }
}

fn fields(arguments: &[Expr]) -> Fields {
    let field = |pair: &[Expr]| Field::new(name(&pair[0]).unwrap_or_default(), pair[1].data_type(), true);
    arguments.chunks_exact(2).map(field).collect()
}

fn named_struct(arguments: &mut Arguments) -> ArrayRef {
    let DataType::Struct(fields) = arguments.data_type else { panic!("a struct is given") };
    let values = arguments.columns.iter().skip(1).step_by(2).map(|column| column.clone().into_rows(arguments.rows));
    Arc::new(StructArray::new(fields.clone(), values.collect(), None))
}

fn check_nested(arguments: &[Expr]) -> Result<(), String> {
    match arguments[0].data_type() {
        DataType::Struct(_) | DataType::List(_) | DataType::Map(..) => Ok(()),
        DataType::Null => Ok(()),
        other => Err(format!(
            "`to_json` takes a STRUCT, ARRAY or MAP, not {}; write to_json(struct(…))",
            types::name(&other)
        )),
    }
}

fn to_json(arguments: &mut Arguments) -> ArrayRef {
    let options = JsonWriting::of(&json_options::of_columns(&arguments.columns[1..])).expect("checked with the file");
    let values = arguments.columns[0].clone().into_rows(arguments.rows);
    let clock = WallClock::new(options.zone.unwrap_or(arguments.times.clock.zone()));
    let (shown, wall) = (&clock, &WallClock::new(Zone::UTC));
    let pattern =
        |text: &Option<String>| text.as_ref().map(|text| Pattern::parse(text).expect("checked with the file"));
    let [timestamp, ntz, date] = [&options.timestamp, &options.timestamp_ntz, &options.date].map(pattern);
    let timestamp = timestamp.as_ref().map(|pattern| move |micros: i64| pattern.format(micros, shown));
    let ntz = ntz.as_ref().map(|pattern| move |micros: i64| pattern.format(micros, wall));
    // A DATE beyond the years of a TIMESTAMP is written as the last of them.
    let date = date.as_ref().map(|pattern| move |days: i64| pattern.format(days.saturating_mul(MICROS_PER_DAY), wall));
    let style = json::Style {
        clock: shown,
        keeps_nulls: options.keeps_nulls,
        timestamp: timestamp.as_ref().map(|format| format as &dyn Fn(i64) -> String),
        timestamp_ntz: ntz.as_ref().map(|format| format as &dyn Fn(i64) -> String),
        date: date.as_ref().map(|format| format as &dyn Fn(i64) -> String),
    };
    let has_values = !values.data_type().is_null();
    build::texts(arguments.rows, |row| {
        let mut out = String::new();
        (has_values && values.is_valid(row)).then(|| json::write_styled(&mut out, &values, row, &style))?;
        Some(out)
    })
}

/// The options of a call of `to_json`.
#[derive(Default)]
pub(crate) struct JsonWriting {
    keeps_nulls: bool,
    timestamp: Option<String>,
    timestamp_ntz: Option<String>,
    date: Option<String>,
    zone: Option<Zone>,
}

impl JsonWriting {
    /// Reads pairs of names and values.
    ///
    /// # Errors
    /// Which option is wrong, and what to do.
    pub fn of(pairs: &[(String, String)]) -> Result<JsonWriting, String> {
        let mut options = JsonWriting::default();
        for (name, value) in pairs {
            let format = || Pattern::parse(value).map(|_| Some(value.clone()));
            match name.to_ascii_lowercase().as_str() {
                "ignorenullfields" => options.keeps_nulls = !json_options::is_true(name, value)?,
                "timestampformat" => options.timestamp = format()?,
                "timestampntzformat" => options.timestamp_ntz = format()?,
                "dateformat" => options.date = format()?,
                "timezone" => options.zone = Some(json_options::zone(value)?),
                _ => {
                    let known = "ignoreNullFields, timestampFormat, timestampNTZFormat, dateFormat, timeZone";
                    return Err(format!("the option `{name}` is not supported; the options are {known}"));
                }
            }
        }
        Ok(options)
    }
}
