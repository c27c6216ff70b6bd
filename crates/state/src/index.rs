//! An index from hash to number: one array with linear probing. A lookup reads one line of memory, seldom two. Many
//! lookups at once read their lines at once.

use crate::keys::NONE;

/// A free place; no number is so large.
const FREE: u64 = u64::MAX;

/// Places when the first number comes.
const LEAST: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Hash in the upper half, number in the lower.
    places: Vec<u64>,
    len: usize,
}

impl Index {
    /// The number with this hash that `is` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.place(hash, is).map(|at| self.places[at] as u32)
    }

    /// The same for many hashes; [`NONE`] where there is none. `is` also gets the hash's position.
    pub(crate) fn find_all(&self, hashes: &[u32], is: impl Fn(usize, u32) -> bool) -> Vec<u32> {
        let home = |hash: &u32| self.places.get(self.home(*hash)).copied().unwrap_or(FREE);
        // Nothing in this loop depends on what it reads: the processor does not wait for one line before it asks for the next.
        let homes: Vec<u64> = hashes.iter().map(home).collect();
        let numbers = homes.into_iter().zip(hashes).enumerate().map(|(at, (place, hash))| match place {
            FREE => NONE,
            place if is_of(place, *hash) && is(at, place as u32) => place as u32,
            _ => self.find(*hash, |number| is(at, number)).unwrap_or(NONE),
        });
        numbers.collect()
    }

    /// Adds a number that is not in the index.
    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        self.reserve(1);
        self.put(u64::from(hash) << 32 | u64::from(number));
        self.len += 1;
    }

    /// Removes a number.
    pub(crate) fn remove(&mut self, hash: u32, number: u32) {
        let mut free = self.place(hash, |other| other == number).expect("the number is in its index");
        let mask = self.mask();
        let mut at = (free + 1) & mask;
        // What follows moves up, but not to before its home.
        while self.places[at] != FREE {
            let home = self.home((self.places[at] >> 32) as u32);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(free) & mask {
                self.places[free] = self.places[at];
                free = at;
            }
            at = (at + 1) & mask;
        }
        self.places[free] = FREE;
        self.len -= 1;
    }

    /// Makes space for more numbers: at most three of four places are taken.
    pub(crate) fn reserve(&mut self, more: usize) {
        let least = ((self.len + more) * 4).div_ceil(3).next_power_of_two().max(LEAST);
        if least > self.places.len() {
            let old = std::mem::replace(&mut self.places, vec![FREE; least]);
            old.into_iter().filter(|place| *place != FREE).for_each(|place| self.put(place));
        }
    }

    /// Allocated bytes.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.places.len() * size_of::<u64>()
    }

    #[inline]
    fn place(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<usize> {
        let mut at = self.home(hash);
        while let Some(place) = self.places.get(at).filter(|place| **place != FREE) {
            if is_of(*place, hash) && is(*place as u32) {
                return Some(at);
            }
            at = (at + 1) & self.mask();
        }
        None
    }

    fn put(&mut self, place: u64) {
        let mut at = self.home((place >> 32) as u32);
        while self.places[at] != FREE {
            at = (at + 1) & self.mask();
        }
        self.places[at] = place;
    }

    /// The first place for a hash. A shard's hashes have the same upper bits; the product spreads the others.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        (u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & self.mask()
    }

    #[inline]
    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }
}

#[inline]
fn is_of(place: u64, hash: u32) -> bool {
    (place >> 32) as u32 == hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Few hashes, so that many numbers share their places.
    fn hash(number: u32) -> u32 {
        number % 29
    }

    #[test]
    fn finds_what_is_in_it() {
        let (mut index, mut known, mut seed) = (Index::default(), BTreeMap::new(), 1u32);
        assert_eq!(index.find(0, |_| true), None);
        assert_eq!(index.find_all(&[0], |_, _| true), [NONE]);
        for step in 0..4_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (seed >> 16) % 97;
            match known.remove(&number) {
                Some(()) => index.remove(hash(number), number),
                None => {
                    index.insert(hash(number), number);
                    known.insert(number, ());
                }
            }
            let numbers: Vec<u32> = (0..97).collect();
            let hashes: Vec<u32> = numbers.iter().map(|number| hash(*number)).collect();
            let found = index.find_all(&hashes, |at, number| number == at as u32);
            let expected = |number: &u32| if known.contains_key(number) { *number } else { NONE };
            assert_eq!(found, numbers.iter().map(expected).collect::<Vec<_>>(), "step {step}");
        }
    }
}
