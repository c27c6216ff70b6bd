//! The file operations of a checkpoint. Each may fail, and the machine may die before or after any of them. [`OsDisk`]
//! runs them on a directory. The crash tests use a disk that forgets whatever was not synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use tidemill_model::{Error, Result};
use tidemill_os::disk::{DirLock, LockError, make_dirs, sync_dir};

/// What a checkpoint directory may hold. `sources` belongs to the sources; `usage` is the usage log of the runs.
const OURS: [&str; 5] = ["lock", crate::segment::FOLDER, crate::snapshot::FOLDER, "sources", "usage"];

/// A thread reads no less of a file.
const PART_BYTES_MIN: usize = 4 << 20;

/// A directory with one level of folders. Names are relative, with `/` between parts; `""` is the directory itself.
/// Errors are the system's own.
#[expect(clippy::missing_errors_doc, reason = "the same for all, above")]
pub trait Disk: Send + Sync {
    /// The full path of a name, for messages.
    fn place(&self, name: &str) -> String;

    /// Creates a folder. Succeeds if it exists.
    fn make_folder(&self, name: &str) -> io::Result<()>;

    /// Names of the files directly in a folder, in no order. Empty if the folder does not exist.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Reads a file; `None` if it does not exist.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Creates a file, or truncates an existing one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file, replacing an existing one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Succeeds if it does not exist.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the folder's names durable: creations, renames and removals.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
}

/// A file that is being written. One thread may append while another syncs.
pub trait DiskFile: Send + Sync {
    /// Appends bytes.
    ///
    /// # Errors
    /// The system's own. Part of the bytes may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all bytes durable that were appended before the call.
    ///
    /// # Errors
    /// The system's own. The bytes may be lost.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct OsDisk {
    dir: PathBuf,
    /// Held until dropped. The system releases it when the process ends, however it ends. `None` for read-only access.
    _lock: Option<DirLock>,
}

impl OsDisk {
    /// Opens or creates a checkpoint directory and locks it.
    ///
    /// # Errors
    /// User: another driver uses the directory, or it holds something other than a checkpoint. External: it cannot be
    /// created or written.
    pub fn open(dir: &Path) -> Result<OsDisk> {
        refuse_foreign(dir)?;
        let failed = |verb: &str, path: &Path, error: &io::Error| refused(verb, &path.display().to_string(), error);
        make_dirs(dir).map_err(|error| failed("make the directory", dir, &error))?;
        match DirLock::take(dir) {
            Ok(lock) => Ok(OsDisk { dir: dir.to_owned(), _lock: Some(lock) }),
            Err(LockError::Taken) => Err(Error::user(format!(
                "another driver is using the checkpoint `{}`; stop it first, or use another --checkpoint for this one",
                dir.display()
            ))),
            Err(LockError::Refused(path, error)) => Err(failed("lock", &path, &error)),
        }
    }

    /// Opens a checkpoint directory for reading, even while a driver uses it.
    ///
    /// # Errors
    /// User: the directory does not exist.
    pub fn to_look_at(dir: &Path) -> Result<OsDisk> {
        if !dir.is_dir() {
            let message = format!("there is no directory `{}`; name the directory of a checkpoint", dir.display());
            return Err(Error::user(message));
        }
        refuse_foreign(dir)?;
        Ok(OsDisk { dir: dir.to_owned(), _lock: None })
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
        match File::open(self.dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => read_all(&file?).map(Some),
        }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::create(self.dir.join(name))?))
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

/// The bytes of a file that nobody writes. All cores read a large one: a core copies some gigabytes a second, no more.
fn read_all(file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part_bytes = length.div_ceil(threads).max(PART_BYTES_MIN);
    thread::scope(|scope| {
        let parts = (0..).step_by(part_bytes).zip(bytes.chunks_mut(part_bytes));
        let reads: Vec<_> = parts.map(|(at, part)| scope.spawn(move || file.read_exact_at(part, at))).collect();
        reads.into_iter().try_for_each(|read| read.join().expect("a read does not panic"))
    })?;
    Ok(bytes)
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Refuses a directory without a log that holds anything but what a crashed start leaves. The rest will be cleaned up.
fn refuse_foreign(dir: &Path) -> Result<()> {
    if dir.is_file() {
        let message =
            format!("the checkpoint `{}` is a file; name a directory, which is made when needed", dir.display());
        return Err(Error::user(message));
    }
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    let names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    if names.iter().any(|name| name == "metadata") && dir.join("commits").is_dir() {
        return Err(Error::user(format!(
            "the checkpoint `{}` has format version 1, which this program cannot read any more; start with a new directory",
            dir.display()
        )));
    }
    match names.iter().find(|name| !OURS.contains(&name.as_str())) {
        Some(other) if !dir.join(crate::segment::FOLDER).is_dir() => Err(Error::user(format!(
            "`{}` holds `{other}` and is not a checkpoint; name an empty directory, or one that does not exist yet",
            dir.display()
        ))),
        _ => Ok(()),
    }
}

/// The error of a failed disk operation.
pub(crate) fn refused(verb: &str, place: &str, error: &io::Error) -> Error {
    Error::external(format!(
        "cannot {verb} `{place}`: {error}; check the disk's space and rights, then start again: it goes on where it was"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_read_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::open(dir.path()).unwrap();
        for length in [0, 1, PART_BYTES_MIN, 3 * PART_BYTES_MIN + 5] {
            let bytes: Vec<u8> = (0..length).map(|at| (at / 251) as u8).collect();
            disk.create("usage").unwrap().append(&bytes).unwrap();
            assert!(disk.read("usage").unwrap() == Some(bytes), "{length} bytes");
        }
        assert_eq!(disk.read("other").unwrap(), None);
    }

    #[test]
    fn what_is_no_checkpoint_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path, words: &str| {
            let error = OsDisk::open(path).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.message().contains(words), "{error}");
        };
        fs::write(dir.path().join("notes"), "somebody's").unwrap();
        refused(dir.path(), "holds `notes` and is not a checkpoint; name an empty directory");
        refused(&dir.path().join("notes"), "notes` is a file; name a directory");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was put there");
        fs::create_dir(dir.path().join("log")).unwrap();
        OsDisk::open(dir.path()).unwrap();
    }

    #[test]
    fn version_1_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("metadata"), "TDML").unwrap();
        fs::create_dir(dir.path().join("commits")).unwrap();
        let error = OsDisk::open(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.message().contains("format version 1, which this program cannot read any more"), "{error}");
    }

    #[test]
    fn a_second_driver_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = OsDisk::open(dir.path()).unwrap();
        let error = OsDisk::open(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.message().starts_with("another driver is using the checkpoint"), "{error}");
        OsDisk::to_look_at(dir.path()).unwrap();
        drop(first);
        OsDisk::open(dir.path()).unwrap();
    }
}
