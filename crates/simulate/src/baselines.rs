//! Other autoscalers' rules, implemented from their publications and run on our machine: fast starts, no pause on a
//! rescale, exact figures. They are compared as rules; the products are slower.

mod dataflow;
mod ds2;
mod fixed;
mod flink;
mod keda;
mod spark;

pub use dataflow::Dataflow;
pub use ds2::Ds2;
pub use fixed::Fixed;
pub use flink::Flink;
pub use keda::Keda;
pub use spark::Spark;

use crate::scaler::Observation;
use std::collections::VecDeque;

/// Calls a rule at an interval.
#[derive(Clone, Copy, Debug)]
struct PeriodicCheck {
    period_s: f64,
    next_s: f64,
}

impl PeriodicCheck {
    fn seconds(period_s: f64) -> PeriodicCheck {
        PeriodicCheck { period_s, next_s: period_s }
    }

    fn is_due(&mut self, now_s: f64) -> bool {
        let due = now_s >= self.next_s;
        if due {
            self.next_s = now_s + self.period_s;
        }
        due
    }
}

/// Means over the last `window_s` seconds.
#[derive(Clone, Debug)]
struct Recent {
    window_s: f64,
    /// (second, arrived, busy summed over calls, calls).
    points: VecDeque<(f64, f64, f64, f64)>,
}

impl Recent {
    fn seconds(window_s: f64) -> Recent {
        Recent { window_s, points: VecDeque::new() }
    }

    fn note(&mut self, observation: &Observation) {
        let (busy, calls) = self.points.back().map_or((0.0, 0.0), |point| (point.2, point.3));
        self.points.push_back((observation.now_s, observation.arrived, busy + observation.busy, calls + 1.0));
        while self.points.len() > 2 && self.points[1].0 + self.window_s <= observation.now_s {
            self.points.pop_front();
        }
    }

    /// Whether a whole window has been observed.
    fn is_whole(&self) -> bool {
        self.span().is_some_and(|(first, last)| last.0 - first.0 >= self.window_s * 0.99)
    }

    /// Records/s that arrived.
    fn rate(&self) -> f64 {
        self.span().map_or(0.0, |(first, last)| (last.1 - first.1) / (last.0 - first.0))
    }

    /// Busy share.
    fn busy(&self) -> f64 {
        self.span().map_or(0.0, |(first, last)| (last.2 - first.2) / (last.3 - first.3))
    }

    fn span(&self) -> Option<((f64, f64, f64, f64), (f64, f64, f64, f64))> {
        let (first, last) = (*self.points.front()?, *self.points.back()?);
        (last.0 > first.0).then_some((first, last))
    }

    fn clear(&mut self) {
        self.points.clear();
    }
}

/// `need` executors, rounded up, between `min` and `max`.
fn whole(need: f64, min: u32, max: u32) -> u32 {
    (need - 1e-9).ceil().clamp(f64::from(min), f64::from(max)) as u32
}
