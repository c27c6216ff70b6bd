//! Which rows of a batch are still in: filters and failures take rows out, columns stay whole.

use super::RowFailure;
use super::faulty::{Notes, beside};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray};
use tidemill_model::pipeline::OnError;
use tidemill_model::{Micros, Millis, Partial, RecordFault, WindowSpec};
use tidemill_sql::eval::{EvalContext, RowErrors, evaluate};
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::BranchPlan;

/// The rows of one pushed batch that are still in. Expressions are evaluated over all rows; what fails in a row that is
/// already out does not count (rule T4: a filter removes a row before a later cast can fail).
pub(super) struct Selection {
    keep: Vec<bool>,
    kept: usize,
    on_error: OnError,
    context: EvalContext,
    errors: RowErrors,
    /// Rows taken out because they failed.
    pub(super) failed: u64,
    pub(super) notes: Notes,
}

impl Selection {
    pub(super) fn new(rows: usize, on_error: OnError, context: EvalContext, notes: Notes) -> Selection {
        let errors = RowErrors::default();
        Selection { keep: vec![true; rows], kept: rows, on_error, context, errors, failed: 0, notes }
    }

    pub(super) fn len(&self) -> usize {
        self.kept
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        self.keep.iter().enumerate().filter_map(|(row, keep)| keep.then_some(row))
    }

    /// Applies the filters below the watermark node, refuses what is too far ahead, adds the event-time column and its
    /// statistics (rule M1).
    pub(super) fn rows_at_the_watermark(
        &mut self,
        plan: &BranchPlan,
        pushed: &Option<Expr>,
        rows: &RecordBatch,
        timestamps: &[i64],
        partial: &mut Partial,
    ) -> Result<RecordBatch, RowFailure> {
        self.filter(pushed.as_slice(), rows)?;
        let Some(event_time) = &plan.event_time else { return Ok(rows.clone()) };
        let times = self.evaluate(&event_time.expr, rows)?;
        {
            let times = times.as_primitive::<TimestampMicrosecondType>();
            if let Some(max_ahead_ms) = event_time.max_ahead_ms {
                self.refuse_ahead(times, max_ahead_ms, timestamps, partial);
            }
            let (values, nulls) = (times.values(), times.nulls());
            for row in self.rows() {
                // Spark reads a NULL as 0: it shows in the figures, and moves no watermark (rule M5).
                let known = nulls.is_none_or(|nulls| nulls.is_valid(row));
                partial.event_time.add(if known { Micros(values[row]).floor_millis().0 } else { 0 });
            }
        }
        let columns = rows.columns().iter().cloned().chain([times]).collect();
        Ok(RecordBatch::try_new(plan.row_schema.clone(), columns).expect("the event time has its column's type"))
    }

    /// Takes out the rows whose time is further ahead of their record's timestamp than it may be. A record without one is
    /// as old as the batch; so a replay refuses the same rows.
    fn refuse_ahead(
        &mut self,
        times: &TimestampMicrosecondArray,
        max_ahead_ms: i64,
        timestamps: &[i64],
        partial: &mut Partial,
    ) {
        for (row, (ts, timestamp)) in times.values().iter().zip(timestamps).enumerate() {
            let written = if *timestamp < 0 { self.context.timestamp } else { Millis(*timestamp) };
            let latest = written.0.saturating_add(max_ahead_ms).saturating_mul(1_000);
            if *ts > latest && self.keep[row] && times.is_valid(row) {
                self.keep[row] = false;
                self.kept -= 1;
                partial.faults.add(RecordFault::EventTimeAhead, 1);
                self.notes.add(row, RecordFault::EventTimeAhead, || beside(*ts, "written", written));
            }
        }
    }

    /// Takes out the rows for which a filter is not true, one after the other.
    pub(super) fn filter(&mut self, filters: &[Expr], rows: &RecordBatch) -> Result<(), RowFailure> {
        for filter in filters {
            let holds = self.evaluate(filter, rows)?;
            let holds = holds.as_boolean();
            let truth = match holds.nulls() {
                Some(nulls) => holds.values() & nulls.inner(),
                None => holds.values().clone(),
            };
            if truth.count_set_bits() < truth.len() {
                self.keep.iter_mut().zip(&truth).for_each(|(keep, truth)| *keep &= truth);
                self.kept = self.keep.iter().filter(|keep| **keep).count();
            }
        }
        Ok(())
    }

    /// Evaluates an expression over all rows and takes out the selected ones that failed.
    pub(super) fn evaluate(&mut self, expr: &Expr, rows: &RecordBatch) -> Result<ArrayRef, RowFailure> {
        self.evaluate_unless(expr, rows, |_| false)
    }

    /// The same; of the rows that failed those that are `unwanted` go out without a word.
    pub(super) fn evaluate_unless(
        &mut self,
        expr: &Expr,
        rows: &RecordBatch,
        unwanted: impl Fn(usize) -> bool,
    ) -> Result<ArrayRef, RowFailure> {
        let values = evaluate(expr, rows, &self.context, &mut self.errors);
        for (row, _) in self.errors.iter() {
            if self.keep[row] && unwanted(row) {
                self.keep[row] = false;
                self.kept -= 1;
            }
        }
        self.take_out_failed()?;
        Ok(values)
    }

    /// Takes out the rows whose windows do not fit in 64 bits (rule W6).
    pub(super) fn check_windows(&mut self, spec: &WindowSpec, times: &ArrayRef) -> Result<(), RowFailure> {
        let times = times.as_primitive::<TimestampMicrosecondType>();
        if times.values().iter().all(|ts| spec.surely_fits(*ts)) {
            return Ok(());
        }
        for row in (0..times.len()).filter(|row| times.is_valid(*row) && !spec.fits(times.value(*row))) {
            self.errors.record(row, "ARITHMETIC_OVERFLOW", || {
                format!("a window of {} µs leaves the 64-bit range", times.value(row))
            });
        }
        self.take_out_failed()
    }

    /// Takes out the rows whose window has no time: before anything else of them can fail, as Spark's filter does.
    pub(super) fn take_out_timeless(
        &mut self,
        times: &ArrayRef,
        faults: &[Option<RecordFault>],
        partial: &mut Partial,
    ) {
        let Some(nulls) = times.nulls() else { return };
        for row in 0..times.len() {
            if !self.keep[row] || nulls.is_valid(row) {
                continue;
            }
            self.keep[row] = false;
            self.kept -= 1;
            // The time of a malformed record is NULL too: that is counted as what it is.
            if faults.get(row).is_none_or(|fault| *fault != Some(RecordFault::Malformed)) {
                partial.faults.add(RecordFault::NullEventTime, 1);
                self.notes.add(row, RecordFault::NullEventTime, || None);
            }
        }
    }

    fn take_out_failed(&mut self) -> Result<(), RowFailure> {
        if self.errors.is_empty() {
            return Ok(());
        }
        for (row, error) in self.errors.iter().filter(|(row, _)| self.keep[*row]) {
            if self.on_error == OnError::Fail {
                return Err(RowFailure { row, error: error.clone() });
            }
            self.failed += 1;
            self.kept -= 1;
            self.notes.add(row, RecordFault::AnsiError, || Some(error.to_string()));
        }
        self.errors.iter().for_each(|(row, _)| self.keep[row] = false);
        self.errors.clear();
        Ok(())
    }
}
