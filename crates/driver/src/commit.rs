//! The committer thread: writes a batch's rows to the sinks, commits its dead letters, then stores its state and commit
//! record.
//!
//! It handles one batch at a time while the next batch is dispatched, so at most two plans are uncommitted. A batch's
//! plan is durable before a sink sees its rows. Its commit record becomes durable with the next plan, or after [`ALONE`]: sinks
//! ignore a batch that they have. A part of a snapshot waits for that, and goes on to [`crate::snapshots`].

use crate::event::Event;
use crate::finish::BatchDeadLetters;
use crate::output::BatchOutput;
use crate::snapshots::{Part, Snapshots};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tidemill_checkpoint::{CommitLog, CommitRecord, SnapshotWriter};
use tidemill_flow::ports::{DeadLetterCommitter, Sink};
use tidemill_model::Result;
use tidemill_os::clock;
use tidemill_os::retry::{COMMIT, REMOTE_COMMIT, Retry};

/// A commit record becomes durable after this time if no plan follows.
const ALONE: Duration = Duration::from_millis(100);

/// A batch to write to the sinks and commit.
pub(crate) struct Job {
    pub(crate) record: CommitRecord,
    pub(crate) output: BatchOutput,
    pub(crate) replayed: bool,
    pub(crate) dead_letters: BatchDeadLetters,
    /// The batch's change of the state, encoded.
    pub(crate) delta: Vec<u8>,
    /// The next part of a snapshot, copied after the batch.
    pub(crate) part: Option<Part>,
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
    /// Whether a snapshot should be begun after the next batch, if none is being written.
    pub(crate) wants_snapshot: bool,
}

/// What a batch is written to.
pub(crate) struct CommitTargets {
    pub(crate) sinks: Vec<Sink>,
    pub(crate) dead_letters: Option<Box<dyn DeadLetterCommitter>>,
    pub(crate) log: CommitLog,
    pub(crate) snapshots: Snapshots,
    /// The run ends by itself, so it does not wait for ever.
    pub(crate) bounded: bool,
}

/// What the committer is asked to do.
pub(crate) enum Work {
    /// Commit a batch.
    Commit(Box<Job>),
    /// Write a further part of a snapshot, copied after the last committed batch.
    Part(Part),
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
    let mut publish_at = targets.publish(false, events)?;
    let mut durable_at: Option<Instant> = None;
    loop {
        let next = match [publish_at, durable_at].into_iter().flatten().min() {
            Some(at) => clock::receive_until(work, at),
            None => clock::receive(work).ok_or(RecvTimeoutError::Disconnected),
        };
        let heard = match next {
            Ok(Work::Commit(job)) => {
                let heard = commit(*job, targets, events)?;
                durable_at = Some(clock::now() + ALONE);
                publish_at = targets.publish(false, events)?;
                heard
            }
            Ok(Work::Part(part)) => {
                targets.take_part(part, None)?;
                true
            }
            Ok(Work::Close) => {
                targets.log.make_durable()?;
                publish_at = targets.publish(true, events)?;
                events.send(Event::Closed).is_ok()
            }
            Err(RecvTimeoutError::Timeout) => {
                targets.log.make_durable()?;
                durable_at = None;
                publish_at = targets.publish(false, events)?;
                true
            }
            Err(RecvTimeoutError::Disconnected) => {
                targets.log.make_durable()?;
                false
            }
        };
        if !heard {
            return Ok(());
        }
    }
}

/// Returns whether the driver is still there.
fn commit(mut job: Job, targets: &mut CommitTargets, events: &Sender<Event>) -> Result<bool> {
    let part = job.part.take();
    let mut committed = carry_out(job, targets, events)?;
    if let Some(part) = part {
        let mut writer = None;
        if part.is_first {
            writer = Some(targets.log.begin_snapshot(committed.batch_id)?);
            // One that has begun is not due again.
            committed.wants_snapshot = targets.log.wants_snapshot();
        }
        // Before the batch is reported: without a thread beside, each run then has the same parts.
        targets.take_part(part, writer)?;
    }
    Ok(events.send(Event::Committed(Ok(committed))).is_ok())
}

impl CommitTargets {
    /// Hands on a part of a snapshot, with the writer if it is the first one. The batch that it was copied after is never
    /// replayed from then on.
    fn take_part(&mut self, part: Part, writer: Option<SnapshotWriter>) -> Result<()> {
        self.log.make_durable()?;
        self.snapshots.take((part, writer))
    }

    /// Publishes what the sinks have gathered: what is due, or `all`. Returns when the next is due.
    fn publish(&mut self, all: bool, events: &Sender<Event>) -> Result<Option<Instant>> {
        let mut next: Option<Instant> = None;
        for sink in &mut self.sinks {
            let due = Patience::with_sink(sink, self.bounded, events).over(|_| sink.committer.publish(all))?;
            next = [next, due].into_iter().flatten().min();
        }
        Ok(next)
    }
}

fn carry_out(job: Job, targets: &mut CommitTargets, events: &Sender<Event>) -> Result<Committed> {
    let started = clock::now();
    let CommitTargets { sinks, dead_letters, log, bounded, .. } = targets;
    let batch_id = job.record.batch_id;
    log.make_durable()?;
    for (number, sink) in sinks.iter_mut().enumerate() {
        let patience = Patience::with_sink(sink, *bounded, events);
        let parts = job.output.parts(number, sink).map_err(|error| error.context(patience.whom.clone()))?;
        patience.over(|again| sink.committer.commit(batch_id, &parts, job.replayed || again))?;
    }
    if let Some(committer) = dead_letters {
        let patience = Patience::new(committer.description(), committer.is_remote(), *bounded, events);
        patience.over(|_| committer.commit(batch_id, &job.dead_letters.files, &job.dead_letters.own))?;
    }
    let out_at = clock::now();
    log.commit(&job.record, &job.delta)?;
    Ok(Committed {
        batch_id,
        out_at,
        sink_time: out_at - started,
        commit_time: clock::since(out_at),
        wants_snapshot: log.wants_snapshot(),
    })
}

/// Waits for a sink or for the dead letters, and tells the driver so.
struct Patience<'a> {
    /// Who is waited for, as the user reads it.
    whom: String,
    policy: Retry,
    events: &'a Sender<Event>,
}

/// Trouble that passes sooner is not told.
const UNTOLD: Duration = Duration::from_secs(1);

impl<'a> Patience<'a> {
    fn new(whom: String, is_remote: bool, bounded: bool, events: &'a Sender<Event>) -> Patience<'a> {
        Patience { whom, policy: if is_remote && !bounded { REMOTE_COMMIT } else { COMMIT }, events }
    }

    fn with_sink(sink: &Sink, bounded: bool, events: &'a Sender<Event>) -> Patience<'a> {
        let committer = &sink.committer;
        Patience::new(format!("sink {}", committer.description()), committer.is_remote(), bounded, events)
    }

    /// Retries an attempt that fails with a transient error. The argument of the attempt says whether it is a retry. Gives
    /// up when the driver is gone.
    fn over<T>(&self, mut attempt: impl FnMut(bool) -> Result<T>) -> Result<T> {
        let started = clock::now();
        let (mut failures, mut told) = (0, false);
        loop {
            let error = match attempt(failures > 0) {
                Ok(done) => {
                    if told {
                        // If the driver is gone, the next event notices.
                        let _ = self.events.send(Event::CommitWaits(None));
                    }
                    return Ok(done);
                }
                Err(error) => error.context(self.whom.clone()),
            };
            failures += 1;
            let Some(pause) = self.policy.pause(failures, clock::since(started)).filter(|_| error.retry) else {
                return Err(error);
            };
            if clock::since(started) >= UNTOLD {
                told = true;
                if self.events.send(Event::CommitWaits(Some(error.to_string()))).is_err() {
                    return Err(error);
                }
            }
            clock::sleep(pause);
        }
    }
}
