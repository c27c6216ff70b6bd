//! Templates of expressions: a text with holes, each of a type.
//!
//! Those of functions are made from the examples in the table of functions, so a new function is generated as soon as it
//! has a row there. Those of operators and other forms are in [`super::forms`].

use super::plans::type_of;
use super::rows::COLUMNS;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tidemill_sql::functions::{self, Param};
use tidemill_sql::reference::{self, Example};

/// A text with holes.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The texts around the holes: one more than holes.
    pub(super) texts: Vec<String>,
    pub(super) holes: Vec<Hole>,
    /// The type of the whole, as SQL writes it.
    pub(super) result: String,
    /// Whether the last digit of the result may differ from Spark's, so that nothing may be computed from it.
    pub(super) only_outside: bool,
}

/// A place for an expression.
#[derive(Clone, Debug, Default)]
pub(super) struct Hole {
    /// The type that is expected there.
    pub(super) data_type: String,
    /// What the example has there.
    pub(super) constant: Option<String>,
    /// Parameters of a lambda that may occur there: name and type.
    pub(super) scope: Vec<(String, String)>,
}

/// All templates, and the constants of the examples by type.
pub(super) struct Templates {
    pub(super) all: Vec<Template>,
    pub(super) constants: BTreeMap<String, Vec<String>>,
    /// Aggregate calls. They are no part of `all`.
    pub(super) aggregates: Vec<Template>,
}

/// Functions whose value is not a matter of their arguments, or that Spark's documentation leaves open. Of the first eighteen
/// some forms are in [`super::forms`]: a great number of places or elements takes all of Spark's memory and ends it, as does
/// the place of `array_insert`, behind which Spark writes into memory that is not the array's; `array_join` of a constant array
/// gives NULL in code that Spark generates and no NULL elsewhere; `element_at` of an array without NULLs gives 0 at an index
/// that is NULL; the `try_` forms fail at a year beyond 294247; `string(unbase64(x))` may be bytes that are no UTF-8, which
/// are another STRING here; at the ends of INT the others count beyond them. `histogram_numeric` depends on how Spark cuts a
/// table's rows into partitions.
const LEFT_OUT: [&str; 36] = [
    "format_number",
    "array_repeat",
    "unbase64",
    "array_insert",
    "sequence",
    "repeat",
    "space",
    "element_at",
    "try_element_at",
    "try_make_timestamp",
    "try_make_timestamp_ltz",
    "try_make_timestamp_ntz",
    "split_part",
    "substring_index",
    "histogram_numeric",
    "array_join",
    "overlay",
    "lpad",
    "rpad",
    "current_timestamp",
    "now",
    "localtimestamp",
    "current_date",
    "curdate",
    "unix_timestamp",
    "uuid",
    "rand",
    "random",
    "randn",
    "randstr",
    "uniform",
    "shuffle",
    "monotonically_increasing_id",
    "aes_encrypt",
    "mode",
    "raise_error",
];

pub(super) fn templates() -> &'static Templates {
    static TEMPLATES: OnceLock<Templates> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut made = Templates { all: super::forms::templates(), constants: BTreeMap::new(), aggregates: Vec::new() };
        for section in reference::sections() {
            for entry in section.entries.iter().filter(|entry| !LEFT_OUT.contains(&entry.name)) {
                match entry.example {
                    Example::Constant(text) => made.add_call(entry.name, text),
                    Example::Rows { items, rows } if section.name == "aggregates" => made.add_aggregates(items, rows),
                    _ => {}
                }
            }
        }
        made
    })
}

impl Templates {
    fn add_call(&mut self, name: &str, example: &str) {
        let (Some(result), Some((start, end))) = (type_of(example), call(name, example)) else {
            return;
        };
        let params = functions::find(name).map_or(&[][..], |function| function.params);
        let only_outside = params.contains(&Param::Double) && result == "DOUBLE";
        let (mut texts, mut holes) = (vec![example[..start].to_owned()], Vec::new());
        let all = arguments(&example[start..end]);
        for (at, argument) in all.iter().copied().enumerate() {
            let last = texts.last_mut().expect("one at least");
            last.push_str(if at > 0 { ", " } else { "" });
            let around = (&example[..start], &example[end..]);
            let Some(constant_type) = type_of(argument).filter(|of| takes_columns(around, &all, at, of)) else {
                last.push_str(argument);
                continue;
            };
            let param = params.get(at).or(params.last());
            let data_type = param.and_then(|param| expected(*param)).map_or(constant_type.clone(), str::to_owned);
            let constants = self.constants.entry(constant_type).or_default();
            if !constants.iter().any(|known| known == argument) {
                constants.push(argument.to_owned());
            }
            holes.push(Hole { data_type, constant: Some(argument.to_owned()), scope: Vec::new() });
            texts.push(String::new());
        }
        texts.last_mut().expect("one at least").push_str(&example[end..]);
        self.all.push(Template { texts, holes, result, only_outside });
    }

    /// Of `items` over columns of an array's elements.
    fn add_aggregates(&mut self, items: &str, (rows, names): (&str, &str)) {
        let generator = if names.contains(',') { "inline" } else { "explode" };
        let types: Vec<String> = super::plans::types_of(&format!("SELECT {generator}({rows}) FROM events"));
        let names: Vec<&str> = names.split(", ").collect();
        for item in arguments(items) {
            let (mut texts, mut holes) = (vec![String::new()], Vec::new());
            for word in words(item) {
                match names.iter().position(|name| *name == word) {
                    Some(column) => {
                        holes.push(Hole { data_type: types[column].clone(), ..Hole::default() });
                        texts.push(String::new());
                    }
                    None => texts.last_mut().expect("one at least").push_str(word),
                }
            }
            self.aggregates.push(Template { texts, holes, result: String::new(), only_outside: false });
        }
    }
}

/// The type that a parameter asks for, where that does not depend on what is given.
fn expected(param: Param) -> Option<&'static str> {
    match param {
        Param::String | Param::OnlyString => Some("STRING"),
        Param::Binary => Some("BINARY"),
        Param::Int | Param::SmallInt => Some("INT"),
        Param::Long | Param::Integral => Some("BIGINT"),
        Param::Double => Some("DOUBLE"),
        Param::Boolean => Some("BOOLEAN"),
        Param::Date => Some("DATE"),
        Param::Timestamp | Param::Clock => Some("TIMESTAMP"),
        Param::WallTime => Some("TIMESTAMP_NTZ"),
        _ => None,
    }
}

/// Whether the argument at a place may be a column of this type. Where only a constant may be, Spark refuses some expressions
/// of constants (`left('ab', 1)`), so the example's stays.
fn takes_columns((before, behind): (&str, &str), arguments: &[&str], at: usize, data_type: &str) -> bool {
    let Some((column, _)) = COLUMNS.iter().find(|(_, of)| *of == data_type) else { return true };
    let mut arguments = arguments.to_vec();
    arguments[at] = column;
    type_of(&format!("{before}{}{behind}", arguments.join(", "))).is_some()
}

/// Where the arguments of the call of a function are in a text.
fn call(name: &str, text: &str) -> Option<(usize, usize)> {
    let start = text.find(&format!("{name}("))? + name.len() + 1;
    let whole =
        start == name.len() + 1 || !text[..start - name.len() - 1].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let (mut depth, mut quoted) = (0, false);
    for (at, c) in text[start..].char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => return whole.then_some((start, start + at)),
            ')' if !quoted => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The parts of a text between its outermost commas.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut parts, mut start) = (0, false, Vec::new(), 0);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// A text cut into its words and what is between them.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start, mut before) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        let of_word = c.is_alphanumeric() || c == '_';
        if before.is_some_and(|before| before != of_word) {
            words.push(&text[start..at]);
            start = at;
        }
        before = Some(of_word);
    }
    words.push(&text[start..]);
    words
}
