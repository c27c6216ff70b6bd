//! Generated loads, in units of one executor's work. The same seed gives the same trace.

use crate::trace::Trace;
use tidemill_model::random::Random;

/// Generates traces for a machine on which one executor does `per_executor` records/s.
#[derive(Clone, Copy, Debug)]
pub struct Shapes {
    /// Records/s of one executor.
    pub per_executor: f64,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Shapes {
    /// The set of traces for comparing executor-seconds and lateness.
    pub fn all(self) -> Vec<Trace> {
        vec![
            self.step(),
            self.ramp(),
            self.cosine(),
            self.cosine_with_spikes(),
            self.random_walk(),
            self.sawtooth(),
            self.square(),
            self.bursts(),
            self.spikes(),
            self.day(),
        ]
    }

    /// Half an executor, then two and a half, then half.
    pub fn step(self) -> Trace {
        self.trace("step", 1800, |t, _| if (600..1200).contains(&t) { 2.5 } else { 0.5 })
    }

    /// Up and down in straight lines.
    pub fn ramp(self) -> Trace {
        self.trace("ramp", 3600, |t, _| 0.2 + 3.2 * (1.0 - (t as f64 / 1800.0 - 1.0).abs()))
    }

    /// One wave an hour, ± 10 %.
    pub fn cosine(self) -> Trace {
        self.trace("cosine 60 min", 7200, |t, noise| wave(t, 3600.0) * noise.around(0.1))
    }

    /// The same with a spike of 20 s now and then.
    pub fn cosine_with_spikes(self) -> Trace {
        let mut spike_until = 0;
        self.trace("cosine + spikes", 7200, move |t, noise| {
            if noise.unit() < 1.0 / 240.0 {
                spike_until = t + 20;
            }
            let spike = if t < spike_until { 1.5 } else { 0.0 };
            (wave(t, 3600.0) * noise.around(0.1) + spike).min(3.6)
        })
    }

    /// A bounded random walk.
    pub fn random_walk(self) -> Trace {
        let mut level = 1.5;
        self.trace("random walk", 7200, move |_, noise| {
            level = (level + 0.08 * (noise.unit() - 0.5) * 2.0_f64).clamp(0.1, 3.5);
            level
        })
    }

    /// Teeth of five minutes.
    pub fn sawtooth(self) -> Trace {
        self.trace("sawtooth 5 min", 3600, |t, _| 0.2 + 3.2 * (t as f64 / 300.0).fract())
    }

    /// Half a minute high, half a minute low: provokes flapping.
    pub fn square(self) -> Trace {
        self.trace("square 30/30 s", 3600, |t, _| if (t as f64 / 60.0).fract() < 0.5 { 3.0 } else { 0.6 })
    }

    /// A minute of load, four of nothing at all.
    pub fn bursts(self) -> Trace {
        self.trace("bursts, 20 % duty", 3600, |t, _| if (t as f64 / 300.0).fract() < 0.2 { 3.0 } else { 0.0 })
    }

    /// Twelve minutes of load an hour, nothing else.
    pub fn long_bursts(self) -> Trace {
        self.trace("long bursts, 20 % duty", 14_400, |t, _| if (t as f64 / 3600.0).fract() < 0.2 { 2.5 } else { 0.0 })
    }

    /// Half a day for two executors, half a day for one.
    pub fn two_level_day(self) -> Trace {
        self.trace("two-level day", 86_400, |t, noise| {
            noise.around(0.1) * if (28_800..72_000).contains(&t) { 1.7 } else { 0.85 }
        })
    }

    /// A minute's spike every quarter of an hour.
    pub fn spikes(self) -> Trace {
        self.trace("60 s spike / 15 min", 7200, |t, _| {
            if (t as f64 / 900.0).fract() < 1.0 / 15.0 && t >= 60 { 3.4 } else { 0.5 }
        })
    }

    /// Six hours of an office day: a slow wave and bursts of all lengths. Generated, not recorded.
    pub fn day(self) -> Trace {
        let (mut slow, mut fast) = (0.0_f64, 0.0_f64);
        self.trace("day-like 6 h", 21_600, move |t, noise| {
            slow = slow * 0.998 + 0.03 * (noise.unit() - 0.5);
            fast = fast * 0.9 + 0.15 * (noise.unit() - 0.5);
            (wave(t, 21_600.0) * (1.0 + slow + fast)).clamp(0.02, 3.6)
        })
    }

    /// A constant load of `level` executors, ± 20 %.
    pub fn constant(self, level: f64, seconds: usize) -> Trace {
        self.trace(&format!("constant {level}"), seconds, |_, noise| level * noise.around(0.2))
    }

    /// `backlog_s` executor-seconds of records at once, on a light load.
    pub fn dump(self, backlog_s: f64) -> Trace {
        self.trace("backlog dump", 900, |t, _| if t == 60 { backlog_s } else { 0.2 })
    }

    /// A load of `level` executors and a source that is out for a minute; the producers' records arrive afterwards.
    pub fn outage(self, level: f64) -> Trace {
        let rate = |t: usize| match t {
            300..360 => 0.0,
            360 => level * 61.0,
            _ => level,
        };
        let mut trace = self.trace("outage of 60 s", 900, |t, _| rate(t));
        trace.outages.push((300, 360));
        trace
    }

    /// Nothing at all.
    pub fn idle(self, seconds: usize) -> Trace {
        self.trace("idle", seconds, |_, _| 0.0)
    }

    /// One step from `from` to `to` executors after 300 s.
    pub fn step_between(self, from: f64, to: f64) -> Trace {
        self.trace(&format!("step {from} to {to}"), 600, |t, _| if t < 300 { from } else { to })
    }

    fn trace(self, name: &str, seconds: usize, mut rate: impl FnMut(usize, &mut Random) -> f64) -> Trace {
        let mut noise = Random::new(self.seed);
        let arrivals = (0..seconds).map(|second| rate(second, &mut noise) * self.per_executor).collect();
        Trace::new(name, arrivals)
    }
}

/// Between 0.2 and 3.4 executors, lowest at the start.
fn wave(second: usize, period_s: f64) -> f64 {
    1.8 - 1.6 * (second as f64 / period_s * std::f64::consts::TAU).cos()
}
