//! The owner of a directory of batches: `_owner` holds the query's id, which the query keeps in its checkpoint.

use crate::durable::refused;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use tidemill_model::{Error, Result};

const OWNER: &str = "_owner";

/// A claim to a directory. It is checked when a run begins and made before anything is written, so a run that is
/// refused before its first batch leaves no claim.
#[derive(Default)]
pub struct Claim {
    /// The owner, until the claim is made.
    pending: Option<String>,
}

impl Claim {
    /// Checks whether `owner` may claim the directory. `holds_batches` means that it already belongs to some query.
    ///
    /// # Errors
    /// User: it belongs to another query. External: the disk fails.
    pub fn begin(&mut self, dir: &Path, owner: String, holds_batches: bool) -> Result<()> {
        match known(dir)? {
            None if holds_batches => Err(is_anothers(dir)),
            // An empty claim was cut off by a crash before anything was written.
            Some(known) if known != owner && (holds_batches || !known.is_empty()) => Err(is_anothers(dir)),
            _ => {
                self.pending = Some(owner);
                Ok(())
            }
        }
    }

    /// Whether the directory is claimed.
    pub fn is_made(&self) -> bool {
        self.pending.is_none()
    }

    /// Claims the directory if it is not claimed yet.
    ///
    /// # Errors
    /// As [`Claim::begin`]: another query may have claimed it meanwhile.
    pub fn make(&mut self, dir: &Path) -> Result<()> {
        let Some(owner) = &self.pending else { return Ok(()) };
        let path = dir.join(OWNER);
        let cannot = |error| refused("write", &path, &error);
        match File::options().write(true).create_new(true).open(&path) {
            Ok(mut file) => file.write_all(owner.as_bytes()).and_then(|()| file.sync_all()).map_err(cannot)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match known(dir)?.unwrap_or_default() {
                known if known.is_empty() => fs::write(&path, owner).map_err(cannot)?,
                known if known == *owner => {}
                _ => return Err(is_anothers(dir)),
            },
            Err(error) => return Err(cannot(error)),
        }
        self.pending = None;
        Ok(())
    }
}

fn known(dir: &Path) -> Result<Option<String>> {
    let path = dir.join(OWNER);
    match fs::read_to_string(&path) {
        Ok(known) => Ok(Some(known)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused("read", &path, &error)),
    }
}

fn is_anothers(dir: &Path) -> Error {
    Error::user(format!(
        "{} holds the batches of another query, or of this one under another checkpoint; \
         name an empty directory, or go on with that checkpoint",
        dir.display()
    ))
}
