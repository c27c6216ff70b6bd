//! The executor's side: streams the dead letters of one task to a temporary file, which gets its name when it is
//! complete.

use super::line::write_line;
use super::prefix;
use crate::durable::refused;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use tidemill_flow::ports::{DeadLetter, DeadLetterWriter};
use tidemill_model::{DeadLetterFile, OffsetRange, Result};
use tidemill_os::disk::put_in_place;

const BUFFER_BYTES: usize = 64 << 10;

/// Appends a dead letter in some encoding.
pub type Encode = fn(&mut Vec<u8>, &DeadLetter<'_>);

/// Writes the dead letters of tasks into a directory. Holds one buffer and one dead letter in memory.
pub struct FilesDeadLetterWriter {
    dir: PathBuf,
    encode: Encode,
    /// The end of the files' names.
    extension: &'static str,
    /// The name of the task's file.
    name: String,
    begun: Option<UnnamedFile>,
    encoded: Vec<u8>,
}

/// An unfinished file. It is removed when dropped.
struct UnnamedFile {
    temporary: PathBuf,
    file: BufWriter<File>,
    lines: u64,
}

impl FilesDeadLetterWriter {
    /// A writer of JSON lines for an existing directory.
    pub fn new(dir: impl Into<PathBuf>) -> FilesDeadLetterWriter {
        FilesDeadLetterWriter::encoded(dir, json_line, "jsonl")
    }

    /// A writer in another encoding, for a directory that gets the dead letters on their way.
    pub fn encoded(dir: impl Into<PathBuf>, encode: Encode, extension: &'static str) -> FilesDeadLetterWriter {
        let (name, encoded) = (String::new(), Vec::new());
        FilesDeadLetterWriter { dir: dir.into(), encode, extension, name, begun: None, encoded }
    }

    fn begun(&mut self) -> io::Result<&mut UnnamedFile> {
        if self.begun.is_none() {
            // An executor whose driver was killed may still run the same task for a moment; it must use another
            // temporary file.
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let temporary = self.dir.join(format!(".{}.{}-{number}.tmp", self.name, std::process::id()));
            let file = BufWriter::with_capacity(BUFFER_BYTES, File::create_new(&temporary)?);
            self.begun = Some(UnnamedFile { temporary, file, lines: 0 });
        }
        Ok(self.begun.as_mut().expect("made above"))
    }

    fn put(&mut self) -> io::Result<Option<DeadLetterFile>> {
        let Some(mut begun) = self.begun.take() else { return Ok(None) };
        begun.file.flush()?;
        put_in_place(begun.file.get_ref(), &begun.temporary, &self.dir.join(&self.name))?;
        Ok(Some(DeadLetterFile { name: self.name.clone(), lines: begun.lines }))
    }
}

impl DeadLetterWriter for FilesDeadLetterWriter {
    fn begin(&mut self, batch_id: u64, range: &OffsetRange) {
        self.begun = None;
        // Names for the first source have no source number: they are older than queries with several sources.
        let source = Some(range.partition.source).filter(|source| *source > 0);
        let source = source.map_or(String::new(), |source| format!("s{source}-"));
        let (partition, start, end) = (range.partition.partition, range.start, range.end);
        self.name = format!("{}{source}{partition}-{start}-{end}.{}", prefix(batch_id), self.extension);
    }

    fn write(&mut self, letter: &DeadLetter<'_>) -> Result<()> {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        (self.encode)(&mut encoded, letter);
        let written = self.begun().and_then(|begun| {
            begun.lines += 1;
            begun.file.write_all(&encoded)
        });
        self.encoded = encoded;
        written.map_err(|error| {
            self.begun = None;
            refused("write to", &self.dir, &error)
        })
    }

    fn finish(&mut self) -> Result<Option<DeadLetterFile>> {
        self.put().map_err(|error| refused("write to", &self.dir, &error))
    }
}

fn json_line(out: &mut Vec<u8>, letter: &DeadLetter<'_>) {
    let mut line = String::from_utf8(std::mem::take(out)).expect("lines are text");
    write_line(&mut line, letter);
    *out = line.into_bytes();
}

impl Drop for UnnamedFile {
    fn drop(&mut self) {
        // After the rename there is nothing to remove. What cannot be removed now is removed when the next run begins.
        let _ = fs::remove_file(&self.temporary);
    }
}
