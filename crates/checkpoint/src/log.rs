//! The plan log and the commit log: writing records in the order that makes any crash recoverable.

use crate::frame::{self, Kind};
use crate::store::{Store, write_json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidemill_model::{BatchPlan, Millis, Offsets, Result};

/// Plan and commit records of so many batches are kept for people to look at, as Spark does by default.
pub(crate) const BATCHES_KEPT: u64 = 100;

/// A snapshot is due when the deltas since the last one outweigh it, but not for less than this many bytes.
const SNAPSHOT_BYTES_MIN: u64 = 64 << 10;

/// A snapshot is due after so many deltas, however small: each is a file, and a start reads them all.
const DELTAS_MAX: usize = 1_000;

/// The commit record of a batch: the sinks have its rows, its state is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Number of the batch.
    pub batch_id: u64,
    /// wm(N), the late watermark of the next batch.
    pub watermark: Millis,
    /// wm(N+1), the watermark of the next batch (rule M3).
    pub next_watermark: Millis,
    /// Positions after the batch.
    pub end_offsets: Offsets,
    /// Records in all committed batches.
    pub records: u64,
    /// What the autoscaler has learned, as it wrote it.
    pub capacity: Option<serde_json::Value>,
}

/// What a batch leaves of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// The whole state after the batch.
    Snapshot(Vec<u8>),
    /// What the batch changed.
    Delta(Vec<u8>),
}

/// The plan log.
pub struct PlanLog {
    pub(crate) store: Arc<dyn Store>,
}

/// The commit log, with the states.
pub struct CommitLog {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) snapshot_bytes: u64,
    pub(crate) delta_bytes: u64,
    pub(crate) any_snapshot: bool,
    /// State files that exist, oldest first.
    pub(crate) state_files: Vec<String>,
}

impl PlanLog {
    /// Writes where the query begins, before its first plan: `latest` must mean the same after a crash.
    ///
    /// # Errors
    /// External: the disk.
    pub fn write_start(&mut self, positions: &Offsets) -> Result<()> {
        write_json(&*self.store, Kind::Start, "start", positions)
    }

    /// Writes a plan record; durable on return. The batch may be dispatched from then on.
    ///
    /// # Errors
    /// External: the disk.
    pub fn write(&mut self, plan: &BatchPlan) -> Result<()> {
        write_json(&*self.store, Kind::Plan, &format!("plans/{:020}", plan.batch_id), plan)
    }
}

impl CommitLog {
    /// Whether the next state should be a snapshot.
    pub fn wants_snapshot(&self) -> bool {
        !self.any_snapshot
            || self.delta_bytes > self.snapshot_bytes.max(SNAPSHOT_BYTES_MIN)
            || self.state_files.len() > DELTAS_MAX
    }

    /// Writes the state of a batch, then its commit record, then removes what is no longer needed; durable on return.
    ///
    /// # Errors
    /// External: the disk. The batch is then not committed and will be replayed.
    pub fn commit(&mut self, record: &CommitRecord, state: &StateChange) -> Result<()> {
        let batch = record.batch_id;
        let obsolete = match state {
            StateChange::Snapshot(bytes) => {
                let name = format!("state/{batch:020}.snapshot");
                self.store.put(&name, &frame::seal(Kind::Snapshot, bytes))?;
                (self.snapshot_bytes, self.delta_bytes, self.any_snapshot) = (bytes.len() as u64, 0, true);
                std::mem::replace(&mut self.state_files, vec![name])
            }
            StateChange::Delta(bytes) => {
                assert!(self.any_snapshot, "the first state of a checkpoint is a snapshot");
                let name = format!("state/{batch:020}.delta");
                self.store.put(&name, &frame::seal(Kind::Delta, bytes))?;
                self.delta_bytes += bytes.len() as u64;
                self.state_files.push(name);
                Vec::new()
            }
        };
        write_json(&*self.store, Kind::Commit, &format!("commits/{batch:020}"), record)?;
        for name in obsolete.iter().filter(|name| !self.state_files.contains(name)) {
            self.store.remove(name)?;
        }
        if let Some(old) = batch.checked_sub(BATCHES_KEPT) {
            self.store.remove(&format!("commits/{old:020}"))?;
            self.store.remove(&format!("plans/{old:020}"))?;
        }
        Ok(())
    }
}
