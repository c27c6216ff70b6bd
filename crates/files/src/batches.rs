//! A directory of batches: [`FilesSink`] writes it, [`read_batches`] reads it.
//!
//! ```text
//!   DIR/batch-00000000000000000007.json   rows of batch 7, one JSON object per line (rule S1); or .csv, .parquet
//!   DIR/_manifest.jsonl                   the complete batches
//!   DIR/_owner                            the query that the directory belongs to
//! ```
//! The file is written first, then its line in the manifest. A reader that follows the manifest sees each batch
//! completely and once, or not at all; a reader that lists the directory sees complete files. A replay writes the same
//! file again. Cost: three fsyncs per batch, one for a batch without rows. Takes all three output modes; Spark's file
//! sink takes append only (rule S2). In update and complete mode a later batch's rows replace those of the same group.

use crate::durable::{refused, sweep, write_whole};
use crate::manifest::{self, Entry, Manifest};
use crate::owner::Claim;
use crate::parquet_file;
use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tidemill_flow::ports::Sink;
use tidemill_model::pipeline::SinkFormat;
use tidemill_model::{Error, Result};
use tidemill_sql::text::{csv, json};
use tidemill_sql::zone::{WallClock, Zone};

/// Writes each batch's rows to its own file.
pub struct FilesSink {
    dir: PathBuf,
    format: SinkFormat,
    zone: Zone,
    manifest: Manifest,
    claim: Claim,
}

impl FilesSink {
    /// Opens or creates a directory of batches. `zone` is the time zone of timestamps written as text.
    ///
    /// # Errors
    /// External: the disk fails. User: the directory's manifest is not one of ours.
    pub fn new(dir: impl Into<PathBuf>, format: SinkFormat, zone: Zone) -> Result<FilesSink> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(|error| refused("create", &dir, &error))?;
        let manifest = Manifest::open(&dir)?;
        Ok(FilesSink { dir, format, zone, manifest, claim: Claim::default() })
    }
}

impl Sink for FilesSink {
    fn description(&self) -> String {
        format!("FileSink[{}]", self.dir.display())
    }

    /// Also removes unfinished files of a crashed run.
    fn begin(&mut self, query_id: &str) -> Result<()> {
        self.claim.begin(&self.dir, query_id.to_owned(), self.manifest.last().is_some())?;
        sweep(&self.dir)
    }

    fn write(&mut self, batch_id: u64, rows: &RecordBatch, _replayed: bool) -> Result<()> {
        self.claim.make(&self.dir)?;
        let mut files = Vec::new();
        if rows.num_rows() > 0 {
            let name = format!("batch-{batch_id:020}.{}", self.format.name());
            write_whole(&self.dir, &name, &content(self.format, self.zone, rows))?;
            files.push(name);
        }
        self.manifest.add(&Entry { batch_id, rows: rows.num_rows() as u64, files })
    }
}

/// The first column that a format cannot hold.
pub fn unheld(format: SinkFormat, schema: &Schema) -> Option<&FieldRef> {
    match format {
        SinkFormat::Json => None,
        SinkFormat::Csv => csv::refused(schema),
        SinkFormat::Parquet => parquet_file::refused(schema),
    }
}

fn content(format: SinkFormat, zone: Zone, rows: &RecordBatch) -> Vec<u8> {
    let (mut text, clock) = (String::new(), WallClock::new(zone));
    match format {
        SinkFormat::Json => {
            for row in 0..rows.num_rows() {
                json::write_row(&mut text, rows, row, &clock);
                text.push('\n');
            }
        }
        SinkFormat::Csv => (0..rows.num_rows()).for_each(|row| csv::write_row(&mut text, rows, row, &clock)),
        SinkFormat::Parquet => return parquet_file::write(rows),
    }
    text.into_bytes()
}

/// Reads a directory of JSON batches: `(batch_id, rows)` in the order of ids. Batches that are added meanwhile are not
/// seen.
///
/// # Errors
/// User: the directory holds no batches. External, at once or per batch: it cannot be read or is damaged.
pub fn read_batches(dir: &Path) -> Result<impl Iterator<Item = Result<(u64, Vec<Value>)>> + use<>> {
    let entries = manifest::read(dir)?;
    let dir = dir.to_path_buf();
    Ok(entries.into_values().map(move |entry| Ok((entry.batch_id, read_rows(&dir, &entry)?))))
}

fn read_rows(dir: &Path, entry: &Entry) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for name in &entry.files {
        let path = dir.join(name);
        let text = fs::read_to_string(&path).map_err(|error| refused("read", &path, &error))?;
        for (index, line) in text.lines().enumerate() {
            rows.push(
                serde_json::from_str(line).map_err(|error| damaged(&path, &format!("line {}: {error}", index + 1)))?,
            );
        }
    }
    if rows.len() as u64 == entry.rows {
        return Ok(rows);
    }
    Err(damaged(dir, &format!("batch {} has {} rows where {} were written", entry.batch_id, rows.len(), entry.rows)))
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::external(format!(
        "{} is damaged: {what}; restore it, or run the pipeline again into an empty directory",
        path.display()
    ))
}
