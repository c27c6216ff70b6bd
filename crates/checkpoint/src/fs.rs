//! The store on a directory: temporary file, fsync, rename, fsync of the folder; and the lock against a second driver.

use crate::store::Store;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use tidemill_model::{Error, Result};

const TEMPORARY: &str = ".tmp";

/// A checkpoint directory, locked.
#[derive(Debug)]
pub struct FsStore {
    dir: PathBuf,
    /// Holds the lock until it is dropped; the system drops it with the process, however that ends.
    _lock: File,
}

impl FsStore {
    /// Opens (or makes) a directory and locks it. Temporary files that a crash left are removed.
    ///
    /// # Errors
    /// User: another driver uses the directory. External: it cannot be made or written.
    pub fn open(dir: &Path) -> Result<FsStore> {
        let make = |path: &Path| fs::create_dir_all(path).map_err(|e| disk("make the directory", path, &e));
        make(dir)?;
        let lock_path = dir.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|e| disk("open", &lock_path, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::user(format!(
                    "another driver uses the checkpoint `{}`; stop it first, or give this one a --checkpoint of its own",
                    dir.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(disk("lock", &lock_path, &error)),
        }
        for folder in ["plans", "commits", "state"] {
            let path = dir.join(folder);
            make(&path)?;
            for name in names(&path)?.iter().filter(|name| name.ends_with(TEMPORARY)) {
                let leftover = path.join(name);
                fs::remove_file(&leftover).map_err(|e| disk("remove", &leftover, &e))?;
            }
        }
        Ok(FsStore { dir: dir.to_owned(), _lock: lock })
    }
}

impl Store for FsStore {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        let temporary = self.dir.join(format!("{name}{TEMPORARY}"));
        let written = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_folder(path.parent().expect("a file of the store is in its directory"))
        })();
        written.map_err(|error| {
            // Best effort: the next open removes what is left.
            let _ = fs::remove_file(&temporary);
            disk("write", &path, &error)
        })
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk("read", &path, &error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let mut names = names(&self.dir.join(folder))?;
        names.retain(|name| !name.ends_with(TEMPORARY));
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(disk("remove", &path, &error)),
            _ => Ok(()),
        }
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |error: &std::io::Error| disk("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    entries.map(|entry| Ok(entry.map_err(|e| failed(&e))?.file_name().to_string_lossy().into_owned())).collect()
}

/// A rename is durable once its folder is. Windows has no such call and does not need it.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn disk(verb: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::external(format!(
        "cannot {verb} `{}`: {error}; check the disk's space and rights, then start again: it goes on where it was",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_and_leftovers_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = FsStore::open(dir.path()).unwrap();
        store.put("plans/1", b"one").unwrap();
        store.put("plans/1", b"uno").unwrap();
        fs::write(dir.path().join("plans/2.tmp"), b"torn").unwrap();
        assert_eq!(store.list("plans").unwrap(), ["1"]);
        drop(store);
        let store = FsStore::open(dir.path()).unwrap();
        assert!(!dir.path().join("plans/2.tmp").exists());
        assert_eq!(store.get("plans/1").unwrap().unwrap(), b"uno");
        assert_eq!(store.get("plans/9").unwrap(), None);
        store.remove("plans/1").unwrap();
        store.remove("plans/1").unwrap();
        assert!(store.list("plans").unwrap().is_empty());
    }

    #[test]
    fn a_second_driver_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = FsStore::open(dir.path()).unwrap();
        let error = FsStore::open(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.message().starts_with("another driver uses the checkpoint"), "{error}");
        drop(first);
        FsStore::open(dir.path()).unwrap();
    }
}
