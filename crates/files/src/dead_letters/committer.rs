//! The driver's side: records which files hold a batch's dead letters.

use super::line::write_line;
use super::{batch_of, prefix};
use crate::durable::{refused, sweep, write_whole};
use crate::manifest::{self, Entry, Manifest};
use crate::owner::Claim;
use std::fs;
use std::io;
use std::path::PathBuf;
use tidemill_flow::ports::{DeadLetterCommitter, DriverDeadLetter};
use tidemill_model::{DeadLetterFile, Result};

/// A directory of dead letters.
pub struct FilesDeadLetterCommitter {
    dir: PathBuf,
    manifest: Manifest,
    claim: Claim,
}

impl FilesDeadLetterCommitter {
    /// Opens or creates a directory of dead letters.
    ///
    /// # Errors
    /// External: the disk fails. User: the directory's manifest is not one of ours.
    pub fn new(dir: impl Into<PathBuf>) -> Result<FilesDeadLetterCommitter> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(|error| refused("create", &dir, &error))?;
        let manifest = Manifest::open(&dir)?;
        Ok(FilesDeadLetterCommitter { dir, manifest, claim: Claim::default() })
    }

    /// Removes files that no batch names, and files of batches that are not committed. If the manifest is gone, it
    /// removes nothing.
    fn remove_unnamed(&self) -> Result<()> {
        let cannot = |error: io::Error| refused("clean", &self.dir, &error);
        let batches = manifest::read(&self.dir)?;
        let unnamed = |name: &str| {
            let Some(batch_id) = batch_of(name) else { return false };
            match batches.get(&batch_id) {
                Some(entry) => !entry.files.iter().any(|named| named == name),
                None => self.manifest.last().is_some_and(|last| batch_id > last),
            }
        };
        for entry in fs::read_dir(&self.dir).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if unnamed(&name) {
                fs::remove_file(&path).map_err(cannot)?;
            }
        }
        Ok(())
    }
}

impl DeadLetterCommitter for FilesDeadLetterCommitter {
    fn description(&self) -> String {
        format!("dead letters in {}", self.dir.display())
    }

    /// Also removes what a crash left unfinished or uncommitted.
    fn begin(&mut self, query_id: &str) -> Result<()> {
        // The same query's sink must not use this directory, and the other way round.
        self.claim.begin(&self.dir, format!("{query_id} dead letters"), self.manifest.last().is_some())?;
        // Executors write here before there is a batch to commit.
        self.claim.make(&self.dir)?;
        sweep(&self.dir)?;
        self.remove_unnamed()
    }

    fn commit(&mut self, batch_id: u64, files: &[DeadLetterFile], own: &[DriverDeadLetter]) -> Result<()> {
        let lines = files.iter().map(|file| file.lines).sum::<u64>() + own.len() as u64;
        // A replayed batch may now have no dead letters although the manifest names some.
        if lines == 0 && self.manifest.last() < Some(batch_id) {
            return Ok(());
        }
        let mut names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        if !own.is_empty() {
            let name = format!("{}driver.jsonl", prefix(batch_id));
            let mut text = String::new();
            own.iter().for_each(|own| write_line(&mut text, &own.letter()));
            write_whole(&self.dir, &name, &[text.as_bytes()])?;
            names.push(name);
        }
        self.manifest.add(&Entry::of(batch_id, lines, names))
    }
}
