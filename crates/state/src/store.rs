//! The state: all shards, the merge of a batch into them, and their encoding.
//!
//! ```text
//! delta:     format: u8 | 1 if slots are slices, 2 if sessions, else 0 | 1 if groups are evicted | evicted until, µs | sections
//! snapshot:  as a delta, then more sections in further parts
//! ```
//! A delta's sections hold the changed groups as they are now. What it evicts follows from the time alone.
//!
//! A snapshot of a large state is copied in parts, one after a batch, so that no batch waits for all of it. Its groups are
//! from different batches: each as it was when its part was copied. That is enough to restore the state, together with
//! every delta since the batch of the *first* part. A group that no later batch touched is in a part as it is. One that a
//! batch touched is in that batch's delta, which replaces what the part says; applying a delta to a group that is newer
//! already does no harm, since the newest delta of the group comes last. A group that was evicted before its part was
//! copied is missing, or a delta brings it and the eviction of a later one takes it away.

use crate::any_shard::AnyShard;
use crate::bytes::{put_option, take, take_option};
use crate::hash::{SHARDS, hash, shard};
use crate::layout::{Grid, Layout};
use crate::output::Groups;
use crate::section::{Section, put_sections, take_sections};
use crate::shard::Outcome;
use std::collections::BTreeMap;
use std::iter;
use std::sync::Mutex;

/// First byte of an encoded state. The first versions of Tidemill used another one.
const FORMAT: u8 = 0xc2;

/// With less work than this many bytes, threads cost more than they save.
const THREADS_FROM_BYTES: usize = 64 << 10;

/// Which groups go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Those that the batch touched.
    Touched,
    /// Those that are evicted.
    Evicted,
    /// All.
    All,
    /// None.
    Nothing,
}

/// A batch's request to the state.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Its number.
    pub id: u64,
    /// Groups that end at or before this time (µs) are late, if the layout evicts. Sessions that end then are late in any layout.
    pub late_until: Option<i64>,
    /// Groups that end at or before this time (µs) are evicted, if the layout evicts.
    pub evict_until: Option<i64>,
    /// Which groups go out.
    pub emit: Emit,
}

/// The result of a batch.
#[derive(Debug, Default)]
pub struct Merged {
    /// The output groups.
    pub output: Groups,
    /// Groups touched by accepted rows.
    pub updated: u64,
    /// Groups evicted.
    pub removed: u64,
    /// Distinct late groups (rule L3).
    pub dropped: u64,
    /// The state's change, for [`Store::restore`].
    pub delta: Vec<u8>,
}

/// Why bytes cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// They have another format.
    Format,
    /// They are damaged or incomplete.
    Damaged,
}

/// The groups of an aggregation.
pub struct Store {
    layout: Layout,
    shards: Vec<AnyShard>,
    /// Time up to which groups have been evicted, µs.
    evicted_until: Option<i64>,
    threads: usize,
    /// The store holds keys and slices, no accumulators.
    only_keys: bool,
}

impl Store {
    /// An empty state; merges use this many threads.
    pub fn new(mut layout: Layout, threads: usize) -> Store {
        if layout.apart {
            layout.grid = layout.grid.of_groups();
        }
        let shards = (0..SHARDS).map(|_| AnyShard::new(&layout.grid, &layout.kinds)).collect();
        Store { layout, shards, evicted_until: None, threads, only_keys: false }
    }

    /// Its layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Open groups.
    pub fn groups(&self) -> u64 {
        self.shards.iter().map(AnyShard::groups).sum()
    }

    /// Bytes that the groups take in memory.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(AnyShard::bytes).sum::<usize>() as u64
    }

    /// Allocated bytes.
    pub fn capacity_bytes(&self) -> u64 {
        self.shards.iter().map(AnyShard::capacity_bytes).sum::<usize>() as u64
    }

    /// Merges the parts of a batch's tasks, in order. `adapt` may change the groups of a part first.
    ///
    /// # Errors
    /// A part cannot be decoded.
    pub fn merge(
        &mut self,
        batch: &Batch,
        parts: &[&[u8]],
        adapt: &(dyn Fn(&mut Section<'_>) + Sync),
    ) -> Result<Merged, Unreadable> {
        let sections = parts.iter().map(|part| match part {
            // A task without groups.
            [] => Some(vec![*part; SHARDS]),
            part => take_sections(&mut &**part),
        });
        let sections = sections.collect::<Option<Vec<_>>>();
        let sections = sections.ok_or(Unreadable::Damaged)?;
        let global = self.layout.is_global.then(|| shard(hash(&[])));
        let layout = &self.layout;
        let merge = |number: usize, shard: &mut AnyShard| {
            let mut sound = true;
            let read = sections.iter().zip(0..).filter(|(sections, _)| !sections[number].is_empty());
            let sections = read.map_while(|(sections, task)| {
                let section = Section::read(sections[number], &layout.grid, &layout.kinds);
                sound &= section.is_some();
                let mut section = section?;
                adapt(&mut section);
                Some((task, section))
            });
            // All parts are decoded first, so that a batch changes the state completely or not at all.
            let sections: Vec<_> = sections.collect();
            sound.then(|| shard.merge(layout, batch, sections.into_iter(), global == Some(number)))
        };
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        let threads = if bytes < THREADS_FROM_BYTES && batch.emit != Emit::All { 1 } else { self.threads };
        let outcomes = each_shard(&mut self.shards, threads, merge);
        let outcomes = outcomes.into_iter().collect::<Option<Vec<_>>>().ok_or(Unreadable::Damaged)?;
        let evicted_until = batch.evict_until.filter(|_| self.layout.evicts);
        self.evicted_until = self.evicted_until.max(evicted_until);
        Ok(self.merged(outcomes, evicted_until))
    }

    fn merged(&self, outcomes: Vec<Outcome>, evicted_until: Option<i64>) -> Merged {
        let mut merged = Merged::default();
        let (mut emitted, mut changed) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            merged.updated += outcome.updated;
            merged.removed += outcome.removed;
            merged.dropped += outcome.dropped;
            emitted.push(outcome.emitted);
            changed.push(outcome.changed);
        }
        merged.delta = self.bytes_of(evicted_until, &changed);
        merged.output = Groups::new(emitted);
        merged
    }

    /// Copies the next part of a snapshot, about this many bytes of memory, for [`Store::restore`]. `begin`: it is the first
    /// part, and a copy that was in progress is given up. Returns whether it is the last one.
    pub fn copy(&mut self, begin: bool, bytes: u64) -> (Vec<u8>, bool) {
        if begin {
            self.shards.iter_mut().for_each(AnyShard::begin_copy);
        }
        let total = self.bytes().max(1);
        let share = (bytes.clamp(1, total), total);
        let copy = |_: usize, shard: &mut AnyShard| {
            let mut section = Vec::new();
            (shard.copy(share, &mut section), section)
        };
        let threads = if share.0 < THREADS_FROM_BYTES as u64 { 1 } else { self.threads };
        let (complete, sections): (Vec<bool>, Vec<_>) = each_shard(&mut self.shards, threads, copy).into_iter().unzip();
        let mut out = if begin { self.head(self.evicted_until) } else { Vec::new() };
        put_sections(&mut out, &sections);
        (out, complete.into_iter().all(|complete| complete))
    }

    /// The whole state as one part. Equal states give equal bytes.
    pub fn snapshot(&mut self) -> Vec<u8> {
        let write = |_: usize, shard: &mut AnyShard| {
            let mut section = Vec::new();
            shard.write(&mut section);
            section
        };
        let sections = each_shard(&mut self.shards, self.threads, write);
        self.bytes_of(self.evicted_until, &sections)
    }

    fn bytes_of(&self, until: Option<i64>, sections: &[Vec<u8>]) -> Vec<u8> {
        let mut out = self.head(until);
        put_sections(&mut out, sections);
        out
    }

    fn head(&self, until: Option<i64>) -> Vec<u8> {
        let mut out = vec![FORMAT, mark(&self.layout.grid), self.layout.evicts.into()];
        put_option(&mut out, until);
        out
    }

    /// Restores a state from the parts of a snapshot, if there is one, and the deltas of later batches. If the stored layout differs
    /// from `layout` in slices or eviction, each window gets its own slot.
    ///
    /// # Errors
    /// The snapshot (`None`) or the delta of this batch cannot be decoded.
    pub fn restore<B: AsRef<[u8]>>(
        layout: Layout,
        threads: usize,
        snapshot: Option<Vec<B>>,
        deltas: impl IntoIterator<Item = B>,
    ) -> Result<Store, (Option<usize>, Unreadable)> {
        let mut store = Store::new(Layout { apart: false, ..layout.clone() }, threads);
        let mut is_fresh = true;
        if let Some(snapshot) = snapshot {
            store.load(snapshot.iter().map(AsRef::as_ref)).map_err(|error| (None, error))?;
            is_fresh = false;
        }
        for (number, delta) in deltas.into_iter().enumerate() {
            store.apply(delta.as_ref(), std::mem::take(&mut is_fresh)).map_err(|error| (Some(number), error))?;
        }
        let grid = match store.layout.grid {
            Grid::Slices(_) if layout.apart || (store.layout.evicts != layout.evicts && !is_fresh) => {
                layout.grid.of_groups()
            }
            grid => grid,
        };
        store.relay(Layout { grid, ..layout });
        Ok(store)
    }

    /// Which groups a snapshot and the deltas of later batches hold, without their values: for looking at a state whose
    /// query is not at hand. Groups that a key's event time closes stay in it.
    ///
    /// # Errors
    /// The bytes cannot be decoded.
    pub fn of_keys<'a>(
        grid: Grid,
        snapshot: Option<Vec<&'a [u8]>>,
        deltas: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Store, Unreadable> {
        let layout = Layout { kinds: Vec::new(), grid, apart: false, key_time: None, evicts: true, is_global: false };
        let mut store = Store { only_keys: true, ..Store::new(layout, 1) };
        let mut is_fresh = snapshot.is_none();
        snapshot.map(|snapshot| store.load(snapshot.into_iter())).transpose()?;
        for delta in deltas {
            store.apply(delta, std::mem::take(&mut is_fresh))?;
        }
        Ok(store)
    }

    /// Open groups by the start (µs) of their window; without windows, all under 0.
    pub fn windows(&self) -> BTreeMap<i64, u64> {
        let mut edges = BTreeMap::new();
        self.shards.iter().for_each(|shard| shard.count_windows(&self.layout, &mut edges));
        let mut windows = BTreeMap::new();
        let (mut open, mut at) = (0, 0);
        for (edge, change) in edges {
            if open > 0 {
                windows.extend((at..edge).map(|window| (self.layout.grid.start(window), open as u64)));
            }
            (open, at) = (open + change, edge);
        }
        windows
    }

    /// Sessions by start and end, µs.
    pub fn sessions(&self) -> BTreeMap<(i64, i64), u64> {
        let mut counts = BTreeMap::new();
        self.shards.iter().for_each(|shard| shard.count_sessions(&mut counts));
        counts
    }

    /// Converts the groups to another layout.
    fn relay(&mut self, to: Layout) {
        let from = std::mem::replace(&mut self.layout, to);
        let to = &self.layout;
        if from.grid != to.grid || from.evicts != to.evicts {
            each_shard(&mut self.shards, self.threads, |_, shard| shard.relay(&from, to));
        }
    }

    fn load<'a>(&mut self, mut parts: impl Iterator<Item = &'a [u8]>) -> Result<(), Unreadable> {
        let mut first = parts.next().ok_or(Unreadable::Damaged)?;
        let head = Head::take(&mut first)?;
        self.layout = head.layout(&self.layout)?;
        self.evicted_until = head.until;
        let layout = &self.layout;
        self.shards.iter_mut().for_each(|shard| shard.set_closed(layout, head.until));
        self.put(&iter::once(first).chain(parts).collect::<Vec<_>>())
    }

    /// Applies the delta of a later batch. If the delta has another layout, the state takes that layout. `is_fresh`: it
    /// is the first one, applied to an empty state.
    fn apply(&mut self, mut bytes: &[u8], is_fresh: bool) -> Result<(), Unreadable> {
        let bytes = &mut bytes;
        let head = Head::take(bytes)?;
        let layout = head.layout(&self.layout)?;
        if is_fresh {
            self.layout = layout
        } else {
            self.relay(layout)
        }
        self.put(&[*bytes])?;
        if let Some(until) = head.until.filter(|_| self.layout.evicts) {
            let layout = &self.layout;
            each_shard(&mut self.shards, self.threads, |_, shard| shard.evict(layout, until));
            self.evicted_until = self.evicted_until.max(head.until);
        }
        Ok(())
    }

    /// Puts in the sections of some parts, in order.
    fn put(&mut self, parts: &[&[u8]]) -> Result<(), Unreadable> {
        let sections = parts.iter().map(|part| {
            let mut bytes = *part;
            take_sections(&mut bytes).filter(|_| bytes.is_empty())
        });
        let sections = sections.collect::<Option<Vec<_>>>().ok_or(Unreadable::Damaged)?;
        let (layout, only_keys) = (&self.layout, self.only_keys);
        let put = |number: usize, shard: &mut AnyShard| {
            let sections = sections.iter().map(|part| part[number]).filter(|section| !section.is_empty());
            let sections: Vec<&[u8]> = sections.collect();
            if shard.is_empty() {
                shard.reserve(&sections);
            }
            for section in sections {
                let section = match only_keys {
                    true => Section::take_keys(&mut &*section, &layout.grid)?,
                    false => Section::read(section, &layout.grid, &layout.kinds)?,
                };
                shard.put(layout, &section);
            }
            Some(())
        };
        let done = each_shard(&mut self.shards, self.threads, put);
        done.into_iter().collect::<Option<Vec<()>>>().map(|_| ()).ok_or(Unreadable::Damaged)
    }
}

/// The header of a snapshot or delta.
struct Head {
    mark: u8,
    evicts: bool,
    until: Option<i64>,
}

/// What slots are, as a number.
fn mark(grid: &Grid) -> u8 {
    match grid {
        Grid::Groups { .. } => 0,
        Grid::Slices(_) => 1,
        Grid::Sessions => 2,
    }
}

impl Head {
    fn take(bytes: &mut &[u8]) -> Result<Head, Unreadable> {
        let marks = take(bytes, 3).ok_or(Unreadable::Damaged)?;
        if marks[0] != FORMAT {
            return Err(Unreadable::Format);
        }
        let until = take_option(bytes).ok_or(Unreadable::Damaged)?;
        Ok(Head { mark: marks[1], evicts: marks[2] == 1, until })
    }

    /// The layout that the bytes were written with.
    fn layout(&self, layout: &Layout) -> Result<Layout, Unreadable> {
        let grid = if self.mark == mark(&layout.grid) { layout.grid } else { layout.grid.of_groups() };
        if mark(&grid) != self.mark {
            return Err(Unreadable::Damaged);
        }
        Ok(Layout { grid, evicts: self.evicts, ..layout.clone() })
    }
}

/// Calls `work` on every shard, on this many threads. Results are in shard order.
fn each_shard<R: Send>(
    shards: &mut [AnyShard],
    threads: usize,
    work: impl Fn(usize, &mut AnyShard) -> R + Sync,
) -> Vec<R> {
    if threads <= 1 {
        return shards.iter_mut().enumerate().map(|(number, shard)| work(number, shard)).collect();
    }
    let next = Mutex::new(shards.iter_mut().enumerate());
    let run = || {
        let mut done = Vec::new();
        loop {
            let taken = next.lock().expect("nobody panics while he takes a shard").next();
            let Some((number, shard)) = taken else { return done };
            done.push((number, work(number, shard)));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(SHARDS)).map(|_| scope.spawn(run)).collect();
        let own = run();
        own.into_iter()
            .chain(others.into_iter().flat_map(|other| other.join().expect("a shard's work panicked")))
            .collect()
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
