//! Whose a directory of batches is: `_owner` names the query, which keeps its id in its checkpoint.

use crate::durable::refused;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use tidemill_model::{Error, Result};

const OWNER: &str = "_owner";

/// Claims a directory. `holds_batches`: what is in it is somebody's, whoever that was.
///
/// # Errors
/// User: it is another's. External: the disk refuses.
pub fn claim(dir: &Path, owner: &str, holds_batches: bool) -> Result<()> {
    let path = dir.join(OWNER);
    let claimed = File::options().write(true).create_new(true).open(&path);
    match claimed {
        Ok(_) if holds_batches => {
            fs::remove_file(&path).map_err(|error| refused("write", &path, &error))?;
            Err(is_anothers(dir))
        }
        Ok(mut file) => {
            let written = file.write_all(owner.as_bytes()).and_then(|()| file.sync_all());
            written.map_err(|error| refused("write", &path, &error))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let known = fs::read_to_string(&path).map_err(|error| refused("read", &path, &error))?;
            // An empty one was cut off by a crash before anything was written.
            if known.is_empty() && !holds_batches {
                fs::write(&path, owner).map_err(|error| refused("write", &path, &error))
            } else if known == owner {
                Ok(())
            } else {
                Err(is_anothers(dir))
            }
        }
        Err(error) => Err(refused("write", &path, &error)),
    }
}

fn is_anothers(dir: &Path) -> Error {
    Error::user(format!(
        "{} holds the batches of another query, or of this one under another checkpoint; \
         name an empty directory, or go on with that checkpoint",
        dir.display()
    ))
}
