//! The committer thread: writes a batch's rows to the sinks, commits its dead letters, then stores its state and commit
//! record.
//!
//! It handles one batch at a time while the next batch is dispatched, so at most two plans are uncommitted. A batch's
//! plan is durable before a sink sees its rows. A snapshot of the state is written after the batch is committed and
//! reported.

use crate::event::Event;
use crate::finish::BatchDeadLetters;
use arrow_array::RecordBatch;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tidemill_checkpoint::{CommitLog, CommitRecord};
use tidemill_flow::ports::{DeadLetterCommitter, Sink};
use tidemill_model::Result;
use tidemill_os::{clock, retry};

/// A batch to write to the sinks and commit.
pub(crate) struct Job {
    pub(crate) record: CommitRecord,
    pub(crate) rows: RecordBatch,
    pub(crate) replayed: bool,
    pub(crate) dead_letters: BatchDeadLetters,
    /// The batch's change of the state, encoded.
    pub(crate) delta: Vec<u8>,
    /// The whole state after the batch, if a snapshot is due.
    pub(crate) snapshot: Option<Vec<u8>>,
}

/// A committed batch.
pub(crate) struct Committed {
    pub(crate) batch_id: u64,
    /// When the last sink had accepted the rows.
    pub(crate) out_at: Instant,
    /// Time spent in the sinks.
    pub(crate) sink_time: Duration,
    /// Time spent on state and commit record.
    pub(crate) commit_time: Duration,
    /// Whether the next batch should come with a snapshot.
    pub(crate) wants_snapshot: bool,
    /// The batch's rows, for observers.
    pub(crate) rows: RecordBatch,
}

/// What a batch is written to.
pub(crate) struct CommitTargets {
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) dead_letters: Option<Box<dyn DeadLetterCommitter>>,
    pub(crate) log: CommitLog,
}

/// What the committer is asked to do.
pub(crate) enum Work {
    /// Commit a batch.
    Commit(Box<Job>),
    /// The run ends: publish what the sinks still gather.
    Close,
}

/// Commits batches until the work ends. An error ends it too, and is told as that of a batch.
pub(crate) fn run(work: &Receiver<Work>, mut targets: CommitTargets, events: &Sender<Event>) {
    if let Err(error) = serve(work, &mut targets, events) {
        // A driver that is gone needs no reason.
        let _ = events.send(Event::Committed(Err(error)));
    }
}

fn serve(work: &Receiver<Work>, targets: &mut CommitTargets, events: &Sender<Event>) -> Result<()> {
    let mut publish_at = targets.publish(false)?;
    loop {
        let next = match publish_at {
            Some(at) => clock::receive_until(work, at),
            None => clock::receive(work).ok_or(RecvTimeoutError::Disconnected),
        };
        let heard = match next {
            Ok(Work::Commit(job)) => {
                let heard = commit(*job, targets, events)?;
                publish_at = targets.publish(false)?;
                heard
            }
            Ok(Work::Close) => {
                publish_at = targets.publish(true)?;
                events.send(Event::Closed).is_ok()
            }
            Err(RecvTimeoutError::Timeout) => {
                publish_at = targets.publish(false)?;
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
        };
        if !heard {
            return Ok(());
        }
    }
}

/// Returns whether the driver is still there.
fn commit(mut job: Job, targets: &mut CommitTargets, events: &Sender<Event>) -> Result<bool> {
    let (batch_id, snapshot) = (job.record.batch_id, job.snapshot.take());
    let committed = carry_out(job, snapshot.is_some(), targets)?;
    if events.send(Event::Committed(Ok(committed))).is_err() {
        return Ok(false);
    }
    let Some(state) = snapshot else { return Ok(true) };
    targets.log.snapshot(batch_id, &state)?;
    Ok(events.send(Event::Snapshot).is_ok())
}

impl CommitTargets {
    /// Publishes what the sinks have gathered: what is due, or `all`. Returns when the next is due.
    fn publish(&mut self, all: bool) -> Result<Option<Instant>> {
        let mut next: Option<Instant> = None;
        for sink in &mut self.sinks {
            let due = patiently(|_| sink.publish(all))
                .map_err(|error| error.context(format!("sink {}", sink.description())))?;
            next = [next, due].into_iter().flatten().min();
        }
        Ok(next)
    }
}

fn carry_out(job: Job, snapshot_follows: bool, targets: &mut CommitTargets) -> Result<Committed> {
    let started = clock::now();
    let CommitTargets { sinks, dead_letters, log } = targets;
    let batch_id = job.record.batch_id;
    log.make_plans_durable()?;
    for sink in sinks {
        let write = |again: bool| sink.write(batch_id, &job.rows, job.replayed || again);
        patiently(write).map_err(|error| error.context(format!("sink {}", sink.description())))?;
    }
    if let Some(committer) = dead_letters {
        let commit = |_| committer.commit(batch_id, &job.dead_letters.files, &job.dead_letters.own);
        patiently(commit).map_err(|error| error.context(committer.description()))?;
    }
    let out_at = clock::now();
    log.commit(&job.record, &job.delta)?;
    Ok(Committed {
        batch_id,
        out_at,
        sink_time: out_at - started,
        commit_time: clock::since(out_at),
        wants_snapshot: !snapshot_follows && log.wants_snapshot(),
        rows: job.rows,
    })
}

/// Retries an attempt that fails with a transient error. The argument of the attempt says whether it is a retry.
fn patiently<T>(mut attempt: impl FnMut(bool) -> Result<T>) -> Result<T> {
    let started = clock::now();
    let mut failures = 0;
    loop {
        let error = match attempt(failures > 0) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        failures += 1;
        match retry::COMMIT.pause(failures, clock::since(started)) {
            Some(pause) if error.retry => clock::sleep(pause),
            _ => return Err(error),
        }
    }
}
