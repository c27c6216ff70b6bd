//! Steps 5 and 6 of a batch: merge its partials into the state, advance the watermark, build the output rows.

use crate::batch::Batch;
use crate::output::BatchOutput;
use tidemill_flow::aggregate::aggregate;
use tidemill_flow::encoded_rows;
use tidemill_flow::merge::Merged;
use tidemill_flow::output::Output;
use tidemill_flow::ports::DriverDeadLetter;
use tidemill_flow::state::State;
use tidemill_model::pipeline::{OnError, OutputMode};
use tidemill_model::{BatchPlan, DeadLetterFile, Error, EventTimeStats, FaultCounts, Millis, RecordFault, Result};
use tidemill_sql::eval::EvalContext;
use tidemill_sql::plan::{Body, QueryPlan};

/// A merged batch.
pub(crate) struct Finished {
    pub(crate) plan: BatchPlan,
    pub(crate) replayed: bool,
    pub(crate) retried: u64,
    pub(crate) tasks: u64,
    /// wm(N+1).
    pub(crate) next_watermark: Millis,
    pub(crate) output: BatchOutput,
    /// What each aggregation has merged, from the sources up.
    pub(crate) merged: Vec<Merged>,
    /// The change of the state, encoded.
    pub(crate) change: Vec<u8>,
    /// Rows that a LIMIT over all batches has let out so far, if there is one.
    pub(crate) let_out: Option<u64>,
    pub(crate) records: u64,
    pub(crate) faults: FaultCounts,
    /// Records that reached a group or the output.
    pub(crate) kept: u64,
    /// Records that the query's conditions rejected.
    pub(crate) filtered: u64,
    /// Records that were left out, by reason.
    pub(crate) left_out: FaultCounts,
    /// Dead letters of the tasks, in record order, and of the driver.
    pub(crate) dead_letters: BatchDeadLetters,
    /// Totals of each source.
    pub(crate) sources: Vec<SourceTotals>,
    /// Kafka timestamps of the batch's records: (ms, number of records).
    pub(crate) record_times: Vec<(i64, u64)>,
}

/// The dead letters of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchDeadLetters {
    pub(crate) files: Vec<DeadLetterFile>,
    pub(crate) own: Vec<DriverDeadLetter>,
}

impl BatchDeadLetters {
    pub(crate) fn count(&self) -> u64 {
        self.files.iter().map(|file| file.lines).sum::<u64>() + self.own.len() as u64
    }
}

/// Totals of one source in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SourceTotals {
    /// Records read.
    pub(crate) records: u64,
    /// Event times at the source's watermark node.
    pub(crate) event_time: EventTimeStats,
}

/// The query's watermarks in this run. A restart keeps only the least of them (rule M3). A table has one watermark,
/// even if several branches read it.
pub(crate) struct Watermarks {
    /// For each branch with a watermark: its index in `at`, and the delay in ms.
    branches: Vec<Option<(usize, i64)>>,
    /// Greatest event time minus the delay, in ms; `None` until a batch had a row.
    at: Vec<Option<i64>>,
}

impl Watermarks {
    pub(crate) fn new(query: &QueryPlan) -> Watermarks {
        let mut tables: Vec<&String> = Vec::new();
        let mut branches = Vec::new();
        for (branch, delay_ms) in query.branches.iter().zip(query.delays_ms()) {
            if delay_ms.is_some() && !tables.contains(&&branch.table) {
                tables.push(&branch.table);
            }
            let number = tables.iter().position(|table| **table == branch.table);
            branches.push(number.zip(delay_ms));
        }
        Watermarks { branches, at: vec![None; tables.len()] }
    }

    /// wm(N+1) of a batch with wm(N) = `watermark` (rule M2): the least of all watermarks, but never less than wm(N). A
    /// source that has had no row yet is at 1970.
    pub(crate) fn after(&mut self, watermark: Millis, seen: &[SourceTotals]) -> Millis {
        for (branch, seen) in self.branches.iter().zip(seen) {
            if let Some((number, delay_ms)) = branch.filter(|_| seen.event_time.count > 0) {
                self.at[number] = self.at[number].max(Some(seen.event_time.max_ms.saturating_sub(delay_ms)));
            }
        }
        let least = self.at.iter_mut().map(|at| *at.get_or_insert(0)).min();
        least.map_or(watermark, |least| watermark.max(Millis(least)))
    }
}

/// Limits and error policy of a pipeline, and its seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) on_error: OnError,
    /// Bytes that the state may take; `None` for no limit.
    pub(crate) state_bytes_max: Option<u64>,
    /// The query's seed, for random values over groups.
    pub(crate) seed: u64,
    /// Number of sinks.
    pub(crate) sinks: usize,
}

/// Fails if the state takes more memory than it may.
fn refuse_excess(state: &State, most: Option<u64>) -> Result<()> {
    let bytes = state.bytes();
    match most.filter(|most| bytes > *most) {
        None => Ok(()),
        Some(most) => Err(Error::external(format!(
            "the state takes {:.3} MB for {} groups, and `memory_max` of [state] allows {:.3}: give the query a watermark that \
             closes groups, group by fewer keys, or raise `memory_max`; what was committed stays, and the next start goes on from there",
            bytes as f64 / 1e6,
            state.rows(),
            most as f64 / 1e6,
        ))),
    }
}

/// Merges a complete batch into the state.
///
/// # Errors
/// External: the state takes more memory than it may. As [`aggregate`]: an overflow, or a failed row under
/// `on_error = "fail"`. Internal: a partial cannot be decoded.
pub(crate) fn finish(
    query: &QueryPlan,
    limits: &Limits,
    state: &mut State,
    watermarks: &mut Watermarks,
    mut batch: Batch,
) -> Result<Finished> {
    let (plan, replayed, retried) = (batch.plan.clone(), batch.replayed, batch.retried);
    let (_, tasks) = batch.progress();
    let mut own = batch.take_unreadable();
    let sources = batch.by_source(query.branches.len());
    let mut partials = batch.into_partials();
    let files = partials.iter_mut().flat_map(|partial| std::mem::take(&mut partial.dead_letters)).collect();
    let context = EvalContext { seed: limits.seed, ..query.context(plan.timestamp) };
    let (mut faults, mut left_out) = (FaultCounts::default(), FaultCounts::default());
    for partial in &partials {
        assert!(partial.is_balanced(), "a task lost sight of a record: {:?}", partial.left_out);
        faults.merge(&partial.faults);
        left_out.merge(&partial.left_out);
    }
    let kept = partials.iter().map(|partial| partial.rows).sum();
    let filtered = partials.iter().map(|partial| partial.filtered).sum();
    let schema = &query.output_schema;
    let mut merged = Vec::new();
    let made = match query.body() {
        Body::Aggregate(_) => {
            let aggregated = aggregate(query, state, &plan, &context, limits.on_error, &partials)?;
            refuse_excess(state, limits.state_bytes_max)?;
            merged = aggregated.merged;
            let Output { rows, failed } = aggregated.output;
            faults.add(RecordFault::AnsiError, failed.len() as u64);
            let letter = |detail| DriverDeadLetter { at: None, fault: RecordFault::AnsiError, detail };
            own.extend(failed.into_iter().map(letter));
            Some(rows)
        }
        Body::Project(_) if query.limit.is_some() => {
            Some(encoded_rows::decode(schema, partials.iter().flat_map(|partial| &partial.output))?)
        }
        Body::Project(_) => None,
    };
    let (output, change) = match made {
        Some(rows) => {
            let (change, rows) = state.change(query, &mut merged, rows);
            (BatchOutput::Made(rows), change)
        }
        None => (BatchOutput::of_tasks(&mut partials, limits.sinks, query)?, Vec::new()),
    };
    let next_watermark = watermarks.after(plan.watermark, &sources);
    let mut record_times: Vec<(i64, u64)> = partials.into_iter().flat_map(|partial| partial.record_times).collect();
    record_times.sort_unstable();
    Ok(Finished {
        plan,
        replayed,
        retried,
        tasks: tasks as u64,
        next_watermark,
        output,
        merged,
        change,
        let_out: state.let_out(),
        records: sources.iter().map(|source| source.records).sum(),
        faults,
        kept,
        filtered,
        left_out,
        dead_letters: BatchDeadLetters { files, own },
        sources,
        record_times,
    })
}

/// Whether a batch without data is due once the watermark has moved (rule M4).
pub(crate) fn has_no_data_batches(query: &QueryPlan) -> bool {
    query.has_watermark() && query.output_mode != OutputMode::Complete && matches!(query.body(), Body::Aggregate(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delays, and the greatest event times of each batch, in seconds → the query's watermark after each batch.
    fn check(delays: &[Option<i64>], batches: &[&[Option<i64>]], expected: &[i64]) {
        let mut count = 0;
        let mut branch = |delay: &Option<i64>| {
            count += usize::from(delay.is_some());
            delay.map(|delay| (count - 1, delay * 1_000))
        };
        let branches = delays.iter().map(&mut branch).collect();
        let mut watermarks = Watermarks { branches, at: vec![None; count] };
        let mut watermark = Millis(0);
        let mut after = Vec::new();
        for batch in batches {
            let totals = |max: &Option<i64>| {
                let mut totals = SourceTotals::default();
                max.iter().for_each(|max| totals.event_time.add(max * 1_000));
                totals
            };
            watermark = watermarks.after(watermark, &batch.iter().map(totals).collect::<Vec<_>>());
            after.push(watermark.0 / 1_000);
        }
        assert_eq!(after, expected, "{delays:?} {batches:?}");
    }

    #[test]
    fn m2_the_watermark_is_the_least_of_the_sources() {
        check(&[Some(10)], &[&[Some(15)], &[None], &[Some(12)], &[Some(40)]], &[5, 5, 5, 30]);
        check(&[Some(10), Some(5)], &[&[Some(11), None], &[None, Some(6)], &[None, Some(8)]], &[0, 1, 1]);
        check(
            &[Some(10), Some(5)],
            &[&[Some(200), Some(190)], &[None, Some(300)], &[Some(250), None]],
            &[185, 190, 240],
        );
        check(&[Some(10), None], &[&[Some(20), Some(5)], &[None, Some(900)]], &[10, 10]);
        check(&[None, Some(10)], &[&[Some(20), Some(15)], &[Some(900), None]], &[5, 5]);
        check(&[None], &[&[Some(20)]], &[0]);
        // A source before 1970 holds the watermark back, unless an earlier batch had no row of it.
        check(&[Some(0), Some(0)], &[&[Some(9), Some(-9)], &[None, Some(3)]], &[0, 3]);
    }
}
