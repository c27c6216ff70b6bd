//! The demo that the demo tells: which load when, and what to look at. Pure.

use std::time::Duration;
use tidemill_load::Rate;

/// One phase of the load.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// What to look at.
    pub(crate) text: &'static str,
    /// When it ends, counted from the demo's start.
    pub(crate) until: Duration,
    /// Rate of all producers together.
    pub(crate) rate: Rate,
    pub(crate) producers: usize,
}

/// What an executor is held to, so that a small machine can show all sizes; `None` at full speed.
pub(crate) const LIMIT_PER_CORE: f64 = 2_500.0;

/// The phases of a demo of about this length. What follows the last one (zero executors, one single record) has no
/// length of its own: it takes what it takes.
pub(crate) fn phases(length: Duration, full_speed: bool) -> Vec<Phase> {
    let (baseline, spike) = match full_speed {
        // Held back, an executor of two cores does 2 × LIMIT: the baseline asks for 0.4 of one, the spike for 3.1.
        false => (Rate::PerSecond(LIMIT_PER_CORE * 0.8), Rate::PerSecond(LIMIT_PER_CORE * 6.2)),
        true => (Rate::PerSecond(50_000.0), Rate::Max),
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

/// The phase at a time, if the demo is not over.
pub(crate) fn at(phases: &[Phase], elapsed: Duration) -> Option<&Phase> {
    phases.iter().find(|phase| elapsed < phase.until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other() {
        let phases = phases(Duration::from_secs(100), false);
        assert!(phases.is_sorted_by_key(|phase| phase.until));
        let name = |seconds| at(&phases, Duration::from_secs(seconds)).map(|phase| phase.name);
        assert_eq!(
            [0, 6, 30, 60, 85].map(name),
            [Some("quiet"), Some("baseline"), Some("spike"), Some("evening"), None]
        );
    }
}
