//! The executor's fold: decoded rows → filters → event time → groups, one per (slice, key).
//!
//! ```text
//!  rows ─pushed filters→ event time (watermark statistics) ─filters→ slice, key ─┬→ slot
//!                                                                                └→ accumulators, column by column
//! ```
//! A step in between may repeat a row: for each of its windows, if the query uses the window beyond grouping, and for
//! each element of an array. Rows are folded strictly in the order in which they are pushed. A row that fails under ANSI rules is counted and left out, or
//! fails the task (`on_error`). A row whose event time is too far ahead of its record's timestamp is refused. Faulty
//! rows are collected if asked for ([`Fold::note_faults`]). Late rows are only counted here; the driver's merge drops
//! them. Every record is counted once: folded, filtered, or left out for a reason ([`Partial::is_balanced`]). Does not
//! know offsets, watermark policy or state.

pub(crate) mod accumulate;
pub(crate) mod boxed;
pub(crate) mod distinct;
mod faulty;
mod generate;
pub(crate) mod moments;
pub(crate) mod pick;
mod refusal;
mod rows;
mod sessions;
mod windows;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
pub use faulty::FaultyRow;
use faulty::{FaultNotes, beside};
use refusal::Refusal;
use rows::{Selection, SourceRows};
use std::sync::Arc;
use tidemill_model::pipeline::OnError;
use tidemill_model::{Micros, Partial, RawBytes, RecordFault, WindowSpec};
use tidemill_sql::eval::{EvalContext, RowError, take};
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::{AggregatePlan, Body, BranchPlan, Step};
use tidemill_state::{Kind, Spans, Table};

use crate::key::{Encoder, Zeros};
use crate::output::record_batch;

/// The fold of one task.
pub struct Fold {
    plan: Arc<BranchPlan>,
    /// The filters below the watermark as one chain of ANDs. A NULL does not end the chain: later conditions are
    /// evaluated and may fail, as in Spark for conditions on the result of `from_json`.
    pushed: Option<Expr>,
    on_error: OnError,
    context: EvalContext,
    /// Groups that end at or before this time (µs) are late; `None` if the query drops nothing.
    late_until: Option<i64>,
    /// Number of rows folded so far: the position of the next batch's first row.
    folded: u64,
    groups: Table,
    /// The spans of the rows, if they are grouped by session.
    spans: Option<Spans>,
    /// Output rows that were not taken yet: their columns and number.
    projected: Vec<(Vec<ArrayRef>, usize)>,
    partial: Partial,
    notes: FaultNotes,
}

/// A row that failed under `on_error = "fail"`.
#[derive(Clone, Debug, PartialEq)]
pub struct RowFailure {
    /// Index of the row in the pushed batch.
    pub row: usize,
    /// Why.
    pub error: RowError,
}

/// The kinds of an aggregation's accumulators.
fn kinds(plan: &AggregatePlan) -> Vec<Kind> {
    plan.aggregates.iter().map(accumulate::kind).collect()
}

impl Fold {
    /// An empty fold. `late_watermark` is wm(N−1) in ms (rule L2).
    pub fn new(plan: Arc<BranchPlan>, on_error: OnError, context: EvalContext, late_watermark: i64) -> Fold {
        let (kinds, drops_late, session) = match &plan.body {
            Body::Aggregate(aggregate) => (kinds(aggregate), aggregate.drops_late(), aggregate.session),
            Body::Project(_) => (Vec::new(), false, None),
        };
        Fold {
            pushed: Expr::all(plan.pushed_filters.iter().cloned()),
            plan,
            on_error,
            context,
            late_until: drops_late.then(|| late_watermark.saturating_mul(1_000)),
            folded: 0,
            groups: Table::new(&kinds),
            spans: session.map(|_| Spans::default()),
            projected: Vec::new(),
            partial: Partial::default(),
            notes: FaultNotes::default(),
        }
    }

    /// Collects faulty rows from now on, for [`Fold::take_faulty`].
    pub fn note_faults(&mut self) {
        self.notes = FaultNotes(Some(Vec::new()));
    }

    /// The rows of the last push in which the fold found a fault, in no order; a row may occur several times. Faults
    /// found by decode are not included.
    pub fn take_faulty(&mut self) -> Vec<FaultyRow> {
        self.notes.0.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Folds rows over the plan's `decode_schema`. `faults` holds the fault of each row, or is empty if no row has one.
    /// `timestamps` are the records' timestamps in ms; −1 for a record without one.
    ///
    /// # Errors
    /// With `on_error = "fail"`, the first row that failed under ANSI rules.
    pub fn push(
        &mut self,
        rows: &RecordBatch,
        faults: &[Option<RecordFault>],
        timestamps: &[i64],
    ) -> Result<(), RowFailure> {
        assert!(faults.is_empty() || faults.len() == rows.num_rows(), "one mark a row");
        assert_eq!(timestamps.len(), rows.num_rows(), "one timestamp a row");
        self.partial.records += rows.num_rows() as u64;
        let plan = self.plan.clone();
        let mut selection = Selection::new(rows.num_rows(), self.on_error, self.context, self.notes.fresh());
        let source = SourceRows { faults, timestamps };
        let rows = selection.rows_at_the_watermark(&plan, &self.pushed, rows, &source, &mut self.partial)?;
        self.run(&plan, &plan.steps, &rows, faults, selection)
    }

    /// Runs rows through the remaining steps and folds them.
    fn run(
        &mut self,
        plan: &BranchPlan,
        steps: &[Step],
        rows: &RecordBatch,
        faults: &[Option<RecordFault>],
        mut selection: Selection,
    ) -> Result<(), RowFailure> {
        match steps.split_first() {
            Some((Step::Filter(filter), steps)) => {
                selection.filter(std::slice::from_ref(filter), rows)?;
                return self.run(plan, steps, rows, faults, selection);
            }
            Some((Step::Window(window), steps)) => {
                let times = selection.window_times(window, rows, faults, &mut self.partial)?;
                for (rows, selection) in windows::pieces(&window.spec, &times, rows, &selection) {
                    self.run(plan, steps, &rows, faults, selection)?;
                }
            }
            Some((Step::Generate(generate), steps)) => {
                let arrays = selection.arrays(generate, rows)?;
                for (rows, selection) in generate::pieces(generate, &arrays, rows, &mut selection) {
                    self.run(plan, steps, &rows, faults, selection)?;
                }
            }
            None => match &plan.body {
                Body::Aggregate(aggregate) => self.aggregate(aggregate, rows, faults, &mut selection)?,
                Body::Project(columns) => self.project(columns, rows, &mut selection)?,
            },
        }
        self.partial.leave_out(RecordFault::AnsiError, selection.failed);
        self.partial.filtered += selection.filtered;
        self.notes.append(selection.notes);
        Ok(())
    }

    /// The output rows since the last call, over the query's output schema; none if it has an aggregate.
    pub fn take_rows(&mut self, schema: &SchemaRef) -> impl Iterator<Item = RecordBatch> + use<'_> {
        let schema = schema.clone();
        self.projected.drain(..).map(move |(columns, count)| record_batch(&schema, columns, count))
    }

    /// The task's partial. Groups are in the order of their first rows.
    pub fn finish(mut self) -> Partial {
        if !self.groups.is_empty() {
            self.partial.groups = RawBytes(match (&self.spans, &self.plan.body) {
                (Some(spans), Body::Aggregate(plan)) => spans.to_part(&mut self.groups, &kinds(plan), self.late_until),
                _ => self.groups.to_part(),
            });
        }
        self.partial
    }

    /// The counts so far; the caller adds its own (faults of decode, record times).
    pub fn partial_mut(&mut self) -> &mut Partial {
        &mut self.partial
    }

    fn aggregate(
        &mut self,
        plan: &AggregatePlan,
        rows: &RecordBatch,
        faults: &[Option<RecordFault>],
        selection: &mut Selection,
    ) -> Result<(), RowFailure> {
        let times = match &plan.window {
            Some(window) => Some(selection.window_times(window, rows, faults, &mut self.partial)?),
            None => None,
        };
        let refusal = Refusal::new(plan, times.as_ref(), self.context);
        let session = plan.session.map(|session| session.key);
        let sessions = session.map(|key| selection.sessions(&plan.keys[key].expr, rows, faults, &mut self.partial));
        let sessions = sessions.transpose()?;
        let keys = plan.keys.iter().enumerate().map(|(number, key)| match &sessions {
            Some(sessions) if session == Some(number) => Ok(sessions.clone()),
            _ => selection.evaluate_unless(&key.expr, rows, |row| refusal.by_window(row)),
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let raw_time = plan.keys.iter().position(|key| key.is_event_time);
        let inputs = plan
            .aggregates
            .iter()
            .map(|call| {
                let inputs = call.inputs.iter();
                inputs
                    .map(|input| selection.evaluate_unless(input, rows, |row| refusal.by_groups(row, &keys)))
                    .collect()
            })
            .collect::<Result<Vec<Vec<ArrayRef>>, _>>()?;

        let pairs = match (&plan.window, &times) {
            (Some(window), Some(times)) => {
                let late_until = self.late_until.filter(|_| raw_time.is_none());
                self.windowed_groups(&window.spec, late_until, times, &keys, selection)
            }
            _ => match session {
                Some(session) => self.session_groups(session, &keys, selection),
                None => self.plain_groups(&keys, selection),
            },
        };
        if let (Some(position), Some(until)) = (raw_time, self.late_until) {
            for (record, time) in selection.late(&keys[position], until) {
                self.late(record, time);
            }
        }
        for ((column, call), inputs) in self.groups.columns().iter_mut().zip(&plan.aggregates).zip(&inputs) {
            accumulate::update(column, call.function, inputs, &pairs, self.folded);
        }
        self.folded += rows.num_rows() as u64;
        Ok(())
    }

    /// (row, slot) of every selected row. All of them have a time.
    fn windowed_groups(
        &mut self,
        spec: &WindowSpec,
        late_until: Option<i64>,
        times: &ArrayRef,
        keys: &[ArrayRef],
        selection: &Selection,
    ) -> Vec<(u32, u32)> {
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let encoders: Vec<Encoder<'_>> = keys.iter().map(|key| Encoder::new(key, Zeros::Normalize)).collect();
        let slice_width = spec.slice_width().unsigned_abs();
        let (mut slice, mut slice_late) = (None, false);
        let mut pairs = Vec::with_capacity(selection.len());
        let mut key = Vec::new();
        let mut last_record = None;
        for row in selection.rows() {
            let ts = times.value(row);
            // Neighbouring records mostly share their slice: divide only when one does not.
            if slice.is_none_or(|start| ts < start || ts.abs_diff(start) >= slice_width) {
                slice = spec.slice_of(ts);
                slice_late = late_until.is_some_and(|until| spec.window_numbers(ts).1 <= spec.last_closed(until));
            }
            let start = slice.expect("the time's windows fit, so its slice does");
            // All rows of a record have its time where there is anything late.
            if last_record.replace(selection.record(row)) != Some(selection.record(row)) {
                self.partial.rows += 1;
                if slice_late {
                    self.late(selection.record(row), ts);
                }
            }
            key.clear();
            encoders.iter().for_each(|encoder| encoder.encode(row, &mut key));
            pairs.push((row as u32, self.groups.slot_of(&key, start)));
        }
        pairs
    }

    /// A row all of whose groups are closed.
    #[cold]
    fn late(&mut self, row: usize, ts: i64) {
        self.partial.leave_out(RecordFault::Late, 1);
        self.partial.rows -= 1;
        let watermark = Micros(self.late_until.expect("nothing is late without a watermark")).floor_millis();
        self.notes.add(row, RecordFault::Late, || beside(ts, "watermark", watermark));
    }

    fn plain_groups(&mut self, keys: &[ArrayRef], selection: &Selection) -> Vec<(u32, u32)> {
        let encoders: Vec<Encoder<'_>> = keys.iter().map(|key| Encoder::new(key, Zeros::Normalize)).collect();
        let mut key = Vec::new();
        self.partial.rows += selection.records() as u64;
        let mut group = |row: usize| {
            key.clear();
            encoders.iter().for_each(|encoder| encoder.encode(row, &mut key));
            (row as u32, self.groups.slot_of(&key, 0))
        };
        selection.rows().map(&mut group).collect()
    }

    fn project(&mut self, columns: &[Expr], rows: &RecordBatch, selection: &mut Selection) -> Result<(), RowFailure> {
        let columns = columns.iter().map(|expr| selection.evaluate(expr, rows)).collect::<Result<Vec<_>, _>>()?;
        self.partial.rows += selection.records() as u64;
        let kept: Vec<usize> = selection.rows().collect();
        if !kept.is_empty() {
            self.projected.push((columns.iter().map(|column| take(column, &kept)).collect(), kept.len()));
        }
        Ok(())
    }
}
