//! Floating point as Java 17 writes it (rules J5, S1): what Spark's strings and JSON show of a FLOAT or DOUBLE.
//!
//! Java before 19 does not always write the shortest text (`2e23` becomes `1.9999999999999998E23`). Its method is that of
//! Steele and White, stopping at the half-way points to the neighbours, with habits that show in the output and are
//! marked below: it reckons in 64-bit words where it can, and what overflows there stays so; in longer numbers a tie with
//! the upper half-way point stops it; the E notation tries for two digits; whole numbers below 2⁶³ are written separately.
//!
//! ```text
//!   value = b/s · 10^k,  half a step to the neighbour = m/s · 10^k      (b, s, m integers without common power of 2)
//!   digit = ⌊b/s⌋;  b = 10·(b mod s);  m = 10·m;  stop when b < m (near below) or b + m > 10·s (near above)
//! ```
//! Cost: 0.1 µs near 1, 2 µs at the ends of the range. Equal to Java 17 on six million numbers of every kind (random bits,
//! decimals, powers, neighbours of powers, subnormals). Knows nothing of JSON, NULL or columns.

/// Java 17's `Double.toString`: `1.0`, `1.0E7`, `1.0E-5`, `NaN`, `-Infinity`.
pub fn java_double(value: f64) -> String {
    let mut out = String::new();
    write_java_double(&mut out, value);
    out
}

/// Java 17's `Float.toString`.
pub fn java_float(value: f32) -> String {
    let mut out = String::new();
    write_java_float(&mut out, value);
    out
}

/// Appends [`java_double`].
pub fn write_java_double(out: &mut String, value: f64) {
    if let Some(digits) = few_digits(value.abs()) {
        if value < 0.0 {
            out.push('-');
        }
        digits.write(out);
        return;
    }
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    write(out, bits >> 63 != 0, value.is_nan(), Binary::new(bits & ((1 << 52) - 1), exponent, 52, 1023, 0x7ff));
}

/// Appends [`java_float`].
pub fn write_java_float(out: &mut String, value: f32) {
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xff) as i32;
    write(
        out,
        bits >> 31 != 0,
        value.is_nan(),
        Binary::new(u64::from(bits & ((1 << 23) - 1)), exponent, 23, 127, 0xff),
    );
}

/// The decimal that [`java_double`] writes, as `unscaled / 10^scale`; `None` if it has more than 15 digits, if it is
/// written with an exponent, or if it is zero.
pub fn short_decimal(value: f64) -> Option<(i64, i32)> {
    let (mut whole, point) = fifteen_digits(value.abs())?;
    let mut scale = 15 - point;
    while scale > 0 && whole.is_multiple_of(10) {
        whole /= 10;
        scale -= 1;
    }
    let unscaled = whole as i64;
    Some((if value < 0.0 { -unscaled } else { unscaled }, scale))
}

/// The digits of a number that one of at most 15 digits reads as, where there is no E notation. No two of these read as the
/// same number and none is half-way between two numbers, so Java's method stops at its last digit.
fn few_digits(value: f64) -> Option<Digits> {
    let (mut rest, point) = fifteen_digits(value)?;
    let mut digits = Digits { digits: [0; 24], len: 15, point };
    for digit in digits.digits[..15].iter_mut().rev() {
        *digit = (rest % 10) as u8;
        rest /= 10;
    }
    while digits.len > 1 && digits.digits[digits.len - 1] == 0 {
        digits.len -= 1;
    }
    Some(digits)
}

/// A number as `0.d₁…d₁₅ · 10^point`, if that is exact enough to read as the number.
fn fifteen_digits(value: f64) -> Option<(u64, i32)> {
    const POWERS: [f64; 18] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];
    if !(1e-3..1e7).contains(&value) {
        return None;
    }
    let point = match value {
        ..0.01 => -2,
        ..0.1 => -1,
        _ => (0..7).find(|point| value < POWERS[*point as usize]).unwrap_or(7),
    };
    let power = POWERS[(15 - point) as usize];
    let whole = (value * power).round();
    (whole < 1e15 && whole / power == value).then_some((whole as u64, point))
}

/// A magnitude as `odd · 2^(exponent − (bits of odd − 1))`.
enum Binary {
    Zero,
    Infinite,
    Finite {
        odd: u64,
        /// Exponent of the leading bit.
        exponent: i32,
        /// Bits between the leading one and the last that the format can hold here.
        precision: i32,
    },
}

impl Binary {
    fn new(fraction: u64, biased: i32, fraction_bits: i32, bias: i32, biased_max: i32) -> Binary {
        if biased == biased_max {
            return Binary::Infinite;
        }
        if biased == 0 && fraction == 0 {
            return Binary::Zero;
        }
        let significand = if biased == 0 { fraction } else { fraction | 1 << fraction_bits };
        let precision = 64 - significand.leading_zeros() as i32;
        let lowest = biased.max(1) - bias - fraction_bits;
        Binary::Finite { odd: significand >> significand.trailing_zeros(), exponent: lowest + precision - 1, precision }
    }
}

fn write(out: &mut String, negative: bool, nan: bool, magnitude: Binary) {
    if nan {
        out.push_str("NaN");
        return;
    }
    if negative {
        out.push('-');
    }
    match magnitude {
        Binary::Zero => out.push_str("0.0"),
        Binary::Infinite => out.push_str("Infinity"),
        Binary::Finite { odd, exponent, precision } => {
            let digits = match whole_number_digits(odd, exponent, precision) {
                Some(digits) => digits,
                None => fraction_digits(odd, exponent, precision),
            };
            digits.write(out);
        }
    }
}

/// `0.d₁d₂… · 10^point`.
struct Digits {
    digits: [u8; 24],
    len: usize,
    point: i32,
}

impl Digits {
    fn push(&mut self, digit: u32) {
        self.digits[self.len] = digit as u8;
        self.len += 1;
    }

    /// One more in the last place.
    fn round_up(&mut self) {
        for at in (0..self.len).rev() {
            if self.digits[at] < 9 {
                self.digits[at] += 1;
                return;
            }
            self.digits[at] = 0;
        }
        self.digits[0] = 1;
        self.point += 1;
    }

    fn write(&self, out: &mut String) {
        let text = |out: &mut String, digits: &[u8]| {
            if digits.is_empty() {
                out.push('0');
            }
            out.extend(digits.iter().map(|digit| char::from(b'0' + digit)));
        };
        let digits = &self.digits[..self.len];
        if (1..8).contains(&self.point) {
            let whole = self.point as usize;
            text(out, &digits[..whole.min(digits.len())]);
            out.extend(std::iter::repeat_n('0', whole.saturating_sub(digits.len())));
            out.push('.');
            text(out, &digits[whole.min(digits.len())..]);
        } else if (-2..=0).contains(&self.point) {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', -self.point as usize));
            text(out, digits);
        } else {
            text(out, &digits[..1]);
            out.push('.');
            text(out, &digits[1..]);
            out.push('E');
            out.push_str(&(self.point - 1).to_string());
        }
    }
}

/// Whole numbers below 2⁶³ are written digit by digit, less the digits that the precision cannot tell apart.
fn whole_number_digits(odd: u64, exponent: i32, precision: i32) -> Option<Digits> {
    let odd_bits = 64 - odd.leading_zeros() as i32;
    if exponent > 62 || odd_bits > exponent + 1 {
        return None;
    }
    let mut whole = odd << (exponent + 1 - odd_bits);
    let blurred_bits = exponent - precision - 1;
    let dropped = if blurred_bits > 1 { (1u64 << blurred_bits).ilog10() } else { 0 };
    if dropped > 0 {
        let unit = 10u64.pow(dropped);
        whole = whole / unit + u64::from(whole % unit >= unit / 2);
    }
    let text = whole.to_string();
    let kept = text.trim_end_matches('0');
    let mut digits = Digits { digits: [0; 24], len: 0, point: text.len() as i32 + dropped as i32 };
    kept.bytes().for_each(|byte| digits.push(u32::from(byte - b'0')));
    Some(digits)
}

/// The numbers of the module's picture.
struct ScaledFraction<N> {
    b: N,
    s: N,
    ten_s: N,
    m: N,
    k: i32,
    /// Whether Java reckons in 64-bit words here; then a tie with the upper half-way point does not stop it.
    in_words: bool,
}

fn fraction_digits(odd: u64, exponent: i32, precision: i32) -> Digits {
    let odd_bits = 64 - odd.leading_zeros() as i32;
    let k = decimal_exponent(odd, exponent);
    let (b5, s5) = ((-k).max(0), k.max(0));
    // Powers of two, up to a common shift; below a power of two the neighbour is half as far.
    let b2 = b5 + exponent + 1 - odd_bits;
    let m2 = b5 + exponent - precision - i32::from(odd == 1);
    let least = b2.min(s5).min(m2);
    let (b2, s2, m2) = (b2 - least, s5 - least, m2 - least);
    let bits = (odd_bits + b2 + bits_of_power_of_five(b5)).max(s2 + 1 + bits_of_power_of_five(s5 + 1));
    let (b, s, m) = ((odd, b5, b2), (1, s5, s2), (1, b5, m2));
    // Ten times these numbers still fit.
    if bits < 120 {
        ScaledFraction::<u128>::new(b, s, m, k, bits < 64).digits()
    } else {
        ScaledFraction::<BigNatural>::new(b, s, m, k, false).digits()
    }
}

impl<N: Natural> ScaledFraction<N> {
    fn new(b: Factors, s: Factors, m: Factors, k: i32, in_words: bool) -> ScaledFraction<N> {
        let s = N::of(s);
        let mut ten_s = s;
        ten_s.times_ten();
        ScaledFraction { b: N::of(b), ten_s, s, m: N::of(m), k, in_words }
    }

    fn next(&mut self) -> (u32, bool, bool) {
        let digit = self.b.divide_small(&self.s);
        self.b.times_ten();
        self.m.times_ten();
        if self.in_words {
            // m may leave 63 bits, which ends the digits; so may the sum, which then counts as negative: around 1E25
            // it shows.
            let [b, m, ten_s] = [&self.b, &self.m, &self.ten_s].map(|number| number.word() as i64);
            return (digit, m <= 0 || b < m, m <= 0 || b.wrapping_add(m) > ten_s);
        }
        (digit, self.b.cmp(&self.m).is_lt(), self.b.plus(&self.m).cmp(&self.ten_s).is_ge())
    }

    fn digits(mut self) -> Digits {
        let (digit, mut low, mut high) = self.next();
        let mut digits = Digits { digits: [0; 24], len: 0, point: self.k + 1 };
        if digit == 0 && !high {
            digits.point -= 1;
        } else {
            digits.push(digit);
        }
        // The E notation has a digit on either side of the point, so a first digit never ends it.
        if !(-2..9).contains(&digits.point) {
            (low, high) = (false, false);
        }
        while !low && !high {
            let (digit, l, h) = self.next();
            digits.push(digit);
            (low, high) = (l, h);
        }
        let up = high && {
            let twice = self.b.plus(&self.b).cmp(&self.ten_s);
            !low || twice.is_gt() || (twice.is_eq() && digits.digits[digits.len - 1] & 1 == 1)
        };
        if up {
            digits.round_up();
        }
        digits
    }
}

/// Greatest power of ten at or below the value, or one more: Java's guess is a straight line that touches the
/// logarithm at 1.5 and so lies above it elsewhere; where it is too great by one, the first digit is a zero.
fn decimal_exponent(odd: u64, exponent: i32) -> i32 {
    let odd_bits = 64 - odd.leading_zeros() as i32;
    let fraction = odd as f64 / (1u64 << (odd_bits - 1)) as f64;
    let log10_of_2 = std::f64::consts::LOG10_2;
    let slope = std::f64::consts::LOG10_E / 1.5;
    ((fraction - 1.5) * slope + 1.5f64.log10() + f64::from(exponent) * log10_of_2).floor() as i32
}

/// Bits of 5ⁿ as Java counts them: none for 5⁰.
fn bits_of_power_of_five(n: i32) -> i32 {
    if n == 0 { 0 } else { (f64::from(n) * std::f64::consts::LOG2_10 - f64::from(n)).floor() as i32 + 1 }
}

/// A number and the powers of five and of two that it is multiplied with.
type Factors = (u64, i32, i32);

/// A natural number.
trait Natural: Copy {
    fn of(factors: Factors) -> Self;
    fn times_ten(&mut self);
    fn plus(&self, other: &Self) -> Self;
    fn cmp(&self, other: &Self) -> std::cmp::Ordering;
    /// Leaves the remainder; returns the quotient, which is a digit.
    fn divide_small(&mut self, divisor: &Self) -> u32;
    /// Its last 64 bits.
    fn word(&self) -> u64;
}

impl Natural for u128 {
    fn of((odd, fives, twos): Factors) -> u128 {
        (u128::from(odd) * 5_u128.pow(fives as u32)) << twos
    }

    fn times_ten(&mut self) {
        *self *= 10;
    }

    fn plus(&self, other: &u128) -> u128 {
        self + other
    }

    fn cmp(&self, other: &u128) -> std::cmp::Ordering {
        Ord::cmp(self, other)
    }

    fn divide_small(&mut self, divisor: &u128) -> u32 {
        let quotient = *self / divisor;
        *self -= quotient * divisor;
        assert!(quotient < 10, "the decimal exponent was guessed too low");
        quotient as u32
    }

    fn word(&self) -> u64 {
        *self as u64
    }
}

/// A natural number of up to 1,280 bits: 10 · 2¹⁰²⁴ and 5³²⁵ · 2⁵³ fit.
#[derive(Clone, Copy)]
struct BigNatural {
    limbs: [u64; 20],
    len: usize,
}

impl Natural for BigNatural {
    fn of((odd, fives, twos): Factors) -> BigNatural {
        let mut number = BigNatural { limbs: [0; 20], len: 1 };
        number.limbs[0] = odd;
        let mut fives = fives as u32;
        while fives > 0 {
            let step = fives.min(27);
            number.times(5u64.pow(step));
            fives -= step;
        }
        number.shift(twos as usize);
        number
    }

    fn times_ten(&mut self) {
        self.times(10);
    }

    fn plus(&self, other: &BigNatural) -> BigNatural {
        let mut sum = BigNatural { limbs: [0; 20], len: self.len.max(other.len) };
        let mut carry = 0u128;
        for at in 0..sum.len {
            carry += u128::from(self.limbs[at]) + u128::from(other.limbs[at]);
            sum.limbs[at] = carry as u64;
            carry >>= 64;
        }
        if carry > 0 {
            sum.limbs[sum.len] = carry as u64;
            sum.len += 1;
        }
        sum
    }

    fn cmp(&self, other: &BigNatural) -> std::cmp::Ordering {
        let len = self.len.max(other.len);
        self.limbs[..len].iter().rev().cmp(other.limbs[..len].iter().rev())
    }

    fn divide_small(&mut self, divisor: &BigNatural) -> u32 {
        let mut quotient = 0;
        while self.cmp(divisor).is_ge() {
            self.minus_assign(divisor);
            quotient += 1;
        }
        assert!(quotient < 10, "the decimal exponent was guessed too low");
        quotient
    }

    fn word(&self) -> u64 {
        self.limbs[0]
    }
}

impl BigNatural {
    fn times(&mut self, factor: u64) {
        let mut carry = 0u128;
        for limb in &mut self.limbs[..self.len] {
            carry += u128::from(*limb) * u128::from(factor);
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry > 0 {
            self.limbs[self.len] = carry as u64;
            self.len += 1;
        }
    }

    fn shift(&mut self, bits: usize) {
        let (limbs, bits) = (bits / 64, bits % 64);
        self.limbs.copy_within(..self.len, limbs);
        self.limbs[..limbs].fill(0);
        self.len += limbs;
        self.times(1 << bits);
    }

    fn minus_assign(&mut self, other: &BigNatural) {
        let mut borrow = false;
        for at in 0..self.len {
            let (difference, first) = self.limbs[at].overflowing_sub(other.limbs[at]);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            self.limbs[at] = difference;
            borrow = first || second;
        }
        while self.len > 1 && self.limbs[self.len - 1] == 0 {
            self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected texts were printed by Java 17's `Double.toString`.
    #[test]
    fn j5_doubles_as_java_17_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.00001, "1.0E-5"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (73.806_123_45, "73.80612345"),
            (1_700_000_000.123, "1.700000000123E9"),
            (1e23, "9.999999999999999E22"),
            (2e23, "1.9999999999999998E23"),
            (8.41e21, "8.409999999999999E21"),
            (3.9999999999999995e25, "3.9999999999999995E25"),
            (-2.7565457249343033e25, "-2.7565457249343032E25"),
            (1.234_567_890_123_456_7e18, "1.23456789012345677E18"),
            (9_007_199_254_740_992.0, "9.007199254740992E15"),
            (4_611_686_018_427_387_904.0, "4.6116860184273879E18"),
            (9_223_372_036_854_775_808.0, "9.223372036854776E18"),
            (2.980_232_238_769_531_2e-8, "2.9802322387695312E-8"),
            (5e-324, "4.9E-324"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(java_double(value), text);
        }
    }

    /// The quick way gives what the long one gives, which has been compared with Java.
    #[test]
    fn j5_few_digits_are_those_of_the_long_way() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut quick = 0;
        for _ in 0..200_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let places = (state % 18) as i32;
            let decimal = (state >> 8) % 10_u64.pow((state >> 4) as u32 % 17 + 1);
            for value in [decimal as f64 / 10_f64.powi(places), f64::from_bits(0x3f50_0000_0000_0000 + (state >> 11))] {
                let (exponent, mut long) = ((value.to_bits() >> 52 & 0x7ff) as i32, String::new());
                let magnitude = Binary::new(value.to_bits() & ((1 << 52) - 1), exponent, 52, 1023, 0x7ff);
                write(&mut long, false, value.is_nan(), magnitude);
                assert_eq!(java_double(value), long);
                if let Some((unscaled, scale)) = short_decimal(value) {
                    assert_eq!(format!("{unscaled}e-{scale}").parse(), Ok(value));
                }
                quick += i32::from(few_digits(value).is_some());
            }
        }
        assert!(quick > 50_000, "{quick}");
    }

    /// Expected texts were printed by Java 17's `Float.toString`.
    #[test]
    fn j5_floats_as_java_17_writes_them() {
        for (bits, text) in [
            (0x3dcc_cccd, "0.1"),
            (0xea41_6b77, "-5.8457542E25"),
            (0x6a89_b6b3, "8.3242805E25"),
            (0xa675_c883, "-8.5273194E-16"),
            (0x7f80_0000, "Infinity"),
        ] {
            assert_eq!(java_float(f32::from_bits(bits)), text);
        }
    }
}
