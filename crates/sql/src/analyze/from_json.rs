//! Plans `from_json(json, schema[, options])`, `to_json(value, options)` and `schema_of_json(json, options)`: the schema becomes
//! the call's type, and the options constants behind the arguments.

use super::calls::check_count;
use super::constants::computed;
use super::resolve::{Resolver, sentence};
use crate::expr::Expr;
use crate::functions::Function;
use crate::functions::from_json::JsonOptions;
use crate::functions::json_options::{Pairs, constants, paired};
use crate::functions::json_schema::{SCHEMA_OF_JSON, SchemaOptions};
use crate::functions::structs::JsonWriting;
use crate::syntax::{self, Call, Fault, Node, NodeKind};
use crate::types;
use crate::value::Value;
use arrow_schema::{DataType, Fields};
use std::ops::Range;

impl Resolver<'_> {
    pub(super) fn json_read(&mut self, function: &'static Function, call: &Call) -> Result<Expr, Fault> {
        let name = function.name;
        check_count(name, 2, 3, call)?;
        let json = self.resolve(&call.arguments[0])?;
        let json = match json.data_type() {
            DataType::Utf8 => json,
            DataType::Null => super::coerce::cast_to(json, &DataType::Utf8),
            other => {
                let message = format!("`{name}` takes a STRING, not {}", types::name(&other));
                return Err(Fault::new(
                    call.arguments[0].at.clone(),
                    message,
                    "convert it: from_json(CAST(… AS STRING), …)",
                ));
            }
        };
        let data_type = self.schema_of_record(name, &call.arguments[1])?;
        let pairs = match call.arguments.get(2) {
            Some(node) => self.options(name, node)?,
            None => Vec::new(),
        };
        let of_options = |message: String| {
            let at = call.arguments.get(2).map_or(call.name.at.clone(), |node| node.at.clone());
            sentence(at, &message)
        };
        let options = JsonOptions::of(&pairs).map_err(of_options)?;
        if let DataType::Struct(fields) = &data_type {
            check_corrupt_column(&options, fields, &call.arguments[1])?;
        }
        Ok(parsed(function, json, data_type, constants(pairs)))
    }

    /// `to_json(value, options)` and `schema_of_json(json, options)`: the options become constants behind the value.
    pub(super) fn json_with_options(
        &mut self,
        function: &'static Function,
        call: &Call,
        at: &Range<usize>,
    ) -> Result<Expr, Fault> {
        let value = self.placed(&call.arguments[0])?;
        let pairs = self.options(function.name, &call.arguments[1])?;
        let checked = match function.name {
            SCHEMA_OF_JSON => SchemaOptions::of(&pairs).map(drop),
            _ => JsonWriting::of(&pairs).map(drop),
        };
        checked.map_err(|message| sentence(call.arguments[1].at.clone(), &message))?;
        let mut applied = self.apply(function, function.name, vec![value], at)?;
        if let Expr::Call(_, arguments, _) = &mut applied {
            arguments.extend(constants(pairs));
        }
        Ok(applied)
    }

    /// The type that a constant text names.
    pub(super) fn schema_of_record(&mut self, name: &str, node: &Node) -> Result<DataType, Fault> {
        let help = "write it as a string, such as 'a INT, b STRING', or schema_of_json('{…}')";
        let Expr::Literal(Value::String(text), _) = computed(self.resolve(node)?, self.scope.zone) else {
            return Err(Fault::new(node.at.clone(), format!("the schema of `{name}` is not a constant STRING"), help));
        };
        let of_schema = |fault: Fault| {
            Fault::new(node.at.clone(), format!("the schema of `{name}`: {}", fault.message), fault.help)
        };
        let data_type = syntax::parse_record(&text).map_err(of_schema)?;
        if !types::is_nested(&data_type) {
            let message = format!("`{name}` gives a STRUCT, ARRAY or MAP, not {}", types::name(&data_type));
            return Err(Fault::new(node.at.clone(), message, "name the columns: 'a INT, b STRING'"));
        }
        if let Some(key) = other_key(&data_type) {
            let message = format!("the keys of a MAP in JSON are STRINGs, not {}", types::name(&key));
            return Err(Fault::new(node.at.clone(), message, "write MAP<STRING, …>, and transform_keys(…) the result"));
        }
        Ok(data_type)
    }

    /// The pairs of a call `map('name', 'value', …)`, sorted by name.
    pub(super) fn options(&mut self, name: &str, node: &Node) -> Result<Pairs, Fault> {
        let wrong = |node: &Node| {
            let message = format!("the options of `{name}` are not a MAP of constant STRINGs");
            Fault::new(node.at.clone(), message, "write map('mode', 'FAILFAST')")
        };
        let NodeKind::Call(map) = &node.kind else { return Err(wrong(node)) };
        if !map.name.name.eq_ignore_ascii_case("map") || map.arguments.is_empty() || map.arguments.len() & 1 == 1 {
            return Err(wrong(node));
        }
        let mut texts = Vec::new();
        for node in &map.arguments {
            match computed(self.resolve(node)?, self.scope.zone) {
                Expr::Literal(Value::String(text), _) => texts.push(text),
                _ => return Err(wrong(node)),
            }
        }
        let mut pairs = paired(texts.into_iter());
        pairs.sort();
        Ok(pairs)
    }
}

/// The call with options that are constants. Its schema is written out again, so that the plan's text tells all.
pub(super) fn parsed(
    function: &'static Function,
    json: Expr,
    data_type: DataType,
    options: impl Iterator<Item = Expr>,
) -> Expr {
    let schema = Expr::Literal(Value::String(types::name(&data_type)), DataType::Utf8);
    Expr::Call(function, [json, schema].into_iter().chain(options).collect(), data_type)
}

/// Spark finds out at the first row.
fn check_corrupt_column(options: &JsonOptions, fields: &Fields, schema: &Node) -> Result<(), Fault> {
    let is_other = |data_type: &DataType| *data_type != DataType::Utf8;
    match fields.iter().find(|field| *field.name() == options.corrupt_column && is_other(field.data_type())) {
        Some(field) => Err(Fault::new(
            schema.at.clone(),
            format!("the field of corrupt records `{}` is {}", field.name(), types::name(field.data_type())),
            "declare it STRING, or name another one: map('columnNameOfCorruptRecord', …)",
        )),
        None => Ok(()),
    }
}

/// The type of a MAP's keys that are no STRINGs, wherever it stands.
fn other_key(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::List(element) => other_key(element.data_type()),
        DataType::Struct(fields) => fields.iter().find_map(|field| other_key(field.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(entry) if *entry[0].data_type() == DataType::Utf8 => other_key(entry[1].data_type()),
            DataType::Struct(entry) => Some(entry[0].data_type().clone()),
            other => panic!("a map of {other}"),
        },
        _ => None,
    }
}
