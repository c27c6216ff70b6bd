//! The driver's merge: partials in offset order → state; late groups dropped, closed groups evicted (rules L1–L3, O1–O3).
//!
//! ```text
//!  cells (slice, key) ─spread→ (window, key) ─late?→ dropped, counted
//!                                            └→ merged into the state, touched
//!  then, by mode:   update: touched go out     append: evicted go out     complete: all go out, nothing is ever evicted
//! ```
//! The state is a map of maps in key order, so that what goes out is sorted by group key and nothing depends on hashing.
//! Does not know where partials come from, nor where the state is stored: a change leaves as bytes.

mod stored;

use crate::fold::accumulate::{fresh, merge as merge_accumulators};
use crate::key;
use crate::output::refused;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::DataType;
use std::collections::{BTreeMap, BTreeSet};
use stored::Delta;
use tidemill_model::pipeline::OutputMode;
use tidemill_model::{Accumulator, BatchPlan, Cell, Partial};
use tidemill_sql::eval::EvalContext;
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::AggregatePlan;

/// A group's place: start of its window in µs (0 without a window) and its encoded key.
pub type GroupId = (i64, Box<[u8]>);

/// Groups with their accumulators, in order.
pub type GroupRows = Vec<(GroupId, Vec<Accumulator>)>;

type Groups = BTreeMap<Box<[u8]>, Vec<Accumulator>>;

/// The state of an aggregation: every open group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    windows: BTreeMap<i64, Groups>,
    rows: u64,
    bytes: u64,
}

/// What a batch did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// The groups that go out, in order of window and key.
    pub output: GroupRows,
    /// Groups touched by accepted rows.
    pub updated: u64,
    /// Groups evicted.
    pub removed: u64,
    /// Distinct late (window, key) groups (rule L3).
    pub dropped: u64,
    /// The state's change, for [`State::apply_delta`].
    pub delta: Vec<u8>,
}

impl Merged {
    /// What a batch of a query without an aggregate does to the state: nothing.
    pub fn unchanged() -> Merged {
        Merged { delta: Delta::default().to_bytes(), ..Merged::default() }
    }
}

impl State {
    /// Groups in the state.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes that the groups take in memory, estimated: keys, accumulators and the maps' nodes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Merges a batch's partials, which stand in (topic, partition, offset) order.
    pub fn merge(
        &mut self,
        plan: &AggregatePlan,
        mode: OutputMode,
        batch: &BatchPlan,
        context: &EvalContext,
        partials: &[Partial],
    ) -> Merged {
        let late_until = plan.watermarked.then(|| batch.late_watermark.to_micros().0);
        let closed = Closed::new(plan);
        let mut touched: BTreeSet<GroupId> = BTreeSet::new();
        let mut dropped: BTreeSet<GroupId> = BTreeSet::new();
        let fresh: Vec<Accumulator> = plan.aggregates.iter().map(fresh).collect();
        if closed.is_global() {
            self.group(&fresh, 0, &[]);
            touched.insert((0, Box::default()));
        }
        let unwanted = unwanted(plan, &closed, context, partials);
        let cells =
            partials.iter().zip(0..).flat_map(|(partial, task)| partial.cells.iter().map(move |cell| (cell, task)));
        for (cell, task) in cells {
            for window in closed.windows_of(cell.slice) {
                let id = (window, cell.key.clone());
                if unwanted.contains(&id) {
                    continue;
                }
                if late_until.is_some_and(|until| closed.by(until, window, &cell.key)) {
                    dropped.insert(id);
                    continue;
                }
                let group = self.group(&fresh, window, &cell.key);
                for ((call, into), from) in plan.aggregates.iter().zip(group).zip(&cell.accumulators) {
                    merge_accumulators(call.function, into, from, (batch.batch_id, task));
                }
                touched.insert(id);
            }
        }
        let mut output = match mode {
            OutputMode::Update => touched.iter().map(|id| (id.clone(), self.windows[&id.0][&id.1].clone())).collect(),
            OutputMode::Complete if !batch.is_no_data() => self.all(),
            OutputMode::Append | OutputMode::Complete => Vec::new(),
        };
        let mut delta = Delta::default();
        let evicted = match plan.watermarked {
            true => self.evict(&closed, batch.watermark.to_micros().0, &mut delta),
            false => Vec::new(),
        };
        let removed = evicted.len() as u64;
        if mode == OutputMode::Append {
            output = evicted;
        }
        delta.upserts = touched
            .iter()
            .filter_map(|(window, key)| Some((*window, key.clone(), self.windows.get(window)?.get(key)?.clone())))
            .collect();
        let (updated, dropped) = (touched.len() as u64, dropped.len() as u64);
        Merged { output, updated, removed, dropped, delta: delta.to_bytes() }
    }

    fn group(&mut self, fresh: &[Accumulator], window: i64, key: &[u8]) -> &mut Vec<Accumulator> {
        let groups = self.windows.entry(window).or_default();
        if !groups.contains_key(key) {
            self.rows += 1;
            self.bytes += group_bytes(key, fresh);
            groups.insert(key.into(), fresh.to_vec());
        }
        groups.get_mut(key).expect("inserted above")
    }

    fn all(&self) -> GroupRows {
        let of_window = |(window, groups): (&i64, &Groups)| -> GroupRows {
            groups.iter().map(|(key, accumulators)| ((*window, key.clone()), accumulators.clone())).collect()
        };
        self.windows.iter().flat_map(of_window).collect()
    }

    /// Takes out what is closed by `until` µs, in order, and notes it in the delta.
    fn evict(&mut self, closed: &Closed<'_>, until: i64, delta: &mut Delta) -> GroupRows {
        let mut evicted = GroupRows::new();
        if closed.raw_time.is_none() && closed.plan.window.is_some() {
            while let Some(window) =
                self.windows.first_key_value().map(|(start, _)| *start).filter(|w| closed.by(until, *w, &[]))
            {
                for (key, accumulators) in self.windows.remove(&window).expect("seen above") {
                    self.forget(&key, &accumulators);
                    evicted.push(((window, key), accumulators));
                }
                delta.windows_removed.push(window);
            }
            return evicted;
        }
        let due: Vec<GroupId> =
            self.all().into_iter().map(|(id, _)| id).filter(|(window, key)| closed.by(until, *window, key)).collect();
        for (window, key) in due {
            let accumulators = self.remove(window, &key).expect("listed above");
            delta.groups_removed.push((window, key.clone()));
            evicted.push(((window, key), accumulators));
        }
        evicted
    }

    fn remove(&mut self, window: i64, key: &[u8]) -> Option<Vec<Accumulator>> {
        let groups = self.windows.get_mut(&window)?;
        let accumulators = groups.remove(key)?;
        if groups.is_empty() {
            self.windows.remove(&window);
        }
        self.forget(key, &accumulators);
        Some(accumulators)
    }

    fn forget(&mut self, key: &[u8], accumulators: &[Accumulator]) {
        self.rows -= 1;
        self.bytes -= group_bytes(key, accumulators);
    }
}

/// The groups of a batch that the plan's filters of groups refuse.
fn unwanted(
    plan: &AggregatePlan,
    closed: &Closed<'_>,
    context: &EvalContext,
    partials: &[Partial],
) -> BTreeSet<GroupId> {
    let Some(filter) = Expr::all(plan.group_filters.iter().cloned()) else { return BTreeSet::new() };
    let cells = partials.iter().flat_map(|partial| &partial.cells);
    let groups = |cell: &Cell| {
        closed.windows_of(cell.slice).into_iter().map(|window| (window, cell.key.clone())).collect::<Vec<_>>()
    };
    let groups: Vec<GroupId> = cells.flat_map(groups).collect::<BTreeSet<_>>().into_iter().collect();
    let refused = refused(plan, &filter, &groups.iter().collect::<Vec<_>>(), context);
    groups.into_iter().zip(refused).filter_map(|(group, refused)| refused.then_some(group)).collect()
}

/// An estimate that does not change while a group lives, so that it can be taken back: what an accumulator holds beside
/// itself (winners, sketches) is not in it.
fn group_bytes(key: &[u8], accumulators: &[Accumulator]) -> u64 {
    (key.len() + std::mem::size_of_val(accumulators) + 48) as u64
}

/// When a group is closed (rule L1), and which windows a cell belongs to.
struct Closed<'a> {
    plan: &'a AggregatePlan,
    /// Types of the keys up to the raw event-time key, when there is one: then a window is over some other time.
    raw_time: Option<Vec<DataType>>,
}

impl<'a> Closed<'a> {
    fn new(plan: &'a AggregatePlan) -> Closed<'a> {
        let position = plan.keys.iter().position(|key| key.is_event_time);
        let raw_time = position.map(|at| plan.keys[..=at].iter().map(|key| key.expr.data_type()).collect());
        Closed { plan, raw_time }
    }

    fn is_global(&self) -> bool {
        self.plan.window.is_none() && self.plan.keys.is_empty()
    }

    fn windows_of(&self, slice: i64) -> Vec<i64> {
        match &self.plan.window {
            Some(window) if window.spec.folds_per_slice() => window.spec.windows_of_slice(slice).collect(),
            _ => vec![slice],
        }
    }

    /// Whether a group ends at or before `until` µs. The raw event-time key decides, and never when it is NULL; without
    /// one the window.
    fn by(&self, until: i64, window: i64, key: &[u8]) -> bool {
        match (&self.raw_time, &self.plan.window) {
            (Some(types), _) => raw_time(key, types).is_some_and(|ts| ts <= until),
            (None, Some(plan)) => plan.spec.end(window) <= until,
            (None, None) => false,
        }
    }
}

/// The last of the leading columns of a key, a timestamp in µs; `None` for NULL.
fn raw_time(key: &[u8], types: &[DataType]) -> Option<i64> {
    let mut cursor = [Some(key)];
    let column = types.iter().map(|data_type| key::decode(&mut cursor, data_type)).last()?;
    let times = column.as_primitive::<TimestampMicrosecondType>();
    times.is_valid(0).then(|| times.value(0))
}
