//! The selected rows of a batch. Filters and failures deselect rows; columns keep all rows.

use super::RowFailure;
use super::faulty::{FaultNotes, beside};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray};
use std::collections::BTreeSet;
use tidemill_model::pipeline::OnError;
use tidemill_model::{Micros, Millis, Partial, RecordFault, WindowSpec};
use tidemill_sql::eval::{EvalContext, RowErrors, evaluate, field, matches};
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::{BranchPlan, GeneratePlan, WindowPlan};

/// Facts about the rows of a pushed batch, beside their columns.
pub(super) struct SourceRows<'a> {
    /// The fault of each record; empty if there are none.
    pub(super) faults: &'a [Option<RecordFault>],
    /// The records' timestamps in ms; −1 for a record without one.
    pub(super) timestamps: &'a [i64],
}

/// The selected rows of a pushed batch. Expressions are evaluated over all rows; a failure in a deselected row does not
/// count (rule T4: a filter removes a row before a later cast can fail).
pub(super) struct Selection {
    keep: Vec<bool>,
    kept: usize,
    /// The record of each row, ascending, if records have several rows; `None`: each row is a record.
    records: Option<Vec<u32>>,
    on_error: OnError,
    context: EvalContext,
    errors: RowErrors,
    /// Rows deselected because they failed.
    pub(super) failed: u64,
    /// Rows that a condition of the query rejected.
    pub(super) filtered: u64,
    pub(super) notes: FaultNotes,
}

impl Selection {
    pub(super) fn new(rows: usize, on_error: OnError, context: EvalContext, notes: FaultNotes) -> Selection {
        let errors = RowErrors::default();
        let (keep, records) = (vec![true; rows], None);
        Selection { keep, kept: rows, records, on_error, context, errors, failed: 0, filtered: 0, notes }
    }

    /// A selection of new rows. Each is made from the row that `origins` names, in ascending order.
    pub(super) fn repeated(&self, origins: &[usize]) -> Selection {
        let mut selection = Selection::new(origins.len(), self.on_error, self.context, self.notes.fresh());
        selection.records = Some(origins.iter().map(|row| self.record(*row) as u32).collect());
        selection
    }

    /// The record of a row.
    pub(super) fn record(&self, row: usize) -> usize {
        self.records.as_ref().map_or(row, |records| records[row] as usize)
    }

    /// Number of records with a selected row.
    pub(super) fn records(&self) -> usize {
        let Some(records) = &self.records else { return self.kept };
        let mut last = None;
        self.rows().filter(|row| last.replace(records[*row]) != Some(records[*row])).count()
    }

    pub(super) fn len(&self) -> usize {
        self.kept
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        self.keep.iter().enumerate().filter_map(|(row, keep)| keep.then_some(row))
    }

    /// Applies the filters below the watermark node, refuses times too far ahead, adds the event-time column and its
    /// statistics (rule M1).
    pub(super) fn rows_at_the_watermark(
        &mut self,
        plan: &BranchPlan,
        pushed: &Option<Expr>,
        rows: &RecordBatch,
        source: &SourceRows,
        partial: &mut Partial,
    ) -> Result<RecordBatch, RowFailure> {
        self.filter_below_the_watermark(plan, pushed, rows, source.faults, partial)?;
        let Some(event_time) = &plan.event_time else { return Ok(rows.clone()) };
        let times = self.evaluate(&event_time.expr, rows)?;
        {
            let times = times.as_primitive::<TimestampMicrosecondType>();
            if let Some(max_ahead_ms) = event_time.max_ahead_ms {
                self.refuse_ahead(times, max_ahead_ms, source.timestamps, partial);
            }
            let (values, nulls) = (times.values(), times.nulls());
            for row in self.rows() {
                // Spark reads a NULL as 0: it shows in the statistics but moves no watermark (rule M5).
                let known = nulls.is_none_or(|nulls| nulls.is_valid(row));
                partial.event_time.add(if known { Micros(values[row]).floor_millis().0 } else { 0 });
            }
        }
        let columns = rows.columns().iter().cloned().chain([times]).collect();
        Ok(RecordBatch::try_new(plan.row_schema.clone(), columns).expect("the event time has its column's type"))
    }

    /// Applies the filters below the watermark node. The query may have an implicit one: the window's time is not NULL.
    /// A row rejected by that filter alone has no event time.
    fn filter_below_the_watermark(
        &mut self,
        plan: &BranchPlan,
        pushed: &Option<Expr>,
        rows: &RecordBatch,
        faults: &[Option<RecordFault>],
        partial: &mut Partial,
    ) -> Result<(), RowFailure> {
        let Some(time) = &plan.time_filter else { return self.filter(pushed.as_slice(), rows) };
        let (before, kept) = (self.keep.clone(), self.kept);
        self.filter(pushed.as_slice(), rows)?;
        if self.kept == kept {
            return Ok(());
        }
        // Errors are counted above: a row with an error is already deselected.
        let mut errors = RowErrors::default();
        let mut holds = |filter: &Expr| matches(filter, rows, &self.context, &mut errors);
        let has_time = holds(time);
        let written = Expr::all(plan.pushed_filters.iter().filter(|filter| *filter != time).cloned());
        let written = written.map(|written| holds(&written));
        for (row, was_in) in before.into_iter().enumerate() {
            let is_out = was_in && !self.keep[row];
            let is_wanted = is_out && written.as_ref().is_none_or(|written| written.value(row));
            if is_wanted && !has_time.value(row) && errors.get(row).is_none() {
                self.filtered -= 1;
                self.count_timeless(row, faults, partial);
            }
        }
        Ok(())
    }

    /// Refuses rows whose time is too far ahead of their record's timestamp. A record without a timestamp counts as old
    /// as the batch, so that a replay refuses the same rows.
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
                partial.leave_out(RecordFault::EventTimeAhead, 1);
                self.notes.add(row, RecordFault::EventTimeAhead, || beside(*ts, "written", written));
            }
        }
    }

    /// Deselects the rows for which a filter is not true, one filter after the other.
    pub(super) fn filter(&mut self, filters: &[Expr], rows: &RecordBatch) -> Result<(), RowFailure> {
        for filter in filters {
            let holds = self.evaluate(filter, rows)?;
            let holds = holds.as_boolean();
            let holding = match holds.nulls() {
                Some(nulls) => holds.values() & nulls.inner(),
                None => holds.values().clone(),
            };
            if holding.count_set_bits() < holding.len() {
                let before = self.records();
                self.keep.iter_mut().zip(&holding).for_each(|(keep, holding)| *keep &= holding);
                self.kept = self.keep.iter().filter(|keep| **keep).count();
                self.filtered += (before - self.records()) as u64;
            }
        }
        Ok(())
    }

    /// Evaluates an expression over all rows and deselects the rows that failed.
    pub(super) fn evaluate(&mut self, expr: &Expr, rows: &RecordBatch) -> Result<ArrayRef, RowFailure> {
        self.evaluate_unless(expr, rows, |_| false)
    }

    /// The same; failed rows that are `unwanted` count as filtered.
    pub(super) fn evaluate_unless(
        &mut self,
        expr: &Expr,
        rows: &RecordBatch,
        unwanted: impl Fn(usize) -> bool,
    ) -> Result<ArrayRef, RowFailure> {
        let values = evaluate(expr, rows, &self.context, &mut self.errors);
        let before = if self.errors.is_empty() { 0 } else { self.records() };
        let mut any = false;
        for (row, _) in self.errors.iter() {
            if self.keep[row] && unwanted(row) {
                self.keep[row] = false;
                self.kept -= 1;
                any = true;
            }
        }
        if any {
            self.filtered += (before - self.records()) as u64;
        }
        self.take_out_failed()?;
        Ok(values)
    }

    /// The arrays whose elements are rows.
    pub(super) fn arrays(&mut self, generate: &GeneratePlan, rows: &RecordBatch) -> Result<ArrayRef, RowFailure> {
        self.evaluate(&generate.array, rows)
    }

    /// Keeps the rows of which something is made; a record of which nothing is counts as filtered.
    pub(super) fn keep_if(&mut self, makes: impl Fn(usize) -> bool) {
        let before = self.records();
        self.keep.iter_mut().enumerate().for_each(|(row, keep)| *keep &= makes(row));
        self.kept = self.keep.iter().filter(|keep| **keep).count();
        self.filtered += (before - self.records()) as u64;
    }

    /// The times for the rows' windows. Deselects rows without a time and rows whose windows do not fit.
    pub(super) fn window_times(
        &mut self,
        window: &WindowPlan,
        rows: &RecordBatch,
        faults: &[Option<RecordFault>],
        partial: &mut Partial,
    ) -> Result<ArrayRef, RowFailure> {
        let times = self.evaluate(&window.time, rows)?;
        self.check_windows(&window.spec, &times)?;
        self.take_out_timeless(&times, faults, partial);
        Ok(times)
    }

    /// The records whose rows all have a key that ends at or before `until` (µs), with that end. The end of a window
    /// key is the window's end; of a time key, the time itself.
    pub(super) fn late(&self, key: &ArrayRef, until: i64) -> Vec<(usize, i64)> {
        let key = if key.data_type().is_nested() { field(key, 1) } else { key.clone() };
        let ends = key.as_primitive::<TimestampMicrosecondType>();
        let mut late: Vec<(usize, i64)> = Vec::new();
        let mut open = None;
        for row in self.rows() {
            let record = self.record(row);
            let is_late = ends.is_valid(row) && ends.value(row) <= until;
            if open == Some(record) {
                continue;
            }
            let known = late.last().is_some_and(|(last, _)| *last == record);
            match (is_late, known) {
                (true, false) => late.push((record, ends.value(row))),
                (true, true) => {}
                (false, _) => {
                    late.truncate(late.len() - usize::from(known));
                    open = Some(record);
                }
            }
        }
        late
    }

    /// Deselects rows whose windows do not fit in 64 bits (rule W6).
    fn check_windows(&mut self, spec: &WindowSpec, times: &ArrayRef) -> Result<(), RowFailure> {
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

    /// Deselects rows whose window has no time before anything else of them can fail, as Spark's filter does.
    pub(super) fn take_out_timeless(
        &mut self,
        times: &ArrayRef,
        faults: &[Option<RecordFault>],
        partial: &mut Partial,
    ) {
        let Some(nulls) = times.nulls() else { return };
        let mut timeless = Vec::new();
        for row in 0..times.len() {
            if self.keep[row] && nulls.is_null(row) {
                self.keep[row] = false;
                self.kept -= 1;
                timeless.push(self.record(row));
            }
        }
        if self.records.is_some() {
            // A record counts once, and only if no other row of it is left.
            let left: BTreeSet<usize> = self.rows().map(|row| self.record(row)).collect();
            timeless.dedup();
            timeless.retain(|record| !left.contains(record));
        }
        timeless.into_iter().for_each(|record| self.count_timeless(record, faults, partial));
    }

    /// Counts a row without a time. A malformed record also has no time; it was counted as malformed when it was
    /// decoded.
    fn count_timeless(&mut self, row: usize, faults: &[Option<RecordFault>], partial: &mut Partial) {
        if faults.get(row).is_some_and(|fault| *fault == Some(RecordFault::Malformed)) {
            partial.left_out.add(RecordFault::Malformed, 1);
        } else {
            partial.leave_out(RecordFault::NullEventTime, 1);
            self.notes.add(row, RecordFault::NullEventTime, || None);
        }
    }

    fn take_out_failed(&mut self) -> Result<(), RowFailure> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let mut failed: BTreeSet<usize> = BTreeSet::new();
        for (row, error) in self.errors.iter().filter(|(row, _)| self.keep[*row]) {
            let record = self.record(row);
            if self.on_error == OnError::Fail {
                return Err(RowFailure { row: record, error: error.clone() });
            }
            if failed.insert(record) {
                self.notes.add(record, RecordFault::AnsiError, || Some(error.to_string()));
            }
        }
        self.failed += failed.len() as u64;
        self.errors.iter().for_each(|(row, _)| self.keep[row] = false);
        if let Some(records) = &self.records {
            // A record counts as a whole or not at all.
            self.keep.iter_mut().zip(records).for_each(|(keep, record)| *keep &= !failed.contains(&(*record as usize)));
        }
        self.kept = self.keep.iter().filter(|keep| **keep).count();
        self.errors.clear();
        Ok(())
    }
}
