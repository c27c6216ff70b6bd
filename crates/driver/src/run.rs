//! The run: one loop over [`Event`]s, and after each the steps that have become possible, in the order of a batch.

use crate::ages::Ages;
use crate::batch::{Batch, Loss, Taken};
use crate::commit::{self, Committed};
use crate::event::Event;
use crate::finish::{Limits, Watermarks, finish, has_no_data_batches};
use crate::fleet::{Fleet, Piece};
use crate::level::{Level, Unanswered};
use crate::notes;
use crate::open::{COMMITTER, open};
use crate::plan;
use crate::report::{DoneRate, Draft, Identity, Newest, StartTimes, progress};
use crate::sources::Sources;
use crate::supervisor::Supervisor;
use crate::{Job, Observer, Summary, Wiring};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidemill_checkpoint::{Change, CommitRecord, PlanLog, StateChange};
use tidemill_flow::merge::State;
use tidemill_flow::ports::Extents;
use tidemill_link::{FromExecutor, Task};
use tidemill_model::pipeline::Trigger;
use tidemill_model::status::Command;
use tidemill_model::{BatchPlan, Error, Millis, OffsetRange, Offsets, PartitionId, Result, batch::cut_tasks};
use tidemill_os::retry;
use tidemill_scale::{Decision, Mode, Settings};
use tidemill_sql::plan::{Body, QueryPlan};

/// As long as tasks fail, it is told so often.
const RETRY_TOLD: Duration = Duration::from_secs(10);

/// Runs a pipeline until it is told to stop, or its trigger has nothing more to do.
///
/// # Errors
/// User: the checkpoint is another query's, or in use. External: source, sink, disk or data failed for good; what was
/// committed stays committed, and a new start goes on from there.
pub fn run(job: Job, wiring: Wiring) -> Result<Summary> {
    assert_eq!(wiring.sources.len(), job.plan.branches.len(), "a source for each branch");
    let (mut driver, inbox) = open(job, wiring)?;
    let result = driver.run(&inbox);
    driver.release();
    result
}

pub(crate) struct Driver {
    pub(crate) job: Job,
    pub(crate) query: Arc<QueryPlan>,
    pub(crate) identity: Identity,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) fleet: Fleet,
    pub(crate) supervisor: Supervisor,
    pub(crate) plans: PlanLog,
    pub(crate) committer: Sender<commit::Job>,
    pub(crate) keeps_letters: bool,
    pub(crate) started: Instant,

    pub(crate) sources: Sources,
    /// What all sources hold, as last seen; `None` until all were seen.
    pub(crate) extents: Option<Extents>,
    /// What an available-now run reads up to.
    pub(crate) until: Option<Extents>,
    /// Cuts a backlog by the records' timestamps, of sources that have them.
    pub(crate) level: Level,
    /// The first offset of each partition that no plan has; `None` until it is decided where the query begins.
    pub(crate) positions: Option<Offsets>,
    /// What was there when the last batch was planned, and was left for the next.
    pub(crate) left_over: u64,

    /// Records of a task at most: less than usual where larger ones had to be split.
    pub(crate) task_records_max: i64,
    pub(crate) next_batch: u64,
    /// wm(N) of the next batch N.
    pub(crate) watermark: Millis,
    /// wm(N−1).
    pub(crate) late_watermark: Millis,
    /// Of each source.
    pub(crate) watermarks: Watermarks,
    pub(crate) replay: VecDeque<BatchPlan>,
    /// How the query differs from the one that wrote the checkpoint.
    pub(crate) changes: Vec<Change>,
    pub(crate) batch: Option<InFlight>,
    pub(crate) committing: Option<Draft>,
    pub(crate) state: State,
    pub(crate) wants_snapshot: bool,
    /// Records in committed batches, all runs.
    pub(crate) records: u64,
    /// When the last batch of this run was started.
    pub(crate) batch_started: Option<Instant>,
    /// No batch before this moment; `None` where there is no trigger interval, or no batch yet.
    pub(crate) next_trigger: Option<Instant>,
    pub(crate) retry_at: Option<Instant>,
    /// When a task's failure was told last.
    pub(crate) retry_told_at: Option<Instant>,
    pub(crate) stopping: bool,
    /// Whether nothing is to be done, as last told.
    pub(crate) idle: bool,

    pub(crate) settings: Settings,
    pub(crate) scale: tidemill_scale::State,
    pub(crate) decision: Option<Decision>,
    pub(crate) keep: u32,
    pub(crate) crashes: u32,
    pub(crate) next_tick: Instant,

    pub(crate) summary: Summary,
    pub(crate) ages: Ages,
    pub(crate) recent_ages: VecDeque<Ages>,
    pub(crate) newest: Newest,
    pub(crate) done: DoneRate,
}

/// A batch between its plan record and its merge.
pub(crate) struct InFlight {
    pub(crate) batch: Batch,
    start: StartTimes,
    dispatched: Instant,
}

/// What is to be done next.
enum Due {
    Replay,
    /// Of this, which the sources let into one batch.
    Data(Vec<(PartitionId, OffsetRange)>),
    NoData,
}

impl Driver {
    fn run(&mut self, inbox: &Receiver<Event>) -> Result<Summary> {
        self.observer.deciding(&self.settings, &self.scale);
        self.tell_where_it_goes_on();
        while !self.ended() {
            let wait = self.wake_at().saturating_duration_since(Instant::now());
            match inbox.recv_timeout(wait) {
                Ok(event) => {
                    self.handle(event)?;
                    while let Ok(event) = inbox.try_recv() {
                        self.handle(event)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the fleet holds a sender"),
            }
            if Instant::now() >= self.next_tick {
                self.tick()?;
            }
            self.advance()?;
            self.tell_when_idle();
        }
        self.close(inbox)
    }

    fn tell_where_it_goes_on(&mut self) {
        if let Some(last) = self.next_batch.checked_sub(1) {
            let again = if self.replay.is_empty() { "" } else { "; what was begun after it is done again" };
            let groups = match self.query.body() {
                Body::Aggregate(_) => format!(" with {} groups in the state", self.state.rows()),
                Body::Project(_) => String::new(),
            };
            self.observer.note(&format!("goes on after batch {last}{groups}{again}"));
        }
        if !self.changes.is_empty() {
            let changes: Vec<String> = self.changes.iter().map(|change| format!("  {change}")).collect();
            self.observer.note(&format!(
                "the query has changed since the checkpoint was written; it goes on with the state that is there:\n{}",
                changes.join("\n")
            ));
        }
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Extents(source, seen) => self.observed(source, seen),
            Event::Executor(id, Ok(message)) => self.heard(id, message),
            Event::Executor(id, Err(error)) => self.garbled(id, &error),
            Event::Gone(id) => self.gone(id),
            Event::Committed(result) => self.committed(&result?),
            Event::Command(command) => {
                self.obey(command);
                Ok(())
            }
            Event::Ended(ended) => ended.verdict(),
        }
    }

    fn heard(&mut self, id: u64, message: FromExecutor) -> Result<()> {
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
                    self.done.add(records);
                }
            }
            FromExecutor::TooLarge { id: task } => {
                if let Some(piece) = self.fleet.ended(id, task, None)
                    && let Some(records) = self.batch_of(piece).and_then(|batch| batch.too_large(piece.number))
                {
                    // The next plans are cut so from the start.
                    self.task_records_max = self.task_records_max.min(records);
                }
            }
            FromExecutor::Failed { id: task, message, retry } => {
                let piece = self.fleet.ended(id, task, None);
                if !retry {
                    return Err(Error::external(message));
                }
                // Whoever is late has a successor already.
                if let Some(piece) = piece.filter(|piece| !piece.late)
                    && let Some(batch) = self.batch_of(piece)
                {
                    batch.again(piece.number);
                    if self.retry_told_at.is_none_or(|at| at.elapsed() >= RETRY_TOLD) {
                        self.retry_told_at = Some(Instant::now());
                        self.observer.note(&format!("{message}; the task will be run again"));
                    }
                    self.retry_at = Some(Instant::now() + retry::TASK.first);
                }
            }
        }
        Ok(())
    }

    fn gone(&mut self, id: u64) -> Result<()> {
        let Some(departed) = self.fleet.gone(id)? else { return Ok(()) };
        // Who was told to go finishes its tasks first: one that did not was lost like any other.
        if departed.expected && departed.pieces.is_empty() {
            return Ok(());
        }
        self.crashes += 1;
        let tasks = departed.pieces.iter().filter(|piece| !piece.late).count();
        self.observer.note(&format!("executor {} was lost; tasks to be run again: {tasks}", departed.id));
        for piece in departed.pieces {
            let loss = if piece.late { Loss::SuspectLate } else { Loss::Suspect };
            let Some(batch) = self.batch_of(piece) else { continue };
            let lost = batch.lost(piece.number, loss);
            if let Some(note) = notes::given_up(&lost, self.keeps_letters) {
                self.observer.note(&note);
            }
        }
        Ok(())
    }

    /// What an executor says is no message: it is replaced like one that has crashed.
    fn garbled(&mut self, id: u64, error: &Error) -> Result<()> {
        self.observer.note(&format!("executor {id} does not speak sense and is replaced: {error}"));
        self.gone(id)
    }

    /// Executors that are silent or late are replaced, and their tasks run elsewhere.
    pub(crate) fn give_up_late(&mut self) {
        for given_up in self.fleet.check(Instant::now()) {
            self.observer.note(&notes::replaced(&given_up));
            for piece in given_up.pieces {
                if let Some(batch) = self.batch_of(piece) {
                    batch.elsewhere(piece.number);
                }
            }
        }
    }

    /// The batch in flight, where the piece is of that one.
    fn batch_of(&mut self, piece: Piece) -> Option<&mut Batch> {
        let batch = &mut self.batch.as_mut()?.batch;
        (batch.plan.batch_id == piece.batch_id).then_some(batch)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Stop => {
                if let Some(in_flight) = self.batch.as_ref().filter(|_| !self.stopping) {
                    let id = in_flight.batch.plan.batch_id;
                    self.observer.note(&format!(
                        "batch {id} is finished and committed before the end; a second Ctrl-C ends at once"
                    ));
                }
                self.stopping = true;
            }
            Command::Pin(size) => self.change_mode(Mode::Pinned(size.min(self.settings.max))),
            Command::Unpin => self.change_mode(Settings::from(&self.job.pipeline.autoscale).mode),
        }
    }

    /// All steps that have become possible.
    fn advance(&mut self) -> Result<()> {
        loop {
            if self.committing.is_none() && self.batch.as_ref().is_some_and(|in_flight| in_flight.batch.complete()) {
                self.finish()?;
            } else if self.batch.is_none()
                && let Some(due) = self.due()
            {
                self.start(due)?;
            } else {
                break;
            }
        }
        self.fleet.follow(self.keep, &mut self.supervisor)?;
        self.dispatch();
        Ok(())
    }

    fn tell_when_idle(&mut self) {
        let busy = self.batch.is_some() || self.committing.is_some();
        let idle = !busy && self.extents.is_some() && self.due().is_none() && self.backlog().is_empty();
        if idle && !self.idle {
            self.observer.idle(self.positions.as_ref().expect("decided when the extents were seen"));
        }
        self.idle = idle;
    }

    /// Whether a batch is due, and which.
    fn due(&self) -> Option<Due> {
        if self.stopping {
            return None;
        }
        if !self.replay.is_empty() {
            return Some(Due::Replay);
        }
        // Before the source was looked at, nobody knows whether there is data: a no-data batch would come too early.
        if self.extents.is_none() || self.next_trigger.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let admitted = self.admitted();
        if !admitted.is_empty() {
            return Some(Due::Data(admitted));
        }
        let moved = self.watermark > self.late_watermark;
        let wanted = self.job.pipeline.query.no_data_batches && has_no_data_batches(&self.query);
        (moved && wanted).then_some(Due::NoData)
    }

    /// Steps 2 and 3: the plan, and its record.
    fn start(&mut self, due: Due) -> Result<()> {
        let started = Instant::now();
        self.next_trigger = self.trigger_after(started);
        let replayed = matches!(due, Due::Replay);
        let ranges = match due {
            Due::Data(admitted) => match self.next_ranges(&admitted) {
                Ok(ranges) => ranges,
                Err(Unanswered { source, error }) => {
                    self.next_trigger = Some(started + retry::TASK.first);
                    return self.observed(source as usize, Err(error));
                }
            },
            Due::Replay | Due::NoData => Vec::new(),
        };
        let known = Instant::now();
        let plan = if replayed { self.replay.pop_front().expect("a replay is due") } else { self.plan(ranges) };
        assert_eq!(plan.batch_id, self.next_batch, "batches follow each other");
        // A replay has the watermarks that were logged (rule M3), also where the query has changed since then, and the
        // batch before it would now give another one.
        (self.watermark, self.late_watermark) = (plan.watermark, plan.late_watermark);
        let planned = Instant::now();
        if !replayed {
            self.plans.write(&plan)?;
        }
        let logged = Instant::now();
        self.next_batch += 1;
        self.positions = Some(plan.end_offsets.clone());
        self.left_over = plan::total(&self.backlog());
        let batch = Batch::new(plan, replayed, self.keeps_letters);
        let since_last = self.batch_started.replace(started).map(|last| started - last);
        let dispatched = Instant::now();
        let start = StartTimes {
            since_last,
            latest_ms: (known - started).as_millis() as u64,
            planning_ms: (planned - known).as_millis() as u64,
            layout_ms: (dispatched - logged).as_millis() as u64,
            log_ms: (logged - planned).as_millis() as u64,
        };
        self.batch = Some(InFlight { batch, start, dispatched });
        Ok(())
    }

    fn plan(&self, ranges: Vec<OffsetRange>) -> BatchPlan {
        let start_offsets = self.positions.clone().expect("decided before the first plan");
        let mut end_offsets = start_offsets.clone();
        end_offsets.0.extend(ranges.iter().map(|range| (range.partition.clone(), range.end)));
        BatchPlan {
            batch_id: self.next_batch,
            tasks: cut_tasks(&ranges, plan::task_records(&ranges).min(self.task_records_max)),
            ranges,
            watermark: self.watermark,
            late_watermark: self.late_watermark,
            timestamp: now_millis(),
            start_offsets,
            end_offsets,
        }
    }

    /// Step 4: tasks to free cores.
    fn dispatch(&mut self) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.retry_at = None;
        let Some(in_flight) = &mut self.batch else { return };
        let batch = &mut in_flight.batch;
        let BatchPlan { batch_id, late_watermark, timestamp, .. } = batch.plan;
        let task =
            |id, Taken { range, set_aside, .. }| Task { id, batch_id, range, late_watermark, timestamp, set_aside };
        self.fleet.dispatch(|preferred, idle| batch.take(preferred, idle), task);
    }

    /// Steps 5 and 6: merge, watermark, output; the committer takes it from here.
    fn finish(&mut self) -> Result<()> {
        let started = Instant::now();
        let InFlight { batch, start, dispatched } = self.batch.take().expect("a complete batch");
        let pipeline = &self.job.pipeline;
        let limits = Limits { on_error: pipeline.on_error, state_bytes_max: pipeline.state_bytes_max };
        let mut finished = finish(&self.query, &limits, &mut self.state, &mut self.watermarks, batch)?;
        (self.late_watermark, self.watermark) = (finished.plan.watermark, finished.next_watermark);
        if let Some(note) = notes::jump(&finished, &self.query) {
            self.observer.note(&note);
        }
        self.records += finished.records;
        let delta = std::mem::take(&mut finished.merged.delta);
        let state =
            if self.wants_snapshot { StateChange::Snapshot(self.state.snapshot()) } else { StateChange::Delta(delta) };
        let record = CommitRecord {
            batch_id: finished.plan.batch_id,
            watermark: finished.plan.watermark,
            next_watermark: finished.next_watermark,
            end_offsets: finished.plan.end_offsets.clone(),
            records: self.records,
            capacity: serde_json::to_value(self.scale.prior()).ok(),
        };
        let (rows, letters) = (finished.rows.clone(), finished.letters.clone());
        let job = commit::Job { record, rows, replayed: finished.replayed, letters, state };
        // A committer that is gone has said why: its last event is in the inbox.
        let _ = self.committer.send(job);
        self.committing = Some(Draft {
            state_rows: self.state.rows(),
            state_bytes: self.state.bytes(),
            start,
            dispatch_ms: (started - dispatched).as_millis() as u64,
            merge_ms: started.elapsed().as_millis() as u64,
            finished,
        });
        Ok(())
    }

    /// Steps 7 and 8 are done: tell it.
    fn committed(&mut self, committed: &Committed) -> Result<()> {
        let draft = self.committing.take().expect("a batch was being committed");
        assert_eq!(draft.finished.plan.batch_id, committed.batch_id, "batches are committed in order");
        self.wants_snapshot = committed.wants_snapshot;
        let out_ms = now_millis().0 - committed.out_at.elapsed().as_millis() as i64;
        let mut ages = Ages::new();
        ages.add(&draft.finished.record_times, out_ms);
        self.summary.batches += 1;
        self.summary.records += draft.finished.records;
        self.summary.rows += committed.rows.num_rows() as u64;
        self.summary.faults.merge(&draft.finished.faults);
        if self.keeps_letters {
            self.summary.letters += draft.finished.letters.count();
        }
        self.newest.rows(&committed.rows, self.job.plan.zone());
        let no_extents = Extents::new();
        let latest = self.extents.as_ref().unwrap_or(&no_extents);
        let now = (self.fleet.sizes().ready, plan::total(&self.backlog()));
        let progress = progress(&self.identity, &self.query, &draft, committed, &ages, latest, now);
        self.ages.merge(&ages);
        if draft.finished.records > 0 {
            self.recent_ages.push_back(ages);
            if self.recent_ages.len() > 10 {
                self.recent_ages.pop_front();
            }
        }
        self.observer.batch(&progress, &committed.rows);
        Ok(())
    }

    /// The next full interval of the wall clock, as Spark's processing-time trigger has it; a batch that overruns it is
    /// followed at once by the next.
    fn trigger_after(&self, started: Instant) -> Option<Instant> {
        let Trigger::Every(interval_ms) = self.job.trigger else { return None };
        let into_ms = now_millis().0.unsigned_abs() % interval_ms;
        Some(started + Duration::from_millis(interval_ms - into_ms))
    }

    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let trigger = self.next_trigger.filter(|at| *at > now);
        [Some(self.next_tick), trigger, self.retry_at].into_iter().flatten().min().expect("there is always a next tick")
    }

    fn ended(&mut self) -> bool {
        if self.stopping && self.committing.is_none() {
            // Logged and not begun, or cannot go on: the next start carries it out.
            let stuck = self.sources.error().is_some() || self.retry_at.is_some();
            self.batch.take_if(|in_flight| stuck || in_flight.batch.untouched());
        }
        if self.batch.is_some() || self.committing.is_some() {
            return false;
        }
        let finished = self.job.trigger == Trigger::AvailableNow && self.until.is_some() && self.due().is_none();
        self.stopping || finished
    }

    /// Lets the executors go and sums up.
    fn close(&mut self, inbox: &Receiver<Event>) -> Result<Summary> {
        self.keep = 0;
        self.fleet.follow(0, &mut self.supervisor)?;
        let patience = Instant::now() + Duration::from_secs(5);
        while !self.fleet.is_empty() && Instant::now() < patience {
            match inbox.recv_timeout(Duration::from_millis(100)) {
                Ok(Event::Gone(id) | Event::Executor(id, Err(_))) => drop(self.fleet.gone(id)?),
                Ok(Event::Ended(ended)) => ended.verdict()?,
                _ => drop(self.fleet.check(Instant::now())),
            }
        }
        let status = self.status();
        self.observer.status(&status);
        self.summary.executor_seconds = self.fleet.lifetime().as_secs_f64();
        (self.summary.age_p50_ms, self.summary.age_p99_ms) = (self.ages.quantile(0.5), self.ages.quantile(0.99));
        Ok(self.summary.clone())
    }

    /// However the run ended: no executor outlives it, and its checkpoint is free.
    fn release(self) {
        let Driver { fleet, committer, mut supervisor, .. } = self;
        drop(fleet);
        drop(committer);
        supervisor.release(COMMITTER);
    }
}

/// The wall clock.
pub(crate) fn now_millis() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    Millis(since.as_millis() as i64)
}
