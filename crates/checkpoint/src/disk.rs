//! The file operations that a checkpoint is made of, one by one: each may fail, and the machine may die before or after
//! any of them. [`OsDisk`] does them on a directory; the crash tests have a disk that forgets what was not synced.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidemill_model::{Error, Result};

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
    _lock: File,
}

impl OsDisk {
    /// Opens (or makes) a directory and locks it.
    ///
    /// # Errors
    /// User: another driver uses the directory. External: it cannot be made or written.
    pub fn open(dir: &Path) -> Result<OsDisk> {
        let failed = |verb: &str, path: &Path, error: &io::Error| refused(verb, &path.display().to_string(), error);
        make_durably(dir).map_err(|error| failed("make the directory", dir, &error))?;
        let path = dir.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|error| failed("open", &path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(OsDisk { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::user(format!(
                "another driver uses the checkpoint `{}`; stop it first, or give this one a --checkpoint of its own",
                dir.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path, &error)),
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
        sync(&self.dir.join(folder))
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Makes a directory and those above it; the folder that holds a new one is synced, or the whole might be gone after a
/// power cut.
fn make_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_durably(above)?;
    fs::create_dir_all(dir)?;
    sync(above)
}

/// Windows has no such call and does not need it.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The error of an operation that the disk refused.
pub(crate) fn refused(verb: &str, place: &str, error: &io::Error) -> Error {
    Error::external(format!(
        "cannot {verb} `{place}`: {error}; check the disk's space and rights, then start again: it goes on where it was"
    ))
}
