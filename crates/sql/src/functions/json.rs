//! Reads JSON texts as Spark's Jackson does: strings in single quotes too, fractions through double.
//!
//! `get_json_object`, `json_tuple`, `schema_of_json` and the like read with it. `from_json` has the decoder of sources.

use crate::text::java_double::write_java_double;
use std::fmt::Write;

/// The text is not JSON.
pub(super) struct Malformed;

pub(super) type Read<T> = Result<T, Malformed>;

/// Jackson's limit of nesting.
const DEPTH_MAX: usize = 1_000;

/// Jackson's limit of digits in a number, including the exponent.
const DIGITS_MAX: usize = 1_000;

/// Jackson's limit of UTF-16 units in a name.
const NAME_MAX: usize = 50_000;

/// A text read from JSON. Escapes can name unpaired surrogates, which UTF-8 cannot hold.
#[derive(Default)]
pub(super) struct Text {
    pub(super) whole: String,
    /// Unpaired surrogates, each before this byte of `whole`, in order.
    pub(super) halves: Vec<(usize, u32)>,
}

/// A reader of one JSON text.
pub(super) struct Json<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    leading_zeros: bool,
}

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a str) -> Json<'a> {
        Json { text, at: 0, depth: 0, leading_zeros: false }
    }

    /// A reader that may also take numbers such as 01.
    pub(super) fn with_leading_zeros(self, leading_zeros: bool) -> Json<'a> {
        Json { leading_zeros, ..self }
    }

    /// Appends a value: a string without quotes, another one as compact JSON.
    pub(super) fn raw(&mut self, out: &mut String) -> Read<()> {
        if !matches!(self.peek()?, '"' | '\'') {
            return self.copy(Some(out));
        }
        let text = self.string()?;
        // A text with unpaired surrogates gives no value; inside objects they are written as escapes.
        if !text.halves.is_empty() {
            return Err(Malformed);
        }
        out.push_str(&text.whole);
        Ok(())
    }

    /// Skips a value and, if wanted, appends it as compact JSON.
    pub(super) fn copy(&mut self, mut out: Option<&mut String>) -> Read<()> {
        let mut put = |text: &str| {
            if let Some(out) = &mut out {
                out.push_str(text);
            }
        };
        match self.peek()? {
            open @ ('{' | '[') => {
                let close = if open == '{' { '}' } else { ']' };
                put(open.encode_utf8(&mut [0; 4]));
                self.members(open, close, |json, number| {
                    if number > 0
                        && let Some(out) = &mut out
                    {
                        out.push(',');
                    }
                    if open == '{' {
                        let key = json.key()?;
                        if let Some(out) = &mut out {
                            quote(out, &key);
                            out.push(':');
                        }
                    }
                    json.copy(out.as_deref_mut())
                })?;
                if let Some(out) = &mut out {
                    out.push(close);
                }
                Ok(())
            }
            '"' | '\'' => {
                let text = self.string()?;
                if let Some(out) = out {
                    quote(out, &text);
                }
                Ok(())
            }
            '-' | '0'..='9' => {
                let number = self.number()?;
                if let Some(out) = out {
                    write_number(out, number);
                }
                Ok(())
            }
            _ => {
                let word =
                    ["true", "false", "null"].into_iter().find(|word| self.rest_starts(word)).ok_or(Malformed)?;
                self.at += word.len();
                self.delimiter()?;
                put(word);
                Ok(())
            }
        }
    }

    /// The members between brackets. `member` reads each and gets its index.
    pub(super) fn members(
        &mut self,
        open: char,
        close: char,
        mut member: impl FnMut(&mut Self, usize) -> Read<()>,
    ) -> Read<()> {
        self.peek()?;
        self.take(open)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Malformed);
        }
        if self.peek()? != close {
            for number in 0.. {
                self.peek()?;
                member(self, number)?;
                if self.peek()? != ',' {
                    break;
                }
                self.take(',')?;
            }
        }
        self.depth -= 1;
        self.take(close)
    }

    pub(super) fn key(&mut self) -> Read<Text> {
        if !matches!(self.peek()?, '"' | '\'') {
            return Err(Malformed);
        }
        let key = self.string()?;
        let is_long = key.whole.len() > NAME_MAX;
        if is_long && key.whole.encode_utf16().count() + key.halves.len() > NAME_MAX {
            return Err(Malformed);
        }
        self.peek()?;
        self.take(':')?;
        self.peek()?;
        Ok(key)
    }

    /// The next character after white space; it stays the next.
    pub(super) fn peek(&mut self) -> Read<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.text[self.at..].chars().next().ok_or(Malformed)
    }

    fn take(&mut self, wanted: char) -> Read<()> {
        if !self.text[self.at..].starts_with(wanted) {
            return Err(Malformed);
        }
        self.at += wanted.len_utf8();
        Ok(())
    }

    pub(super) fn rest_starts(&self, word: &str) -> bool {
        self.text[self.at..].starts_with(word)
    }

    /// Checks that the next character does not continue a number or word.
    fn delimiter(&self) -> Read<()> {
        match self.text[self.at..].chars().next() {
            Some(c) if c.is_alphanumeric() || "_$.+-".contains(c) => Err(Malformed),
            _ => Ok(()),
        }
    }

    fn number(&mut self) -> Read<&str> {
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            let start = at;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            if at == start { Err(Malformed) } else { Ok(at) }
        };
        let start = self.at;
        let whole = start + usize::from(bytes[start] == b'-');
        let mut end = digits(whole)?;
        if bytes[whole] == b'0' && end > whole + 1 && !self.leading_zeros {
            return Err(Malformed);
        }
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1)?;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            end = digits(end + 1 + sign)?;
        }
        let is_long = end - start > DIGITS_MAX;
        if is_long && bytes[start..end].iter().filter(|byte| byte.is_ascii_digit()).count() > DIGITS_MAX {
            return Err(Malformed);
        }
        self.at = end;
        self.delimiter()?;
        Ok(&self.text[start..end])
    }

    /// A string in double or single quotes, with its escapes resolved.
    fn string(&mut self) -> Read<Text> {
        let mut out = Text::default();
        let quote = self.peek()?;
        self.take(quote)?;
        loop {
            let c = self.text[self.at..].chars().next().ok_or(Malformed)?;
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(out),
                '\\' => self.escape(&mut out)?,
                c => out.whole.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut Text) -> Read<()> {
        let c = self.text[self.at..].chars().next().ok_or(Malformed)?;
        self.at += c.len_utf8();
        out.whole.push(match c {
            '"' | '\\' | '/' | '\'' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.hexadecimal()?;
                match self.low_half(unit)? {
                    Some(low) => char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
                        .expect("a pair is a character"),
                    None => match char::from_u32(unit) {
                        Some(c) => c,
                        None => {
                            out.halves.push((out.whole.len(), unit));
                            return Ok(());
                        }
                    },
                }
            }
            _ => return Err(Malformed),
        });
        Ok(())
    }

    /// The escape of the low surrogate that pairs with `high`, if it is next.
    fn low_half(&mut self, high: u32) -> Read<Option<u32>> {
        if !(0xd800..0xdc00).contains(&high) || !self.rest_starts("\\u") {
            return Ok(None);
        }
        let before = self.at;
        self.at += 2;
        let low = self.hexadecimal()?;
        let is_low = (0xdc00..0xe000).contains(&low);
        self.at = if is_low { self.at } else { before };
        Ok(is_low.then_some(low))
    }

    fn hexadecimal(&mut self) -> Read<u32> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Malformed)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Malformed)
    }
}

/// Writes integers by their digits, other numbers through double.
fn write_number(out: &mut String, number: &str) {
    if !number.contains(['.', 'e', 'E']) {
        return out.push_str(if number == "-0" { "0" } else { number });
    }
    match number.parse::<f64>() {
        Ok(double) if double.is_finite() => write_java_double(out, double),
        Ok(double) if double > 0.0 => out.push_str("\"Infinity\""),
        _ => out.push_str("\"-Infinity\""),
    }
}

/// Writes a JSON string; characters beyond the basic plane and unpaired surrogates as escapes.
fn quote(out: &mut String, text: &Text) {
    out.push('"');
    let mut halves = text.halves.iter().peekable();
    let mut halves_at = |at: usize, out: &mut String| {
        while let Some((_, unit)) = halves.next_if(|(place, _)| *place == at) {
            write!(out, "\\u{unit:04X}").expect("a string takes all");
        }
    };
    for (at, c) in text.whole.char_indices() {
        halves_at(at, out);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if !(' '..='\u{ffff}').contains(&c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04X}").expect("a string takes all");
                }
            }
            c => out.push(c),
        }
    }
    halves_at(text.whole.len(), out);
    out.push('"');
}
