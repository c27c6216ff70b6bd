//! Writes the dead letters of a task: the records that decode or fold found faulty.
//!
//! Free while there are no faults; otherwise it holds one chunk's faults in memory. Does not know where dead letters
//! are kept.

use std::time::Instant;
use tidemill_decode::Decoded;
use tidemill_flow::fold::FaultyRow;
use tidemill_flow::ports::{Chunk, DeadLetter, DeadLetterWriter, Read};
use tidemill_model::{DeadLetterFile, Error, OffsetRange, RecordFault, Result};
use tidemill_os::clock;
use tidemill_os::retry::DEAD_LETTERS;
use tidemill_sql::types;

/// Writes the dead letters of one worker.
pub(crate) struct DeadLetters {
    writer: Box<dyn DeadLetterWriter>,
    /// Time of the first and the last failure to write dead letters; `None` once a write succeeded.
    refused: Option<(Instant, Instant)>,
    range: Option<OffsetRange>,
}

impl DeadLetters {
    pub(crate) fn new(writer: Box<dyn DeadLetterWriter>) -> DeadLetters {
        DeadLetters { writer, refused: None, range: None }
    }

    pub(crate) fn begin(&mut self, batch_id: u64, range: &OffsetRange) {
        self.writer.begin(batch_id, range);
        self.range = Some(range.clone());
    }

    /// Writes a dead letter for each fault of a chunk's records, in record order, then by reason.
    ///
    /// # Errors
    /// As [`DeadLetterWriter::write`]. A transient error becomes permanent after a minute.
    pub(crate) fn add(
        &mut self,
        reader: &mut dyn Read,
        chunk: &Chunk,
        decoded: &Decoded,
        mut faulty: Vec<FaultyRow>,
    ) -> Result<()> {
        let found = decoded.faults.iter().enumerate().filter_map(|(row, fault)| {
            let fault = (*fault)?;
            Some(FaultyRow { row, fault, detail: unfit(decoded, row) })
        });
        faulty.extend(found);
        faulty.sort_by_key(|faulty| (faulty.row, faulty.fault));
        for FaultyRow { row, fault, detail } in &faulty {
            self.write(reader, chunk, *row, *fault, detail.as_deref())?;
        }
        Ok(())
    }

    /// Writes a dead letter for each record of a chunk that must not be decoded.
    ///
    /// # Errors
    /// As [`DeadLetters::add`].
    pub(crate) fn set_aside(&mut self, reader: &mut dyn Read, chunk: &Chunk) -> Result<()> {
        let detail = "it killed every executor that worked on it";
        (0..chunk.len()).try_for_each(|row| self.write(reader, chunk, row, RecordFault::Malformed, Some(detail)))
    }

    /// Ends the range.
    ///
    /// # Errors
    /// As [`DeadLetterWriter::finish`]. A transient error becomes permanent after a minute.
    pub(crate) fn finish(&mut self) -> Result<Option<DeadLetterFile>> {
        let file = self.writer.finish().map_err(|error| self.refused(error))?;
        if file.is_some() {
            self.refused = None;
        }
        Ok(file)
    }

    fn write(
        &mut self,
        reader: &mut dyn Read,
        chunk: &Chunk,
        row: usize,
        fault: RecordFault,
        detail: Option<&str>,
    ) -> Result<()> {
        let range = self.range.as_ref().expect("dead letters are those of a range that was begun");
        let (offset, timestamp) = (chunk.offsets[row], chunk.timestamps[row]);
        let letter = DeadLetter {
            at: Some((&range.partition, offset)),
            place: reader.place(offset),
            timestamp: (timestamp >= 0).then_some(timestamp),
            fault,
            detail,
            key: if chunk.keys.is_empty() { None } else { chunk.keys.get(row) },
            value: chunk.value(row),
            headers: &headers(chunk, row),
        };
        let written = self.writer.write(&letter);
        written.map_err(|error| self.refused(error))
    }

    /// The error, made permanent if failures have lasted too long.
    fn refused(&mut self, error: Error) -> Error {
        let error = error.context("dead letters");
        let now = clock::now();
        // After a long pause without failures, counting starts again.
        let since = self.refused.filter(|(_, last)| !DEAD_LETTERS.is_over(now - *last)).map_or(now, |(since, _)| since);
        self.refused = Some((since, now));
        if error.retry && DEAD_LETTERS.is_over(clock::since(since)) { Error::external(error.message()) } else { error }
    }
}

/// A record's headers; none if the reader does not deliver them.
fn headers(chunk: &Chunk, row: usize) -> Vec<(&[u8], Option<&[u8]>)> {
    let Some(end) = chunk.header_ends.get(row) else { return Vec::new() };
    let start = if row == 0 { 0 } else { chunk.header_ends[row - 1] };
    (start..*end).map(|at| (chunk.header_names.get(at).unwrap_or_default(), chunk.header_values.get(at))).collect()
}

/// Names the columns that the row's values do not fit.
fn unfit(decoded: &Decoded, row: usize) -> Option<String> {
    let columns = decoded.unfit_columns(row);
    let columns: Vec<String> =
        columns.map(|field| format!("{} does not suit {}", field.name(), types::name(field.data_type()))).collect();
    (!columns.is_empty()).then(|| columns.join(", "))
}
