//! An append-only file of JSON lines after a header with kind and version. Each append is durable; a line cut off by a
//! crash does not count. Does not know the content of the lines.

use crate::durable::{refused, write_whole};
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidemill_model::{Error, Result};

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its first line.
    pub header: &'static str,
    /// What to do if the header differs or a line is damaged.
    pub advice: &'static str,
}

/// A file of lines, open for appending.
pub struct LineLog {
    path: PathBuf,
    file: File,
    /// Bytes of complete lines.
    len: u64,
    /// Whether a failed append may have left bytes after them.
    torn: bool,
}

impl LineLog {
    /// Opens or creates `dir/name` and returns its lines. The next append removes a line that a crash cut off.
    ///
    /// # Errors
    /// External: the disk fails or a line is damaged. User: the file is not one of ours.
    pub fn open<T: DeserializeOwned>(dir: &Path, name: &str, kind: Kind) -> Result<(LineLog, Vec<T>)> {
        let path = dir.join(name);
        if !path.exists() {
            write_whole(dir, name, &[format!("{}\n", kind.header).as_bytes()])?;
        }
        let cannot = |error: io::Error| refused("open", &path, &error);
        let text = fs::read(&path).map_err(cannot)?;
        let len = whole_lines(&text).len() as u64;
        let lines = parse(&path, &text, kind)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(cannot)?;
        Ok((LineLog { torn: len < text.len() as u64, path, file, len }, lines))
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends complete lines; durable on return.
    ///
    /// # Errors
    /// External: the disk fails. None of the lines counts then.
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

/// The complete lines of a text.
pub fn whole_lines(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)]
}

/// Parses the lines of a whole file after its header.
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

/// Parses complete lines. The first has the number `first` in the file.
///
/// # Errors
/// External: a line is damaged.
pub fn parse_lines<T: DeserializeOwned>(path: &Path, lines: &[u8], first: usize, kind: Kind) -> Result<Vec<T>> {
    let parse = |(index, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|error| {
            Error::external(format!("{}:{}: damaged ({error}); {}", path.display(), first + index, kind.advice))
        })
    };
    let lines = lines.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(parse).collect()
}
