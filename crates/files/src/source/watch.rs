//! The driver's side: finds new files, counts and logs them; and ends a batch after a number of files.

use super::log::{Entry, FileLog};
use super::{FilesOptions, glob, lines};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};
use tidemill_flow::ports::{Admission, Extent, Extents, Watch};
use tidemill_model::{Error, Offsets, Result};

/// Interval at which the directory is read.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Extensions of files that Spark would decompress.
const COMPRESSED: [&str; 6] = [".gz", ".bz2", ".deflate", ".snappy", ".lz4", ".zst"];

/// Watches a directory or a glob.
pub struct FilesWatch {
    options: FilesOptions,
    log: FileLog,
    known: HashSet<PathBuf>,
    /// One past the last offset of each file, ascending. Shared with the admission, which runs on the driver's thread.
    ends: Arc<Mutex<Vec<i64>>>,
}

/// A file that is not in the log.
struct NewFile {
    modified_ms: i64,
    path: PathBuf,
}

impl FilesWatch {
    /// Opens or creates the log of files.
    ///
    /// # Errors
    /// External: the disk fails or the log is damaged. User: it is not one of ours.
    pub fn new(options: FilesOptions) -> Result<FilesWatch> {
        let (log, entries) = FileLog::open(&options.log_dir, options.source)?;
        let known = entries.iter().map(|entry| PathBuf::from(&entry.file)).collect();
        let ends = entries.iter().map(|entry| entry.end() + 1).collect();
        Ok(FilesWatch { options, log, known, ends: Arc::new(Mutex::new(ends)) })
    }

    /// Name in progress records.
    pub fn description(&self) -> String {
        format!("FileStreamSource[{}]", self.options.path)
    }

    /// Logs new files and returns the offsets of all files.
    fn look(&mut self) -> Result<Extents> {
        let unreadable = |error: io::Error| {
            Error::external(format!(
                "cannot list {}: {error}; let this user read it, or correct the path",
                self.options.path
            ))
        };
        let Some(paths) = glob::files(&self.options.path).map_err(unreadable)? else {
            return Ok(Extents::new());
        };
        let mut new = Vec::new();
        for path in paths.into_iter().filter(|path| !self.known.contains(path)) {
            new.extend(look_at(path)?);
        }
        new.sort_by(|a: &NewFile, b: &NewFile| (a.modified_ms, &a.path).cmp(&(b.modified_ms, &b.path)));
        self.add(new)?;
        let end = self.ends().last().copied().unwrap_or(0);
        Ok(Extents::from([(self.options.partition(), Extent { start: 0, end })]))
    }

    fn add(&mut self, new: Vec<NewFile>) -> Result<()> {
        let mut offset = self.ends().last().copied().unwrap_or(0);
        let mut entries = Vec::new();
        for file in new {
            // A file that disappeared after listing was never planned: skip it.
            let Some(entry) = count(&file.path, offset)? else { continue };
            offset = entry.end() + 1;
            entries.push(entry);
        }
        if entries.is_empty() {
            return Ok(());
        }
        self.log.append(&entries)?;
        self.known.extend(entries.iter().map(|entry| PathBuf::from(&entry.file)));
        self.ends().extend(entries.iter().map(|entry| entry.end() + 1));
        Ok(())
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, Vec<i64>> {
        self.ends.lock().expect("nobody panics with the ends in hand")
    }
}

impl Watch for FilesWatch {
    fn name(&self) -> String {
        format!("directory `{}`", self.options.path)
    }

    fn warning_if_empty(&self) -> Option<String> {
        let path = &self.options.path;
        glob::is_pattern(path)
            .then(|| format!("warning: no file matches `{path}` yet; if files are there, correct the pattern"))
    }

    /// Checks that the log covers the planned offsets. A shorter log has lost files, and new files must not take their
    /// offsets.
    fn resume(&mut self, planned: &Offsets) -> Result<()> {
        let end = self.ends().last().copied().unwrap_or(0);
        match planned.0.get(&self.options.partition()) {
            Some(planned) if *planned > end => Err(self.log.too_short(end, *planned)),
            _ => Ok(()),
        }
    }

    fn admission(&self) -> Option<Admission> {
        let (partition, ends) = (self.options.partition(), self.ends.clone());
        let files_max = self.options.max_files_per_trigger;
        Some(Box::new(move |positions: &Offsets, extents: &mut Extents| {
            let (Some(files_max), Some(extent)) = (files_max, extents.get_mut(&partition)) else { return };
            let position = positions.0.get(&partition).copied().unwrap_or(extent.start);
            let ends = ends.lock().expect("nobody panics with the ends in hand");
            extent.end = extent.end.min(end_of_batch(&ends, position, files_max).unwrap_or(extent.end));
        }))
    }

    fn watch(&mut self, known: &Extents, timeout: Duration) -> Result<Extents> {
        let mut left = timeout;
        loop {
            let seen = self.look()?;
            if seen != *known || known.is_empty() || left.is_zero() {
                return Ok(seen);
            }
            let pause = left.min(LOOK_INTERVAL);
            thread::sleep(pause);
            left -= pause;
        }
    }
}

/// The end of the `files_max`-th file after a position; `None` if there are fewer.
fn end_of_batch(ends: &[i64], position: i64, files_max: u64) -> Option<i64> {
    let first = ends.partition_point(|end| *end <= position);
    let last = first.checked_add(usize::try_from(files_max - 1).ok()?)?;
    ends.get(last).copied()
}

/// Modification time and path; `None` if it is not a file (any more).
fn look_at(path: PathBuf) -> Result<Option<NewFile>> {
    let metadata = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(&path, &error)),
    };
    let name = path.to_string_lossy();
    if let Some(ending) = COMPRESSED.iter().find(|ending| name.ends_with(**ending)) {
        return Err(Error::user(format!(
            "{name} is compressed ({ending}), and a files source reads plain files; unpack it, or give a glob that leaves it out"
        )));
    }
    let modified_ms = modified_ms(&metadata).map_err(|error| unread(&path, &error))?;
    Ok(Some(NewFile { modified_ms, path }))
}

/// Counts a file; `None` if it is gone.
fn count(path: &Path, offset: i64) -> Result<Option<Entry>> {
    let counted = (|| -> io::Result<_> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok((modified_ms(&metadata)?, lines::count(&mut file.take(metadata.len()))?))
    })();
    match counted {
        Ok((modified_ms, counted)) => {
            let name = path.to_str().expect("listed as UTF-8").to_owned();
            Ok(Some(Entry::new(offset, name, modified_ms, counted)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unread(path, &error)),
    }
}

fn unread(path: &Path, error: &io::Error) -> Error {
    Error::external(format!("cannot read {}: {error}; let this user read it, or take it away", path.display()))
}

/// Modification time, ms since the epoch.
pub fn modified_ms(metadata: &fs::Metadata) -> io::Result<i64> {
    let modified = metadata.modified()?;
    Ok(match modified.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    })
}

#[cfg(test)]
mod tests {
    use super::end_of_batch;

    #[test]
    fn a_batch_ends_with_its_last_file() {
        let check = |position: i64, files_max: u64, expected: Option<i64>| {
            assert_eq!(end_of_batch(&[4, 5, 8], position, files_max), expected, "{position} {files_max}");
        };
        check(0, 1, Some(4));
        check(3, 1, Some(4));
        check(4, 1, Some(5));
        check(4, 2, Some(8));
        check(0, 3, Some(8));
        check(0, 4, None);
        check(8, 1, None);
        check(0, u64::MAX, None);
    }
}
