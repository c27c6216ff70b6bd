//! `to_char` of numbers, `to_number`, `try_to_number`: formats such as `S$99,999.00`.
//!
//! ```text
//!   [MI|S] [$] [0|9|G|,]… [.|D] [0|9]… [$] [PR|MI|S]
//! ```
//! `0` wants a digit, `9` takes one; a group of digits that begins with `0` before the point has exactly its length.

use super::digits::Digits;
use super::{Arguments, Function, Param, build};
use crate::eval::Column;
use crate::expr::Expr;
use crate::value::Value;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use std::sync::Arc;

const TO_NUMBER: Function =
    Function { params: &[Param::String, Param::String], required: 2, check, gives: number_type, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "to_char",
        aliases: &["to_varchar"],
        usage: "to_char(value, format)",
        about: "A number in a constant format of `0`, `9`, `,` or `G`, `.` or `D`, `$`, `S` or `MI` (the sign) and `PR` (`<1>` for a negative one); `#` where it does not fit. A time by a pattern of `date_format`. BINARY as `hex`, `base64` or `utf-8`.",
        example: "to_char(-12454.8, '99G999D9S')",
        params: &[Param::Any, Param::Any],
        required: 2,
        form: true,
        ..Function::BLANK
    },
    // What `to_char` of a number is made of.
    Function {
        name: "to_char of number",
        params: &[Param::Any, Param::String],
        required: 2,
        check,
        kernel: to_char,
        ..Function::BLANK
    },
    Function {
        name: "to_number",
        usage: "to_number(text, format)",
        about: "The DECIMAL that a text writes in a constant format (see `to_char`); another text fails the row.",
        example: "to_number('$78.12', '$99.99')",
        kernel: |a| to_number(a, true),
        ..TO_NUMBER
    },
    Function {
        name: "try_to_number",
        usage: "try_to_number(text, format)",
        about: "As `to_number`, but NULL for another text.",
        example: "try_to_number('nothing', '99')",
        kernel: |a| to_number(a, false),
        ..TO_NUMBER
    },
];

/// A part of a format.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// Groups of digits with commas between them.
    Groups(Vec<Group>),
    Point,
    Dollar,
    /// `S`
    Sign,
    /// `MI`
    Minus,
    /// What `PR` puts before and behind.
    Open,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Group {
    digits: usize,
    exact: bool,
}

#[derive(Debug)]
struct Format {
    /// In capitals, with `,` and `.`.
    text: String,
    tokens: Vec<Token>,
    precision: usize,
    scale: usize,
}

impl Format {
    fn parse(format: &str) -> Result<Format, String> {
        let text = format.to_ascii_uppercase().replace('D', ".").replace('G', ",");
        let bad = |why: &str| format!("the number format '{format}' {why}");
        let help = "is not of the form [MI|S] [$] digits [. digits] [$] [PR|MI|S]; digits are 0, 9 and commas";
        let (mut tokens, mut rest) = (Vec::new(), text.as_str());
        let take = |rest: &mut &str, word: &str| rest.strip_prefix(word).map(|after| *rest = after).is_some();
        if take(&mut rest, "MI") {
            tokens.push(Token::Minus);
        } else if take(&mut rest, "S") {
            tokens.push(Token::Sign);
        }
        if take(&mut rest, "$") {
            tokens.push(Token::Dollar);
        }
        let split = |text: &str, of: &str| text.find(|c| !of.contains(c)).unwrap_or(text.len());
        let (whole, after) = rest.split_at(split(rest, "09,"));
        rest = after;
        if !whole.is_empty() {
            tokens.push(Token::Groups(groups(whole).ok_or_else(|| bad("has a comma without digits on both sides"))?));
        }
        let mut fraction = "";
        if take(&mut rest, ".") {
            tokens.push(Token::Point);
            (fraction, rest) = rest.split_at(split(rest, "09"));
            if !fraction.is_empty() {
                tokens.push(Token::Groups(vec![Group { digits: fraction.len(), exact: false }]));
            }
        }
        if take(&mut rest, "$") {
            tokens.push(Token::Dollar);
        }
        match rest {
            "" => {}
            "PR" => {
                tokens.insert(0, Token::Open);
                tokens.push(Token::Close);
            }
            "MI" => tokens.push(Token::Minus),
            "S" => tokens.push(Token::Sign),
            _ => return Err(bad(help)),
        }
        let count = |wanted: fn(&Token) -> bool| tokens.iter().filter(|token| wanted(token)).count();
        let precision = text.bytes().filter(|byte| matches!(byte, b'0' | b'9')).count();
        let signs = count(|token| matches!(token, Token::Sign | Token::Minus | Token::Open));
        if precision == 0 || precision > 38 || signs > 1 || count(|token| *token == Token::Dollar) > 1 {
            return Err(bad(help));
        }
        let scale = fraction.len();
        Ok(Format { text, tokens, precision, scale })
    }

    /// The number that a text writes, without its point.
    fn read(&self, text: &str) -> Option<i128> {
        let (mut rest, mut negative) = (text, false);
        let (mut whole, mut fraction) = (String::new(), String::new());
        let mut is_behind_point = false;
        let take = |rest: &mut &str, c: char| rest.strip_prefix(c).map(|after| *rest = after).is_some();
        for token in &self.tokens {
            match token {
                Token::Groups(groups) => {
                    let digits = if is_behind_point { &mut fraction } else { &mut whole };
                    rest = read_groups(groups, rest, digits)?;
                }
                Token::Point => is_behind_point |= take(&mut rest, '.'),
                Token::Dollar => take(&mut rest, '$').then_some(())?,
                Token::Sign => negative ^= !take(&mut rest, '+') && take(&mut rest, '-'),
                Token::Minus => negative ^= take(&mut rest, '-'),
                Token::Open => drop(take(&mut rest, '<')),
                Token::Close => negative ^= take(&mut rest, '>'),
            }
        }
        if !rest.is_empty() || whole.len() + fraction.len() == 0 {
            return None;
        }
        let number: i128 = format!("{whole}{fraction:0<scale$}", scale = self.scale).parse().ok()?;
        Some(if negative { -number } else { number })
    }

    fn write(&self, unscaled: i128, scale: i32) -> String {
        let text = Digits::of_decimal(unscaled.unsigned_abs(), scale).plain();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let whole = if whole == "0" { "" } else { whole };
        let fits = whole.len() <= self.precision - self.scale && fraction.len() <= self.scale;
        let mut out = String::new();
        let mut is_behind_point = false;
        for token in &self.tokens {
            match token {
                Token::Groups(groups) if !fits => {
                    let hashes: Vec<String> = groups.iter().map(|group| "#".repeat(group.digits)).collect();
                    out.push_str(&hashes.join(" "));
                }
                Token::Groups(_) if is_behind_point => {
                    out.push_str(&format!("{fraction:0<width$}", width = self.scale));
                }
                Token::Groups(groups) => write_groups(&mut out, groups, whole, &self.text),
                Token::Point => {
                    if out.ends_with(' ') {
                        out.pop();
                        out.push('0');
                    }
                    out.push('.');
                    is_behind_point = true;
                }
                Token::Dollar => out.push('$'),
                Token::Sign => out.push(if unscaled < 0 { '-' } else { '+' }),
                Token::Minus => out.push(if unscaled < 0 { '-' } else { ' ' }),
                Token::Open if unscaled < 0 => out.push('<'),
                Token::Open => {}
                Token::Close if unscaled < 0 => out.push('>'),
                Token::Close => out.push_str("  "),
            }
        }
        out
    }
}

fn groups(whole: &str) -> Option<Vec<Group>> {
    let group = |group: &str| {
        let first = group.bytes().next()?;
        Some(Group { digits: group.len(), exact: first == b'0' })
    };
    whole.split(',').map(group).collect()
}

/// Digits, commas and white space; the sizes of the groups, from the right, are held against the format's.
fn read_groups<'a>(groups: &[Group], text: &'a str, digits: &mut String) -> Option<&'a str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ',' && !c.is_whitespace()).unwrap_or(text.len());
    let mut sizes = vec![0];
    for c in text[..end].chars() {
        match c {
            ',' => sizes.push(0),
            c if c.is_ascii_digit() => {
                digits.push(c);
                *sizes.last_mut().expect("one at least") += 1;
            }
            _ => {}
        }
    }
    if sizes.len() > groups.len() {
        return None;
    }
    let mut sizes = sizes.into_iter().rev();
    let fits = |group: &Group| {
        let size = sizes.next().unwrap_or(0);
        if group.exact { size == group.digits } else { size <= group.digits }
    };
    groups.iter().rev().all(fits).then(|| &text[end..])
}

/// The digits before the point, from the right into the format's places; a `9` without one is a space, which stands before
/// a sign.
fn write_groups(out: &mut String, groups: &[Group], whole: &str, format: &str) {
    let places: usize = groups.iter().map(|group| group.digits).sum();
    let mut missing = places - whole.len();
    let mut digits = whole.chars();
    let mut is_begun = false;
    let format = format.trim_start_matches(['M', 'I', 'S', '$']);
    for place in format.chars().take_while(|place| "09,".contains(*place)) {
        let written = match place {
            ',' => is_begun.then_some(','),
            _ if missing > 0 => {
                missing -= 1;
                (is_begun || place == '0').then_some('0')
            }
            _ => digits.next(),
        };
        is_begun |= written.is_some();
        match (written, out.chars().last()) {
            (Some(c), _) => out.push(c),
            (None, Some('+' | '-' | '<')) => out.insert(out.len() - 1, ' '),
            (None, _) => out.push(' '),
        }
    }
}

fn constant(arguments: &[Expr]) -> Option<&str> {
    match &arguments[1] {
        Expr::Literal(Value::String(format), _) => Some(format),
        _ => None,
    }
}

fn check(arguments: &[Expr]) -> Result<(), String> {
    match &arguments[1] {
        Expr::Literal(Value::Null, _) => Ok(()),
        _ => match constant(arguments) {
            Some(format) => Format::parse(format).map(drop),
            None => Err("a number format must be a constant; write it as a string, such as '999.99'".into()),
        },
    }
}

fn number_type(arguments: &[Expr]) -> DataType {
    match constant(arguments).map(Format::parse) {
        Some(Ok(format)) => DataType::Decimal128(format.precision as u8, format.scale as i8),
        _ => DataType::Decimal128(10, 0),
    }
}

fn format_of(column: &Column) -> Option<Format> {
    column.texts().get(0).map(|format| Format::parse(format).expect("checked when the query was planned"))
}

fn to_char(arguments: &mut Arguments) -> ArrayRef {
    let format = format_of(&arguments.columns[1]);
    let value = &arguments.columns[0];
    build::texts(arguments.rows, |row| {
        let (unscaled, scale) = decimal(value, row)?;
        Some(format.as_ref()?.write(unscaled, scale))
    })
}

/// An integral number or decimal, without its point, and the digits behind that.
pub(super) fn decimal(value: &Column, row: usize) -> Option<(i128, i32)> {
    if value.is_null(row) {
        return None;
    }
    let at = value.at(row);
    Some(match value.array.data_type() {
        DataType::Int8 => (value.array.as_primitive::<Int8Type>().value(at).into(), 0),
        DataType::Int16 => (value.array.as_primitive::<Int16Type>().value(at).into(), 0),
        DataType::Int32 => (value.array.as_primitive::<Int32Type>().value(at).into(), 0),
        DataType::Int64 => (value.array.as_primitive::<Int64Type>().value(at).into(), 0),
        DataType::Decimal128(_, scale) => (value.array.as_primitive::<Decimal128Type>().value(at), i32::from(*scale)),
        _ => return None,
    })
}

fn to_number(arguments: &mut Arguments, fails: bool) -> ArrayRef {
    let format = format_of(&arguments.columns[1]);
    let input = arguments.columns[0].texts();
    let number = |row| {
        let (text, format) = (input.get(row)?, format.as_ref()?);
        let number = format.read(text);
        if number.is_none() && fails {
            let message = || format!("'{text}' is not of the format '{}'; use try_to_number to get NULL", format.text);
            arguments.errors.record(row, "INVALID_FORMAT.MISMATCH_INPUT", message);
        }
        number
    };
    let numbers = build::numbers::<Decimal128Type>(arguments.rows, number);
    Arc::new(numbers.with_data_type(arguments.data_type.clone()))
}
