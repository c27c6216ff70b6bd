//! Batch execution: the batch in flight and the executors that run its tasks.

use crate::batch::{Batch, Suspicion, TaskAssignment};
use crate::fleet::{Fleet, RunningPiece};
use crate::notes;
use crate::planning::Planned;
use crate::report::StartTimes;
use crate::reporter::Reporter;
use crate::supervisor::Supervisor;
use std::time::{Duration, Instant};
use tidemill_link::{FromExecutor, Task};
use tidemill_model::{BatchPlan, Error, Result};
use tidemill_os::{clock, retry};

/// While tasks keep failing, a message is printed this often.
const RETRY_TOLD: Duration = Duration::from_secs(10);

pub(crate) struct Execution {
    fleet: Fleet,
    batch: Option<InFlight>,
    /// True if the pipeline keeps dead letters.
    keeps_dead_letters: bool,
    /// The query's seed, for its random functions.
    seed: u64,
    /// Nothing is dispatched before this time: a task failed because its source could not be reached.
    retry_at: Option<Instant>,
    /// When a failed task was last reported.
    retry_told_at: Option<Instant>,
    /// Executors lost since [`Execution::take_crashes`].
    crashes: u32,
}

/// A batch between its plan record and its merge.
pub(crate) struct InFlight {
    pub(crate) batch: Batch,
    pub(crate) start: StartTimes,
    pub(crate) dispatched: Instant,
}

impl Execution {
    pub(crate) fn new(fleet: Fleet, keeps_dead_letters: bool, seed: u64) -> Execution {
        Execution { fleet, batch: None, keeps_dead_letters, seed, retry_at: None, retry_told_at: None, crashes: 0 }
    }

    /// The query's seed.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(crate) fn fleet_mut(&mut self) -> &mut Fleet {
        &mut self.fleet
    }

    /// The batch in flight.
    pub(crate) fn batch(&self) -> Option<&Batch> {
        self.batch.as_ref().map(|in_flight| &in_flight.batch)
    }

    /// Records of the batch in flight that are not done.
    pub(crate) fn unfinished(&self) -> u64 {
        self.batch().map_or(0, Batch::unfinished)
    }

    /// Puts a planned batch in flight.
    pub(crate) fn begin(&mut self, planned: Planned) {
        let Planned { plan, replayed, since_last, started, known, planned, logged } = planned;
        let batch = Batch::new(plan, replayed, self.keeps_dead_letters);
        let dispatched = clock::now();
        let start = StartTimes {
            since_last,
            latest_ms: (known - started).as_millis() as u64,
            planning_ms: (planned - known).as_millis() as u64,
            layout_ms: (dispatched - logged).as_millis() as u64,
            log_ms: (logged - planned).as_millis() as u64,
        };
        self.batch = Some(InFlight { batch, start, dispatched });
    }

    /// Executors to keep until the batch in flight is done, when the autoscaler wants none: one of those that exist, if
    /// any.
    pub(crate) fn finishing(&self) -> u32 {
        let sizes = self.fleet.sizes();
        u32::from(self.batch.is_some() && sizes.ready + sizes.starting > 0)
    }

    /// Takes the batch out once all its tasks are done.
    pub(crate) fn take_complete(&mut self) -> Option<InFlight> {
        self.batch.take_if(|in_flight| in_flight.batch.complete())
    }

    /// Drops the batch if none of its tasks has begun, or if it is `stuck`. The next start runs it again.
    pub(crate) fn abandon(&mut self, stuck: bool) {
        let stuck = stuck || self.retry_at.is_some();
        self.batch.take_if(|in_flight| stuck || in_flight.batch.untouched());
    }

    /// When failed tasks are tried again.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Executors lost since the last call.
    pub(crate) fn take_crashes(&mut self) -> u32 {
        std::mem::take(&mut self.crashes)
    }

    /// Step 4: starts or drains executors to the wanted number, and gives tasks to free cores.
    ///
    /// # Errors
    /// External: no executor can be started.
    pub(crate) fn dispatch(&mut self, executors: u32, supervisor: &mut Supervisor) -> Result<()> {
        self.fleet.follow(executors, supervisor)?;
        if self.retry_at.is_some_and(|at| clock::now() < at) {
            return Ok(());
        }
        self.retry_at = None;
        let Some(in_flight) = &mut self.batch else { return Ok(()) };
        let batch = &mut in_flight.batch;
        let BatchPlan { batch_id, late_watermark, timestamp, .. } = batch.plan;
        let seed = self.seed;
        let task = |id, TaskAssignment { ranges, set_aside, .. }| Task {
            id,
            batch_id,
            ranges,
            late_watermark,
            timestamp,
            seed,
            set_aside,
        };
        self.fleet.dispatch(|preferred, idle| batch.take(preferred, idle), task);
        Ok(())
    }

    /// Handles a message of an executor. If a task was too large and is split, returns the records of the larger half.
    ///
    /// # Errors
    /// External: an executor cannot start, or a task has failed for good.
    pub(crate) fn heard(&mut self, id: u64, message: FromExecutor, reporter: &mut Reporter) -> Result<Option<i64>> {
        match message {
            FromExecutor::Ready => self.fleet.ready(id),
            FromExecutor::Alive { tasks } => self.fleet.beat(id, &tasks),
            FromExecutor::Refused { message } => {
                return Err(Error::external(format!("an executor could not start: {message}")));
            }
            FromExecutor::Done { id: task, partial, cost } => {
                let records = partial.records;
                if let Some(piece) = self.fleet.ended(id, task, Some(cost))
                    && let Some(batch) = self.batch_of(piece)
                    && batch.done(piece.number, partial)
                {
                    reporter.task_done(records);
                }
            }
            FromExecutor::TooLarge { id: task } => {
                let Some(piece) = self.fleet.ended(id, task, None) else { return Ok(None) };
                return Ok(self.batch_of(piece).and_then(|batch| batch.too_large(piece.number)));
            }
            FromExecutor::Failed { id: task, message, retry } => {
                let piece = self.fleet.ended(id, task, None);
                if !retry {
                    return Err(Error::external(message));
                }
                // A late piece already waits or runs elsewhere.
                if let Some(piece) = piece.filter(|piece| !piece.late)
                    && let Some(batch) = self.batch_of(piece)
                {
                    batch.again(piece.number);
                    self.tell_failure(&message, reporter);
                    self.retry_at = Some(clock::now() + retry::TASK.first);
                }
            }
        }
        Ok(None)
    }

    /// Handles the end of an executor: its tasks run again.
    ///
    /// # Errors
    /// External: too many executors in a row ended before they were ready.
    pub(crate) fn gone(&mut self, id: u64, reporter: &mut Reporter) -> Result<()> {
        let Some(departed) = self.fleet.gone(id)? else { return Ok(()) };
        // An executor that was asked to end finishes its tasks first. If it still has tasks, it was lost like any other.
        if departed.expected && departed.pieces.is_empty() {
            return Ok(());
        }
        self.crashes += 1;
        let tasks = departed.pieces.iter().filter(|piece| !piece.late).count();
        reporter.note(&format!("executor {} was lost; tasks to be run again: {tasks}", departed.id));
        for piece in departed.pieces {
            let loss = if piece.late { Suspicion::SuspectLate } else { Suspicion::Suspect };
            let Some(batch) = self.batch_of(piece) else { continue };
            let lost = batch.lost(piece.number, loss);
            if let Some(note) = notes::given_up(&lost, self.keeps_dead_letters) {
                reporter.note(&note);
            }
        }
        Ok(())
    }

    /// Handles output that is not a message: the executor is replaced as if it had crashed.
    ///
    /// # Errors
    /// As [`Execution::gone`].
    pub(crate) fn garbled(&mut self, id: u64, error: &Error, reporter: &mut Reporter) -> Result<()> {
        reporter.note(&format!("executor {id} sent an invalid message and is replaced: {error}"));
        self.gone(id, reporter)
    }

    /// Replaces executors that are silent or late. Their tasks run elsewhere.
    pub(crate) fn give_up_late(&mut self, reporter: &mut Reporter) {
        for given_up in self.fleet.check(clock::now()) {
            reporter.note(&notes::replaced(&given_up));
            for piece in given_up.pieces {
                if let Some(batch) = self.batch_of(piece) {
                    batch.elsewhere(piece.number);
                }
            }
        }
    }

    fn tell_failure(&mut self, message: &str, reporter: &mut Reporter) {
        if self.retry_told_at.is_none_or(|at| clock::since(at) >= RETRY_TOLD) {
            self.retry_told_at = Some(clock::now());
            reporter.note(&format!("{message}; the task will be run again"));
        }
    }

    /// The batch in flight, if the piece belongs to it.
    fn batch_of(&mut self, piece: RunningPiece) -> Option<&mut Batch> {
        let batch = &mut self.batch.as_mut()?.batch;
        (batch.plan.batch_id == piece.batch_id).then_some(batch)
    }
}
