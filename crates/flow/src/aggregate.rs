//! The driver's half of a query's aggregations: partials → state → rows, from one aggregation to the next.
//!
//! ```text
//!  partials of the tasks ─merge→ state 0 ─rows of its groups─┬→ output
//!                                                            └fold→ partial ─merge→ state 1 ─rows of its groups→ …
//! ```
//! The rows of an aggregation that another one takes are folded here: they are few, and closed groups come out together.

use crate::fold::Fold;
use crate::merge::{Merged, merge};
use crate::output::{self, Output};
use crate::state::State;
use arrow_array::RecordBatch;
use std::sync::Arc;
use tidemill_model::pipeline::OnError;
use tidemill_model::{BatchPlan, Error, Partial, RecordFault, Result};
use tidemill_sql::eval::EvalContext;
use tidemill_sql::plan::{BranchPlan, QueryPlan};

/// Rows folded at once: as many as keep the columns of their expressions small.
const FOLDED_ROWS: usize = 8_192;

/// What becomes of a batch's partials.
pub struct Aggregated {
    /// The rows of the last aggregation, and those left out anywhere on the way.
    pub output: Output,
    /// What each aggregation has merged, from the sources up. Their groups are taken out.
    pub merged: Vec<Merged>,
}

/// Merges a batch's partials, given in (topic, partition, offset) order, and builds the rows of the query's groups.
///
/// # Errors
/// As [`output::group_rows`]. Internal: an executor sent something that is not a partial.
pub fn aggregate(
    query: &QueryPlan,
    state: &mut State,
    batch: &BatchPlan,
    context: &EvalContext,
    on_error: OnError,
    partials: &[Partial],
) -> Result<Aggregated> {
    let mut output: Option<Output> = None;
    let mut all = Vec::new();
    for (number, (plan, schema)) in query.aggregations().enumerate() {
        let (below, mut failed) = match output.take() {
            None => (None, Vec::new()),
            Some(Output { rows, mut failed }) => {
                let branch = &query.above[number - 1];
                (Some(fold(branch, &rows, batch, context, on_error, &mut failed)?), failed)
            }
        };
        let partials = below.as_ref().map_or(partials, std::slice::from_ref);
        let mut merged = merge(state.store(number), plan, query.output_mode, batch, context, partials)?;
        let groups = std::mem::take(&mut merged.output);
        let own = output::group_rows(plan, schema, &groups, on_error, context)?;
        failed.extend(own.failed);
        output = Some(Output { rows: own.rows, failed });
        all.push(merged);
    }
    Ok(Aggregated { output: output.expect("a query that aggregates"), merged: all })
}

/// Folds the rows of the aggregation below.
fn fold(
    branch: &Arc<BranchPlan>,
    rows: &RecordBatch,
    batch: &BatchPlan,
    context: &EvalContext,
    on_error: OnError,
    failed: &mut Vec<String>,
) -> Result<Partial> {
    let mut fold = Fold::new(branch.clone(), on_error, *context, batch.late_watermark.0);
    fold.note_faults();
    for start in (0..rows.num_rows()).step_by(FOLDED_ROWS) {
        let piece = rows.slice(start, FOLDED_ROWS.min(rows.num_rows() - start));
        fold.push(&piece, &[], &vec![-1; piece.num_rows()]).map_err(|failure| {
            Error::external(format!(
                "a row of the subquery's groups failed: {} (row {} of the batch); correct the query, or set on_error = \"drop\" \
                 to count and leave out such rows",
                failure.error,
                start + failure.row
            ))
        })?;
        let errors = fold.take_faulty().into_iter().filter(|faulty| faulty.fault == RecordFault::AnsiError);
        failed.extend(errors.map(|faulty| faulty.detail.unwrap_or_default() + "; a row of the subquery's groups"));
    }
    Ok(fold.finish())
}
