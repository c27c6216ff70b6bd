//! A rule similar to Google Cloud Dataflow's for streaming.
//!
//! Published: cloud.google.com/dataflow/docs, "Horizontal Autoscaling". A backlog of more than 15 s with more than 20 %
//! of the CPU busy, for a couple of minutes, scales up so that the backlog is gone in about 150 s. A backlog under 10 s
//! with less than 75 % busy, for a couple of minutes, scales down to 75 % busy. It does not scale to zero. Not
//! published are the windows (taken as two minutes) and the estimate of the backlog's time (taken as backlog over
//! capacity).

use super::{Recent, whole};
use crate::{Observation, Scaler};
use tidemill_scale::Facts;

const HOLD_S: f64 = 120.0;
const DRAIN_S: f64 = 150.0;

/// The rule from 1 to `max`.
#[derive(Clone, Debug)]
pub struct Dataflow {
    max: u32,
    recent: Recent,
    up_since_s: Option<f64>,
    down_since_s: Option<f64>,
}

impl Dataflow {
    /// With the published figures.
    pub fn new(max: u32) -> Dataflow {
        Dataflow { max, recent: Recent::seconds(HOLD_S), up_since_s: None, down_since_s: None }
    }
}

impl Scaler for Dataflow {
    fn size(&mut self, _: &Facts, observation: &Observation) -> u32 {
        self.recent.note(observation);
        let size = observation.size.max(1);
        let backlog_s = observation.backlog / (observation.per_executor * f64::from(size));
        let busy = self.recent.busy();
        let up = backlog_s > 15.0 && busy > 0.2;
        let down = backlog_s < 10.0 && busy < 0.75;
        self.up_since_s = up.then(|| self.up_since_s.unwrap_or(observation.now_s));
        self.down_since_s = down.then(|| self.down_since_s.unwrap_or(observation.now_s));
        let held = |since_s: Option<f64>| since_s.is_some_and(|since_s| observation.now_s - since_s >= HOLD_S);
        let rate = self.recent.rate();
        let wish = if held(self.up_since_s) {
            whole((rate + observation.backlog / DRAIN_S) / observation.per_executor, size, self.max)
        } else if held(self.down_since_s) {
            whole(rate / 0.75 / observation.per_executor, 1, size)
        } else {
            return size;
        };
        if wish != size {
            (self.up_since_s, self.down_since_s) = (None, None);
        }
        wish
    }
}
