//! DECIMAL from a number token or a string (rule J9): Java's `BigDecimal`, rounded half up to the column's scale.

use super::java::java_digit;

/// `BigDecimal.setScale` cannot drop more digits than this: `BigInteger.TEN.pow` fails when 4 bits per digit exceed its
/// words.
const DROPPED_DIGITS_MAX: i64 = (8 << 26) + 8;

/// The unscaled value at `scale` of a text that `BigDecimal` accepts; `None` if it has more than `precision` digits.
pub fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut digits = Vec::with_capacity(rest.len().min(64));
    let (mut point, mut exponent) = (None, 0);
    for (at, c) in rest.char_indices() {
        match (c, java_digit(c)) {
            (_, Some(digit)) => digits.push(digit),
            ('.', _) if point.is_none() => point = Some(digits.len()),
            ('e' | 'E', _) => {
                exponent = java_exponent(&rest[at + 1..])?;
                break;
            }
            _ => return None,
        }
    }
    if digits.is_empty() {
        return None;
    }
    let point = point.unwrap_or(digits.len()) as i64 + exponent;
    // BigDecimal's scale is an int, and the power of ten it divides by must have less than 2³¹ bits.
    let own_scale = i32::try_from(digits.len() as i64 - point).ok()?;
    if digits.iter().all(|&digit| digit == 0) {
        return Some(0);
    }
    if i64::from(own_scale) - i64::from(scale) >= DROPPED_DIGITS_MAX {
        return None;
    }
    let magnitude = round(&digits, point + i64::from(scale), precision)?;
    Some(if negative { -magnitude } else { magnitude })
}

/// Reads a sign and digits. A value beyond any `int` scale is clamped to one that is still beyond.
fn java_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for c in digits.chars() {
        value = (value * 10 + i64::from(java_digit(c)?)).min(1 << 40);
    }
    Some(if text.starts_with('-') { -value } else { value })
}

/// Rounds half up to the first `kept` digits, which are not all zero. Appends zeros if there are fewer.
fn round(digits: &[u8], kept: i64, precision: u8) -> Option<i128> {
    let limit = 10i128.pow(u32::from(precision));
    let mut value = 0i128;
    let mut at = 0;
    while at < kept {
        let digit = usize::try_from(at).ok().and_then(|at| digits.get(at));
        if value >= limit / 10 {
            return None;
        }
        value = value * 10 + i128::from(digit.copied().unwrap_or(0));
        at += 1;
    }
    let next = usize::try_from(kept).ok().and_then(|kept| digits.get(kept));
    value += i128::from(next.is_some_and(|&digit| digit >= 5));
    (value < limit).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j9_a_digit_too_many_for_the_widest_decimal() {
        let nines = "9".repeat(38);
        assert_eq!(decimal(&nines, 38, 0), Some(10i128.pow(38) - 1));
        assert_eq!(decimal(&format!("{nines}9"), 38, 0), None);
        assert_eq!(decimal(&format!("{nines}.5"), 38, 0), None);
    }

    #[test]
    fn j9_decimals_round_half_up() {
        for (text, unscaled) in [
            ("1", Some(100)),
            ("-1.005", Some(-101)),
            ("1.004999", Some(100)),
            ("999.994", Some(99_999)),
            ("999.995", None),
            ("1000", None),
            (".5", Some(50)),
            ("5.", Some(500)),
            ("+1e2", Some(10_000)),
            ("1E-2", Some(1)),
            ("5e-3", Some(1)),
            ("4e-3", Some(0)),
            ("1e-99999999", Some(0)),
            ("0e999999999", Some(0)),
            ("0e-2147483647", Some(0)),
            ("1e-2147483647", None),
            ("1e-2147483648", None),
            ("1e-99999999999", None),
            ("000000000000000000000000000000000000000000000001.5", Some(150)),
            ("", None),
            (".", None),
            ("-", None),
            ("1e", None),
            ("1.2.3", None),
            (" 1", None),
            ("0x1", None),
            ("\u{661}", Some(100)),
        ] {
            assert_eq!(decimal(text, 5, 2), unscaled, "{text}");
        }
        assert_eq!(decimal(&"9".repeat(38), 38, 0), Some(10i128.pow(38) - 1));
        assert_eq!(decimal(&format!("1{}", "0".repeat(38)), 38, 0), None);
    }
}
