//! The ports of dead letters: executors write those of their tasks, the driver makes the files part of a batch.
//!
//! ```text
//!  executor ─DeadLetterWriter─► a file of each task that has dead letters ─┐ its name comes back with the task's partial
//!  driver   ─DeadLetterCommitter─► the batch has these files, and no others, before its commit record
//! ```
//! A task that is run again writes the same file again. Of a task that was killed, split, or never came back, there may be
//! a file, too: no batch names it, so it does not count. There is a letter for each fault of a record, so that the dead letters
//! of a batch, counted by reason, are the faults of its progress record.

use tidemill_model::{DeadLetterFile, OffsetRange, PartitionId, RecordFault, Result};

/// What people call the place of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's path.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
}

/// A record and one thing that is wrong with it.
#[derive(Clone, Debug)]
pub struct DeadLetter<'a> {
    /// The record's partition and offset; `None`: it is no record but a group that failed when its row was to come out.
    pub at: Option<(&'a PartitionId, i64)>,
    /// What people call that place, where they call it something else.
    pub place: Option<Place>,
    /// The record's timestamp, ms.
    pub timestamp: Option<i64>,
    /// What is wrong.
    pub fault: RecordFault,
    /// What is known of it, in words.
    pub detail: Option<&'a str>,
    /// The record's value; `None` for a tombstone, and where it could not be had.
    pub value: Option<&'a [u8]>,
}

/// The executor's side: writes the dead letters of one task after the other. One per worker thread.
pub trait DeadLetterWriter: Send {
    /// Starts on a task. What was left of the task before is dropped.
    fn begin(&mut self, batch_id: u64, range: &OffsetRange);

    /// Adds a dead letter. Holds no more than a buffer of them in memory.
    ///
    /// # Errors
    /// A transient error where the same task may succeed later (no space left); an external one otherwise. The task's
    /// dead letters are then dropped.
    fn write(&mut self, letter: &DeadLetter<'_>) -> Result<()>;

    /// Ends the task: its dead letters are durable, under a name that depends on batch and range alone, and replace those of an
    /// earlier run of it. A task without dead letters leaves nothing.
    ///
    /// # Errors
    /// As [`DeadLetterWriter::write`].
    fn finish(&mut self) -> Result<Option<DeadLetterFile>>;
}

/// A dead letter that the driver itself has to write: nobody could read the record, or it is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverDeadLetter {
    /// As [`DeadLetter::at`].
    pub at: Option<(PartitionId, i64)>,
    /// What is wrong.
    pub fault: RecordFault,
    /// What is known of it, in words.
    pub detail: String,
}

impl DriverDeadLetter {
    /// It as a dead letter.
    pub fn letter(&self) -> DeadLetter<'_> {
        DeadLetter {
            at: self.at.as_ref().map(|(partition, offset)| (partition, *offset)),
            place: None,
            timestamp: None,
            fault: self.fault,
            detail: Some(&self.detail),
            value: None,
        }
    }
}

/// The driver's side: which dead letters a batch has.
pub trait DeadLetterCommitter: Send {
    /// What people call it.
    fn description(&self) -> String;

    /// Called once, before anything is written in a run, with the id that the query keeps over its restarts.
    ///
    /// # Errors
    /// As [`super::Sink::begin`].
    fn begin(&mut self, query_id: &str) -> Result<()>;

    /// Makes files that tasks have written, in the order of their records, and the driver's own dead letters those of a batch,
    /// durable when it returns. Called for every batch, in order, before its commit record; again with the same id after a
    /// crash, and then only what it says last counts.
    ///
    /// # Errors
    /// As [`super::Sink::write`].
    fn commit(&mut self, batch_id: u64, files: &[DeadLetterFile], own: &[DriverDeadLetter]) -> Result<()>;
}
