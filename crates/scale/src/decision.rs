//! What was decided, with every term of it, and the log that replays to the same decisions.

use crate::bottleneck::Bottleneck;
use crate::decide::decide;
use crate::facts::Facts;
use crate::settings::Settings;
use crate::state::State;
use serde::{Deserialize, Serialize};

/// One decision. Most say "hold"; [`Decision::acts`] tells the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// `now_ms` of the facts.
    pub at_ms: u64,
    /// Size before.
    pub from: u32,
    /// Size decided.
    pub to: u32,
    /// Executors that the driver shall keep: `to`, but `max` in advisory mode.
    pub keep: u32,
    /// Which rule spoke.
    pub kind: Kind,
    /// One sentence, for people.
    pub reason: String,
    /// What the rule looked at.
    pub terms: Terms,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Records came while no executor lived.
    Activate,
    /// The runway is shorter than a start takes, the backlog is over its budget, or the load has stepped up.
    Up,
    /// A smaller size has been enough for as long as W.
    Down,
    /// Nothing to do for as long as the idle timeout.
    Zero,
    /// The size stays.
    Hold,
    /// A growth brought nothing: taken back.
    Guard,
    /// An executor was lost; the size stays and the driver replaces it.
    Replace,
    /// `min`, `max` or a pin sets the size.
    Bound,
}

/// Every term of a decision; rates in records/s, to the thousandth so that a line reads back to the same number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// λ1: the rate over the last second; λ2, λ5 and λ15 are those over 2, 5 and 15 s.
    pub lambda1: f64,
    /// Over 2 s.
    pub lambda2: f64,
    /// Over 5 s.
    pub lambda5: f64,
    /// Over 15 s.
    pub lambda15: f64,
    /// λ↑: the rate when a start will have taken effect.
    pub lambda_up: f64,
    /// μ, records per busy-second of a core, when known.
    pub mu: Option<f64>,
    /// T_start, seconds, with the age of the facts.
    pub start_s: f64,
    /// The price of a start, executor-seconds.
    #[serde(default)]
    pub price_s: f64,
    /// S: how long records may wait so that executors need not, seconds.
    #[serde(default)]
    pub slack_s: f64,
    /// B; `None`: unknown.
    pub backlog: Option<u64>,
    /// B′: the backlog when a start will have taken effect.
    pub backlog_up: f64,
    /// B_lim: what the backlog may be.
    pub budget: f64,
    /// B_slack: what may wait so that executors need not.
    #[serde(default)]
    pub slack: f64,
    /// With no executor: how long records have waited, seconds; `None`: none do.
    #[serde(default)]
    pub waiting_s: Option<f64>,
    /// C(0..=max).
    pub capacity: Vec<f64>,
    /// The rate up to which each size counts as enough when shrinking: C, or less where that was once not enough.
    pub enough_below: Vec<f64>,
    /// For how long λ1 has been a step above what was usual, seconds; `None`: it is not.
    pub step_s: Option<f64>,
    /// runway(0..=max, λ↑, B), seconds; `None`: it never ends.
    pub runway_s: Vec<Option<f64>>,
    /// For how long each smaller size has been enough, seconds; `None`: it is not.
    pub held_s: Vec<Option<f64>>,
    /// For how long there has been nothing to do, seconds; `None`: there is.
    pub idle_s: Option<f64>,
    /// W, seconds; longer near a size's capacity while the load swings.
    pub hold_s: f64,
    /// Why growth is blocked, and for how long.
    pub guard: Option<String>,
    /// What more executors do not cure, while growth is blocked.
    #[serde(default)]
    pub bottleneck: Option<Bottleneck>,
}

impl Decision {
    /// Whether the size changes.
    pub fn acts(&self) -> bool {
        self.from != self.to
    }
}

/// A line of the decision log. A log begins with `Begin`; a further `Begin` stands wherever settings changed or a new
/// file was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// From here on with these settings, from this state.
    Begin {
        /// The settings.
        settings: Settings,
        /// The whole state.
        state: State,
    },
    /// One call.
    Step {
        /// What went in.
        facts: Facts,
        /// What came out.
        decision: Decision,
    },
}

/// A line of a log where replaying decided otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which record of the log, from 0.
    pub index: usize,
    /// What the log says.
    pub logged: Decision,
    /// What was decided from the same facts.
    pub replayed: Decision,
}

/// Decides again from a log's facts. Returns the steps replayed and where the decisions differ.
///
/// # Panics
/// When a step comes before any `Begin`: then it is no decision log.
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
