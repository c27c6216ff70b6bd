//! Rows as bytes, on their way from an executor to the driver.
//!
//! ```text
//!  each row: its length: u32 LE | its columns in the key encoding of [`crate::key`]
//! ```

use crate::key::{self, Encoder, Zeros};
use crate::output::record_batch;
use crate::ports::SinkWriter;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::collections::VecDeque;
use tidemill_model::limits::SHOWN_BYTES_MAX;
use tidemill_model::{Error, RawBytes, Result, SinkPart};

/// Which rows are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All.
    All,
    /// The first, this many at most.
    First(usize),
    /// The last, this many at most, and of those as many as fit into [`SHOWN_BYTES_MAX`].
    Last(usize),
}

/// Encodes rows. A part counts all rows, also those that are not kept.
#[derive(Debug)]
pub struct RowsWriter {
    kept: Kept,
    pieces: VecDeque<RecordBatch>,
    /// Rows in `pieces`.
    held: usize,
    written: u64,
}

impl RowsWriter {
    /// Encodes these rows of all that are written.
    pub fn new(kept: Kept) -> RowsWriter {
        RowsWriter { kept, pieces: VecDeque::new(), held: 0, written: 0 }
    }
}

impl SinkWriter for RowsWriter {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.written += rows.num_rows() as u64;
        let piece = match self.kept {
            Kept::First(most) => rows.slice(0, rows.num_rows().min(most - self.held)),
            Kept::All | Kept::Last(_) => rows.clone(),
        };
        self.held += piece.num_rows();
        if piece.num_rows() > 0 {
            self.pieces.push_back(piece);
        }
        let Kept::Last(most) = self.kept else { return Ok(()) };
        while let Some(first) = self.pieces.front_mut().filter(|_| self.held > most) {
            let dropped = first.num_rows().min(self.held - most);
            self.held -= dropped;
            *first = first.slice(dropped, first.num_rows() - dropped);
            if first.num_rows() == 0 {
                self.pieces.pop_front();
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> SinkPart {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for rows in self.pieces.drain(..) {
            let encoders: Vec<Encoder<'_>> = rows.columns().iter().map(|c| Encoder::new(c, Zeros::Keep)).collect();
            for row in 0..rows.num_rows() {
                let start = bytes.len();
                bytes.extend([0; 4]);
                encoders.iter().for_each(|encoder| encoder.encode(row, &mut bytes));
                let length = (bytes.len() - start - 4) as u32;
                bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
                starts.push(start);
            }
        }
        if matches!(self.kept, Kept::Last(_)) {
            let fits = |start: &&usize| bytes.len() - **start <= SHOWN_BYTES_MAX;
            let from = starts.iter().find(fits).copied().unwrap_or(bytes.len());
            bytes.drain(..from);
        }
        self.held = 0;
        SinkPart { rows: std::mem::take(&mut self.written), bytes: RawBytes(bytes), staged: None }
    }
}

/// The rows of some parts.
///
/// # Errors
/// Internal: the bytes are not those of [`RowsWriter`].
pub fn decode<'a>(schema: &SchemaRef, parts: impl IntoIterator<Item = &'a SinkPart>) -> Result<RecordBatch> {
    let mut cursors = Vec::new();
    for part in parts {
        let RawBytes(bytes) = &part.bytes;
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let row = after.split_at_checked(u32::from_le_bytes(*length) as usize);
            let (row, after) = row.ok_or_else(|| Error::internal("the rows of a task are cut off"))?;
            cursors.push(Some(row));
            rest = after;
        }
    }
    let columns = schema.fields().iter().map(|field| key::decode(&mut cursors, field.data_type())).collect();
    Ok(record_batch(schema, columns, cursors.len()))
}

/// Rows in pieces as one.
pub fn joined(schema: &SchemaRef, pieces: impl IntoIterator<Item = RecordBatch>) -> RecordBatch {
    let mut writer = RowsWriter::new(Kept::All);
    pieces.into_iter().try_for_each(|piece| writer.write(&piece)).expect("it takes all rows");
    decode(schema, [&writer.finish()]).expect("the bytes are whole")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn rows(from: i64, to: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter((from..to).map(|n| (n % 3 != 0).then_some(n))));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((from..to).map(|n| format!("t\0{n}"))));
        RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", texts, true)]).unwrap()
    }

    /// Rows written in these pieces; the rows that come back.
    fn check(kept: Kept, pieces: &[(i64, i64)], expected: (i64, i64)) {
        let mut writer = RowsWriter::new(kept);
        for (from, to) in pieces {
            writer.write(&rows(*from, *to)).unwrap();
        }
        let part = writer.finish();
        let expected = rows(expected.0, expected.1);
        assert_eq!(part.rows as i64, pieces.iter().map(|(from, to)| to - from).sum::<i64>(), "{kept:?} {pieces:?}");
        assert_eq!(decode(&expected.schema(), [&part]).unwrap(), expected, "{kept:?} {pieces:?}");
        assert_eq!(writer.finish(), SinkPart::default());
    }

    #[test]
    fn rows_come_back_all_or_the_first_or_the_last() {
        check(Kept::All, &[(0, 5), (5, 5), (5, 900)], (0, 900));
        check(Kept::First(30), &[(0, 5), (5, 20)], (0, 20));
        check(Kept::First(30), &[(0, 20), (20, 40), (40, 45)], (0, 30));
        check(Kept::First(0), &[(0, 20)], (0, 0));
        check(Kept::Last(30), &[(0, 5), (5, 20)], (0, 20));
        check(Kept::Last(30), &[(0, 20), (20, 40), (40, 45)], (15, 45));
        check(Kept::Last(30), &[(0, 2_000), (2_000, 2_030)], (2_000, 2_030));
        check(Kept::Last(30), &[(0, 2_000), (2_000, 2_001)], (1_971, 2_001));
    }

    #[test]
    fn rows_to_be_shown_are_small() {
        let mut writer = RowsWriter::new(Kept::Last(30));
        let text = |length: usize| -> ArrayRef { Arc::new(StringArray::from(vec!["x".repeat(length)])) };
        let row = |length| RecordBatch::try_from_iter([("t", text(length))]).unwrap();
        for length in [40_000, 30_000, 30_000, 9] {
            writer.write(&row(length)).unwrap();
        }
        let part = writer.finish();
        assert_eq!((part.rows, decode(&row(0).schema(), [&part]).unwrap().num_rows()), (4, 3));
        writer.write(&row(90_000)).unwrap();
        let part = writer.finish();
        assert_eq!((part.rows, decode(&row(0).schema(), [&part]).unwrap().num_rows()), (1, 0));
    }

    #[test]
    fn rows_that_are_cut_off_are_an_error() {
        let mut writer = RowsWriter::new(Kept::All);
        writer.write(&rows(0, 2)).unwrap();
        let mut part = writer.finish();
        part.bytes.0.pop();
        assert!(decode(&rows(0, 0).schema(), [&part]).is_err());
    }
}
