//! The executor's side: reads the lines of a range of offsets from the files that the log names.

use super::lines::Lines;
use super::log::{Entry, FollowedLog};
use super::watch::modified_ms;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Take};
use std::path::Path;
use std::time::Duration;
use tidemill_flow::ports::{self, Chunk, Place};
use tidemill_model::{Error, OffsetRange, Result};

/// Reads ranges of a files source.
pub struct FilesReader {
    csv: bool,
    header: bool,
    log: FollowedLog,
    /// The next offset, and the range's end.
    next: i64,
    end: i64,
    open: Option<OpenFile>,
}

/// The file that holds the next offset, positioned at that offset's line.
struct OpenFile {
    entry: Entry,
    lines: Lines<Take<File>>,
    /// Number of the header line, if there is one.
    header: Option<u64>,
}

impl FilesReader {
    /// A reader of what the watch of a source of this number logs in a directory.
    pub fn new(log_dir: &Path, source: u32, csv: bool, header: bool) -> FilesReader {
        let log = FollowedLog::new(log_dir, source);
        FilesReader { csv, header, log, next: 0, end: 0, open: None }
    }

    fn open_file(&mut self) -> Result<OpenFile> {
        let (number, entries) = self.log.find(self.next)?;
        let entry = entries[number].clone();
        let header = if self.header { find_header(&entry).map_err(|error| gone(&entry, &error))? } else { None };
        let line = (self.next - entry.offset) as u64;
        let (byte, passed) = entry.nearest(line);
        let mut lines = open_at(&entry, byte)?;
        for _ in 0..passed {
            lines.next().map_err(|error| gone(&entry, &error))?;
        }
        Ok(OpenFile { entry, lines, header })
    }
}

impl ports::Read for FilesReader {
    fn open(&mut self, range: &OffsetRange) -> Result<()> {
        (self.next, self.end, self.open) = (range.start, range.end, None);
        Ok(())
    }

    fn append(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        let before = chunk.len();
        while self.next < self.end && chunk.has_room(records_max) {
            let mut file = match self.open.take() {
                Some(file) => file,
                None => self.open_file()?,
            };
            let offset = self.next;
            self.next += 1;
            if offset == file.entry.end() {
                continue;
            }
            let number = (offset - file.entry.offset) as u64;
            let line = match file.lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => return Err(changed(&file.entry, &format!("it ends before line {}", number + 1))),
                Err(error) => return Err(gone(&file.entry, &error)),
            };
            if !(self.csv && is_blank(line)) && file.header != Some(number) {
                chunk.push(offset, file.entry.modified_ms, Some(line));
            }
            self.open = Some(file);
        }
        Ok(chunk.len() > before)
    }

    fn place(&mut self, offset: i64) -> Option<Place> {
        let (number, entries) = self.log.find(offset).ok()?;
        let entry = &entries[number];
        Some(Place { file: entry.file.clone(), line: (offset - entry.offset) as u64 + 1 })
    }

    fn waited(&mut self) -> Duration {
        // Reading a file is work, not waiting.
        Duration::ZERO
    }
}

/// The lines of a file from a byte on, up to its length when it was logged.
fn open_at(entry: &Entry, byte: u64) -> Result<Lines<Take<File>>> {
    let opened = (|| -> io::Result<_> {
        let mut file = File::open(&entry.file)?;
        file.seek(SeekFrom::Start(byte))?;
        let metadata = file.metadata()?;
        Ok((file, metadata.len(), modified_ms(&metadata)?))
    })();
    let (file, bytes, modified_ms) = opened.map_err(|error| gone(entry, &error))?;
    if bytes < entry.bytes {
        return Err(changed(entry, &format!("it had {} bytes and has {bytes} now", entry.bytes)));
    }
    if bytes == entry.bytes && modified_ms != entry.modified_ms {
        return Err(changed(entry, "it has been written again"));
    }
    Ok(Lines::new(file.take(entry.bytes - byte)))
}

/// The number of the first line that is not blank.
fn find_header(entry: &Entry) -> io::Result<Option<u64>> {
    let mut file = File::open(&entry.file)?;
    file.seek(SeekFrom::Start(entry.head))?;
    let mut lines = Lines::new(file.take(entry.bytes - entry.head));
    let mut number = 0;
    while let Some(line) = lines.next()? {
        if !is_blank(line) {
            return Ok(Some(number));
        }
        number += 1;
    }
    Ok(None)
}

/// Whether the line has only characters that Java's `trim` removes.
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| *byte <= b' ')
}

fn gone(entry: &Entry, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => changed(entry, "it is not there any more"),
        _ => Error::external(format!("cannot read {}: {error}; let this user read it, then start again", entry.file)),
    }
}

fn changed(entry: &Entry, how: &str) -> Error {
    Error::external(format!(
        "{} has changed since it was planned: {how}; put it back as it was (its time too), or start with a new --checkpoint. \
         A file must be complete when it appears: write it elsewhere, then rename it",
        entry.file
    ))
}
