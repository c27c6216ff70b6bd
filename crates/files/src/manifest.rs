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

use crate::durable::{refused, write_whole};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidemill_model::{Error, Result};

const NAME: &str = "_manifest.jsonl";
const HEADER: &str = "{\"tidemill_batches\":1}";

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
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    /// Whether a failed append may have left bytes after them.
    torn: bool,
    last: Option<u64>,
}

impl Manifest {
    /// Opens the manifest of a directory, or begins one, and cuts off what a crash left of a line.
    ///
    /// # Errors
    /// External when the disk refuses; user when the file is none of ours.
    pub fn open(dir: &Path) -> Result<Manifest> {
        let path = dir.join(NAME);
        if !path.exists() {
            write_whole(dir, NAME, format!("{HEADER}\n").as_bytes())?;
        }
        let cannot = |error: io::Error| refused("open", &path, &error);
        let text = fs::read(&path).map_err(cannot)?;
        let len = whole_lines(&text).len() as u64;
        let last = entries(&path, &text)?.into_keys().next_back();
        let file = OpenOptions::new().append(true).open(&path).map_err(cannot)?;
        Ok(Manifest { torn: len < text.len() as u64, path, file, len, last })
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
        self.append(&line).map_err(|error| refused("write", &self.path, &error))?;
        self.last = self.last.max(Some(entry.batch_id));
        Ok(())
    }

    fn holds(&self, entry: &Entry) -> Result<bool> {
        let text = fs::read(&self.path).map_err(|error| refused("read", &self.path, &error))?;
        Ok(entries(&self.path, &text)?.get(&entry.batch_id) == Some(entry))
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.len)?;
        }
        self.torn = true;
        self.file.write_all(line)?;
        self.file.sync_data()?;
        self.torn = false;
        self.len += line.len() as u64;
        Ok(())
    }
}

/// The batches of a directory, by id.
///
/// # Errors
/// External when the manifest cannot be read or is damaged; user when the directory has none.
pub fn read(dir: &Path) -> Result<BTreeMap<u64, Entry>> {
    let path = dir.join(NAME);
    match fs::read(&path) {
        Ok(text) => entries(&path, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::user(format!(
            "{} holds no batches: there is no {NAME}; name the directory of a files sink",
            dir.display()
        ))),
        Err(error) => Err(refused("read", &path, &error)),
    }
}

fn whole_lines(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)]
}

fn entries(path: &Path, text: &[u8]) -> Result<BTreeMap<u64, Entry>> {
    let mut lines = whole_lines(text).split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    if lines.next() != Some(HEADER.as_bytes()) {
        return Err(Error::user(format!(
            "{} does not begin with {HEADER}: another program or a newer Tidemill wrote it; name another directory",
            path.display()
        )));
    }
    let parse = |(index, line): (usize, &[u8])| {
        let entry: Entry = serde_json::from_slice(line).map_err(|error| {
            Error::external(format!(
                "{}:{}: damaged ({error}); restore the directory, or name an empty one",
                path.display(),
                index + 2
            ))
        })?;
        Ok((entry.batch_id, entry))
    };
    lines.enumerate().map(parse).collect()
}
