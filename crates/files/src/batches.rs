//! A directory of batches: [`FilesSink`] writes it, [`read_batches`] reads it.
//!
//! ```text
//!   DIR/batch-00000000000000000007.json   rows of batch 7, one JSON object per line (rule S1); or .csv, .parquet
//!   DIR/_manifest.jsonl                   the complete batches
//!   DIR/_owner                            the query that the directory belongs to
//! ```
//! The file is written first, then its line in the manifest. A reader that follows the manifest sees each batch
//! completely and once, or not at all; a reader that lists the directory sees complete files. A replay of a visible batch changes
//! nothing; of another it writes the files again. Cost: three fsyncs per batch, one for a batch without rows. Takes all three
//! output modes; Spark's file sink takes append only (rule S2). In update and complete mode a later batch's rows replace those
//! of the same group.
//!
//! Where executors encode the rows, a task with many of them [stages](crate::staged) them in a file of its own, with one fsync
//! more. A batch then has several files, `batch-<id>.<number>.<format>`.
//!
//! With a [`Roll`], the rows of several batches are [gathered](crate::gathered) (one fsync per batch) and become one
//! file: its batches become visible together, and still completely and once.

use crate::durable::{refused, remove, sweep, write_whole};
use crate::gathered::Gathered;
use crate::manifest::{self, Entry, Manifest};
use crate::owner::Claim;
use crate::parquet_file;
use crate::staged;
use arrow_schema::{FieldRef, Schema};
use parquet::errors::ParquetError;
use serde_json::Value;
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidemill_flow::ports::SinkCommitter;
use tidemill_model::pipeline::SinkFormat;
use tidemill_model::{Error, Result, SinkPart};
use tidemill_os::{clock, disk};
use tidemill_sql::text::csv;

/// Puts each batch's rows into its own file, or gathers those of several.
pub struct FilesSink {
    dir: PathBuf,
    format: SinkFormat,
    manifest: Manifest,
    claim: Claim,
    roll: Option<Roll>,
    /// What is gathered; `None` without `roll`, and before the first use.
    gathered: Option<Gathered>,
}

/// When gathered rows become a file: whichever comes first, or the end of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roll {
    /// As soon as they have so many bytes, before compression.
    pub size: Option<u64>,
    /// When the first of them has waited for so long.
    pub interval: Option<Duration>,
}

impl FilesSink {
    /// Opens or creates a directory of batches. They are encoded by a [`crate::FormatWriter`] of the same format.
    ///
    /// # Errors
    /// External: the disk fails. User: the directory's manifest is not one of ours.
    pub fn new(dir: impl Into<PathBuf>, format: SinkFormat) -> Result<FilesSink> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(|error| refused("create", &dir, &error))?;
        let manifest = Manifest::open(&dir)?;
        Ok(FilesSink { dir, format, manifest, claim: Claim::default(), roll: None, gathered: None })
    }

    /// Gathers the rows of several batches.
    #[must_use]
    pub fn rolling(self, roll: Option<Roll>) -> FilesSink {
        FilesSink { roll, ..self }
    }

    /// Publishes what a run before has left gathered. Format, columns and [`Roll`] may have changed since.
    fn resume(&mut self) -> Result<()> {
        for format in [SinkFormat::Json, SinkFormat::Csv, SinkFormat::Parquet] {
            let mut gathered = Gathered::open(&self.dir, format, self.manifest.last())?;
            self.put(&mut gathered, format)?;
            if self.roll.is_some() && format == self.format {
                self.gathered = Some(gathered);
            }
        }
        Ok(())
    }

    /// Makes a file of what is gathered, and then its line in the manifest.
    fn put(&mut self, gathered: &mut Gathered, format: SinkFormat) -> Result<()> {
        let Some(range) = gathered.range() else { return Ok(()) };
        let name = file_name(range, None, format);
        let content = joined(format, gathered.contents()?)
            .map_err(|error| damaged(&self.dir, &format!("what was gathered for {name} cannot be read ({error})")))?;
        write_whole(&self.dir, &name, &[&content])?;
        let (first, last) = range;
        let first_batch_id = (first < last).then_some(first);
        let entry = Entry { first_batch_id, batch_id: last, rows: gathered.rows(), files: vec![name] };
        self.manifest.add(&entry)?;
        gathered.clear()
    }

    /// The rows of some parts that are not staged as the pieces of one file.
    fn content<'a>(&self, parts: impl IntoIterator<Item = &'a SinkPart>) -> Result<Vec<Cow<'a, [u8]>>> {
        let parts = parts.into_iter().filter(|part| part.rows > 0).map(|part| &part.bytes.0[..]);
        let parts: Vec<&[u8]> = parts.collect();
        if parts.len() > 1 && self.format == SinkFormat::Parquet {
            let file = parquet_file::append(&parts);
            let file = file.map_err(|error| Error::internal(format!("the rows of a task cannot be read: {error}")))?;
            return Ok(vec![Cow::Owned(file)]);
        }
        Ok(parts.into_iter().map(Cow::Borrowed).collect())
    }

    /// Writes the files of a batch; returns their names. A staged part is a file, and so are those between staged parts.
    /// An attempt before this one may have cut the batch otherwise: what it left is removed.
    fn write_files(&self, batch_id: u64, parts: &[SinkPart], replayed: bool) -> Result<Vec<String>> {
        let mut files: Vec<(Option<&str>, Vec<&SinkPart>)> = Vec::new();
        for part in parts.iter().filter(|part| part.rows > 0) {
            match (&part.staged, files.last_mut()) {
                (None, Some((None, parts))) => parts.push(part),
                (staged, _) => files.push((staged.as_deref(), vec![part])),
            }
        }
        let is_one = files.len() == 1;
        let mut names = Vec::new();
        for (number, (staged, parts)) in files.into_iter().enumerate() {
            let name = file_name((batch_id, batch_id), (!is_one).then_some(number), self.format);
            match staged {
                Some(staged) => staged::publish(&self.dir, staged, &name)?,
                None => {
                    let content = self.content(parts)?;
                    let pieces: Vec<&[u8]> = content.iter().map(AsRef::as_ref).collect();
                    write_whole(&self.dir, &name, &pieces)?;
                }
            }
            names.push(name);
        }
        if parts.iter().any(|part| part.staged.is_some()) {
            disk::sync_dir(&self.dir).map_err(|error| refused("write", &self.dir, &error))?;
        }
        if replayed {
            self.remove_others(batch_id, &names)?;
        }
        Ok(names)
    }

    /// Removes the files of a batch but those with these names.
    fn remove_others(&self, batch_id: u64, names: &[String]) -> Result<()> {
        let cannot = |error| refused("clean", &self.dir, &error);
        let prefix = format!("batch-{batch_id:020}.");
        for entry in fs::read_dir(&self.dir).map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) && !names.contains(&name) {
                remove(&self.dir.join(name)).map_err(cannot)?;
            }
        }
        Ok(())
    }

    fn gather(&mut self, batch_id: u64, parts: &[SinkPart]) -> Result<()> {
        let content = self.content(parts)?.concat();
        let gathered = self.gathered.as_mut().expect("`begin` comes before the first batch");
        gathered.add(batch_id, count(parts), &content)
    }
}

impl SinkCommitter for FilesSink {
    fn description(&self) -> String {
        format!("FileSink[{}]", self.dir.display())
    }

    /// Also removes unfinished files of a crashed run.
    fn begin(&mut self, query_id: &str) -> Result<()> {
        self.claim.begin(&self.dir, query_id.to_owned(), self.manifest.last().is_some())?;
        sweep(&self.dir)?;
        self.resume()
    }

    fn commit(&mut self, batch_id: u64, parts: &[SinkPart], replayed: bool) -> Result<()> {
        self.claim.make(&self.dir)?;
        if (replayed || self.roll.is_some()) && self.manifest.last() >= Some(batch_id) {
            // It is visible, and its rows are the same.
            staged::remove(&self.dir, parts);
            return Ok(());
        }
        if self.roll.is_some() {
            return self.gather(batch_id, parts);
        }
        self.manifest.add(&Entry::of(batch_id, count(parts), self.write_files(batch_id, parts, replayed)?))
    }

    fn publish(&mut self, all: bool) -> Result<Option<Instant>> {
        if all && self.claim.is_made() {
            // What tasks have staged that ran twice, or were killed.
            sweep(&self.dir)?;
        }
        let (Some(roll), Some(mut gathered)) = (self.roll, self.gathered.take()) else { return Ok(None) };
        let due_at = roll.interval.map(|interval| gathered.since() + interval);
        let large = roll.size.is_some_and(|size| gathered.bytes() >= size);
        let due = all || large || due_at.is_some_and(|at| at <= clock::now());
        let result = if due { self.put(&mut gathered, self.format) } else { Ok(()) };
        let waits = gathered.range().is_some();
        self.gathered = Some(gathered);
        result.map(|()| due_at.filter(|_| waits))
    }
}

/// The file of these batches, or the file of this number of several.
fn file_name((first, last): (u64, u64), number: Option<usize>, format: SinkFormat) -> String {
    let format = format.name();
    match number {
        _ if first < last => format!("batch-{first:020}-{last:020}.{format}"),
        Some(number) => format!("batch-{last:020}.{number:04}.{format}"),
        None => format!("batch-{last:020}.{format}"),
    }
}

/// The file of the rows of several batches.
fn joined(format: SinkFormat, contents: Vec<Vec<u8>>) -> std::result::Result<Vec<u8>, ParquetError> {
    match format {
        SinkFormat::Json | SinkFormat::Csv => Ok(contents.concat()),
        SinkFormat::Parquet => parquet_file::join(contents),
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

fn count(parts: &[SinkPart]) -> u64 {
    parts.iter().map(|part| part.rows).sum()
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
