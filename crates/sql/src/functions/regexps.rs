//! Functions that take out, replace, count and place what a regular expression matches.

use super::patterns::{BAD_REGEX, check_regex, regex};
use super::{Arguments, Function, Param, build};
use crate::eval::{Column, RowErrors};
use arrow_array::ArrayRef;
use arrow_array::types::Int32Type;
use arrow_schema::DataType;
use regex_lite::{Captures, Match, Regex};
use std::sync::Arc;

const FIND: Function =
    Function { params: &[Param::String, Param::String], required: 2, check: check_regex, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "regexp_extract", params: &[Param::String, Param::String, Param::Int], kernel: extract, ..FIND },
    Function {
        name: "regexp_replace",
        params: &[Param::String, Param::String, Param::String, Param::Int],
        required: 3,
        kernel: replace,
        ..FIND
    },
    Function { name: "regexp_substr", kernel: substr, ..FIND },
    Function { name: "regexp_count", gives: |_| DataType::Int32, kernel: count, ..FIND },
    Function { name: "regexp_instr", gives: |_| DataType::Int32, kernel: instr, ..FIND },
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
        || format!("the replacement '{replacement}' names a group that there is not; write \\$ for a dollar sign");
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
