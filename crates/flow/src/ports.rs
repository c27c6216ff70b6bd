//! The traits of sources and sinks. `kafka` and `files` implement them; `cli` wires them.

mod dead_letters;
mod sinks;

pub use dead_letters::{DeadLetter, DeadLetterCommitter, DeadLetterWriter, DriverDeadLetter, Place};
pub use sinks::{Sink, SinkCommitter, SinkWriter};
use std::collections::BTreeMap;
use std::time::Duration;
use tidemill_decode::Values;
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

/// A chunk that holds so many bytes of values takes no further record.
pub const CHUNK_BYTES: usize = 8 << 20;

/// Values in one buffer, some of them absent.
#[derive(Debug, Default)]
pub struct ByteColumn {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    absent: Vec<bool>,
}

impl ByteColumn {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One value; `None` if absent.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        (!self.absent[at]).then(|| &self.bytes[start..self.ends[at]])
    }

    /// Appends a value.
    pub fn push(&mut self, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.bytes.len());
        self.absent.push(value.is_none());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.absent.clear();
    }
}

/// What a reader delivers of each record beside value, offset and timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordMetadata {
    /// [`Chunk::keys`].
    pub keys: bool,
    /// [`Chunk::timestamp_types`].
    pub timestamp_types: bool,
    /// [`Chunk::header_names`] and the like.
    pub headers: bool,
}

/// Records of one partition in offset order, as one buffer.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The values, one after the other.
    pub bytes: Vec<u8>,
    /// End of each record's value in `bytes`. A value starts where the one before ends.
    pub ends: Vec<usize>,
    /// Whether each record's value is absent (a tombstone) rather than empty.
    pub absent: Vec<bool>,
    /// Each record's offset, ascending.
    pub offsets: Vec<i64>,
    /// Each record's Kafka timestamp in ms; −1 if it has none.
    pub timestamps: Vec<i64>,
    /// Each record's key. This and the columns below are empty unless the reader delivers them ([`RecordMetadata`]).
    pub keys: ByteColumn,
    /// Who set each record's timestamp: 0 the producer, 1 the broker, −1 nobody.
    pub timestamp_types: Vec<i32>,
    /// End of each record's headers in `header_names` and `header_values`.
    pub header_ends: Vec<usize>,
    /// Names of the headers.
    pub header_names: ByteColumn,
    /// Values of the headers.
    pub header_values: ByteColumn,
}

impl Chunk {
    /// Whether it may take one more record, of at most so many.
    pub fn has_room(&self, records_max: usize) -> bool {
        self.len() < records_max && self.byte_size() < CHUNK_BYTES
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value of one record; `None` if absent.
    pub fn value(&self, record: usize) -> Option<&[u8]> {
        let start = if record == 0 { 0 } else { self.ends[record - 1] };
        (!self.absent[record]).then(|| &self.bytes[start..self.ends[record]])
    }

    /// Appends a record.
    pub fn push(&mut self, offset: i64, timestamp: i64, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.bytes.len());
        self.absent.push(value.is_none());
        self.offsets.push(offset);
        self.timestamps.push(timestamp);
    }

    /// Removes all records; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.absent.clear();
        self.offsets.clear();
        self.timestamps.clear();
        self.keys.clear();
        self.timestamp_types.clear();
        self.header_ends.clear();
        self.header_names.clear();
        self.header_values.clear();
    }

    /// Memory of the records' bytes.
    pub fn byte_size(&self) -> usize {
        self.bytes.len() + self.keys.bytes.len() + self.header_names.bytes.len() + self.header_values.bytes.len()
    }
}

impl Values for Chunk {
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn value(&self, record: usize) -> Option<&[u8]> {
        self.value(record)
    }
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
    /// As [`Read::next`].
    fn open(&mut self, range: &OffsetRange) -> Result<()>;

    /// Fills `chunk` (emptied first) with the next records of the range, while it [has room](Chunk::has_room); returns false at the
    /// range's end, when nothing was filled. Every offset below the range's end that exists is delivered exactly once;
    /// offsets that hold no record (transaction markers, compaction) are passed over.
    ///
    /// # Errors
    /// External, with the offsets: they are below the log's start (retention removed them). Transient: the broker
    /// cannot be reached.
    fn next(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool>;

    /// The location of a record that [`Read::next`] delivered, if users know it by something other than its offset.
    fn place(&mut self, offset: i64) -> Option<Place> {
        let _ = offset;
        None
    }

    /// Time spent waiting for the source since the last call. It does not count as work.
    fn waited(&mut self) -> Duration;
}
