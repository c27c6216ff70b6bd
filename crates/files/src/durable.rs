//! Atomic file writes for the sinks ([`tidemill_os::disk`] does them), and the messages for disk errors.

use std::fs;
use std::io;
use std::path::Path;
use tidemill_model::{Error, Result};
use tidemill_os::disk;

/// Writes `dir/name` with content in pieces, replacing an existing file.
///
/// # Errors
/// External, with what to do. The old file, if any, is then unchanged.
pub fn write_whole(dir: &Path, name: &str, pieces: &[&[u8]]) -> Result<()> {
    let target = dir.join(name);
    disk::replace_by_pieces(&target, pieces).map_err(|error| refused("write", &target, &error))
}

/// Removes what a crash left of unfinished [`write_whole`] calls.
///
/// # Errors
/// External: the directory cannot be read or written.
pub fn sweep(dir: &Path) -> Result<()> {
    let cannot = |error: io::Error| refused("clean", dir, &error);
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = name.starts_with(".batch-") || name.starts_with("._manifest");
        if ours && name.ends_with(".tmp") {
            remove(&path).map_err(cannot)?;
        }
    }
    Ok(())
}

/// Removes a file that may be gone already.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// `cannot ACTION PATH: REASON; what to do`. A full disk gives a transient error, since space may be freed.
pub fn refused(action: &str, path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let advice = match error.kind() {
        StorageFull | QuotaExceeded => {
            "free some space; if the run ends, start it again: the run continues with this batch"
        }
        PermissionDenied | ReadOnlyFilesystem => "let this user write there, or name another directory",
        NotFound => "create the directory, or name another one",
        _ => {
            "check that the directory is healthy and used by nothing else, then start again: the run continues with this batch"
        }
    };
    let message = format!("cannot {action} {}: {error}; {advice}", path.display());
    match error.kind() {
        StorageFull | QuotaExceeded => Error::transient(message),
        _ => Error::external(message),
    }
}
