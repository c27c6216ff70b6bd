//! Whose a directory of batches is: `_owner` names the query, which keeps its id in its checkpoint.

use crate::durable::refused;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use tidemill_model::{Error, Result};

const OWNER: &str = "_owner";

/// A claim to a directory: looked at when a run begins, made before anything is written there. So a run that is refused before
/// its first batch leaves none on a sink's directory.
#[derive(Default)]
pub struct Claim {
    /// Who will claim it, until that is done.
    pending: Option<String>,
}

impl Claim {
    /// Looks whether the directory can be `owner`'s. `holds_batches`: what is in it is somebody's, whoever that was.
    ///
    /// # Errors
    /// User: it is another's. External: the disk refuses.
    pub fn begin(&mut self, dir: &Path, owner: String, holds_batches: bool) -> Result<()> {
        match known(dir)? {
            None if holds_batches => Err(is_anothers(dir)),
            // An empty one was cut off by a crash before anything was written.
            Some(known) if known != owner && (holds_batches || !known.is_empty()) => Err(is_anothers(dir)),
            _ => {
                self.pending = Some(owner);
                Ok(())
            }
        }
    }

    /// Claims the directory, unless that is done.
    ///
    /// # Errors
    /// As [`Claim::begin`]: somebody else may have been first.
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
