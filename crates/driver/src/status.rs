//! The driver's snapshot of itself, for whoever shows it.

use crate::ages::Ages;
use crate::plan;
use crate::run::{Driver, now_millis};
use tidemill_model::status::Status;
use tidemill_scale::Mode;

impl Driver {
    pub(crate) fn status(&mut self) -> Status {
        let now_ms = self.started.elapsed().as_millis() as u64;
        let mut recent = Ages::new();
        self.recent_ages.iter().for_each(|ages| recent.merge(ages));
        let terms = self.decision.as_ref().map(|decision| &decision.terms);
        Status {
            name: self.identity.name.clone(),
            now_ms: now_millis().0,
            uptime_ms: now_ms,
            activity: self.activity(),
            rate_in: terms.map_or(0.0, |terms| terms.lambda2),
            rate_done: self.done.rate(now_ms),
            backlog: plan::total(&self.backlog())
                + self.batch.as_ref().map_or(0, |in_flight| in_flight.batch.unfinished()),
            age_p50_ms: recent.quantile(0.5),
            age_p99_ms: recent.quantile(0.99),
            batch_id: self
                .next_batch
                .checked_sub(1 + u64::from(self.batch.is_some()) + u64::from(self.committing.is_some())),
            records: self.records,
            faults: self.summary.faults,
            watermark_ms: self.query.has_watermark().then_some(self.watermark.0),
            state_rows: self.state.rows(),
            executors_target: self.keep,
            executors_max: self.settings.max,
            executors_pinned: self.pinned(),
            executors: self.fleet.status(),
            executor_seconds: self.fleet.lifetime().as_secs_f64(),
            capacity_per_core: self.capacity_per_core(),
            decisions: self.newest.decisions.iter().cloned().collect(),
            windows: self.newest.rows.clone(),
        }
    }

    fn pinned(&self) -> Option<u32> {
        match self.settings.mode {
            Mode::Pinned(size) => Some(size),
            Mode::Active | Mode::Advisory => None,
        }
    }

    fn capacity_per_core(&self) -> Option<f64> {
        let mu = self.decision.as_ref().and_then(|decision| decision.terms.mu);
        [mu, self.settings.max_records_per_second_per_core].into_iter().flatten().reduce(f64::min)
    }

    fn activity(&self) -> String {
        if let Some((error, _)) = self.sources.error() {
            return format!("waiting: {error}");
        }
        match &self.batch {
            Some(in_flight) => {
                let (done, all) = in_flight.batch.progress();
                match all {
                    0 => format!("batch {} without data", in_flight.batch.plan.batch_id),
                    _ => format!("batch {}: {done} of {all} tasks", in_flight.batch.plan.batch_id),
                }
            }
            None => match self.sources.0.iter().find(|source| source.extents.is_none() || source.is_missing()) {
                Some(source) => format!("waiting for {}", source.name),
                None => "idle".into(),
            },
        }
    }
}
