//! Scaling: asks the autoscaler a few times a second, and holds the wanted number of executors.

use std::time::{Duration, Instant};
use tidemill_model::limits::BATCH_TARGET_MS;
use tidemill_model::pipeline::{ScaleMode, Trigger};
use tidemill_model::scale_change::ScaleChange;
use tidemill_model::status::Status;
use tidemill_os::clock;
use tidemill_scale::{Decision, Facts, Mode, Prior, Settings, State, decide};

/// Interval at which the autoscaler is asked and a status is reported.
const TICK: Duration = Duration::from_millis(250);

/// The autoscaler of a run: settings that users change meanwhile, the state, and the newest decision.
pub struct Scaling {
    settings: Settings,
    /// The mode of the pipeline file, or the one a user has set since; it applies unless a user pins the size.
    own_mode: ScaleMode,
    /// The size that a user has pinned.
    pinned: Option<u32>,
    trigger: Trigger,
    state: State,
    decision: Option<Decision>,
    /// Wanted number of executors.
    keep: u32,
    next_tick: Instant,
    always_on: AlwaysOn,
}

/// What the largest allowed size, always on, would have used. Each moment counts at the maximum of that moment.
struct AlwaysOn {
    /// Executor-seconds until the maximum was last changed.
    before: f64,
    since: Instant,
}

impl AlwaysOn {
    fn executor_seconds(&self, max: u32, now: Instant) -> f64 {
        self.before + f64::from(max) * now.saturating_duration_since(self.since).as_secs_f64()
    }

    /// The maximum has been `max` and changes now.
    fn change(&mut self, max: u32, now: Instant) {
        *self = AlwaysOn { before: self.executor_seconds(max, now), since: now };
    }
}

impl Scaling {
    /// Nothing is decided yet. `prior` is what earlier runs have learnt.
    pub fn new(settings: Settings, own_mode: ScaleMode, trigger: Trigger, prior: Prior) -> Scaling {
        Scaling {
            own_mode,
            pinned: None,
            trigger,
            state: State::with_prior(&settings, prior),
            decision: None,
            keep: settings.min,
            settings,
            next_tick: clock::now(),
            always_on: AlwaysOn { before: 0.0, since: clock::now() },
        }
    }

    /// Executors are there before the first decision: they stay until one lets them go.
    pub fn found(&mut self, size: u32) {
        if self.settings.mode == Mode::Active {
            self.keep = size.clamp(self.settings.min, self.settings.max);
            self.state.begin_with(self.keep);
        }
    }

    /// Wanted number of executors.
    pub fn keep(&self) -> u32 {
        self.keep
    }

    /// Whether no executor is wanted although records wait: they wait until an executor is worth its start.
    pub(crate) fn waits(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.terms.waiting_s.is_some())
    }

    /// The run has ended: no executor is wanted.
    pub(crate) fn let_go(&mut self) {
        self.keep = 0;
    }

    /// The settings that hold now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The newest decision.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// Executor-seconds that the maximum of each moment, always on, would have used so far.
    fn always_on_seconds(&self) -> f64 {
        self.always_on.executor_seconds(self.settings.max, clock::now())
    }

    pub(crate) fn next_tick(&self) -> Instant {
        self.next_tick
    }

    /// What was learnt about capacity, for the next run.
    pub(crate) fn capacity(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self.state.prior()).ok()
    }

    /// The state from which it decides.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Pins the number of executors; `None` returns to the mode of the pipeline file.
    pub fn pin(&mut self, size: Option<u32>) {
        self.pinned = size;
        self.settle();
    }

    /// Decides by other settings from now on.
    ///
    /// # Errors
    /// They may not be so: a sentence.
    pub fn change(&mut self, change: &ScaleChange) -> Result<(), String> {
        change.check(self.settings.min, self.settings.max)?;
        self.always_on.change(self.settings.max, clock::now());
        let settings = &mut self.settings;
        settings.min = change.min_executors.unwrap_or(settings.min);
        settings.max = change.max_executors.unwrap_or(settings.max);
        settings.slo_ms = change.slo_ms.unwrap_or(settings.slo_ms);
        if let Some(mode) = change.mode {
            // Who names a mode does not want a size that was pinned before.
            (self.own_mode, self.pinned) = (mode, None);
        }
        self.settle();
        Ok(())
    }

    /// The mode that follows from what users have said.
    fn settle(&mut self) {
        let max = self.settings.max;
        self.settings.mode = match (self.pinned, self.own_mode) {
            (Some(size), _) => Mode::Pinned(size.min(max)),
            (None, ScaleMode::Pinned) => Mode::Pinned(max),
            (None, ScaleMode::Active) => Mode::Active,
            (None, ScaleMode::Advisory) => Mode::Advisory,
        };
    }

    /// Who chooses the size.
    fn mode(&self) -> ScaleMode {
        match self.settings.mode {
            Mode::Active => ScaleMode::Active,
            Mode::Advisory => ScaleMode::Advisory,
            Mode::Pinned(_) => ScaleMode::Pinned,
        }
    }

    /// Asks the autoscaler. A run that is `stopping` gets no more executors than it needs to finish its batch.
    pub fn rescale(&mut self, facts: &Facts, stopping: Option<u32>) -> &Decision {
        self.next_tick = clock::now() + TICK;
        let decision = decide(&mut self.state, &self.settings, facts);
        self.keep = stopping.map_or(decision.keep, |least| self.keep.min(decision.keep).max(least));
        self.decision.insert(decision)
    }

    /// The mode, the bounds and the service level, for a message.
    pub fn described(&self) -> String {
        let Settings { min, max, slo_ms, mode, .. } = self.settings;
        let mode = match mode {
            Mode::Active => "active".to_owned(),
            Mode::Advisory => "advisory".to_owned(),
            Mode::Pinned(size) => format!("pinned to {size}"),
        };
        let slo_s = slo_ms as f64 / 1000.0;
        format!("the autoscaler is {mode} from now on, with {min} to {max} executors and slo {slo_s} s")
    }

    /// What the status says of the autoscaler; the rest is the caller's.
    pub fn status(&self) -> Status {
        let mu = self.decision.as_ref().and_then(|decision| decision.terms.mu);
        Status {
            rate_in: self.decision.as_ref().map_or(0.0, |decision| decision.terms.lambda2),
            executors_target: self.keep,
            mode: self.mode(),
            executors_min: self.settings.min,
            executors_max: self.settings.max,
            slo_ms: self.settings.slo_ms,
            executors_pinned: match self.settings.mode {
                Mode::Pinned(size) => Some(size),
                Mode::Active | Mode::Advisory => None,
            },
            always_on_executor_seconds: self.always_on_seconds(),
            capacity_per_core: [mu, self.settings.max_records_per_second_per_core]
                .into_iter()
                .flatten()
                .reduce(f64::min),
            ..Status::default()
        }
    }

    /// Offsets that the executors can do in the target time of a batch: half a second, or until the next trigger.
    pub(crate) fn capacity_of_a_batch(&self) -> u64 {
        let capacity = self.decision.as_ref().map_or(&[][..], |decision| &decision.terms.capacity);
        let size = (self.keep.max(1) as usize).min(capacity.len().saturating_sub(1));
        let per_second = capacity.get(size).copied().unwrap_or_default();
        let target_ms = match self.trigger {
            Trigger::Every(ms) => BATCH_TARGET_MS.max(ms as i64),
            Trigger::AsSoonAsPossible | Trigger::AvailableNow => BATCH_TARGET_MS,
        };
        (per_second * target_ms as f64 / 1_000.0).max(1_000.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_moment_counts_at_its_maximum() {
        let start = clock::now();
        let moment = |seconds| start + Duration::from_secs(seconds);
        let mut always_on = AlwaysOn { before: 0.0, since: start };
        assert_eq!(always_on.executor_seconds(4, moment(10)), 40.0);
        always_on.change(4, moment(10));
        assert_eq!(always_on.executor_seconds(2, moment(10)), 40.0);
        assert_eq!(always_on.executor_seconds(2, moment(15)), 50.0);
        always_on.change(2, moment(15));
        assert_eq!(always_on.executor_seconds(0, moment(99)), 50.0);
    }
}
