//! Encodes rows in the formats of files.

use crate::parquet_file;
use crate::staged::{self, STAGED_BYTES_MIN};
use arrow_array::RecordBatch;
use std::path::PathBuf;
use tidemill_flow::ports::SinkWriter;
use tidemill_model::pipeline::SinkFormat;
use tidemill_model::{RawBytes, Result, SinkPart};
use tidemill_sql::text::{csv, json};
use tidemill_sql::zone::{WallClock, Zone};

/// Encodes rows for a [`crate::FilesSink`], or as JSON for the console. A part is lines of text or a Parquet file.
pub struct FormatWriter {
    format: SinkFormat,
    clock: WallClock,
    /// Whether parts become parts of a larger Parquet file, so that they are not compressed yet.
    gathers: bool,
    /// Where many rows are staged.
    staged_in: Option<PathBuf>,
    rows: u64,
    text: String,
    /// Rows that become a Parquet file.
    pieces: Vec<RecordBatch>,
}

impl FormatWriter {
    /// A writer of this format. `zone` is the time zone of timestamps written as text; `gathers` says that the sink gathers
    /// the rows of several batches.
    pub fn new(format: SinkFormat, zone: Zone, gathers: bool) -> FormatWriter {
        let clock = WallClock::new(zone);
        FormatWriter { format, clock, gathers, staged_in: None, rows: 0, text: String::new(), pieces: Vec::new() }
    }

    /// Stages the rows of large tasks in the sink's directory.
    #[must_use]
    pub fn staged_in(self, dir: impl Into<PathBuf>) -> FormatWriter {
        FormatWriter { staged_in: Some(dir.into()), ..self }
    }
}

impl SinkWriter for FormatWriter {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        let FormatWriter { clock, text, .. } = self;
        match self.format {
            SinkFormat::Json => {
                let writer = json::RowWriter::new(rows, clock);
                for row in 0..rows.num_rows() {
                    writer.write(text, row);
                    text.push('\n');
                }
            }
            SinkFormat::Csv => (0..rows.num_rows()).for_each(|row| csv::write_row(text, rows, row, clock)),
            SinkFormat::Parquet => self.pieces.push(rows.clone()),
        }
        Ok(())
    }

    fn finish(&mut self) -> SinkPart {
        let bytes = match self.format {
            SinkFormat::Json | SinkFormat::Csv => std::mem::take(&mut self.text).into_bytes(),
            SinkFormat::Parquet if self.pieces.is_empty() => Vec::new(),
            SinkFormat::Parquet => parquet_file::write(&std::mem::take(&mut self.pieces), !self.gathers),
        };
        let rows = std::mem::take(&mut self.rows);
        let dir = self.staged_in.as_ref().filter(|_| bytes.len() >= STAGED_BYTES_MIN);
        match dir.and_then(|dir| staged::write(dir, &bytes)) {
            Some(name) => SinkPart { rows, bytes: RawBytes(Vec::new()), staged: Some(name) },
            None => SinkPart { rows, bytes: RawBytes(bytes), staged: None },
        }
    }

    fn discard(&mut self) {
        self.rows = 0;
        self.text.clear();
        self.pieces.clear();
    }

    fn withdraw(&mut self, part: &SinkPart) {
        if let Some(dir) = &self.staged_in {
            staged::remove(dir, std::slice::from_ref(part));
        }
    }
}
