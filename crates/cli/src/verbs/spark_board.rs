//! The dashboard of a run on Spark: the figures of its batches. Executors are Spark's, and not shown.

use arrow_array::RecordBatch;
use std::sync::Arc;
use std::time::Instant;
use tidemill_dash::Dashboard;
use tidemill_driver::Job;
use tidemill_model::progress::Progress;
use tidemill_model::status::Status;
use tidemill_os::clock::wall_ms;
use tidemill_sql::text::show::result_rows;
use tidemill_sql::zone::{WallClock, Zone};

/// What the dashboard shows.
pub(super) struct Board {
    pub(super) status: Status,
    dashboard: Option<Arc<Dashboard>>,
    began: Instant,
    zone: Zone,
}

/// Most rows of the newest output that are shown.
const ROWS_SHOWN: usize = 24;

impl Board {
    pub(super) fn new(job: &Job, dashboard: Option<Arc<Dashboard>>) -> Board {
        let status = Status { name: job.pipeline.name.clone(), limits: "Spark's own".into(), ..Status::default() };
        Board { status, dashboard, began: Instant::now(), zone: job.plan.zone() }
    }

    pub(super) fn batch(&mut self, progress: &Progress, rows: Option<&RecordBatch>) {
        let status = &mut self.status;
        status.batch_id = Some(progress.batch_id);
        status.records += progress.num_input_rows;
        status.backlog = progress.tidemill.backlog;
        status.rate_in = progress.input_rows_per_second;
        status.rate_done = progress.processed_rows_per_second;
        status.state_rows = progress.state_operators.iter().map(|operator| operator.num_rows_total).sum();
        status.activity = format!("batch {} on Spark", progress.batch_id);
        let watermark = progress.event_time.get("watermark");
        status.watermark_ms = watermark.and_then(|text| tidemill_spark::parse_time(text)).map(|at| at.0);
        if let Some(rows) = rows.filter(|rows| rows.num_rows() > 0) {
            status.windows = result_rows(rows, ROWS_SHOWN, &WallClock::new(self.zone));
        }
    }

    pub(super) fn publish(&mut self) {
        self.status.now_ms = wall_ms();
        self.status.uptime_ms = self.began.elapsed().as_millis() as u64;
        if let Some(dashboard) = &self.dashboard {
            dashboard.publish(&self.status);
        }
    }
}
