//! The traits for dead letters. Executors write the dead letters of their tasks; the driver commits the files of a
//! batch.
//!
//! ```text
//!  executor ─DeadLetterWriter─► a file of each range that has dead letters ─┐ its name comes back with the task's partial
//!  driver   ─DeadLetterCommitter─► the batch has these files, and no others, before its commit record
//! ```
//! A task that runs again writes the same file again. A task that was killed, split or lost may leave a file too; no
//! batch names it, so it does not count. There is one dead letter per fault of a record, so a batch's dead letters,
//! counted by reason, equal the faults in its progress record.

use tidemill_model::{DeadLetterFile, OffsetRange, PartitionId, RecordFault, Result};

/// A location in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's path.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
}

/// A record and one of its faults.
#[derive(Clone, Debug)]
pub struct DeadLetter<'a> {
    /// The record's partition and offset. `None` for a group that failed when its row was built.
    pub at: Option<(&'a PartitionId, i64)>,
    /// The record's location in a file, for file sources.
    pub place: Option<Place>,
    /// The record's timestamp, ms.
    pub timestamp: Option<i64>,
    /// What is wrong.
    pub fault: RecordFault,
    /// More about the fault, as text.
    pub detail: Option<&'a str>,
    /// The record's key, if it has one and the reader delivers keys.
    pub key: Option<&'a [u8]>,
    /// The record's value. `None` for a tombstone, or if it could not be read.
    pub value: Option<&'a [u8]>,
    /// The record's headers, if the reader delivers them: names and values.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// The executor's side: writes the dead letters of one range after the other. One per worker thread.
pub trait DeadLetterWriter: Send {
    /// Starts on a range. What was left of the one before is dropped.
    fn begin(&mut self, batch_id: u64, range: &OffsetRange);

    /// Adds a dead letter. Holds at most one buffer of them in memory.
    ///
    /// # Errors
    /// Transient if the same task may succeed later (no space left), else external. The task's dead letters are then
    /// dropped.
    fn write(&mut self, letter: &DeadLetter<'_>) -> Result<()>;

    /// Ends the range: its dead letters are durable, under a name that depends on batch and range alone, and replace those of an
    /// earlier run of it. A range without dead letters leaves nothing.
    ///
    /// # Errors
    /// As [`DeadLetterWriter::write`].
    fn finish(&mut self) -> Result<Option<DeadLetterFile>>;
}

/// A dead letter that the driver writes: for a record that nobody could read, or for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverDeadLetter {
    /// As [`DeadLetter::at`].
    pub at: Option<(PartitionId, i64)>,
    /// What is wrong.
    pub fault: RecordFault,
    /// More about the fault, as text.
    pub detail: String,
}

impl DriverDeadLetter {
    /// The same as a [`DeadLetter`].
    pub fn letter(&self) -> DeadLetter<'_> {
        DeadLetter {
            at: self.at.as_ref().map(|(partition, offset)| (partition, *offset)),
            place: None,
            timestamp: None,
            fault: self.fault,
            detail: Some(&self.detail),
            key: None,
            value: None,
            headers: &[],
        }
    }
}

/// The driver's side: records which dead letters belong to a batch.
pub trait DeadLetterCommitter: Send {
    /// Name for messages.
    fn description(&self) -> String;

    /// Called once before anything is written in a run, with the id that the query keeps across restarts.
    ///
    /// # Errors
    /// As [`super::Sink::begin`].
    fn begin(&mut self, query_id: &str) -> Result<()>;

    /// Commits a batch's dead letters: the tasks' files in record order, and the driver's own. Durable on return.
    /// Called for every batch, in order, before its commit record; after a crash again with the same id, and then the
    /// last call counts.
    ///
    /// # Errors
    /// As [`super::Sink::write`].
    fn commit(&mut self, batch_id: u64, files: &[DeadLetterFile], own: &[DriverDeadLetter]) -> Result<()>;

    /// As [`super::Sink::is_remote`].
    fn is_remote(&self) -> bool {
        false
    }
}
