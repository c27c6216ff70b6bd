//! Derives inputs from existing ones by a few small changes. The seed makes a run repeatable.

use std::collections::VecDeque;
use tidemill_model::random::{self, Random};

/// Numbers at limits of integer types, where errors are likely.
const EDGES: [u64; 16] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
    u64::MAX - 1,
];
/// Bytes with a meaning in text formats.
const TOKENS: [&str; 12] = ["\"", "\\u", "{", "}", "[", "]", ",", "\n", "(", ")", "'", "e9999"];

/// A seeded generator of inputs.
pub struct Mutator {
    random: Random,
}

impl Mutator {
    pub fn new(seed: u64) -> Mutator {
        Mutator { random: Random::new(seed) }
    }

    /// A new input, derived from a seed or from an input found since.
    pub fn mutate(&mut self, seeds: &[Vec<u8>], found: &VecDeque<Vec<u8>>, bytes_max: usize) -> Vec<u8> {
        let mut input = self.pick(seeds, found).clone();
        for _ in 0..=self.below(4) {
            let other = self.pick(seeds, found);
            self.change(&mut input, other);
        }
        input.truncate(bytes_max);
        input
    }

    fn pick<'a>(&mut self, seeds: &'a [Vec<u8>], found: &'a VecDeque<Vec<u8>>) -> &'a Vec<u8> {
        if found.is_empty() || self.below(4) == 0 {
            &seeds[self.below(seeds.len())]
        } else {
            &found[self.below(found.len())]
        }
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len() + 1);
        let count = self.below(16.min(input.len() - at + 1));
        match self.below(9) {
            0 => self.flip_bit(input),
            1 => self.set_byte(input),
            2 => self.set_edge(input, at),
            3 => drop(input.drain(at..at + count)),
            4 => {
                let piece = input[at..at + count].to_vec();
                let times = 1 << self.below(8);
                drop(input.splice(at..at, piece.repeat(times)));
            }
            5 => {
                let from = self.below(other.len() + 1);
                let piece = &other[from..other.len().min(from + self.below(64))];
                drop(input.splice(at..at + count, piece.iter().copied()));
            }
            6 => {
                let token = TOKENS[self.below(TOKENS.len())];
                drop(input.splice(at..at, token.bytes()));
            }
            7 => input.truncate(at),
            _ => {
                let filler = self.random.bits() as u8;
                drop(input.splice(at..at, std::iter::repeat_n(filler, count)));
            }
        }
    }

    fn flip_bit(&mut self, input: &mut [u8]) {
        if !input.is_empty() {
            let at = self.below(input.len());
            input[at] ^= 1 << self.below(8);
        }
    }

    fn set_byte(&mut self, input: &mut [u8]) {
        if !input.is_empty() {
            let at = self.below(input.len());
            input[at] = self.random.bits() as u8;
        }
    }

    /// Overwrites 1, 2, 4 or 8 bytes with an edge number.
    fn set_edge(&mut self, input: &mut [u8], at: usize) {
        let edge = EDGES[self.below(EDGES.len())].to_be_bytes();
        let width = 1 << self.below(4);
        if let Some(place) = input.get_mut(at..at + width) {
            place.copy_from_slice(&edge[8 - width..]);
        }
    }

    fn below(&mut self, end: usize) -> usize {
        random::below(self.random.bits(), end as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_they_stay_short() {
        let seeds = vec![b"hello world".to_vec(), Vec::new()];
        let run = || {
            let mut mutator = Mutator::new(7);
            (0..5000).map(|_| mutator.mutate(&seeds, &VecDeque::new(), 100)).collect::<Vec<_>>()
        };
        let inputs = run();
        assert_eq!(inputs, run());
        assert!(inputs.iter().all(|input| input.len() <= 100));
        assert!(inputs.iter().any(|input| input.len() > 50), "inputs grow too");
    }
}
