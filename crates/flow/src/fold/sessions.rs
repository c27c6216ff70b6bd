//! The executor's half of sessions: each row is in a session of its own, from its time to the end that its gap says. The
//! store's [`Spans`](tidemill_state::Spans) merges those of the task.

use super::rows::Selection;
use super::{Fold, RowFailure};
use crate::key::{Encoder, Zeros};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch};
use tidemill_model::{Partial, RecordFault};
use tidemill_sql::eval::field;
use tidemill_sql::expr::Expr;

/// The starts and the ends of a column of sessions.
fn bounds(sessions: &ArrayRef) -> [PrimitiveArray<TimestampMicrosecondType>; 2] {
    [0, 1].map(|number| field(sessions, number).as_primitive().clone())
}

impl Selection {
    /// The rows' own sessions. Deselects rows without a time, and those whose session is empty: their gap is NULL, or not
    /// above 0.
    pub(super) fn sessions(
        &mut self,
        session: &Expr,
        rows: &RecordBatch,
        faults: &[Option<RecordFault>],
        partial: &mut Partial,
    ) -> Result<ArrayRef, RowFailure> {
        let sessions = self.evaluate(session, rows)?;
        let [starts, ends] = bounds(&sessions);
        self.take_out_timeless(&field(&sessions, 0), faults, partial);
        self.keep_if(|row| starts.is_valid(row) && ends.is_valid(row) && starts.value(row) < ends.value(row));
        Ok(sessions)
    }
}

impl Fold {
    /// (row, slot) of every selected row. `session` is the number of the key that is the row's own session.
    pub(super) fn session_groups(
        &mut self,
        session: usize,
        keys: &[ArrayRef],
        selection: &Selection,
    ) -> Vec<(u32, u32)> {
        let [starts, ends] = bounds(&keys[session]);
        let others = keys.iter().enumerate().filter(|(number, _)| *number != session);
        let encoders: Vec<Encoder<'_>> = others.map(|(_, key)| Encoder::new(key, Zeros::Normalize)).collect();
        self.partial.rows += selection.records() as u64;
        let spans = self.spans.as_mut().expect("a query with sessions has spans");
        let groups = &mut self.groups;
        let mut key = Vec::new();
        let slot = |row: usize| {
            key.clear();
            encoders.iter().for_each(|encoder| encoder.encode(row, &mut key));
            (row as u32, spans.slot_of(groups, &key, (starts.value(row), ends.value(row))))
        };
        selection.rows().map(slot).collect()
    }
}
