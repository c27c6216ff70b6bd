//! `format_number`: Java's `DecimalFormat` for the United States.
//!
//! ```text
//!   prefix  #,##0.00##[E00]  suffix [; negative prefix … suffix]        # takes a digit, 0 wants one, % and ‰ multiply
//! ```

use super::digits::{Digits, grouped_by};
use super::number_formats::decimal;
use super::{Arguments, Function, Param, build};
use crate::eval::{Column, Order};
use crate::expr::Expr;
use crate::types;
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type};
use arrow_schema::DataType;

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "format_number",
    usage: "format_number(number, places) or format_number(number, pattern)",
    about: "The number with commas between thousands and so many places behind the point, or by a pattern of Java's `DecimalFormat` such as `#,##0.00`. Halves are rounded to the even digit.",
    example: "format_number(12332.123456, 4)",
    params: &[Param::Any, Param::Any],
    required: 2,
    order: Order::Forward,
    check,
    kernel: format_number,
    ..Function::BLANK
}];

/// Places that anyone can read.
const PLACES_MAX: usize = 1_000;

fn check(arguments: &[Expr]) -> Result<(), String> {
    let (number, format) = (arguments[0].data_type(), arguments[1].data_type());
    if !types::is_numeric(&number) && !number.is_null() {
        return Err(format!("`format_number` takes a number, not {}; CAST it", types::name(&number)));
    }
    let is_places = matches!(format, DataType::Int32 | DataType::Null);
    if !is_places && format != DataType::Utf8 {
        return Err(format!("`format_number` takes an INT or a STRING as its format, not {}", types::name(&format)));
    }
    Ok(())
}

/// A pattern taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pattern {
    prefix: String,
    suffix: String,
    negative: Option<(String, String)>,
    whole_min: usize,
    /// Digits before the point, where there is an exponent.
    whole_max: usize,
    places_min: usize,
    places_max: usize,
    /// Digits between commas; 0: no commas.
    group: usize,
    /// Powers of ten that the number is multiplied by.
    power: i32,
    shows_point: bool,
    /// Least digits of an exponent.
    exponent: Option<usize>,
}

/// What the pattern's digits count up to.
#[derive(Default)]
struct Counts {
    left: usize,
    zeros: usize,
    right: usize,
    group: Option<usize>,
    point: Option<usize>,
}

impl Pattern {
    fn of_places(places: usize) -> Pattern {
        Pattern { whole_min: 1, places_min: places, places_max: places, group: 3, ..Pattern::default() }
    }

    fn parse(text: &str) -> Option<Pattern> {
        if text.is_empty() {
            return Some(Pattern { whole_min: 1, group: 3, ..Pattern::default() });
        }
        let (mut pattern, mut counts) = (Pattern::default(), Counts::default());
        let (mut quoted, mut is_behind) = (false, false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let suffix_begun = !pattern.suffix.is_empty();
            let affix = if is_behind { &mut pattern.suffix } else { &mut pattern.prefix };
            match c {
                '\'' if chars.peek() == Some(&'\'') => {
                    chars.next();
                    affix.push('\'');
                }
                '\'' => quoted = !quoted,
                c if quoted => affix.push(c),
                '#' | '0' | ',' | '.' if pattern.exponent.is_none() => {
                    counts.take(c)?;
                    is_behind = true;
                }
                'E' if is_behind && !suffix_begun && pattern.exponent.is_none() => {
                    let mut zeros = 0;
                    while chars.next_if_eq(&'0').is_some() {
                        zeros += 1;
                    }
                    pattern.exponent = Some(zeros).filter(|zeros| *zeros > 0 && counts.left + counts.zeros > 0);
                    pattern.exponent?;
                }
                '%' | '‰' if pattern.power != 0 => return None,
                '%' | '‰' => {
                    pattern.power = if c == '%' { 2 } else { 3 };
                    affix.push(c);
                }
                '¤' => affix.push('$'),
                ';' if is_behind => {
                    let (prefix, suffix) = negative_parts(&chars.collect::<String>());
                    pattern.negative = Some((prefix, suffix))
                        .filter(|parts| (&parts.0, &parts.1) != (&pattern.prefix, &pattern.suffix));
                    break;
                }
                ';' => return None,
                c => affix.push(c),
            }
        }
        counts.settle(&mut pattern).filter(|_| !quoted)
    }

    fn write(&self, number: &Number) -> String {
        let (negative, body) = match number {
            Number::Real(x) if x.is_nan() => return "NaN".into(),
            Number::Real(x) if x.is_infinite() => (*x < 0.0, "∞".into()),
            Number::Real(x) => {
                let x = x * 10_f64.powi(self.power);
                (
                    x.is_sign_negative(),
                    self.digits(&|places| real_to_even(x.abs(), places), &Digits::of_double(x.abs())),
                )
            }
            Number::Exact(unscaled, scale) => {
                let digits = Digits::of_decimal(unscaled.unsigned_abs(), scale - self.power);
                let text = self.digits(&|places| digits.to_even(places), &digits);
                (*unscaled < 0, text)
            }
        };
        match (negative, &self.negative) {
            (false, _) => format!("{}{body}{}", self.prefix, self.suffix),
            (true, Some((prefix, suffix))) => format!("{prefix}{body}{suffix}"),
            (true, None) => format!("-{}{body}{}", self.prefix, self.suffix),
        }
    }

    fn digits(&self, rounded: &dyn Fn(usize) -> String, exact: &Digits) -> String {
        let Some(exponent_min) = self.exponent else {
            return self.placed(&rounded(self.places_max));
        };
        // The digits before the point are as many as the pattern asks for; the exponent makes up for it.
        let point = if exact.is_zero() { 0 } else { exact.point() };
        let whole = match self.whole_max {
            max if max > 1 && max > self.whole_min => (point - 1).rem_euclid(max as i32) + 1,
            _ if self.whole_min > 0 || self.places_min > 0 => self.whole_min as i32,
            _ => 1,
        };
        let mut exponent = if exact.is_zero() { 0 } else { point - whole };
        let places = match self.whole_max {
            max if max > self.whole_min && self.whole_min > 0 => (self.whole_min + self.places_max) as i32 - whole,
            _ => self.places_max as i32,
        };
        let mut digits = exact.moved(-exponent).to_even(usize::try_from(places).unwrap_or(0));
        if digits.split('.').next().is_some_and(|digits| digits.len() as i32 > whole.max(1)) {
            exponent += 1;
            digits = exact.moved(-exponent).to_even(usize::try_from(places).unwrap_or(0));
        }
        let sign = if exponent < 0 { "-" } else { "" };
        format!("{}E{sign}{:0>exponent_min$}", self.placed(&digits), exponent.abs())
    }

    /// Digits with as many before and behind the point as the pattern asks for, and commas.
    fn placed(&self, digits: &str) -> String {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let fraction = format!("{fraction:0<width$}", width = self.places_min);
        let whole = if whole == "0" { "" } else { whole };
        let mut whole = format!("{whole:0>width$}", width = self.whole_min);
        if whole.is_empty() && fraction.is_empty() {
            whole.push('0');
        }
        if self.group > 0 && self.exponent.is_none() {
            whole = grouped_by(&whole, self.group);
        }
        let point = if self.shows_point || !fraction.is_empty() { "." } else { "" };
        format!("{whole}{point}{fraction}")
    }
}

impl Counts {
    fn take(&mut self, c: char) -> Option<()> {
        match c {
            '#' if self.zeros > 0 => self.right += 1,
            '#' => self.left += 1,
            '0' if self.right > 0 => return None,
            '0' => self.zeros += 1,
            ',' => {
                self.group = Some(0);
                return Some(());
            }
            _ if self.point.is_some() => return None,
            _ => {
                self.point = Some(self.left + self.zeros + self.right);
                return Some(());
            }
        }
        if self.point.is_none() {
            self.group = self.group.map(|group| group + 1);
        }
        Some(())
    }

    /// As Java ends its reading of a pattern.
    fn settle(mut self, pattern: &mut Pattern) -> Option<Pattern> {
        if let (0, 1.., Some(point)) = (self.zeros, self.left, self.point) {
            let n = point.max(1);
            self.right = self.left.checked_sub(n)?;
            (self.left, self.zeros) = (n - 1, 1);
        }
        let total = self.left + self.zeros + self.right;
        let is_bad = match self.point {
            None => self.right > 0,
            Some(point) => point < self.left || point > self.left + self.zeros,
        };
        if is_bad || self.group == Some(0) || total > PLACES_MAX {
            return None;
        }
        pattern.whole_min = self.point.unwrap_or(total) - self.left;
        pattern.whole_max = self.left + pattern.whole_min;
        pattern.places_max = self.point.map_or(0, |point| total - point);
        pattern.places_min = self.point.map_or(0, |point| self.left + self.zeros - point);
        pattern.group = self.group.unwrap_or(0);
        pattern.shows_point = self.point.is_some_and(|point| point == 0 || point == total);
        Some(std::mem::take(pattern))
    }
}

/// Prefix and suffix of a negative number's pattern, of whose digits nothing counts.
fn negative_parts(text: &str) -> (String, String) {
    let is_digit = |c: char| "#0,.".contains(c);
    let first = text.find(is_digit).unwrap_or(text.len());
    let last = text.rfind(is_digit).map_or(text.len(), |last| last + 1);
    let plain = |text: &str| text.replace('\'', "").replace('¤', "$");
    (plain(&text[..first]), plain(&text[last..]))
}

enum Number {
    Real(f64),
    Exact(i128, i32),
}

/// Java rounds what the double is, not what it writes of it, unless that has no more places.
fn real_to_even(size: f64, places: usize) -> String {
    let digits = Digits::of_double(size);
    if digits.places() <= places { digits.to_even(places) } else { format!("{size:.places$}") }
}

fn number(value: &Column, row: usize) -> Option<Number> {
    if value.is_null(row) {
        return None;
    }
    let at = value.at(row);
    Some(match value.array.data_type() {
        DataType::Float32 => Number::Real(value.array.as_primitive::<Float32Type>().value(at).into()),
        DataType::Float64 => Number::Real(value.array.as_primitive::<Float64Type>().value(at)),
        _ => {
            let (unscaled, scale) = decimal(value, row)?;
            Number::Exact(unscaled, scale)
        }
    })
}

fn places(value: &Column, row: usize) -> Option<usize> {
    if value.array.data_type().is_null() {
        return None;
    }
    usize::try_from(value.numbers::<Int32Type>().get(row)?).ok()
}

fn format_number(arguments: &mut Arguments) -> ArrayRef {
    let [value, format] = arguments.columns else {
        panic!("two arguments");
    };
    let is_pattern = *format.array.data_type() == DataType::Utf8;
    let mut last: Option<(String, Option<Pattern>)> = None;
    build::texts(arguments.rows, |row| {
        let number = number(value, row)?;
        if !is_pattern {
            return Some(Pattern::of_places(places(format, row)?.min(PLACES_MAX)).write(&number));
        }
        let text = format.texts().get(row)?;
        if last.as_ref().is_none_or(|(known, _)| known != text) {
            last = Some((text.into(), Pattern::parse(text)));
        }
        let pattern = last.as_ref().and_then(|(_, pattern)| pattern.as_ref());
        if pattern.is_none() {
            let message = || format!("'{text}' is no number pattern; write one such as '#,##0.00'");
            arguments.errors.record(row, "ILLEGAL_FORMAT", message);
        }
        Some(pattern?.write(&number))
    })
}
