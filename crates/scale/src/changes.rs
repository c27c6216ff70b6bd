//! Which changes of size are logged. Where two sizes serve a load in turns, the repeated ones would drown the others.

use crate::decision::{Decision, Kind};
use std::collections::BTreeMap;

/// A change to the same size is not logged again within this time, ms.
const AGAIN_MS: u64 = 30_000;

/// The changes that were logged.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// By size, when a change to it was last logged.
    at_ms: BTreeMap<u32, u64>,
    left_out: u64,
}

impl Changes {
    /// The line to log for a decision, if any. It says how many changes were left out before it.
    pub fn line(&mut self, decision: &Decision) -> Option<String> {
        let lately = |logged_ms: &u64| decision.at_ms.saturating_sub(*logged_ms) < AGAIN_MS;
        if !decision.acts() {
            return (decision.kind == Kind::Guard).then(|| decision.reason.clone());
        }
        if self.at_ms.get(&decision.to).is_some_and(lately) {
            self.left_out += 1;
            return None;
        }
        self.at_ms.insert(decision.to, decision.at_ms);
        Some(match std::mem::take(&mut self.left_out) {
            0 => decision.reason.clone(),
            1 => format!("{} (1 repeated change not shown)", decision.reason),
            count => format!("{} ({count} repeated changes not shown)", decision.reason),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Terms;

    #[test]
    fn turns_are_logged_every_half_minute() {
        let mut changes = Changes::default();
        let mut lines = Vec::new();
        for (second, from, to) in [(0, 0, 1), (2, 1, 0), (3, 0, 1), (5, 1, 0), (6, 0, 3), (31, 3, 0), (32, 0, 1)] {
            let (at_ms, reason, terms) = (second * 1000, format!("{from}→{to}"), Terms::default());
            let decision = Decision { at_ms, from, to, keep: to, kind: Kind::Up, reason, terms };
            lines.extend(changes.line(&decision).map(|reason| format!("{second}: {reason}")));
        }
        let left_out = "(2 repeated changes not shown)";
        let last = "32: 0→1 (1 repeated change not shown)";
        assert_eq!(lines, ["0: 0→1", "2: 1→0", &format!("6: 0→3 {left_out}"), last]);
    }
}
