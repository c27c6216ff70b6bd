//! The output rows of tasks, encoded for the sinks: of a query without state, whose rows are done here.

use std::sync::Arc;
use tidemill_flow::encoded_rows::{Kept, RowsWriter};
use tidemill_flow::fold::Fold;
use tidemill_flow::ports::SinkWriter;
use tidemill_model::limits::ROWS_SHOWN;
use tidemill_model::{Result, SinkPart};
use tidemill_sql::plan::{Body, QueryPlan};

/// Encodes the output rows of one worker's tasks.
pub(crate) struct Output {
    plan: Arc<QueryPlan>,
    /// One for each sink, and one for the rows that the driver needs itself.
    writers: Vec<Box<dyn SinkWriter>>,
}

impl Output {
    /// The output of a plan into these sinks.
    pub(crate) fn new(
        plan: &Arc<QueryPlan>,
        sinks: impl FnOnce() -> Result<Vec<Box<dyn SinkWriter>>>,
    ) -> Result<Output> {
        let mut writers: Vec<Box<dyn SinkWriter>> = Vec::new();
        match plan.body() {
            Body::Aggregate(_) => {}
            // The driver counts rows until the limit is reached.
            Body::Project(_) if plan.limit.is_some() => writers.push(Box::new(RowsWriter::new(Kept::All))),
            Body::Project(_) => {
                writers = sinks()?;
                writers.push(Box::new(RowsWriter::new(Kept::Last(ROWS_SHOWN))));
            }
        }
        Ok(Output { plan: plan.clone(), writers })
    }

    /// Starts on a task. What a failed one has left is dropped.
    pub(crate) fn begin(&mut self) {
        self.writers.iter_mut().for_each(|writer| writer.discard());
    }

    /// Takes the rows that a fold has made.
    pub(crate) fn take(&mut self, fold: &mut Fold) -> Result<()> {
        for rows in fold.take_rows(&self.plan.output_schema) {
            self.writers.iter_mut().try_for_each(|writer| writer.write(&rows))?;
        }
        Ok(())
    }

    /// The task's rows, for each sink and for the driver.
    pub(crate) fn finish(&mut self) -> Vec<SinkPart> {
        self.writers.iter_mut().map(|writer| writer.finish()).collect()
    }

    /// A task's rows are not sent after all.
    pub(crate) fn withdraw(&mut self, parts: &[SinkPart]) {
        self.writers.iter_mut().zip(parts).for_each(|(writer, part)| writer.withdraw(part));
    }
}
