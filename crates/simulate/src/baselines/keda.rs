//! KEDA's Kafka scaler with the Kubernetes HPA behind it.
//!
//! Published: keda.sh, "ScaledObject specification" (`pollingInterval` 30 s, `cooldownPeriod` 300 s, between 0 and 1)
//! and "Apache Kafka" (`lagThreshold`, replicas = total lag / threshold); kubernetes.io, "Horizontal Pod Autoscaling"
//! (sync every 15 s, tolerance 0.1, the greatest wish of the last 300 s before shrinking). Lag alone: no rate, no
//! capacity. `lagThreshold` is what users tune; here it is three seconds' work of one executor.

use super::{Every, whole};
use crate::{Scaler, Sight};
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
    poll: Every,
    sync: Every,
    last_lag_s: f64,
    wishes: VecDeque<(f64, u32)>,
}

impl Keda {
    /// From 0 to `max`.
    pub fn new(max: u32) -> Keda {
        let (poll, sync) = (Every::seconds(30.0), Every::seconds(15.0));
        Keda { max, poll, sync, last_lag_s: 0.0, wishes: VecDeque::new() }
    }
}

impl Scaler for Keda {
    fn size(&mut self, _: &Facts, sight: &Sight) -> u32 {
        if self.poll.is_due(sight.now_s) {
            if sight.backlog > 0.0 {
                self.last_lag_s = sight.now_s;
            }
            match sight.size {
                0 if sight.backlog > 0.0 => return 1,
                0 => return 0,
                _ if sight.now_s - self.last_lag_s >= COOLDOWN_S => return 0,
                _ => {}
            }
        }
        if sight.size == 0 || !self.sync.is_due(sight.now_s) {
            return sight.size;
        }
        let replicas = sight.backlog / (THRESHOLD_S * sight.per_executor);
        let ratio = replicas / f64::from(sight.size);
        let wish = if (ratio - 1.0).abs() <= TOLERANCE { sight.size } else { whole(replicas, 1, self.max) };
        self.wishes.push_back((sight.now_s, wish));
        self.wishes.retain(|&(at_s, _)| at_s + STABILISATION_S > sight.now_s);
        let greatest = self.wishes.iter().map(|&(_, wish)| wish).max().unwrap_or(wish);
        if wish >= sight.size { wish } else { greatest.min(sight.size) }
    }
}
