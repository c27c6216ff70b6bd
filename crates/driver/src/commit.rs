//! The committer: a thread that hands a batch's rows to the sinks, then stores its state and commit record.
//!
//! One batch at a time; the next batch is dispatched meanwhile (at most two plans are uncommitted).

use crate::event::Event;
use arrow_array::RecordBatch;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};
use tidemill_checkpoint::{CommitLog, CommitRecord, StateChange};
use tidemill_flow::ports::Sink;
use tidemill_model::Result;

/// A sink that cannot be reached is tried again for so long.
const SINK_PATIENCE: Duration = Duration::from_secs(60);

/// A batch to hand out and commit.
pub(crate) struct Job {
    pub(crate) record: CommitRecord,
    pub(crate) rows: RecordBatch,
    pub(crate) replayed: bool,
    pub(crate) state: StateChange,
}

/// A committed batch.
pub(crate) struct Committed {
    pub(crate) batch_id: u64,
    /// When the last sink had taken the rows.
    pub(crate) out_at: Instant,
    /// Time in the sinks.
    pub(crate) sink_time: Duration,
    /// Time in state and commit record.
    pub(crate) commit_time: Duration,
    /// Whether the next state should be a snapshot.
    pub(crate) wants_snapshot: bool,
    /// The rows, for whoever shows them.
    pub(crate) rows: RecordBatch,
}

/// Runs until the jobs end or one fails.
pub(crate) fn run(jobs: &Receiver<Job>, mut sinks: Vec<Box<dyn Sink>>, mut log: CommitLog, events: &Sender<Event>) {
    for job in jobs {
        let result = carry_out(job, &mut sinks, &mut log);
        let failed = result.is_err();
        if events.send(Event::Committed(result)).is_err() || failed {
            return;
        }
    }
}

fn carry_out(job: Job, sinks: &mut [Box<dyn Sink>], log: &mut CommitLog) -> Result<Committed> {
    let started = Instant::now();
    for sink in sinks {
        write_patiently(sink.as_mut(), &job)?;
    }
    let out_at = Instant::now();
    log.commit(&job.record, &job.state)?;
    Ok(Committed {
        batch_id: job.record.batch_id,
        out_at,
        sink_time: out_at - started,
        commit_time: out_at.elapsed(),
        wants_snapshot: log.wants_snapshot(),
        rows: job.rows,
    })
}

fn write_patiently(sink: &mut dyn Sink, job: &Job) -> Result<()> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(50);
    let mut replayed = job.replayed;
    loop {
        match sink.write(job.record.batch_id, &job.rows, replayed) {
            Err(error) if error.retry && started.elapsed() < SINK_PATIENCE => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(2));
                replayed = true;
            }
            result => return result.map_err(|error| error.context(format!("sink {}", sink.description()))),
        }
    }
}
