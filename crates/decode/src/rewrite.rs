//! Writes a value that is not a string as compact JSON, for a STRING column (rule J5).
//!
//! As Jackson's generator does: numbers with fraction or exponent become a double and then Java's text of it; control
//! characters and everything beyond the Basic Multilingual Plane become escapes.

use super::STRING_MAX;
use super::text::{Piece, Text, next_piece, utf16_length};
use super::token::{Token, Visitor};
use crate::java_double::write_java_double;
use std::fmt::Write;

/// Writes the tokens that it visits.
#[derive(Debug, Default)]
pub struct Rewriter {
    /// The text so far.
    pub out: String,
    /// A string inside is longer than Spark reads (rule J11).
    pub too_long: bool,
}

impl Visitor for Rewriter {
    fn text(&mut self, bytes: &[u8], text: &Text) {
        let mut raw = &bytes[text.start..text.end];
        self.too_long |= raw.len() > STRING_MAX && utf16_length(raw) > STRING_MAX;
        self.out.push('"');
        while let Some(piece) = next_piece(&mut raw) {
            match piece {
                Piece::Plain(plain) => plain.chars().for_each(|c| self.character(c)),
                Piece::Replaced => self.out.push(char::REPLACEMENT_CHARACTER),
                Piece::Unit(unit) => match char::from_u32(u32::from(unit)) {
                    Some(c) => self.character(c),
                    None => self.escape(unit),
                },
            }
        }
        self.out.push('"');
    }

    fn scalar(&mut self, bytes: &[u8], token: &Token) {
        match token {
            Token::Null => self.out.push_str("null"),
            Token::True => self.out.push_str("true"),
            Token::False => self.out.push_str("false"),
            Token::Number(number) if number.integer => match number.text(bytes) {
                "-0" => self.out.push('0'),
                digits => self.out.push_str(digits),
            },
            Token::Number(number) => self.double(number.double(bytes)),
            Token::Word(value) => self.double(*value),
            Token::Text(_) | Token::Open(_) => unreachable!("the other calls report these"),
        }
    }

    fn mark(&mut self, mark: u8) {
        self.out.push(char::from(mark));
    }
}

impl Rewriter {
    fn double(&mut self, value: f64) {
        if value.is_finite() {
            return write_java_double(&mut self.out, value);
        }
        self.out.push('"');
        write_java_double(&mut self.out, value);
        self.out.push('"');
    }

    fn character(&mut self, c: char) {
        match c {
            '"' => self.out.push_str("\\\""),
            '\\' => self.out.push_str("\\\\"),
            '\u{8}' => self.out.push_str("\\b"),
            '\u{c}' => self.out.push_str("\\f"),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            '\0'..' ' => self.escape(c as u16),
            '\u{10000}'.. => c.encode_utf16(&mut [0; 2]).iter().for_each(|&unit| self.escape(unit)),
            _ => self.out.push(c),
        }
    }

    fn escape(&mut self, unit: u16) {
        write!(self.out, "\\u{unit:04X}").expect("a String takes everything");
    }
}
