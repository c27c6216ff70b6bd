//! What a run on Spark shows: the reports, the snapshot and the summary of the local engine, from Spark's figures and the
//! client's own.

use super::spark_ends::SourceEnds;
use crate::observer::RunObserver;
use arrow_array::RecordBatch;
use std::collections::VecDeque;
use std::time::Instant;
use tidemill_driver::{Ages, Job, Observer, RecentOutput, Summary};
use tidemill_model::counted;
use tidemill_model::progress::Progress;
use tidemill_model::status::Status;
use tidemill_os::clock::wall_ms;
use tidemill_scale::{Decision, Facts};
use tidemill_sql::zone::Zone;

/// A snapshot shows the ages of this many batches.
const RECENT_BATCHES: usize = 10;

/// What is shown.
pub(super) struct Board {
    pub(super) observer: RunObserver,
    status: Status,
    recent: RecentOutput,
    /// Ages of the records of all batches, and of the newest ones, from their arrival at the source.
    ages: Ages,
    recent_ages: VecDeque<Ages>,
    summary: Summary,
    /// Without it there are no ages.
    pub(super) ends: Option<SourceEnds>,
    began: Instant,
    zone: Zone,
}

impl Board {
    pub(super) fn new(job: &Job, observer: RunObserver, ends: Option<SourceEnds>) -> Board {
        Board {
            observer,
            status: Status { name: job.pipeline.name.clone(), limits: "Spark's own".into(), ..Status::default() },
            recent: RecentOutput::default(),
            ages: Ages::default(),
            recent_ages: VecDeque::new(),
            summary: Summary::default(),
            ends,
            began: Instant::now(),
            zone: job.plan.zone(),
        }
    }

    /// A batch is in the sinks. `rows` are absent where there are none to show.
    pub(super) fn batch(&mut self, mut progress: Progress, rows: Option<&RecordBatch>) {
        self.summary.batches += 1;
        self.summary.rows += progress.sink.num_output_rows;
        // Spark keeps the figures of the newest batches only, and none when it is started again.
        if progress.timestamp.is_empty() {
            let (id, rows) = (progress.batch_id, counted(progress.sink.num_output_rows, "row"));
            let uncounted = if progress.num_input_rows == 0 { ", so its records are not counted" } else { "" };
            self.observer.note(&format!("batch {id}: {rows}, committed while no client followed{uncounted}"));
        }
        self.summary.records += progress.num_input_rows;
        if let Some(ends) = self.ends.as_mut().filter(|_| progress.num_input_rows > 0) {
            let ages = ends.ages(&progress.sources);
            progress.tidemill.age_p50_ms = ages.quantile(0.5);
            progress.tidemill.age_p99_ms = ages.quantile(0.99);
            progress.tidemill.age_max_ms = ages.quantile(1.0);
            self.ages.merge(&ages);
            self.recent_ages.push_back(ages);
            if self.recent_ages.len() > RECENT_BATCHES {
                self.recent_ages.pop_front();
            }
        }
        let ready = self.status.executors.iter().filter(|executor| executor.state == "ready").count();
        progress.tidemill.executors = ready as u32;
        if let Some(rows) = rows {
            self.recent.take_rows(rows, self.zone);
        }
        let status = &mut self.status;
        status.batch_id = Some(progress.batch_id);
        status.records = self.summary.records;
        status.backlog = progress.tidemill.backlog;
        status.rate_in = progress.input_rows_per_second;
        status.rate_done = progress.processed_rows_per_second;
        status.state_rows = progress.state_operators.iter().map(|operator| operator.num_rows_total).sum();
        status.activity = format!("batch {} on Spark", progress.batch_id);
        let watermark = progress.event_time.get("watermark");
        status.watermark_ms = watermark.and_then(|text| tidemill_spark::parse_time(text)).map(|at| at.0);
        self.observer.batch(&progress);
    }

    /// Records in committed batches.
    pub(super) fn records(&self) -> u64 {
        self.summary.records
    }

    /// The autoscaler has decided.
    pub(super) fn decided(&mut self, facts: &Facts, decision: &Decision) {
        self.recent.decision(wall_ms(), decision);
        self.observer.decision(facts, decision);
    }

    /// What is known of executors and sources now, beside the figures of the batches.
    pub(super) fn now(&mut self, known: Status) {
        let before = std::mem::take(&mut self.status);
        // Without a decision the rate is that of the newest batch; without a watch the backlog is.
        let rate_in = if known.executors_max > 0 { known.rate_in } else { before.rate_in };
        let backlog = if self.ends.is_some() { known.backlog } else { before.backlog };
        self.status = Status {
            rate_in,
            backlog,
            name: before.name,
            batch_id: before.batch_id,
            records: before.records,
            rate_done: before.rate_done,
            state_rows: before.state_rows,
            watermark_ms: before.watermark_ms,
            ..known
        };
        self.summary.executor_seconds = self.status.executor_seconds;
    }

    /// Shows the snapshot.
    pub(super) fn publish(&mut self) {
        let mut recent = Ages::default();
        self.recent_ages.iter().for_each(|ages| recent.merge(ages));
        let status = &mut self.status;
        status.now_ms = wall_ms();
        status.uptime_ms = self.began.elapsed().as_millis() as u64;
        (status.age_p50_ms, status.age_p99_ms) = (recent.quantile(0.5), recent.quantile(0.99));
        status.decisions = self.recent.decisions();
        status.windows = self.recent.rows().clone();
        self.observer.status(status);
    }

    /// The totals.
    pub(super) fn summary(&self) -> Summary {
        let (age_p50_ms, age_p99_ms) = (self.ages.quantile(0.5), self.ages.quantile(0.99));
        Summary { age_p50_ms, age_p99_ms, ..self.summary.clone() }
    }
}
