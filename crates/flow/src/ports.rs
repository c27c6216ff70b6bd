//! The ports: where records come from and where rows go. `kafka` and `files` implement them, `cli` wires them.

mod dead_letters;

use arrow_array::RecordBatch;
pub use dead_letters::{DeadLetter, DeadLetterCommitter, DeadLetterWriter, DriverDeadLetter, Place};
use std::collections::BTreeMap;
use std::time::Duration;
use tidemill_model::{OffsetRange, Offsets, PartitionId, Result};

/// What a source holds of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First offset that is still there.
    pub start: i64,
    /// One past the last offset that may be read (for Kafka the last stable offset).
    pub end: i64,
}

/// All partitions of a source at one moment.
pub type Extents = BTreeMap<PartitionId, Extent>;

/// Cuts extents to what the one batch that begins at the positions may read. A source that knows natural ends of batches
/// (so many files a batch) has one; asked on the driver's thread, before each batch. What it leaves is the batch, whole:
/// no measured capacity cuts it further. An input without records must take an offset, or it gets no batch (rule O7).
pub type Admission = Box<dyn Fn(&Offsets, &mut Extents) + Send>;

/// Says, for each of some partitions, the first offset whose record has the given timestamp (ms) or a later one; `None`
/// where no record has. Asked on the driver's thread, and only while there is more to read than a batch may take.
/// Fails as [`Watch::watch`] does.
pub type Timeline = Box<dyn FnMut(&[PartitionId], i64) -> Result<Vec<Option<i64>>> + Send>;

/// The driver's side of a source: watches what there is to read.
pub trait Watch: Send {
    /// What people call the source: ``topic `t` ``.
    fn name(&self) -> String;

    /// Where the query's plans end, told once, before the first [`Watch::watch`]: of all sources, this one's among them.
    ///
    /// # Errors
    /// When what the source keeps in the checkpoint does not go so far.
    fn resume(&mut self, _planned: &Offsets) -> Result<()> {
        Ok(())
    }

    /// How far a batch may go, where the source has a say in it; asked once, before the first [`Watch::watch`].
    fn admission(&self) -> Option<Admission> {
        None
    }

    /// Where times begin, where the source's records have timestamps; asked once, before the first [`Watch::watch`].
    fn timeline(&self) -> Option<Timeline> {
        None
    }

    /// Waits until the source holds something else than `known`, at most `timeout`, and returns what it holds.
    ///
    /// With an empty `known` it returns at once with what is there. Wakes within milliseconds of an append while the
    /// source is quiet. An empty answer means that the topic does not exist (yet).
    ///
    /// # Errors
    /// A transient error when the source cannot be reached; the caller holds its state and tries again.
    fn watch(&mut self, known: &Extents, timeout: Duration) -> Result<Extents>;
}

/// Records of one partition in offset order, as one buffer.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The values, one after the other.
    pub bytes: Vec<u8>,
    /// One past the last byte of each record's value in `bytes`; a value starts where the one before ends.
    pub ends: Vec<usize>,
    /// Whether each record's value is absent (a tombstone), rather than empty.
    pub absent: Vec<bool>,
    /// Each record's offset, ascending.
    pub offsets: Vec<i64>,
    /// Each record's Kafka timestamp, ms; −1 where it has none.
    pub timestamps: Vec<i64>,
}

impl Chunk {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value of one record; `None` where it is absent.
    pub fn value(&self, record: usize) -> Option<&[u8]> {
        let start = if record == 0 { 0 } else { self.ends[record - 1] };
        (!self.absent[record]).then(|| &self.bytes[start..self.ends[record]])
    }

    /// Adds a record.
    pub fn push(&mut self, offset: i64, timestamp: i64, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.bytes.len());
        self.absent.push(value.is_none());
        self.offsets.push(offset);
        self.timestamps.push(timestamp);
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.absent.clear();
        self.offsets.clear();
        self.timestamps.clear();
    }
}

/// The executor's side of a source: reads one range at a time. One per worker thread; keeps its connection between ranges.
pub trait Read: Send {
    /// Starts on a range. Whatever was left of the range before is dropped.
    ///
    /// # Errors
    /// As [`Read::next`].
    fn open(&mut self, range: &OffsetRange) -> Result<()>;

    /// Fills `chunk` (emptied first) with the next records of the range, at most `records_max`; returns false at the
    /// range's end, when nothing was filled. Every offset below the range's end that exists is delivered exactly once;
    /// offsets that hold no record (transaction markers, compaction) are passed over.
    ///
    /// # Errors
    /// Offsets below the log's start are an external error that names them (data was lost to retention); a broker that
    /// cannot be reached is a transient one.
    fn next(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool>;

    /// What people call the place of a record that [`Read::next`] has delivered, where that is not its offset.
    fn place(&mut self, offset: i64) -> Option<Place> {
        let _ = offset;
        None
    }

    /// Time spent waiting for the source, with nothing to hand on, since the last call: it is not work.
    fn waited(&mut self) -> Duration;
}

/// Takes the rows of batches. A replayed batch is written again with the same id and the same rows: idempotent by `batch_id`.
pub trait Sink: Send {
    /// What progress records call it.
    fn description(&self) -> String;

    /// Called once, before the first write of a run, with the id that the query keeps over its restarts: what another
    /// query has written is not to be mixed with.
    ///
    /// # Errors
    /// User: the place is another query's. External: it cannot be used.
    fn begin(&mut self, query_id: &str) -> Result<()> {
        let _ = query_id;
        Ok(())
    }

    /// Writes a batch's rows, durable when it returns. Called once per batch, in order, also with no rows; again with the
    /// same `batch_id` after a crash (`replayed`).
    ///
    /// # Errors
    /// A transient error is tried again by the caller; any other ends the run.
    fn write(&mut self, batch_id: u64, rows: &RecordBatch, replayed: bool) -> Result<()>;
}
