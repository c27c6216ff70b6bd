//! What the policy remembers from one call to the next.

use crate::bottleneck::{Bottleneck, Trial};
use crate::capacity::{Capacity, Prior};
use crate::rates::Rates;
use crate::settings::{Mode, Settings};
use serde::{Deserialize, Serialize};

/// Beyond, W is at its greatest for any hold of a millisecond and more.
const DOUBLINGS_MAX: u32 = 20;

/// The memory of the policy: plain data, the whole of it, so that a log can begin anywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The size decided last.
    pub(crate) target: u32,
    pub(crate) rates: Rates,
    pub(crate) capacity: Capacity,
    pub(crate) timers: Timers,
    pub(crate) trial: Option<Trial>,
    /// Since when λ1 has been a step above what was usual.
    pub(crate) step_since_ms: Option<u64>,
    /// Since when records wait and there is no executor.
    #[serde(default)]
    pub(crate) waiting_since_ms: Option<u64>,
    /// By size: outgrown by a hair, and not come back to since.
    pub(crate) outgrown: Vec<bool>,
    /// C(0..=max) as it was believed before the last growth: what that was to bring.
    #[serde(default)]
    pub(crate) promised: Vec<f64>,
    /// Growth beyond this size is blocked until then.
    pub(crate) blocked: Option<Blocked>,
}

impl State {
    /// Before the first call, with nothing learned.
    pub fn new(settings: &Settings) -> State {
        State::with_prior(settings, Prior::default())
    }

    /// Before the first call, with what an earlier run had learned.
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
        }
    }

    /// What has been learned about capacity, for the checkpoint.
    pub fn prior(&self) -> &Prior {
        self.capacity.prior()
    }

    /// A size that was not enough though the load was less than a tenth above it may only be taken again with a margin.
    pub(crate) fn note_outgrown(&mut self, size: u32, by_a_hair: bool) {
        let size = size as usize;
        if by_a_hair {
            self.outgrown.resize(self.outgrown.len().max(size + 1), false);
            self.outgrown[size] = true;
        }
    }

    /// The size decided last.
    pub fn target(&self) -> u32 {
        self.target
    }
}

/// Growth is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blocked {
    pub until_ms: u64,
    /// What all executors together did, records/s.
    pub done: f64,
    pub bottleneck: Bottleneck,
}

/// Since when smaller sizes have been enough, and W.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timers {
    /// By size; meaningful below the present one.
    pub enough_since_ms: Vec<Option<u64>>,
    pub idle_since_ms: Option<u64>,
    last_down_ms: Option<u64>,
    last_flap_ms: u64,
    doublings: u32,
}

impl Timers {
    /// W, seconds, at this price of a start: what an executor costs that is kept is never more than what it costs to start
    /// it again. Doubled by flaps.
    pub fn hold_s(&self, settings: &Settings, price_s: f64) -> f64 {
        let policy = &settings.policy;
        let most_s = settings.down_hold_ms as f64 / 1000.0;
        let first_s = price_s.min(most_s);
        let doubled_s = (first_s * f64::from(1_u32 << self.doublings)).min(first_s * policy.hold_max);
        doubled_s.max(policy.hold_min_s.min(most_s))
    }

    /// Notes for every size whether it is enough now, and whether there is nothing to do.
    pub fn note(&mut self, now_ms: u64, enough: &[bool], idle: bool) {
        self.enough_since_ms.resize(enough.len(), None);
        for (since_ms, &enough) in self.enough_since_ms.iter_mut().zip(enough) {
            *since_ms = enough.then(|| since_ms.unwrap_or(now_ms));
        }
        self.idle_since_ms = idle.then(|| self.idle_since_ms.unwrap_or(now_ms));
    }

    /// Nothing is known, or everything has changed: no size has been enough for any time.
    pub fn reset(&mut self) {
        self.enough_since_ms.fill(None);
        self.idle_since_ms = None;
    }

    /// For how long size `size` has been enough, seconds.
    pub fn enough_s(&self, now_ms: u64, size: u32) -> Option<f64> {
        let since_ms = self.enough_since_ms.get(size as usize).copied().flatten()?;
        Some(seconds(now_ms, since_ms))
    }

    /// The same without what flaps have added.
    pub fn first_hold_s(settings: &Settings, price_s: f64) -> f64 {
        Timers::default().hold_s(settings, price_s)
    }

    pub fn after_down(&mut self, now_ms: u64) {
        self.last_down_ms = Some(now_ms);
    }

    /// A growth soon after a shrinking, before it saved what it cost, is a flap: W doubles.
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

    /// Whether there has lately been a flap: the load swings, and the queue shall take it.
    pub fn flapping(&self) -> bool {
        self.doublings > 0
    }

    /// W falls back once there has been no flap for long.
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
