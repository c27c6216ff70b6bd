//! Decimal digits of a number that is not negative, and how Java's `Formatter` rounds and writes them.

use crate::text::java_double::java_double;

/// `0.digits · 10^point`; no zero stands first, but for zero itself.
#[derive(Clone, Debug)]
pub(super) struct Digits {
    digits: Vec<u8>,
    point: i32,
}

impl Digits {
    /// The digits that Java writes of a double.
    pub fn of_double(size: f64) -> Digits {
        let text = java_double(size);
        let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().expect("Java writes an exponent in digits");
        Digits::new(format!("{whole}{fraction}").into_bytes(), whole.len() as i32 + exponent)
    }

    /// Of a decimal.
    pub fn of_decimal(unscaled: u128, scale: i32) -> Digits {
        let digits = unscaled.to_string().into_bytes();
        let point = digits.len() as i32 - scale;
        Digits::new(digits, point)
    }

    fn new(mut digits: Vec<u8>, mut point: i32) -> Digits {
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        point -= zeros as i32;
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() { Digits { digits: vec![b'0'], point: 1 } } else { Digits { digits, point } }
    }

    /// Rounded half up behind the first `kept` digits, which may be none or fewer.
    fn rounded(&self, kept: i32) -> Digits {
        let Ok(kept) = usize::try_from(kept) else {
            return Digits::new(Vec::new(), 0);
        };
        let Some(next) = self.digits.get(kept) else {
            return self.clone();
        };
        let (mut digits, mut point) = (self.digits[..kept].to_vec(), self.point);
        if *next >= b'5' {
            let last = digits.iter().rposition(|digit| *digit < b'9');
            digits.truncate(last.map_or(0, |last| last + 1));
            match digits.last_mut() {
                Some(digit) => *digit += 1,
                None => (digits, point) = (vec![b'1'], point + 1),
            }
        }
        Digits::new(digits, point)
    }

    pub fn is_zero(&self) -> bool {
        self.digits == [b'0']
    }

    /// Digits before the point.
    pub fn point(&self) -> i32 {
        self.point
    }

    /// Digits behind the point.
    pub fn places(&self) -> usize {
        usize::try_from(self.digits.len() as i32 - self.point).unwrap_or(0)
    }

    /// The number times a power of ten.
    pub fn moved(&self, power: i32) -> Digits {
        if self.is_zero() { self.clone() } else { Digits { digits: self.digits.clone(), point: self.point + power } }
    }

    /// All digits: `123.4`.
    pub fn plain(&self) -> String {
        self.fixed(self.places())
    }

    /// So many places, a half being rounded to the even digit.
    pub fn to_even(&self, places: usize) -> String {
        let kept = self.point.saturating_add(i32::try_from(places).unwrap_or(i32::MAX));
        let is_half =
            usize::try_from(kept).is_ok_and(|kept| self.digits.len() == kept + 1 && self.digits[kept] == b'5');
        let last = if kept > 0 { self.digits.get(kept as usize - 1).copied().unwrap_or(b'0') } else { b'0' };
        if is_half && !self.is_zero() && (last - b'0').is_multiple_of(2) {
            let mut cut = self.digits.clone();
            cut.truncate(kept as usize);
            return Digits::new(cut, self.point).fixed(places);
        }
        self.fixed(places)
    }

    /// `123.40` with so many places.
    pub fn fixed(&self, places: usize) -> String {
        let rounded = self.rounded(self.point.saturating_add(i32::try_from(places).unwrap_or(i32::MAX)));
        let digit = |place: i32| {
            let digit = usize::try_from(place).ok().and_then(|place| rounded.digits.get(place));
            char::from(digit.copied().unwrap_or(b'0'))
        };
        let whole = rounded.point.max(1);
        let mut out: String = (0..whole).map(|place| digit(place - whole + rounded.point)).collect();
        if places > 0 {
            out.push('.');
            out.extend((0..places).map(|place| digit(rounded.point + place as i32)));
        }
        out
    }

    /// `1.234e+01` with so many places.
    pub fn scientific(&self, places: usize) -> String {
        let rounded = self.rounded(i32::try_from(places).unwrap_or(i32::MAX - 1) + 1);
        let exponent = rounded.point - 1;
        let mantissa = Digits { point: 1, ..rounded }.fixed(places);
        format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
    }

    /// So many digits in all, in the form of the two that Java's `%g` has for the number.
    pub fn general(&self, size: f64, precision: usize) -> String {
        if size == 0.0 {
            return self.fixed(precision - 1);
        }
        let rounded = self.rounded(i32::try_from(precision).unwrap_or(i32::MAX));
        let is_usual = rounded.point > -4 && i64::from(rounded.point) <= precision as i64;
        if is_usual {
            self.fixed(usize::try_from(precision as i64 - i64::from(rounded.point)).unwrap_or(0))
        } else {
            self.scientific(precision - 1)
        }
    }
}

/// Commas between groups of three digits before the point.
pub(super) fn grouped(digits: &str) -> String {
    let whole = digits.find(['.', 'e']).unwrap_or(digits.len());
    grouped_by(&digits[..whole], 3) + &digits[whole..]
}

/// Commas between groups of digits.
pub(super) fn grouped_by(digits: &str, group: usize) -> String {
    let mut out = String::new();
    for (index, c) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(group) {
            out.push(',');
        }
        out.push(c);
    }
    out
}
