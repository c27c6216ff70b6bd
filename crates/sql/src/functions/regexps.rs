//! Functions that take out, replace, count and place what a regular expression matches.

use super::patterns::{BAD_REGEX, check_regex, regex};
use super::{Arguments, Function, Param, build};
use crate::eval::{Column, RowErrors};
use crate::types;
use arrow_array::ArrayRef;
use arrow_array::builder::{ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_schema::{DataType, Field};
use regex_lite::{Captures, Match, Regex};
use std::sync::Arc;

const FIND: Function =
    Function { params: &[Param::String, Param::String], required: 2, check: check_regex, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "regexp_extract",
        usage: "regexp_extract(text, pattern[, group])",
        about: "A group of the first match, the first group by default; 0 is the whole match. An empty text if nothing matches.",
        example: "regexp_extract('100-200', r'(\\d+)-(\\d+)', 1)",
        params: &[Param::String, Param::String, Param::Int],
        kernel: extract,
        ..FIND
    },
    Function {
        name: "regexp_replace",
        usage: "regexp_replace(text, pattern, replacement[, position])",
        about: "The text with all matches replaced; `$1` stands for a group.",
        example: "regexp_replace('100-200', r'(\\d+)', 'num')",
        params: &[Param::String, Param::String, Param::String, Param::Int],
        required: 3,
        kernel: replace,
        ..FIND
    },
    Function {
        name: "regexp_extract_all",
        usage: "regexp_extract_all(text, pattern[, group])",
        about: "A group of every match, the first group by default; 0 is the whole match.",
        example: "regexp_extract_all('100-200, 300-400', r'(\\d+)-(\\d+)', 1)",
        params: &[Param::String, Param::String, Param::Int],
        gives: |_| types::array(DataType::Utf8),
        kernel: extract_all,
        ..FIND
    },
    Function {
        name: "split",
        usage: "split(text, pattern[, limit])",
        about: "The pieces between the matches of a pattern; with a positive limit at most so many, the last being the rest.",
        example: "split('oneAtwoBthreeC', '[ABC]')",
        params: &[Param::String, Param::String, Param::Int],
        gives: |_| types::array(DataType::Utf8),
        kernel: split,
        ..FIND
    },
    Function {
        name: "str_to_map",
        usage: "str_to_map(text[, pair_delimiter[, key_delimiter]])",
        about: "A MAP of the pairs in a text. The delimiters are patterns, `,` and `:` by default; a key without a value has NULL, a key that comes twice fails the row.",
        example: "str_to_map('a:1,b:2,c:3', ',', ':')",
        params: &[Param::OnlyString; 3],
        required: 1,
        gives: |_| types::map(DataType::Utf8, DataType::Utf8),
        check: |_| Ok(()),
        kernel: str_to_map,
        ..FIND
    },
    Function {
        name: "regexp_substr",
        usage: "regexp_substr(text, pattern)",
        about: "The first match; NULL if there is none.",
        example: "regexp_substr('Steven Jones', 'Ste(v|ph)en')",
        kernel: substr,
        ..FIND
    },
    Function {
        name: "regexp_count",
        usage: "regexp_count(text, pattern)",
        about: "How many matches there are.",
        example: "regexp_count('Steven Jones and Stephen Smith', 'Ste(v|ph)en')",
        gives: |_| DataType::Int32,
        kernel: count,
        ..FIND
    },
    Function {
        name: "regexp_instr",
        usage: "regexp_instr(text, pattern)",
        about: "The place of the first match, counted from 1; 0 if there is none.",
        example: "regexp_instr('user@spark.apache.org', '@[^.]*')",
        gives: |_| DataType::Int32,
        kernel: instr,
        ..FIND
    },
];

/// The compiled pattern of each row; one that comes again, as a constant does, is compiled once.
struct Patterns<'a> {
    column: &'a Column,
    last: Option<(String, Result<Regex, String>)>,
}

impl Patterns<'_> {
    fn of(column: &Column) -> Patterns<'_> {
        Patterns { column, last: None }
    }

    /// `None` where the pattern is NULL or none, which fails the row.
    fn get(&mut self, row: usize, errors: &mut RowErrors) -> Option<&Regex> {
        let pattern = self.column.texts().get(row)?;
        if self.last.as_ref().is_none_or(|(known, _)| known != pattern) {
            self.last = Some((pattern.to_string(), regex(pattern)));
        }
        match &self.last.as_ref()?.1 {
            Ok(compiled) => Some(compiled),
            Err(message) => {
                errors.record(row, BAD_REGEX, || message.clone());
                None
            }
        }
    }
}

/// A group of the first match, the first group by default; an empty text where there is no match, whatever the group.
fn extract(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let groups = columns.get(2).map(|group| group.numbers::<Int32Type>());
    build::texts(arguments.rows, |row| {
        let (text, pattern) = (texts.get(row)?, patterns.get(row, arguments.errors)?);
        let group = groups.as_ref().map_or(Some(1), |groups| groups.get(row))?;
        let Some(found) = pattern.captures(text) else {
            return Some("");
        };
        let there = pattern.captures_len();
        let Some(group) = usize::try_from(group).ok().filter(|group| *group < there) else {
            let message = || format!("the pattern has no group {group}; its groups are 0 to {}", there - 1);
            arguments.errors.record(row, "INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX", message);
            return None;
        };
        Some(found.get(group).map_or("", |found| found.as_str()))
    })
}

/// A list of texts for each row.
fn lists(rows: usize, mut value: impl FnMut(usize) -> Option<Vec<String>>) -> ArrayRef {
    let element = Field::new("element", DataType::Utf8, true);
    let mut out = ListBuilder::new(StringBuilder::new()).with_field(element);
    for row in 0..rows {
        match value(row) {
            Some(texts) => out.append_value(texts.iter().map(Some)),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

fn extract_all(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let groups = columns.get(2).map(|group| group.numbers::<Int32Type>());
    lists(arguments.rows, |row| {
        let (text, pattern) = (texts.get(row)?, patterns.get(row, arguments.errors)?);
        let group = groups.as_ref().map_or(Some(1), |groups| groups.get(row))?;
        let there = pattern.captures_len();
        let mut all = Vec::new();
        for found in matches(text, |from| pattern.captures_at(text, from), |found| found.get(0).expect("the match")) {
            let Some(group) = usize::try_from(group).ok().filter(|group| *group < there) else {
                let message = || format!("the pattern has no group {group}; its groups are 0 to {}", there - 1);
                arguments.errors.record(row, "INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX", message);
                return None;
            };
            all.push(found.get(group).map_or("", |found| found.as_str()).to_owned());
        }
        Some(all)
    })
}

fn split(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let limits = columns.get(2).map(|limit| limit.numbers::<Int32Type>());
    lists(arguments.rows, |row| {
        let text = texts.get(row)?;
        let limit = limits.as_ref().map_or(Some(-1), |limits| limits.get(row))?;
        let is_empty = columns[1].texts().get(row)?.is_empty();
        Some(pieces(text, patterns.get(row, arguments.errors)?, is_empty, limit))
    })
}

/// Java's `String.split`, of which a limit of 0 keeps what is empty at the end too; an empty pattern parts the characters.
fn pieces(text: &str, pattern: &Regex, is_empty: bool, limit: i32) -> Vec<String> {
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut out: Vec<String> = Vec::new();
    let mut from = 0;
    for found in matches(text, |from| pattern.find_at(text, from), |found| *found) {
        if out.len() + 1 >= limit {
            break;
        }
        let nothing_before = found.start() == 0 && found.end() == 0;
        if nothing_before || (is_empty && found.start() == text.len()) {
            continue;
        }
        out.push(text[from..found.start()].to_owned());
        from = found.end();
    }
    out.push(text[from..].to_owned());
    out
}

fn str_to_map(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let texts = columns[0].texts();
    let delimiter = |index: usize, default: &str| {
        columns
            .get(index)
            .cloned()
            .unwrap_or_else(|| Column::constant(Arc::new(arrow_array::StringArray::from(vec![default]))))
    };
    let (pairs, keys) = (delimiter(1, ","), delimiter(2, ":"));
    let (mut pair_patterns, mut key_patterns) = (Patterns::of(&pairs), Patterns::of(&keys));
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut out = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in 0..arguments.rows {
        let mut entries = || {
            let text = texts.get(row)?;
            let (pair, key) = (pairs.texts().get(row)?, keys.texts().get(row)?);
            let parted = pieces(text, pair_patterns.get(row, arguments.errors)?, pair.is_empty(), -1);
            let by_key = key_patterns.get(row, arguments.errors)?;
            Some(parted.iter().map(|entry| pieces(entry, by_key, key.is_empty(), 2)).collect::<Vec<_>>())
        };
        let mut entries = entries();
        let known: std::collections::BTreeSet<&str> = entries.iter().flatten().map(|entry| entry[0].as_str()).collect();
        if entries.as_ref().is_some_and(|entries| known.len() < entries.len()) {
            let message = || "a key comes twice in the text; make its keys different".into();
            arguments.errors.record(row, "DUPLICATED_MAP_KEY", message);
            entries = None;
        }
        for entry in entries.iter().flatten() {
            out.keys().append_value(&entry[0]);
            out.values().append_option(entry.get(1));
        }
        out.append(entries.is_some()).expect("a key for each value");
    }
    Arc::new(out.finish())
}

/// Every match from a character position on, replaced by a text in which `$1` is a group and `\` makes literal.
fn replace(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns, replacements) = (columns[0].texts(), Patterns::of(&columns[1]), columns[2].texts());
    let positions = columns.get(3).map(|position| position.numbers::<Int32Type>());
    build::texts(arguments.rows, |row| {
        let (text, replacement) = (texts.get(row)?, replacements.get(row)?);
        let pattern = patterns.get(row, arguments.errors)?;
        let position = positions.as_ref().map_or(Some(1), |positions| positions.get(row))?;
        let skipped = usize::try_from(position.max(1) - 1).expect("not negative");
        let start = match text.char_indices().nth(skipped) {
            Some((start, _)) => start,
            None if skipped == 0 => 0,
            None => return Some(text.to_string()),
        };
        let mut out = text[..start].to_string();
        // What stands before the position is not there: `^` matches at it.
        let text = &text[start..];
        let mut at = 0;
        for found in matches(text, |from| pattern.captures_at(text, from), |found| found.get(0).expect("the match")) {
            let whole = found.get(0).expect("group 0 is the match");
            out.push_str(&text[at..whole.start()]);
            if let Err(message) = expand(&mut out, replacement, &found) {
                arguments.errors.record(row, "INVALID_PARAMETER_VALUE", || message);
                return None;
            }
            at = whole.end();
        }
        out.push_str(&text[at..]);
        Some(out)
    })
}

/// All matches, as Java's `Matcher.find` goes on: behind the match before, where an empty one counts too; behind an empty
/// one, at the next character.
fn matches<'t, M>(
    text: &'t str,
    find: impl Fn(usize) -> Option<M>,
    place: impl Fn(&M) -> Match<'t>,
) -> impl Iterator<Item = M> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let found = find(next?)?;
        let place = place(&found);
        next = match text[place.end()..].chars().next() {
            _ if place.start() < place.end() => Some(place.end()),
            Some(passed) => Some(place.end() + passed.len_utf8()),
            None => None,
        };
        Some(found)
    })
}

/// Java's `Matcher.appendReplacement`.
fn expand(out: &mut String, replacement: &str, found: &Captures) -> Result<(), String> {
    let bad =
        || format!("the replacement '{replacement}' names a group that does not exist; write \\$ for a dollar sign");
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().ok_or_else(bad)?),
            '$' => {
                let digit = chars.next().and_then(|c| c.to_digit(10)).ok_or_else(bad)?;
                let mut group = digit as usize;
                if group >= found.len() {
                    return Err(bad());
                }
                // More digits belong to it as long as there is such a group.
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    if group * 10 + digit as usize >= found.len() {
                        break;
                    }
                    group = group * 10 + digit as usize;
                    chars.next();
                }
                out.push_str(found.get(group).map_or("", |group| group.as_str()));
            }
            c => out.push(c),
        }
    }
    Ok(())
}

/// The first match; NULL where there is none, or an empty one.
fn substr(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    build::texts(arguments.rows, |row| {
        let text = texts.get(row)?;
        Some(patterns.get(row, arguments.errors)?.find(text)?.as_str()).filter(|found| !found.is_empty())
    })
}

fn count(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let value = |row| {
        let text = texts.get(row)?;
        let pattern = patterns.get(row, arguments.errors)?;
        Some(matches(text, |from| pattern.find_at(text, from), |found| *found).count() as i32)
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}

/// Where the first match begins, in characters from 1; 0 where there is none.
fn instr(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let value = |row| {
        let text = texts.get(row)?;
        let found = patterns.get(row, arguments.errors)?.find(text);
        Some(found.map_or(0, |found| text[..found.start()].chars().count() as i32 + 1))
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}
