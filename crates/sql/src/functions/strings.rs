//! Functions of strings. Positions and lengths count characters (Unicode code points), as Spark's.

use super::{Arguments, Function, Param};
use crate::eval::Texts;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, StringArray};
use arrow_schema::DataType;
use std::sync::Arc;

const INT: fn(&[DataType]) -> DataType = |_| DataType::Int32;

const PAIR_TEST: Function =
    Function { params: &[Param::String, Param::String], required: 2, gives: |_| DataType::Boolean, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "upper", aliases: &["ucase"], kernel: |a| map(a, str::to_uppercase), ..Function::BLANK },
    Function { name: "lower", aliases: &["lcase"], kernel: |a| map(a, str::to_lowercase), ..Function::BLANK },
    Function {
        name: "trim",
        aliases: &["btrim"],
        params: &[Param::String, Param::String],
        kernel: |a| trimmed(a, true, true),
        ..Function::BLANK
    },
    Function {
        name: "length",
        aliases: &["char_length", "character_length", "len"],
        params: &[Param::Text],
        gives: INT,
        kernel: length,
        ..Function::BLANK
    },
    Function { name: "concat", repeats: true, kernel: concat, ..Function::BLANK },
    Function {
        name: "substring",
        aliases: &["substr"],
        params: &[Param::String, Param::Int, Param::Int],
        required: 2,
        kernel: substring,
        ..Function::BLANK
    },
    Function { name: "contains", kernel: |a| test(a, |x, y| x.contains(y)), ..PAIR_TEST },
    Function { name: "startswith", kernel: |a| test(a, |x, y| x.starts_with(y)), ..PAIR_TEST },
    Function { name: "endswith", kernel: |a| test(a, |x, y| x.ends_with(y)), ..PAIR_TEST },
];

/// One string to another; NULL to NULL.
fn map(arguments: &mut Arguments, convert: impl Fn(&str) -> String) -> ArrayRef {
    let input = arguments.columns[0].texts();
    build(arguments.rows, |row| input.get(row).map(&convert))
}

fn build<S: AsRef<str>>(rows: usize, value: impl Fn(usize) -> Option<S>) -> ArrayRef {
    Arc::new((0..rows).map(value).collect::<StringArray>())
}

fn test(arguments: &mut Arguments, holds: impl Fn(&str, &str) -> bool) -> ArrayRef {
    let (x, y) = (arguments.columns[0].texts(), arguments.columns[1].texts());
    let value = |row| Some(holds(x.get(row)?, y.get(row)?));
    Arc::new((0..arguments.rows).map(value).collect::<BooleanArray>())
}

fn trimmed(arguments: &mut Arguments, front: bool, back: bool) -> ArrayRef {
    let input = arguments.columns[0].texts();
    let set = arguments.columns.get(1).map(|set| set.texts());
    build(arguments.rows, |row| {
        let text = input.get(row)?;
        let set = set.as_ref().map_or(Some(" "), |set: &Texts| set.get(row))?;
        let text = if front { text.trim_start_matches(|c| set.contains(c)) } else { text };
        Some(if back { text.trim_end_matches(|c| set.contains(c)) } else { text })
    })
}

fn length(arguments: &mut Arguments) -> ArrayRef {
    let input = &arguments.columns[0];
    let is_text = input.array.data_type() == &DataType::Utf8;
    let value = |row| {
        let bytes = input.bytes(row)?;
        // Every byte but a continuation byte (10xxxxxx) begins a character.
        let count = if is_text { bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count() } else { bytes.len() };
        Some(count as i32)
    };
    Arc::new((0..arguments.rows).map(value).collect::<Int32Array>())
}

fn concat(arguments: &mut Arguments) -> ArrayRef {
    let inputs: Vec<_> = arguments.columns.iter().map(|column| column.texts()).collect();
    build(arguments.rows, |row| inputs.iter().map(|input| input.get(row)).collect::<Option<String>>())
}

/// From position 1 on; 0 is as 1, negative ones count from the end; a window that begins before the text is cut.
fn substring(arguments: &mut Arguments) -> ArrayRef {
    let input = arguments.columns[0].texts();
    let position = arguments.columns[1].numbers::<Int32Type>();
    let length = arguments.columns.get(2).map(|length| length.numbers::<Int32Type>());
    build(arguments.rows, |row| {
        let (text, position) = (input.get(row)?, i64::from(position.get(row)?));
        let length = match &length {
            Some(length) => i64::from(length.get(row)?),
            None => i64::from(i32::MAX),
        };
        Some(slice(text, position, length))
    })
}

fn slice(text: &str, position: i64, length: i64) -> String {
    let start = match position {
        1.. => position - 1,
        0 => 0,
        _ => text.chars().count() as i64 + position,
    };
    let end = start + length;
    if end <= start.max(0) {
        return String::new();
    }
    text.chars().skip(start.max(0) as usize).take((end - start.max(0)) as usize).collect()
}
