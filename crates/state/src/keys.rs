//! Keys by number. A short key is in its entry, so that comparing it reads one line of memory; the bytes of longer ones are
//! in a buffer.

use crate::hash::hash;
use crate::index::Index;

/// No slot, or no key.
pub(crate) const NONE: u32 = u32::MAX;

/// Alignment of keys in the buffer, so that 32-bit positions address 32 GB.
const ALIGN: usize = 8;

/// Longest key that is in its entry.
const SHORT: usize = 20;

#[derive(Debug, Default)]
pub(crate) struct Keys {
    index: Index,
    entries: Vec<Entry>,
    /// The bytes of long keys.
    bytes: Vec<u8>,
    free: Vec<u32>,
    /// Bytes of removed long keys.
    dead: usize,
}

/// Aligned so that none is on two lines of the processor's cache.
#[derive(Clone, Debug)]
#[repr(align(32))]
struct Entry {
    hash: u32,
    len: u32,
    /// The owner's value for the key: its newest slot.
    first: u32,
    /// A short key, then zeros; or a long key's place in the buffer, in steps of [`ALIGN`].
    key: [u8; SHORT],
}

impl Keys {
    /// The number of a key.
    #[inline]
    pub(crate) fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.index.find(hash, |number| self.is(number, key))
    }

    /// The number of a key; adds the key if it is new.
    #[inline]
    pub(crate) fn of(&mut self, hash: u32, key: &[u8]) -> u32 {
        match self.find(hash, key) {
            Some(number) => number,
            None => self.insert(hash, key),
        }
    }

    /// The numbers of different keys; adds those that are new and `wanted`, and gives [`NONE`] for the other new ones.
    pub(crate) fn of_all<'a>(
        &mut self,
        count: usize,
        key: impl Fn(usize) -> &'a [u8],
        wanted: impl Fn(usize) -> bool,
    ) -> Vec<u32> {
        let hashes: Vec<u32> = (0..count).map(|at| hash(key(at))).collect();
        let mut numbers = self.index.find_all(&hashes, |at, number| self.is(number, key(at)));
        for (at, number) in numbers.iter_mut().enumerate().filter(|(_, number)| **number == NONE) {
            if wanted(at) {
                *number = self.insert(hashes[at], key(at));
            }
        }
        numbers
    }

    /// Reserves space for more keys.
    pub(crate) fn reserve(&mut self, keys: usize) {
        self.index.reserve(keys);
        self.entries.reserve(keys);
    }

    fn insert(&mut self, hash: u32, key: &[u8]) -> u32 {
        let len = u32::try_from(key.len()).expect("a key is shorter than a message");
        let key = padded(key).unwrap_or_else(|| self.keep(key));
        let entry = Entry { hash, len, first: NONE, key };
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).ok().filter(|number| *number < NONE - 1).expect("fewer keys")
            }
        };
        self.index.insert(hash, number);
        number
    }

    /// Puts a long key into the buffer. Returns its place.
    fn keep(&mut self, key: &[u8]) -> [u8; SHORT] {
        let at = u32::try_from(self.bytes.len() / ALIGN).expect("a shard's keys take less than 32 GB");
        self.bytes.extend_from_slice(key);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        let mut place = [0; SHORT];
        place[..4].copy_from_slice(&at.to_le_bytes());
        place
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let hash = self.entries[number as usize].hash;
        self.index.remove(hash, number);
        let len = self.entries[number as usize].len as usize;
        if len > SHORT {
            self.dead += len.next_multiple_of(ALIGN);
        }
        self.free.push(number);
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let entry = &self.entries[number as usize];
        let len = entry.len as usize;
        if len <= SHORT {
            return &entry.key[..len];
        }
        let [a, b, c, d, ..] = entry.key;
        &self.bytes[u32::from_le_bytes([a, b, c, d]) as usize * ALIGN..][..len]
    }

    pub(crate) fn hash_of(&self, number: u32) -> u32 {
        self.entries[number as usize].hash
    }

    #[inline]
    pub(crate) fn first(&self, number: u32) -> u32 {
        self.entries[number as usize].first
    }

    #[inline]
    pub(crate) fn set_first(&mut self, number: u32, slot: u32) {
        self.entries[number as usize].first = slot;
    }

    /// Numbers given out; some may be free again.
    pub(crate) fn numbers(&self) -> usize {
        self.entries.len()
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Bytes of the present keys, including their entries and index slots.
    pub(crate) fn live_bytes(&self) -> usize {
        self.bytes.len() - self.dead + self.len() * (size_of::<Entry>() + size_of::<u64>())
    }

    /// Allocated bytes.
    pub(crate) fn capacity_bytes(&self) -> usize {
        let index = self.index.capacity_bytes();
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>() + index
    }

    #[inline]
    fn is(&self, number: u32, key: &[u8]) -> bool {
        let entry = &self.entries[number as usize];
        match padded(key) {
            Some(padded) => entry.len as usize == key.len() && entry.key == padded,
            None => self.get(number) == key,
        }
    }

    /// Whether most of the space belongs to removed keys.
    pub(crate) fn is_mostly_dead(&self) -> bool {
        let long = self.dead > 64 << 10 && self.dead > self.bytes.len() / 2;
        long || self.free.len() > 1_024 && self.free.len() > self.entries.len() / 4 * 3
    }
}

/// A short key, then zeros.
#[inline]
fn padded(key: &[u8]) -> Option<[u8; SHORT]> {
    let mut padded = [0; SHORT];
    padded.get_mut(..key.len())?.copy_from_slice(key);
    Some(padded)
}
