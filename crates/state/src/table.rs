//! A table of groups: keys, a slot for each (key, slice), and a column per aggregate.
//!
//! ```text
//!  keys     0: "a" ──► slot 7 ──► slot 2          a key's slots are a list, the newest slice first
//!  slots    2: (key 0, slice 10)   7: (key 0, slice 15)   …
//!  columns  [.. 2 .. 7 ..]  [.. 2 .. 7 ..]        one accumulator each
//! ```
//! A key with a long list gets an ordered map instead, so that no walk exceeds [`WALK_MAX`] steps. Removed slots and
//! keys are reused. An executor folds a task into a table; a shard of the state is a table too.

use crate::column::{Column, Kind};
use crate::hash::hash;
use crate::keys::{Keys, NONE};
use std::collections::BTreeMap;
use std::ops::Range;

/// Marker in place of a key's newest slot: its slots are in the ordered map.
const LONG: u32 = NONE - 1;

/// A list becomes a map when a walk along it is longer than this.
const WALK_MAX: usize = 32;

/// Keys, slots and columns.
#[derive(Debug)]
pub struct Table {
    pub(crate) keys: Keys,
    pub(crate) slots: Vec<Slot>,
    /// Removed slots, for reuse.
    free: Vec<u32>,
    /// For keys with a map: slice → slot.
    long: BTreeMap<u32, BTreeMap<i64, u32>>,
    columns: Vec<Column>,
}

/// The key and slice of a row of the columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// The key's number; [`NONE`] while the slot is free.
    pub(crate) key: u32,
    /// The key's next older slot.
    next: u32,
    pub(crate) slice: i64,
}

/// The result of a lookup.
pub(crate) struct Found {
    pub(crate) slot: u32,
    /// If the slot is new: the slices of the key's neighbouring slots.
    pub(crate) new: Option<(Option<i64>, Option<i64>)>,
}

impl Table {
    /// An empty table.
    pub fn new(kinds: &[Kind]) -> Table {
        Table {
            keys: Keys::default(),
            slots: Vec::new(),
            free: Vec::new(),
            long: BTreeMap::new(),
            columns: kinds.iter().map(|kind| Column::new(*kind)).collect(),
        }
    }

    /// The slot of a group. If it is new, call [`Table::columns`] before using its accumulators.
    #[inline]
    pub fn slot_of(&mut self, key: &[u8], slice: i64) -> u32 {
        let key = self.keys.of(hash(key), key);
        self.slot(key, slice).slot
    }

    /// The columns, grown to all slots.
    pub fn columns(&mut self) -> &mut [Column] {
        let slots = self.slots.len();
        self.columns.iter_mut().for_each(|column| column.grow(slots));
        &mut self.columns
    }

    /// Reserves space for keys and groups.
    pub(crate) fn reserve(&mut self, keys: usize, groups: usize) {
        self.keys.reserve(keys);
        self.slots.reserve(groups);
    }

    /// The columns without growing them.
    pub(crate) fn columns_as_they_are(&self) -> &[Column] {
        &self.columns
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether it holds no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn slot(&mut self, key: u32, slice: i64) -> Found {
        let first = self.keys.first(key);
        if first == LONG {
            return self.slot_of_long(key, slice);
        }
        let (mut before, mut at) = (NONE, first);
        let mut steps = 0;
        while at != NONE && self.slots[at as usize].slice > slice {
            (before, at) = (at, self.slots[at as usize].next);
            steps += 1;
            if steps > WALK_MAX {
                self.make_long(key);
                return self.slot_of_long(key, slice);
            }
        }
        let older = (at != NONE).then(|| self.slots[at as usize].slice);
        if older == Some(slice) {
            return Found { slot: at, new: None };
        }
        let newer = (before != NONE).then(|| self.slots[before as usize].slice);
        let slot = self.take_slot(Slot { key, next: at, slice });
        match before {
            NONE => self.keys.set_first(key, slot),
            before => self.slots[before as usize].next = slot,
        }
        Found { slot, new: Some((older, newer)) }
    }

    fn slot_of_long(&mut self, key: u32, slice: i64) -> Found {
        let slots = &self.long[&key];
        if let Some(slot) = slots.get(&slice) {
            return Found { slot: *slot, new: None };
        }
        let older = slots.range(..slice).next_back().map(|(slice, _)| *slice);
        let newer = slots.range(slice..).next().map(|(slice, _)| *slice);
        let slot = self.take_slot(Slot { key, next: NONE, slice });
        self.long.get_mut(&key).expect("looked up above").insert(slice, slot);
        Found { slot, new: Some((older, newer)) }
    }

    fn make_long(&mut self, key: u32) {
        let mut slots = BTreeMap::new();
        let mut at = self.keys.first(key);
        while at != NONE {
            slots.insert(self.slots[at as usize].slice, at);
            at = self.slots[at as usize].next;
        }
        self.long.insert(key, slots);
        self.keys.set_first(key, LONG);
    }

    fn take_slot(&mut self, slot: Slot) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                let number = u32::try_from(self.slots.len() - 1).ok();
                number.filter(|number| *number < LONG).expect("a shard has fewer groups than 2^32")
            }
        }
    }

    /// A key's slots whose slice begins in `[from, until)`, ascending.
    pub(crate) fn slots_between(&self, key: u32, from: i64, until: i64, out: &mut Vec<(i64, u32)>) {
        out.clear();
        if self.keys.first(key) == LONG {
            out.extend(self.long[&key].range(from..until).map(|(slice, slot)| (*slice, *slot)));
            return;
        }
        let mut at = self.keys.first(key);
        while at != NONE && self.slots[at as usize].slice >= from {
            let slot = &self.slots[at as usize];
            if slot.slice < until {
                out.push((slot.slice, at));
            }
            at = slot.next;
        }
        out.reverse();
    }

    /// The same, and the last slot before them.
    pub(crate) fn slots_reaching(&self, key: u32, from: i64, until: i64, out: &mut Vec<(i64, u32)>) {
        out.clear();
        if self.keys.first(key) == LONG {
            let slots = &self.long[&key];
            let before = slots.range(..from).next_back().into_iter();
            out.extend(before.chain(slots.range(from..until)).map(|(slice, slot)| (*slice, *slot)));
            return;
        }
        let mut at = self.keys.first(key);
        while at != NONE {
            let slot = &self.slots[at as usize];
            if slot.slice < until {
                out.push((slot.slice, at));
            }
            if slot.slice < from {
                break;
            }
            at = slot.next;
        }
        out.reverse();
    }

    /// Removes slots, and keys without slots.
    pub(crate) fn remove(&mut self, slots: &[u32]) {
        for slot in slots {
            let Slot { key, next, slice } = self.slots[*slot as usize];
            self.unlink(*slot, key, next, slice);
            self.slots[*slot as usize].key = NONE;
            if self.keys.first(key) == NONE {
                self.keys.remove(key);
            }
        }
        self.columns.iter_mut().for_each(|column| column.reset(slots));
        self.free.extend_from_slice(slots);
    }

    fn unlink(&mut self, slot: u32, key: u32, next: u32, slice: i64) {
        let first = self.keys.first(key);
        if first == LONG {
            let slots = self.long.get_mut(&key).expect("a long list is a map");
            slots.remove(&slice);
            if slots.is_empty() {
                self.long.remove(&key);
                self.keys.set_first(key, NONE);
            }
        } else if first == slot {
            self.keys.set_first(key, next);
        } else {
            let mut at = first;
            while self.slots[at as usize].next != slot {
                at = self.slots[at as usize].next;
            }
            self.slots[at as usize].next = next;
        }
    }

    /// Whether most of its space belongs to removed groups.
    pub(crate) fn is_mostly_empty(&self) -> bool {
        self.free.len() > 1_024 && self.free.len() > self.slots.len() / 4 * 3 || self.keys.is_mostly_dead()
    }

    /// Rebuilds the table without unused space. Slots and keys get new numbers; gives the new and the old ones of the slots.
    pub(crate) fn compact(&mut self, kinds: &[Kind]) -> Vec<(u32, u32)> {
        let mut table = Table::new(kinds);
        let mut moved = Vec::with_capacity(self.len());
        for (number, slot) in self.live() {
            let key = table.keys.of(self.keys.hash_of(slot.key), self.keys.get(slot.key));
            moved.push((table.slot(key, slot.slice).slot, number));
        }
        for (column, from) in table.columns().iter_mut().zip(&self.columns) {
            column.set_all(moved.iter().copied(), from);
        }
        *self = table;
        moved
    }

    /// The slots of the next keys of those that a copy lacks: `share.0` of `share.1` equal parts of all. Takes these keys out.
    pub(crate) fn next_slots(&self, lacking: &mut Range<u32>, share: (u64, u64)) -> Vec<u32> {
        let keys = (self.keys.numbers() as u64 * share.0).div_ceil(share.1);
        let until = (u64::from(lacking.start) + keys).min(lacking.end.into()) as u32;
        let (mut slots, mut of_key) = (Vec::new(), Vec::new());
        for key in std::mem::replace(&mut lacking.start, until)..until {
            self.slots_between(key, i64::MIN, i64::MAX, &mut of_key);
            slots.extend(of_key.iter().map(|(_, slot)| *slot));
        }
        slots
    }

    /// All slots, in an order that depends only on the groups.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        let keys = &self.keys;
        let mut places: Vec<(u32, u32, i64, u32)> =
            self.live().map(|(number, slot)| (keys.hash_of(slot.key), slot.key, slot.slice, number)).collect();
        places.sort_unstable_by(|a, b| {
            let by_key = || if a.1 == b.1 { std::cmp::Ordering::Equal } else { keys.get(a.1).cmp(keys.get(b.1)) };
            a.0.cmp(&b.0).then_with(by_key).then(a.2.cmp(&b.2))
        });
        places.into_iter().map(|(.., slot)| slot).collect()
    }

    /// The slots that hold groups.
    pub(crate) fn live(&self) -> impl Iterator<Item = (u32, &Slot)> {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.key != NONE)
    }

    /// Bytes of its groups, without free space.
    pub(crate) fn bytes(&self) -> usize {
        let slots = self.len() * size_of::<Slot>();
        self.keys.live_bytes() + slots + self.columns.iter().map(|column| column.bytes(self.len())).sum::<usize>()
    }

    /// Allocated bytes of keys and slots; for the columns the bytes of all slots, including free ones.
    pub(crate) fn capacity_bytes(&self) -> usize {
        let columns = self.columns.iter().map(|column| column.bytes(self.slots.len())).sum::<usize>();
        self.keys.capacity_bytes() + self.slots.capacity() * size_of::<Slot>() + columns
    }
}
