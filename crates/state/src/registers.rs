//! The registers of a HyperLogLog++ sketch: each keeps the greatest rank it has seen, so no order matters.
//!
//! A sketch that has seen few registers is a sorted list, 4 bytes a register; then it is a byte for each.

use serde::{Deserialize, Serialize};

/// The bits of a rank in a list entry.
const RANK_BITS: u32 = 6;

/// As many list entries as this part of the registers are kept before all registers are.
const FEW_PART: usize = 16;

/// For each register the greatest rank seen; 0 is not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registers {
    /// `register << 6 | rank`, ascending: while few have been seen.
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
    /// Notes a rank of a register.
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

    /// Adds what another sketch has seen.
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
