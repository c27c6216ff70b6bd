//! The tokens of a record and their nesting: JSON's grammar as Spark's parser accepts it (rules J2, J8, J11).
//!
//! The end of the record reads as a zero byte, which the grammar allows nowhere. Knows no columns.

use super::number::Number;
use super::scan::string_stop;
use super::text::{Text, escape_end, utf16_length};
use super::{Malformed, Scratch};

/// Most nested objects and arrays, including the root (rule J11).
const DEPTH_MAX: usize = 1_000;

/// Most UTF-16 units in a name (rule J11).
const NAME_MAX: usize = 50_000;

/// A record that is being read.
pub struct Reader<'a> {
    /// The record's value.
    pub bytes: &'a [u8],
    /// Position of the next byte.
    pub at: usize,
    /// Number of objects and arrays around this position.
    pub depth: usize,
    /// Buffers reused from record to record.
    pub scratch: &'a mut Scratch,
}

/// A value's first token.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    Null,
    True,
    False,
    Number(Number),
    /// `NaN` or an infinity: numbers without digits.
    Word(f64),
    Text(Text),
    /// `{` or `[`; not consumed.
    Open(u8),
}

/// Gets every token of a value, in order. Skipping and rewriting are visitors.
pub trait Visitor {
    /// A string, or a member's name.
    fn text(&mut self, bytes: &[u8], text: &Text);
    /// A number, a word or a literal.
    fn scalar(&mut self, bytes: &[u8], token: &Token);
    /// One of `{}[]:,`.
    fn mark(&mut self, mark: u8);
}

/// The visitor that skips a value.
impl Visitor for () {
    fn text(&mut self, _: &[u8], _: &Text) {}
    fn scalar(&mut self, _: &[u8], _: &Token) {}
    fn mark(&mut self, _: u8) {}
}

impl<'a> Reader<'a> {
    /// The next byte; 0 at the end.
    #[inline]
    pub fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Skips spaces, tabs, LF and CR. Returns the next byte without consuming it.
    #[inline]
    pub fn skip_space(&mut self) -> u8 {
        loop {
            let byte = self.peek();
            if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return byte;
            }
            self.at += 1;
        }
    }

    /// A value's first token. It is complete unless it opens an object or array.
    #[inline]
    pub fn token(&mut self) -> Result<Token, Malformed> {
        match self.skip_space() {
            b'"' => self.text().map(Token::Text),
            b'-' | b'0'..=b'9' => self.number(),
            open @ (b'{' | b'[') => Ok(Token::Open(open)),
            b'\'' => self.single_quoted().map(Token::Text),
            b'n' => self.literal(b"null", Token::Null),
            b't' => self.literal(b"true", Token::True),
            b'f' => self.literal(b"false", Token::False),
            b'N' => self.literal(b"NaN", Token::Word(f64::NAN)),
            b'I' => self.literal(b"Infinity", Token::Word(f64::INFINITY)),
            b'+' => self.infinity(f64::INFINITY),
            _ => Err(Malformed),
        }
    }

    /// A number that starts with a digit or `-`, or negative infinity.
    #[inline]
    fn number(&mut self) -> Result<Token, Malformed> {
        if self.bytes[self.at] == b'-' && self.bytes.get(self.at + 1) == Some(&b'I') {
            return self.infinity(f64::NEG_INFINITY);
        }
        let number = Number::read(self.bytes, self.at)?;
        self.at = number.end;
        Ok(Token::Number(number))
    }

    /// `INF` or `Infinity` after a sign.
    fn infinity(&mut self, value: f64) -> Result<Token, Malformed> {
        self.at += 1;
        let word: &[u8] = if self.bytes[self.at..].starts_with(b"INF") { b"INF" } else { b"Infinity" };
        self.literal(word, Token::Word(value))
    }

    fn literal(&mut self, word: &[u8], token: Token) -> Result<Token, Malformed> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(token)
    }

    /// A string; the next byte is its opening `"`.
    #[inline]
    pub fn text(&mut self) -> Result<Text, Malformed> {
        let start = self.at + 1;
        let (end, high) = string_stop(self.bytes, start);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Text { start, end, special: high });
        }
        self.special_text(start, end, b'"')
    }

    #[cold]
    fn single_quoted(&mut self) -> Result<Text, Malformed> {
        self.special_text(self.at + 1, self.at + 1, b'\'')
    }

    /// A string with escapes or single quotes; `at` is the position reached so far.
    fn special_text(&mut self, start: usize, mut at: usize, quote: u8) -> Result<Text, Malformed> {
        loop {
            match self.bytes.get(at) {
                Some(&byte) if byte == quote => break,
                Some(b'\\') => at = escape_end(self.bytes, at)?,
                Some(0..0x20) | None => return Err(Malformed),
                Some(b'"' | 0x20..) if quote == b'\'' => at += 1,
                Some(_) => at = string_stop(self.bytes, at).0,
            }
        }
        self.at = at + 1;
        Ok(Text { start, end: at, special: true })
    }

    /// A member's name, up to its value.
    pub fn name(&mut self) -> Result<Text, Malformed> {
        let name = match self.skip_space() {
            b'"' => self.text()?,
            b'\'' => self.single_quoted()?,
            _ => return Err(Malformed),
        };
        if name.end - name.start > NAME_MAX && utf16_length(&self.bytes[name.start..name.end]) > NAME_MAX {
            return Err(Malformed);
        }
        if self.skip_space() != b':' {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(name)
    }

    /// Enters the object or array at this position.
    #[inline]
    pub fn open(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Malformed) } else { Ok(()) }
    }

    /// Whether another element or member follows before `close`. Consumes the comma or `close`. The caller counts the
    /// depth.
    pub fn more(&mut self, first: bool, close: u8) -> Result<bool, Malformed> {
        let byte = self.skip_space();
        if byte == close {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            if byte != b',' {
                return Err(Malformed);
            }
            self.at += 1;
        }
        Ok(true)
    }

    /// Skips a value.
    #[inline]
    pub fn skip_value(&mut self) -> Result<(), Malformed> {
        match self.token()? {
            Token::Open(_) => self.walk(&mut ()),
            _ => Ok(()),
        }
    }

    /// Reads a value and passes its tokens to `visitor`.
    pub fn walk(&mut self, visitor: &mut impl Visitor) -> Result<(), Malformed> {
        match self.token()? {
            Token::Open(open) => self.walk_nested(open, visitor),
            Token::Text(text) => {
                visitor.text(self.bytes, &text);
                Ok(())
            }
            scalar => {
                visitor.scalar(self.bytes, &scalar);
                Ok(())
            }
        }
    }

    /// An object or array. Each level takes one stack frame, at most [`DEPTH_MAX`].
    fn walk_nested(&mut self, open: u8, visitor: &mut impl Visitor) -> Result<(), Malformed> {
        self.open()?;
        visitor.mark(open);
        let close = if open == b'{' { b'}' } else { b']' };
        let mut first = true;
        while self.more(first, close)? {
            if !first {
                visitor.mark(b',');
            }
            first = false;
            if close == b'}' {
                let name = self.name()?;
                visitor.text(self.bytes, &name);
                visitor.mark(b':');
            }
            self.walk(visitor)?;
        }
        self.depth -= 1;
        visitor.mark(close);
        Ok(())
    }
}
