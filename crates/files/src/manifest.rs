//! The manifest of a directory of batches: the batches that a reader may read.
//!
//! ```text
//!   {"tidemill_batches":1}                                             the version, first
//!   {"batch_id":0,"rows":25,"files":["batch-00000000000000000000.json"]}
//!   {"batch_id":1,"rows":0,"files":[]}                                 a batch without rows has no file
//!   {"batch_id":1,"rows":9,"files":["batch-….0000.json","batch-….0001.json"]}   a batch with very many rows has several
//!   {"first_batch_id":2,"batch_id":9,"rows":40,"files":["batch-…02-…09.json"]}  batches that were gathered into one file
//! ```
//! A line is appended and synced after its files are complete. Text after the last line end was cut off by a crash and
//! does not count. A batch has one line; if it was written again with other rows, its last line counts. Knows no rows
//! and no formats.

use crate::durable::refused;
use crate::line_log::{Kind, LineLog, parse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use tidemill_model::{Error, Result};

const NAME: &str = "_manifest.jsonl";
const KIND: Kind = Kind { header: "{\"tidemill_batches\":1}", advice: "restore the directory, or name an empty one" };

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Number of the first batch, where the rows of several were gathered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_batch_id: Option<u64>,
    /// Number of the batch, or of the last one.
    pub batch_id: u64,
    /// Rows in all its files.
    pub rows: u64,
    /// Names of its files, in row order.
    pub files: Vec<String>,
}

impl Entry {
    /// That of one batch.
    pub fn of(batch_id: u64, rows: u64, files: Vec<String>) -> Entry {
        Entry { first_batch_id: None, batch_id, rows, files }
    }
}

/// A manifest, open for writing.
pub struct Manifest {
    log: LineLog,
    last: Option<u64>,
}

impl Manifest {
    /// Opens or creates the manifest of a directory. Removes a line that a crash cut off.
    ///
    /// # Errors
    /// External: the disk fails. User: the file is not one of ours.
    pub fn open(dir: &Path) -> Result<Manifest> {
        let (log, entries) = LineLog::open::<Entry>(dir, NAME, KIND)?;
        let last = entries.iter().map(|entry| entry.batch_id).max();
        Ok(Manifest { log, last })
    }

    /// The greatest batch id in it.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Adds a batch; durable on return. Does nothing if the batch is there with the same rows.
    ///
    /// # Errors
    /// As [`Manifest::open`]. The batch does not count then.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        if self.last >= Some(entry.batch_id) && self.holds(entry)? {
            return Ok(());
        }
        let mut line = serde_json::to_vec(entry).expect("numbers and names are JSON");
        line.push(b'\n');
        self.log.append(&line)?;
        self.last = self.last.max(Some(entry.batch_id));
        Ok(())
    }

    fn holds(&self, entry: &Entry) -> Result<bool> {
        let path = self.log.path();
        let text = fs::read(path).map_err(|error| refused("read", path, &error))?;
        Ok(by_id(parse(path, &text, KIND)?).get(&entry.batch_id) == Some(entry))
    }
}

/// The batches of a directory, by id.
///
/// # Errors
/// External: the manifest cannot be read or is damaged. User: the directory has none.
pub fn read(dir: &Path) -> Result<BTreeMap<u64, Entry>> {
    let path = dir.join(NAME);
    match fs::read(&path) {
        Ok(text) => Ok(by_id(parse(&path, &text, KIND)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::user(format!(
            "{} holds no batches: there is no {NAME}; name the directory of a files sink",
            dir.display()
        ))),
        Err(error) => Err(refused("read", &path, &error)),
    }
}

/// The last entry of each id.
fn by_id(entries: Vec<Entry>) -> BTreeMap<u64, Entry> {
    entries.into_iter().map(|entry| (entry.batch_id, entry)).collect()
}
