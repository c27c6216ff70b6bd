//! The run of a query: one loop over [`Event`]s. After each event it takes the steps that have become possible, in the
//! order of a batch.
//!
//! ```text
//!  Watching ─► Planning ─► Execution ─► merge (`finish.rs`) ─► Committing
//!                  ▲           ▲                                   │
//!                  └─ Scaling ─┴──────────── Reporting ◄───────────┘
//! ```
//! Each part owns its state. Only this loop passes data from one part to another.

use crate::commit::Committed;
use crate::committing::Committing;
use crate::event::Event;
use crate::execution::{Execution, InFlight};
use crate::facts::{Busy, FactInputs, facts};
use crate::finish::{Limits, Watermarks, finish};
use crate::level::SourceUnavailable;
use crate::notes;
use crate::open::{COMMITTER, open};
use crate::planning::{Due, Planning};
use crate::report::BatchStats;
use crate::reporter::Reporter;
use crate::scaling::Scaling;
use crate::snapshots::{self, Part};
use crate::supervisor::Supervisor;
use crate::watching::Watching;
use crate::{Job, Summary, Wiring};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tidemill_checkpoint::Change;
use tidemill_flow::ports::Extents;
use tidemill_flow::state::State;
use tidemill_model::pipeline::Trigger;
use tidemill_model::status::Command;
use tidemill_model::{Result, counted};
use tidemill_os::clock;
use tidemill_sql::plan::Body;

/// A snapshot is copied in this many parts at most.
const PARTS_MAX: u64 = 128;

/// At the end of a run, executors have this long to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a pipeline until it is stopped, or until its trigger has nothing more to do.
///
/// # Errors
/// User: the checkpoint belongs to another query, or is in use. External: source, sink, disk or data failed for good.
/// What was committed stays committed; a new start goes on from there.
pub fn run(job: Job, wiring: Wiring) -> Result<Summary> {
    assert_eq!(wiring.sources.len(), job.plan.branches.len(), "a source for each branch");
    let (mut query, inbox) = open(job, wiring)?;
    let result = query.run(&inbox);
    // A committer that waits for a sink notices that nobody listens any more, and ends.
    drop(inbox);
    query.release();
    result
}

/// The run of one query, under the [`Supervisor`] that owns its threads.
pub(crate) struct QueryRun {
    pub(crate) job: Job,
    pub(crate) watching: Watching,
    pub(crate) planning: Planning,
    pub(crate) execution: Execution,
    pub(crate) state: State,
    /// Of each source.
    pub(crate) watermarks: Watermarks,
    pub(crate) committing: Committing,
    /// Least bytes of a part of a snapshot.
    pub(crate) part_bytes_min: u64,
    /// Bytes of the changes since the last part of the snapshot was copied, or of the last batch.
    pub(crate) changed_bytes: u64,
    pub(crate) scaling: Scaling,
    pub(crate) reporter: Reporter,
    pub(crate) supervisor: Supervisor,
    /// What holds executors to their size.
    pub(crate) limits: String,
    /// How the query differs from the one that wrote the checkpoint.
    pub(crate) changes: Vec<Change>,
    /// Busy time of everything but the executors.
    pub(crate) busy: Busy,
    pub(crate) stopping: bool,
    /// Whether the last report to the observer said that the run is idle.
    pub(crate) idle: bool,
}

impl QueryRun {
    fn run(&mut self, inbox: &Receiver<Event>) -> Result<Summary> {
        self.reporter.deciding(self.scaling.settings(), self.scaling.state());
        self.tell_where_it_goes_on();
        while !self.ended() {
            let event = clock::receive_until(inbox, self.wake_at());
            let woken = clock::now();
            match event {
                Ok(event) => {
                    self.handle(event)?;
                    while let Ok(event) = inbox.try_recv() {
                        self.handle(event)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the supervisor holds a sender"),
            }
            if clock::now() >= self.scaling.next_tick() {
                self.tick()?;
            }
            self.advance()?;
            self.ask();
            self.tell_when_idle();
            let spent = clock::since(woken);
            self.busy.driver += spent;
            self.planning.spend(spent);
        }
        self.close(inbox)
    }

    fn tell_where_it_goes_on(&mut self) {
        if let Some(last) = self.planning.next_batch().checked_sub(1) {
            let again = if self.planning.has_replay() { "; work begun after it is repeated" } else { "" };
            let groups = match self.job.plan.body() {
                Body::Aggregate(_) => format!(" with {} in the state", counted(self.state.rows(), "group")),
                Body::Project(_) => String::new(),
            };
            self.reporter.note(&format!("goes on after batch {last}{groups}{again}"));
        }
        if !self.changes.is_empty() {
            let changes: Vec<String> = self.changes.iter().map(|change| format!("  {change}")).collect();
            self.reporter.note(&format!(
                "the query has changed since the checkpoint was written; it continues with the existing state:\n{}",
                changes.join("\n")
            ));
        }
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Extents(source, seen) => self.observed(source, seen),
            Event::Executor(id, Ok(message)) => {
                if let Some(records) = self.execution.heard(id, message, &mut self.reporter)? {
                    self.planning.lower_task_records(records);
                }
                Ok(())
            }
            Event::Executor(id, Err(error)) => self.execution.garbled(id, &error, &mut self.reporter),
            Event::Gone(id) => self.execution.gone(id, &mut self.reporter),
            Event::Committed(result) => {
                self.committed(&result?);
                Ok(())
            }
            Event::CommitWaits(why) => {
                self.wait_for_commit(why);
                Ok(())
            }
            Event::SnapshotPart { is_last } => {
                self.committing.part_written(is_last);
                Ok(())
            }
            Event::Closed => unreachable!("the committer is asked to close after the last batch"),
            Event::Command(command) => {
                self.obey(command);
                Ok(())
            }
            Event::Ended(ended) => ended.verdict(),
        }
    }

    /// Step 1: a source reports what it holds.
    fn observed(&mut self, number: usize, seen: Result<Extents>) -> Result<()> {
        if !self.watching.observed(number, seen, &mut self.reporter)? {
            return Ok(());
        }
        if let Err(SourceUnavailable { source, error }) = self.planning.begin(&mut self.watching, &mut self.reporter)? {
            return self.observed(source as usize, Err(error));
        }
        if self.scaling.keep() == 0 && !self.scaling.waits() {
            // No executor works: a record that has just come should not wait for the next tick.
            self.rescale();
        }
        Ok(())
    }

    /// A batch is not taken, for now, or it is again.
    fn wait_for_commit(&mut self, why: Option<String>) {
        let line = match &why {
            Some(why) => format!("{why}; waiting for it to come back"),
            None => "the batch was taken; the run goes on".to_owned(),
        };
        if self.committing.wait_for(why) {
            self.reporter.note(&line);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Stop => {
                let is_stuck = self.stopping || self.committing.waits().is_some();
                if let Some(batch) = self.execution.batch().filter(|_| !is_stuck) {
                    let id = batch.plan.batch_id;
                    self.reporter.note(&format!(
                        "batch {id} is finished and committed before the end; a second Ctrl-C ends at once"
                    ));
                }
                self.stopping = true;
            }
            Command::Pin(size) => {
                self.scaling.pin(Some(size));
                self.decide_anew();
            }
            Command::Unpin => {
                self.scaling.pin(None);
                self.decide_anew();
            }
            Command::Scale(change) => match self.scaling.change(&change) {
                Ok(()) => {
                    self.reporter.note(&self.scaling.described());
                    self.decide_anew();
                }
                Err(why) => self.reporter.note(&format!("the autoscaler goes on as it was: {why}")),
            },
        }
    }

    /// The settings are others now.
    fn decide_anew(&mut self) {
        self.reporter.deciding(self.scaling.settings(), self.scaling.state());
        self.rescale();
    }

    fn tick(&mut self) -> Result<()> {
        self.execution.give_up_late(&mut self.reporter);
        self.watching.check_patience()?;
        self.rescale();
        self.tell_status();
        Ok(())
    }

    fn rescale(&mut self) {
        let nothing_begun = !self.committing.is_busy() && !self.planning.has_replay();
        let backlog = self.planning.due_backlog(&mut self.watching);
        let moment = FactInputs {
            now_ms: self.reporter.uptime_ms(),
            extents: self.watching.reachable(),
            age_ms: self.watching.age().as_millis() as u64,
            backlog,
            unfinished: self.execution.unfinished(),
            all_committed: nothing_begun && self.execution.batch().is_none(),
            crashes: self.execution.take_crashes(),
        };
        let begun = u32::from(self.execution.batch().is_some());
        let facts = facts(moment, &mut self.busy, self.execution.fleet_mut());
        let decision = self.scaling.rescale(&facts, self.stopping.then_some(begun));
        self.reporter.decided(&facts, decision);
    }

    /// Takes all steps that have become possible.
    fn advance(&mut self) -> Result<()> {
        loop {
            let complete = if self.committing.is_busy() { None } else { self.execution.take_complete() };
            if let Some(in_flight) = complete {
                self.finish(in_flight)?;
            } else if self.execution.batch().is_none()
                && let Some(due) = self.due().filter(|due| self.can_read() || !matches!(due, Due::Data))
            {
                self.start(due)?;
            } else {
                break;
            }
        }
        let keep = self.scaling.keep().max(self.execution.finishing());
        self.execution.dispatch(keep, &mut self.supervisor)
    }

    /// Whether a batch is due, and which.
    fn due(&mut self) -> Option<Due> {
        if self.stopping { None } else { self.planning.due(&mut self.watching) }
    }

    /// Whether data can be read now: an executor is wanted, and no source is out of reach. A question to a source that does not
    /// answer holds up the loop, and with it the end of the run.
    fn can_read(&self) -> bool {
        self.scaling.keep() > 0 && self.watching.error().is_none()
    }

    /// Nothing is in flight and nothing that is known is left: what has come since the last look?
    fn ask(&mut self) {
        if self.execution.batch().is_none() && !self.stopping && self.planning.asks(&mut self.watching) {
            self.watching.ask();
        }
    }

    fn tell_when_idle(&mut self) {
        let busy = self.execution.batch().is_some() || self.committing.is_busy();
        let idle = !busy
            && self.planning.positions().is_some()
            && self.watching.extents().is_some()
            && (self.stopping || !self.planning.owes(&mut self.watching))
            && self.planning.backlog(&self.watching) == 0;
        if idle && !self.idle {
            self.reporter.idle(self.planning.positions().expect("decided when the extents were seen"));
        }
        self.idle = idle;
    }

    /// Steps 2 and 3: plans a batch and logs the plan.
    fn start(&mut self, due: Due) -> Result<()> {
        match self.planning.start(due, &mut self.watching, self.scaling.capacity_of_a_batch())? {
            Ok(planned) => {
                self.execution.begin(planned);
                Ok(())
            }
            Err(SourceUnavailable { source, error }) => self.observed(source as usize, Err(error)),
        }
    }

    /// Steps 5 and 6: merges, advances the watermark, builds the rows, and hands the batch to the committer.
    fn finish(&mut self, in_flight: InFlight) -> Result<()> {
        let started = clock::now();
        let InFlight { batch, start, dispatched } = in_flight;
        let pipeline = &self.job.pipeline;
        let limits = Limits {
            on_error: pipeline.on_error,
            state_bytes_max: pipeline.state_bytes_max,
            seed: self.execution.seed(),
            sinks: self.committing.sinks(),
        };
        let mut finished = finish(&self.job.plan, &limits, &mut self.state, &mut self.watermarks, batch)?;
        self.planning.merged(&finished);
        if let Some(note) = notes::jump(&finished, &self.job.plan) {
            self.reporter.note(&note);
        }
        let delta = std::mem::take(&mut finished.change);
        let before = if self.committing.is_writing_snapshot() { self.changed_bytes } else { 0 };
        self.changed_bytes = before + delta.len() as u64;
        let part = self.committing.next_part().map(|is_first| self.copy_part(is_first));
        let stats = BatchStats {
            state_sizes: self.state.sizes(),
            start,
            dispatch_ms: (started - dispatched).as_millis() as u64,
            merge_ms: clock::since(started).as_millis() as u64,
            finished,
        };
        self.committing.begin(stats, (delta, part), self.scaling.capacity());
        self.busy.commit_begins();
        Ok(())
    }

    /// Copies the next part of a snapshot. It costs less than the batches since the part before, and a snapshot is complete
    /// before the log has grown by its size, also when each batch changes much or the batches are few.
    fn copy_part(&mut self, is_first: bool) -> Part {
        let bytes =
            self.part_bytes_min.max(2 * std::mem::take(&mut self.changed_bytes)).max(self.state.bytes() / PARTS_MAX);
        let (bytes, is_last) = self.state.copy(is_first, bytes);
        Part { bytes, is_first, is_last }
    }

    /// Completes a snapshot that has begun, before a run ends by itself: runs that are started for a few batches each would
    /// never complete one. Returns whether there is nothing left of it.
    fn snapshot_is_complete(&mut self) -> bool {
        if let Some(false) = self.committing.next_part() {
            let part = self.copy_part(false);
            self.committing.write_part(part);
        }
        !self.committing.is_writing_snapshot()
    }

    /// Steps 7 and 8 are done: reports the batch.
    fn committed(&mut self, committed: &Committed) {
        let stats = self.committing.committed(committed);
        self.busy.commit_ends();
        let no_extents = Extents::new();
        let latest = self.watching.extents().unwrap_or(&no_extents);
        let left = self.planning.backlog(&self.watching);
        let now = (self.execution.fleet().sizes().ready, left);
        self.reporter.committed(&self.job.plan, &stats, committed, latest, now);
    }

    fn wake_at(&self) -> Instant {
        let now = clock::now();
        let moments = [Some(self.scaling.next_tick()), self.planning.wake_at(now), self.execution.retry_at()];
        moments.into_iter().flatten().min().expect("there is always a next tick")
    }

    fn ended(&mut self) -> bool {
        if self.stopping && self.committing.waits().is_some() {
            return true;
        }
        if self.stopping && !self.committing.is_busy() {
            // A batch that is logged and not begun, or that cannot go on, is run by the next start.
            self.execution.abandon(self.watching.error().is_some());
        }
        if self.execution.batch().is_some() || self.committing.is_busy() {
            return false;
        }
        let bounded = self.job.trigger == Trigger::AvailableNow;
        self.stopping || (bounded && self.watching.has_end() && self.due().is_none() && self.snapshot_is_complete())
    }

    /// Ends the executors, waits until all rows are published, and builds the summary. A batch that is not taken is left to
    /// the next start: its plan is logged.
    fn close(&mut self, inbox: &Receiver<Event>) -> Result<Summary> {
        let mut published = self.committing.waits().is_some();
        match self.committing.batch_id().filter(|_| published) {
            Some(id) => self.reporter.note(&format!("batch {id} is not committed; the next start writes it again")),
            None => self.committing.close(),
        }
        let fleet = self.execution.fleet_mut();
        fleet.follow(0, &mut self.supervisor)?;
        let patience = clock::now() + CLOSE_TIMEOUT;
        while !published || (!fleet.is_empty() && clock::now() < patience) {
            match clock::receive_until(inbox, clock::now() + Duration::from_millis(100)) {
                Ok(Event::Gone(id) | Event::Executor(id, Err(_))) => drop(fleet.gone(id)?),
                Ok(Event::Ended(ended)) => ended.verdict()?,
                Ok(Event::Committed(Err(error))) => return Err(error),
                Ok(Event::Closed) => published = true,
                _ => drop(fleet.check(clock::now())),
            }
        }
        let lifetime = fleet.lifetime();
        self.scaling.let_go();
        self.tell_status();
        Ok(self.reporter.summary(lifetime))
    }

    /// Frees the run's resources, however it ended: no executor outlives it, and the checkpoint is unlocked.
    fn release(self) {
        let QueryRun { execution, committing, mut supervisor, .. } = self;
        drop(execution);
        drop(committing);
        supervisor.release(COMMITTER);
        supervisor.release(snapshots::THREAD);
    }
}
