//! The clairvoyant optimum: what a load would have cost if it had been known in advance.
//!
//! Dynamic programming over seconds × (size, waiting records), with starts that take no time. Minimises
//! executor-seconds plus `price_s` per start, with every record done within the service level: all that waits at the
//! end of a second must have arrived within it. The queue is counted in 32nds of an executor-second.

use crate::machine::Mechanism;
use crate::trace::Trace;

/// Steps of the queue per executor-second.
const UNITS: f64 = 32.0;

/// The optimum's cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimum {
    /// Size × time.
    pub executor_seconds: f64,
    /// Executors started.
    pub starts: u64,
}

impl Optimum {
    /// Cost in executor-seconds when a start costs `start_s` of them.
    pub fn cost(&self, start_s: f64) -> f64 {
        self.executor_seconds + self.starts as f64 * start_s
    }
}

/// Finds it for a price of `price_s` executor-seconds per start; `None` if `max` executors cannot serve the trace
/// within the service level.
pub fn optimum(trace: &Trace, mechanism: &Mechanism, slo_ms: u64, max: u32, price_s: f64) -> Option<Optimum> {
    let unit = mechanism.per_executor / UNITS;
    let able: Vec<usize> = (0..=max).map(|size| (mechanism.able(size) / unit) as usize).collect();
    let arrived = cumulative(trace, unit);
    let slo_s = (slo_ms / 1000) as usize;
    let sizes = max as usize + 1;
    // best[waiting · sizes + size]: the least cost of this state.
    let mut best = vec![None; sizes];
    best[0] = Some(Optimum { executor_seconds: 0.0, starts: 0 });
    for second in 1..arrived.len() {
        let coming = arrived[second] - arrived[second - 1];
        let may_wait =
            if second + 1 == arrived.len() { able[1] } else { arrived[second] - arrived[second.saturating_sub(slo_s)] };
        let mut next = vec![None; (may_wait + 1) * sizes];
        for (index, at) in best.iter().enumerate() {
            let Some(at) = at else { continue };
            // Divides by a constant of the run; this is not event time.
            let waiting = index / sizes;
            let size = index - waiting * sizes;
            for (to, able) in able.iter().enumerate() {
                let left = (waiting + coming).saturating_sub(*able);
                if left <= may_wait {
                    improve(&mut next[left * sizes + to], step(*at, size, to), price_s);
                }
            }
        }
        best = next;
    }
    best.into_iter().flatten().min_by(|a, b| a.cost(price_s).total_cmp(&b.cost(price_s)))
}

fn step(at: Optimum, from: usize, to: usize) -> Optimum {
    Optimum { executor_seconds: at.executor_seconds + to as f64, starts: at.starts + to.saturating_sub(from) as u64 }
}

fn improve(place: &mut Option<Optimum>, candidate: Optimum, price_s: f64) {
    if place.is_none_or(|known| candidate.cost(price_s) < known.cost(price_s)) {
        *place = Some(candidate);
    }
}

/// Units arrived by the end of each second, from 0.
fn cumulative(trace: &Trace, unit: f64) -> Vec<usize> {
    let mut total = 0.0;
    let mut sums = vec![0];
    for records in &trace.arrivals {
        total += records / unit;
        sums.push(total.round() as usize);
    }
    sums
}
