//! The content of a JSON string: resolves escapes, and replaces invalid UTF-8 as Java's decoder does (rules J8, J11).
//!
//! Works on the raw bytes between the quotes. Their escapes were checked when the token was read.

use super::Malformed;

/// A string token.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// First byte after the opening quote.
    pub start: usize,
    /// The closing quote.
    pub end: usize,
    /// Holds escapes or bytes beyond ASCII, so the content may differ from the bytes.
    pub special: bool,
}

/// One past the escape whose backslash is at `at`.
pub fn escape_end(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'\'') => Ok(at + 2),
        Some(b'u') => match bytes.get(at + 2..at + 6) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(at + 6),
            _ => Err(Malformed),
        },
        _ => Err(Malformed),
    }
}

/// A piece of a string's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Characters as they are.
    Plain(&'a str),
    /// U+FFFD for bytes that are not UTF-8.
    Replaced,
    /// An escaped UTF-16 unit, or one of `\n`, `\t`, ….
    Unit(u16),
}

/// Takes the next piece from the front of `raw`.
pub fn next_piece<'a>(raw: &mut &'a [u8]) -> Option<Piece<'a>> {
    let &first = raw.first()?;
    if first == b'\\' {
        let (unit, length) = unit(raw);
        *raw = &raw[length..];
        return Some(Piece::Unit(unit));
    }
    let plain_length = raw.iter().position(|&byte| byte == b'\\').unwrap_or(raw.len());
    let (piece, length) = decoded(&raw[..plain_length]);
    *raw = &raw[length..];
    Some(piece)
}

/// The first piece of bytes without escapes, and its length.
fn decoded(bytes: &[u8]) -> (Piece<'_>, usize) {
    match std::str::from_utf8(bytes) {
        Ok(plain) => (Piece::Plain(plain), bytes.len()),
        Err(error) if error.valid_up_to() > 0 => {
            let plain = std::str::from_utf8(&bytes[..error.valid_up_to()]).expect("said to be valid");
            (Piece::Plain(plain), plain.len())
        }
        Err(error) => (Piece::Replaced, malformed_length(bytes, error.error_len())),
    }
}

/// Appends bytes as text. A backslash has no special meaning here.
pub fn push_decoded(mut bytes: &[u8], out: &mut String) {
    while !bytes.is_empty() {
        let (piece, length) = decoded(bytes);
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
        bytes = &bytes[length..];
    }
}

/// How many bytes Java's decoder replaces by one U+FFFD. It differs from Rust's count only for surrogates, which Java
/// takes for a complete but invalid character.
fn malformed_length(bytes: &[u8], rust: Option<usize>) -> usize {
    let continues = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    match bytes {
        [0xed, 0xa0..=0xbf, ..] => 2 + usize::from(continues(2)),
        _ => rust.unwrap_or(bytes.len()),
    }
}

/// The UTF-16 unit of the escape at the start of `raw`, and the length of the escape.
fn unit(raw: &[u8]) -> (u16, usize) {
    let unit = match raw[1] {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let digits = std::str::from_utf8(&raw[2..6]).expect("hexadecimal digits");
            return (u16::from_str_radix(digits, 16).expect("hexadecimal digits"), 6);
        }
        other => other,
    };
    (u16::from(unit), 2)
}

/// Appends the string's content as Java writes it in UTF-8: a lone surrogate becomes `?`. Returns whether there was
/// one.
pub fn unescape(mut raw: &[u8], out: &mut String) -> bool {
    let mut lone = false;
    let mut high: Option<u16> = None;
    while let Some(piece) = next_piece(&mut raw) {
        if let (Some(first), Piece::Unit(second @ 0xdc00..=0xdfff)) = (high, piece) {
            out.extend(char::decode_utf16([first, second]).map(|pair| pair.expect("a high and a low surrogate")));
            high = None;
            continue;
        }
        lone |= high.is_some();
        out.extend(high.take().map(|_| '?'));
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Replaced => out.push(char::REPLACEMENT_CHARACTER),
            Piece::Unit(unit @ 0xd800..=0xdbff) => high = Some(unit),
            Piece::Unit(unit) => {
                let known = char::from_u32(u32::from(unit));
                lone |= known.is_none();
                out.push(known.unwrap_or('?'));
            }
        }
    }
    out.extend(high.map(|_| '?'));
    lone | high.is_some()
}

/// Length of a string's content in UTF-16 units, as Java counts it.
pub fn utf16_length(mut raw: &[u8]) -> usize {
    let mut length = 0;
    while let Some(piece) = next_piece(&mut raw) {
        length += if let Piece::Plain(plain) = piece { plain.encode_utf16().count() } else { 1 };
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &[u8], said: &str) {
        let mut out = String::new();
        unescape(raw, &mut out);
        assert_eq!(out, said, "{raw:x?}");
    }

    #[test]
    fn j8_escapes() {
        check(br#"a\"\\\/\b\f\n\r\t\'\u0041\u00e9\u00E9\u0000"#, "a\"\\/\u{8}\u{c}\n\r\t'A\u{e9}\u{e9}\0");
        check(br"\ud83d\ude00", "\u{1f600}");
        for bad in [r"\0", r"\a", r"\x41", r"\u12", r"\u12g4", r"\u+123", "\\"] {
            assert!(escape_end(bad.as_bytes(), 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn j11_lone_surrogates() {
        check(br"\ud83d", "?");
        check(br"\ude00", "?");
        check(br"\ud83dx", "?x");
        check(br"\ud83d\n", "?\n");
        check(br"\ud83d\ud83d\ude00\ude00", "?\u{1f600}?");
        check(b"\\ud83d\xff", "?\u{fffd}");
    }

    #[test]
    fn j11_invalid_utf8_is_replaced_as_java_counts_it() {
        for (raw, count) in [
            (&b"\xff"[..], 1),
            (b"\xe2\x82", 1),
            (b"\xe2", 1),
            (b"\xf0\x9f\x98", 1),
            (b"\xed\xa0\xbd", 1),
            (b"\xed\xa0", 1),
            (b"\xed\xbf\x7f", 1),
            (b"\xed\xa0\xbd\xed\xb8\x80", 2),
            (b"\xc0\x80", 2),
            (b"\xe0\x80\x80", 3),
            (b"\xf0\x80\x80\x80", 4),
            (b"\xf4\x90\x80\x80", 4),
            (b"\xf8\x88\x80\x80\x80", 5),
            (b"\x80\x80", 2),
        ] {
            let mut out = String::new();
            unescape(raw, &mut out);
            assert_eq!(out.chars().filter(|&c| c == '\u{fffd}').count(), count, "{raw:x?}");
        }
        check(b"a\xe2\x82b", "a\u{fffd}b");
    }

    #[test]
    fn lengths_are_utf16() {
        assert_eq!(utf16_length("a\u{e9}\u{1f600}".as_bytes()), 4);
        assert_eq!(utf16_length(br"\u0041\n\ud83d\ude00"), 4);
        assert_eq!(utf16_length(b"\xed\xa0\xbd\xff"), 2);
    }
}
