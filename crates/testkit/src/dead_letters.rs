//! Dead letters in memory, with points at which an executor can be killed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tidemill_flow::ports::{DeadLetter, DeadLetterCommitter, DeadLetterWriter, DriverDeadLetter};
use tidemill_model::{DeadLetterFile, Error, OffsetRange, RecordFault, Result};

/// A dead letter as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavedDeadLetter {
    /// Partition and offset; `None` for a group.
    pub at: Option<(i32, i64)>,
    /// What is wrong.
    pub fault: RecordFault,
    /// More about the fault, as text.
    pub detail: Option<String>,
    /// The record's timestamp, ms.
    pub timestamp: Option<i64>,
    /// The record's value.
    pub value: Option<Vec<u8>>,
}

/// The point at which an executor is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KillPoint {
    /// Before a task's dead letters are complete.
    BeforeFinish,
    /// After they are complete, before the driver learns of it.
    AfterFinish,
}

/// Called before a batch's dead letters are committed; may fail.
pub type BeforeCommit = Box<dyn Fn(u64) -> Result<()> + Send>;

/// The dead letters of all batches. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryDeadLetters {
    kept: Arc<Mutex<Store>>,
}

#[derive(Default)]
struct Store {
    files: BTreeMap<String, Vec<SavedDeadLetter>>,
    batches: BTreeMap<u64, Vec<SavedDeadLetter>>,
    deaths: BTreeMap<KillPoint, u32>,
    refusals: u32,
    before_commit: Option<BeforeCommit>,
}

impl MemoryDeadLetters {
    /// The dead letters of each batch that has any, in the order of files and lines.
    pub fn batches(&self) -> BTreeMap<u64, Vec<SavedDeadLetter>> {
        self.kept().batches.clone()
    }

    /// Kills the executor at this point in each of the next `times` tasks with dead letters.
    pub fn kill(&self, death: KillPoint, times: u32) {
        self.kept().deaths.insert(death, times);
    }

    /// Makes the next `times` writes fail with a transient error.
    pub fn refuse(&self, times: u32) {
        self.kept().refusals = times;
    }

    /// Sets a function that is called before a batch's dead letters are committed. Its error becomes the commit's
    /// error.
    pub fn before_commit(&self, before_commit: BeforeCommit) {
        self.kept().before_commit = Some(before_commit);
    }

    /// The executor's side.
    pub fn writer(&self) -> Box<dyn DeadLetterWriter> {
        Box::new(Writer { dead_letters: self.clone(), name: String::new(), lines: Vec::new() })
    }

    /// The driver's side.
    pub fn committer(&self) -> Box<dyn DeadLetterCommitter> {
        Box::new(self.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Store> {
        self.kept.lock().expect("no holder panics")
    }

    fn die_if_due(&self, death: KillPoint) {
        let due = {
            let mut kept = self.kept();
            let left = kept.deaths.entry(death).or_default();
            let due = *left > 0;
            *left = left.saturating_sub(1);
            due
        };
        if due {
            die();
        }
    }
}

/// Ends the worker, and with it the executor, without an answer.
pub(crate) fn die() -> ! {
    std::panic::resume_unwind(Box::new("killed by the test"))
}

impl SavedDeadLetter {
    fn of(letter: &DeadLetter<'_>) -> SavedDeadLetter {
        SavedDeadLetter {
            at: letter.at.map(|(id, offset)| (id.partition, offset)),
            fault: letter.fault,
            detail: letter.detail.map(str::to_owned),
            timestamp: letter.timestamp,
            value: letter.value.map(<[u8]>::to_vec),
        }
    }
}

struct Writer {
    dead_letters: MemoryDeadLetters,
    name: String,
    lines: Vec<SavedDeadLetter>,
}

impl DeadLetterWriter for Writer {
    fn begin(&mut self, batch_id: u64, range: &OffsetRange) {
        let OffsetRange { partition, start, end } = range;
        self.name = format!("{batch_id} {} {partition} {start} {end}", partition.source);
        self.lines.clear();
    }

    fn write(&mut self, letter: &DeadLetter<'_>) -> Result<()> {
        let mut kept = self.dead_letters.kept();
        if kept.refusals > 0 {
            kept.refusals -= 1;
            self.lines.clear();
            return Err(Error::transient("no space in memory; free some"));
        }
        self.lines.push(SavedDeadLetter::of(letter));
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<DeadLetterFile>> {
        let (lines, name) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.name));
        if lines.is_empty() {
            return Ok(None);
        }
        self.dead_letters.die_if_due(KillPoint::BeforeFinish);
        let file = DeadLetterFile { name: name.clone(), lines: lines.len() as u64 };
        self.dead_letters.kept().files.insert(name, lines);
        self.dead_letters.die_if_due(KillPoint::AfterFinish);
        Ok(Some(file))
    }
}

impl DeadLetterCommitter for MemoryDeadLetters {
    fn description(&self) -> String {
        "dead letters in memory".into()
    }

    fn begin(&mut self, _query_id: &str) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, batch_id: u64, files: &[DeadLetterFile], own: &[DriverDeadLetter]) -> Result<()> {
        let mut kept = self.kept();
        if let Some(before_commit) = &kept.before_commit {
            before_commit(batch_id)?;
        }
        let mut dead_letters = Vec::new();
        for file in files {
            let lines = kept.files.get(&file.name).expect("a file that a task has told of is there");
            assert_eq!(lines.len() as u64, file.lines, "{}", file.name);
            dead_letters.extend(lines.iter().cloned());
        }
        dead_letters.extend(own.iter().map(|own| SavedDeadLetter::of(&own.letter())));
        kept.batches.remove(&batch_id);
        if !dead_letters.is_empty() {
            kept.batches.insert(batch_id, dead_letters);
        }
        Ok(())
    }
}
