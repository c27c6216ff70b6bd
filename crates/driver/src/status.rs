//! Builds the run's status snapshot.

use crate::run::QueryRun;
use tidemill_model::status::Status;
use tidemill_scale::Mode;

impl QueryRun {
    /// Reports the current status.
    pub(crate) fn tell_status(&mut self) {
        let batch = self.execution.batch();
        let decision = self.scaling.decision();
        let uncommitted = u64::from(batch.is_some()) + u64::from(self.committing.is_busy());
        let waiting = self.planning.backlog(&self.watching);
        let status = Status {
            activity: self.activity(),
            rate_in: decision.map_or(0.0, |decision| decision.terms.lambda2),
            backlog: waiting + self.execution.unfinished(),
            batch_id: self.planning.next_batch().checked_sub(1 + uncommitted),
            records: self.committing.records(),
            watermark_ms: self.job.plan.has_watermark().then_some(self.planning.watermark().0),
            state_rows: self.state.rows(),
            executors_target: self.scaling.keep(),
            mode: self.scaling.mode(),
            executors_min: self.scaling.settings().min,
            executors_max: self.scaling.settings().max,
            slo_ms: self.scaling.settings().slo_ms,
            limits: self.limits.clone(),
            executors_pinned: self.pinned(),
            executors: self.execution.fleet().status(),
            executor_seconds: self.execution.fleet().lifetime().as_secs_f64(),
            always_on_executor_seconds: self.scaling.always_on_seconds(),
            capacity_per_core: self.capacity_per_core(),
            ..Status::default()
        };
        self.reporter.status(status);
    }

    fn pinned(&self) -> Option<u32> {
        match self.scaling.settings().mode {
            Mode::Pinned(size) => Some(size),
            Mode::Active | Mode::Advisory => None,
        }
    }

    fn capacity_per_core(&self) -> Option<f64> {
        let mu = self.scaling.decision().and_then(|decision| decision.terms.mu);
        [mu, self.scaling.settings().max_records_per_second_per_core].into_iter().flatten().reduce(f64::min)
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
