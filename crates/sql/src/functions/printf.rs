//! `format_string`: Java's `Formatter` for texts, numbers and truth values.
//!
//! ```text
//!   %[number$][flags][width][.precision]conversion      flags: - # + space 0 , (      conversions: d o x e f g s c b h % n
//! ```

use super::digits::{Digits, grouped};
use super::hashes::hash_text;
use super::{Arguments, Function, Param, build};
use crate::eval::{Column, Order};
use crate::expr::Expr;
use crate::text::show;
use crate::types;
use crate::value::Value;
use crate::zone::WallClock;
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_schema::DataType;

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "format_string",
    aliases: &["printf"],
    usage: "format_string(format, value, …)",
    about: "The format with its `%` places filled as Java's `Formatter` does: `%s`, `%d`, `%5.2f`, `%x`, `%,d`, `%-10s`, `%2$s` and so on. A value that is not of its place's kind fails the row.",
    example: "format_string('%s has %,d rows', 'Spark', 12345)",
    params: &[Param::String, Param::Any],
    required: 1,
    repeats: true,
    order: Order::FirstThenWhole,
    check,
    kernel: format_string,
    ..Function::BLANK
}];

fn check(arguments: &[Expr]) -> Result<(), String> {
    for argument in &arguments[1..] {
        let t = argument.data_type();
        if types::is_nested(&t) || t == DataType::Binary {
            return Err(format!("`format_string` does not take {}; CAST it to STRING", types::name(&t)));
        }
    }
    match &arguments[0] {
        Expr::Literal(Value::String(format), _) => pieces(format).map(drop),
        _ => Ok(()),
    }
}

/// A format taken apart.
enum Piece {
    Text(String),
    Place(Place),
}

/// A `%` of a format.
struct Place {
    /// Which value: a number from 0, or the next one.
    value: Which,
    flags: String,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

#[derive(Clone, Copy)]
enum Which {
    Next,
    Again,
    Number(usize),
}

/// Wider places are a mistake.
const WIDTH_MAX: usize = 100_000;

fn pieces(format: &str) -> Result<Vec<Piece>, String> {
    let bad = || format!("the format '{format}' has a bad place; a place is written like %5d, %.2f or %s");
    let mut out = vec![];
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push(Piece::Text(rest[..at].into()));
        rest = &rest[at + 1..];
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut value = Which::Next;
        let length = digits(rest);
        if length > 0 && rest[length..].starts_with('$') {
            let number: usize = rest[..length].parse().map_err(|_| bad())?;
            value = Which::Number(number.checked_sub(1).ok_or_else(bad)?);
            rest = &rest[length + 1..];
        } else if let Some(after) = rest.strip_prefix('<') {
            (value, rest) = (Which::Again, after);
        }
        let length = rest.bytes().take_while(|byte| b"-#+ 0,(".contains(byte)).count();
        let flags = rest[..length].to_owned();
        rest = &rest[length..];
        let length = digits(rest);
        let width = if length > 0 { rest[..length].parse().map_err(|_| bad())? } else { 0 };
        rest = &rest[length..];
        let mut precision = None;
        if let Some(after) = rest.strip_prefix('.') {
            let length = digits(after);
            precision = Some(after[..length].parse().map_err(|_| bad())?);
            rest = &after[length..];
        }
        let conversion = rest.chars().next().filter(|c| "doxXeEfgGsScCbBhH%n".contains(*c)).ok_or_else(bad)?;
        rest = &rest[conversion.len_utf8()..];
        if width > WIDTH_MAX || precision > Some(WIDTH_MAX) {
            return Err(bad());
        }
        out.push(Piece::Place(Place { value, flags, width, precision, conversion }));
    }
    out.push(Piece::Text(rest.into()));
    Ok(out)
}

fn format_string(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let formats = columns[0].texts();
    build::texts(arguments.rows, |row| match filled(formats.get(row)?, &columns[1..], row) {
        Ok(text) => Some(text),
        Err(message) => {
            arguments.errors.record(row, "ILLEGAL_FORMAT", || message);
            None
        }
    })
}

fn filled(format: &str, values: &[Column], row: usize) -> Result<String, String> {
    let mut out = String::new();
    let (mut next, mut last) = (0, None);
    for piece in pieces(format)? {
        let place = match piece {
            Piece::Text(text) => {
                out.push_str(&text);
                continue;
            }
            Piece::Place(place) => place,
        };
        match place.conversion {
            '%' => out.push_str(&place.aligned("%")),
            'n' => out.push('\n'),
            _ => {
                let index = match place.value {
                    Which::Number(index) => index,
                    Which::Again => last.ok_or("the format's `<` has no value before it; leave it out")?,
                    Which::Next => {
                        next += 1;
                        next - 1
                    }
                };
                last = Some(index);
                let missing = || format!("the format has a place for value {}, which is missing; give it", index + 1);
                out.push_str(&place.written(values.get(index).ok_or_else(missing)?, row)?);
            }
        }
    }
    Ok(out)
}

impl Place {
    fn flag(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    fn written(&self, value: &Column, row: usize) -> Result<String, String> {
        let upper = self.conversion.is_ascii_uppercase();
        let conversion = self.conversion.to_ascii_lowercase();
        let text = if value.is_null(row) {
            self.cut(if conversion == 'b' { "false" } else { "null" })
        } else {
            match conversion {
                's' => self.cut(&match integer(value, row) {
                    Some((number, _)) => number.to_string(),
                    None => show::value(&value.array, value.at(row), &WallClock::utc()),
                }),
                'b' => {
                    let truth = value.array.as_boolean_opt().is_none_or(|array| array.value(value.at(row)));
                    self.cut(if truth { "true" } else { "false" })
                }
                'h' => self.cut(&format!("{:x}", self.hash(value, row)?)),
                'c' => self.character(value, row)?,
                'd' => self.integer(value, row)?,
                'o' | 'x' => self.bits(value, row, conversion)?,
                _ => self.real(value, row, conversion)?,
            }
        };
        let text = self.aligned(&text);
        Ok(if upper { text.to_uppercase() } else { text })
    }

    fn cut(&self, text: &str) -> String {
        text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
    }

    fn aligned(&self, text: &str) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        let spaces = " ".repeat(missing);
        if self.flag('-') { format!("{text}{spaces}") } else { format!("{spaces}{text}") }
    }

    fn mismatch(&self, value: &Column) -> String {
        let kind = types::name(value.array.data_type());
        format!("`%{}` does not take {kind}; use %s, or CAST the value", self.conversion)
    }

    /// Java's `hashCode`, of texts that of Spark's own strings.
    fn hash(&self, value: &Column, row: usize) -> Result<i32, String> {
        match value.array.data_type() {
            DataType::Int32 => Ok(value.array.as_primitive::<Int32Type>().value(value.at(row))),
            DataType::Utf8 => Ok(hash_text(value.array.as_string::<i32>().value(value.at(row)))),
            DataType::Boolean => Ok(if value.array.as_boolean().value(value.at(row)) { 1_231 } else { 1_237 }),
            _ => Err(self.mismatch(value)),
        }
    }

    fn character(&self, value: &Column, row: usize) -> Result<String, String> {
        let code = integer(value, row).filter(|(_, bits)| *bits <= 32).ok_or_else(|| self.mismatch(value))?;
        let code = u32::try_from(code.0).ok().and_then(char::from_u32);
        code.map(String::from).ok_or_else(|| "there is no such character; give a code point".into())
    }

    fn integer(&self, value: &Column, row: usize) -> Result<String, String> {
        let (number, _) = integer(value, row).ok_or_else(|| self.mismatch(value))?;
        Ok(self.signed(number < 0, &number.unsigned_abs().to_string(), true))
    }

    fn bits(&self, value: &Column, row: usize, conversion: char) -> Result<String, String> {
        let (number, bits) = integer(value, row).ok_or_else(|| self.mismatch(value))?;
        // Negative numbers are written as their two's complement in their own width.
        let bits = number.cast_unsigned() & (u64::MAX >> (64 - bits));
        let digits = if conversion == 'x' { format!("{bits:x}") } else { format!("{bits:o}") };
        let prefix = match (self.flag('#'), conversion) {
            (false, _) => "",
            (true, 'x') => "0x",
            (true, _) => "0",
        };
        let zeros = if self.flag('0') { self.width.saturating_sub(prefix.len() + digits.len()) } else { 0 };
        Ok(format!("{prefix}{}{digits}", "0".repeat(zeros)))
    }

    fn real(&self, value: &Column, row: usize, conversion: char) -> Result<String, String> {
        let at = value.at(row);
        let precision = self.precision.unwrap_or(6);
        let x = match value.array.data_type() {
            DataType::Float32 => f64::from(value.array.as_primitive::<Float32Type>().value(at)),
            DataType::Float64 => value.array.as_primitive::<Float64Type>().value(at),
            _ => return Err(self.mismatch(value)),
        };
        if !x.is_finite() {
            let word = if x.is_nan() { "NaN" } else { "Infinity" };
            return Ok(self.signed(x < 0.0, word, false));
        }
        let size = Digits::of_double(x.abs());
        let digits = match conversion {
            'f' => size.fixed(precision),
            'e' => size.scientific(precision),
            _ => size.general(x.abs(), precision.max(1)),
        };
        Ok(self.signed(x.is_sign_negative(), &digits, true))
    }

    /// Digits with groups, sign and leading zeros as the flags ask.
    fn signed(&self, negative: bool, digits: &str, is_number: bool) -> String {
        let digits = if self.flag(',') && is_number { grouped(digits) } else { digits.into() };
        let (before, after) = match negative {
            true if self.flag('(') => ("(", ")"),
            true => ("-", ""),
            false if self.flag('+') => ("+", ""),
            false if self.flag(' ') => (" ", ""),
            false => ("", ""),
        };
        let length = before.len() + digits.len() + after.len();
        let zeros = if self.flag('0') && is_number { self.width.saturating_sub(length) } else { 0 };
        format!("{before}{}{digits}{after}", "0".repeat(zeros))
    }
}

/// An integral value and how many bits its type has; a time is what Spark keeps of it: days or microseconds.
fn integer(value: &Column, row: usize) -> Option<(i64, u32)> {
    let at = value.at(row);
    Some(match value.array.data_type() {
        DataType::Int8 => (value.array.as_primitive::<Int8Type>().value(at).into(), 8),
        DataType::Int16 => (value.array.as_primitive::<Int16Type>().value(at).into(), 16),
        DataType::Int32 => (value.array.as_primitive::<Int32Type>().value(at).into(), 32),
        DataType::Int64 => (value.array.as_primitive::<Int64Type>().value(at), 64),
        DataType::Date32 => (value.array.as_primitive::<Date32Type>().value(at).into(), 32),
        DataType::Timestamp(..) => (value.array.as_primitive::<TimestampMicrosecondType>().value(at), 64),
        _ => return None,
    })
}
