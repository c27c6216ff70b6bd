//! Committing: a merged batch on its way through the sinks to its commit record. One at a time.

use crate::commit::{self, Committed};
use crate::report::Draft;
use std::sync::mpsc::Sender;
use tidemill_checkpoint::{CommitRecord, StateChange};

pub(crate) struct Committing {
    committer: Sender<commit::Job>,
    draft: Option<Draft>,
    /// Whether the next state should be a snapshot.
    wants_snapshot: bool,
    /// Records in committed batches and the one being committed, all runs.
    records: u64,
}

impl Committing {
    pub(crate) fn new(committer: Sender<commit::Job>, wants_snapshot: bool, records: u64) -> Committing {
        Committing { committer, draft: None, wants_snapshot, records }
    }

    /// Whether a batch is being committed.
    pub(crate) fn is_busy(&self) -> bool {
        self.draft.is_some()
    }

    pub(crate) fn wants_snapshot(&self) -> bool {
        self.wants_snapshot
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Steps 7 and 8 begin: the committer takes the batch. `capacity` is what the autoscaler knows.
    pub(crate) fn begin(&mut self, draft: Draft, state: StateChange, capacity: Option<serde_json::Value>) {
        let finished = &draft.finished;
        self.records += finished.records;
        let record = CommitRecord {
            batch_id: finished.plan.batch_id,
            watermark: finished.plan.watermark,
            next_watermark: finished.next_watermark,
            end_offsets: finished.plan.end_offsets.clone(),
            records: self.records,
            capacity,
        };
        let (rows, letters) = (finished.rows.clone(), finished.letters.clone());
        let job = commit::Job { record, rows, replayed: finished.replayed, letters, state };
        // A committer that is gone has said why: its last event is in the inbox.
        let _ = self.committer.send(job);
        self.draft = Some(draft);
    }

    /// Steps 7 and 8 are done.
    pub(crate) fn committed(&mut self, committed: &Committed) -> Draft {
        let draft = self.draft.take().expect("a batch was being committed");
        assert_eq!(draft.finished.plan.batch_id, committed.batch_id, "batches are committed in order");
        self.wants_snapshot = committed.wants_snapshot;
        draft
    }
}
