//! The driver's merge: partials in offset order → state. Drops late groups and evicts closed groups (rules L1–L3,
//! O1–O3).
//!
//! ```text
//!  groups (slice, key) ─refused by HAVING?→ gone
//!                      ─all windows late?→  dropped, counted
//!                                        └→ merged into the state, touched
//!  then, by mode:   update: touched go out     append: evicted go out     complete: all go out, nothing is ever
//!  evicted
//! ```
//! Translates the plan of an aggregation for the state: its accumulators, its windows, and when a group closes. The
//! state itself is in `tidemill_state`. Does not know where partials come from or where the state is stored.

use crate::fold::accumulate::kind;
use crate::key;
use crate::output::{first_rows, refused};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidemill_model::fingerprint::{Fingerprint, StatefulOperator};
use tidemill_model::pipeline::OutputMode;
use tidemill_model::{BatchPlan, Error, Partial, Result, WindowSpec};
use tidemill_sql::eval::{EvalContext, field};
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::{AggregatePlan, Body, QueryPlan};
use tidemill_state::{Batch, Emit, Grid, KeyTime, Layout, Section, Store, Unreadable};

pub use tidemill_state::{Groups, Merged};

/// The state of a query: every open group of its aggregation, and how many rows a LIMIT over all batches has let out. Empty for
/// a query without either.
pub struct State {
    store: Option<Store>,
    /// Number of rows that have gone out, if the query has such a LIMIT. Snapshots and deltas begin with it.
    let_out: Option<u64>,
}

impl State {
    /// An empty state. Large batches are merged by this many threads.
    pub fn new(query: &QueryPlan, threads: usize) -> State {
        let store = layout(query).map(|layout| Store::new(layout, threads));
        State { store, let_out: query.limit.map(|_| 0) }
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
                *count = take_count(bytes).ok_or_else(|| damaged(*batch))?;
            }
        }
        let Some(layout) = layout(query) else { return Ok(State { store: None, let_out }) };
        let (first, snapshot) = snapshot.unzip();
        // Each delta is freed once it is read, so that a large state is not held twice.
        let (batches, deltas): (Vec<u64>, Vec<Bytes>) = deltas.into_iter().unzip();
        let store = Store::restore(layout, threads, snapshot, deltas).map_err(|(delta, error)| match error {
            Unreadable::Damaged => damaged(delta.map_or(first.unwrap_or_default(), |delta| batches[delta])),
            Unreadable::Format => Error::user(
                "the checkpoint's state was written by another version of this program, which kept it in another form; \
                 go on with that version, or start with a new --checkpoint",
            ),
        })?;
        Ok(State { store: Some(store), let_out })
    }

    /// What a LIMIT over all batches leaves of a batch's rows; its count becomes part of the batch's change.
    pub fn limit(&mut self, query: &QueryPlan, rows: RecordBatch, merged: &mut Merged) -> RecordBatch {
        let (Some(limit), Some(let_out)) = (query.limit, &mut self.let_out) else { return rows };
        let left = (limit as u64).saturating_sub(*let_out);
        let rows = first_rows(rows, usize::try_from(left).unwrap_or(usize::MAX));
        *let_out += rows.num_rows() as u64;
        merged.delta.splice(0..0, let_out.to_le_bytes());
        rows
    }

    /// Groups in the state.
    pub fn rows(&self) -> u64 {
        self.store.as_ref().map_or(0, Store::groups)
    }

    /// Rows that a LIMIT over all batches has let out so far, if there is one.
    pub fn let_out(&self) -> Option<u64> {
        self.let_out
    }

    /// Bytes that the groups take in memory.
    pub fn bytes(&self) -> u64 {
        self.store.as_ref().map_or(0, Store::bytes)
    }

    /// Copies the next part of a snapshot, for [`State::restore`]: about this many bytes. `begin`: it is the first part of a
    /// new snapshot. Returns whether it is the last one. See [`Store::copy`] for why batches may come in between.
    pub fn copy(&mut self, begin: bool, bytes: u64) -> (Vec<u8>, bool) {
        let (groups, is_last) = self.store.as_mut().map_or((Vec::new(), true), |store| store.copy(begin, bytes));
        (if begin { self.counted(groups) } else { groups }, is_last)
    }

    /// The whole state as one part. Equal states give equal bytes.
    pub fn snapshot(&mut self) -> Vec<u8> {
        let groups = self.store.as_mut().map(Store::snapshot).unwrap_or_default();
        self.counted(groups)
    }

    fn counted(&self, groups: Vec<u8>) -> Vec<u8> {
        match self.let_out {
            Some(count) => [count.to_le_bytes().as_slice(), &groups].concat(),
            None => groups,
        }
    }

    /// Merges a batch's partials, given in (topic, partition, offset) order.
    ///
    /// # Errors
    /// Internal: an executor sent something that is not a partial.
    pub fn merge(
        &mut self,
        plan: &AggregatePlan,
        mode: OutputMode,
        batch: &BatchPlan,
        context: &EvalContext,
        partials: &[Partial],
    ) -> Result<Merged> {
        let store = self.store.as_mut().expect("a query with an aggregation has a state");
        let emit = match mode {
            OutputMode::Update => Emit::Touched,
            OutputMode::Append => Emit::Evicted,
            OutputMode::Complete if batch.is_no_data() => Emit::Nothing,
            OutputMode::Complete => Emit::All,
        };
        let asked = Batch {
            id: batch.batch_id,
            late_until: Some(batch.late_watermark.to_micros().0),
            evict_until: Some(batch.watermark.to_micros().0),
            emit,
        };
        let parts: Vec<&[u8]> = partials.iter().map(|partial| partial.groups.0.as_slice()).collect();
        let adapt = PartialAdapter::new(plan, store.layout(), context);
        store
            .merge(&asked, &parts, &|section| adapt.adapt(section))
            .map_err(|_| Error::internal("an executor's partial result cannot be decoded"))
    }
}

/// The rows of a stored state by the start (µs) of their window, read without the query: from its fingerprint, the parts of
/// a snapshot and the deltas of later batches. Rows without a window are under 0. `None` if there is no aggregation, or if only the
/// query knows which rows are closed.
///
/// # Errors
/// External: the bytes are not a state.
pub fn rows_by_window<'a>(
    fingerprint: &Fingerprint,
    snapshot: Option<Vec<&'a [u8]>>,
    deltas: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<BTreeMap<i64, u64>>> {
    let Some(grouping) = fingerprint.grouping() else { return Ok(None) };
    let window = grouping.window.as_ref().map(|window| window.spec);
    // What is in front of the groups is not asked for.
    let limited = fingerprint.operators.contains(&StatefulOperator::Limit);
    let groups = |bytes: &'a [u8]| if limited { bytes.get(COUNT_BYTES..).unwrap_or_default() } else { bytes };
    let snapshot = snapshot.map(|mut parts| {
        parts.iter_mut().take(1).for_each(|first| *first = groups(first));
        parts
    });
    let deltas = deltas.into_iter().map(groups);
    let store = Store::of_keys(window, snapshot, deltas).map_err(|_| {
        Error::external("the state in the checkpoint cannot be decoded; restore the checkpoint from a copy")
    })?;
    let is_known = window.is_some() || !store.layout().evicts;
    Ok(is_known.then(|| store.windows()))
}

fn damaged(batch: u64) -> Error {
    Error::external(format!(
        "the state of batch {batch} in the checkpoint cannot be decoded; restore the checkpoint from a copy, or start with a new one"
    ))
}

/// Bytes of the count in front of a state.
const COUNT_BYTES: usize = size_of::<u64>();

/// Takes the count in front of a state.
fn take_count(bytes: &mut Bytes) -> Option<u64> {
    let count = u64::from_le_bytes(bytes.get(..COUNT_BYTES)?.try_into().ok()?);
    *bytes = bytes.slice(COUNT_BYTES..);
    Some(count)
}

/// The layout of a query's state; `None` without an aggregation.
fn layout(query: &QueryPlan) -> Option<Layout> {
    let Body::Aggregate(plan) = query.body() else { return None };
    let spec = plan.window.as_ref().map(|window| window.spec);
    let names_the_window = |filter: &Expr| {
        let mut found = false;
        filter.columns(&mut |column| found |= column == 0);
        found
    };
    Some(Layout {
        kinds: plan.aggregates.iter().map(kind).collect(),
        grid: Grid::of(spec),
        apart: spec.is_some() && plan.group_filters.iter().any(names_the_window),
        key_time: key_time(plan),
        evicts: plan.watermarked,
        is_global: spec.is_none() && plan.keys.is_empty(),
    })
}

fn slides(spec: &WindowSpec) -> bool {
    spec.slices_per_window() > 1
}

/// The key that decides when a group closes: the raw event time, or the end of a window key (rule L1). A NULL never
/// closes.
fn key_time(plan: &AggregatePlan) -> Option<KeyTime> {
    let position = plan.keys.iter().position(|key| key.is_event_time)?;
    let types: Vec<DataType> = plan.keys[..=position].iter().map(|key| key.expr.data_type()).collect();
    Some(Arc::new(move |key| {
        let mut cursor = [Some(key)];
        let column = types.iter().map(|data_type| key::decode(&mut cursor, data_type)).last()?;
        let column = if column.data_type().is_nested() { field(&column, 1) } else { column };
        let times = column.as_primitive::<TimestampMicrosecondType>();
        times.is_valid(0).then(|| times.value(0))
    }))
}

/// Prepares a partial's groups for the merge.
struct PartialAdapter<'a> {
    plan: &'a AggregatePlan,
    context: &'a EvalContext,
    layout: Layout,
    /// Windows of a slice, if the state keeps a slot per window instead of per slice.
    spread: Option<WindowSpec>,
    /// Groups that this filter refuses are not merged.
    filter: Option<Expr>,
}

impl<'a> PartialAdapter<'a> {
    fn new(plan: &'a AggregatePlan, layout: &Layout, context: &'a EvalContext) -> PartialAdapter<'a> {
        let spec = plan.window.as_ref().map(|window| window.spec);
        let spread = spec.filter(|spec| slides(spec) && matches!(layout.grid, Grid::Groups { .. }));
        let filter = Expr::all(plan.group_filters.iter().cloned());
        PartialAdapter { plan, context, layout: layout.clone(), spread, filter }
    }

    fn adapt(&self, section: &mut Section<'_>) {
        if self.spread.is_none() && self.filter.is_none() {
            return;
        }
        let mut cells: Vec<(u32, i64)> = Vec::new();
        for (cell, (_, slice)) in (0..).zip(section.cells()) {
            match &self.spread {
                Some(spec) => cells.extend(spec.windows_of_slice(slice).map(|window| (cell, window))),
                None => cells.push((cell, slice)),
            }
        }
        if let Some(filter) = &self.filter {
            let keys: Vec<u32> = section.cells().map(|(key, _)| key).collect();
            let keys: Vec<&[u8]> = cells.iter().map(|(cell, _)| section.key(keys[*cell as usize] as usize)).collect();
            let windows: Vec<i64> = cells.iter().map(|(_, window)| *window).collect();
            let mut refused = refused(self.plan, filter, &windows, &keys, self.context).into_iter();
            cells.retain(|_| !refused.next().expect("one answer a group"));
        }
        section.spread(&cells, &self.layout.kinds);
    }
}
