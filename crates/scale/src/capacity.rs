//! What an executor can do: μ, α and the start time, learnt from completed work.
//!
//! μ, records per busy-second of one core, is a mean in which a busy-second loses weight with a half-life of 30
//! busy-seconds. Waiting (for the broker, a sink, the rate limit) does not count as work, so μ does not fall on a quiet
//! stream. α(n) is the efficiency of n executors relative to n times one. It is learnt only by comparing records per
//! busy-second just before and after a change of size, so that records that cost more do not look like contention.

use crate::facts::{Facts, Work};
use crate::settings::Settings;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// T_start is taken from this many starts.
const STARTS: usize = 20;
/// Busy-seconds that each side of a comparison needs.
const CONTRAST_S: f64 = 10.0;
/// Longest time between the two sides of a comparison, ms.
const CONTRAST_MS: u64 = 120_000;
/// Weight of one comparison in α.
const CONTRAST_WEIGHT: f64 = 0.3;
/// μ is unknown below this many weighted busy-seconds.
const KNOWN_S: f64 = 1.0;

/// What is kept in the checkpoint, across restarts and while no executor lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Records behind μ, weighted.
    pub records: f64,
    /// Busy-seconds behind μ, weighted.
    pub busy_s: f64,
    /// α(1), α(2), …, as far as learnt.
    pub alpha: Vec<f64>,
    /// The newest starts, ms.
    pub starts_ms: VecDeque<u64>,
    /// Costs of the newest starts, executor-ms.
    #[serde(default)]
    pub costs_ms: VecDeque<u64>,
}

/// What has been learnt about capacity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    prior: Prior,
    /// Busy-µs of each executor that is still warming up.
    warming_us: BTreeMap<u64, u64>,
    /// The present size and its figures.
    present: Side,
    /// The size before it.
    before: Option<Side>,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Side {
    size: u32,
    records: f64,
    busy_s: f64,
    until_ms: u64,
}

impl Capacity {
    /// Starts from what was learnt before.
    pub fn with_prior(prior: Prior) -> Capacity {
        Capacity { prior, ..Capacity::default() }
    }

    /// What to keep.
    pub fn prior(&self) -> &Prior {
        &self.prior
    }

    /// Learns from the work and the starts since the last call.
    pub fn learn(&mut self, settings: &Settings, facts: &Facts) {
        for (newest, known) in
            [(&facts.start_ms, &mut self.prior.starts_ms), (&facts.start_cost_ms, &mut self.prior.costs_ms)]
        {
            known.extend(newest);
            while known.len() > STARTS {
                known.pop_front();
            }
        }
        self.warming_us.retain(|id, _| facts.work.iter().any(|work| work.executor == *id));
        if facts.ready != self.present.size {
            let ended = std::mem::take(&mut self.present);
            self.before = (ended.busy_s >= CONTRAST_S).then_some(ended);
            self.present.size = facts.ready;
        }
        for work in &facts.work {
            self.learn_work(settings, facts, work);
        }
        self.learn_contrast(facts.now_ms);
    }

    fn learn_work(&mut self, settings: &Settings, facts: &Facts, work: &Work) {
        let policy = &settings.policy;
        let warmed_us = self.warming_us.entry(work.executor).or_default();
        let warm = *warmed_us as f64 / 1e6 >= policy.warm_up_s;
        *warmed_us += work.busy_us;
        if !warm || work.busy_us == 0 || facts.ready == 0 {
            return;
        }
        let (busy_s, records) = (work.busy_us as f64 / 1e6, work.records as f64);
        let alike = records / self.alpha(facts.ready);
        // The fixed cost of small tasks hides capacity. Such a sample is a lower bound: it may only raise μ.
        let small = (work.busy_us as f64 / 1000.0) < policy.task_min_ms * work.tasks as f64;
        if small && self.per_core().is_none_or(|mu| alike / busy_s < mu) {
            return;
        }
        // τ/(τ+b) instead of 2^(−b/half-life): equal to second order, and the same bits on every machine.
        let tau_s = policy.half_life_s * std::f64::consts::LOG2_E;
        let keep = tau_s / (tau_s + busy_s);
        self.prior.records = (self.prior.records + alike) * keep;
        self.prior.busy_s = (self.prior.busy_s + busy_s) * keep;
        self.present.records += records;
        self.present.busy_s += busy_s;
        self.present.until_ms = facts.now_ms;
    }

    fn learn_contrast(&mut self, now_ms: u64) {
        let Some(before) = self.before else { return };
        if now_ms.saturating_sub(before.until_ms) > CONTRAST_MS || before.size == 0 || self.present.size == 0 {
            self.before = None;
        } else if self.present.busy_s >= CONTRAST_S {
            let ratio = (self.present.records / self.present.busy_s) / (before.records / before.busy_s);
            let (small, large) = (before.size.min(self.present.size), before.size.max(self.present.size));
            let grown = if self.present.size == large { ratio } else { 1.0 / ratio };
            let seen = (self.alpha(small) * grown).clamp(0.5, self.alpha(small));
            let learned = self.alpha(large) + CONTRAST_WEIGHT * (seen - self.alpha(large));
            self.set_alpha(large, learned);
            self.before = None;
        }
    }

    fn set_alpha(&mut self, size: u32, learned: f64) {
        for missing in self.prior.alpha.len() as u32 + 1..=size {
            self.prior.alpha.push(alpha_assumed(missing));
        }
        self.prior.alpha[size as usize - 1] = learned;
        // α never increases with the size.
        for index in 1..self.prior.alpha.len() {
            self.prior.alpha[index] = self.prior.alpha[index].min(self.prior.alpha[index - 1]);
        }
    }

    /// α(size); 1 − 0.02·(size − 1) until learnt, never above that of a smaller size.
    pub fn alpha(&self, size: u32) -> f64 {
        match self.prior.alpha.get(size as usize - 1) {
            Some(&alpha) => alpha,
            None => self.prior.alpha.last().map_or(1.0, |&last| last).min(alpha_assumed(size)),
        }
    }

    /// μ, records per busy-second of one core; `None` before a second's worth is known.
    pub fn per_core(&self) -> Option<f64> {
        (self.prior.busy_s >= KNOWN_S && self.prior.records > 0.0).then(|| self.prior.records / self.prior.busy_s)
    }

    /// C(0..=max), records/s: `0.97·min(μ, limit)·cores·n·α(n)`. Without μ: the limit, else the assumption. Strictly
    /// increasing, so that "the smallest size that is enough" is well defined.
    pub fn sizes(&self, settings: &Settings) -> Vec<f64> {
        let limit = settings.max_records_per_second_per_core;
        let per_core = match (self.per_core(), limit) {
            (Some(mu), Some(limit)) => mu.min(limit),
            (Some(mu), None) => mu,
            (None, limit) => limit.unwrap_or(settings.policy.assumed_per_core),
        };
        let one = settings.policy.dependable * per_core * f64::from(settings.cores);
        let mut sizes = vec![0.0];
        for size in 1..=settings.max {
            let least = sizes[size as usize - 1] + one * 0.01;
            sizes.push((one * f64::from(size) * self.alpha(size)).max(least));
        }
        sizes
    }

    /// T_start, seconds: the 95th percentile (nearest rank) of the last 20 starts.
    pub fn start_s(&self, settings: &Settings) -> f64 {
        let mut starts: Vec<u64> = self.prior.starts_ms.iter().copied().collect();
        starts.sort_unstable();
        let rank = (starts.len() * 95).div_ceil(100);
        let start_ms = if rank == 0 { settings.policy.assumed_start_ms } else { starts[rank - 1] };
        start_ms as f64 / 1000.0
    }

    /// The price of a start in executor-seconds: the mean of the last 20; before any is known, the start time.
    pub fn price_s(&self, settings: &Settings) -> f64 {
        let costs = &self.prior.costs_ms;
        if costs.is_empty() {
            return self.start_s(settings);
        }
        costs.iter().sum::<u64>() as f64 / 1000.0 / costs.len() as f64
    }
}

fn alpha_assumed(size: u32) -> f64 {
    (1.0 - 0.02 * (f64::from(size) - 1.0)).max(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of work at one size: `per_core` records per busy-second, both cores busy, one report per second.
    fn work(capacity: &mut Capacity, facts: &mut Facts, size: u32, seconds: u64, per_core: u64) {
        facts.ready = size;
        for _ in 0..seconds {
            facts.now_ms += 1000;
            let one =
                |executor| Work { executor, tasks: 4, records: 2 * per_core, busy_us: 2_000_000, ..Work::default() };
            facts.work = (0..u64::from(size)).map(one).collect();
            capacity.learn(&Settings::default(), facts);
        }
    }

    #[test]
    fn mu_follows_the_work_and_small_tasks_only_raise_it() {
        let (mut capacity, mut facts) = (Capacity::default(), Facts::default());
        work(&mut capacity, &mut facts, 1, 3, 900);
        assert_eq!(capacity.per_core(), None, "5 busy-seconds do not count, and the report that crosses them neither");
        work(&mut capacity, &mut facts, 1, 200, 1_000);
        let mu = capacity.per_core().expect("known");
        assert!((mu - 1_000.0).abs() < 1.0, "{mu}");
        work(&mut capacity, &mut facts, 1, 15, 2_000);
        let mu = capacity.per_core().expect("known");
        assert!((1_450.0..1_550.0).contains(&mu), "half way after a half-life: {mu}");
        facts.work = vec![Work { executor: 0, tasks: 1_000, records: 1_000, busy_us: 5_000_000, ..Work::default() }];
        capacity.learn(&Settings::default(), &facts);
        assert_eq!(capacity.per_core(), Some(mu), "5 ms a task: its fixed cost");
        facts.work[0].records = 50_000;
        capacity.learn(&Settings::default(), &facts);
        assert!(capacity.per_core() > Some(mu), "capacity is at least what was seen");
    }

    #[test]
    fn alpha_is_learned_from_a_change_of_size_alone() {
        let (mut capacity, mut facts) = (Capacity::default(), Facts::default());
        work(&mut capacity, &mut facts, 1, 20, 1_000);
        assert_eq!([1, 2, 3, 4].map(|size| capacity.alpha(size)), [1.0, 0.98, 0.96, 0.94]);
        work(&mut capacity, &mut facts, 3, 20, 700);
        let alpha = capacity.alpha(3);
        assert!((alpha - (0.96 - 0.3 * 0.26)).abs() < 1e-6, "{alpha}");
        assert_eq!(capacity.alpha(4), alpha, "never above that of a smaller size");
        work(&mut capacity, &mut facts, 3, 100, 350);
        assert_eq!(capacity.alpha(3), alpha, "dearer records are no crowding");
        facts.now_ms += 300_000;
        work(&mut capacity, &mut facts, 2, 20, 350);
        assert_eq!(capacity.alpha(2), 0.98, "too long ago to compare");
    }

    #[test]
    fn the_start_counted_on_is_the_95th_percentile_of_the_last_20() {
        let mut capacity = Capacity::default();
        let settings = Settings::default();
        assert_eq!(capacity.start_s(&settings), 0.5);
        let mut learn = |start_ms: Vec<u64>| {
            capacity.learn(&settings, &Facts { start_ms, ..Facts::default() });
            capacity.start_s(&settings)
        };
        assert_eq!(learn(vec![100]), 0.1);
        assert_eq!(learn(vec![9_000]), 9.0);
        assert_eq!(learn((1..=18).collect()), 0.1);
        assert_eq!(learn(vec![200; 20]), 0.2);
    }
}
