//! The driver's half: the sessions of a subset of the keys.
//!
//! Of each key that a batch names, the new spans and the stored sessions that they reach are put in order of their starts and
//! joined. Accumulators are merged in this order, as in Spark: a stored session before spans that begin with it, spans by
//! their ends, then as the rows came. Rows have no other position.

use super::joined::{Span, joined, joins};
use crate::column::{Column, Kind};
use crate::hash::hash;
use crate::keys::NONE;
use crate::layout::Layout;
use crate::section::{self, Section, write_sessions};
use crate::shard::Outcome;
use crate::store::{Batch, Emit};
use crate::table::Table;
use crate::windows::{Emitted, Place, Step, emit};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The sessions of a subset of the keys.
#[derive(Debug)]
pub(crate) struct SessionShard {
    /// The slice of a slot is the start of its session.
    table: Table,
    /// The end of each slot's session.
    ends: Vec<i64>,
    /// If the watermark closes sessions: their ends and slots.
    by_end: BTreeSet<(i64, u32)>,
    /// Scratch space for [`section::write`].
    numbers: Vec<u32>,
    /// Numbers of the keys that the copy in progress still lacks.
    uncopied: Range<u32>,
}

/// New spans of a batch, with the columns that their rows are in.
#[derive(Default)]
struct Fresh {
    /// Key, span, row.
    spans: Vec<(u32, Span, u32)>,
    columns: Vec<Column>,
    /// Late ones.
    dropped: BTreeSet<(Vec<u8>, Span)>,
}

/// A part of a session.
#[derive(Clone, Copy)]
enum Piece {
    Stored(u32),
    Fresh(u32),
}

/// What a batch makes of the sessions.
#[derive(Default)]
struct Changes {
    /// How the accumulators of the changed sessions come about, one row each.
    steps: Vec<Step>,
    /// Their slots.
    touched: Vec<u32>,
    /// Slots of sessions that are part of others now.
    absorbed: Vec<u32>,
}

impl SessionShard {
    pub(crate) fn new(kinds: &[Kind]) -> SessionShard {
        SessionShard {
            table: Table::new(kinds),
            ends: Vec::new(),
            by_end: BTreeSet::new(),
            numbers: Vec::new(),
            uncopied: 0..0,
        }
    }

    pub(crate) fn groups(&self) -> u64 {
        self.table.len() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.bytes() + self.table.len() * size_of::<i64>()
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.table.capacity_bytes() + self.ends.capacity() * size_of::<i64>()
    }

    /// Merges the sections of all tasks; puts sessions out; evicts.
    pub(crate) fn merge<'a>(
        &mut self,
        layout: &Layout,
        batch: &Batch,
        sections: impl Iterator<Item = Section<'a>>,
    ) -> Outcome {
        let mut fresh = self.fresh(layout, batch, sections);
        fresh.spans.sort_unstable();
        let mut changes = Changes::default();
        for of_key in fresh.spans.chunk_by(|a, b| a.0 == b.0) {
            self.join(layout, of_key, &mut changes);
        }
        self.carry_out(layout, &changes, &mut fresh.columns);
        let Changes { mut touched, .. } = changes;
        let mut outcome =
            Outcome { dropped: fresh.dropped.len() as u64, updated: touched.len() as u64, ..Outcome::default() };
        outcome.emitted = match batch.emit {
            Emit::Touched => self.emitted(layout, touched.iter().copied()),
            Emit::All => self.emitted(layout, self.table.live().map(|(slot, _)| slot)),
            Emit::Evicted => self.emitted(layout, self.due(batch.evict_until.filter(|_| layout.evicts))),
            Emit::Nothing => Emitted::default(),
        };
        if let Some(until) = batch.evict_until.filter(|_| layout.evicts) {
            outcome.removed = self.evict(until);
        }
        touched.retain(|slot| self.table.slots[*slot as usize].key != NONE);
        if !touched.is_empty() {
            self.write_slots(&touched, &mut outcome.changed);
        }
        if self.table.is_mostly_empty() {
            self.compact(layout);
        }
        outcome
    }

    /// The spans of all sections that are not late.
    fn fresh<'a>(&mut self, layout: &Layout, batch: &Batch, sections: impl Iterator<Item = Section<'a>>) -> Fresh {
        let columns = layout.kinds.iter().map(|kind| Column::new(*kind)).collect();
        let mut fresh = Fresh { columns, ..Fresh::default() };
        let mut rows = 0;
        for mut section in sections {
            let cells = section.slices.len() as u32;
            for (cell, (key, start)) in (0..).zip(section.cells()) {
                let (key, span) = (section.key(key as usize), (start, section.ends[cell as usize]));
                if batch.late_until.is_some_and(|until| span.1 <= until) {
                    fresh.dropped.insert((key.to_vec(), span));
                    continue;
                }
                fresh.spans.push((self.table.keys.of(hash(key), key), span, rows + cell));
            }
            for (column, from) in fresh.columns.iter_mut().zip(&mut section.columns) {
                from.forget_places();
                column.grow((rows + cells) as usize);
                column.set_all((rows..).zip(0..cells), from);
            }
            rows += cells;
        }
        fresh
    }

    /// Joins the new spans of a key, in order, with the stored sessions that they reach.
    fn join(&mut self, layout: &Layout, fresh: &[(u32, Span, u32)], changes: &mut Changes) {
        let key = fresh[0].0;
        let until = fresh.iter().map(|(_, span, _)| span.1).max().expect("there is a span");
        let mut stored = Vec::new();
        self.table.slots_reaching(key, fresh[0].1.0, until.saturating_add(1), &mut stored);
        // A stored session comes before spans that begin with it.
        let stored = stored
            .into_iter()
            .map(|(start, slot)| ((start, false, 0, 0), self.ends[slot as usize], Piece::Stored(slot)));
        let rows = fresh.iter().map(|(_, (start, end), row)| ((*start, true, *end, *row), *end, Piece::Fresh(*row)));
        let mut pieces: Vec<_> = stored.chain(rows).collect();
        pieces.sort_unstable_by_key(|(order, ..)| *order);
        let span = |at: usize| (pieces[at].0.0, pieces[at].1);
        joined(pieces.len(), span, |span, range| {
            let pieces = pieces[range].iter().map(|(.., piece)| *piece);
            if pieces.clone().any(|piece| matches!(piece, Piece::Fresh(_))) {
                self.change(layout, key, span, pieces, changes);
            }
        });
    }

    /// A session that is made of these pieces.
    fn change(
        &mut self,
        layout: &Layout,
        key: u32,
        (start, end): Span,
        pieces: impl Iterator<Item = Piece>,
        changes: &mut Changes,
    ) {
        let slot = self.table.slot(key, start).slot;
        let row = changes.touched.len() as u32;
        for (at, piece) in pieces.enumerate() {
            changes.steps.push(match piece {
                Piece::Stored(from) if at == 0 => Step::OutIsSlot(row, from),
                Piece::Stored(from) => Step::OutAddSlot(row, from),
                Piece::Fresh(from) if at == 0 => Step::OutIsScratch(row, from),
                Piece::Fresh(from) => Step::OutAddScratch(row, from),
            });
            if let Piece::Stored(stored) = piece {
                self.by_end.remove(&(self.ends[stored as usize], stored));
                changes.absorbed.extend(Some(stored).filter(|stored| *stored != slot));
            }
        }
        changes.touched.push(slot);
        self.set_end(layout, slot, end);
    }

    fn set_end(&mut self, layout: &Layout, slot: u32, end: i64) {
        if self.ends.len() <= slot as usize {
            self.ends.resize(slot as usize + 1, 0);
        }
        self.ends[slot as usize] = end;
        if layout.evicts {
            self.by_end.insert((end, slot));
        }
    }

    fn carry_out(&mut self, layout: &Layout, changes: &Changes, fresh: &mut [Column]) {
        for ((column, fresh), kind) in self.table.columns().iter_mut().zip(fresh).zip(&layout.kinds) {
            let mut made = Column::new(*kind);
            made.grow(changes.touched.len());
            made.run(&changes.steps, column, fresh);
            column.set_all(changes.touched.iter().copied().zip(0..), &made);
        }
        self.table.remove(&changes.absorbed);
    }

    /// The slots of sessions that close by then.
    fn due(&self, until: Option<i64>) -> impl Iterator<Item = u32> {
        let until = until.map(|until| (i64::MIN, 0)..=(until, u32::MAX));
        until.into_iter().flat_map(|until| self.by_end.range(until)).map(|(_, slot)| *slot)
    }

    fn emitted(&self, layout: &Layout, slots: impl Iterator<Item = u32>) -> Emitted {
        let place = |slot: u32| (self.table.slots[slot as usize].key, self.table.slots[slot as usize].slice, slot);
        let mut places: Vec<Place> = slots.map(place).collect();
        places.sort_unstable();
        let ends = places.iter().map(|(.., slot)| self.ends[*slot as usize]).collect();
        Emitted { ends, ..emit(&self.table, &layout.kinds, &layout.grid, &places, (i64::MIN, i64::MAX)) }
    }

    /// Evicts the sessions that end at or before then. Returns their number.
    pub(crate) fn evict(&mut self, until: i64) -> u64 {
        let slots: Vec<u32> = self.due(Some(until)).collect();
        self.by_end = until.checked_add(1).map_or_else(BTreeSet::new, |next| self.by_end.split_off(&(next, 0)));
        self.table.remove(&slots);
        slots.len() as u64
    }

    /// Reserves space for what is about to be put in.
    pub(crate) fn reserve(&mut self, sections: &[&[u8]]) {
        let counts = sections.iter().map(|section| section::counts(section));
        let (keys, cells) = counts.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        self.table.reserve(keys, cells);
    }

    /// Puts in the sessions of a section, instead of those that they meet.
    pub(crate) fn put(&mut self, layout: &Layout, section: &Section<'_>) {
        let (mut into, mut absorbed, mut reached) = (Vec::new(), Vec::new(), Vec::new());
        for ((number, start), end) in section.cells().zip(&section.ends) {
            let bytes = section.key(number as usize);
            let key = self.table.keys.of(hash(bytes), bytes);
            self.table.slots_reaching(key, start, end.saturating_add(1), &mut reached);
            reached.retain(|(from, slot)| *from >= start || joins(self.ends[*slot as usize], (start, *end)));
            let slot = self.table.slot(key, start).slot;
            for (_, stored) in &reached {
                self.by_end.remove(&(self.ends[*stored as usize], *stored));
            }
            absorbed.extend(reached.iter().map(|(_, stored)| *stored).filter(|stored| *stored != slot));
            self.table.remove(&absorbed);
            absorbed.clear();
            self.set_end(layout, slot, *end);
            into.push(slot);
        }
        for (column, from) in self.table.columns().iter_mut().zip(&section.columns) {
            column.set_all(into.iter().copied().zip(0..), from);
        }
    }

    /// Counts the sessions by start and end.
    pub(crate) fn count(&self, counts: &mut BTreeMap<Span, u64>) {
        for (number, slot) in self.table.live() {
            *counts.entry((slot.slice, self.ends[number as usize])).or_default() += 1;
        }
    }

    fn write_slots(&mut self, slots: &[u32], out: &mut Vec<u8>) {
        let (table, ends) = (&self.table, &self.ends);
        let span = |slot: u32| (table.slots[slot as usize].slice, ends[slot as usize]);
        write_sessions(table, slots, span, &mut self.numbers, out);
    }

    /// Begins a copy: everything is still to be copied.
    pub(crate) fn begin_copy(&mut self) {
        self.uncopied = 0..self.table.keys.numbers() as u32;
    }

    /// Appends the sessions of the next keys as a section: `share.0` of `share.1` equal parts. Returns whether the copy is
    /// complete.
    pub(crate) fn copy(&mut self, share: (u64, u64), out: &mut Vec<u8>) -> bool {
        let slots = self.table.next_slots(&mut self.uncopied, share);
        if !slots.is_empty() {
            self.write_slots(&slots, out);
        }
        self.uncopied.is_empty()
    }

    /// All sessions as a section. The order depends only on the sessions.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let slots = self.table.in_order();
        let span = |slot: u32| (self.table.slots[slot as usize].slice, self.ends[slot as usize]);
        if !slots.is_empty() {
            write_sessions(&self.table, &slots, span, &mut Vec::new(), out);
        }
    }

    /// Takes another layout, in which sessions may be evicted or not.
    pub(crate) fn relay(&mut self, layout: &Layout) {
        let all = self.table.live().map(|(slot, _)| (self.ends[slot as usize], slot));
        self.by_end = all.filter(|_| layout.evicts).collect();
    }

    fn compact(&mut self, layout: &Layout) {
        let old = std::mem::take(&mut self.ends);
        self.ends = vec![0; self.table.len()];
        for (slot, from) in self.table.compact(&layout.kinds) {
            self.ends[slot as usize] = old[from as usize];
        }
        if !self.uncopied.is_empty() {
            // The keys have new numbers. A session may be copied twice.
            self.begin_copy();
        }
        self.numbers = Vec::new();
        self.relay(layout);
    }
}
