//! Java behaviour that is visible in Spark's `from_json`: which characters are digits, how an `int` is read, base64.

use std::str::FromStr;

/// First characters of Unicode's runs of ten decimal digits, as of Java 17, within the Basic Multilingual Plane.
const DIGIT_ZEROS: [u16; 37] = [
    0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// `Character.digit(c, 10)`: also Arabic, Devanagari, full-width … digits.
pub fn java_digit(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.to_digit(10).map(|digit| digit as u8);
    }
    let unit = u16::try_from(u32::from(c)).ok()?;
    DIGIT_ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&unit)).map(|zero| (unit - zero) as u8)
}

/// `Integer.parseInt`.
pub fn java_int(text: &str) -> Option<i32> {
    java_integer(text)
}

/// `Byte.parseByte` to `Long.parseLong`.
pub fn java_integer<T: TryFrom<i128>>(text: &str) -> Option<T> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i128;
    for c in digits.chars() {
        value = (value * 10 + i128::from(java_digit(c)?)).min(1 << 100);
    }
    T::try_from(if text.starts_with('-') { -value } else { value }).ok()
}

/// `Double.parseDouble` or `Float.parseFloat`, except hexadecimal digits, which are refused.
pub fn java_float<T: FromStr>(text: &str) -> Option<T> {
    let text = text.trim_matches(|c| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "NaN" || unsigned == "Infinity" {
        return text.parse().ok();
    }
    let end = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    // Rust accepts words that Java does not. Both read digits alike.
    let is_number = end.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if is_number { end.parse().ok() } else { None }
}

/// Appends the bytes of padded base64 text; false if the text is not base64. Spaces and control characters may precede
/// each group of four.
pub fn base64(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = text;
    loop {
        while let [0..=b' ', behind @ ..] = rest {
            rest = behind;
        }
        let [a, b, c, d, behind @ ..] = rest else { return rest.is_empty() };
        let (Some(a), Some(b)) = (sextet(*a), sextet(*b)) else { return false };
        match (sextet(*c), sextet(*d)) {
            (Some(c), Some(d)) => {
                let bits = a << 18 | b << 12 | c << 6 | d;
                out.extend_from_slice(&bits.to_be_bytes()[1..]);
            }
            (Some(c), None) if *d == b'=' => out.extend_from_slice(&(a << 10 | b << 4 | c >> 2).to_be_bytes()[2..]),
            (None, None) if *c == b'=' && *d == b'=' => out.push((a << 2 | b >> 4) as u8),
            _ => return false,
        }
        rest = behind;
    }
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j9_binary_is_padded_base64() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("YWJj", Some(b"abc")),
            ("YWI=", Some(b"ab")),
            ("YQ==", Some(b"a")),
            (" YWJj YWI= ", Some(b"abcab")),
            ("YWI", None),
            ("YQ", None),
            ("Y", None),
            ("YW Jj", None),
            ("YWJ-", None),
            ("Y===", None),
        ] {
            let mut out = Vec::new();
            assert_eq!(base64(text.as_bytes(), &mut out).then_some(&out[..]), bytes, "{text}");
        }
    }

    #[test]
    fn j9_integers_as_java_reads_them() {
        assert_eq!(java_int("-12"), Some(-12));
        assert_eq!(java_int("+2147483647"), Some(i32::MAX));
        assert_eq!(java_int("\u{663}\u{664}"), Some(34));
        for bad in ["", "+", " 1", "2147483648", "99999999999999999999", "1a"] {
            assert_eq!(java_int(bad), None, "{bad}");
        }
    }
}
