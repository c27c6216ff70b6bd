//! The log of files: which file holds which offsets, in the order in which files were found.
//!
//! ```text
//!   {"tidemill_files":1}
//!   {"offset":0,"file":"in/a.jsonl","modified_ms":1767225605000,"bytes":812,"lines":3}
//!   {"offset":4,"file":"in/big.jsonl", … ,"lines":90000,"head":3,"marks":[[16401,4194304],[32799,8388608]]}
//! ```
//! A file takes one offset per line and one for its end. Only the driver writes the log; a line is durable before a
//! plan names its offsets. Executors read it. Knows no directory and no format of lines.

use super::lines::{Counted, nearest};
use crate::durable::refused;
use crate::line_log::{Kind, LineLog, parse, parse_lines, whole_lines};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use tidemill_model::{Error, Result};

const KIND: Kind = Kind {
    header: "{\"tidemill_files\":1}",
    advice: "restore the checkpoint from a copy, or start with a new --checkpoint",
};

fn name(source: u32) -> String {
    format!("{source}.jsonl")
}

/// One file, as it was when found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The offset of its first line.
    pub offset: i64,
    /// Its path.
    pub file: String,
    /// When it was last written, ms since the epoch.
    pub modified_ms: i64,
    /// Its length.
    pub bytes: u64,
    /// Number of lines, including blank ones and headers.
    pub lines: u64,
    /// Bytes before the first line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub head: u64,
    /// `(line ends before it, byte)`, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<(u64, u64)>,
}

impl Entry {
    /// The entry of a counted file.
    pub fn new(offset: i64, file: String, modified_ms: i64, counted: Counted) -> Entry {
        let Counted { bytes, head, lines, marks } = counted;
        Entry { offset, file, modified_ms, bytes, lines, head, marks }
    }

    /// The offset of its end, the last one it takes.
    pub fn end(&self) -> i64 {
        self.offset + self.lines as i64
    }

    /// Where to start looking for a line: a byte, and the number of line ends to skip from there.
    pub fn nearest(&self, line: u64) -> (u64, u64) {
        nearest(self.head, &self.marks, line)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The log, open for appending.
pub struct FileLog(LineLog);

impl FileLog {
    /// Opens or creates a source's log in a directory and returns its entries.
    ///
    /// # Errors
    /// External: the disk fails or the log is damaged. User: it is not one of ours.
    pub fn open(dir: &Path, source: u32) -> Result<(FileLog, Vec<Entry>)> {
        fs::create_dir_all(dir).map_err(|error| refused("create", dir, &error))?;
        let name = name(source);
        let (log, entries) = LineLog::open(dir, &name, KIND)?;
        follow_each_other(&dir.join(name), 0, &entries)?;
        Ok((FileLog(log), entries))
    }

    /// The error for a log that ends before the offsets that were planned.
    pub fn too_short(&self, end: i64, planned: i64) -> Error {
        let path = self.0.path().display();
        let what = format!("it ends at {end}, and batches were planned up to {planned}: lines are missing");
        Error::external(format!("{path}: damaged ({what}); {}", KIND.advice))
    }

    /// Adds files; durable on return.
    ///
    /// # Errors
    /// External: the disk fails. None of the files counts then.
    pub fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).expect("numbers and names are JSON");
            lines.push(b'\n');
        }
        self.0.append(&lines)
    }
}

/// A reader's view of the log while another process appends to it.
pub struct FollowedLog {
    path: PathBuf,
    entries: Vec<Entry>,
    /// Bytes read so far.
    read: u64,
}

impl FollowedLog {
    /// A source's log in a directory. It is read when first needed.
    pub fn new(dir: &Path, source: u32) -> FollowedLog {
        FollowedLog { path: dir.join(name(source)), entries: Vec::new(), read: 0 }
    }

    /// The index of the entry that holds an offset, and all entries.
    ///
    /// # Errors
    /// External: the log cannot be read, is damaged, or ends before the offset.
    pub fn find(&mut self, offset: i64) -> Result<(usize, &[Entry])> {
        if self.entries.last().is_none_or(|last| last.end() < offset) {
            self.catch_up()?;
        }
        let number = self.entries.partition_point(|entry| entry.end() < offset);
        if number == self.entries.len() {
            return Err(Error::external(format!(
                "{} does not reach offset {offset}; {}",
                self.path.display(),
                KIND.advice
            )));
        }
        Ok((number, &self.entries))
    }

    fn catch_up(&mut self) -> Result<()> {
        let read = || -> std::io::Result<_> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.read))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|error| refused("read", &self.path, &error))?;
        let more: Vec<Entry> = match self.read {
            0 => parse(&self.path, &text, KIND)?,
            _ => parse_lines(&self.path, whole_lines(&text), self.entries.len() + 2, KIND)?,
        };
        follow_each_other(&self.path, self.entries.last().map_or(0, |last| last.end() + 1), &more)?;
        self.read += whole_lines(&text).len() as u64;
        self.entries.extend(more);
        Ok(())
    }
}

/// Fails if an entry does not begin where the one before ends.
fn follow_each_other(path: &Path, mut offset: i64, entries: &[Entry]) -> Result<()> {
    for entry in entries {
        if entry.offset != offset {
            let what = format!("{} begins at {} instead of {offset}", entry.file, entry.offset);
            return Err(Error::external(format!("{}: damaged ({what}); {}", path.display(), KIND.advice)));
        }
        offset = entry.end() + 1;
    }
    Ok(())
}
