//! The rows of a task in a file that nobody sees yet, `DIR/.batch-part-<process>-<number>.tmp`.
//!
//! An executor writes it, so that many rows do not travel through its pipe and the driver's memory. The driver gives it its name. What a killed task leaves is removed when a run begins or ends.

use crate::durable::refused;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tidemill_model::{Result, SinkPart};

/// Fewer bytes travel to the driver, which puts those of neighbouring tasks into one file.
pub const STAGED_BYTES_MIN: usize = 1 << 20;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Writes a file, durable on return, and returns its name. `None` if the disk does not take it: then the rows go to the driver,
/// which meets the same trouble and tells it.
pub fn write(dir: &Path, bytes: &[u8]) -> Option<String> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!(".batch-part-{}-{number}.tmp", std::process::id());
    let path = dir.join(&name);
    let mut file = File::create_new(&path).ok()?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // If this fails too, only space is lost until the run ends.
        let _ = fs::remove_file(&path);
    }
    written.ok().map(|()| name)
}

/// Gives a staged file its name. It keeps it after a power cut once the directory is synced. Does nothing if it was done before.
///
/// # Errors
/// External: the disk fails, or the file is gone.
pub fn publish(dir: &Path, staged: &str, name: &str) -> Result<()> {
    let (from, to) = (dir.join(staged), dir.join(name));
    match fs::rename(&from, &to) {
        Err(error) if error.kind() == ErrorKind::NotFound && to.exists() => Ok(()),
        renamed => renamed.map_err(|error| refused("write", &to, &error)),
    }
}

/// Removes what parts have staged that are of no use.
pub fn remove(dir: &Path, parts: &[SinkPart]) {
    for name in parts.iter().filter_map(|part| part.staged.as_ref()) {
        // What stays is removed when the run ends.
        let _ = fs::remove_file(dir.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_its_name_once_or_again() {
        let dir = tempfile::tempdir().unwrap();
        let staged = write(dir.path(), b"rows").unwrap();
        assert!(publish(dir.path(), "gone", "one").is_err());
        for _ in 0..2 {
            publish(dir.path(), &staged, "one").unwrap();
        }
        assert_eq!(fs::read(dir.path().join("one")).unwrap(), b"rows");
        assert_eq!(write(&dir.path().join("missing"), b"rows"), None);
    }
}
