//! The manifest of a directory of batches: what a reader may read.
//!
//! ```text
//!   {"tidemill_batches":1}                                             the version, first
//!   {"batch_id":0,"rows":25,"files":["batch-00000000000000000000.json"]}
//!   {"batch_id":1,"rows":0,"files":[]}                                 a batch without rows has no file
//! ```
//! A line is appended and synced when its files are there whole; text after the last line end is a crash's, and does
//! not count. A batch stands once; if it was written again with other rows, its last line counts.
//! Knows no rows and no formats.

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
    /// Number of the batch.
    pub batch_id: u64,
    /// Rows in its files together.
    pub rows: u64,
    /// Names of its files, in the order of their rows.
    pub files: Vec<String>,
}

/// A manifest open for writing.
pub struct Manifest {
    log: LineLog,
    last: Option<u64>,
}

impl Manifest {
    /// Opens the manifest of a directory, or begins one, and cuts off what a crash left of a line.
    ///
    /// # Errors
    /// External when the disk refuses; user when the file is none of ours.
    pub fn open(dir: &Path) -> Result<Manifest> {
        let (log, entries) = LineLog::open::<Entry>(dir, NAME, KIND)?;
        let last = entries.iter().map(|entry| entry.batch_id).max();
        Ok(Manifest { log, last })
    }

    /// The greatest batch id in it.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Adds a batch, durable when it returns. A batch that stands there already with the same rows is not added again.
    ///
    /// # Errors
    /// As [`Manifest::open`]; then the batch does not count.
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
/// External when the manifest cannot be read or is damaged; user when the directory has none.
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

/// Of equal ids the last line counts.
fn by_id(entries: Vec<Entry>) -> BTreeMap<u64, Entry> {
    entries.into_iter().map(|entry| (entry.batch_id, entry)).collect()
}
