//! Which changes of size are told to people: where two sizes serve a load in turns, every one would drown the others.

use crate::decision::{Decision, Kind};
use std::collections::BTreeMap;

/// A change to a size that was told so lately is not told again, ms.
const AGAIN_MS: u64 = 30_000;

/// What was told.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// By size, when a change to it was told last.
    at_ms: BTreeMap<u32, u64>,
    untold: u64,
}

impl Changes {
    /// The reason of a change that is worth a line; it says how many before it were not.
    pub fn tell(&mut self, decision: &Decision) -> Option<String> {
        let lately = |told_ms: &u64| decision.at_ms.saturating_sub(*told_ms) < AGAIN_MS;
        if !decision.acts() {
            return (decision.kind == Kind::Guard).then(|| decision.reason.clone());
        }
        if self.at_ms.get(&decision.to).is_some_and(lately) {
            self.untold += 1;
            return None;
        }
        self.at_ms.insert(decision.to, decision.at_ms);
        Some(match std::mem::take(&mut self.untold) {
            0 => decision.reason.clone(),
            1 => format!("{} (1 change between sizes told lately is left out)", decision.reason),
            count => format!("{} ({count} changes between sizes told lately are left out)", decision.reason),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Terms;

    #[test]
    fn turns_are_told_every_half_minute() {
        let mut told = Changes::default();
        let mut lines = Vec::new();
        for (second, from, to) in [(0, 0, 1), (2, 1, 0), (3, 0, 1), (5, 1, 0), (6, 0, 3), (31, 3, 0), (32, 0, 1)] {
            let (at_ms, reason, terms) = (second * 1000, format!("{from}→{to}"), Terms::default());
            let decision = Decision { at_ms, from, to, keep: to, kind: Kind::Up, reason, terms };
            lines.extend(told.tell(&decision).map(|reason| format!("{second}: {reason}")));
        }
        let left_out = "(2 changes between sizes told lately are left out)";
        let last = "32: 0→1 (1 change between sizes told lately is left out)";
        assert_eq!(lines, ["0: 0→1", "2: 1→0", &format!("6: 0→3 {left_out}"), last]);
    }
}
