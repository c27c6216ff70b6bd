//! The store on a disk. A file appears whole or not at all, and stays:
//!
//! ```text
//!  create NAME.tmp ─► write ─► sync the file ─► rename to NAME ─► sync the folder
//! ```
//! Without the first sync a power cut could leave the name with no bytes, without the second none of both. The folders
//! themselves last from the first file on that is put beside them: the metadata.

use crate::disk::{Disk, OsDisk, refused};
use crate::store::Store;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use tidemill_model::{Error, Result};

const FOLDERS: [&str; 3] = ["plans", "commits", "state"];

const TEMPORARY: &str = ".tmp";

/// The file by which a directory is known as a checkpoint.
const METADATA: &str = "metadata";

/// What may stand in a checkpoint; `sources` is the sources' own.
const OURS: [&str; 7] = ["lock", METADATA, "start", "plans", "commits", "state", "sources"];

/// A checkpoint directory.
#[derive(Debug)]
pub struct FsStore<D = OsDisk> {
    disk: D,
}

impl FsStore {
    /// Opens (or makes) a directory and locks it. Temporary files that a crash left are removed.
    ///
    /// # Errors
    /// User: another driver uses the directory, or it holds something else than a checkpoint. External: it cannot be made
    /// or written.
    pub fn open(dir: &Path) -> Result<FsStore> {
        refuse_foreign(dir)?;
        FsStore::on(OsDisk::open(dir)?)
    }
}

impl<D: Disk> FsStore<D> {
    /// Uses a disk. Temporary files that a crash left are removed.
    ///
    /// # Errors
    /// External: the disk refuses.
    pub fn on(disk: D) -> Result<FsStore<D>> {
        let refused = |verb: &str, name: &str, error: &io::Error| refused(verb, &disk.place(name), error);
        for folder in FOLDERS {
            disk.make_folder(folder).map_err(|error| refused("make the directory", folder, &error))?;
        }
        for folder in [""].iter().chain(&FOLDERS) {
            let names = disk.list(folder).map_err(|error| refused("list", folder, &error))?;
            for name in names.iter().filter(|name| name.ends_with(TEMPORARY)) {
                let name = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                disk.remove(&name).map_err(|error| refused("remove", &name, &error))?;
            }
        }
        Ok(FsStore { disk })
    }

    fn write_whole(&self, name: &str, temporary: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(temporary)?;
        file.write_all(bytes)?;
        file.sync()?;
        drop(file);
        self.disk.rename(temporary, name)?;
        self.disk.sync_folder(name.rsplit_once('/').map_or("", |(folder, _)| folder))
    }

    fn refused(&self, verb: &str, name: &str, error: &io::Error) -> tidemill_model::Error {
        refused(verb, &self.disk.place(name), error)
    }
}

impl<D: Disk> Store for FsStore<D> {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let temporary = format!("{name}{TEMPORARY}");
        self.write_whole(name, &temporary, bytes).map_err(|error| {
            // Best effort: the next open removes what is left.
            let _ = self.disk.remove(&temporary);
            self.refused("write", name, &error)
        })
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.disk.read(name).map_err(|error| self.refused("read", name, &error))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let mut names = self.disk.list(folder).map_err(|error| self.refused("list", folder, &error))?;
        names.retain(|name| !name.ends_with(TEMPORARY));
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.disk.remove(name).map_err(|error| self.refused("remove", name, &error))
    }
}

/// A directory without our metadata may hold what a crash left of ours, and nothing else: it is going to be cleaned up.
fn refuse_foreign(dir: &Path) -> Result<()> {
    if dir.is_file() {
        let message =
            format!("the checkpoint `{}` is a file; name a directory, which is made when needed", dir.display());
        return Err(Error::user(message));
    }
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    let names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let ours = |name: &&String| OURS.contains(&name.strip_suffix(TEMPORARY).unwrap_or(name));
    match names.iter().find(|name| !ours(name)) {
        Some(other) if !names.iter().any(|name| name == METADATA) => Err(Error::user(format!(
            "`{}` holds `{other}` and is no checkpoint; name an empty directory, or one that is not there yet",
            dir.display()
        ))),
        _ => Ok(()),
    }
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
    fn what_is_no_checkpoint_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path, words: &str| {
            let error = FsStore::open(path).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.message().contains(words), "{error}");
        };
        fs::write(dir.path().join("notes.tmp"), "somebody's").unwrap();
        refused(dir.path(), "holds `notes.tmp` and is no checkpoint; name an empty directory");
        refused(&dir.path().join("notes.tmp"), "notes.tmp` is a file; name a directory");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was put there");
        fs::rename(dir.path().join("notes.tmp"), dir.path().join("metadata.tmp")).unwrap();
        let store = FsStore::open(dir.path()).unwrap();
        store.put("metadata", b"ours").unwrap();
        drop(store);
        fs::write(dir.path().join("notes.txt"), "somebody's").unwrap();
        FsStore::open(dir.path()).unwrap();
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
