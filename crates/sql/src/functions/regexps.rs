//! Functions that take out, replace, count and place what a regular expression matches.

use super::patterns::{BAD_REGEX, check_regex, regex, too_long};
use super::{Arguments, Function, Param, build};
use crate::eval::{Column, RowErrors};
use crate::expr::Expr;
use crate::regex::{Matcher, Regex, TooLong};
use crate::types;
use crate::value::Value;
use arrow_array::ArrayRef;
use arrow_array::builder::{ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_schema::{DataType, Field};
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
        about: "The text with all matches replaced; `$1` and `${name}` stand for a group, `\\$` for the sign.",
        example: "regexp_replace('100-200', r'(\\d+)', 'num')",
        params: &[Param::String, Param::String, Param::String, Param::Int],
        required: 3,
        check: check_replace,
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
pub(super) struct Patterns<'a> {
    column: &'a Column,
    last: Option<(String, Result<Matcher, String>)>,
}

impl Patterns<'_> {
    pub(super) fn of(column: &Column) -> Patterns<'_> {
        Patterns { column, last: None }
    }

    /// `None` where the pattern is NULL or none, which fails the row.
    pub(super) fn get(&mut self, row: usize, errors: &mut RowErrors) -> Option<&mut Matcher> {
        let pattern = self.column.texts().get(row)?;
        if self.last.as_ref().is_none_or(|(known, _)| known != pattern) {
            self.last = Some((pattern.to_string(), regex(pattern).map(|regex| regex.matcher())));
        }
        match &mut self.last.as_mut()?.1 {
            Ok(matcher) => Some(matcher),
            Err(message) => {
                errors.record(row, BAD_REGEX, || message.clone());
                None
            }
        }
    }
}

/// Whether there is a match; `None` if the search took too long, which fails the row.
fn finds(matcher: &mut Matcher, text: &str, row: usize, errors: &mut RowErrors) -> Option<bool> {
    matcher.find(text).map_err(|error| too_long(errors, row, error)).ok()
}

/// The number of a group, if the pattern has it; the row fails if not.
fn group_of(matcher: &Matcher, group: i32, row: usize, errors: &mut RowErrors) -> Option<usize> {
    let groups = matcher.regex.groups();
    let found = usize::try_from(group).ok().filter(|group| *group < groups);
    if found.is_none() {
        let message = || format!("the pattern has no group {group}; its groups are 0 to {}", groups - 1);
        errors.record(row, "INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX", message);
    }
    found
}

/// A group of the first match, the first group by default; an empty text where there is no match, whatever the group.
fn extract(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let groups = columns.get(2).map(|group| group.numbers::<Int32Type>());
    build::texts(arguments.rows, |row| {
        let (text, matcher) = (texts.get(row)?, patterns.get(row, arguments.errors)?);
        let group = groups.as_ref().map_or(Some(1), |groups| groups.get(row))?;
        if !finds(matcher, text, row, arguments.errors)? {
            return Some("");
        }
        let group = group_of(matcher, group, row, arguments.errors)?;
        Some(matcher.span(group).map_or("", |(start, end)| &text[start..end]))
    })
}

/// Builds a list of texts for each row.
struct Lists(ListBuilder<StringBuilder>);

impl Lists {
    fn new() -> Lists {
        let element = Field::new("element", DataType::Utf8, true);
        Lists(ListBuilder::new(StringBuilder::new()).with_field(element))
    }

    fn add(&mut self, text: &str) {
        self.0.values().append_value(text);
    }

    /// Ends a row, of which nothing counts if it is NULL.
    fn end(&mut self, row: Option<()>) {
        self.0.append(row.is_some());
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

fn extract_all(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let groups = columns.get(2).map(|group| group.numbers::<Int32Type>());
    let mut lists = Lists::new();
    for row in 0..arguments.rows {
        let mut all = || {
            let (text, matcher) = (texts.get(row)?, patterns.get(row, arguments.errors)?);
            let group = groups.as_ref().map_or(Some(1), |groups| groups.get(row))?;
            let mut is_right = true;
            let found = matcher.each(text, |matcher, _, _| {
                let Some(group) = group_of(matcher, group, row, arguments.errors) else {
                    is_right = false;
                    return false;
                };
                lists.add(matcher.span(group).map_or("", |(start, end)| &text[start..end]));
                true
            });
            found.map_err(|error| too_long(arguments.errors, row, error)).ok()?;
            is_right.then_some(())
        };
        let all = all();
        lists.end(all);
    }
    lists.finish()
}

fn split(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let limits = columns.get(2).map(|limit| limit.numbers::<Int32Type>());
    let mut lists = Lists::new();
    for row in 0..arguments.rows {
        let mut parted = || {
            let text = texts.get(row)?;
            let limit = limits.as_ref().map_or(Some(-1), |limits| limits.get(row))?;
            let is_empty = columns[1].texts().get(row)?.is_empty();
            let found = pieces(text, patterns.get(row, arguments.errors)?, is_empty, limit, |piece| lists.add(piece));
            found.map_err(|error| too_long(arguments.errors, row, error)).ok()
        };
        let parted = parted();
        lists.end(parted);
    }
    lists.finish()
}

/// Java's `String.split`, of which a limit of 0 keeps what is empty at the end too; an empty pattern parts the characters.
fn pieces<'t>(
    text: &'t str,
    pattern: &mut Matcher,
    is_empty: bool,
    limit: i32,
    mut piece: impl FnMut(&'t str),
) -> Result<(), TooLong> {
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let (mut from, mut count) = (0, 1);
    if limit > 1 {
        pattern.each(text, |_, start, end| {
            let nothing_before = start == 0 && end == 0;
            if nothing_before || (is_empty && start == text.len()) {
                return true;
            }
            piece(&text[from..start]);
            count += 1;
            from = end;
            count < limit
        })?;
    }
    piece(&text[from..]);
    Ok(())
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
            let by_key = key_patterns.get(row, arguments.errors)?;
            let by_pair = pair_patterns.get(row, arguments.errors)?;
            let mut entries: Vec<Vec<&str>> = Vec::new();
            let mut parted = || {
                let mut texts = Vec::new();
                pieces(text, by_pair, pair.is_empty(), -1, |entry| texts.push(entry))?;
                for text in texts {
                    let mut entry = Vec::new();
                    pieces(text, by_key, key.is_empty(), 2, |part| entry.push(part))?;
                    entries.push(entry);
                }
                Ok(())
            };
            parted().map_err(|error| too_long(arguments.errors, row, error)).ok()?;
            Some(entries)
        };
        let mut entries = entries();
        let known: std::collections::BTreeSet<&str> = entries.iter().flatten().map(|entry| entry[0]).collect();
        if entries.as_ref().is_some_and(|entries| known.len() < entries.len()) {
            let message = || "a key comes twice in the text; make its keys different".into();
            arguments.errors.record(row, "DUPLICATED_MAP_KEY", message);
            entries = None;
        }
        for entry in entries.iter().flatten() {
            out.keys().append_value(entry[0]);
            out.values().append_option(entry.get(1));
        }
        out.append(entries.is_some()).expect("a key for each value");
    }
    Arc::new(out.finish())
}

/// Every match from a position on, replaced by a text in which `$1` is a group and `\` makes literal.
fn replace(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns, replacements) = (columns[0].texts(), Patterns::of(&columns[1]), columns[2].texts());
    let positions = columns.get(3).map(|position| position.numbers::<Int32Type>());
    let mut template = Template::default();
    let (mut out, mut buffer) = (StringBuilder::new(), String::new());
    for row in 0..arguments.rows {
        let mut replaced = || {
            let (text, replacement) = (texts.get(row)?, replacements.get(row)?);
            let matcher = patterns.get(row, arguments.errors)?;
            let position = positions.as_ref().map_or(Some(1), |positions| positions.get(row))?;
            let start = place(text, position).unwrap_or(text.len());
            // What stands before the position is not there: `^` matches at it.
            let (before, rest) = text.split_at(start);
            buffer.clear();
            buffer.push_str(before);
            if start == text.len() && position > 1 {
                return Some(());
            }
            let (mut at, mut mistake) = (0, None);
            let found = matcher.each(rest, |matcher, start, end| {
                buffer.push_str(&rest[at..start]);
                mistake = template.write(&mut buffer, replacement, rest, matcher).err();
                at = end;
                mistake.is_none()
            });
            found.map_err(|error| too_long(arguments.errors, row, error)).ok()?;
            if let Some(message) = mistake {
                arguments.errors.record(row, "INVALID_REGEXP_REPLACE", || message);
                return None;
            }
            buffer.push_str(&rest[at..]);
            Some(())
        };
        let replaced = replaced();
        out.append_option(replaced.map(|()| &buffer));
    }
    Arc::new(out.finish())
}

/// The byte of a position, counted from 1 in Java's characters of 16 bits; `None` behind the text.
fn place(text: &str, position: i32) -> Option<usize> {
    let skipped = usize::try_from(position.max(1) - 1).expect("not negative");
    if skipped == 0 {
        return Some(0);
    }
    let mut passed = 0;
    text.char_indices().find_map(|(start, c)| {
        let is_there = passed >= skipped;
        passed += c.len_utf16();
        is_there.then_some(start)
    })
}

/// Refuses a position below 1, too.
fn check_replace(arguments: &[Expr]) -> Result<(), String> {
    match arguments.get(3) {
        Some(Expr::Literal(Value::Integer(position), _)) if *position < 1 => {
            Err(format!("the position {position} is none; positions begin at 1"))
        }
        _ => check_regex(arguments),
    }
}

/// A replacement, read once for the rows that have the same.
#[derive(Default)]
struct Template {
    text: String,
    groups: usize,
    pieces: Option<Result<Vec<Piece>, String>>,
}

enum Piece {
    Text(String),
    Group(usize),
}

impl Template {
    /// Java's `Matcher.appendReplacement`.
    fn write(&mut self, out: &mut String, replacement: &str, text: &str, matcher: &Matcher) -> Result<(), String> {
        if self.pieces.is_none() || self.text != replacement || self.groups != matcher.regex.groups() {
            self.text = replacement.to_owned();
            self.groups = matcher.regex.groups();
            self.pieces = Some(template(replacement, &matcher.regex));
        }
        for piece in self.pieces.as_ref().expect("it has been read").as_ref().map_err(Clone::clone)? {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(group) => out.push_str(matcher.span(*group).map_or("", |(start, end)| &text[start..end])),
            }
        }
        Ok(())
    }
}

/// Reads a replacement: `$1`, `${name}`, and what a backslash makes literal.
fn template(replacement: &str, regex: &Regex) -> Result<Vec<Piece>, String> {
    let bad = |what: &str| Err(format!("the replacement '{replacement}' {what}; write \\$ for a dollar sign"));
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        let group = match (c, chars.peek().copied()) {
            ('\\', None) => return Err(format!("the replacement '{replacement}' ends in a backslash; write two")),
            ('\\', Some(escaped)) => {
                chars.next();
                text.push(escaped);
                continue;
            }
            ('$', Some('{')) => {
                let name: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                match regex.group(&name) {
                    Some(group) if replacement.contains('}') => group,
                    _ => return bad(&format!("names a group `{name}` that the pattern does not have")),
                }
            }
            ('$', next) => {
                let digit = next.filter(char::is_ascii_digit).and_then(|digit| digit.to_digit(10));
                let Some(mut group) = digit.map(|digit| digit as usize).filter(|group| *group < regex.groups()) else {
                    return bad("has a `$` without the number of a group");
                };
                chars.next();
                // More digits belong to it as long as there is such a group.
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    if group * 10 + digit as usize >= regex.groups() {
                        break;
                    }
                    group = group * 10 + digit as usize;
                    chars.next();
                }
                group
            }
            (c, _) => {
                text.push(c);
                continue;
            }
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Group(group));
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// The first match; NULL where there is none, or an empty one.
fn substr(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    build::texts(arguments.rows, |row| {
        let (text, matcher) = (texts.get(row)?, patterns.get(row, arguments.errors)?);
        let (start, end) = finds(matcher, text, row, arguments.errors)?.then(|| matcher.span(0))??;
        Some(&text[start..end]).filter(|found| !found.is_empty())
    })
}

fn count(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let value = |row| {
        let (text, matcher) = (texts.get(row)?, patterns.get(row, arguments.errors)?);
        let mut count = 0;
        let found = matcher.each(text, |_, _, _| {
            count += 1;
            true
        });
        found.map_err(|error| too_long(arguments.errors, row, error)).ok()?;
        Some(count)
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}

/// Where the first match begins, in Java's characters of 16 bits from 1; 0 where there is none.
fn instr(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    let value = |row| {
        let (text, matcher) = (texts.get(row)?, patterns.get(row, arguments.errors)?);
        let start = finds(matcher, text, row, arguments.errors)?.then(|| matcher.span(0)).flatten();
        Some(start.map_or(0, |(start, _)| text[..start].encode_utf16().count() as i32 + 1))
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}
