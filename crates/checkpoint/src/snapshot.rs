//! Snapshots: the whole state after a batch, each in its own file, written atomically.
//!
//! ```text
//!  create NAME.tmp ─► write ─► sync the file ─► rename to NAME ─► sync the folder
//!  "TMSTATE" | version: u8 | length: u64 LE | state | crc32c(state): u32 LE
//! ```
//! Without the first sync, a power cut could leave the name without its bytes; without the second, neither.

use crate::disk::{Disk, refused};
use crate::record::u64_at;
use crate::segment::{VERSION, WAY_OUT, check_version};
use std::io;
use tidemill_model::{Error, Result};

/// The folder of the snapshots.
pub(crate) const FOLDER: &str = "snapshots";

/// Ending of the name while the file is being written.
pub(crate) const TEMPORARY: &str = ".tmp";

const MAGIC: &[u8; 7] = b"TMSTATE";
const HEADER: usize = MAGIC.len() + 1 + 8;

/// The snapshot's file name.
pub(crate) fn name(batch: u64) -> String {
    format!("{FOLDER}/{batch:020}")
}

/// Writes a snapshot; durable on return.
///
/// # Errors
/// External: the disk.
pub(crate) fn write(disk: &dyn Disk, batch: u64, state: &[u8]) -> Result<()> {
    let name = name(batch);
    let temporary = format!("{name}{TEMPORARY}");
    write_whole(disk, &name, &temporary, state).map_err(|error| {
        // Best effort: the next start removes what is left.
        let _ = disk.remove(&temporary);
        refused("write", &disk.place(&name), &error)
    })
}

fn write_whole(disk: &dyn Disk, name: &str, temporary: &str, state: &[u8]) -> io::Result<()> {
    let mut header = MAGIC.to_vec();
    header.push(VERSION);
    header.extend_from_slice(&(state.len() as u64).to_le_bytes());
    let file = disk.create(temporary)?;
    file.append(&header)?;
    file.append(state)?;
    file.append(&crc32c::crc32c(state).to_le_bytes())?;
    file.sync()?;
    drop(file);
    disk.rename(temporary, name)?;
    disk.sync_folder(FOLDER)
}

/// Extracts the state from a snapshot's bytes.
///
/// # Errors
/// User: another format version. External: damage.
pub(crate) fn open(name: &str, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let damaged = |what: &str| Error::external(format!("checkpoint file `{name}` {what}; {WAY_OUT}"));
    if bytes.len() < HEADER + 4 || &bytes[..MAGIC.len()] != MAGIC {
        return Err(damaged("is not what its name says, or is cut off"));
    }
    check_version(name, bytes[MAGIC.len()])?;
    let state = HEADER..bytes.len() - 4;
    if u64_at(&bytes, MAGIC.len() + 1) != state.len() as u64 {
        return Err(damaged("is cut off"));
    }
    let crc = u32::from_le_bytes(bytes[state.end..].try_into().expect("four bytes"));
    if crc32c::crc32c(&bytes[state.clone()]) != crc {
        return Err(damaged("fails its checksum"));
    }
    // In place: the state may be a gigabyte.
    bytes.truncate(state.end);
    bytes.drain(..HEADER);
    Ok(bytes)
}
