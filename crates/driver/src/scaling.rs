//! The autoscaler's side of the driver: what it is asked and told, a few times a second.

use crate::facts::facts;
use crate::run::{Driver, now_millis};
use std::time::{Duration, Instant};
use tidemill_model::pipeline::Trigger;
use tidemill_model::status::DecisionLine;
use tidemill_model::{Error, Result};
use tidemill_os::retry;
use tidemill_scale::{Mode, decide};

/// The autoscaler is asked so often, and a status told.
const TICK: Duration = Duration::from_millis(250);

impl Driver {
    pub(crate) fn tick(&mut self) -> Result<()> {
        self.give_up_late();
        if let (Trigger::AvailableNow, Some((error, since))) = (self.job.trigger, self.sources.error())
            && retry::BOUNDED_SOURCE.is_over(since.elapsed())
        {
            let seconds = since.elapsed().as_secs();
            return Err(Error::external(format!(
                "{error}; waited {seconds} s for it: see that it runs and can be reached, then start again"
            )));
        }
        self.rescale()?;
        let status = self.status();
        self.observer.status(&status);
        Ok(())
    }

    pub(crate) fn rescale(&mut self) -> Result<()> {
        self.next_tick = Instant::now() + TICK;
        let known = self.extents.as_ref().filter(|_| self.sources.error().is_none());
        let unfinished = self.batch.as_ref().map_or(0, |in_flight| in_flight.batch.unfinished());
        let all_committed = self.batch.is_none() && self.committing.is_none() && self.replay.is_empty();
        let now_ms = self.started.elapsed().as_millis() as u64;
        let crashes = std::mem::take(&mut self.crashes);
        let age_ms = self.sources.age().as_millis() as u64;
        let facts =
            facts(now_ms, known, age_ms, self.due_backlog(), unfinished, all_committed, crashes, &mut self.fleet);
        let decision = decide(&mut self.scale, &self.settings, &facts);
        self.keep = if self.stopping { self.keep.min(decision.keep) } else { decision.keep };
        if decision.acts() {
            let (at_ms, reason) = (now_millis().0, decision.reason.clone());
            self.newest.decision(DecisionLine { at_ms, from: decision.from, to: decision.to, reason });
        }
        self.observer.decision(&facts, &decision);
        self.decision = Some(decision);
        Ok(())
    }

    pub(crate) fn change_mode(&mut self, mode: Mode) {
        self.settings.mode = mode;
        self.observer.deciding(&self.settings, &self.scale);
    }
}
