//! The last offset of each key, by a hash of the key.
//!
//! The hash has 128 bits: SipHash twice, with keys that are random for each map. Nobody can make two keys collide, and
//! by chance a million keys do so once in 10²⁶ passes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Most keys of a map. A table of hashes doubles beyond seven eighths of 2²⁰ places.
pub(crate) const KEYS_MAX: usize = 900_000;

/// The last offset of each key.
pub(crate) struct Keys {
    last: HashMap<[u64; 2], i64>,
    hashers: [RandomState; 2],
    count_max: usize,
}

impl Keys {
    pub fn new(count_max: usize) -> Keys {
        Keys { last: HashMap::new(), hashers: [RandomState::new(), RandomState::new()], count_max }
    }

    /// Whether as many more keys fit. A batch that never fits is taken too, but its keys are not: it stays whole.
    pub fn has_room_for(&self, records: i32) -> bool {
        self.fits(records, 0) == self.fits(records, self.last.len())
    }

    /// Whether the keys of a batch fit into an empty map.
    pub fn takes(&self, records: i32) -> bool {
        self.fits(records, 0)
    }

    fn fits(&self, records: i32, taken: usize) -> bool {
        usize::try_from(records).is_ok_and(|records| taken.saturating_add(records) <= self.count_max)
    }

    /// Notes a record. Offsets grow from call to call.
    pub fn note(&mut self, key: &[u8], offset: i64) {
        let hash = self.hash(key);
        self.last.insert(hash, offset);
    }

    /// Whether a later record has the same key.
    pub fn has_later(&self, key: &[u8], offset: i64) -> bool {
        self.last.get(&self.hash(key)).is_some_and(|last| *last > offset)
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }
}
