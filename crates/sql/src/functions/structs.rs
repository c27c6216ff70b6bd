//! STRUCTs made of values, and values written as JSON: `named_struct`, `struct` and `to_json` (rule S1).

use super::{Arguments, Function, Param, ZONED, build};
use crate::expr::Expr;
use crate::text::json;
use crate::types;
use crate::value::Value;
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::{DataType, Field, Fields};
use std::sync::Arc;

pub(super) const FUNCTIONS: &[Function] = &[
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
        kernel: named_struct,
        ..Function::BLANK
    },
    Function {
        name: "to_json",
        usage: "to_json(value)",
        about: "A STRUCT, ARRAY or MAP as JSON.",
        example: "to_json(named_struct('a', 1, 'b', 2))",
        params: &[Param::Any],
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
        other => Err(format!(
            "`to_json` takes a STRUCT, ARRAY or MAP, not {}; write to_json(struct(…))",
            types::name(&other)
        )),
    }
}

fn to_json(arguments: &mut Arguments) -> ArrayRef {
    let values = arguments.columns[0].clone().into_rows(arguments.rows);
    build::texts(arguments.rows, |row| {
        let mut out = String::new();
        values.is_valid(row).then(|| json::write_value(&mut out, &values, row, &arguments.times.clock))?;
        Some(out)
    })
}
