//! DS2: the arrival rate divided by the true processing rate of an instance.
//!
//! Published: Kalavri et al., "Three steps is all you need: fast, accurate, automatic scaling decisions for distributed
//! streaming dataflows", OSDI 2018. Parallelism = source rate / true processing rate, rounded up; policy interval 60 s
//! and a warm-up of 30 s in its Flink experiments. It has no backlog term and does not scale to zero.

use super::{PeriodicCheck, Recent, whole};
use crate::{Observation, Scaler};
use tidemill_scale::Facts;

/// DS2 from 1 to `max`.
#[derive(Clone, Debug)]
pub struct Ds2 {
    max: u32,
    interval: PeriodicCheck,
    recent: Recent,
}

impl Ds2 {
    /// With the interval of its paper.
    pub fn new(max: u32) -> Ds2 {
        Ds2 { max, interval: PeriodicCheck::seconds(60.0), recent: Recent::seconds(30.0) }
    }
}

impl Scaler for Ds2 {
    fn size(&mut self, _: &Facts, observation: &Observation) -> u32 {
        self.recent.note(observation);
        if !self.interval.is_due(observation.now_s) {
            return observation.size.max(1);
        }
        whole(self.recent.rate() / observation.per_executor, 1, self.max)
    }
}
