//! The driver's side of the committer: the batch that is being committed, and how far a snapshot is.

use crate::commit::{self, Committed, Work};
use crate::report::BatchStats;
use crate::snapshots::Part;
use std::sync::mpsc::Sender;
use tidemill_checkpoint::CommitRecord;

pub(crate) struct Committing {
    committer: Sender<Work>,
    stats: Option<BatchStats>,
    /// Why the batch is not taken, while it is not.
    waits: Option<String>,
    /// Whether a snapshot is due, unless one is being written.
    wants_snapshot: bool,
    snapshot: Snapshot,
    /// Records of all runs in committed batches and in the one being committed.
    records: u64,
    /// Number of sinks.
    sinks: usize,
}

/// How far a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Snapshot {
    /// None is being written.
    Nothing,
    /// It has begun. The next part may be copied.
    Ready,
    /// A part is on its way to the disk.
    Busy,
}

impl Committing {
    pub(crate) fn new(committer: Sender<Work>, sinks: usize, wants_snapshot: bool, records: u64) -> Committing {
        let snapshot = Snapshot::Nothing;
        Committing { committer, stats: None, waits: None, wants_snapshot, snapshot, records, sinks }
    }

    /// Whether a batch is being committed.
    pub(crate) fn is_busy(&self) -> bool {
        self.stats.is_some()
    }

    /// Records why a batch is not taken, or that it no longer waits. Returns whether that is news.
    pub(crate) fn wait_for(&mut self, why: Option<String>) -> bool {
        let is_news = self.waits.is_some() != why.is_some();
        self.waits = why;
        is_news
    }

    /// Why the batch is not taken, while it is not.
    pub(crate) fn waits(&self) -> Option<&str> {
        self.waits.as_deref()
    }

    /// The batch that is being committed.
    pub(crate) fn batch_id(&self) -> Option<u64> {
        self.stats.as_ref().map(|stats| stats.finished.plan.batch_id)
    }

    /// Whether a part of a snapshot should be copied after the batch that is being finished; if so, whether it is the first
    /// one.
    pub(crate) fn next_part(&self) -> Option<bool> {
        match self.snapshot {
            Snapshot::Nothing => self.wants_snapshot.then_some(true),
            Snapshot::Ready => Some(false),
            Snapshot::Busy => None,
        }
    }

    /// Whether a snapshot has begun and is not complete.
    pub(crate) fn is_writing_snapshot(&self) -> bool {
        self.snapshot != Snapshot::Nothing
    }

    pub(crate) fn part_written(&mut self, is_last: bool) {
        self.snapshot = if is_last { Snapshot::Nothing } else { Snapshot::Ready };
    }

    /// Hands on a further part of a snapshot when no batch follows.
    pub(crate) fn write_part(&mut self, part: Part) {
        self.snapshot = Snapshot::Busy;
        // If the committer is gone, its last event in the inbox says why.
        let _ = self.committer.send(Work::Part(part));
    }

    /// Number of sinks.
    pub(crate) fn sinks(&self) -> usize {
        self.sinks
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Steps 7 and 8: hands a batch to the committer, with its change of the state and perhaps a part of a snapshot.
    /// `capacity` is what the autoscaler has learnt; the commit record keeps it.
    pub(crate) fn begin(
        &mut self,
        stats: BatchStats,
        (delta, part): (Vec<u8>, Option<Part>),
        capacity: Option<serde_json::Value>,
    ) {
        if part.is_some() {
            self.snapshot = Snapshot::Busy;
        }
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
        let (output, dead_letters) = (finished.output.clone(), finished.dead_letters.clone());
        let job = commit::Job { record, output, replayed: finished.replayed, dead_letters, delta, part };
        // If the committer is gone, its last event in the inbox says why.
        let _ = self.committer.send(Work::Commit(Box::new(job)));
        self.stats = Some(stats);
    }

    /// The run ends: [`crate::event::Event::Closed`] follows when all rows are published.
    pub(crate) fn close(&self) {
        let _ = self.committer.send(Work::Close);
    }

    /// Steps 7 and 8 are done.
    pub(crate) fn committed(&mut self, committed: &Committed) -> BatchStats {
        let stats = self.stats.take().expect("a batch was being committed");
        assert_eq!(stats.finished.plan.batch_id, committed.batch_id, "batches are committed in order");
        self.waits = None;
        self.wants_snapshot = committed.wants_snapshot;
        stats
    }
}
