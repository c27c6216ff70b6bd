//! The output rows of a batch, on their way to the sinks and to those who look on.

use arrow_array::RecordBatch;
use std::borrow::Cow;
use std::sync::Arc;
use tidemill_flow::encoded_rows;
use tidemill_flow::ports::Sink;
use tidemill_model::limits::ROWS_SHOWN;
use tidemill_model::{Partial, Result, SinkPart};
use tidemill_sql::plan::QueryPlan;

/// The output rows of a batch. Clones share them.
#[derive(Clone)]
pub(crate) enum BatchOutput {
    /// Rows that the driver made from its state.
    Made(RecordBatch),
    /// Rows that the tasks made, encoded for the sinks.
    Encoded(Arc<Encoded>),
}

/// The rows of the tasks, in offset order.
pub(crate) struct Encoded {
    /// For each sink, the parts of all tasks.
    by_sink: Vec<Vec<SinkPart>>,
    count: u64,
    /// The last rows, to be looked at.
    last: RecordBatch,
}

impl BatchOutput {
    /// Takes the rows that the tasks have encoded for each of so many sinks.
    ///
    /// # Errors
    /// Internal: they cannot be decoded.
    pub(crate) fn of_tasks(partials: &mut [Partial], sinks: usize, query: &QueryPlan) -> Result<BatchOutput> {
        let mut by_sink = vec![Vec::new(); sinks];
        let (mut count, mut shown) = (0, Vec::new());
        for partial in partials {
            let parts = partial.output.len();
            assert!(parts == 0 || parts == sinks + 1, "{parts} parts of a task for {sinks} sinks");
            for (number, part) in partial.output.drain(..).enumerate().filter(|(_, part)| part.rows > 0) {
                match by_sink.get_mut(number) {
                    Some(parts) => parts.push(part),
                    None => {
                        count += part.rows;
                        shown.push(part);
                    }
                }
            }
        }
        let (mut from, mut found) = (shown.len(), 0);
        while from > 0 && found < ROWS_SHOWN as u64 {
            from -= 1;
            found += shown[from].rows;
        }
        let last = encoded_rows::decode(&query.output_schema, &shown[from..])?;
        Ok(BatchOutput::Encoded(Arc::new(Encoded { by_sink, count, last })))
    }

    /// Number of rows.
    pub(crate) fn count(&self) -> u64 {
        match self {
            BatchOutput::Made(rows) => rows.num_rows() as u64,
            BatchOutput::Encoded(encoded) => encoded.count,
        }
    }

    /// The last rows, some or all.
    pub(crate) fn last(&self) -> &RecordBatch {
        match self {
            BatchOutput::Made(rows) => rows,
            BatchOutput::Encoded(encoded) => &encoded.last,
        }
    }

    /// What the sink of this number commits.
    ///
    /// # Errors
    /// User: the sink cannot take a row.
    pub(crate) fn parts(&self, number: usize, sink: &mut Sink) -> Result<Cow<'_, [SinkPart]>> {
        match self {
            BatchOutput::Made(rows) => Ok(vec![sink.part(rows)?].into()),
            BatchOutput::Encoded(encoded) => Ok((&encoded.by_sink[number]).into()),
        }
    }
}
