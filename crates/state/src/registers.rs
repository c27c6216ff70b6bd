//! The registers of a HyperLogLog++ sketch. Each keeps the greatest rank it has seen, so order does not matter.
//!
//! While few registers are in use the sketch is a sorted list of 4 bytes per register; then it is one byte per
//! register.

use serde::{Deserialize, Serialize};

/// The bits of a rank in a list entry.
const RANK_BITS: u32 = 6;

/// The list is used while it has at most this fraction of the registers.
const FEW_PART: usize = 16;

/// The greatest rank seen by each register; 0 for none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registers {
    /// `register << 6 | rank`, ascending. Used while few registers are in use.
    Few(Vec<u32>),
    /// A byte for each register.
    All(Box<[u8]>),
}

impl Default for Registers {
    fn default() -> Registers {
        Registers::Few(Vec::new())
    }
}

/// Register of a list entry.
pub fn register_of(entry: u32) -> u32 {
    entry >> RANK_BITS
}

/// Rank of a list entry.
pub fn rank_of(entry: u32) -> u8 {
    (entry & ((1 << RANK_BITS) - 1)) as u8
}

impl Registers {
    /// Updates a register with a rank.
    pub fn see(&mut self, precision: u8, register: u32, rank: u8) {
        let entries = match self {
            Registers::All(ranks) => {
                let seen = &mut ranks[register as usize];
                *seen = (*seen).max(rank);
                return;
            }
            Registers::Few(entries) => entries,
        };
        let at = entries.partition_point(|entry| register_of(*entry) < register);
        let entry = register << RANK_BITS | u32::from(rank);
        match entries.get_mut(at) {
            Some(known) if register_of(*known) == register => *known = entry.max(*known),
            _ => entries.insert(at, entry),
        }
        let registers = 1usize << precision;
        if entries.len() > registers / FEW_PART {
            let mut ranks = vec![0; registers];
            entries.iter().for_each(|entry| ranks[register_of(*entry) as usize] = rank_of(*entry));
            *self = Registers::All(ranks.into());
        }
    }

    /// Merges another sketch.
    pub fn merge(&mut self, precision: u8, from: &Registers) {
        match (&mut *self, from) {
            (Registers::All(ranks), Registers::All(others)) => {
                ranks.iter_mut().zip(others).for_each(|(rank, other)| *rank = (*rank).max(*other));
            }
            (Registers::Few(_), Registers::All(others)) => {
                let few = std::mem::replace(self, Registers::All(others.clone()));
                self.merge(precision, &few);
            }
            (_, Registers::Few(entries)) => {
                entries.iter().for_each(|entry| self.see(precision, register_of(*entry), rank_of(*entry)));
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Registers::Few(entries) => size_of_val(entries.as_slice()),
            Registers::All(ranks) => ranks.len(),
        }
    }
}
