//! A JSON number: its grammar (rule J2), and its value as an integer or an exactly rounded double (rule J4).
//!
//! Digits are accumulated eight at a time while the grammar is checked. A double of at most 19 digits without exponent
//! then takes one division: of two doubles if both are exact, else of integers, where the remainder decides the
//! rounding. Longer numbers go through the standard library's parser. Knows no columns.

use super::Malformed;

/// A number with more digits than this makes the record malformed (rule J11).
const DIGITS_MAX: usize = 1_000;

/// This many digits always fit 64 bits.
const MANTISSA_DIGITS: usize = 19;

/// A number token with valid grammar.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// First byte, the sign included.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// It has neither fraction nor exponent.
    pub integer: bool,
    negative: bool,
    /// The digits without the point. Valid only if `exact`.
    mantissa: u64,
    /// Number of digits after the point.
    fraction: usize,
    /// It has at most 19 digits and no exponent: the value is `mantissa / 10^fraction`.
    exact: bool,
}

impl Number {
    /// Reads the token that starts at `start` with a digit or `-`.
    #[inline(always)]
    pub fn read(bytes: &[u8], start: usize) -> Result<Number, Malformed> {
        let negative = bytes[start] == b'-';
        let first = start + usize::from(negative);
        let mut mantissa = 0;
        let mut at = digits(bytes, first, &mut mantissa);
        let mut count = at - first;
        if count == 0 || (count > 1 && bytes[first] == b'0') {
            return Err(Malformed);
        }
        let mut number = Number { start, end: at, integer: true, negative, mantissa, fraction: 0, exact: true };
        if bytes.get(at) == Some(&b'.') {
            let end = digits(bytes, at + 1, &mut number.mantissa);
            number.fraction = end - at - 1;
            if number.fraction == 0 {
                return Err(Malformed);
            }
            count += number.fraction;
            number.integer = false;
            at = end;
        }
        number.exact = count <= MANTISSA_DIGITS;
        let exponent = at;
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(bytes, at, &mut 0);
            if end == at {
                return Err(Malformed);
            }
            count += end - at;
            (number.integer, number.exact, at) = (false, false, end);
        }
        number.end = at;
        // Jackson counts a missing part as −1 in numbers that start with 0.
        let half = bytes[first] == b'0' && (number.fraction == 0) != (number.end == exponent);
        if count > DIGITS_MAX + usize::from(half) { Err(Malformed) } else { Ok(number) }
    }

    /// The token's text.
    pub fn text<'a>(&self, bytes: &'a [u8]) -> &'a str {
        std::str::from_utf8(&bytes[self.start..self.end]).expect("a number is ASCII")
    }

    /// The value of an integer token, if 64 bits hold it.
    #[inline]
    pub fn long(&self) -> Option<i64> {
        if !self.integer || !self.exact {
            return None;
        }
        if self.negative { 0i64.checked_sub_unsigned(self.mantissa) } else { i64::try_from(self.mantissa).ok() }
    }

    /// The nearest double. An integer zero has no sign; overflow gives infinity.
    #[inline]
    pub fn double(&self, bytes: &[u8]) -> f64 {
        let magnitude = if !self.exact {
            return self.text(bytes).parse().expect("JSON's grammar is within Rust's");
        } else if self.mantissa <= 1 << 53 && self.fraction < EXACT_POWERS.len() {
            self.mantissa as f64 / EXACT_POWERS[self.fraction]
        } else if self.integer {
            self.mantissa as f64
        } else {
            divide(self.mantissa, self.fraction)
        };
        if self.negative && !(self.integer && self.mantissa == 0) { -magnitude } else { magnitude }
    }

    /// The nearest float.
    pub fn float(&self, bytes: &[u8]) -> f32 {
        let value: f32 = self.text(bytes).parse().expect("JSON's grammar is within Rust's");
        if self.integer && value == 0.0 { 0.0 } else { value }
    }
}

/// Powers of ten that doubles hold exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// `mantissa / 10^fraction`, rounded to nearest even, for a mantissa of at least 2⁵³ and at most 19 digits after the
/// point.
///
/// The quotient has 64 to 66 bits, so the rounding to 53 happens once, in the conversion. A remainder sets the lowest
/// bit, so the value is not taken for a tie. The result is normal: it is above 2⁵³⁻⁶⁴.
fn divide(mantissa: u64, fraction: usize) -> f64 {
    debug_assert!(fraction <= MANTISSA_DIGITS && mantissa >= 1 << 53);
    let power = 10u64.pow(fraction as u32);
    let shift = 64 + mantissa.leading_zeros() - power.leading_zeros();
    let dividend = u128::from(mantissa) << shift;
    let quotient = dividend / u128::from(power);
    let inexact = quotient * u128::from(power) != dividend;
    (quotient | u128::from(inexact)) as f64 * f64::from_bits(u64::from(1023 - shift) << 52)
}

/// Adds the digits from `at` on to `value` (which wraps after 19 digits). Returns where they end.
#[inline(always)]
fn digits(bytes: &[u8], mut at: usize, value: &mut u64) -> usize {
    while let Some(block) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(block.try_into().expect("8 bytes")) ^ 0x3030_3030_3030_3030;
        // A digit is now 0 to 9. Adding 0x76 sets the high bit of every larger byte; there is no carry, since no byte
        // has it set.
        let others =
            (word | (word & 0x7f7f_7f7f_7f7f_7f7f).wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
        let count = others.trailing_zeros() / 8;
        if count < 8 {
            // Moves the digits to the top of the word; the zeros below become leading zeros of an 8-digit number.
            let part = if count == 0 { 0 } else { eight_digits(word << (64 - 8 * count)) };
            *value = value.wrapping_mul(POWERS[count as usize]).wrapping_add(part);
            return at + count as usize;
        }
        *value = value.wrapping_mul(POWERS[8]).wrapping_add(eight_digits(word));
        at += 8;
    }
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit <= 9) {
        *value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    at
}

const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The value of eight digits in the bytes of `word`, first digit lowest: combines pairs, then fours, then all.
fn eight_digits(word: u64) -> u64 {
    let pairs = (word.wrapping_mul(10)).wrapping_add(word >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100)).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000)).wrapping_add(fours >> 32) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str) {
        for padding in ["", ",", " ,\"next\":1}", "}}}}}}}}}}}}}}}}"] {
            let bytes = format!("{text}{padding}").into_bytes();
            let number = Number::read(&bytes, 0).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(number.text(&bytes), text);
            assert_eq!(number.long(), text.parse().ok(), "{text}");
            let (ours, exact) = (number.double(&bytes), text.parse::<f64>().unwrap());
            assert!(ours.to_bits() == exact.to_bits() || text == "-0", "{text}: {ours:e} for {exact:e}");
        }
    }

    #[test]
    fn j4_numbers_are_exactly_rounded() {
        for text in "0 -0 7 -7 10 12345678 123456789 9007199254740993 9223372036854775807 -9223372036854775808 \
            9223372036854775808 -9223372036854775809 18446744073709551615 9999999999999999999 99999999999999999999 \
            0.1 -0.0 1.5 1700000000.123 73.80612345 73.80612345678901 1700000000.1234567 0.9007199254740993 \
            9007199254740993.5 1e3 1E+7 1e-5 2e23 1e400 -1e400 1e-400 5e-324 2.4703282292062327e-324 0.000001 \
            123456789012345678901234567890.5 1.0000000000000000000000000000000001 0.0000000000000000000000001"
            .split_whitespace()
        {
            check(text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn j4_ties_and_neighbours_of_random_numbers(bits in any::<u64>(), shift in 0..16_u32, fraction in 0..32_usize) {
            let mantissa = bits >> shift;
            let fraction = fraction.min(mantissa.to_string().len() - 1);
            let mut text = mantissa.to_string();
            if fraction > 0 {
                text.insert(text.len() - fraction, '.');
            }
            check(&text);
            check(&format!("-0.{mantissa}"));
        }
    }

    #[test]
    fn j2_what_is_no_number() {
        for text in ["-", "01", "-01", "1.", "1.e3", ".5", "-.5", "1e", "1e+", "1ee3", "--1", "00", "+1"] {
            let read =
                if text.starts_with(['-', '0', '1']) { Number::read(text.as_bytes(), 0) } else { Err(Malformed) };
            assert!(read.is_err() || read.unwrap().end < text.len(), "{text}");
        }
        assert!(Number::read("9".repeat(1_000).as_bytes(), 0).is_ok());
        assert!(Number::read("9".repeat(1_001).as_bytes(), 0).is_err());
    }
}
