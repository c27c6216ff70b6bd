//! A shard of whatever a state keeps: groups or sessions.

use crate::column::Kind;
use crate::layout::{Grid, Layout};
use crate::section::Section;
use crate::sessions::SessionShard;
use crate::shard::{Outcome, Shard};
use crate::store::Batch;
use std::collections::BTreeMap;

/// A subset of the keys.
#[derive(Debug)]
pub(crate) enum AnyShard {
    Groups(Shard),
    Sessions(SessionShard),
}

/// Calls a method that both have.
macro_rules! either {
    ($shard:expr, $own:ident => $body:expr) => {
        match $shard {
            AnyShard::Groups($own) => $body,
            AnyShard::Sessions($own) => $body,
        }
    };
}

impl AnyShard {
    pub(crate) fn new(grid: &Grid, kinds: &[Kind]) -> AnyShard {
        match grid {
            Grid::Sessions => AnyShard::Sessions(SessionShard::new(kinds)),
            Grid::Groups { .. } | Grid::Slices(_) => AnyShard::Groups(Shard::new(kinds)),
        }
    }

    pub(crate) fn groups(&self) -> u64 {
        either!(self, shard => shard.groups())
    }

    pub(crate) fn is_empty(&self) -> bool {
        either!(self, shard => shard.is_empty())
    }

    pub(crate) fn bytes(&self) -> usize {
        either!(self, shard => shard.bytes())
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        either!(self, shard => shard.capacity_bytes())
    }

    pub(crate) fn merge<'a>(
        &mut self,
        layout: &Layout,
        batch: &Batch,
        sections: impl Iterator<Item = (u32, Section<'a>)>,
        holds_global: bool,
    ) -> Outcome {
        match self {
            AnyShard::Groups(shard) => shard.merge(layout, batch, sections, holds_global),
            AnyShard::Sessions(shard) => shard.merge(layout, batch, sections.map(|(_, section)| section)),
        }
    }

    pub(crate) fn reserve(&mut self, sections: &[&[u8]]) {
        either!(self, shard => shard.reserve(sections));
    }

    pub(crate) fn put(&mut self, layout: &Layout, section: &Section<'_>) {
        either!(self, shard => shard.put(layout, section));
    }

    pub(crate) fn evict(&mut self, layout: &Layout, until: i64) -> u64 {
        match self {
            AnyShard::Groups(shard) => shard.evict(layout, until),
            AnyShard::Sessions(shard) => shard.evict(until),
        }
    }

    pub(crate) fn count_windows(&self, layout: &Layout, edges: &mut BTreeMap<i64, i64>) {
        if let AnyShard::Groups(shard) = self {
            shard.count_windows(layout, edges);
        }
    }

    pub(crate) fn count_sessions(&self, counts: &mut BTreeMap<(i64, i64), u64>) {
        if let AnyShard::Sessions(shard) = self {
            shard.count(counts);
        }
    }

    pub(crate) fn begin_copy(&mut self) {
        either!(self, shard => shard.begin_copy());
    }

    pub(crate) fn copy(&mut self, share: (u64, u64), out: &mut Vec<u8>) -> bool {
        either!(self, shard => shard.copy(share, out))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        either!(self, shard => shard.write(out));
    }

    pub(crate) fn set_closed(&mut self, layout: &Layout, until: Option<i64>) {
        if let AnyShard::Groups(shard) = self {
            shard.set_closed(layout, until);
        }
    }

    /// Goes over to another layout.
    pub(crate) fn relay(&mut self, from: &Layout, to: &Layout) {
        match self {
            AnyShard::Groups(shard) => *shard = shard.moved(from, to),
            AnyShard::Sessions(shard) => shard.relay(to),
        }
    }
}
