//! Least and greatest values of a fixed width. The caller's encoding defines the order.

use crate::bytes::{Fixed, put_rows};
use crate::column::Slots;
use std::cmp::Ordering;

/// The least or the greatest value of each slot.
#[derive(Clone, Debug)]
pub struct Extremes<T> {
    wanted: Ordering,
    values: Vec<T>,
    /// 1 where there is a value.
    seen: Vec<u8>,
}

impl<T> Extremes<T> {
    pub(crate) fn least() -> Extremes<T> {
        Extremes { wanted: Ordering::Less, values: Vec::new(), seen: Vec::new() }
    }

    pub(crate) fn greatest() -> Extremes<T> {
        Extremes { wanted: Ordering::Greater, ..Extremes::least() }
    }
}

impl<T: Fixed + Ord + Default> Slots for Extremes<T> {
    /// `None` without a value.
    type Value = Option<T>;

    fn grow(&mut self, slots: usize) {
        self.values.resize(slots, T::default());
        self.seen.resize(slots, 0);
    }

    #[inline]
    fn get(&self, slot: usize) -> Option<T> {
        (self.seen[slot] == 1).then(|| self.values[slot])
    }

    #[inline]
    fn set(&mut self, slot: usize, value: Option<T>) {
        self.seen[slot] = value.is_some().into();
        self.values[slot] = value.unwrap_or_default();
    }

    #[inline]
    fn add(&mut self, slot: usize, later: Option<T>) {
        let Some(later) = later else { return };
        if self.seen[slot] == 0 || later.cmp(&self.values[slot]) == self.wanted {
            self.set(slot, Some(later));
        }
    }

    fn write(&self, slots: &[u32], out: &mut Vec<u8>) {
        put_rows(out, &self.seen, slots);
        put_rows(out, &self.values, slots);
    }

    fn read(&mut self, count: usize, bytes: &mut &[u8]) -> Option<()> {
        self.seen = u8::take_all(bytes, count)?;
        self.values = T::take_all(bytes, count)?;
        Some(())
    }

    fn width(&self) -> usize {
        size_of::<T>() + 1
    }
}
