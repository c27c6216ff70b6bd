//! What the policy remembers from one call to the next.

use crate::bottleneck::{Bottleneck, Trial};
use crate::capacity::{Capacity, Prior};
use crate::rates::Rates;
use crate::settings::{Mode, Settings};
use serde::{Deserialize, Serialize};

/// With more doublings, W is at its limit for any hold of at least a millisecond.
const DOUBLINGS_MAX: u32 = 20;

/// The complete memory of the policy as plain data, so that a log can begin anywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last decided size.
    pub(crate) target: u32,
    pub(crate) rates: Rates,
    pub(crate) capacity: Capacity,
    pub(crate) timers: Timers,
    pub(crate) trial: Option<Trial>,
    /// Since when λ1 has been a step above the usual rate.
    pub(crate) step_since_ms: Option<u64>,
    /// Since when records wait without any executor.
    #[serde(default)]
    pub(crate) waiting_since_ms: Option<u64>,
    /// By size: barely outgrown, and not taken again since.
    pub(crate) outgrown: Vec<bool>,
    /// C(0..=max) as believed before the last growth.
    #[serde(default)]
    pub(crate) promised: Vec<f64>,
    /// Growth beyond this size is blocked until then.
    pub(crate) blocked: Option<Blocked>,
    /// When growth was last blocked.
    #[serde(default)]
    pub(crate) blocked_at_ms: Option<u64>,
    /// A bottleneck at a size that stays is not reported again until then.
    #[serde(default)]
    pub(crate) explained_until_ms: u64,
}

impl State {
    /// The state before the first call, with nothing learnt.
    pub fn new(settings: &Settings) -> State {
        State::with_prior(settings, Prior::default())
    }

    /// The state before the first call, with what an earlier run has learnt.
    pub fn with_prior(settings: &Settings, prior: Prior) -> State {
        let target = match settings.mode {
            Mode::Pinned(size) => size.min(settings.max),
            Mode::Active | Mode::Advisory => settings.min,
        };
        let capacity = Capacity::with_prior(prior);
        State {
            target,
            rates: Rates::default(),
            capacity,
            timers: Timers::default(),
            trial: None,
            step_since_ms: None,
            waiting_since_ms: None,
            outgrown: Vec::new(),
            promised: Vec::new(),
            blocked: None,
            blocked_at_ms: None,
            explained_until_ms: 0,
        }
    }

    /// Executors are there before the first call.
    pub fn begin_with(&mut self, size: u32) {
        self.target = size;
    }

    /// What has been learnt about capacity, for the checkpoint.
    pub fn prior(&self) -> &Prior {
        self.capacity.prior()
    }

    /// Records that a size was not enough. If the load was only slightly above it, it may be taken again only with a
    /// margin.
    pub(crate) fn note_outgrown(&mut self, size: u32, by_a_hair: bool) {
        let size = size as usize;
        if by_a_hair {
            self.outgrown.resize(self.outgrown.len().max(size + 1), false);
            self.outgrown[size] = true;
        }
    }

    /// The last decided size.
    pub fn target(&self) -> u32 {
        self.target
    }
}

/// Growth is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blocked {
    pub until_ms: u64,
    /// Throughput of all executors together, records/s.
    pub done: f64,
    pub bottleneck: Bottleneck,
    /// It is not released before that time.
    #[serde(default)]
    pub firm: bool,
}

/// Since when smaller sizes have been enough, and W.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timers {
    /// By size; valid below the present one.
    pub enough_since_ms: Vec<Option<u64>>,
    pub idle_since_ms: Option<u64>,
    last_down_ms: Option<u64>,
    last_flap_ms: u64,
    doublings: u32,
}

impl Timers {
    /// W in seconds for this price of a start: keeping an executor never costs more than starting it again. Flaps
    /// double it.
    pub fn hold_s(&self, settings: &Settings, price_s: f64) -> f64 {
        let policy = &settings.policy;
        let most_s = settings.down_hold_ms as f64 / 1000.0;
        let first_s = price_s.min(most_s);
        let doubled_s = (first_s * f64::from(1_u32 << self.doublings)).min(first_s * policy.hold_max);
        doubled_s.max(policy.hold_min_s.min(most_s))
    }

    /// Updates for every size whether it is enough now, and whether there is nothing to do.
    pub fn note(&mut self, now_ms: u64, enough: &[bool], idle: bool) {
        self.enough_since_ms.resize(enough.len(), None);
        for (since_ms, &enough) in self.enough_since_ms.iter_mut().zip(enough) {
            *since_ms = enough.then(|| since_ms.unwrap_or(now_ms));
        }
        self.idle_since_ms = idle.then(|| self.idle_since_ms.unwrap_or(now_ms));
    }

    /// Forgets how long sizes have been enough, because facts are unknown or everything has changed.
    pub fn reset(&mut self) {
        self.enough_since_ms.fill(None);
        self.idle_since_ms = None;
    }

    /// How long size `size` has been enough, seconds.
    pub fn enough_s(&self, now_ms: u64, size: u32) -> Option<f64> {
        let since_ms = self.enough_since_ms.get(size as usize).copied().flatten()?;
        Some(seconds(now_ms, since_ms))
    }

    /// W without the effect of flaps.
    pub fn first_hold_s(settings: &Settings, price_s: f64) -> f64 {
        Timers::default().hold_s(settings, price_s)
    }

    pub fn after_down(&mut self, now_ms: u64) {
        self.last_down_ms = Some(now_ms);
    }

    /// Handles a growth. A growth soon after a shrink, before the shrink saved its cost, is a flap: W doubles.
    pub fn after_up(&mut self, now_ms: u64, settings: &Settings, price_s: f64) {
        let first_s = price_s.min(settings.down_hold_ms as f64 / 1000.0);
        let doubled = f64::from(1_u32 << self.doublings).min(settings.policy.hold_max);
        if self.last_down_ms.take().is_some_and(|down_ms| seconds(now_ms, down_ms) < 4.0 * first_s * doubled) {
            self.last_flap_ms = now_ms;
            if doubled < settings.policy.hold_max && self.doublings < DOUBLINGS_MAX {
                self.doublings += 1;
            }
        }
        self.reset();
    }

    /// Whether there was a flap lately: the load swings, and the queue should absorb it.
    pub fn flapping(&self) -> bool {
        self.doublings > 0
    }

    /// Resets W after a long time without a flap.
    pub fn forget(&mut self, now_ms: u64, settings: &Settings) {
        if seconds(now_ms, self.last_flap_ms) >= settings.policy.flap_forget_s {
            self.doublings = 0;
        }
    }
}

/// Seconds from one reading of the clock to a later one.
pub(crate) fn seconds(now_ms: u64, since_ms: u64) -> f64 {
    now_ms.saturating_sub(since_ms) as f64 / 1000.0
}
