//! Builds the run's status snapshot.

use crate::run::QueryRun;
use tidemill_model::status::Status;

impl QueryRun {
    /// Reports the current status.
    pub(crate) fn tell_status(&mut self) {
        let batch = self.execution.batch();
        let uncommitted = u64::from(batch.is_some()) + u64::from(self.committing.is_busy());
        let waiting = self.planning.backlog(&self.watching);
        let status = Status {
            activity: self.activity(),
            backlog: waiting + self.execution.unfinished(),
            batch_id: self.planning.next_batch().checked_sub(1 + uncommitted),
            records: self.committing.records(),
            watermark_ms: self.job.plan.has_watermark().then_some(self.planning.watermark().0),
            state_rows: self.state.rows(),
            limits: self.limits.clone(),
            executors: self.execution.fleet().status(),
            executor_seconds: self.execution.fleet().lifetime().as_secs_f64(),
            ..self.scaling.status()
        };
        self.reporter.status(status);
    }

    fn activity(&self) -> String {
        if let Some(error) = self.watching.error().or(self.committing.waits()) {
            return format!("waiting: {error}");
        }
        match (self.execution.batch(), self.watching.awaited()) {
            (Some(batch), _) => match batch.progress() {
                (_, 0) => format!("batch {} without data", batch.plan.batch_id),
                (done, all) => format!("batch {}: {done} of {all} tasks", batch.plan.batch_id),
            },
            (None, Some(source)) => format!("waiting for {source}"),
            (None, None) => "idle".into(),
        }
    }
}
