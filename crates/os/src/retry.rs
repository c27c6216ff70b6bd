//! Retry policies. This table lists every policy of the project.
//!
//! | policy | what is tried again | first pause | longest | given up after |
//! |---|---|---|---|---|
//! | [`COMMIT`] | a batch's rows to a sink, its dead letters to their directory | 50 ms | 2 s | 60 s |
//! | [`REMOTE_COMMIT`] | the same to another system, in a run that does not end by itself | 50 ms | 2 s | never |
//! | [`DEAD_LETTERS`] | the dead letters of a task, by whichever task comes next | 500 ms | 500 ms | 60 s |
//! | [`TASK`] | a task whose source could not be reached, on any executor | 500 ms | 500 ms | never |
//! | [`SOURCE`] | a look at a source that cannot be reached or is not there | 500 ms | 500 ms | never |
//! | [`BOUNDED_SOURCE`] | the same in a run that is to end by itself | 500 ms | 500 ms | 60 s |
//! | [`TOPIC`] | a look at a topic that was just made | 20 ms | 20 ms | 10 s |
//! | [`CONNECTION`] | a connection of the native Kafka client; properties may set the pauses | 20 ms | 1 s | never |
//! | [`SPARK`] | a call to a Spark Connect server that has answered before | 50 ms | 5 s | 90 s |
//! | [`SPARK_FIRST`] | a call to one that has not | 50 ms | 5 s | 10 s |
//! | [`SPARK_KEPT`] | a call to one that this run starts again when it ends | 50 ms | 1 s | 600 s |

use std::time::Duration;

/// A retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Pause after the first failure; it doubles after each further failure.
    pub first: Duration,
    /// Upper limit of a pause.
    pub longest: Duration,
    /// No attempt begins later than this after the first failure; `None` retries for ever.
    pub patience: Option<Duration>,
}

const fn policy(first_ms: u64, longest_ms: u64, patience_s: Option<u64>) -> Retry {
    let patience = match patience_s {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => None,
    };
    Retry { first: Duration::from_millis(first_ms), longest: Duration::from_millis(longest_ms), patience }
}

/// A batch's rows to a sink; its dead letters to their directory.
pub const COMMIT: Retry = policy(50, 2_000, Some(60));
/// The same, to another system, in a run that does not end by itself.
pub const REMOTE_COMMIT: Retry = policy(50, 2_000, None);
/// The dead letters of a task.
pub const DEAD_LETTERS: Retry = policy(500, 500, Some(60));
/// A task whose source could not be reached.
pub const TASK: Retry = policy(500, 500, None);
/// Asking a source that cannot be reached.
pub const SOURCE: Retry = policy(500, 500, None);
/// The same, in a run that ends by itself.
pub const BOUNDED_SOURCE: Retry = policy(500, 500, Some(60));
/// Looking for a topic that was just created.
pub const TOPIC: Retry = policy(20, 20, Some(10));
/// A connection of the native Kafka client.
pub const CONNECTION: Retry = policy(20, 1_000, None);
/// A call to a Spark Connect server that has answered before.
pub const SPARK: Retry = policy(50, 5_000, Some(90));
/// A call to a Spark Connect server that has not answered yet.
pub const SPARK_FIRST: Retry = policy(50, 5_000, Some(10));
/// A call to a Spark Connect server that this run starts again when it ends. A failed start ends the run earlier.
pub const SPARK_KEPT: Retry = policy(50, 1_000, Some(600));

impl Retry {
    /// The pause before the next attempt, given the number of failures and the time since the first; `None`: give up.
    pub fn pause(&self, failures: u32, since_first: Duration) -> Option<Duration> {
        (!self.is_over(since_first)).then(|| self.pause_after(failures))
    }

    /// The pause after so many failures, whatever the patience.
    pub fn pause_after(&self, failures: u32) -> Duration {
        let factor = 2u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// Whether it is time to give up.
    pub fn is_over(&self, since_first: Duration) -> bool {
        self.patience.is_some_and(|patience| since_first >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<u128> =
            (1..=8).map(|failures| COMMIT.pause(failures, Duration::ZERO).expect("early").as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(COMMIT.pause(u32::MAX, Duration::from_secs(59)), Some(COMMIT.longest));
        assert_eq!(COMMIT.pause(1, Duration::from_secs(60)), None);
        assert_eq!(TASK.pause(9, Duration::MAX), Some(TASK.first));
        let connecting = [1, 2, 3, 6, 7, 1_000].map(|failures| CONNECTION.pause_after(failures).as_millis());
        assert_eq!(connecting, [20, 40, 80, 640, 1_000, 1_000]);
    }
}
