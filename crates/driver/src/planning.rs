//! Batch planning: whether a batch is due, what it reads, and its plan record. Runs nothing.

use crate::finish::has_no_data_batches;
use crate::level::{Level, SourceUnavailable};
use crate::pacing::Pacing;
use crate::plan;
use crate::reporter::Reporter;
use crate::sources::Share;
use crate::watching::Watching;
use crate::{Job, finish::Finished};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tidemill_checkpoint::PlanLog;
use tidemill_flow::ports::Extents;
use tidemill_model::limits::TASK_RECORDS;
use tidemill_model::pipeline::Trigger;
use tidemill_model::{BatchPlan, Millis, OffsetRange, Offsets, PartitionId, Result, batch::cut_tasks};
use tidemill_os::{clock, retry};

pub(crate) struct Planning {
    plans: PlanLog,
    trigger: Trigger,
    /// Whether a batch without data is due once the watermark has moved.
    no_data_batches: bool,
    /// Chooses from a backlog by the records' timestamps, for sources that support it.
    level: Level,
    /// The first offset of each partition that is in no plan; `None` until the start is decided.
    positions: Option<Offsets>,
    /// Records that were there when the last batch was planned and were left for the next.
    left_over: u64,
    /// Most records in a task. It is lowered when larger tasks had to be split.
    task_records_max: i64,
    next_batch: u64,
    /// wm(N) of the next batch N.
    watermark: Millis,
    /// wm(N−1).
    late_watermark: Millis,
    /// Plans of the last run that are not committed.
    replay: VecDeque<BatchPlan>,
    /// When the last batch of this run started.
    batch_started: Option<Instant>,
    /// No batch before this time; `None` without a trigger interval, or before the first batch.
    next_trigger: Option<Instant>,
    pacing: Pacing,
    /// How often the positions have changed.
    moves: u64,
    survey: Survey,
    /// When the first of the records that are held back may be read.
    held_until: Option<Instant>,
}

/// What there is to read: worked out once for the same positions and extents, not at every event.
#[derive(Default)]
struct Survey {
    /// Of which extents, and after how many moves of the positions.
    of: (u64, u64),
    /// Offsets that are there.
    total: u64,
    /// What of them the sources let into one batch.
    admitted: Vec<(PartitionId, OffsetRange)>,
}

/// The position of a query: offsets, batch number, watermarks, plans to replay.
pub(crate) struct QueryPosition {
    pub(crate) positions: Option<Offsets>,
    pub(crate) next_batch: u64,
    pub(crate) watermark: Millis,
    pub(crate) late_watermark: Millis,
    pub(crate) replay: VecDeque<BatchPlan>,
}

/// What is due next.
pub(crate) enum Due {
    Replay,
    Data,
    NoData,
}

/// A plan with its log record.
pub(crate) struct Planned {
    pub(crate) plan: BatchPlan,
    pub(crate) replayed: bool,
    /// Time since the start of the batch before, in this run.
    pub(crate) since_last: Option<Duration>,
    pub(crate) started: Instant,
    /// When the ranges were known, when the plan was made, and when it was logged.
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
            pacing: Pacing::new(job.trigger == Trigger::AsSoonAsPossible),
            moves: 1,
            survey: Survey::default(),
            held_until: None,
        }
    }

    /// Decides once where the query starts and, for a bounded run, where it ends. Looks for records that are gone.
    ///
    /// # Errors
    /// External: unread records are gone, and the run ends for it. The inner error: a source failed to answer where the
    /// query starts or ends.
    pub(crate) fn begin(
        &mut self,
        watching: &mut Watching,
        reporter: &mut Reporter,
    ) -> Result<Result<(), SourceUnavailable>> {
        let Some(extents) = watching.extents().cloned() else { return Ok(Ok(())) };
        if self.positions.is_none() {
            match watching.sources_mut().beginnings(&extents) {
                Ok(Some(positions)) => {
                    self.plans.write_start(&positions)?;
                    self.positions = Some(positions);
                    self.moves += 1;
                }
                Ok(None) => return Ok(Ok(())),
                Err(unanswered) => return Ok(Err(unanswered)),
            }
        }
        let positions = self.positions.as_mut().expect("decided above");
        for loss in plan::losses(positions, &extents) {
            if watching.sources().0[loss.partition.source as usize].fail_on_data_loss {
                return Err(loss.error());
            }
            reporter.note(&loss.note());
            match loss.goes_on {
                Some(offset) => positions.0.insert(loss.partition, offset),
                None => positions.0.remove(&loss.partition),
            };
            self.moves += 1;
        }
        Ok(watching.decide_end())
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

    /// Whether plans of the last run wait to be replayed.
    pub(crate) fn has_replay(&self) -> bool {
        !self.replay.is_empty()
    }

    /// The next moment at which a batch may be due that is not due yet.
    pub(crate) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let no_data_from = self.pacing.no_data_from().filter(|_| self.owes_no_data());
        let moments = [self.next_trigger, self.pacing.data_from(), no_data_from, self.held_until];
        moments.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// The driver's loop has worked for so long.
    pub(crate) fn spend(&mut self, time: Duration) {
        self.pacing.spend(time);
    }

    /// Whether the sources are to be asked what there is: nothing is known that is not read, and a batch may begin.
    pub(crate) fn asks(&mut self, watching: &mut Watching) -> bool {
        self.pacing.asks(clock::now()) && !self.has_replay() && !self.has_free(watching)
    }

    /// Records that there are to read.
    pub(crate) fn backlog(&mut self, watching: &Watching) -> u64 {
        self.survey(watching).total
    }

    /// What executors are needed for now: between two triggers only what the last batch had to leave.
    pub(crate) fn due_backlog(&mut self, watching: &mut Watching) -> u64 {
        let (all, left_over) = (self.backlog(watching), self.left_over);
        match self.next_trigger {
            Some(at) if clock::now() < at => all.min(left_over),
            _ => all - self.held(watching).iter().map(|(_, offsets)| offsets).sum::<u64>(),
        }
    }

    /// The sources whose records are held back, and how many.
    fn held(&mut self, watching: &mut Watching) -> Vec<(u32, u64)> {
        self.held_until = None;
        if watching.is_bounded() || watching.sources().0.iter().all(|source| source.hold.is_none()) {
            return Vec::new();
        }
        // Before that, a look would find nothing, and the first batch would wait.
        if self.positions.is_none() || watching.readable().is_none() {
            return Vec::new();
        }
        let now = clock::now();
        self.survey(watching);
        let mut held = Vec::new();
        for (number, source) in (0..).zip(&mut watching.sources_mut().0) {
            let (Some(hold), Some(false)) = (&mut source.hold, source.extents.as_ref().map(Extents::is_empty)) else {
                continue;
            };
            let own = self.survey.admitted.iter().filter(|(partition, _)| partition.source == number);
            let offsets = own.map(|(_, range)| range.len() as u64).sum();
            let free_at = hold.free_at(offsets, now);
            if free_at > now && offsets > 0 {
                held.push((number, offsets));
                self.held_until = Some(self.held_until.map_or(free_at, |until| until.min(free_at)));
            }
        }
        held
    }

    /// Whether there is something to read that is not held back.
    fn has_free(&mut self, watching: &mut Watching) -> bool {
        let held = self.held(watching);
        let is_free = |source: u32| held.iter().all(|(held, _)| *held != source);
        self.survey(watching).admitted.iter().any(|(partition, _)| is_free(partition.source))
    }

    /// Whether a batch is due, and which.
    pub(crate) fn due(&mut self, watching: &mut Watching) -> Option<Due> {
        if self.has_replay() {
            return Some(Due::Replay);
        }
        let now = clock::now();
        let over = |moment: Option<Instant>| moment.is_none_or(|at| at <= now);
        // Before the source was looked at, nobody knows whether there is data: a no-data batch would come too early.
        if watching.extents().is_none() || !over(self.next_trigger) || self.positions.is_none() {
            return None;
        }
        if self.has_free(watching) {
            return over(self.pacing.data_from()).then_some(Due::Data);
        }
        (self.owes_no_data() && over(self.pacing.no_data_from())).then_some(Due::NoData)
    }

    /// Whether a batch is to come even if nothing more does, once it may begin.
    pub(crate) fn owes(&mut self, watching: &mut Watching) -> bool {
        self.due(watching).is_some() || (self.pacing.no_data_from().is_some() && self.owes_no_data())
    }

    /// Whether the watermark has moved, and is to move through the state.
    fn owes_no_data(&self) -> bool {
        self.watermark > self.late_watermark && self.no_data_batches
    }

    fn survey(&mut self, watching: &Watching) -> &Survey {
        let of = (watching.version(), self.moves);
        if self.survey.of != of {
            let (total, admitted) = match (&self.positions, watching.readable()) {
                (Some(positions), Some(extents)) => {
                    let all = plan::backlog(positions, extents);
                    let total = plan::total(&all);
                    let admitted = watching.admitted(positions).map(|extents| plan::backlog(positions, &extents));
                    (total, admitted.unwrap_or(all))
                }
                _ => (0, Vec::new()),
            };
            self.survey = Survey { of, total, admitted };
        }
        &self.survey
    }

    /// Steps 2 and 3: makes the plan and logs it. The batch reads `capacity` records unless another limit applies.
    ///
    /// # Errors
    /// The disk fails. The inner error: a source failed to answer about timestamps; it is asked again after a pause.
    pub(crate) fn start(
        &mut self,
        due: Due,
        watching: &mut Watching,
        capacity: u64,
    ) -> Result<Result<Planned, SourceUnavailable>> {
        let started = clock::now();
        self.next_trigger = self.trigger_after(started);
        let replayed = matches!(due, Due::Replay);
        let ranges = match due {
            Due::Data => {
                let held = self.held(watching);
                self.survey(watching);
                let mut admitted = std::mem::take(&mut self.survey).admitted;
                admitted.retain(|(partition, _)| held.iter().all(|(source, _)| *source != partition.source));
                watching.begin_batch(&admitted, started);
                match self.next_ranges(&admitted, watching, capacity) {
                    Ok(ranges) => ranges,
                    Err(unanswered) => {
                        // From now on: the question itself may have taken longer than the pause.
                        self.next_trigger = Some(clock::now() + retry::TASK.first);
                        return Ok(Err(unanswered));
                    }
                }
            }
            Due::Replay | Due::NoData => Vec::new(),
        };
        let known = clock::now();
        let plan = if replayed { self.replay.pop_front().expect("a replay is due") } else { self.plan(ranges) };
        assert_eq!(plan.batch_id, self.next_batch, "batches follow each other");
        // A replay uses the logged watermarks (rule M3), even if the query has changed since then and the batch before
        // it would give another one.
        (self.watermark, self.late_watermark) = (plan.watermark, plan.late_watermark);
        let planned = clock::now();
        if !replayed {
            self.plans.write(&plan)?;
        }
        let logged = clock::now();
        self.next_batch += 1;
        self.positions = Some(plan.end_offsets.clone());
        self.moves += 1;
        self.left_over = self.backlog(watching);
        self.pacing.begin(started, self.left_over == 0);
        let since_last = self.batch_started.replace(started).map(|last| started - last);
        Ok(Ok(Planned { plan, replayed, since_last, started, known, planned, logged }))
    }

    /// A batch is merged: its watermark becomes the late watermark of the next.
    pub(crate) fn merged(&mut self, finished: &Finished) {
        (self.late_watermark, self.watermark) = (finished.plan.watermark, finished.next_watermark);
    }

    /// Larger tasks had to be split: the next plans cut tasks of at most this size.
    pub(crate) fn lower_task_records(&mut self, records: i64) {
        self.task_records_max = self.task_records_max.min(records);
    }

    /// The ranges of the next batch: what the sources admit, limited by the pipeline and by what the executors can do.
    /// If a limit applies, the partitions that share it advance together by their records' timestamps.
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
            timestamp: Millis(clock::wall_ms()),
            start_offsets,
            end_offsets,
        }
    }

    /// The next multiple of the interval on the wall clock, as in Spark's processing-time trigger. A batch that takes
    /// longer is followed at once by the next.
    fn trigger_after(&self, started: Instant) -> Option<Instant> {
        let Trigger::Every(interval_ms) = self.trigger else { return None };
        let into_ms = clock::wall_ms().unsigned_abs() % interval_ms;
        Some(started + Duration::from_millis(interval_ms - into_ms))
    }
}
