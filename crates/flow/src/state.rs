//! What a query keeps between batches, and its form in the checkpoint.
//!
//! ```text
//! change of a batch:   rows let out so far, u64, if there is a LIMIT | change of the groups
//! part of a snapshot:  the same, but only the first part has the number of rows
//! with several aggregations:  a change is, for each, length: u64 | its change; a part begins with the aggregation's number, u8
//! ```

use crate::merge::{self, Merged};
use crate::output::first_rows;
use arrow_array::RecordBatch;
use bytes::Bytes;
use std::collections::BTreeMap;
use tidemill_model::fingerprint::{Fingerprint, StatefulOperator};
use tidemill_model::{Error, Result, WindowSpec};
use tidemill_sql::plan::QueryPlan;
use tidemill_state::{Grid, Store, Unreadable};

/// The state of a query: every open group of its aggregations, and how many rows a LIMIT over all batches has let out. Empty
/// for a query without either.
pub struct State {
    /// One for each aggregation, from the sources up.
    stores: Vec<Store>,
    /// Number of rows that have gone out, if the query has such a LIMIT.
    let_out: Option<u64>,
    copying: Copying,
}

/// How far a copy for a snapshot is.
#[derive(Clone, Copy, Debug)]
struct Copying {
    /// The aggregation that is being copied.
    number: usize,
    /// Whether its copy has not begun.
    is_fresh: bool,
}

impl Copying {
    const BEGIN: Copying = Copying { number: 0, is_fresh: true };
}

/// Groups of an aggregation, and the bytes that they take in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Number of groups.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl State {
    /// An empty state. Large batches are merged by this many threads.
    pub fn new(query: &QueryPlan, threads: usize) -> State {
        let stores = query.aggregations().map(|(plan, _)| Store::new(merge::layout(plan), threads)).collect();
        State { stores, let_out: query.limit.map(|_| 0), copying: Copying::BEGIN }
    }

    /// Restores a state from the parts of a snapshot, if there is one, and later deltas, each with its batch.
    ///
    /// # Errors
    /// External: the bytes are not a state. User: another version wrote them.
    pub fn restore(
        query: &QueryPlan,
        threads: usize,
        mut snapshot: Option<(u64, Vec<Bytes>)>,
        mut deltas: Vec<(u64, Bytes)>,
    ) -> Result<State> {
        let mut let_out = query.limit.map(|_| 0);
        if let Some(count) = &mut let_out {
            // Only the first part of a snapshot begins with it.
            let first = snapshot.iter_mut().filter_map(|(batch, parts)| Some((&*batch, parts.first_mut()?)));
            for (batch, bytes) in first.chain(deltas.iter_mut().map(|(batch, bytes)| (&*batch, bytes))) {
                *count = take_u64(bytes).ok_or_else(|| damaged(*batch))?;
            }
        }
        let (first, parts) = snapshot.unzip();
        let first = first.unwrap_or_default();
        let layouts: Vec<_> = query.aggregations().map(|(plan, _)| merge::layout(plan)).collect();
        let mut snapshots = parts_of(parts, layouts.len()).ok_or_else(|| damaged(first))?.into_iter();
        let (batches, deltas): (Vec<u64>, Vec<Bytes>) = deltas.into_iter().unzip();
        let mut by_store = vec![Vec::new(); layouts.len()];
        for (batch, delta) in batches.iter().zip(deltas) {
            let changes = changes_of(delta, layouts.len()).ok_or_else(|| damaged(*batch))?;
            by_store.iter_mut().zip(changes).for_each(|(deltas, change)| deltas.push(change));
        }
        let mut stores = Vec::new();
        for (layout, deltas) in layouts.into_iter().zip(by_store) {
            let snapshot = snapshots.next().flatten();
            let store = Store::restore(layout, threads, snapshot, deltas).map_err(|(delta, error)| match error {
                Unreadable::Damaged => damaged(delta.map_or(first, |delta| batches[delta])),
                Unreadable::Format => Error::user(
                    "the checkpoint's state was written by another version of this program, which kept it in another form; \
                     go on with that version, or start with a new --checkpoint",
                ),
            })?;
            stores.push(store);
        }
        Ok(State { stores, let_out, copying: Copying::BEGIN })
    }

    /// The groups of the aggregation of this number, for [`merge::merge`].
    pub fn store(&mut self, number: usize) -> &mut Store {
        &mut self.stores[number]
    }

    /// The change of a batch, of what all aggregations have merged, and what a LIMIT over all batches leaves of its rows.
    pub fn change(
        &mut self,
        query: &QueryPlan,
        merged: &mut [Merged],
        mut rows: RecordBatch,
    ) -> (Vec<u8>, RecordBatch) {
        let mut change = Vec::new();
        if let (Some(limit), Some(let_out)) = (query.limit, &mut self.let_out) {
            let left = (limit as u64).saturating_sub(*let_out);
            rows = first_rows(rows, usize::try_from(left).unwrap_or(usize::MAX));
            *let_out += rows.num_rows() as u64;
            change.extend(let_out.to_le_bytes());
        }
        let several = self.stores.len() > 1;
        for delta in merged.iter_mut().map(|merged| std::mem::take(&mut merged.delta)) {
            if several {
                change.extend((delta.len() as u64).to_le_bytes());
            }
            match change.is_empty() {
                true => change = delta,
                false => change.extend(delta),
            }
        }
        (change, rows)
    }

    /// Groups in the state.
    pub fn rows(&self) -> u64 {
        self.stores.iter().map(Store::groups).sum()
    }

    /// Rows that a LIMIT over all batches has let out so far, if there is one.
    pub fn let_out(&self) -> Option<u64> {
        self.let_out
    }

    /// Bytes that the groups take in memory.
    pub fn bytes(&self) -> u64 {
        self.stores.iter().map(Store::bytes).sum()
    }

    /// The size of each aggregation, from the sources up.
    pub fn sizes(&self) -> Vec<StateSize> {
        self.stores.iter().map(|store| StateSize { rows: store.groups(), bytes: store.bytes() }).collect()
    }

    /// Copies the next part of a snapshot, for [`State::restore`]: about this many bytes. `begin`: it is the first part of a
    /// new snapshot. Returns whether it is the last one. See [`Store::copy`] for why batches may come in between.
    pub fn copy(&mut self, begin: bool, bytes: u64) -> (Vec<u8>, bool) {
        if begin {
            self.copying = Copying::BEGIN;
        }
        let Copying { number, is_fresh } = self.copying;
        let Some(store) = self.stores.get_mut(number) else { return (self.headed(begin, number, Vec::new()), true) };
        let (groups, is_done) = store.copy(is_fresh, bytes);
        self.copying = Copying { number: number + usize::from(is_done), is_fresh: is_done };
        (self.headed(begin, number, groups), self.copying.number == self.stores.len())
    }

    /// The whole state, as one part for each aggregation. Equal states give equal bytes.
    pub fn snapshot(&mut self) -> Vec<Bytes> {
        let mut groups: Vec<Vec<u8>> = self.stores.iter_mut().map(Store::snapshot).collect();
        if groups.is_empty() {
            groups.push(Vec::new());
        }
        let parts = groups.into_iter().enumerate();
        parts.map(|(number, groups)| self.headed(number == 0, number, groups).into()).collect()
    }

    /// A part with what stands in front of its groups.
    fn headed(&self, is_first: bool, number: usize, groups: Vec<u8>) -> Vec<u8> {
        let count = self.let_out.filter(|_| is_first);
        let number = (self.stores.len() > 1).then_some(number as u8);
        if count.is_none() && number.is_none() {
            return groups;
        }
        let mut part = Vec::with_capacity(groups.len() + size_of::<u64>() + 1);
        part.extend(count.iter().flat_map(|count| count.to_le_bytes()));
        part.extend(number);
        part.extend(groups);
        part
    }
}

/// The parts of a snapshot by aggregation, of so many; `None` if they are none.
fn parts_of(parts: Option<Vec<Bytes>>, count: usize) -> Option<Vec<Option<Vec<Bytes>>>> {
    let Some(parts) = parts.filter(|_| count > 0) else { return Some(vec![None; count]) };
    if count == 1 {
        return Some(vec![Some(parts)]);
    }
    let mut sorted = vec![Vec::new(); count];
    for part in parts {
        let number = usize::from(*part.first()?);
        sorted.get_mut(number)?.push(part.slice(1..));
    }
    let is_whole = sorted.iter().all(|parts| !parts.is_empty());
    is_whole.then(|| sorted.into_iter().map(Some).collect())
}

/// A change by aggregation, of so many; `None` if it is none.
fn changes_of(mut bytes: Bytes, count: usize) -> Option<Vec<Bytes>> {
    if count <= 1 {
        return Some(vec![bytes]);
    }
    let mut changes = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::try_from(take_u64(&mut bytes)?).ok().filter(|length| *length <= bytes.len())?;
        changes.push(bytes.split_to(length));
    }
    bytes.is_empty().then_some(changes)
}

/// The rows of an aggregation in a stored state.
pub struct StoredRows {
    /// Their number.
    pub count: u64,
    /// Their number by the start and the end (µs) of their window or session; none if they have neither.
    pub by_window: BTreeMap<(i64, i64), u64>,
}

impl StoredRows {
    fn of(store: &Store, window: Option<WindowSpec>) -> StoredRows {
        let ended =
            |spec: WindowSpec| store.windows().into_iter().map(move |(start, rows)| ((start, spec.end(start)), rows));
        let mut by_window: BTreeMap<(i64, i64), u64> = window.into_iter().flat_map(ended).collect();
        by_window.extend(store.sessions());
        StoredRows { count: store.groups(), by_window }
    }
}

/// The rows of a stored state, read without the query: from its fingerprint, the parts of a snapshot and the deltas of later
/// batches. One for each aggregation, from the sources up; `None` if only the query knows which rows are closed.
///
/// # Errors
/// External: the bytes are not a state.
pub fn stored_rows(
    fingerprint: &Fingerprint,
    snapshot: Option<Vec<Bytes>>,
    deltas: impl IntoIterator<Item = Bytes>,
) -> Result<Vec<Option<StoredRows>>> {
    let unreadable =
        || Error::external("the state in the checkpoint cannot be decoded; restore the checkpoint from a copy");
    let groupings: Vec<_> = fingerprint.groupings().collect();
    // What is in front of the groups is not asked for.
    let limited = fingerprint.operators.contains(&StatefulOperator::Limit);
    let groups = |mut bytes: Bytes| match limited {
        true => take_u64(&mut bytes).map(|_| bytes),
        false => Some(bytes),
    };
    let snapshot = snapshot.map(|parts| {
        parts
            .into_iter()
            .enumerate()
            .map(|(number, part)| if number == 0 { groups(part) } else { Some(part) })
            .collect()
    });
    let snapshot: Option<Option<Vec<Bytes>>> = snapshot;
    let snapshot = snapshot.map(|parts| parts.ok_or_else(unreadable)).transpose()?;
    let mut snapshots = parts_of(snapshot, groupings.len()).ok_or_else(unreadable)?.into_iter();
    let changes = deltas.into_iter().map(|delta| changes_of(groups(delta)?, groupings.len()));
    let changes = changes.collect::<Option<Vec<Vec<Bytes>>>>().ok_or_else(unreadable)?;
    let mut found = Vec::new();
    for (number, grouping) in groupings.into_iter().enumerate() {
        let spec = grouping.window.as_ref().map(|window| window.spec);
        let grid = if grouping.session.is_some() { Grid::Sessions } else { Grid::of(spec) };
        let snapshot = snapshots.next().flatten();
        let snapshot = snapshot.as_ref().map(|parts| parts.iter().map(|part| &part[..]).collect());
        let deltas = changes.iter().map(|changes| &changes[number][..]);
        let store = Store::of_keys(grid, snapshot, deltas).map_err(|_| unreadable())?;
        let is_known = spec.is_some() || grouping.session.is_some() || !store.layout().evicts;
        found.push(is_known.then(|| StoredRows::of(&store, spec)));
    }
    Ok(found)
}

fn damaged(batch: u64) -> Error {
    Error::external(format!(
        "the state of batch {batch} in the checkpoint cannot be decoded; restore the checkpoint from a copy, or start with a new one"
    ))
}

/// Takes the number in front of some bytes.
fn take_u64(bytes: &mut Bytes) -> Option<u64> {
    let number = u64::from_le_bytes(bytes.get(..size_of::<u64>())?.try_into().ok()?);
    *bytes = bytes.slice(size_of::<u64>()..);
    Some(number)
}
