//! Counts and sums.

use crate::bytes::{Fixed, put_rows, take};
use crate::column::Slots;

/// Row counts.
#[derive(Clone, Debug, Default)]
pub struct Counts(Vec<i64>);

impl Slots for Counts {
    type Value = i64;

    fn grow(&mut self, slots: usize) {
        self.0.resize(slots, 0);
    }

    #[inline]
    fn get(&self, slot: usize) -> i64 {
        self.0[slot]
    }

    #[inline]
    fn set(&mut self, slot: usize, value: i64) {
        self.0[slot] = value;
    }

    #[inline]
    fn add(&mut self, slot: usize, later: i64) {
        self.0[slot] += later;
    }

    fn write(&self, slots: &[u32], out: &mut Vec<u8>) {
        put_rows(out, &self.0, slots);
    }

    fn read(&mut self, count: usize, bytes: &mut &[u8]) -> Option<()> {
        self.0 = i64::take_all(bytes, count)?;
        Some(())
    }

    fn width(&self) -> usize {
        size_of::<i64>()
    }
}

/// The value of an exact sum that exceeded 128 bits. It stays so; no result type holds it.
pub const OVERFLOWN: i128 = i128::MAX;

/// Exact sums: 64 bits each, until a sum needs 128.
#[derive(Clone, Debug, Default)]
pub struct ExactSums {
    parts: Vec<(i64, u64)>,
    /// The upper halves; empty while no sum needs one.
    upper: Vec<i64>,
}

impl ExactSums {
    fn sum(&self, slot: usize) -> i128 {
        let lower = self.parts[slot].0;
        match self.upper.get(slot) {
            Some(upper) => i128::from(*upper) << 64 | i128::from(lower as u64),
            None => lower.into(),
        }
    }

    #[cold]
    fn set_wide(&mut self, slot: usize, sum: i128) {
        if self.upper.is_empty() {
            self.upper = self.parts.iter().map(|(lower, _)| lower >> 63).collect();
        }
        (self.parts[slot].0, self.upper[slot]) = (sum as i64, (sum >> 64) as i64);
    }

    fn set_sum(&mut self, slot: usize, sum: i128) {
        match i64::try_from(sum) {
            Ok(sum) if self.upper.is_empty() => self.parts[slot].0 = sum,
            _ => self.set_wide(slot, sum),
        }
    }
}

impl Slots for ExactSums {
    /// The sum, or [`OVERFLOWN`], and the number of values in it.
    type Value = (i128, u64);

    fn grow(&mut self, slots: usize) {
        self.parts.resize(slots, (0, 0));
        if !self.upper.is_empty() {
            self.upper.resize(slots, 0);
        }
    }

    #[inline]
    fn get(&self, slot: usize) -> (i128, u64) {
        (self.sum(slot), self.parts[slot].1)
    }

    fn set(&mut self, slot: usize, (sum, seen): (i128, u64)) {
        self.set_sum(slot, sum);
        self.parts[slot].1 = seen;
    }

    #[inline]
    fn add(&mut self, slot: usize, (sum, seen): (i128, u64)) {
        let part = &mut self.parts[slot];
        part.1 += seen;
        let narrow = i64::try_from(sum).ok().filter(|_| self.upper.is_empty());
        if let Some(total) = narrow.and_then(|sum| part.0.checked_add(sum)) {
            part.0 = total;
            return;
        }
        let total = match (self.sum(slot), sum) {
            (OVERFLOWN, _) | (_, OVERFLOWN) => OVERFLOWN,
            (a, b) => a.checked_add(b).unwrap_or(OVERFLOWN),
        };
        self.set_sum(slot, total);
    }

    fn write(&self, slots: &[u32], out: &mut Vec<u8>) {
        // The encoding depends only on these sums, not on earlier ones.
        let wide = slots.iter().any(|slot| i64::try_from(self.sum(*slot as usize)).is_err());
        out.push(u8::from(wide));
        out.reserve(slots.len() * size_of::<(i64, u64)>());
        slots.iter().for_each(|slot| self.parts[*slot as usize].0.put(out));
        slots.iter().for_each(|slot| self.parts[*slot as usize].1.put(out));
        if wide {
            put_rows(out, &self.upper, slots);
        }
    }

    fn read(&mut self, count: usize, bytes: &mut &[u8]) -> Option<()> {
        let wide = take(bytes, 1)?[0] == 1;
        let lower = i64::take_all(bytes, count)?;
        self.parts = lower.into_iter().zip(u64::take_all(bytes, count)?).collect();
        self.upper = if wide { i64::take_all(bytes, count)? } else { Vec::new() };
        Some(())
    }

    fn width(&self) -> usize {
        size_of::<(i64, u64)>()
    }
}

/// Floating-point sums, in the order of addition.
#[derive(Clone, Debug, Default)]
pub struct DoubleSums(Vec<(f64, u64)>);

impl Slots for DoubleSums {
    /// The sum, and the number of values in it.
    type Value = (f64, u64);

    fn grow(&mut self, slots: usize) {
        self.0.resize(slots, (0.0, 0));
    }

    #[inline]
    fn get(&self, slot: usize) -> (f64, u64) {
        self.0[slot]
    }

    #[inline]
    fn set(&mut self, slot: usize, value: (f64, u64)) {
        self.0[slot] = value;
    }

    #[inline]
    fn add(&mut self, slot: usize, (sum, seen): (f64, u64)) {
        let part = &mut self.0[slot];
        part.0 += sum;
        part.1 += seen;
    }

    fn write(&self, slots: &[u32], out: &mut Vec<u8>) {
        out.reserve(slots.len() * size_of::<(f64, u64)>());
        slots.iter().for_each(|slot| self.0[*slot as usize].0.put(out));
        slots.iter().for_each(|slot| self.0[*slot as usize].1.put(out));
    }

    fn read(&mut self, count: usize, bytes: &mut &[u8]) -> Option<()> {
        let sums = f64::take_all(bytes, count)?;
        self.0 = sums.into_iter().zip(u64::take_all(bytes, count)?).collect();
        Some(())
    }

    fn width(&self) -> usize {
        size_of::<(f64, u64)>()
    }
}
