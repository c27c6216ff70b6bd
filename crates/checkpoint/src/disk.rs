//! The file operations that a checkpoint is made of, one by one: each may fail, and the machine may die before or after
//! any of them. [`OsDisk`] does them on a directory; the crash tests have a disk that forgets what was not synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidemill_model::{Error, Result};
use tidemill_os::disk::{DirLock, LockError, make_dirs, sync_dir};

/// A directory with one level of folders. Names are relative, with `/` between parts; `""` is the directory itself.
/// Errors are the system's own.
#[expect(clippy::missing_errors_doc, reason = "the same for all, above")]
pub trait Disk: Send + Sync {
    /// Where a name is, for messages.
    fn place(&self, name: &str) -> String;

    /// Makes a folder; fine when it is there.
    fn make_folder(&self, name: &str) -> io::Result<()>;

    /// Names of files directly in a folder, in no order; none where there is no such folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Reads a file; `None` when there is none.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Makes a file, or empties the one that is there.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of the one that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; fine when there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the folder's names durable: what was made, renamed and removed in it.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
}

/// A file that is being written.
pub trait DiskFile: Write {
    /// Makes the file's bytes durable.
    ///
    /// # Errors
    /// The system's own; the bytes may be lost then.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of the system, locked.
#[derive(Debug)]
pub struct OsDisk {
    dir: PathBuf,
    /// Holds the lock until it is dropped; the system drops it with the process, however that ends.
    _lock: DirLock,
}

impl OsDisk {
    /// Opens (or makes) a directory and locks it.
    ///
    /// # Errors
    /// User: another driver uses the directory. External: it cannot be made or written.
    pub fn open(dir: &Path) -> Result<OsDisk> {
        let failed = |verb: &str, path: &Path, error: &io::Error| refused(verb, &path.display().to_string(), error);
        make_dirs(dir).map_err(|error| failed("make the directory", dir, &error))?;
        match DirLock::take(dir) {
            Ok(lock) => Ok(OsDisk { dir: dir.to_owned(), _lock: lock }),
            Err(LockError::Taken) => Err(Error::user(format!(
                "another driver uses the checkpoint `{}`; stop it first, or give this one a --checkpoint of its own",
                dir.display()
            ))),
            Err(LockError::Refused(path, error)) => Err(failed("lock", &path, &error)),
        }
    }
}

impl Disk for OsDisk {
    fn place(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn make_folder(&self, name: &str) -> io::Result<()> {
        fs::create_dir_all(self.dir.join(name))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.dir.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(self.dir.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        sync_dir(&self.dir.join(folder))
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// The error of an operation that the disk refused.
pub(crate) fn refused(verb: &str, place: &str, error: &io::Error) -> Error {
    Error::external(format!(
        "cannot {verb} `{place}`: {error}; check the disk's space and rights, then start again: it goes on where it was"
    ))
}
