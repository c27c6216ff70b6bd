//! The trait of a policy in a simulation, and Tidemill's policy as one.

use tidemill_scale::{Decision, Facts, Record, Settings, State, decide};

/// A rule that chooses a size.
pub trait Scaler {
    /// The size from now on.
    fn size(&mut self, facts: &Facts, observation: &Observation) -> u32;
}

/// Input for other policies: exact figures, so that none loses by our way of measuring.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Seconds since the start.
    pub now_s: f64,
    /// Waiting records; 0 while the source is out.
    pub backlog: f64,
    /// Records arrived so far.
    pub arrived: f64,
    /// Records done so far.
    pub done: f64,
    /// Busy share of the ready executors since the last call.
    pub busy: f64,
    /// The last chosen size.
    pub size: u32,
    /// Records/s of one executor when alone.
    pub per_executor: f64,
}

/// Tidemill's policy, with a log of its decisions.
pub struct Runway {
    settings: Settings,
    state: State,
    keep_log: bool,
    log: Vec<Record>,
}

impl Runway {
    /// With nothing learnt.
    pub fn new(settings: &Settings) -> Runway {
        Runway::from_state(settings, State::new(settings))
    }

    /// With what was learnt before.
    pub fn from_state(settings: &Settings, state: State) -> Runway {
        Runway { settings: settings.clone(), state, keep_log: false, log: Vec::new() }
    }

    /// Logs every call, for a replay.
    #[must_use]
    pub fn logged(mut self) -> Runway {
        self.keep_log = true;
        self.log.push(Record::Begin { settings: self.settings.clone(), state: self.state.clone() });
        self
    }

    /// All calls if logged, else those that changed the size.
    pub fn log(&self) -> &[Record] {
        &self.log
    }

    /// The decisions that changed the size.
    pub fn actions(&self) -> impl Iterator<Item = &Decision> {
        self.log.iter().filter_map(|record| match record {
            Record::Step { decision, .. } if decision.acts() => Some(decision),
            _ => None,
        })
    }

    /// The policy's state.
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl Scaler for Runway {
    fn size(&mut self, facts: &Facts, _: &Observation) -> u32 {
        let decision = decide(&mut self.state, &self.settings, facts);
        let keep = decision.keep;
        if self.keep_log || decision.acts() {
            self.log.push(Record::Step { facts: facts.clone(), decision });
        }
        keep
    }
}
