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
//! Translates the plan of an aggregation for its store: its accumulators, its windows, and when a group closes. The store
//! itself is in `tidemill_state`. Does not know where partials come from or where the state is stored.

use crate::fold::accumulate::kind;
use crate::key;
use crate::output::refused;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_model::pipeline::OutputMode;
use tidemill_model::{BatchPlan, Error, Partial, Result, WindowSpec};
use tidemill_sql::eval::{EvalContext, field};
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::AggregatePlan;
use tidemill_state::{Batch, Emit, Grid, KeyTime, Layout, Section, Store};

pub use tidemill_state::{Groups, Merged};

/// Merges a batch's partials into the groups of an aggregation, given in (topic, partition, offset) order.
///
/// # Errors
/// Internal: an executor sent something that is not a partial.
pub fn merge(
    store: &mut Store,
    plan: &AggregatePlan,
    mode: OutputMode,
    batch: &BatchPlan,
    context: &EvalContext,
    partials: &[Partial],
) -> Result<Merged> {
    let emit = match mode {
        OutputMode::Update => Emit::Touched,
        OutputMode::Append => Emit::Evicted,
        OutputMode::Complete if batch.is_no_data() => Emit::Nothing,
        OutputMode::Complete => Emit::All,
    };
    let asked = Batch {
        id: batch.batch_id,
        late_until: plan.drops_late().then(|| batch.late_watermark.to_micros().0),
        evict_until: Some(batch.watermark.to_micros().0),
        emit,
    };
    let parts: Vec<&[u8]> = partials.iter().map(|partial| partial.groups.0.as_slice()).collect();
    let adapt = PartialAdapter::new(plan, store.layout(), context);
    store
        .merge(&asked, &parts, &|section| adapt.adapt(section))
        .map_err(|_| Error::internal("an executor's partial result cannot be decoded"))
}

/// The layout of an aggregation's state.
pub(crate) fn layout(plan: &AggregatePlan) -> Layout {
    let spec = plan.window.as_ref().map(|window| window.spec);
    let names_the_window = |filter: &Expr| {
        let mut found = false;
        filter.columns(&mut |column| found |= column == 0);
        found
    };
    Layout {
        kinds: plan.aggregates.iter().map(kind).collect(),
        grid: if plan.session.is_some() { Grid::Sessions } else { Grid::of(spec) },
        apart: spec.is_some() && plan.group_filters.iter().any(names_the_window),
        key_time: key_time(plan),
        evicts: plan.watermarked,
        is_global: spec.is_none() && plan.keys.is_empty(),
    }
}

fn slides(spec: &WindowSpec) -> bool {
    spec.slices_per_window() > 1
}

/// The key that decides when a group closes: the raw event time, or the end of a window key (rule L1). A NULL never
/// closes. A session closes by its own end.
fn key_time(plan: &AggregatePlan) -> Option<KeyTime> {
    if plan.session.is_some() {
        return None;
    }
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
