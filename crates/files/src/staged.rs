//! The rows of a task in a file that nobody sees yet, `DIR/.batch-part-<process>-<number>.tmp`.
//!
//! An executor writes it, so that many rows do not travel through its pipe and the driver's memory. The driver syncs it and
//! gives it its name. What a killed task leaves is removed when a run begins or ends.

use crate::durable::refused;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tidemill_model::Result;

/// Fewer bytes travel to the driver, which puts those of neighbouring tasks into one file.
pub const STAGED_BYTES_MIN: usize = 1 << 20;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Writes a file and returns its name. `None` if the disk does not take it: then the rows go to the driver, which meets the
/// same trouble and tells it.
pub fn write(dir: &Path, bytes: &[u8]) -> Option<String> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!(".batch-part-{}-{number}.tmp", std::process::id());
    let path = dir.join(&name);
    let written = File::create_new(&path).and_then(|mut file| file.write_all(bytes));
    if written.is_err() {
        // If this fails too, only space is lost until the next run.
        let _ = fs::remove_file(&path);
    }
    written.ok().map(|()| name)
}

/// Gives a staged file its name. It stays after a power cut once the directory is synced, too. Does nothing if it was done
/// before.
///
/// # Errors
/// External: the disk fails, or the file is gone.
pub fn publish(dir: &Path, staged: &str, name: &str) -> Result<()> {
    let (from, to) = (dir.join(staged), dir.join(name));
    match File::open(&from).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() == ErrorKind::NotFound && to.exists() => Ok(()),
        synced => synced.and_then(|()| fs::rename(&from, &to)).map_err(|error| refused("write", &to, &error)),
    }
}
