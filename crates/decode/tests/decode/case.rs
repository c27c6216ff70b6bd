//! Schemas and records in the syntax of the case files.

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

/// A schema such as `a INT, s STRUCT<x: ARRAY<STRING>>`.
pub fn schema(ddl: &str) -> SchemaRef {
    let mut rest = ddl;
    let fields = fields(&mut rest);
    assert_eq!(rest, "", "{ddl}");
    Arc::new(Schema::new(fields))
}

/// Fields up to the end or a `>`.
fn fields(rest: &mut &str) -> Fields {
    let mut found = Vec::new();
    loop {
        let name = word(rest);
        *rest = rest.trim_start_matches([':', ' ']);
        found.push(Field::new(name, data_type(rest), true));
        match rest.strip_prefix(',') {
            Some(behind) => *rest = behind,
            None => return found.into(),
        }
    }
}

fn word<'a>(rest: &mut &'a str) -> &'a str {
    let text = rest.trim_start();
    if let Some((quoted, behind)) = text.strip_prefix('`').and_then(|text| text.split_once('`')) {
        *rest = behind;
        return quoted;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    *rest = &text[end..];
    &text[..end]
}

fn data_type(rest: &mut &str) -> DataType {
    match word(rest) {
        "BOOLEAN" => DataType::Boolean,
        "TINYINT" => DataType::Int8,
        "SMALLINT" => DataType::Int16,
        "INT" => DataType::Int32,
        "BIGINT" => DataType::Int64,
        "FLOAT" => DataType::Float32,
        "DOUBLE" => DataType::Float64,
        "STRING" => DataType::Utf8,
        "BINARY" => DataType::Binary,
        "DATE" => DataType::Date32,
        "TIMESTAMP" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "TIMESTAMP_NTZ" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "DECIMAL" => {
            let precision = inner(rest, '(', |rest| {
                let precision = word(rest).parse().unwrap();
                *rest = &rest[1..];
                (precision, word(rest).parse().unwrap())
            });
            DataType::Decimal128(precision.0, precision.1)
        }
        "STRUCT" => DataType::Struct(inner(rest, '<', fields)),
        "ARRAY" => DataType::List(Arc::new(Field::new("element", inner(rest, '<', data_type), true))),
        "MAP" => inner(rest, '<', |rest| {
            let key = Field::new("key", data_type(rest), false);
            *rest = &rest[1..];
            let entries = DataType::Struct(vec![key, Field::new("value", data_type(rest), true)].into());
            DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
        }),
        other => panic!("unknown type {other}"),
    }
}

fn inner<T>(rest: &mut &str, open: char, parse: impl FnOnce(&mut &str) -> T) -> T {
    *rest = rest.strip_prefix(open).unwrap();
    let found = parse(rest);
    *rest = &rest[1..];
    found
}

/// A record's bytes: `%41` is a byte, `%{text*1000}` a repetition, `<absent>` none at all.
pub fn value(case: &str) -> Option<Vec<u8>> {
    match case {
        "<absent>" => return None,
        "<empty>" => return Some(Vec::new()),
        _ => {}
    }
    let mut text = String::new();
    let mut rest = case;
    while let Some((before, behind)) = rest.split_once("%{") {
        text.push_str(before);
        let (star, end) = behind
            .match_indices('*')
            .find_map(|(star, _)| {
                let digits = behind[star + 1..].bytes().take_while(u8::is_ascii_digit).count();
                behind[star + 1 + digits..].starts_with('}').then_some((star, star + 1 + digits))
            })
            .expect("%{text*count}");
        text.push_str(&behind[..star].repeat(behind[star + 1..end].parse().unwrap()));
        rest = &behind[end + 1..];
    }
    text.push_str(rest);
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(bytes)
}
