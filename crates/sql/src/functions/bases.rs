//! Numbers in other bases (`conv`) and in buckets (`width_bucket`).

use super::numbers::overflow;
use super::{Arguments, Function, Param, build};
use arrow_array::ArrayRef;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_schema::DataType;
use std::sync::Arc;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "conv",
        usage: "conv(digits, from, to)",
        about: "A number's digits in another base, 2 to 36. It is unsigned, or signed where `to` is negative. Reading ends at the first character that is not a digit of the base.",
        example: "conv('100', 2, 10)",
        params: &[Param::String, Param::Int, Param::Int],
        required: 3,
        kernel: conv,
        ..Function::BLANK
    },
    Function {
        name: "width_bucket",
        usage: "width_bucket(value, least, greatest, buckets)",
        about: "The bucket of equal width that a value falls into: 1 and up, 0 below the first, one more than the last above it. The bounds may fall instead of rise. Numbers, or intervals of one kind.",
        example: "width_bucket(5.3, 0.2, 10.6, 5)",
        params: &[Param::Double, Param::Double, Param::Double, Param::Long],
        required: 4,
        gives: |_| DataType::Int64,
        kernel: width_bucket,
        ..Function::BLANK
    },
];

fn conv(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, from, to) = (columns[0].texts(), columns[1].numbers::<Int32Type>(), columns[2].numbers::<Int32Type>());
    build::texts(arguments.rows, |row| {
        let (text, from, to) = (texts.get(row)?, from.get(row)?, to.get(row)?);
        let is_base = |base: i32| (2..=36).contains(&base);
        let text = text.trim_matches(' ');
        if !is_base(from) || !is_base(to.saturating_abs()) || text.is_empty() {
            return None;
        }
        let Some(converted) = converted(text, from.cast_unsigned(), to) else {
            overflow(arguments.errors, row);
            return None;
        };
        Some(converted)
    })
}

/// `None` beyond 64 bits.
fn converted(text: &str, from: u32, to: i32) -> Option<String> {
    let (mut negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut value: u64 = 0;
    for digit in digits.chars().map_while(|c| c.to_digit(from)) {
        value = value.checked_mul(u64::from(from))?.checked_add(u64::from(digit))?;
    }
    if negative && to > 0 {
        // Of what is negative as 64 bits are signed, all bits are set.
        value = if value.cast_signed() < 0 { u64::MAX } else { value.wrapping_neg() };
    }
    if to < 0 && value.cast_signed() < 0 {
        value = value.wrapping_neg();
        negative = true;
    }
    let digits = in_base(value, u64::from(to.unsigned_abs()));
    Some(if negative && to < 0 { format!("-{digits}") } else { digits })
}

fn in_base(mut value: u64, base: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(value.rem_euclid(base)).expect("a digit");
        digits.push(char::from_digit(digit, 36).expect("a base up to 36").to_ascii_uppercase());
        value /= base;
        if value == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

fn width_bucket(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let [value, least, greatest] = [0, 1, 2].map(|at: usize| columns[at].numbers::<Float64Type>());
    let buckets = columns[3].numbers::<Int64Type>();
    let bucket = |row| bucket(value.get(row)?, least.get(row)?, greatest.get(row)?, buckets.get(row)?);
    Arc::new(build::numbers::<Int64Type>(arguments.rows, bucket))
}

fn bucket(value: f64, from: f64, to: f64, buckets: i64) -> Option<i64> {
    if buckets <= 0 || buckets == i64::MAX || value.is_nan() || from == to || !from.is_finite() || !to.is_finite() {
        return None;
    }
    let (lower, upper) = (from.min(to), from.max(to));
    // As in Java, whose sum wraps where the share is rounded up to the whole.
    let share = |distance: f64| ((buckets as f64 * distance / (upper - lower)) as i64).wrapping_add(1);
    Some(if from < to {
        match value {
            value if value < lower => 0,
            value if value >= upper => buckets + 1,
            value => share(value - lower),
        }
    } else {
        match value {
            value if value > upper => 0,
            value if value <= lower => buckets + 1,
            value => share(upper - value),
        }
    })
}
