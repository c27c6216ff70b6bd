//! The sequence of kills and pins. It follows from the seed alone.

use crate::random::Random;
use std::time::Duration;

/// Shares of the actions in percent. The rest are unpins.
const EXECUTOR: u64 = 55;
const DRIVER: u64 = 15;
const BROKER: u64 = 5;
const PIN: u64 = 20;

/// The largest size that the pipeline may have.
const EXECUTORS_MAX: u64 = 4;

/// Pause between two actions, in ms.
const GAP_MS: (u64, u64) = (200, 1_800);

/// Longest time until a killed driver or broker is started again, in ms.
const AWAY_MS: u64 = 1_000;

/// One action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// One of the living executors: the number modulo how many there are.
    KillExecutor(u64),
    /// The driver, which is started again after this time.
    KillDriver(Duration),
    /// The broker, which is started again after this time.
    KillBroker(Duration),
    /// Pins this number of executors.
    Pin(u64),
    /// The autoscaler decides again.
    Unpin,
}

/// The sequence.
pub struct ActionSequence {
    random: Random,
}

impl ActionSequence {
    /// Another seed, another sequence.
    pub fn new(seed: u64) -> ActionSequence {
        ActionSequence { random: Random::new(seed) }
    }

    /// The next action, and how long to wait before it.
    pub fn next(&mut self) -> (Duration, Action) {
        let gap = GAP_MS.0 + self.random.bits() % (GAP_MS.1 - GAP_MS.0);
        let (kind, detail) = (self.random.bits() % 100, self.random.bits());
        let away = Duration::from_millis(detail % AWAY_MS);
        let action = match kind {
            kind if kind < EXECUTOR => Action::KillExecutor(detail),
            kind if kind < EXECUTOR + DRIVER => Action::KillDriver(away),
            kind if kind < EXECUTOR + DRIVER + BROKER => Action::KillBroker(away),
            kind if kind < EXECUTOR + DRIVER + BROKER + PIN => Action::Pin(detail % (EXECUTORS_MAX + 1)),
            _ => Action::Unpin,
        };
        (Duration::from_millis(gap), action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_it_all_and_half_an_hour_holds_500_kills() {
        let sequence = |seed| {
            let mut actions = ActionSequence::new(seed);
            (0..1_000).map(|_| actions.next()).collect::<Vec<_>>()
        };
        let first = sequence(1);
        assert_eq!(first, sequence(1));
        assert_ne!(first, sequence(2));
        let share = |wanted: fn(&Action) -> bool| first.iter().filter(|(_, action)| wanted(action)).count();
        let kills = share(|action| !matches!(action, Action::Pin(_) | Action::Unpin));
        let length: Duration = first.iter().map(|(gap, _)| *gap).sum();
        assert!(kills as f64 / length.as_secs_f64() * 1_800.0 > 1_000.0, "{kills} in {length:?}");
        assert!(share(|action| *action == Action::Pin(0)) > 10 && share(|action| *action == Action::Pin(4)) > 10);
        assert!(share(|action| *action == Action::Pin(5)) == 0 && share(|action| *action == Action::Unpin) > 10);
    }
}
