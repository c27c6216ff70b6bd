//! Files that are there whole or not at all, and what to say when the disk refuses.
//!
//! ```text
//!   write .NAME.tmp → fsync → rename to NAME → fsync the directory
//! ```
//! A crash leaves the old file, the new one, or a `.NAME.tmp` that nobody reads and [`sweep`] removes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use tidemill_model::{Error, Result};

/// Writes `dir/name`, replacing what was there.
///
/// # Errors
/// An external error that says what to do; then the old file, if any, is still there and nothing half-written is.
pub fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = dir.join(format!(".{name}.tmp"));
    let target = dir.join(name);
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        put_in_place(&file, &temporary, dir, name)
    })();
    written.map_err(|error| {
        // Only space is lost where this fails too: the name is one that readers pass over.
        let _ = fs::remove_file(&temporary);
        refused("write", &target, &error)
    })
}

/// Gives a file that is written its name, replacing what had it.
///
/// # Errors
/// What the system says; then the old file, if any, is still there.
pub fn put_in_place(file: &File, temporary: &Path, dir: &Path, name: &str) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(temporary, dir.join(name))?;
    sync_dir(dir)
}

/// Removes what a crash left of unfinished [`write_whole`] calls.
///
/// # Errors
/// An external error when the directory cannot be read or written.
pub fn sweep(dir: &Path) -> Result<()> {
    let cannot = |error: io::Error| refused("clean", dir, &error);
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = name.starts_with(".batch-") || name.starts_with("._manifest");
        if ours && name.ends_with(".tmp") {
            fs::remove_file(&path).map_err(cannot)?;
        }
    }
    Ok(())
}

/// Makes renames in a directory outlive a power cut. Windows keeps them by itself and cannot open a directory.
#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// `cannot ACTION PATH: REASON; what to do`. A full disk may have room again: that is a transient error.
pub fn refused(action: &str, path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let advice = match error.kind() {
        StorageFull | QuotaExceeded => "free some space; if the run ends, start it again: it goes on with this batch",
        PermissionDenied | ReadOnlyFilesystem => "let this user write there, or name another directory",
        NotFound => "create the directory, or name another one",
        _ => "see that it is a healthy directory of its own, then start again: the run goes on with this batch",
    };
    let message = format!("cannot {action} {}: {error}; {advice}", path.display());
    match error.kind() {
        StorageFull | QuotaExceeded => Error::transient(message),
        _ => Error::external(message),
    }
}
