//! The phases of the demo: the load at each time, and what to look at. Pure.

use std::time::Duration;
use tidemill_load::Rate;

/// One phase of the load.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// What to look at, for the user.
    pub(crate) text: &'static str,
    /// End of the phase, counted from the demo's start.
    pub(crate) until: Duration,
    /// Total rate of all producers.
    pub(crate) rate: Rate,
    pub(crate) producers: usize,
}

/// Limit of an executor's core, so that a small machine can show all sizes. Not used at full speed.
pub(crate) const LIMIT_PER_CORE: f64 = 2_500.0;

/// The same where Spark's processes share the machine.
pub(crate) const LIMIT_PER_CORE_BESIDE_SPARK: f64 = 1_000.0;

/// The phases of a demo of about this length. What follows the last phase (zero executors, one record) takes as long as
/// it takes.
pub(crate) fn phases(length: Duration, limit: Option<f64>) -> Vec<Phase> {
    let (baseline, spike) = match limit {
        // A limited executor of two cores does 2 × LIMIT: the baseline needs 0.4 executors, the spike 3.1.
        Some(limit) => (Rate::PerSecond(limit * 0.8), Rate::PerSecond(limit * 6.2)),
        None => (Rate::PerSecond(50_000.0), Rate::Max),
    };
    let phase =
        |name, text, share: f64, rate, producers| Phase { name, text, until: length.mul_f64(share), rate, producers };
    vec![
        phase("quiet", "nothing comes, nothing runs: zero executors", 0.06, Rate::PerSecond(0.0), 1),
        phase("baseline", "a steady load: one executor is enough", 0.25, baseline, 1),
        phase("spike", "four producers at once: as many executors as are needed, at once", 0.52, spike, 4),
        phase("evening", "the backlog drains, executors go one after the other", 0.85, baseline, 1),
    ]
}

/// The phase at a time; `None` after the last one.
pub(crate) fn at(phases: &[Phase], elapsed: Duration) -> Option<&Phase> {
    phases.iter().find(|phase| elapsed < phase.until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other() {
        let phases = phases(Duration::from_secs(100), Some(LIMIT_PER_CORE));
        assert!(phases.is_sorted_by_key(|phase| phase.until));
        let name = |seconds| at(&phases, Duration::from_secs(seconds)).map(|phase| phase.name);
        assert_eq!(
            [0, 6, 30, 60, 85].map(name),
            [Some("quiet"), Some("baseline"), Some("spike"), Some("evening"), None]
        );
    }
}
