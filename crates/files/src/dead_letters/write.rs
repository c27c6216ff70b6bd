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

/// Writes the dead letters of tasks into a directory. Holds one buffer and one dead letter in memory.
pub struct FilesDeadLetterWriter {
    dir: PathBuf,
    /// The name of the task's file.
    name: String,
    begun: Option<UnnamedFile>,
    line: String,
}

/// An unfinished file. It is removed when dropped.
struct UnnamedFile {
    temporary: PathBuf,
    file: BufWriter<File>,
    lines: u64,
}

impl FilesDeadLetterWriter {
    /// A writer for an existing directory.
    pub fn new(dir: impl Into<PathBuf>) -> FilesDeadLetterWriter {
        FilesDeadLetterWriter { dir: dir.into(), name: String::new(), begun: None, line: String::new() }
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
        self.name = format!("{}{source}{partition}-{start}-{end}.jsonl", prefix(batch_id));
    }

    fn write(&mut self, letter: &DeadLetter<'_>) -> Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        write_line(&mut line, letter);
        let written = self.begun().and_then(|begun| {
            begun.lines += 1;
            begun.file.write_all(line.as_bytes())
        });
        self.line = line;
        written.map_err(|error| {
            self.begun = None;
            refused("write to", &self.dir, &error)
        })
    }

    fn finish(&mut self) -> Result<Option<DeadLetterFile>> {
        self.put().map_err(|error| refused("write to", &self.dir, &error))
    }
}

impl Drop for UnnamedFile {
    fn drop(&mut self) {
        // After the rename there is nothing to remove. What cannot be removed now is removed when the next run begins.
        let _ = fs::remove_file(&self.temporary);
    }
}
