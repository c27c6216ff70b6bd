//! Keys by number: their bytes in one buffer, and an index from hash to number.

use hashbrown::HashTable;

/// No slot, or no key.
pub(crate) const NONE: u32 = u32::MAX;

/// Alignment of keys in the buffer, so that 32-bit positions address 32 GB.
const ALIGN: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Keys {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    free: Vec<u32>,
    /// Bytes of removed keys.
    dead: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    hash: u32,
    at: u32,
    len: u32,
    /// The owner's value for the key: its newest slot.
    first: u32,
}

impl Keys {
    /// The number of a key.
    #[inline]
    pub(crate) fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.table.find(spread(hash), |number| self.is(*number, hash, key)).copied()
    }

    /// The number of a key; adds the key if it is new.
    #[inline]
    pub(crate) fn of(&mut self, hash: u32, key: &[u8]) -> u32 {
        match self.find(hash, key) {
            Some(number) => number,
            None => self.insert(hash, key),
        }
    }

    /// Reserves space for more keys.
    pub(crate) fn reserve(&mut self, keys: usize) {
        let Keys { table, entries, .. } = self;
        table.reserve(keys, |number| spread(entries[*number as usize].hash));
        self.entries.reserve(keys);
    }

    fn insert(&mut self, hash: u32, key: &[u8]) -> u32 {
        let at = u32::try_from(self.bytes.len() / ALIGN).expect("a shard's keys take less than 32 GB");
        let len = u32::try_from(key.len()).expect("a key is shorter than a message");
        self.bytes.extend_from_slice(key);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        let entry = Entry { hash, at, len, first: NONE };
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
        let Keys { table, entries, .. } = self;
        table.insert_unique(spread(hash), number, |number| spread(entries[*number as usize].hash));
        number
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let hash = self.entries[number as usize].hash;
        let place = self.table.find_entry(spread(hash), |other| *other == number).expect("a key is in its index");
        place.remove();
        self.dead += (self.entries[number as usize].len as usize).next_multiple_of(ALIGN);
        self.free.push(number);
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let entry = &self.entries[number as usize];
        &self.bytes[entry.at as usize * ALIGN..][..entry.len as usize]
    }

    pub(crate) fn hash(&self, number: u32) -> u32 {
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
        self.bytes.len() - self.dead + self.len() * (size_of::<Entry>() + 2 * size_of::<u32>())
    }

    /// Allocated bytes.
    pub(crate) fn capacity_bytes(&self) -> usize {
        let index = self.table.capacity() * 2 * size_of::<u32>();
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>() + index
    }

    /// Whether more than half of the space belongs to removed keys.
    pub(crate) fn is_mostly_dead(&self) -> bool {
        self.dead > 64 << 10 && self.dead > self.bytes.len() / 2
    }

    #[inline]
    fn is(&self, number: u32, hash: u32, key: &[u8]) -> bool {
        self.entries[number as usize].hash == hash && self.get(number) == key
    }
}

/// Spreads the hash for the index. Only its upper bits differ between shards, and the index uses both ends.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
