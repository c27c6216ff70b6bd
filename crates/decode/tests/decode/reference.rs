//! A second decoder, slow and simple: text to UTF-16, to a tree, to a row. It shares only Java's text of doubles with
//! the fast one. Covers BOOLEAN, integers, DOUBLE, STRING, STRUCT, ARRAY and MAP.

use arrow_schema::{DataType, SchemaRef};
use serde_json::Value;
use tidemill_decode::java_double::java_double;

/// The outcome of a record.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Blank,
    Malformed,
    /// The row as the golden files write it, and whether something in it has the wrong type.
    Row(Value, bool),
}

/// Decodes a record.
pub fn decode(schema: &SchemaRef, record: &[u8]) -> Verdict {
    let text = utf16(record);
    if text.iter().all(|&unit| SPACE.contains(&unit)) {
        return Verdict::Blank;
    }
    let mut parser = Parser::new(schema, &text);
    let Ok(root @ Tree::Object(_)) = parser.root() else { return Verdict::Malformed };
    match convert(&root, &DataType::Struct(schema.fields().clone())) {
        (Some(row), wrong) => Verdict::Row(row, wrong),
        (None, _) => unreachable!("an object suits a struct"),
    }
}

/// Whether a malformed record's first error is inside a string, object or array that is the value of a wanted field
/// (rule J12).
pub fn error_inside_wanted_value(schema: &SchemaRef, record: &[u8]) -> bool {
    let text = utf16(record);
    let mut parser = Parser::new(schema, &text);
    parser.root().is_err() && parser.inside_wanted
}

const SPACE: [u16; 4] = [0x20, 0x09, 0x0a, 0x0d];

/// The bytes as Java sees them: invalid UTF-8 becomes U+FFFD.
fn utf16(bytes: &[u8]) -> Vec<u16> {
    let mut units = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = (1..=4).find(|&n| bytes.get(at..at + n).is_some_and(|part| std::str::from_utf8(part).is_ok()));
        if let Some(length) = length {
            units.extend(std::str::from_utf8(&bytes[at..at + length]).unwrap().encode_utf16());
            at += length;
            continue;
        }
        units.push(0xfffd);
        at += wrong_length(&bytes[at..]);
    }
    units
}

/// Length of the longest valid beginning of a character; surrogates count as characters.
fn wrong_length(bytes: &[u8]) -> usize {
    let seconds = match bytes[0] {
        0xe0 => 0xa0..=0xbf,
        0xf0 => 0x90..=0xbf,
        0xf4 => 0x80..=0x8f,
        0xe1..=0xef | 0xf1..=0xf3 => 0x80..=0xbf,
        _ => return 1,
    };
    let length = if bytes[0] < 0xf0 { 3 } else { 4 };
    if !bytes.get(1).is_some_and(|second| seconds.contains(second)) {
        return 1;
    }
    (2..length).find(|&at| !bytes.get(at).is_some_and(|byte| (0x80..0xc0).contains(byte))).unwrap_or(length)
}

enum Tree {
    Null,
    Bool(bool),
    /// A number's text.
    Number(String),
    Word(f64),
    Text(Vec<u16>),
    Array(Vec<Tree>),
    Object(Vec<(Vec<u16>, Tree)>),
}

struct Parser<'a> {
    wanted: Vec<Vec<u16>>,
    rest: &'a [u16],
    inside_wanted: bool,
}

struct Wrong;

impl<'a> Parser<'a> {
    fn new(schema: &SchemaRef, text: &'a [u16]) -> Parser<'a> {
        let wanted = schema.fields().iter().map(|field| field.name().encode_utf16().collect()).collect();
        Parser { wanted, rest: text, inside_wanted: false }
    }

    fn root(&mut self) -> Result<Tree, Wrong> {
        if self.peek() != Some('{') {
            return Err(Wrong);
        }
        self.object(1)
    }

    fn peek(&mut self) -> Option<char> {
        while let Some((first, rest)) = self.rest.split_first().filter(|(first, _)| SPACE.contains(first)) {
            let _ = first;
            self.rest = rest;
        }
        self.here()
    }

    fn here(&self) -> Option<char> {
        self.rest.first().map(|&unit| char::from_u32(u32::from(unit)).unwrap_or('\u{fffd}'))
    }

    fn take(&mut self) -> Result<u16, Wrong> {
        let (&first, rest) = self.rest.split_first().ok_or(Wrong)?;
        self.rest = rest;
        Ok(first)
    }

    fn expect(&mut self, what: char) -> Result<(), Wrong> {
        if self.peek() == Some(what) { self.take().map(|_| ()) } else { Err(Wrong) }
    }

    fn value(&mut self, depth: usize) -> Result<Tree, Wrong> {
        match self.peek().ok_or(Wrong)? {
            '{' => self.object(depth + 1),
            '[' => self.array(depth + 1),
            quote @ ('"' | '\'') => self.text(quote).map(Tree::Text),
            '-' | '0'..='9' | '+' => self.number(),
            _ => {
                let words = [
                    ("null", Tree::Null),
                    ("true", Tree::Bool(true)),
                    ("false", Tree::Bool(false)),
                    ("NaN", Tree::Word(f64::NAN)),
                    ("Infinity", Tree::Word(f64::INFINITY)),
                ];
                words.into_iter().find(|(word, _)| self.skip_word(word)).map(|(_, tree)| tree).ok_or(Wrong)
            }
        }
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let units: Vec<u16> = word.encode_utf16().collect();
        let found = self.rest.strip_prefix(&units[..]);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn object(&mut self, depth: usize) -> Result<Tree, Wrong> {
        self.expect('{')?;
        let mut members = Vec::new();
        if depth > 1_000 {
            return Err(Wrong);
        }
        while self.peek() != Some('}') {
            if !members.is_empty() {
                self.expect(',')?;
            }
            let quote = self.peek().filter(|c| "\"'".contains(*c)).ok_or(Wrong)?;
            let name = self.text(quote)?;
            self.expect(':')?;
            let first = self.peek();
            let lazy = matches!(first, Some('"' | '[' | '{'));
            if depth == 1 {
                self.inside_wanted = lazy && self.wanted.contains(&name);
            }
            members.push((name, self.value(depth)?));
            if depth == 1 {
                self.inside_wanted = false;
            }
        }
        self.expect('}')?;
        Ok(Tree::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Tree, Wrong> {
        self.expect('[')?;
        let mut elements = Vec::new();
        if depth > 1_000 {
            return Err(Wrong);
        }
        while self.peek() != Some(']') {
            if !elements.is_empty() {
                self.expect(',')?;
            }
            elements.push(self.value(depth)?);
        }
        self.expect(']')?;
        Ok(Tree::Array(elements))
    }

    fn text(&mut self, quote: char) -> Result<Vec<u16>, Wrong> {
        self.take()?;
        let mut said = Vec::new();
        loop {
            let unit = self.take()?;
            match char::from_u32(u32::from(unit)) {
                Some(c) if c == quote => return Ok(said),
                Some('\\') => said.push(self.escaped()?),
                Some('\0'..' ') => return Err(Wrong),
                _ => said.push(unit),
            }
        }
    }

    fn escaped(&mut self) -> Result<u16, Wrong> {
        let escape = self.take()?;
        let known = "\"\\/'bfnrt".encode_utf16().zip("\"\\/'\u{8}\u{c}\n\r\t".encode_utf16());
        if let Some((_, meant)) = known.into_iter().find(|(name, _)| *name == escape) {
            return Ok(meant);
        }
        if escape != u16::from(b'u') {
            return Err(Wrong);
        }
        (0..4).try_fold(0, |value, _| {
            let digit = char::from_u32(u32::from(self.take()?)).and_then(|c| c.to_digit(16)).ok_or(Wrong)?;
            Ok(value << 4 | digit as u16)
        })
    }

    fn number(&mut self) -> Result<Tree, Wrong> {
        for (word, value) in [
            ("+INF", f64::INFINITY),
            ("+Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            if self.skip_word(word) {
                return Ok(Tree::Word(value));
            }
        }
        let mut text = String::new();
        while let Some(c) = self.here().filter(|c| c.is_ascii_digit() || "+-.eE".contains(*c)) {
            // A character that cannot belong to a number ends it; the missing comma is then the error.
            text.push(c);
            self.rest = &self.rest[1..];
        }
        if is_number(&text) { Ok(Tree::Number(text)) } else { Err(Wrong) }
    }
}

/// JSON's grammar of numbers.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// A tree as a value of a type, `None` if it does not fit at all; and whether something in it did not fit.
fn convert(tree: &Tree, data_type: &DataType) -> (Option<Value>, bool) {
    let scalar = |text: Option<String>| (text.clone().map(Value::String), text.is_none());
    let integer = |text: &str, low: i128, high: i128| {
        let value = if text.contains(['.', 'e', 'E']) { None } else { text.parse::<i128>().ok() };
        value.filter(|value| (low..=high).contains(value))
    };
    match (data_type, tree) {
        (_, Tree::Null) => (Some(Value::Null), false),
        (DataType::Boolean, Tree::Bool(value)) => scalar(Some(value.to_string())),
        (DataType::Int8, Tree::Number(text)) => scalar(integer(text, -128, 255).map(|v| (v as i8).to_string())),
        (DataType::Int16, Tree::Number(text)) => scalar(integer(text, -32_768, 32_767).map(|v| v.to_string())),
        (DataType::Int32, Tree::Number(text)) => {
            scalar(integer(text, -(1 << 31), (1 << 31) - 1).map(|v| v.to_string()))
        }
        (DataType::Int64, Tree::Number(text)) => {
            scalar(integer(text, -(1 << 63), (1 << 63) - 1).map(|v| v.to_string()))
        }
        (DataType::Float64, Tree::Number(text)) if text == "-0" => scalar(Some("0.0".into())),
        (DataType::Float64, Tree::Number(text)) => scalar(Some(java_double(text.parse().unwrap()))),
        (DataType::Float64, Tree::Word(value)) => scalar(Some(java_double(*value))),
        (DataType::Float64, Tree::Text(said)) => scalar(match String::from_utf16_lossy(said).as_str() {
            "NaN" => Some("NaN".into()),
            "Infinity" | "+Infinity" | "+INF" => Some("Infinity".into()),
            "-Infinity" | "-INF" => Some("-Infinity".into()),
            _ => None,
        }),
        (DataType::Utf8, Tree::Text(said)) => scalar(Some(java_string(said))),
        (DataType::Utf8, tree) => {
            let mut out = String::new();
            rewrite(tree, &mut out);
            scalar(Some(out))
        }
        (DataType::Struct(fields), Tree::Object(members)) => {
            let mut wrong = false;
            let row = fields.iter().map(|field| {
                let name: Vec<u16> = field.name().encode_utf16().collect();
                let values = members.iter().filter(|(known, _)| *known == name);
                values.fold(Value::Null, |last, (_, tree)| {
                    let (value, bad) = convert(tree, field.data_type());
                    wrong |= bad;
                    value.unwrap_or(last)
                })
            });
            (Some(row.collect()), wrong)
        }
        (DataType::List(element), Tree::Array(elements)) => {
            let values = elements.iter().map(|tree| convert(tree, element.data_type()));
            whole(values.collect(), |value| value)
        }
        (DataType::Map(entries, _), Tree::Object(members)) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("a map of {entries}") };
            let values = members.iter().map(|(_, tree)| convert(tree, fields[1].data_type()));
            let mut names = members.iter().map(|(name, _)| Value::String(java_string(name)));
            whole(values.collect(), |value| Value::Array(vec![names.next().unwrap(), value]))
        }
        _ => (None, true),
    }
}

/// All of the values; none if one is missing.
fn whole(values: Vec<(Option<Value>, bool)>, mut show: impl FnMut(Value) -> Value) -> (Option<Value>, bool) {
    let wrong = values.iter().any(|(_, bad)| *bad);
    let values: Option<Vec<Value>> = values.into_iter().map(|(value, _)| value).collect();
    (values.map(|values| values.into_iter().map(&mut show).collect()), wrong)
}

/// A Java string in UTF-8: a lone surrogate becomes `?`.
fn java_string(units: &[u16]) -> String {
    char::decode_utf16(units.iter().copied()).map(|c| c.unwrap_or('?')).collect()
}

fn rewrite(tree: &Tree, out: &mut String) {
    match tree {
        Tree::Null => out.push_str("null"),
        Tree::Bool(value) => out.push_str(&value.to_string()),
        Tree::Number(text) if !text.contains(['.', 'e', 'E']) => out.push_str(if text == "-0" { "0" } else { text }),
        Tree::Number(text) => double(text.parse().unwrap(), out),
        Tree::Word(value) => double(*value, out),
        Tree::Text(said) => quoted(said, out),
        Tree::Array(elements) => {
            out.push('[');
            for (number, element) in elements.iter().enumerate() {
                out.push_str(if number > 0 { "," } else { "" });
                rewrite(element, out);
            }
            out.push(']');
        }
        Tree::Object(members) => {
            out.push('{');
            for (number, (name, value)) in members.iter().enumerate() {
                out.push_str(if number > 0 { "," } else { "" });
                quoted(name, out);
                out.push(':');
                rewrite(value, out);
            }
            out.push('}');
        }
    }
}

fn double(value: f64, out: &mut String) {
    let quote = if value.is_finite() { "" } else { "\"" };
    out.push_str(&format!("{quote}{}{quote}", java_double(value)));
}

fn quoted(said: &[u16], out: &mut String) {
    out.push('"');
    for &unit in said {
        let short = "\u{8}\u{c}\n\r\t\"\\".encode_utf16().zip("bfnrt\"\\".chars()).find(|(known, _)| *known == unit);
        match (short, char::from_u32(u32::from(unit))) {
            (Some((_, letter)), _) => out.extend(['\\', letter]),
            (None, Some(c)) if c >= ' ' => out.push(c),
            _ => out.push_str(&format!("\\u{unit:04X}")),
        }
    }
    out.push('"');
}
