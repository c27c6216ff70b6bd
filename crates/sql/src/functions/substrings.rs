//! Functions that find, take out or replace parts of strings. Positions begin at 1 and count characters; of BINARY, which
//! `substring`, `left` and `overlay` take as well, they count bytes.

use super::{Arguments, Function, Param, alike, build};
use crate::eval::Order;
use arrow_array::ArrayRef;
use arrow_array::types::Int32Type;
use arrow_schema::DataType;
use std::sync::Arc;

const PART: Function = Function { params: &[Param::String, Param::Int], required: 2, ..Function::BLANK };

/// A piece of the first argument, of its type.
const CUT: Function = Function { params: &[Param::Alike, Param::Int], gives: alike, ..PART };

const THREE_TEXTS: Function =
    Function { params: &[Param::String, Param::String, Param::String], required: 3, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "substring",
        aliases: &["substr"],
        usage: "substring(text, position[, length])",
        about: "A part of a text or BINARY; the position is counted from 1, or from the end if negative. Also `substring(text FROM position FOR length)`.",
        example: "substring('Spark SQL', 5, 1)",
        params: &[Param::Alike, Param::Int, Param::Int],
        kernel: substring,
        ..CUT
    },
    Function {
        name: "left",
        usage: "left(text, length)",
        about: "The first characters.",
        example: "left('Spark SQL', 3)",
        kernel: left,
        ..CUT
    },
    Function {
        name: "right",
        usage: "right(text, length)",
        about: "The last characters.",
        example: "right('Spark SQL', 3)",
        kernel: right,
        ..PART
    },
    Function {
        name: "substring_index",
        usage: "substring_index(text, delimiter, count)",
        about: "What stands before so many delimiters, or behind, counted from the end, if negative.",
        example: "substring_index('www.apache.org', '.', 2)",
        params: &[Param::String, Param::String, Param::Int],
        required: 3,
        kernel: substring_index,
        ..PART
    },
    Function {
        name: "split_part",
        usage: "split_part(text, delimiter, number)",
        about: "A piece between delimiters, counted from 1, or from the end if negative.",
        example: "split_part('11.12.13', '.', 3)",
        params: &[Param::String, Param::String, Param::Int],
        required: 3,
        kernel: split_part,
        ..PART
    },
    Function {
        name: "locate",
        usage: "locate(part, text[, position])",
        about: "The place of the first such part at a position or behind it, counted from 1; 0 if there is none.",
        example: "locate('bar', 'foobarbar')",
        order: Order::ThirdFirst,
        aliases: &["position"],
        params: &[Param::String, Param::String, Param::Int],
        gives: |_| DataType::Int32,
        kernel: |a| locate(a, 0, 1),
        ..PART
    },
    Function {
        name: "instr",
        usage: "instr(text, part)",
        about: "The place of the first such part, counted from 1; 0 if there is none.",
        example: "instr('SparkSQL', 'SQL')",
        params: &[Param::String, Param::String],
        gives: |_| DataType::Int32,
        kernel: |a| locate(a, 1, 0),
        ..PART
    },
    Function {
        name: "replace",
        usage: "replace(text, part[, replacement])",
        about: "The text with every such part replaced, or taken out.",
        example: "replace('ABCabc', 'abc', 'DEF')",
        required: 2,
        kernel: replace,
        ..THREE_TEXTS
    },
    Function {
        name: "translate",
        usage: "translate(text, from, to)",
        about: "The text with each character of `from` replaced by the one at the same place of `to`, or taken out.",
        example: "translate('AaBbCc', 'abc', '123')",
        kernel: translate,
        ..THREE_TEXTS
    },
    Function {
        name: "overlay",
        usage: "overlay(text, replacement, position[, length])",
        about: "The text with a part replaced, which is as long as the replacement by default.",
        example: "overlay('Spark SQL', '_', 6)",
        params: &[Param::SameKind, Param::SameKind, Param::Int, Param::Int],
        required: 3,
        kernel: overlay,
        ..CUT
    },
    Function {
        name: "find_in_set",
        usage: "find_in_set(text, list)",
        about: "The place of a text in a list with commas, counted from 1; 0 if it is not there.",
        example: "find_in_set('ab', 'abc,b,ab,c,def')",
        params: &[Param::String, Param::String],
        gives: |_| DataType::Int32,
        kernel: find_in_set,
        ..PART
    },
];

/// From position 1 on; 0 is as 1, negative ones count from the end; a window that begins before the text is cut.
fn substring(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let position = columns[1].numbers::<Int32Type>();
    let length = columns.get(2).map(|length| length.numbers::<Int32Type>());
    cut(arguments, |row| {
        let length = length.as_ref().map_or(Some(i32::MAX), |length| length.get(row))?;
        Some((position.get(row)?.into(), length.into()))
    })
}

fn left(arguments: &mut Arguments) -> ArrayRef {
    let length = arguments.columns[1].numbers::<Int32Type>();
    cut(arguments, |row| Some((1, length.get(row)?.into())))
}

/// The piece of each row's text or bytes that has this position and length.
fn cut(arguments: &Arguments, place: impl Fn(usize) -> Option<(i64, i64)>) -> ArrayRef {
    let input = &arguments.columns[0];
    if *arguments.data_type == DataType::Binary {
        return build::binaries(arguments.rows, |row| {
            let (bytes, (position, length)) = (input.bytes(row)?, place(row)?);
            Some(piece(bytes, position, length))
        });
    }
    let input = input.texts();
    build::texts(arguments.rows, |row| {
        let (text, (position, length)) = (input.get(row)?, place(row)?);
        Some(slice(text, position, length))
    })
}

fn slice(text: &str, position: i64, length: i64) -> String {
    let (skip, take) = window(|| text.chars().count(), position, length);
    text.chars().skip(skip).take(take).collect()
}

fn piece(bytes: &[u8], position: i64, length: i64) -> Vec<u8> {
    let (skip, take) = window(|| bytes.len(), position, length);
    bytes.iter().copied().skip(skip).take(take).collect()
}

/// How many to leave out at the front, and how many to keep.
fn window(count: impl Fn() -> usize, position: i64, length: i64) -> (usize, usize) {
    let start = match position {
        1.. => position - 1,
        0 => 0,
        _ => count() as i64 + position,
    };
    let end = start + length;
    let start = start.max(0);
    (start as usize, (end - start).max(0) as usize)
}

fn right(arguments: &mut Arguments) -> ArrayRef {
    let (input, length) = (arguments.columns[0].texts(), arguments.columns[1].numbers::<Int32Type>());
    build::texts(arguments.rows, |row| {
        let (text, length) = (input.get(row)?, length.get(row)?.max(0) as usize);
        let skip = text.chars().count().saturating_sub(length);
        Some(text.chars().skip(skip).collect::<String>())
    })
}

/// What stands before the n-th delimiter, or behind the n-th from the end.
fn substring_index(arguments: &mut Arguments) -> ArrayRef {
    let (input, delimiter) = (arguments.columns[0].texts(), arguments.columns[1].texts());
    let count = arguments.columns[2].numbers::<Int32Type>();
    build::texts(arguments.rows, |row| {
        let (text, delimiter, count) = (input.get(row)?, delimiter.get(row)?, count.get(row)?);
        if delimiter.is_empty() || count == 0 {
            return Some("");
        }
        let nth = count.unsigned_abs() as usize - 1;
        // Delimiters may overlap.
        let mut found = (0..text.len()).filter(|at| text.as_bytes()[*at..].starts_with(delimiter.as_bytes()));
        Some(if count > 0 {
            found.nth(nth).map_or(text, |at| &text[..at])
        } else {
            found.nth_back(nth).map_or(text, |at| &text[at + delimiter.len()..])
        })
    })
}

/// The n-th piece between delimiters, from the end where n is negative; n = 0 is an error.
fn split_part(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (input, delimiter) = (columns[0].texts(), columns[1].texts());
    let number = columns[2].numbers::<Int32Type>();
    build::texts(arguments.rows, |row| {
        let (text, delimiter, number) = (input.get(row)?, delimiter.get(row)?, number.get(row)?);
        if number == 0 {
            let message = || "the number of a part is never 0; count from 1, or from -1 at the end".to_string();
            arguments.errors.record(row, "INVALID_INDEX_OF_ZERO", message);
            return None;
        }
        let parts: Vec<&str> = if delimiter.is_empty() { vec![text] } else { text.split(delimiter).collect() };
        let nth = number.unsigned_abs() as usize;
        let at = if number > 0 { Some(nth - 1) } else { parts.len().checked_sub(nth) };
        Some(at.and_then(|at| parts.get(at)).copied().unwrap_or_default())
    })
}

/// Where a text first stands in another, from a position on; 0 where it does not.
fn locate(arguments: &mut Arguments, wanted: usize, within: usize) -> ArrayRef {
    let (wanted, within) = (arguments.columns[wanted].texts(), arguments.columns[within].texts());
    let from = arguments.columns.get(2).map(|from| from.numbers::<Int32Type>());
    let value = |row| {
        let from = match &from {
            None => 1,
            // A NULL position is no position: Spark answers 0.
            Some(from) => match from.get(row) {
                Some(from) => from,
                None => return Some(0),
            },
        };
        let (wanted, within) = (wanted.get(row)?, within.get(row)?);
        if wanted.is_empty() && from > 0 {
            return Some(1);
        }
        let start = usize::try_from(from).ok().and_then(|from| from.checked_sub(1));
        let Some(start) = start else {
            return Some(0);
        };
        let Some(byte) = within.char_indices().map(|(byte, _)| byte).chain([within.len()]).nth(start) else {
            return Some(0);
        };
        let found = within[byte..].find(wanted).map(|at| within[..byte + at].chars().count() as i32 + 1);
        Some(found.unwrap_or(0))
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}

fn replace(arguments: &mut Arguments) -> ArrayRef {
    let (input, from) = (arguments.columns[0].texts(), arguments.columns[1].texts());
    let to = arguments.columns.get(2).map(|to| to.texts());
    build::texts(arguments.rows, |row| {
        let (text, from) = (input.get(row)?, from.get(row)?);
        let to = to.as_ref().map_or(Some(""), |to| to.get(row))?;
        Some(if from.is_empty() { text.to_string() } else { text.replace(from, to) })
    })
}

/// Each character of the second argument by that of the third at the same place; by nothing where there is none.
fn translate(arguments: &mut Arguments) -> ArrayRef {
    let [input, from, to] = [0, 1, 2].map(|index: usize| arguments.columns[index].texts());
    build::texts(arguments.rows, |row| {
        let (text, from, to) = (input.get(row)?, from.get(row)?, to.get(row)?);
        let swap = |c: char| match from.chars().position(|known| known == c) {
            Some(at) => to.chars().nth(at),
            None => Some(c),
        };
        Some(text.chars().filter_map(swap).collect::<String>())
    })
}

/// The second argument in place of as many characters (or as many as the fourth says) from a position on.
fn overlay(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let position = columns[2].numbers::<Int32Type>();
    let length = columns.get(3).map(|length| length.numbers::<Int32Type>());
    let place = |row| {
        let length = length.as_ref().map_or(Some(-1), |length| length.get(row))?;
        Some((i64::from(position.get(row)?), i64::from(length)))
    };
    let until_end = i64::from(i32::MAX);
    if *arguments.data_type == DataType::Binary {
        return build::binaries(arguments.rows, |row| {
            let (bytes, patch, (position, length)) = (columns[0].bytes(row)?, columns[1].bytes(row)?, place(row)?);
            let length = if length >= 0 { length } else { patch.len() as i64 };
            let (head, tail) = (piece(bytes, 1, position - 1), piece(bytes, position + length, until_end));
            Some([&head, patch, &tail].concat())
        });
    }
    let (input, patch) = (columns[0].texts(), columns[1].texts());
    build::texts(arguments.rows, |row| {
        let (text, patch, (position, length)) = (input.get(row)?, patch.get(row)?, place(row)?);
        let length = if length >= 0 { length } else { patch.chars().count() as i64 };
        Some(slice(text, 1, position - 1) + patch + &slice(text, position + length, until_end))
    })
}

/// The number of a text in a list with commas, 0 where it is not there or has a comma itself.
fn find_in_set(arguments: &mut Arguments) -> ArrayRef {
    let (wanted, set) = (arguments.columns[0].texts(), arguments.columns[1].texts());
    let value = |row| {
        let (wanted, set) = (wanted.get(row)?, set.get(row)?);
        let found = set.split(',').position(|part| part == wanted).filter(|_| !wanted.contains(','));
        Some(found.map_or(0, |at| at as i32 + 1))
    };
    Arc::new(build::numbers::<Int32Type>(arguments.rows, value))
}
