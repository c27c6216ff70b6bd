//! Committing: a merged batch on its way through the sinks to its commit record. One at a time.

use crate::commit::{self, Committed};
use crate::report::BatchStats;
use std::sync::mpsc::Sender;
use tidemill_checkpoint::CommitRecord;

pub(crate) struct Committing {
    committer: Sender<commit::Job>,
    stats: Option<BatchStats>,
    /// Whether the next state should be a snapshot.
    wants_snapshot: bool,
    /// Whether a snapshot is being written, or will be after the batch that is being committed.
    writing_snapshot: bool,
    /// Records in committed batches and the one being committed, all runs.
    records: u64,
}

impl Committing {
    pub(crate) fn new(committer: Sender<commit::Job>, wants_snapshot: bool, records: u64) -> Committing {
        Committing { committer, stats: None, wants_snapshot, writing_snapshot: false, records }
    }

    /// Whether a batch is being committed.
    pub(crate) fn is_busy(&self) -> bool {
        self.stats.is_some()
    }

    pub(crate) fn wants_snapshot(&self) -> bool {
        self.wants_snapshot
    }

    /// Whether a snapshot is on its way to the disk.
    pub(crate) fn is_writing_snapshot(&self) -> bool {
        self.writing_snapshot
    }

    pub(crate) fn snapshot_written(&mut self) {
        self.writing_snapshot = false;
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Steps 7 and 8 begin: the committer takes the batch, with what it has changed in the state and, where one is due, a
    /// snapshot. `capacity` is what the autoscaler knows.
    pub(crate) fn begin(
        &mut self,
        stats: BatchStats,
        (delta, snapshot): (Vec<u8>, Option<Vec<u8>>),
        capacity: Option<serde_json::Value>,
    ) {
        self.writing_snapshot |= snapshot.is_some();
        let finished = &stats.finished;
        self.records += finished.records;
        let record = CommitRecord {
            batch_id: finished.plan.batch_id,
            watermark: finished.plan.watermark,
            next_watermark: finished.next_watermark,
            end_offsets: finished.plan.end_offsets.clone(),
            records: self.records,
            capacity,
        };
        let (rows, dead_letters) = (finished.rows.clone(), finished.dead_letters.clone());
        let job = commit::Job { record, rows, replayed: finished.replayed, dead_letters, delta, snapshot };
        // A committer that is gone has said why: its last event is in the inbox.
        let _ = self.committer.send(job);
        self.stats = Some(stats);
    }

    /// Steps 7 and 8 are done.
    pub(crate) fn committed(&mut self, committed: &Committed) -> BatchStats {
        let stats = self.stats.take().expect("a batch was being committed");
        assert_eq!(stats.finished.plan.batch_id, committed.batch_id, "batches are committed in order");
        self.wants_snapshot = committed.wants_snapshot;
        stats
    }
}
