//! The traits of sources and sinks. `kafka` and `files` implement them; `cli` wires them.

mod chunk;
mod dead_letters;
mod sinks;

pub use chunk::{Buffer, ByteColumn, CHUNK_BYTES, Chunk, RecordMetadata};
pub use dead_letters::{DeadLetter, DeadLetterCommitter, DeadLetterWriter, DriverDeadLetter, Place};
pub use sinks::{Sink, SinkCommitter, SinkWriter};
use std::collections::BTreeMap;
use std::time::Duration;
use tidemill_model::{OffsetRange, Offsets, PartitionId, Result};

/// What a source holds of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First offset that still exists.
    pub start: i64,
    /// One past the last readable offset (for Kafka the last stable offset).
    pub end: i64,
}

/// All partitions of a source at one time.
pub type Extents = BTreeMap<PartitionId, Extent>;

/// Limits extents to what the batch that begins at these positions may read. For sources that define batch ends
/// themselves, such as a number of files. Called on the driver's thread before each batch. The result is the whole
/// batch: measured capacity does not cut it further. An input without records must still take an offset, or it gets no
/// batch (rule O7).
pub type Admission = Box<dyn Fn(&Offsets, &mut Extents) + Send>;

/// For each of some partitions, the first offset whose record has this timestamp (ms) or a later one; `None` if there
/// is no such record. Called on the driver's thread, and only if there is more to read than a batch may take. Fails as
/// [`Watch::watch`] does.
pub type Timeline = Box<dyn FnMut(&[PartitionId], i64) -> Result<Vec<Option<i64>>> + Send>;

/// Finds an offset in each partition of these extents, which are those of the source. Called on the driver's thread until it
/// succeeds. Fails as [`Watch::watch`] does; any other error ends the run.
pub type Positions = Box<dyn FnMut(&Extents) -> Result<Offsets> + Send>;

/// The driver's side of a source: reports what there is to read.
pub trait Watch: Send {
    /// Name for messages: ``topic `t` ``.
    fn name(&self) -> String;

    /// A warning for a user whose source exists and has never held a record: a pattern that no file matches.
    fn warning_if_empty(&self) -> Option<String> {
        None
    }

    /// Called once, before the first [`Watch::watch`], with the end of the query's plans. The offsets cover all
    /// sources.
    ///
    /// # Errors
    /// If what the source keeps in the checkpoint does not reach these offsets.
    fn resume(&mut self, _planned: &Offsets) -> Result<()> {
        Ok(())
    }

    /// The source's own limit of a batch, if it has one. Called once, before the first [`Watch::watch`].
    fn admission(&self) -> Option<Admission> {
        None
    }

    /// Lookup by timestamp, if the source's records have timestamps. Called once, before the first [`Watch::watch`].
    fn timeline(&self) -> Option<Timeline> {
        None
    }

    /// Where a query without a checkpoint starts, if that is neither the first offsets nor the ends. Called once, before the
    /// first [`Watch::watch`].
    fn starting(&self) -> Option<Positions> {
        None
    }

    /// Where a query ends that reads what is available now, if that is not at the ends of then. Called once, before the first
    /// [`Watch::watch`].
    fn ending(&self) -> Option<Positions> {
        None
    }

    /// Waits up to `timeout` until the source holds something other than `known`, and returns what it holds.
    ///
    /// With an empty `known` it returns at once. On a quiet source it wakes within milliseconds of an append. An empty
    /// answer means that the topic does not exist (yet).
    ///
    /// # Errors
    /// A transient error if the source cannot be reached; the caller keeps its state and tries again.
    fn watch(&mut self, known: &Extents, timeout: Duration) -> Result<Extents>;
}

/// The executor's side of a source: reads one range at a time. One per worker thread; keeps its connection between
/// ranges.
pub trait Read: Send {
    /// Tells which ranges will be opened from now on, in this order: they may be fetched ahead. What was expected before is
    /// forgotten.
    fn expect(&mut self, ranges: &[OffsetRange]) {
        let _ = ranges;
    }

    /// Starts on a range. Whatever was left of the range before is dropped.
    ///
    /// # Errors
    /// As [`Read::append`].
    fn open(&mut self, range: &OffsetRange) -> Result<()>;

    /// Appends the next records of the range to `chunk`, while it [has room](Chunk::has_room); returns false at the range's
    /// end, when nothing was appended. Every offset below the range's end that exists is delivered exactly once; offsets
    /// that hold no record (transaction markers, compaction) are passed over.
    ///
    /// # Errors
    /// External, with the offsets: they are below the log's start (retention removed them). Transient: the broker
    /// cannot be reached.
    fn append(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool>;

    /// [`Read::append`] to an emptied chunk.
    ///
    /// # Errors
    /// As [`Read::append`].
    fn next(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        chunk.clear();
        self.append(chunk, records_max)
    }

    /// The location of a record that was delivered, if users know it by something other than its offset.
    fn place(&mut self, offset: i64) -> Option<Place> {
        let _ = offset;
        None
    }

    /// Time spent waiting for the source since the last call. It does not count as work.
    fn waited(&mut self) -> Duration;
}
