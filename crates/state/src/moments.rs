//! Count, mean and squared differences, for `stddev`, `variance` and similar.

use crate::bytes::Fixed;
use crate::column::Slots;

/// Count, mean and sum of squared differences from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Non-NULL inputs.
    pub seen: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of (x − mean)².
    pub squares: f64,
}

impl Moments {
    /// Adds a value (Welford).
    #[inline]
    pub fn see(&mut self, value: f64) {
        self.seen += 1;
        let delta = value - self.mean;
        let step = delta / self.seen as f64;
        self.mean += step;
        self.squares += delta * (delta - step);
    }

    /// Merges later moments (Chan).
    pub fn merge(&mut self, later: Moments) {
        let (left, right) = (self.seen as f64, later.seen as f64);
        let seen = left + right;
        let delta = later.mean - self.mean;
        let step = if seen == 0.0 { 0.0 } else { delta / seen };
        self.seen += later.seen;
        self.mean += step * right;
        self.squares += later.squares + delta * step * left * right;
    }
}

/// The moments of each slot.
#[derive(Clone, Debug, Default)]
pub struct AllMoments(Vec<Moments>);

impl AllMoments {
    /// A slot's moments, mutable.
    #[inline]
    pub fn at(&mut self, slot: usize) -> &mut Moments {
        &mut self.0[slot]
    }
}

impl Slots for AllMoments {
    type Value = Moments;

    fn grow(&mut self, slots: usize) {
        self.0.resize(slots, Moments::default());
    }

    fn get(&self, slot: usize) -> Moments {
        self.0[slot]
    }

    fn set(&mut self, slot: usize, value: Moments) {
        self.0[slot] = value;
    }

    fn add(&mut self, slot: usize, later: Moments) {
        self.0[slot].merge(later);
    }

    fn write(&self, slots: &[u32], out: &mut Vec<u8>) {
        slots.iter().for_each(|slot| self.0[*slot as usize].seen.put(out));
        slots.iter().for_each(|slot| self.0[*slot as usize].mean.put(out));
        slots.iter().for_each(|slot| self.0[*slot as usize].squares.put(out));
    }

    fn read(&mut self, count: usize, bytes: &mut &[u8]) -> Option<()> {
        let seen = u64::take_all(bytes, count)?;
        let means = f64::take_all(bytes, count)?;
        let squares = f64::take_all(bytes, count)?;
        let parts = seen.into_iter().zip(means).zip(squares);
        self.0 = parts.map(|((seen, mean), squares)| Moments { seen, mean, squares }).collect();
        Some(())
    }

    fn width(&self) -> usize {
        size_of::<Moments>()
    }
}
