//! One shard of a state: merges its part of a batch, puts groups out, evicts closed groups, and encodes what has
//! changed.
//!
//! Slots are indexed by slice (or keys by the time in them), so eviction costs only what it evicts. The number of
//! groups per window is stored as the differences between neighbouring windows, so a slot in many windows costs no more
//! than one in few.

use crate::column::Kind;
use crate::hash::hash;
use crate::keys::{Keys, NONE};
use crate::layout::{Grid, Layout, union};
use crate::section::{self, Section};
use crate::store::{Batch, Emit};
use crate::table::Table;
use crate::windows::{Emitted, Place, emit};
use std::collections::BTreeMap;
use std::ops::Range;

/// The groups of a subset of the keys.
#[derive(Debug)]
pub(crate) struct Shard {
    table: Table,
    /// If windows close groups: the slots of each slice.
    by_slice: BTreeMap<i64, Vec<u32>>,
    /// If a time in the key closes groups: the keys of each time.
    by_time: BTreeMap<i64, Vec<u32>>,
    /// Number of open groups.
    groups: u64,
    /// With slices: how many groups a window has more than the window before it.
    edges: BTreeMap<i64, i64>,
    /// Number of the last evicted window.
    closed: i64,
    /// Slots touched by the batch, in order; then a flag per slot.
    touched: Vec<u32>,
    marks: Vec<bool>,
    /// Scratch space for [`section::write`].
    numbers: Vec<u32>,
    /// Numbers of the keys that the copy in progress still lacks.
    uncopied: Range<u32>,
}

/// The result of a batch in one shard.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) emitted: Emitted,
    pub(crate) updated: u64,
    pub(crate) removed: u64,
    pub(crate) dropped: u64,
    /// The changed groups, as a section.
    pub(crate) changed: Vec<u8>,
}

impl Shard {
    pub(crate) fn new(kinds: &[Kind]) -> Shard {
        Shard {
            table: Table::new(kinds),
            by_slice: BTreeMap::new(),
            by_time: BTreeMap::new(),
            groups: 0,
            edges: BTreeMap::new(),
            closed: i64::MIN,
            touched: Vec::new(),
            marks: Vec::new(),
            numbers: Vec::new(),
            uncopied: 0..0,
        }
    }

    pub(crate) fn groups(&self) -> u64 {
        self.groups
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.bytes()
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.table.capacity_bytes()
    }

    /// Merges sections, each with the number of its task; puts groups out; evicts. `holds_global`: the one group
    /// without keys is in this shard.
    pub(crate) fn merge<'a>(
        &mut self,
        layout: &Layout,
        batch: &Batch,
        sections: impl Iterator<Item = (u32, Section<'a>)>,
        holds_global: bool,
    ) -> Outcome {
        let late_until = batch.late_until.filter(|_| layout.evicts);
        let late = Late::new(layout, late_until);
        let mut dropped = Dropped::default();
        // Late windows are closed even before the first eviction (rule M7).
        self.closed = self.closed.max(late.closed);
        if holds_global {
            let key = self.table.keys.of(hash(&[]), &[]);
            let slot = self.enter(layout, key, 0);
            self.touch(slot);
        }
        for (task, section) in sections {
            self.add(layout, &late, &mut dropped, (batch.id, task), section);
        }
        // New slots need space in the columns.
        self.table.columns();
        let mut outcome = Outcome { dropped: dropped.count(layout, &late), ..Outcome::default() };
        self.let_out(layout, batch, &late, &mut outcome);
        if let Some(until) = batch.evict_until.filter(|_| layout.evicts) {
            outcome.removed = self.evict(layout, until);
        }
        self.write_changed(&mut outcome.changed);
        self.touched.clear();
        if self.table.is_mostly_empty() {
            self.compact(layout);
        }
        outcome
    }

    fn add(
        &mut self,
        layout: &Layout,
        late: &Late<'_>,
        dropped: &mut Dropped,
        (batch_id, task): (u64, u32),
        mut section: Section<'_>,
    ) {
        // One pass for the keys, one for the slots, one for each column: in a short loop the processor fetches many of
        // them from memory at once.
        let wanted = self.wanted(layout, late, dropped, &section);
        let keys = self.table.keys.of_all(section.keys(), |key| section.key(key), |key| wanted.keys[key]);
        let cells = section.cells().zip(&wanted.cells);
        let into: Vec<u32> = cells
            .map(|((key, slice), wanted)| if *wanted { self.enter(layout, keys[key as usize], slice) } else { NONE })
            .collect();
        into.iter().filter(|slot| **slot != NONE).for_each(|slot| self.touch(*slot));
        for (column, later) in self.table.columns().iter_mut().zip(&mut section.columns) {
            later.place(batch_id, task);
            column.add_all(&into, later);
        }
    }

    /// What of a section is not too late.
    fn wanted(&self, layout: &Layout, late: &Late<'_>, dropped: &mut Dropped, section: &Section<'_>) -> Wanted {
        let mut keys = vec![false; section.keys()];
        // Cells of a slice often follow each other.
        let mut last = None;
        let cells = section.cells().map(|(key, slice)| {
            let windows = match last {
                Some((same, windows)) if same == slice => windows,
                _ => layout.grid.windows(slice),
            };
            last = Some((slice, windows));
            let bytes = section.key(key as usize);
            let is_late = late.of(bytes, windows);
            if is_late != Lateness::Open {
                dropped.add(bytes, slice);
            }
            let wanted = is_late != Lateness::Closed;
            keys[key as usize] |= wanted;
            wanted
        });
        let cells = cells.collect();
        Wanted { keys, cells }
    }

    /// Reserves space for what is about to be put in.
    pub(crate) fn reserve(&mut self, sections: &[&[u8]]) {
        let (keys, cells) =
            sections.iter().map(|section| section::counts(section)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        self.table.reserve(keys, cells);
    }

    /// Replaces groups by those of a section.
    pub(crate) fn put(&mut self, layout: &Layout, section: &Section<'_>) {
        let keys = self.table.keys.of_all(section.keys(), |key| section.key(key), |_| true);
        let cells = section.cells();
        let into: Vec<u32> = cells.map(|(key, slice)| self.enter(layout, keys[key as usize], slice)).collect();
        for (column, from) in self.table.columns().iter_mut().zip(&section.columns) {
            column.set_all(into.iter().copied().zip(0..), from);
        }
    }

    /// The slot of a (key, slice). A new slot is counted and indexed.
    fn enter(&mut self, layout: &Layout, key: u32, slice: i64) -> u32 {
        let found = self.table.slot(key, slice);
        let Some((older, newer)) = found.new else { return found.slot };
        match &layout.grid {
            Grid::Groups { .. } | Grid::Sessions => self.groups += 1,
            grid => {
                let (first, last) = grid.windows(slice);
                let first = older.map_or(first, |older| first.max(grid.windows(older).1 + 1));
                let first = first.max(self.closed.saturating_add(1));
                let last = newer.map_or(last, |newer| last.min(grid.windows(newer).0 - 1));
                if first <= last {
                    self.groups += last.abs_diff(first) + 1;
                    if layout.evicts && layout.key_time.is_none() {
                        *self.edges.entry(first).or_default() += 1;
                        *self.edges.entry(last + 1).or_default() -= 1;
                    }
                }
            }
        }
        if layout.evicts {
            self.index(layout, key, slice, found.slot, older.is_none() && newer.is_none());
        }
        found.slot
    }

    fn index(&mut self, layout: &Layout, key: u32, slice: i64, slot: u32, key_is_new: bool) {
        match &layout.key_time {
            None => self.by_slice.entry(slice).or_default().push(slot),
            Some(time) if key_is_new => {
                if let Some(time) = time(self.table.keys.get(key)) {
                    self.by_time.entry(time).or_default().push(key);
                }
            }
            Some(_) => {}
        }
    }

    fn touch(&mut self, slot: u32) {
        if self.marks.len() <= slot as usize {
            self.marks.resize(slot as usize + 1, false);
        }
        if !std::mem::replace(&mut self.marks[slot as usize], true) {
            self.touched.push(slot);
        }
    }

    /// Counts the groups that the batch touched, and puts out those that the output mode selects.
    fn let_out(&mut self, layout: &Layout, batch: &Batch, late: &Late<'_>, outcome: &mut Outcome) {
        let open = (late.closed.saturating_add(1), i64::MAX);
        let emit = |places: &[Place], windows| emit(&self.table, &layout.kinds, &layout.grid, places, windows);
        if batch.emit == Emit::Touched {
            outcome.emitted = emit(&self.places(self.touched.iter().copied()), open);
            outcome.updated = outcome.emitted.rows.len() as u64;
            return;
        }
        outcome.updated = match &layout.grid {
            Grid::Groups { .. } | Grid::Sessions => self.touched.len() as u64,
            grid => {
                let places = self.places(self.touched.iter().copied());
                let of_key = places.chunk_by(|a, b| a.0 == b.0);
                let windows = |place: &Place| {
                    let (first, last) = grid.windows(place.1);
                    (first.max(open.0), last)
                };
                of_key.map(|places| union(places.iter().map(windows), |_, _| {})).sum()
            }
        };
        match (batch.emit, batch.evict_until) {
            (Emit::All, _) => {
                let places = self.places(self.table.live().map(|(slot, _)| slot));
                outcome.emitted = emit(&places, open);
            }
            (Emit::Evicted, Some(until)) if layout.evicts => {
                let (slots, windows) = self.due(layout, until);
                outcome.emitted = emit(&self.places(slots.into_iter()), windows);
            }
            _ => {}
        }
    }

    /// The slots of groups that close by `until` µs, and the first and last such window.
    fn due(&self, layout: &Layout, until: i64) -> (Vec<u32>, (i64, i64)) {
        if layout.key_time.is_some() {
            return (self.slots_of_keys_until(until), (i64::MIN, i64::MAX));
        }
        let (first, last) = (self.closed.saturating_add(1), layout.grid.last_closed(until));
        if first > last {
            return (Vec::new(), (0, -1));
        }
        let slices = match self.closed {
            i64::MIN => i64::MIN..layout.grid.end(last),
            _ => layout.grid.start(first)..layout.grid.end(last),
        };
        (self.by_slice.range(slices).flat_map(|(_, slots)| slots).copied().collect(), (first, last))
    }

    fn slots_of_keys_until(&self, until: i64) -> Vec<u32> {
        let mut slots = Vec::new();
        let mut of_key = Vec::new();
        for key in self.by_time.range(..=until).flat_map(|(_, keys)| keys) {
            self.table.slots_between(*key, i64::MIN, i64::MAX, &mut of_key);
            slots.extend(of_key.iter().map(|(_, slot)| *slot));
        }
        slots
    }

    fn places(&self, slots: impl Iterator<Item = u32>) -> Vec<Place> {
        let place = |slot: u32| {
            let of_slot = &self.table.slots[slot as usize];
            (of_slot.key, of_slot.slice, slot)
        };
        let mut places: Vec<Place> = slots.map(place).collect();
        places.sort_unstable();
        places
    }

    /// Evicts what is closed at `until` µs. Returns the number of groups.
    pub(crate) fn evict(&mut self, layout: &Layout, until: i64) -> u64 {
        let (slots, removed) = match &layout.key_time {
            Some(_) => {
                let slots = self.slots_of_keys_until(until);
                let places = self.places(slots.iter().copied());
                let windows = |place: &Place| layout.grid.windows(place.1);
                let of_key = places.chunk_by(|a, b| a.0 == b.0);
                let removed = of_key.map(|places| union(places.iter().map(windows), |_, _| {})).sum();
                self.by_time = until.checked_add(1).map_or_else(BTreeMap::new, |next| self.by_time.split_off(&next));
                (slots, removed)
            }
            None => self.evict_windows(layout, layout.grid.last_closed(until)),
        };
        self.groups -= removed;
        self.table.remove(&slots);
        removed
    }

    fn evict_windows(&mut self, layout: &Layout, closed: i64) -> (Vec<u32>, u64) {
        let mut slots = Vec::new();
        while let Some(entry) = self.by_slice.first_entry().filter(|e| layout.grid.windows(*e.key()).1 <= closed) {
            slots.append(&mut entry.remove());
        }
        self.closed = self.closed.max(closed);
        if let Grid::Groups { .. } = layout.grid {
            let removed = slots.len() as u64;
            return (slots, removed);
        }
        let (mut removed, mut open, mut at) = (0, 0, closed);
        while let Some(edge) = self.edges.first_entry().filter(|edge| *edge.key() <= closed) {
            removed += open * (edge.key() - at);
            at = *edge.key();
            open += edge.remove();
        }
        if open > 0 {
            removed += open * (closed - at + 1);
            *self.edges.entry(closed + 1).or_default() += open;
        }
        (slots, removed as u64)
    }

    fn write_changed(&mut self, out: &mut Vec<u8>) {
        self.touched.iter().for_each(|slot| self.marks[*slot as usize] = false);
        let slots = &self.table.slots;
        self.touched.retain(|slot| slots[*slot as usize].key != NONE);
        if !self.touched.is_empty() {
            section::write(&self.table, &self.touched, &mut self.numbers, out);
        }
    }

    /// Adds how the number of groups changes from one window to the next, by the windows' numbers.
    pub(crate) fn count_windows(&self, layout: &Layout, edges: &mut BTreeMap<i64, i64>) {
        let places = self.places(self.table.live().map(|(slot, _)| slot));
        let windows = |place: &Place| {
            let (first, last) = layout.grid.windows(place.1);
            (first.max(self.closed.saturating_add(1)), last)
        };
        for of_key in places.chunk_by(|a, b| a.0 == b.0) {
            union(of_key.iter().map(windows), |first, last| {
                *edges.entry(first).or_default() += 1;
                *edges.entry(last + 1).or_default() -= 1;
            });
        }
    }

    /// Begins a copy: everything is still to be copied.
    pub(crate) fn begin_copy(&mut self) {
        self.uncopied = 0..self.table.keys.numbers() as u32;
    }

    /// Appends the groups of the next keys as a section: `share.0` of `share.1` equal parts. Returns whether the copy is
    /// complete. Keys that have come since it began are not needed: deltas have them.
    pub(crate) fn copy(&mut self, share: (u64, u64), out: &mut Vec<u8>) -> bool {
        let slots = self.table.next_slots(&mut self.uncopied, share);
        if !slots.is_empty() {
            section::write(&self.table, &slots, &mut self.numbers, out);
        }
        self.uncopied.is_empty()
    }

    /// All groups as a section. The order depends only on the groups.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let slots = self.table.in_order();
        if !slots.is_empty() {
            section::write(&self.table, &slots, &mut Vec::new(), out);
        }
    }

    /// Stops counting windows up to the last one closed at `until` µs.
    pub(crate) fn set_closed(&mut self, layout: &Layout, until: Option<i64>) {
        let until = until.filter(|_| layout.key_time.is_none());
        self.closed = until.map_or(i64::MIN, |until| layout.grid.last_closed(until));
    }

    /// The same groups in another layout: if `from` has slices and `to` does not, a slot for each window.
    pub(crate) fn moved(&self, from: &Layout, to: &Layout) -> Shard {
        let mut shard = Shard::new(&to.kinds);
        let places = self.places(self.table.live().map(|(slot, _)| slot));
        let open = if from.key_time.is_none() { self.closed.saturating_add(1) } else { i64::MIN };
        let emitted = emit(&self.table, &from.kinds, &from.grid, &places, (open, i64::MAX));
        let keys: Vec<u32> = (0..emitted.key_ends.len())
            .map(|number| {
                let start = if number == 0 { 0 } else { emitted.key_ends[number - 1] };
                let key = &emitted.key_bytes[start..emitted.key_ends[number]];
                shard.table.keys.of(hash(key), key)
            })
            .collect();
        let enter = |(slice, key): &(i64, u32)| shard.enter(to, keys[*key as usize], *slice);
        let into: Vec<u32> = emitted.rows.iter().map(enter).collect();
        for (column, from) in shard.table.columns().iter_mut().zip(&emitted.columns) {
            column.set_all(into.iter().copied().zip(0..), from);
        }
        shard
    }

    fn compact(&mut self, layout: &Layout) {
        self.table.compact(&layout.kinds);
        if !self.uncopied.is_empty() {
            // The keys have new numbers. A group may be copied twice.
            self.begin_copy();
        }
        self.marks = Vec::new();
        self.numbers = Vec::new();
        self.by_slice.clear();
        self.by_time.clear();
        let slots: Vec<(u32, u32, i64)> =
            self.table.live().map(|(number, slot)| (number, slot.key, slot.slice)).collect();
        let mut known = vec![false; self.table.keys.numbers()];
        for (slot, key, slice) in slots {
            let key_is_new = !std::mem::replace(&mut known[key as usize], true);
            if layout.evicts {
                self.index(layout, key, slice, slot, key_is_new);
            }
        }
    }
}

/// Which keys and cells of a section are merged.
struct Wanted {
    keys: Vec<bool>,
    cells: Vec<bool>,
}

/// How late a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lateness {
    Open,
    /// Some of its windows are closed.
    Partly,
    Closed,
}

/// What is late in a batch.
struct Late<'a> {
    layout: &'a Layout,
    until: Option<i64>,
    /// The last window that is.
    closed: i64,
}

impl Late<'_> {
    fn new(layout: &Layout, until: Option<i64>) -> Late<'_> {
        let until_window = until.filter(|_| layout.key_time.is_none());
        Late { layout, until, closed: until_window.map_or(i64::MIN, |until| layout.grid.last_closed(until)) }
    }

    #[inline]
    fn of(&self, key: &[u8], (first, last): (i64, i64)) -> Lateness {
        let Some(until) = self.until else { return Lateness::Open };
        if let Some(time) = &self.layout.key_time {
            let is_late = time(key).is_some_and(|time| time <= until);
            return if is_late { Lateness::Closed } else { Lateness::Open };
        }
        match self.closed {
            i64::MIN => Lateness::Open,
            closed if last <= closed => Lateness::Closed,
            closed if first <= closed => Lateness::Partly,
            _ => Lateness::Open,
        }
    }
}

/// The cells of a batch that are late in some window.
#[derive(Default)]
struct Dropped {
    keys: Keys,
    cells: Vec<(u32, i64)>,
}

impl Dropped {
    #[cold]
    fn add(&mut self, key: &[u8], slice: i64) {
        self.cells.push((self.keys.of(hash(key), key), slice));
    }

    /// How many groups were late (rule L3).
    fn count(mut self, layout: &Layout, late: &Late<'_>) -> u64 {
        self.cells.sort_unstable();
        let last = if layout.key_time.is_some() { i64::MAX } else { late.closed };
        let windows = |(_, slice): &(u32, i64)| {
            let (first, of_slice) = layout.grid.windows(*slice);
            (first, of_slice.min(last))
        };
        let of_key = self.cells.chunk_by(|a, b| a.0 == b.0);
        of_key.map(|cells| union(cells.iter().map(windows), |_, _| {})).sum()
    }
}
