//! A simulated disk that keeps what a real one must keep, and no more. The machine dies where a test says.
//!
//! Written bytes and changed names are first in the system's cache. A sync makes a file's bytes, or a folder's names,
//! durable. After a crash, a test checks each [`CrashImage`] that the standard allows. Clones share the disk.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use tidemill_checkpoint::disk::{Disk, DiskFile};
use tidemill_checkpoint::record;

/// What the disk holds after the machine has restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashImage {
    /// Everything: only the process died.
    All,
    /// Only what was synced: no other bytes and no other names.
    Synced,
    /// All names, and half of the unsynced bytes: the file system wrote names before bytes.
    NamesFirst,
}

/// A fault at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine dies before the operation.
    Death,
    /// The machine dies in the middle. An operation other than a write is not done.
    DeathHalfway,
    /// The operation fails. It changes nothing except what a write has written by then. The disk works on.
    Refusal(ErrorKind),
}

/// An operation, the same in every run: its verb and name, and how often it was done before.
pub type Operation = (String, u32);

/// A simulated disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    machine: Arc<Mutex<DiskState>>,
}

#[derive(Default)]
struct DiskState {
    files: Vec<FileBytes>,
    /// Folder → name → index in `files`, as programs see them.
    names: Names,
    /// The names after a power cut.
    durable: Names,
    done: Vec<Operation>,
    fault: Option<(Operation, Fault)>,
    dead: bool,
}

type Names = BTreeMap<String, BTreeMap<String, usize>>;

#[derive(Clone, Default)]
struct FileBytes {
    cached: Vec<u8>,
    synced: Vec<u8>,
}

impl SimDisk {
    /// Sets the fault of an operation. Operations are counted from here.
    pub fn fail_at(&self, operation: Operation, fault: Fault) {
        let mut machine = self.machine();
        machine.done.clear();
        machine.fault = Some((operation, fault));
    }

    /// Whether the fault has happened.
    pub fn has_failed(&self) -> bool {
        self.machine().fault.is_none()
    }

    /// Whether the machine has died.
    pub fn is_dead(&self) -> bool {
        self.machine().dead
    }

    /// The operations since the last start or [`SimDisk::fail_at`], in order.
    pub fn operations(&self) -> Vec<Operation> {
        self.machine().done.clone()
    }

    /// Restarts the machine.
    pub fn restart(&self, image: CrashImage) {
        let mut machine = self.machine();
        machine.dead = false;
        machine.fault = None;
        machine.done.clear();
        match image {
            CrashImage::All => {}
            CrashImage::Synced => {
                machine.names = machine.durable.clone();
                machine.files.iter_mut().for_each(|file| file.cached.clone_from(&file.synced));
            }
            CrashImage::NamesFirst => machine.files.iter_mut().for_each(FileBytes::lose_half_of_what_is_not_synced),
        }
        machine.durable = machine.names.clone();
        machine.files.iter_mut().for_each(|file| file.synced.clone_from(&file.cached));
    }

    /// All files with their folders.
    pub fn files(&self) -> Vec<String> {
        let machine = self.machine();
        let of_folder = |(folder, names): (&String, &BTreeMap<String, usize>)| -> Vec<String> {
            names.keys().map(|name| format!("{folder}/{name}")).collect()
        };
        machine.names.iter().flat_map(of_folder).collect()
    }

    /// An operation outside of the disk that can also fail, such as a sink's write.
    ///
    /// # Errors
    /// The fault set for it; any operation once the machine is dead.
    pub fn step(&self, operation: &str) -> io::Result<()> {
        self.machine().step(operation, |_| {})
    }

    fn machine(&self) -> MutexGuard<'_, DiskState> {
        self.machine.lock().expect("no holder panics")
    }
}

impl FileBytes {
    fn lose_half_of_what_is_not_synced(&mut self) {
        // Bytes are only appended, so the synced bytes are a prefix of the cached ones.
        let unsynced = self.cached.len() - self.synced.len();
        self.cached.truncate(self.synced.len() + unsynced / 2);
    }
}

impl DiskState {
    /// Runs an operation, or what its fault leaves of it. `halfway` is what a write has done by then.
    fn step(&mut self, operation: &str, halfway: impl FnOnce(&mut DiskState)) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the machine is dead"));
        }
        let before = self.done.iter().filter(|(done, _)| done == operation).count();
        let operation = (operation.to_owned(), before as u32);
        self.done.push(operation.clone());
        let Some((_, fault)) = self.fault.take_if(|(at, _)| *at == operation) else { return Ok(()) };
        if fault != Fault::Death {
            halfway(self);
        }
        if let Fault::Refusal(kind) = fault {
            return Err(kind.into());
        }
        self.dead = true;
        Err(io::Error::other("the machine died"))
    }

    fn find(&self, name: &str) -> Option<usize> {
        let (folder, name) = split(name);
        self.names.get(folder)?.get(name).copied()
    }

    fn folder(&mut self, folder: &str) -> io::Result<&mut BTreeMap<String, usize>> {
        if folder.is_empty() {
            return Ok(self.names.entry(String::new()).or_default());
        }
        self.names.get_mut(folder).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

impl Disk for SimDisk {
    fn place(&self, name: &str) -> String {
        format!("disk/{name}")
    }

    fn make_folder(&self, name: &str) -> io::Result<()> {
        let mut machine = self.machine();
        machine.step(&format!("make {name}"), |_| {})?;
        machine.names.entry(name.into()).or_default();
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut machine = self.machine();
        machine.step(&format!("list {folder}"), |_| {})?;
        Ok(machine.names.get(folder).map(|names| names.keys().cloned().collect()).unwrap_or_default())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut machine = self.machine();
        machine.step(&format!("read {name}"), |_| {})?;
        Ok(machine.find(name).map(|file| machine.files[file].cached.clone()))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut machine = self.machine();
        machine.step(&format!("create {name}"), |_| {})?;
        let file = machine.files.len();
        machine.files.push(FileBytes::default());
        let (folder, leaf) = split(name);
        machine.folder(folder)?.insert(leaf.into(), file);
        Ok(Arc::new(SimFile { disk: self.clone(), name: name.into(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.machine();
        machine.step(&format!("rename {to}"), |_| {})?;
        let file = machine.find(from).ok_or(ErrorKind::NotFound)?;
        let ((from_folder, from), (to_folder, to)) = (split(from), split(to));
        machine.folder(from_folder)?.remove(from);
        machine.folder(to_folder)?.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut machine = self.machine();
        machine.step(&format!("remove {name}"), |_| {})?;
        let (folder, leaf) = split(name);
        if let Some(names) = machine.names.get_mut(folder) {
            names.remove(leaf);
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut machine = self.machine();
        machine.step(&format!("sync {folder}/"), |_| {})?;
        if folder.is_empty() {
            // Syncs the folders as names of the directory, not what is in them.
            let made: Vec<String> = machine.names.keys().cloned().chain([String::new()]).collect();
            for made in made {
                machine.durable.entry(made).or_default();
            }
        }
        let names = machine.names.get(folder).cloned().unwrap_or_default();
        // A folder that is not durable loses its names.
        if let Some(durable) = machine.durable.get_mut(folder) {
            *durable = names;
        }
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    name: String,
    file: usize,
}

impl SimFile {
    /// Two threads append to the log, so it varies which segment gets a record. An operation must have the same name in
    /// every run.
    fn is_log(&self) -> bool {
        self.name.starts_with("log/")
    }
}

impl DiskFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let half = &bytes[..bytes.len() / 2];
        let what = match self.is_log() {
            true => format!("write log {}", record::describe(bytes)),
            false => format!("write {}", self.name),
        };
        machine.step(&what, |machine| machine.files[self.file].cached.extend_from_slice(half))?;
        machine.files[self.file].cached.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let what = if self.is_log() { "sync log" } else { &format!("sync {}", self.name) };
        machine.step(what, |machine| {
            machine.files[self.file].lose_half_of_what_is_not_synced();
        })?;
        let file = &mut machine.files[self.file];
        file.synced.clone_from(&file.cached);
        Ok(())
    }
}
