//! Atomic file writes, durable directories, and a lock that gives a directory one user at a time.
//!
//! ```text
//!   write .NAME.tmp → fsync → rename to NAME → fsync the directory
//! ```
//! A crash leaves the old file or the new one, and perhaps a `.NAME.tmp` that nobody reads.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces a file. The new content is durable when it returns.
///
/// # Errors
/// The system's own. The old file, if any, is then still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_by_pieces(path, &[content])
}

/// The same with content in pieces.
///
/// # Errors
/// As [`replace`].
pub fn replace_by_pieces(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let temporary = temporary(path);
    let written = (|| {
        let mut file = File::create(&temporary)?;
        pieces.iter().try_for_each(|piece| file.write_all(piece))?;
        put_in_place(&file, &temporary, path)
    })();
    if written.is_err() {
        // If this fails too, only space is lost: readers skip the name.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Renames a written file to its final name, replacing an existing one. Durable when it returns.
///
/// # Errors
/// The system's own. The old file, if any, is then still there.
pub fn put_in_place(file: &File, temporary: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(temporary, path)?;
    sync_dir(path.parent().unwrap_or(Path::new("")))
}

/// Makes creations, renames and removals in a directory durable. On Windows it does nothing: the file system does so by
/// itself.
///
/// # Errors
/// The system's own.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Creates a directory and its parents. Syncs each parent that got a new entry; otherwise a power cut could remove all
/// of them.
///
/// # Errors
/// The system's own.
pub fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_dirs(above)?;
    fs::create_dir_all(dir)?;
    sync_dir(above)
}

/// The temporary name of a file.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

/// The lock of a directory. The system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// Why a directory cannot be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds the lock.
    Taken,
    /// The lock file at this path cannot be created or locked.
    Refused(PathBuf, io::Error),
}

impl DirLock {
    /// Locks an existing directory by a file `lock` in it.
    ///
    /// # Errors
    /// Another process holds the lock, or the disk fails.
    pub fn take(dir: &Path) -> Result<DirLock, LockError> {
        let path = dir.join("lock");
        let file = match File::options().create(true).truncate(false).write(true).open(&path) {
            Ok(file) => file,
            Err(error) => return Err(LockError::Refused(path, error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken),
            Err(TryLockError::Error(error)) => Err(LockError::Refused(path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/name");
        make_dirs(&dir.path().join("a/b")).unwrap();
        for content in [&b"one"[..], b"two", b""] {
            replace(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        // A write that fails leaves no file behind.
        fs::create_dir(dir.path().join("a/b/taken")).unwrap();
        assert!(replace(&dir.path().join("a/b/taken"), b"three").is_err());
        assert_eq!(fs::read_dir(dir.path().join("a/b")).unwrap().count(), 2);
    }

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        assert!(matches!(DirLock::take(dir.path()), Err(LockError::Taken)));
        drop(lock);
        assert!(DirLock::take(dir.path()).is_ok());
        assert!(matches!(DirLock::take(&dir.path().join("none")), Err(LockError::Refused(..))));
    }
}
