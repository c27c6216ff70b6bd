//! Groups of one shard as bytes, in columns. Partials, deltas and snapshots consist of sections.
//!
//! ```text
//! keys: u32 | cells: u32 | lengths of the keys: u32 each | their bytes | for each cell the number of its key: u32
//! | its slice: i64 | of sessions, its end: i64 | a column for each aggregate
//! ```
//! A part has one section per shard, each preceded by its length. All numbers are little-endian.

use crate::bytes::{Fixed, put_all, put_u32, take, take_u32};
use crate::column::{Column, Kind};
use crate::hash::{SHARDS, shard};
use crate::keys::NONE;
use crate::layout::Grid;
use crate::table::Table;
use std::borrow::Cow;

/// A decoded section.
#[derive(Debug)]
pub struct Section<'a> {
    /// Where each key ends in `key_bytes`.
    key_ends: Vec<usize>,
    key_bytes: &'a [u8],
    /// Each cell's key.
    pub(crate) keys: Cow<'a, [u32]>,
    /// Each cell's slice.
    pub(crate) slices: Vec<i64>,
    /// Each cell's end, if cells are sessions.
    pub(crate) ends: Vec<i64>,
    pub(crate) columns: Vec<Column>,
}

impl<'a> Section<'a> {
    pub(crate) fn read(mut bytes: &'a [u8], grid: &Grid, kinds: &[Kind]) -> Option<Section<'a>> {
        let mut section = Section::take_keys(&mut bytes, grid)?;
        let cells = section.slices.len();
        section.columns = kinds.iter().map(|kind| Column::read(*kind, cells, &mut bytes)).collect::<Option<_>>()?;
        bytes.is_empty().then_some(section)
    }

    /// Keys, slices and ends only: what can be read without knowing the aggregates.
    pub(crate) fn take_keys(bytes: &mut &'a [u8], grid: &Grid) -> Option<Section<'a>> {
        let (keys, cells) = (take_u32(bytes)? as usize, take_u32(bytes)? as usize);
        let mut end = 0usize;
        let ends = u32::take_all(bytes, keys)?.into_iter().map(|length| {
            end = end.saturating_add(length as usize);
            end
        });
        let key_ends: Vec<usize> = ends.collect();
        let key_bytes = take(bytes, end)?;
        let cell_keys = u32::take_all(bytes, cells)?;
        let slices = i64::take_all(bytes, cells)?;
        let ends = if *grid == Grid::Sessions { i64::take_all(bytes, cells)? } else { Vec::new() };
        let sound = cell_keys.iter().all(|key| (*key as usize) < keys);
        sound.then_some(Section { key_ends, key_bytes, keys: cell_keys.into(), slices, ends, columns: Vec::new() })
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.key_ends.len()
    }

    /// A key.
    pub fn key(&self, number: usize) -> &'a [u8] {
        let start = if number == 0 { 0 } else { self.key_ends[number - 1] };
        &self.key_bytes[start..self.key_ends[number]]
    }

    /// The groups: (number of the key, slice).
    pub fn cells(&self) -> impl Iterator<Item = (u32, i64)> {
        self.keys.iter().copied().zip(self.slices.iter().copied())
    }

    /// Replaces each cell by those that `spread` gives: (cell, slice).
    pub fn spread(&mut self, spread: &[(u32, i64)], kinds: &[Kind]) {
        self.keys = spread.iter().map(|(cell, _)| self.keys[*cell as usize]).collect();
        self.slices = spread.iter().map(|(_, slice)| *slice).collect();
        let columns = kinds.iter().zip(&self.columns).map(|(kind, from)| {
            let mut column = Column::new(*kind);
            column.grow(spread.len());
            column.set_all((0..).zip(spread).map(|(to, (cell, _))| (to, *cell)), from);
            column
        });
        self.columns = columns.collect();
    }
}

/// How many keys and groups a section says that it has; never more than its bytes can hold.
pub(crate) fn counts(mut section: &[u8]) -> (usize, usize) {
    let most = section.len() / size_of::<u32>();
    let mut take = || take_u32(&mut section).map_or(0, |count| most.min(count as usize));
    (take(), take())
}

/// Appends the groups of some slots. `numbers` is scratch space indexed by key number; it is all [`NONE`] before and
/// after.
pub(crate) fn write(table: &Table, slots: &[u32], numbers: &mut Vec<u32>, out: &mut Vec<u8>) {
    write_keys(table, slots, numbers, out);
    slots.iter().for_each(|slot| table.slots[*slot as usize].slice.put(out));
    table.columns_as_they_are().iter().for_each(|column| column.write(slots, out));
}

/// The same of sessions, which begin and end as `span` says of their slots.
pub(crate) fn write_sessions(
    table: &Table,
    slots: &[u32],
    span: impl Fn(u32) -> (i64, i64),
    numbers: &mut Vec<u32>,
    out: &mut Vec<u8>,
) {
    write_keys(table, slots, numbers, out);
    slots.iter().for_each(|slot| span(*slot).0.put(out));
    slots.iter().for_each(|slot| span(*slot).1.put(out));
    table.columns_as_they_are().iter().for_each(|column| column.write(slots, out));
}

fn write_keys(table: &Table, slots: &[u32], numbers: &mut Vec<u32>, out: &mut Vec<u8>) {
    numbers.resize(table.keys.numbers(), NONE);
    let mut keys = Vec::new();
    let mut cell_keys = Vec::with_capacity(slots.len());
    for slot in slots {
        let key = table.slots[*slot as usize].key;
        let number = &mut numbers[key as usize];
        if *number == NONE {
            *number = keys.len() as u32;
            keys.push(key);
        }
        cell_keys.push(*number);
    }
    put_u32(out, keys.len() as u32);
    put_u32(out, slots.len() as u32);
    keys.iter().for_each(|key| put_u32(out, table.keys.get(*key).len() as u32));
    keys.iter().for_each(|key| out.extend_from_slice(table.keys.get(*key)));
    put_all(out, &cell_keys);
    keys.iter().for_each(|key| numbers[*key as usize] = NONE);
}

impl Table {
    /// A task's groups as a part, in the order in which they were added.
    pub fn to_part(&mut self) -> Vec<u8> {
        self.columns();
        let mut numbers = Vec::new();
        self.in_sections(&mut |slots, section| write(self, slots, &mut numbers, section))
    }

    /// The groups as a part, in sections that `write` writes, each of some slots.
    pub(crate) fn in_sections(&self, write: &mut dyn FnMut(&[u32], &mut Vec<u8>)) -> Vec<u8> {
        let mut slots: Vec<Vec<u32>> = vec![Vec::new(); SHARDS];
        for (number, slot) in self.live() {
            slots[shard(self.keys.hash_of(slot.key))].push(number);
        }
        let sections = slots.iter().map(|slots| {
            let mut section = Vec::new();
            if !slots.is_empty() {
                write(slots, &mut section);
            }
            section
        });
        let mut out = Vec::new();
        put_sections(&mut out, &sections.collect::<Vec<_>>());
        out
    }
}

/// Appends a section for each shard. An empty one has no groups.
pub(crate) fn put_sections(out: &mut Vec<u8>, sections: &[Vec<u8>]) {
    out.reserve(sections.iter().map(|section| section.len() + size_of::<u64>()).sum());
    for section in sections {
        (section.len() as u64).put(out);
        out.extend_from_slice(section);
    }
}

/// The bytes of each shard's section.
pub(crate) fn take_sections<'a>(bytes: &mut &'a [u8]) -> Option<Vec<&'a [u8]>> {
    (0..SHARDS)
        .map(|_| {
            let length = u64::take_all(bytes, 1)?[0];
            take(bytes, usize::try_from(length).ok()?)
        })
        .collect()
}
