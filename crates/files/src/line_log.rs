//! An append-only file of JSON lines behind a header that names its kind and version: durable per append, and a line that
//! a crash tore off does not count. Knows nothing of what the lines say.

use crate::durable::{refused, write_whole};
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidemill_model::{Error, Result};

/// Which kind of file it is.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its first line.
    pub header: &'static str,
    /// What to do when another one stands there, or a line is damaged.
    pub advice: &'static str,
}

/// A file of lines open for appending.
pub struct LineLog {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    /// Whether a failed append may have left bytes after them.
    torn: bool,
}

impl LineLog {
    /// Opens `dir/name`, or begins it; also gives the lines that are there. What a crash left of a line is cut off by the
    /// next append.
    ///
    /// # Errors
    /// External when the disk refuses or a line is damaged; user when the file is none of ours.
    pub fn open<T: DeserializeOwned>(dir: &Path, name: &str, kind: Kind) -> Result<(LineLog, Vec<T>)> {
        let path = dir.join(name);
        if !path.exists() {
            write_whole(dir, name, format!("{}\n", kind.header).as_bytes())?;
        }
        let cannot = |error: io::Error| refused("open", &path, &error);
        let text = fs::read(&path).map_err(cannot)?;
        let len = whole_lines(&text).len() as u64;
        let lines = parse(&path, &text, kind)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(cannot)?;
        Ok((LineLog { torn: len < text.len() as u64, path, file, len }, lines))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds whole lines, durable when it returns.
    ///
    /// # Errors
    /// External when the disk refuses; then none of them counts.
    pub fn append(&mut self, lines: &[u8]) -> Result<()> {
        let written = (|| {
            if self.torn {
                self.file.set_len(self.len)?;
            }
            self.torn = true;
            self.file.write_all(lines)?;
            self.file.sync_data()
        })();
        written.map_err(|error: io::Error| refused("write", &self.path, &error))?;
        self.torn = false;
        self.len += lines.len() as u64;
        Ok(())
    }
}

/// The part of a text that is whole lines.
pub fn whole_lines(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)]
}

/// The lines of a whole file, behind its header.
///
/// # Errors
/// As [`LineLog::open`].
pub fn parse<T: DeserializeOwned>(path: &Path, text: &[u8], kind: Kind) -> Result<Vec<T>> {
    let whole = whole_lines(text);
    let Some(lines) = whole.strip_prefix(kind.header.as_bytes()).and_then(|rest| rest.strip_prefix(b"\n")) else {
        return Err(Error::user(format!(
            "{} does not begin with {}: another program or a newer Tidemill wrote it; {}",
            path.display(),
            kind.header,
            kind.advice
        )));
    };
    parse_lines(path, lines, 2, kind)
}

/// Whole lines, of which the first has the number `first` in the file.
///
/// # Errors
/// External when a line is damaged.
pub fn parse_lines<T: DeserializeOwned>(path: &Path, lines: &[u8], first: usize, kind: Kind) -> Result<Vec<T>> {
    let parse = |(index, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|error| {
            Error::external(format!("{}:{}: damaged ({error}); {}", path.display(), first + index, kind.advice))
        })
    };
    let lines = lines.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(parse).collect()
}
