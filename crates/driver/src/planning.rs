//! Batch planning: whether a batch is due, what it reads, and its record in the log. Decides; carries nothing out.

use crate::finish::has_no_data_batches;
use crate::level::{Level, SourceUnavailable};
use crate::plan;
use crate::run::now_millis;
use crate::sources::Share;
use crate::watching::Watching;
use crate::{Job, finish::Finished};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tidemill_checkpoint::PlanLog;
use tidemill_model::limits::TASK_RECORDS;
use tidemill_model::pipeline::Trigger;
use tidemill_model::{BatchPlan, Millis, OffsetRange, Offsets, PartitionId, Result, batch::cut_tasks};
use tidemill_os::retry;

pub(crate) struct Planning {
    plans: PlanLog,
    trigger: Trigger,
    /// Whether a batch without data is due once the watermark has moved.
    no_data_batches: bool,
    /// Cuts a backlog by the records' timestamps, of sources that have them.
    level: Level,
    /// The first offset of each partition that no plan has; `None` until it is decided where the query begins.
    positions: Option<Offsets>,
    /// What was there when the last batch was planned, and was left for the next.
    left_over: u64,
    /// Records of a task at most: less than usual where larger ones had to be split.
    task_records_max: i64,
    next_batch: u64,
    /// wm(N) of the next batch N.
    watermark: Millis,
    /// wm(N−1).
    late_watermark: Millis,
    /// Plans of the last run that were not committed.
    replay: VecDeque<BatchPlan>,
    /// When the last batch of this run was started.
    batch_started: Option<Instant>,
    /// No batch before this moment; `None` where there is no trigger interval, or no batch yet.
    next_trigger: Option<Instant>,
}

/// Where the query stands.
pub(crate) struct QueryPosition {
    pub(crate) positions: Option<Offsets>,
    pub(crate) next_batch: u64,
    pub(crate) watermark: Millis,
    pub(crate) late_watermark: Millis,
    pub(crate) replay: VecDeque<BatchPlan>,
}

/// What is to be done next.
pub(crate) enum Due {
    Replay,
    /// Of this, which the sources let into one batch.
    Data(Vec<(PartitionId, OffsetRange)>),
    NoData,
}

/// A plan that is logged.
pub(crate) struct Planned {
    pub(crate) plan: BatchPlan,
    pub(crate) replayed: bool,
    /// Since the start of the batch before, in this run.
    pub(crate) since_last: Option<Duration>,
    pub(crate) started: Instant,
    /// When it was known what to read, when that was a plan, and when the plan was logged.
    pub(crate) known: Instant,
    pub(crate) planned: Instant,
    pub(crate) logged: Instant,
}

impl Planning {
    pub(crate) fn new(job: &Job, plans: PlanLog, level: Level, standing: QueryPosition) -> Planning {
        let QueryPosition { positions, next_batch, watermark, late_watermark, replay } = standing;
        Planning {
            plans,
            trigger: job.trigger,
            no_data_batches: job.pipeline.query.no_data_batches && has_no_data_batches(&job.plan),
            level,
            positions,
            left_over: 0,
            task_records_max: TASK_RECORDS,
            next_batch,
            watermark,
            late_watermark,
            replay,
            batch_started: None,
            next_trigger: None,
        }
    }

    /// Decides, once, where the query begins; and fails when records that were not read yet are gone.
    pub(crate) fn begin(&mut self, watching: &Watching) -> Result<()> {
        let Some(extents) = watching.extents() else { return Ok(()) };
        if self.positions.is_none() {
            let positions = watching.sources().beginnings(extents);
            self.plans.write_start(&positions)?;
            self.positions = Some(positions);
        }
        plan::check_loss(self.positions.as_ref().expect("decided above"), extents)
    }

    pub(crate) fn positions(&self) -> Option<&Offsets> {
        self.positions.as_ref()
    }

    /// The next batch's number.
    pub(crate) fn next_batch(&self) -> u64 {
        self.next_batch
    }

    /// wm(N) of the next batch N.
    pub(crate) fn watermark(&self) -> Millis {
        self.watermark
    }

    /// Whether plans of the last run wait to be carried out.
    pub(crate) fn has_replay(&self) -> bool {
        !self.replay.is_empty()
    }

    /// When a batch may be due that is not due yet.
    pub(crate) fn next_trigger(&self) -> Option<Instant> {
        self.next_trigger
    }

    /// What there is to read.
    pub(crate) fn backlog(&self, watching: &Watching) -> Vec<(PartitionId, OffsetRange)> {
        match (&self.positions, watching.readable()) {
            (Some(positions), Some(extents)) => plan::backlog(positions, extents),
            _ => Vec::new(),
        }
    }

    /// What executors are needed for now: between two triggers only what the last batch had to leave.
    pub(crate) fn due_backlog(&self, watching: &Watching) -> u64 {
        let all = plan::total(&self.backlog(watching));
        match self.next_trigger {
            Some(at) if Instant::now() < at => all.min(self.left_over),
            _ => all,
        }
    }

    /// Whether a batch is due, and which.
    pub(crate) fn due(&self, watching: &Watching) -> Option<Due> {
        if self.has_replay() {
            return Some(Due::Replay);
        }
        // Before the source was looked at, nobody knows whether there is data: a no-data batch would come too early.
        if watching.extents().is_none() || self.next_trigger.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let positions = self.positions.as_ref()?;
        let admitted = plan::backlog(positions, &watching.admitted(positions)?);
        if !admitted.is_empty() {
            return Some(Due::Data(admitted));
        }
        let moved = self.watermark > self.late_watermark;
        (moved && self.no_data_batches).then_some(Due::NoData)
    }

    /// Steps 2 and 3: the plan, and its record. The batch reads `capacity` records where nothing else bounds it.
    ///
    /// # Errors
    /// The disk refuses. Inside: a source was asked about timestamps, and failed; it is asked again after a pause.
    pub(crate) fn start(
        &mut self,
        due: Due,
        watching: &Watching,
        capacity: u64,
    ) -> Result<Result<Planned, SourceUnavailable>> {
        let started = Instant::now();
        self.next_trigger = self.trigger_after(started);
        let replayed = matches!(due, Due::Replay);
        let ranges = match due {
            Due::Data(admitted) => match self.next_ranges(&admitted, watching, capacity) {
                Ok(ranges) => ranges,
                Err(unanswered) => {
                    self.next_trigger = Some(started + retry::TASK.first);
                    return Ok(Err(unanswered));
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
        self.left_over = plan::total(&self.backlog(watching));
        let since_last = self.batch_started.replace(started).map(|last| started - last);
        Ok(Ok(Planned { plan, replayed, since_last, started, known, planned, logged }))
    }

    /// A batch is merged: its watermark is the next one's late watermark.
    pub(crate) fn merged(&mut self, finished: &Finished) {
        (self.late_watermark, self.watermark) = (finished.plan.watermark, finished.next_watermark);
    }

    /// Tasks of more records than this had to be split: the next plans are cut so from the start.
    pub(crate) fn lower_task_records(&mut self, records: i64) {
        self.task_records_max = self.task_records_max.min(records);
    }

    /// What the next batch reads: as much of what the sources admit as the pipeline allows and the executors can do. Where
    /// that is not all of it, the partitions advance together by their records' timestamps: those of one source that has a
    /// bound of its own, and those of all that share what the executors can do.
    fn next_ranges(
        &mut self,
        admitted: &[(PartitionId, OffsetRange)],
        watching: &Watching,
        capacity: u64,
    ) -> Result<Vec<OffsetRange>, SourceUnavailable> {
        let (mut ranges, mut shared) = (Vec::new(), Vec::new());
        for of_source in admitted.chunk_by(|(a, _), (b, _)| a.source == b.source) {
            match watching.sources().share(of_source[0].0.source) {
                Share::Whole => ranges.extend(plan::ranges(of_source, None)),
                Share::Own(most) => ranges.extend(self.cut(of_source, most)?),
                Share::Capacity => shared.extend_from_slice(of_source),
            }
        }
        if !shared.is_empty() {
            ranges.extend(self.cut(&shared, capacity)?);
        }
        ranges.sort_unstable();
        Ok(ranges)
    }

    fn cut(
        &mut self,
        backlog: &[(PartitionId, OffsetRange)],
        budget: u64,
    ) -> Result<Vec<OffsetRange>, SourceUnavailable> {
        match plan::total(backlog) > budget && self.level.cuts(backlog) {
            true => self.level.ranges(backlog, budget),
            false => Ok(plan::ranges(backlog, Some(budget))),
        }
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

    /// The next full interval of the wall clock, as Spark's processing-time trigger has it; a batch that overruns it is
    /// followed at once by the next.
    fn trigger_after(&self, started: Instant) -> Option<Instant> {
        let Trigger::Every(interval_ms) = self.trigger else { return None };
        let into_ms = now_millis().0.unsigned_abs() % interval_ms;
        Some(started + Duration::from_millis(interval_ms - into_ms))
    }
}
