//! `approx_count_distinct`: the HyperLogLog++ sketch with Spark's hash, registers and rounding. The estimate equals
//! Spark's exactly.
//!
//! ```text
//!  XxHash64 of the value, seed 42:   [ p bits: the register ][ rank = leading zeros of the rest, + 1 ]
//! ```
//! A register keeps the greatest rank seen, so the order of rows and merges does not matter. A sketch with few
//! registers in use is a sorted list of 4 bytes per register; otherwise it is one byte for each of the 2^p registers:
//! 512 bytes at the default error of 5 %, at most 256 KiB.
//!
//! The raw estimate is α·m²/Σ2^−rank. While some registers are empty, linear counting is used below the paper's
//! threshold and below 2.5·m, as in the original HyperLogLog (Spark does both). Otherwise, up to 5·m, the bias measured
//! in the paper is subtracted: the mean over the six nearest raw estimates in its appendix (`bias.txt`).

use arrow_array::{Array, ArrayRef};
use std::sync::OnceLock;
use tidemill_sql::functions::hashes::xxhash64_of;
use tidemill_state::{Object, Objects, Registers, rank_of, register_of};

/// Number of raw estimates from which a bias is computed.
const NEIGHBOURS: usize = 6;

/// Adds a column's rows to the sketches of their groups. `pairs` holds (row, group).
pub(super) fn update(sketches: &mut Objects, precision: u8, input: &ArrayRef, pairs: &[(u32, u32)]) {
    if input.data_type().is_null() {
        return;
    }
    for (row, group) in pairs.iter().filter(|(row, _)| input.is_valid(*row as usize)) {
        let hash = xxhash64_of(42, input, *row as usize);
        let register = (hash >> (64 - precision)) as u32;
        let rest = hash << precision | 1 << (precision - 1);
        let rank = rest.leading_zeros() as u8 + 1;
        sketches.change(
            *group as usize,
            || Object::Registers(Registers::default()),
            |object| match object {
                Object::Registers(registers) => registers.see(precision, register, rank),
                other => panic!("a sketch is not {other:?}"),
            },
        );
    }
}

/// The estimated number of distinct values.
pub(crate) fn estimate(sketch: &Registers, precision: u8) -> i64 {
    let registers = 1usize << precision;
    let m = registers as f64;
    // In register order, as Spark adds. Spark computes a term as 1 ÷ (1 << rank) in 32 bits, where the shift wraps.
    let term = |rank: u8| 1.0 / f64::from(1i32.wrapping_shl(rank.into()));
    let (mut inverse, mut empty) = (0.0, registers);
    match sketch {
        Registers::All(ranks) => {
            inverse = ranks.iter().fold(inverse, |sum, rank| sum + term(*rank));
            empty = ranks.iter().filter(|rank| **rank == 0).count();
        }
        Registers::Few(entries) => {
            let mut next = 0;
            for entry in entries {
                inverse += f64::from(register_of(*entry) - next) + term(rank_of(*entry));
                next = register_of(*entry) + 1;
            }
            inverse += (registers - next as usize) as f64;
            empty -= entries.len();
        }
    }
    let table = &tables()[usize::from(precision) - 4];
    let raw = alpha(precision, m) * m * m / inverse;
    let linear = if empty > 0 { m * (m / empty as f64).ln() } else { f64::INFINITY };
    let result = if linear <= table.threshold || empty > 0 && raw <= 2.5 * m {
        linear
    } else if raw < 5.0 * m {
        raw - table.bias(raw)
    } else {
        raw
    };
    (result + 0.5).floor() as i64
}

/// The paper's α, which turns the harmonic mean into an estimate.
fn alpha(precision: u8, m: f64) -> f64 {
    match precision {
        4 => 0.673,
        5 => 0.697,
        6 => 0.709,
        _ => 0.7213 / (1.0 + 1.079 / m),
    }
}

/// The appendix's table for one precision.
struct Table {
    threshold: f64,
    estimates: Vec<f64>,
    biases: Vec<f64>,
}

impl Table {
    fn bias(&self, raw: f64) -> f64 {
        let distance = |at: usize| (raw - self.estimates[at]) * (raw - self.estimates[at]);
        let count = self.estimates.len();
        let mut low = (self.position(raw) + 1).saturating_sub(NEIGHBOURS);
        let mut high = (low + NEIGHBOURS).min(count);
        while high < count && distance(high) < distance(low) {
            low += 1;
            high += 1;
        }
        self.biases[low..high].iter().sum::<f64>() / (high - low) as f64
    }

    /// Position of an estimate in the table. Binary search as in Java, since two tables are not quite sorted.
    fn position(&self, raw: f64) -> usize {
        let (mut low, mut high) = (0, self.estimates.len());
        while low < high {
            let middle = (low + high - 1) / 2;
            match self.estimates[middle].total_cmp(&raw) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return middle,
            }
        }
        low
    }
}

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let number = |text: &str| text.parse::<f64>().expect("bias.txt holds numbers");
        let mut tables: Vec<Table> = Vec::new();
        for line in include_str!("bias.txt").lines().filter(|line| !line.starts_with('#')) {
            if let Some((_, threshold)) = line.split_once(" threshold ") {
                tables.push(Table { threshold: number(threshold), estimates: Vec::new(), biases: Vec::new() });
                continue;
            }
            let table = tables.last_mut().expect("a precision stands first");
            for (estimate, bias) in line.split(' ').filter_map(|pair| pair.split_once(':')) {
                table.estimates.push(number(estimate));
                table.biases.push(number(bias));
            }
        }
        tables
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_state::{Column, Kind, Rule};

    /// Sketches of 1, 2, 3 … values, built whole and merged from two halves: the registers are equal and the estimate
    /// is plausible.
    #[test]
    fn t2_merged_sketches_are_the_sketch_of_all() {
        for precision in [4, 9, 14, 18] {
            for count in [0, 1, 10, 33, 100, 5_000] {
                let values: ArrayRef = std::sync::Arc::new(arrow_array::Int64Array::from_iter_values(0..count));
                let pairs: Vec<(u32, u32)> = (0..count as u32).map(|row| (row, 0)).collect();
                let sketch = |pairs: &[(u32, u32)]| {
                    let mut column = Column::new(Kind::Object(Rule::Distinct { precision }));
                    column.grow(1);
                    let Column::Objects(sketches) = &mut column else { panic!("a column of objects") };
                    update(sketches, precision, &values, pairs);
                    match sketches.at(0) {
                        Some(Object::Registers(registers)) => registers.clone(),
                        _ => Registers::default(),
                    }
                };
                let whole = sketch(&pairs);
                for cut in [0, pairs.len() / 3, pairs.len()] {
                    for (mut one, other) in
                        [(sketch(&pairs[..cut]), sketch(&pairs[cut..])), (sketch(&pairs[cut..]), sketch(&pairs[..cut]))]
                    {
                        one.merge(precision, &other);
                        assert_eq!(one, whole, "{count} values cut at {cut}, precision {precision}");
                    }
                }
                let error = 4.0 * 1.04 / f64::from(1 << precision).sqrt();
                let off = (estimate(&whole, precision) - count).abs() as f64;
                assert!(off <= error * count as f64 + 0.5, "{count} values, precision {precision}: off by {off}");
            }
        }
    }
}
