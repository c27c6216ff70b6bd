//! The storage trait: everything the checkpoint asks of a disk. `fs` implements it on directories, `memory` for tests.

use crate::frame::{self, Kind};
use serde::Serialize;
use tidemill_model::Result;

/// A place for named, small-to-medium files. Names are relative, with `/` between parts. Two threads may use it at once,
/// on different names: plan records are written while the batch before is being committed.
pub trait Store: Send + Sync {
    /// Writes a file so that after a crash it is there whole, with these bytes, or as it was before. Durable on return.
    ///
    /// # Errors
    /// External: the disk is full, read-only or broken.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// External: the disk cannot be read.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Names of the files directly in a folder, without the folder, sorted; empty when there is no such folder.
    ///
    /// # Errors
    /// External: the disk cannot be read.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Removes a file; fine when there is none. Need not be durable: a file that comes back does no harm.
    ///
    /// # Errors
    /// External: the disk refuses.
    fn remove(&self, name: &str) -> Result<()>;
}

pub(crate) fn write_json<T: Serialize>(store: &dyn Store, kind: Kind, name: &str, value: &T) -> Result<()> {
    let json = serde_json::to_vec(value).expect("records serialise");
    store.put(name, &frame::seal(kind, &json))
}
