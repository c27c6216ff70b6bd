//! Decisions with all their terms, and the log that can be replayed.

use crate::bottleneck::Bottleneck;
use crate::decide::decide;
use crate::facts::Facts;
use crate::settings::Settings;
use crate::state::State;
use serde::{Deserialize, Serialize};

/// One decision. Most keep the size; see [`Decision::acts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// `now_ms` of the facts.
    pub at_ms: u64,
    /// Size before.
    pub from: u32,
    /// Size decided.
    pub to: u32,
    /// Executors that the driver keeps: `to`, but `max` in advisory mode.
    pub keep: u32,
    /// The rule that decided.
    pub kind: Kind,
    /// One sentence for users.
    pub reason: String,
    /// The terms that the rule used.
    pub terms: Terms,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Records arrived while no executor lived.
    Activate,
    /// The runway is shorter than a start takes, the backlog is over its budget, or the load has stepped up.
    Up,
    /// A smaller size has been enough for as long as W.
    Down,
    /// Nothing to do for as long as the idle timeout.
    Zero,
    /// The size stays.
    Hold,
    /// A growth brought nothing and is undone.
    Guard,
    /// An executor was lost; the size stays and the driver replaces it.
    Replace,
    /// `min`, `max` or a pin sets the size.
    Bound,
}

/// Every term of a decision. Rates are in records/s, rounded to thousandths so that a log line reads back to the same
/// number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// λ½: the rate over the last half second.
    #[serde(default)]
    pub lambda_half: f64,
    /// λ1: the rate over the last second.
    pub lambda1: f64,
    /// λ2: over 2 s.
    pub lambda2: f64,
    /// λ5: over 5 s.
    pub lambda5: f64,
    /// λ15: over 15 s.
    pub lambda15: f64,
    /// λ↑: the expected rate when a start has taken effect.
    pub lambda_up: f64,
    /// μ, records per busy-second of a core, if known.
    pub mu: Option<f64>,
    /// T_start in seconds, including the age of the facts.
    pub start_s: f64,
    /// The price of a start, executor-seconds.
    #[serde(default)]
    pub price_s: f64,
    /// S: how long records gather where two sizes serve the load in turns, seconds; `None`: they do not.
    #[serde(default)]
    pub turn_s: Option<f64>,
    /// B; `None`: unknown.
    pub backlog: Option<u64>,
    /// B′: the expected backlog when a start has taken effect.
    pub backlog_up: f64,
    /// B_lim: the greatest acceptable backlog.
    pub budget: f64,
    /// B_slack: the backlog that may wait so that fewer executors are needed.
    #[serde(default)]
    pub slack: f64,
    /// Without executors: how long records have waited, seconds; `None` if none wait.
    #[serde(default)]
    pub waiting_s: Option<f64>,
    /// C(0..=max).
    pub capacity: Vec<f64>,
    /// The rate up to which each size is enough when shrinking: C, or less if the size was not enough before.
    pub enough_below: Vec<f64>,
    /// How long λ1 has been a step above the usual rate, seconds; `None` if it is not.
    pub step_s: Option<f64>,
    /// runway(0..=max, λ↑, B), seconds; `None`: it never ends.
    pub runway_s: Vec<Option<f64>>,
    /// How long each smaller size has been enough, seconds; `None` if it is not.
    pub held_s: Vec<Option<f64>>,
    /// How long there has been nothing to do, seconds; `None` if there is something.
    pub idle_s: Option<f64>,
    /// W in seconds; longer near a size's capacity while the load swings.
    pub hold_s: f64,
    /// Why growth is blocked, and for how long.
    pub guard: Option<String>,
    /// The bottleneck, while growth is blocked.
    #[serde(default)]
    pub bottleneck: Option<Bottleneck>,
}

impl Decision {
    /// Whether the size changes.
    pub fn acts(&self) -> bool {
        self.from != self.to
    }
}

/// A line of the decision log. A log begins with `Begin`; another `Begin` follows wherever settings change or a new
/// file starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// These settings and this state apply from here on.
    Begin {
        /// The settings.
        settings: Settings,
        /// The whole state.
        state: State,
    },
    /// One call of the policy.
    Step {
        /// The input.
        facts: Facts,
        /// The output.
        decision: Decision,
    },
}

/// A log record for which a replay decided differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Index of the record in the log, from 0.
    pub index: usize,
    /// The logged decision.
    pub logged: Decision,
    /// The replayed decision.
    pub replayed: Decision,
}

/// Decides again from a log's facts. Returns the number of replayed steps and the differences.
///
/// # Panics
/// If a step comes before any `Begin`: then it is not a decision log.
pub fn replay<'a>(log: impl IntoIterator<Item = &'a Record>) -> (usize, Vec<Difference>) {
    let mut present: Option<(&Settings, State)> = None;
    let (mut steps, mut differences) = (0, Vec::new());
    for (index, record) in log.into_iter().enumerate() {
        match record {
            Record::Begin { settings, state } => present = Some((settings, state.clone())),
            Record::Step { facts, decision } => {
                let (settings, state) = present.as_mut().expect("a decision log begins with settings and state");
                let replayed = decide(state, settings, facts);
                steps += 1;
                if replayed != *decision {
                    differences.push(Difference { index, logged: decision.clone(), replayed });
                }
            }
        }
    }
    (steps, differences)
}
