//! Steps 5 and 6 of a batch: its partials are merged into the state, the watermark moves, rows go out.

use crate::batch::Batch;
use arrow_array::RecordBatch;
use tidemill_flow::merge::{Merged, State};
use tidemill_flow::output;
use tidemill_flow::ports::DriverLetter;
use tidemill_model::pipeline::{OnError, OutputMode};
use tidemill_model::{BatchPlan, EventTimeStats, FaultCounts, LetterFile, Millis, Partial, RecordFault, Result};
use tidemill_sql::plan::{Body, QueryPlan};

/// A merged batch.
pub(crate) struct Finished {
    pub(crate) plan: BatchPlan,
    pub(crate) replayed: bool,
    pub(crate) retried: u64,
    pub(crate) tasks: u64,
    /// wm(N+1).
    pub(crate) next_watermark: Millis,
    pub(crate) rows: RecordBatch,
    pub(crate) merged: Merged,
    pub(crate) records: u64,
    pub(crate) faults: FaultCounts,
    /// The dead letters of its tasks, in the order of records, and the driver's own.
    pub(crate) letters: BatchLetters,
    pub(crate) event_time: EventTimeStats,
    /// Kafka timestamps of the batch's records, as (ms, records).
    pub(crate) record_times: Vec<(i64, u64)>,
}

/// The dead letters of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchLetters {
    pub(crate) files: Vec<LetterFile>,
    pub(crate) own: Vec<DriverLetter>,
}

impl BatchLetters {
    pub(crate) fn count(&self) -> u64 {
        self.files.iter().map(|file| file.lines).sum::<u64>() + self.own.len() as u64
    }
}

/// Merges a complete batch into the state.
///
/// # Errors
/// As [`output::group_rows`]: an overflow, or a failed row under `on_error = "fail"`.
pub(crate) fn finish(query: &QueryPlan, on_error: OnError, state: &mut State, mut batch: Batch) -> Result<Finished> {
    let (plan, replayed, retried) = (batch.plan.clone(), batch.replayed, batch.retried);
    let (_, tasks) = batch.progress();
    let mut own = batch.take_unreadable();
    let mut partials = batch.into_partials();
    let files = partials.iter_mut().filter_map(|partial| partial.letters.take()).collect();
    let context = query.context(plan.timestamp);
    let mut totals = totals(&partials);
    let (rows, merged) = match &query.body {
        Body::Aggregate(aggregate) => {
            let mut merged = state.merge(aggregate, query.output_mode, &plan, &context, &partials);
            let groups = std::mem::take(&mut merged.output);
            let output = output::group_rows(aggregate, &query.output_schema, &groups, on_error, &context)?;
            totals.faults.add(RecordFault::AnsiError, output.failed.len() as u64);
            let letter = |detail| DriverLetter { at: None, fault: RecordFault::AnsiError, detail };
            own.extend(output.failed.into_iter().map(letter));
            (output.rows, merged)
        }
        Body::Project(columns) => {
            let rows = partials.iter().flat_map(|partial| &partial.output).map(AsRef::as_ref);
            (output::projected_rows(columns, &query.output_schema, rows), Merged::unchanged())
        }
    };
    let next_watermark = next_watermark(query, plan.watermark, &totals.event_time);
    let mut record_times: Vec<(i64, u64)> = partials.into_iter().flat_map(|partial| partial.record_times).collect();
    record_times.sort_unstable();
    Ok(Finished {
        plan,
        replayed,
        retried,
        tasks: tasks as u64,
        next_watermark,
        rows,
        merged,
        records: totals.records,
        faults: totals.faults,
        letters: BatchLetters { files, own },
        event_time: totals.event_time,
        record_times,
    })
}

/// wm(N+1) = max(wm(N), greatest event time − delay), when the batch had rows with an event time (rule M2).
fn next_watermark(query: &QueryPlan, watermark: Millis, seen: &EventTimeStats) -> Millis {
    match query.event_time.as_ref().and_then(|event_time| event_time.delay_ms) {
        Some(delay) if seen.count > 0 => watermark.max(Millis(seen.max_ms.saturating_sub(delay))),
        _ => watermark,
    }
}

/// Whether a batch without data is due once the watermark has moved (rule M4).
pub(crate) fn has_no_data_batches(query: &QueryPlan) -> bool {
    let watermark = query.event_time.as_ref().is_some_and(|event_time| event_time.delay_ms.is_some());
    watermark && query.output_mode != OutputMode::Complete && matches!(query.body, Body::Aggregate(_))
}

/// Sums of what the partials counted.
fn totals(partials: &[Partial]) -> Partial {
    let mut totals = Partial::default();
    for partial in partials {
        totals.records += partial.records;
        totals.faults.merge(&partial.faults);
        totals.event_time.merge(&partial.event_time);
    }
    totals
}

/// The state that a checkpoint holds.
///
/// # Errors
/// External: the bytes passed their checksum and are no state all the same.
pub(crate) fn restore(files: Vec<(u64, Vec<u8>)>) -> Result<State> {
    let damaged = |batch: u64| {
        tidemill_model::Error::external(format!(
            "the state of batch {batch} in the checkpoint does not read; restore the checkpoint from a copy, or start with a new one"
        ))
    };
    // Each file's bytes go when they have been read: a large state is not held twice.
    let mut files = files.into_iter();
    let Some((batch, snapshot)) = files.next() else { return Ok(State::default()) };
    let mut state = State::from_snapshot(&snapshot).ok_or_else(|| damaged(batch))?;
    drop(snapshot);
    for (batch, delta) in files {
        state.apply_delta(&delta).ok_or_else(|| damaged(batch))?;
    }
    Ok(state)
}
