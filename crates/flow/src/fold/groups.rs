//! Group numbers: (slice, key bytes) → 0, 1, 2 … in order of first appearance.
//!
//! The table holds numbers only; slices, keys and counts stand in vectors, so nothing ever iterates in hash order.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

#[derive(Default)]
pub(super) struct Groups {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    entries: Vec<Entry>,
    /// All keys, one after the other.
    keys: Vec<u8>,
}

struct Entry {
    hash: u64,
    slice: i64,
    key_start: usize,
    key_end: usize,
    rows: u64,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn slice(&self, group: usize) -> i64 {
        self.entries[group].slice
    }

    pub(super) fn key(&self, group: usize) -> &[u8] {
        &self.keys[self.entries[group].key_start..self.entries[group].key_end]
    }

    pub(super) fn rows(&self, group: usize) -> u64 {
        self.entries[group].rows
    }

    /// The number of a group, made when it is new; counts a row of it.
    #[inline]
    pub(super) fn of(&mut self, slice: i64, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key) ^ (slice as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let Groups { table, entries, keys, .. } = self;
        let same = |group: &u32| {
            let entry = &entries[*group as usize];
            entry.hash == hash && entry.slice == slice && &keys[entry.key_start..entry.key_end] == key
        };
        if let Some(group) = table.find(hash, same).copied() {
            entries[group as usize].rows += 1;
            return group;
        }
        let group = u32::try_from(entries.len()).expect("a task has fewer groups than 2^32 rows");
        let key_start = keys.len();
        keys.extend_from_slice(key);
        entries.push(Entry { hash, slice, key_start, key_end: keys.len(), rows: 1 });
        table.insert_unique(hash, group, |group| entries[*group as usize].hash);
        group
    }
}
