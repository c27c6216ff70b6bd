//! The traits for sinks. Whoever makes the rows encodes them; the driver makes a batch's rows visible.
//!
//! ```text
//!  query without state: executor ─SinkWriter─► a part of each task, sent with its partial ─┐
//!  query with state:    driver   ─SinkWriter─► one part ───────────────────────────────────┤
//!                       driver   ─SinkCommitter─► the batch has the rows of these parts, in order, and no others
//! ```
//! Until a part is committed it is nowhere to be seen. It is bytes, or names a hidden file; what a killed task leaves of such files
//! the committer removes when a run begins or ends.

use arrow_array::RecordBatch;
use std::time::Instant;
use tidemill_model::{Result, SinkPart};

/// Encodes rows for a sink. One per worker thread of an executor, and one in the driver.
pub trait SinkWriter: Send {
    /// Adds rows over the query's output schema.
    ///
    /// # Errors
    /// User: a row that the sink cannot take.
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;

    /// The rows since the last call, encoded. The same rows give the same bytes.
    fn finish(&mut self) -> SinkPart;

    /// Forgets the rows since the last [`SinkWriter::finish`].
    fn discard(&mut self) {
        drop(self.finish());
    }

    /// A part is not sent: removes what it names.
    fn withdraw(&mut self, part: &SinkPart) {
        let _ = part;
    }
}

/// The driver's half of a sink. A replayed batch is committed again with the same id and rows, so a commit must be idempotent
/// by `batch_id`.
pub trait SinkCommitter: Send {
    /// Name in progress records.
    fn description(&self) -> String;

    /// Called once before the first commit of a run, with the id that the query keeps across restarts. A sink refuses a
    /// place that holds another query's data.
    ///
    /// # Errors
    /// User: the place belongs to another query. External: it cannot be used.
    fn begin(&mut self, query_id: &str) -> Result<()> {
        let _ = query_id;
        Ok(())
    }

    /// Makes a batch's rows visible: those of its parts, in order. Durable on return. Called once per batch, in order, also
    /// without rows; after a crash again with the same `batch_id` (`replayed`).
    ///
    /// # Errors
    /// The caller retries a transient error. Any other error ends the run.
    fn commit(&mut self, batch_id: u64, parts: &[SinkPart], replayed: bool) -> Result<()>;

    /// Makes rows visible that the sink gathers over several batches: those that were kept back for long enough, or, at
    /// the end of a run, `all` of them. Called after each commit, and at the moment that it returned last; returns `None`
    /// while no rows wait for a moment.
    ///
    /// # Errors
    /// As [`SinkCommitter::commit`].
    fn publish(&mut self, all: bool) -> Result<Option<Instant>> {
        let _ = all;
        Ok(None)
    }

    /// Whether the rows go to another system, which may be away for a while. Then the caller waits for it as long as the run
    /// lasts. Otherwise, a disk for instance, trouble that does not pass within a minute ends the run.
    fn is_remote(&self) -> bool {
        false
    }
}

/// Both halves of a sink.
pub struct Sink {
    /// Encodes the rows that the driver makes.
    pub writer: Box<dyn SinkWriter>,
    /// Commits batches.
    pub committer: Box<dyn SinkCommitter>,
}

impl Sink {
    /// A sink of two halves.
    pub fn new(writer: impl SinkWriter + 'static, committer: impl SinkCommitter + 'static) -> Sink {
        Sink { writer: Box::new(writer), committer: Box::new(committer) }
    }

    /// The part of these rows.
    ///
    /// # Errors
    /// As [`SinkWriter::write`].
    pub fn part(&mut self, rows: &RecordBatch) -> Result<SinkPart> {
        let written = if rows.num_rows() > 0 { self.writer.write(rows) } else { Ok(()) };
        let part = self.writer.finish();
        written.map(|()| part)
    }

    /// Encodes and commits a batch.
    ///
    /// # Errors
    /// As [`SinkWriter::write`] and [`SinkCommitter::commit`].
    pub fn write(&mut self, batch_id: u64, rows: &RecordBatch, replayed: bool) -> Result<()> {
        let part = self.part(rows)?;
        self.committer.commit(batch_id, &[part], replayed)
    }
}
