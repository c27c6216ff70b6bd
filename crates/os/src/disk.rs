//! Files that are there whole or not at all, directories that outlive a power cut, and one user of a directory at a time.
//!
//! ```text
//!   write .NAME.tmp → fsync → rename to NAME → fsync the directory
//! ```
//! A crash leaves the old file, the new one, or a `.NAME.tmp` that nobody reads.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces a file; durable when it returns.
///
/// # Errors
/// The system's own; then the old file, if any, is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        put_in_place(&file, &temporary, path)
    })();
    if written.is_err() {
        // Only space is lost where this fails too: the name is one that readers pass over.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Gives a file that is written its name, in place of the one that has it; durable when it returns.
///
/// # Errors
/// The system's own; then the old file, if any, is still there.
pub fn put_in_place(file: &File, temporary: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(temporary, path)?;
    sync_dir(path.parent().unwrap_or(Path::new("")))
}

/// Makes what was made, renamed and removed in a directory outlive a power cut. Windows keeps it by itself and cannot open a
/// directory.
///
/// # Errors
/// The system's own.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Makes a directory and those above it. Each that holds a new one is synced, or the whole might be gone after a power cut.
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

/// Where a file is written before it gets its name.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

/// A directory's lock. The system drops it with the process, however that ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// Why a directory cannot be locked.
#[derive(Debug)]
pub enum LockError {
    /// Somebody else has it.
    Taken,
    /// The lock file, here, cannot be made or locked.
    Refused(PathBuf, io::Error),
}

impl DirLock {
    /// Locks a directory that is there, by a file `lock` in it.
    ///
    /// # Errors
    /// Somebody else has it, or the disk refuses.
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
        // What cannot take its place leaves nothing behind.
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
