//! Text → tokens, by Spark's lexical rules: string escapes and raw strings, adjacent strings, number suffixes, comments.

use super::Fault;
use std::ops::Range;

/// A name, with its place and whether it stood in backticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ident {
    pub name: String,
    pub quoted: bool,
    pub at: Range<usize>,
}

/// A token's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword.
    Word(String),
    /// A name in backticks.
    Quoted(String),
    /// Digits, with point, exponent and suffix as written.
    Number(String),
    /// A string: escapes resolved, adjacent strings joined.
    String(String),
    /// `X'1F'`.
    Binary(Vec<u8>),
    /// An operator or punctuation.
    Symbol(&'static str),
    /// The text's end.
    End,
}

/// Longer ones before their prefixes. `>>` is two tokens, so that nested types close; the parser joins them to a shift.
const SYMBOLS: [&str; 32] = [
    "<=>", "->", "=>", "==", "<>", "!=", "<=", ">=", "||", "::", "|>", "=", "<", ">", "!", "+", "-", "*", "/", "%",
    "(", ")", "[", "]", ",", ".", ";", ":", "&", "|", "^", "~",
];

/// All tokens with their byte ranges; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Fault> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens: Vec<(Token, Range<usize>)> = Vec::new();
    loop {
        lexer.skip_space()?;
        let start = lexer.at;
        let token = lexer.token()?;
        let span = start..lexer.at;
        match (tokens.last_mut(), &token) {
            (Some((Token::String(before), before_span)), Token::String(more)) => {
                before.push_str(more);
                before_span.end = span.end;
            }
            _ => tokens.push((token.clone(), span)),
        }
        if token == Token::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) -> Result<(), Fault> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            if trimmed.len() < rest.len() {
                self.at += rest.len() - trimmed.len();
            } else if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.skip_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// `/* … */`, which may hold others.
    fn skip_comment(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let mut depth = 0;
        loop {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
            } else {
                match self.rest().chars().next() {
                    Some(c) => self.at += c.len_utf8(),
                    None => return Err(Fault::new(start..self.at, "a comment is not closed", "close it with */")),
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token, Fault> {
        let Some(c) = self.rest().chars().next() else {
            return Ok(Token::End);
        };
        let second = self.rest()[c.len_utf8()..].chars().next();
        match c {
            '\'' | '"' => Ok(Token::String(self.string(c)?)),
            'r' | 'R' if matches!(second, Some('\'' | '"')) => Ok(Token::String(self.raw_string()?)),
            'x' | 'X' if matches!(second, Some('\'' | '"')) => self.binary(),
            '`' => self.backticks(),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|next| next.is_ascii_digit()) => self.number(),
            c if c.is_alphabetic() || c == '_' => {
                let end = self.rest().find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest().len());
                let word = self.rest()[..end].to_string();
                self.at += end;
                Ok(Token::Word(word))
            }
            c => match SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol)) {
                Some(symbol) => {
                    self.at += symbol.len();
                    Ok(Token::Symbol(symbol))
                }
                None => {
                    let at = self.at..self.at + c.len_utf8();
                    Err(Fault::new(at, format!("`{c}` means nothing here"), "remove it"))
                }
            },
        }
    }

    /// A string with escapes, as Spark's `unescapeSQLString` reads them; a doubled quote is one.
    fn string(&mut self, quote: char) -> Result<String, Fault> {
        let start = self.at;
        let mut out = String::new();
        self.at += 1;
        loop {
            let Some(c) = self.rest().chars().next() else {
                let help = format!("close it with {quote}");
                return Err(Fault::new(start..start + 1, "a string is not closed", help));
            };
            self.at += c.len_utf8();
            if c == quote {
                if !self.rest().starts_with(quote) {
                    return Ok(out);
                }
                self.at += 1;
                out.push(quote);
            } else if c == '\\' {
                self.escape(&mut out);
            } else {
                out.push(c);
            }
        }
    }

    fn escape(&mut self, out: &mut String) {
        let Some(c) = self.rest().chars().next() else {
            return;
        };
        for (letter, digits) in [('u', 4), ('U', 8)] {
            let hex = self.rest().get(1..1 + digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
            if let Some(code) = hex.filter(|_| c == letter).and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
                out.push(char::from_u32(code).unwrap_or('?'));
                self.at += 1 + digits;
                return;
            }
        }
        let octal =
            self.rest().get(..3).filter(|digits| matches!(digits.as_bytes(), [b'0' | b'1', b'0'..=b'7', b'0'..=b'7']));
        if let Some(code) = octal.and_then(|digits| u32::from_str_radix(digits, 8).ok()) {
            out.push(char::from_u32(code).expect("below 128"));
            self.at += 3;
            return;
        }
        self.at += c.len_utf8();
        match c {
            '0' => out.push('\0'),
            'b' => out.push('\u{8}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'Z' => out.push('\u{1a}'),
            '%' | '_' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }

    /// `r'…'`: no escapes, ends at the next quote.
    fn raw_string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let quote = self.rest().chars().nth(1).expect("seen by the caller");
        let body = &self.text[self.at + 2..];
        match body.find(quote) {
            Some(length) => {
                self.at += length + 3;
                Ok(body[..length].to_string())
            }
            None => Err(Fault::new(start..start + 2, "a string is not closed", format!("close it with {quote}"))),
        }
    }

    fn binary(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let digits = self.raw_string()?;
        bytes_of(&digits, start..self.at).map(Token::Binary)
    }

    fn backticks(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let mut name = String::new();
        self.at += 1;
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(Fault::new(start..start + 1, "a name is not closed", "close it with `"));
            };
            self.at += c.len_utf8();
            if c != '`' {
                name.push(c);
            } else if self.rest().starts_with('`') {
                self.at += 1;
                name.push('`');
            } else {
                return Ok(Token::Quoted(name));
            }
        }
    }

    /// Digits, fraction, exponent, and the suffixes `L S Y D F BD`.
    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut end = digits(start);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let after = digits(end + 1 + sign);
            if after > end + 1 + sign {
                end = after;
            }
        }
        let tail = &self.text[end..];
        let suffix = &tail[..tail.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tail.len())];
        let whole = end + suffix.len();
        if !["", "L", "S", "Y", "D", "F", "BD"].contains(&suffix.to_ascii_uppercase().as_str()) {
            let message = format!("`{}` is neither a number nor a name", &self.text[start..whole]);
            return Err(Fault::new(start..whole, message, "put names that begin with a digit into backticks"));
        }
        self.at = whole;
        Ok(Token::Number(self.text[start..whole].to_string()))
    }
}

/// The bytes of hexadecimal digits, which stand at a place.
pub(super) fn bytes_of(digits: &str, at: Range<usize>) -> Result<Vec<u8>, Fault> {
    let digits = if digits.len() & 1 == 1 { format!("0{digits}") } else { digits.to_owned() };
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    // A sign is no digit.
    let byte = |pair: &str| u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'));
    let bytes: Option<Vec<u8>> = pairs.map(|pair| byte(pair?)).collect();
    bytes.ok_or_else(|| Fault::new(at, "this is not a binary constant", "write hexadecimal digits: X'1F'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Token]) {
        let found: Vec<Token> = tokens(text).unwrap().into_iter().map(|(token, _)| token).collect();
        let mut expected = expected.to_vec();
        expected.push(Token::End);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn literals_as_spark_reads_them() {
        let string = |text: &str| Token::String(text.into());
        let number = |text: &str| Token::Number(text.into());
        check(r"'it\'s'", &[string("it's")]);
        check("'it''s'", &[string("it's")]);
        check("'a' 'b'", &[string("ab")]);
        check("'a'\n\"b\"", &[string("ab")]);
        check(r"r'a\nb'", &[string(r"a\nb")]);
        check(r"r'\' 'x'", &[string(r"\x")]);
        check(r"'\u00e9\n\t\101\0\q\%\\'", &[string("é\n\tA\0q\\%\\")]);
        check("X'1f0'", &[Token::Binary(vec![1, 0xf0])]);
        check(
            "1.5BD 2S .5 1. 1e-3 7L 2.0d 1F",
            &[
                number("1.5BD"),
                number("2S"),
                number(".5"),
                number("1."),
                number("1e-3"),
                number("7L"),
                number("2.0d"),
                number("1F"),
            ],
        );
        check(
            "`a``b`.c -- x\n/* y /* z */ */<=>",
            &[Token::Quoted("a`b".into()), Token::Symbol("."), Token::Word("c".into()), Token::Symbol("<=>")],
        );
    }

    #[test]
    fn what_is_not_closed_is_named_where_it_opens() {
        for (text, at, message) in [
            ("a 'b", 2, "a string is not closed"),
            ("a `b", 2, "a name is not closed"),
            ("a /* b", 2, "a comment is not closed"),
            ("a # b", 2, "`#` means nothing here"),
            ("a 1x", 2, "`1x` is neither a number nor a name"),
            ("X'1g'", 0, "this is not a binary constant"),
        ] {
            let fault = tokens(text).unwrap_err();
            assert_eq!((fault.at.start, fault.message.as_str()), (at, message));
        }
    }
}
