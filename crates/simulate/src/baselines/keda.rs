//! KEDA's Kafka scaler with the Kubernetes HPA.
//!
//! Published: keda.sh, "ScaledObject specification" (`pollingInterval` 30 s, `cooldownPeriod` 300 s, between 0 and 1)
//! and "Apache Kafka" (`lagThreshold`, replicas = total lag / threshold); kubernetes.io, "Horizontal Pod Autoscaling"
//! (sync every 15 s, tolerance 0.1; before shrinking, the greatest recommendation of the last 300 s). It uses only the
//! lag: no rate, no capacity. Users tune `lagThreshold`; here it is three seconds' work of one executor.

use super::{PeriodicCheck, whole};
use crate::{Observation, Scaler};
use std::collections::VecDeque;
use tidemill_scale::Facts;

const THRESHOLD_S: f64 = 3.0;
const TOLERANCE: f64 = 0.1;
const COOLDOWN_S: f64 = 300.0;
const STABILISATION_S: f64 = 300.0;

/// KEDA with its defaults.
#[derive(Clone, Debug)]
pub struct Keda {
    max: u32,
    poll: PeriodicCheck,
    sync: PeriodicCheck,
    last_lag_s: f64,
    wishes: VecDeque<(f64, u32)>,
}

impl Keda {
    /// From 0 to `max`.
    pub fn new(max: u32) -> Keda {
        let (poll, sync) = (PeriodicCheck::seconds(30.0), PeriodicCheck::seconds(15.0));
        Keda { max, poll, sync, last_lag_s: 0.0, wishes: VecDeque::new() }
    }
}

impl Scaler for Keda {
    fn size(&mut self, _: &Facts, observation: &Observation) -> u32 {
        if self.poll.is_due(observation.now_s) {
            if observation.backlog > 0.0 {
                self.last_lag_s = observation.now_s;
            }
            match observation.size {
                0 if observation.backlog > 0.0 => return 1,
                0 => return 0,
                _ if observation.now_s - self.last_lag_s >= COOLDOWN_S => return 0,
                _ => {}
            }
        }
        if observation.size == 0 || !self.sync.is_due(observation.now_s) {
            return observation.size;
        }
        let replicas = observation.backlog / (THRESHOLD_S * observation.per_executor);
        let ratio = replicas / f64::from(observation.size);
        let wish = if (ratio - 1.0).abs() <= TOLERANCE { observation.size } else { whole(replicas, 1, self.max) };
        self.wishes.push_back((observation.now_s, wish));
        self.wishes.retain(|&(at_s, _)| at_s + STABILISATION_S > observation.now_s);
        let greatest = self.wishes.iter().map(|&(_, wish)| wish).max().unwrap_or(wish);
        if wish >= observation.size { wish } else { greatest.min(observation.size) }
    }
}
