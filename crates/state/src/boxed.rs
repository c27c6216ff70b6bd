//! Accumulators larger than one number or value: all values of a group, moments of higher order, bits.

use crate::pick::Position;
use serde::{Deserialize, Serialize};

/// The accumulator of a group with at least one counted row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Boxed {
    /// All values.
    Collected(Collected),
    /// Moments of two columns.
    Comoments(Comoments),
    /// Moments of one column.
    HighMoments(HighMoments),
    /// Bits combined by an operator.
    Bits(Bits, i64),
}

/// All values of a group as bytes, each with the position of its row, so that the order of merging does not matter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Collected {
    values: Vec<(Position, Box<[u8]>)>,
    /// Bytes of all values.
    held: usize,
}

impl Collected {
    /// Adds a value.
    pub fn add(&mut self, at: Position, value: Box<[u8]>) {
        self.held += value.len();
        self.values.push((at, value));
    }

    /// Merges a later accumulator.
    pub fn merge(&mut self, later: &Collected) {
        self.held += later.held;
        self.values.extend(later.values.iter().cloned());
    }

    /// The values in the order of their rows.
    pub fn in_order(&self) -> Vec<&[u8]> {
        let mut all: Vec<&(Position, Box<[u8]>)> = self.values.iter().collect();
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, value)| &**value).collect()
    }

    /// Sets the batch and task of the rows.
    pub(crate) fn place(&mut self, batch_id: u64, task: u32) {
        for (at, _) in &mut self.values {
            (at.batch_id, at.task) = (batch_id, task);
        }
    }

    /// Leaves the values in the order in which they were added and merged.
    pub(crate) fn forget_places(&mut self) {
        self.values.iter_mut().for_each(|(at, _)| *at = Position::default());
    }
}

/// A bitwise operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bits {
    /// `bit_and`.
    And,
    /// `bit_or`.
    Or,
    /// `bit_xor`.
    Xor,
}

impl Bits {
    /// Combines two numbers.
    pub fn of(self, a: i64, b: i64) -> i64 {
        match self {
            Bits::And => a & b,
            Bits::Or => a | b,
            Bits::Xor => a ^ b,
        }
    }
}

/// Moments for `corr`, the covariances and the regressions, as in Spark's `Covariance` and `PearsonCorrelation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comoments {
    /// Rows with both values.
    pub count: f64,
    /// Mean of the first.
    pub x: f64,
    /// Mean of the second.
    pub y: f64,
    /// Sum of (x − mean)·(y − mean).
    pub xy: f64,
    /// Sum of (x − mean)².
    pub xx: f64,
    /// Sum of (y − mean)².
    pub yy: f64,
}

impl Comoments {
    /// Adds a row.
    pub fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let (dx, dy) = (x - self.x, y - self.y);
        let (dx_n, dy_n) = (dx / self.count, dy / self.count);
        self.x += dx_n;
        self.y += dy_n;
        self.xy += dx * (y - self.y);
        self.xx += dx * (x - self.x);
        self.yy += dy * (y - self.y);
    }

    /// Merges a later accumulator.
    pub fn merge(&mut self, later: &Comoments) {
        if later.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = *later;
            return;
        }
        let (n1, n2) = (self.count, later.count);
        let n = n1 + n2;
        let (dx, dy) = (later.x - self.x, later.y - self.y);
        let (dx_n, dy_n) = (dx / n, dy / n);
        self.count = n;
        self.x += dx_n * n2;
        self.y += dy_n * n2;
        self.xy += later.xy + dx * dy_n * n1 * n2;
        self.xx += later.xx + dx * dx_n * n1 * n2;
        self.yy += later.yy + dy * dy_n * n1 * n2;
    }
}

/// Moments for `skewness` and `kurtosis`, as in Spark's `CentralMomentAgg` of fourth order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HighMoments {
    /// Rows with a value.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Sum of (x − mean)².
    pub second: f64,
    /// Sum of (x − mean)³.
    pub third: f64,
    /// Sum of (x − mean)⁴.
    pub fourth: f64,
}

impl HighMoments {
    /// Adds a row.
    pub fn add(&mut self, x: f64) {
        let n = self.count + 1.0;
        let delta = x - self.mean;
        let delta_n = delta / n;
        let second = self.second + delta * (delta - delta_n);
        let (delta2, delta_n2) = (delta * delta, delta_n * delta_n);
        let third = self.third - 3.0 * delta_n * second + delta * (delta2 - delta_n2);
        let fourth = self.fourth - 4.0 * delta_n * third - 6.0 * delta_n2 * second
            + delta * (delta * delta2 - delta_n * delta_n2);
        *self = HighMoments { count: n, mean: self.mean + delta_n, second, third, fourth };
    }

    /// Merges a later accumulator.
    pub fn merge(&mut self, later: &HighMoments) {
        let (n1, n2) = (self.count, later.count);
        let n = n1 + n2;
        let delta = later.mean - self.mean;
        let delta_n = if n == 0.0 { 0.0 } else { delta / n };
        let (m2, m3) = (self.second, self.third);
        let second = m2 + later.second + delta * delta_n * n1 * n2;
        let third = m3
            + later.third
            + delta_n * delta_n * delta * n1 * n2 * (n1 - n2)
            + 3.0 * delta_n * (n1 * later.second - n2 * m2);
        let fourth = self.fourth
            + later.fourth
            + delta_n * delta_n * delta_n * delta * n1 * n2 * (n1 * n1 - n1 * n2 + n2 * n2)
            + 6.0 * delta_n * delta_n * (n1 * n1 * later.second + n2 * n2 * m2)
            + 4.0 * delta_n * (n1 * later.third - n2 * m3);
        *self = HighMoments { count: n, mean: self.mean + delta_n * n2, second, third, fourth };
    }
}

impl Boxed {
    /// Merges a later accumulator.
    ///
    /// Panics if the two are of different kinds.
    pub fn merge(&mut self, later: &Boxed) {
        match (self, later) {
            (Boxed::Collected(values), Boxed::Collected(more)) => values.merge(more),
            (Boxed::Comoments(earlier), Boxed::Comoments(later)) => earlier.merge(later),
            (Boxed::HighMoments(earlier), Boxed::HighMoments(later)) => earlier.merge(later),
            (Boxed::Bits(how, bits), Boxed::Bits(_, more)) => *bits = how.of(*bits, *more),
            (earlier, later) => panic!("accumulators of two kinds meet: {earlier:?}, {later:?}"),
        }
    }

    /// Approximate heap size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Boxed::Collected(all) => all.held + all.values.len() * size_of::<(Position, Box<[u8]>)>(),
            Boxed::Comoments(_) | Boxed::HighMoments(_) | Boxed::Bits(..) => 0,
        }
    }
}
