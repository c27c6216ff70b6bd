//! Snapshots: the state after a batch, each in its own file, written in parts and visible only as a whole.
//!
//! ```text
//!  create NAME.tmp ─► append a part, sync ─► … ─► append the end, sync ─► rename to NAME ─► sync the folder
//!  "TMSTATE" | version: u8 | part | part | … | u64::MAX
//!                            └ length: u64 LE | crc32c: u32 LE | bytes
//! ```
//! Without the last sync of the file, a power cut could leave the name without its bytes; without that of the folder,
//! neither. Each part is synced by itself: a file system that writes much for one file keeps the log's flushes waiting.
//!
//! The parts may be from different batches. A snapshot is named after the batch of its first part, and is written while
//! later batches are committed; the changes of these batches are needed to restore the state from it.

use crate::disk::{Disk, DiskFile, refused};
use crate::log::Log;
use crate::record::u64_at;
use crate::segment::{VERSION, WAY_OUT, check_version};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tidemill_model::{Error, Result};

/// The folder of the snapshots.
pub(crate) const FOLDER: &str = "snapshots";

/// Ending of the name while the file is being written.
pub(crate) const TEMPORARY: &str = ".tmp";

const MAGIC: &[u8; 7] = b"TMSTATE";
const HEADER: usize = MAGIC.len() + 1;
const PART_HEADER: usize = 8 + 4;

/// In place of a part's length: there are no more.
const END: u64 = u64::MAX;

/// The snapshot's file name.
pub(crate) fn name(batch: u64) -> String {
    format!("{FOLDER}/{batch:020}")
}

/// Writes one snapshot. It may be used on any thread while batches are committed. If it is dropped before
/// [`SnapshotWriter::finish`], there is no snapshot, and the next start removes what was written.
pub struct SnapshotWriter {
    log: Arc<Log>,
    /// Batch of the first part.
    batch: u64,
    file: Option<Arc<dyn DiskFile>>,
    /// Bytes of the parts.
    bytes: u64,
}

impl SnapshotWriter {
    pub(crate) fn new(log: Arc<Log>, batch: u64) -> SnapshotWriter {
        SnapshotWriter { log, batch, file: None, bytes: 0 }
    }

    /// Writes the next part. The batch that it was copied after must be committed.
    ///
    /// # Errors
    /// External: the disk.
    pub fn append(&mut self, part: &[u8]) -> Result<()> {
        self.append_part(part).map_err(|error| self.refused(&error))
    }

    /// Makes the snapshot durable and visible, then removes what is no longer needed.
    ///
    /// # Errors
    /// External: the disk. What was committed stays committed.
    pub fn finish(mut self) -> Result<()> {
        self.make_visible().map_err(|error| self.refused(&error))?;
        self.log.snapshot_written(self.batch, self.bytes)
    }

    fn append_part(&mut self, part: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        let mut header = (part.len() as u64).to_le_bytes().to_vec();
        header.extend_from_slice(&crc32c::crc32c(part).to_le_bytes());
        file.append(&header)?;
        file.append(part)?;
        self.bytes += part.len() as u64;
        file.sync()
    }

    fn make_visible(&mut self) -> io::Result<()> {
        let file = self.file()?;
        file.append(&END.to_le_bytes())?;
        file.sync()?;
        drop((file, self.file.take()));
        let disk = &*self.log.disk;
        disk.rename(&temporary(self.batch), &name(self.batch))?;
        disk.sync_folder(FOLDER)
    }

    /// The file, created with its header when it is first needed.
    fn file(&mut self) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let file = self.log.disk.create(&temporary(self.batch))?;
        let mut header = MAGIC.to_vec();
        header.push(VERSION);
        file.append(&header)?;
        self.file = Some(file.clone());
        Ok(file)
    }

    fn refused(&self, error: &io::Error) -> Error {
        let disk: &dyn Disk = &*self.log.disk;
        // Best effort: the next start removes what is left.
        let _ = disk.remove(&temporary(self.batch));
        refused("write", &disk.place(&name(self.batch)), error)
    }
}

fn temporary(batch: u64) -> String {
    format!("{}{TEMPORARY}", name(batch))
}

/// Extracts the parts from a snapshot's bytes, without copying them: there may be a gigabyte.
///
/// # Errors
/// User: another format version. External: damage.
pub(crate) fn open(name: &str, bytes: &Bytes) -> Result<Vec<Bytes>> {
    let damaged = |what: &str| Error::external(format!("checkpoint file `{name}` {what}; {WAY_OUT}"));
    if bytes.len() < HEADER || &bytes[..MAGIC.len()] != MAGIC {
        return Err(damaged("is not what its name says, or is cut off"));
    }
    check_version(name, bytes[MAGIC.len()])?;
    let cut_off = || damaged("is cut off");
    let mut parts = Vec::new();
    let mut rest = &bytes[HEADER..];
    loop {
        let length = if rest.len() < 8 { return Err(cut_off()) } else { u64_at(rest, 0) };
        if length == END && rest.len() == 8 {
            return Ok(parts);
        }
        let (header, behind) = rest.split_at_checked(PART_HEADER).ok_or_else(cut_off)?;
        let length = usize::try_from(length).map_err(|_| cut_off())?;
        let (part, behind) = behind.split_at_checked(length).ok_or_else(cut_off)?;
        if crc32c::crc32c(part).to_le_bytes() != header[8..] {
            return Err(damaged("fails its checksum"));
        }
        parts.push(bytes.slice_ref(part));
        rest = behind;
    }
}
