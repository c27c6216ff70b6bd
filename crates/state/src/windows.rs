//! Builds windows from slices. Each slice is merged a constant number of times, however many windows contain it.
//!
//! ```text
//!  slices    0  1  2  3 | 4  5  6  7 | 8 …        blocks of as many slices as a window has
//!  windows      [1 ─────── 4]                     = suffix of block 0 from 1  +  prefix of block 1 up to 4
//! ```
//! In each block, suffixes are merged from the end and prefixes from the start, once each. So a window's value depends
//! only on its slices, not on which other windows go out or when. Windows of few slices are merged from first to last.
//!
//! The merges are first recorded as [`Step`]s on slot numbers; then each column runs all of them at once.

use crate::column::{Column, Kind, Slots};
use crate::layout::{Grid, union};
use crate::table::Table;

/// Windows of up to this many slices are merged from first to last.
const FEW_SLICES: i64 = 4;

/// Steps are run when this many are recorded.
const STEPS: usize = 1 << 15;

/// A step on a column. Sources are slots of the state or scratch slots; targets are output or scratch slots.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    OutIsSlot(u32, u32),
    OutAddSlot(u32, u32),
    OutIsScratch(u32, u32),
    OutAddScratch(u32, u32),
    ScratchIsSlot(u32, u32),
    ScratchAddSlot(u32, u32),
    ScratchAddScratch(u32, u32),
}

impl Step {
    #[inline]
    pub(crate) fn run<S: Slots>(self, out: &mut S, state: &S, scratch: &mut S) {
        match self {
            Step::OutIsSlot(to, from) => out.set(to as usize, state.get(from as usize)),
            Step::OutAddSlot(to, from) => out.add(to as usize, state.get(from as usize)),
            Step::OutIsScratch(to, from) => out.set(to as usize, scratch.get(from as usize)),
            Step::OutAddScratch(to, from) => out.add(to as usize, scratch.get(from as usize)),
            Step::ScratchIsSlot(to, from) => scratch.set(to as usize, state.get(from as usize)),
            Step::ScratchAddSlot(to, from) => scratch.add(to as usize, state.get(from as usize)),
            Step::ScratchAddScratch(to, from) => {
                let later = scratch.get(from as usize);
                scratch.add(to as usize, later);
            }
        }
    }
}

/// Output groups of a shard.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    pub(crate) key_bytes: Vec<u8>,
    /// End of each key.
    pub(crate) key_ends: Vec<usize>,
    /// Start of the window, and number of the key; one row of the columns each.
    pub(crate) rows: Vec<(i64, u32)>,
    /// Of sessions: the end of each row.
    pub(crate) ends: Vec<i64>,
    pub(crate) columns: Vec<Column>,
}

/// A slot with its sort key: key, slice, slot.
pub(crate) type Place = (u32, i64, u32);

/// The groups that contain one of the sorted `places`, for the windows from `first` to `last`.
pub(crate) fn emit(table: &Table, kinds: &[Kind], grid: &Grid, places: &[Place], (first, last): (i64, i64)) -> Emitted {
    let columns = || kinds.iter().map(|kind| Column::new(*kind)).collect::<Vec<_>>();
    let mut emitter = Emitter {
        table,
        grid,
        out: Emitted { columns: columns(), ..Emitted::default() },
        scratch: columns(),
        scratch_rows: 0,
        steps: Vec::new(),
        slots: Vec::new(),
        windows: Vec::new(),
    };
    for of_key in places.chunk_by(|a, b| a.0 == b.0) {
        let intervals = of_key.iter().map(|(_, slice, _)| {
            let (a, b) = grid.windows(*slice);
            (a.max(first), b.min(last))
        });
        emitter.windows.clear();
        let windows = &mut emitter.windows;
        union(intervals, |first, last| windows.extend(first..=last));
        if !emitter.windows.is_empty() {
            emitter.key(of_key);
        }
    }
    emitter.carry_out();
    emitter.out
}

struct Emitter<'a> {
    table: &'a Table,
    grid: &'a Grid,
    out: Emitted,
    scratch: Vec<Column>,
    scratch_rows: u32,
    steps: Vec<Step>,
    /// The key's slots, ascending.
    slots: Vec<(i64, u32)>,
    /// The key's output windows, ascending.
    windows: Vec<i64>,
}

impl Emitter<'_> {
    fn key(&mut self, places: &[Place]) {
        let number = self.out.key_ends.len() as u32;
        let key = places[0].0;
        self.out.key_bytes.extend_from_slice(self.table.keys.get(key));
        self.out.key_ends.push(self.out.key_bytes.len());
        let row = self.out.rows.len() as u32;
        self.out.rows.extend(self.windows.iter().map(|window| (self.grid.start(*window), number)));
        let slices = match self.grid {
            Grid::Groups { .. } | Grid::Sessions => 1,
            Grid::Slices(spec) => spec.slices_per_window(),
        };
        if slices == 1 {
            // Each place is a group, and none is missing: a closed group has no slot.
            let (first, last) = (self.windows[0], self.windows[self.windows.len() - 1]);
            let inside = places.iter().filter(|(_, slice, _)| (first..=last).contains(&self.grid.windows(*slice).0));
            self.steps.extend((row..).zip(inside).map(|(row, (_, _, slot))| Step::OutIsSlot(row, *slot)));
        } else {
            let from = self.grid.start(self.windows[0]);
            let until = self.grid.end(self.windows[self.windows.len() - 1]);
            self.table.slots_between(key, from, until, &mut self.slots);
            if slices <= FEW_SLICES { self.straight(row) } else { self.by_blocks(row, slices) }
        }
        if self.steps.len() > STEPS {
            self.carry_out();
        }
    }

    fn straight(&mut self, row: u32) {
        let mut first = 0;
        for (window, row) in self.windows.iter().zip(row..) {
            let (start, end) = (self.grid.start(*window), self.grid.end(*window));
            first += self.slots[first..].iter().take_while(|(slice, _)| *slice < start).count();
            let slots = self.slots[first..].iter().take_while(|(slice, _)| *slice < end);
            for (at, (_, slot)) in slots.enumerate() {
                self.steps.push(if at == 0 { Step::OutIsSlot(row, *slot) } else { Step::OutAddSlot(row, *slot) });
            }
        }
    }

    fn by_blocks(&mut self, row: u32, slices: i64) {
        let Grid::Slices(spec) = self.grid else { unreachable!("only windows of slices have blocks") };
        let slots: Vec<(i64, u32)> =
            self.slots.iter().map(|(slice, slot)| (spec.slice_number(*slice), *slot)).collect();
        // Suffix of the block from each slot on; computed at the block's first window.
        let mut from = vec![None; slots.len()];
        // Prefix of the block: its first slot, one past its last slot so far, and where it is stored.
        let mut so_far = (0, 0, None);
        let (mut begin, mut end) = (0, 0);
        for (window, row) in std::mem::take(&mut self.windows).into_iter().zip(row..) {
            let first = spec.slice_number(spec.start(window));
            let last = first + slices - 1;
            let block_end = (first.div_euclid(slices) + 1) * slices;
            begin += slots[begin..].iter().take_while(|(slice, _)| *slice < first).count();
            end = end.max(begin);
            end += slots[end..].iter().take_while(|(slice, _)| *slice <= last).count();
            let middle = begin + slots[begin..end].partition_point(|(slice, _)| *slice < block_end);
            if middle > begin {
                if from[begin].is_none() {
                    for at in (begin..middle).rev() {
                        let scratch = self.scratch();
                        self.steps.push(Step::ScratchIsSlot(scratch, slots[at].1));
                        let later = from.get(at + 1).copied().flatten().filter(|_| at + 1 < middle);
                        self.steps.extend(later.map(|later| Step::ScratchAddScratch(scratch, later)));
                        from[at] = Some(scratch);
                    }
                }
                self.steps.push(Step::OutIsScratch(row, from[begin].expect("merged above")));
            }
            if end > middle {
                if so_far.0 != middle || so_far.2.is_none() {
                    so_far = (middle, middle, None);
                }
                for (_, slot) in &slots[so_far.1..end] {
                    match so_far.2 {
                        Some(scratch) => self.steps.push(Step::ScratchAddSlot(scratch, *slot)),
                        None => {
                            let scratch = self.scratch();
                            so_far.2 = Some(scratch);
                            self.steps.push(Step::ScratchIsSlot(scratch, *slot));
                        }
                    }
                }
                so_far.1 = end;
                let scratch = so_far.2.expect("there is a slot");
                self.steps.push(match middle > begin {
                    true => Step::OutAddScratch(row, scratch),
                    false => Step::OutIsScratch(row, scratch),
                });
            }
        }
    }

    fn scratch(&mut self) -> u32 {
        self.scratch_rows += 1;
        self.scratch_rows - 1
    }

    fn carry_out(&mut self) {
        let columns = self.out.columns.iter_mut().zip(self.table.columns_as_they_are()).zip(&mut self.scratch);
        for ((out, state), scratch) in columns {
            out.grow(self.out.rows.len());
            scratch.grow(self.scratch_rows as usize);
            out.run(&self.steps, state, scratch);
        }
        self.steps.clear();
        self.scratch_rows = 0;
    }
}
