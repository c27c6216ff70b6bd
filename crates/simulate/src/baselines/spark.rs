//! Spark's dynamic allocation under a micro-batch query.
//!
//! Published: spark.apache.org/docs, "Job Scheduling – Dynamic Resource Allocation". When tasks have been pending for
//! `schedulerBacklogTimeout` (1 s), it requests 1 more executor, then 2, 4, … more every second. An executor idle for
//! `executorIdleTimeout` (60 s) is released. A batch has as many tasks as the topic has partitions (8 here, two waves
//! on two executors), spread over all executors, so none is ever idle while batches run.

use crate::{Observation, Scaler};
use tidemill_scale::Facts;

const TASKS: f64 = 8.0;
const CORES: f64 = 2.0;
const BACKLOG_TIMEOUT_S: f64 = 1.0;
const IDLE_TIMEOUT_S: f64 = 60.0;

/// Dynamic allocation from 0 to `max`.
#[derive(Clone, Debug)]
pub struct Spark {
    max: u32,
    pending_since_s: Option<f64>,
    idle_since_s: f64,
    more: u32,
}

impl Spark {
    /// With its defaults.
    pub fn new(max: u32) -> Spark {
        Spark { max, pending_since_s: None, idle_since_s: 0.0, more: 1 }
    }
}

impl Scaler for Spark {
    fn size(&mut self, _: &Facts, observation: &Observation) -> u32 {
        let slots = f64::from(observation.size) * CORES;
        let waves = if slots > 0.0 { (TASKS / slots).ceil() } else { f64::INFINITY };
        let batch_s = if slots > 0.0 {
            (observation.backlog / (observation.per_executor * f64::from(observation.size))).max(observation.busy)
        } else {
            f64::INFINITY
        };
        // Tasks wait for a slot during all waves but the last.
        let waiting_s =
            if observation.backlog > 0.0 || observation.busy > 0.0 { batch_s * (1.0 - 1.0 / waves) } else { 0.0 };
        if observation.backlog > 0.0 || observation.busy > 0.0 {
            self.idle_since_s = observation.now_s;
        }
        if observation.now_s - self.idle_since_s >= IDLE_TIMEOUT_S {
            return 0;
        }
        if waiting_s < BACKLOG_TIMEOUT_S || (waves <= 1.0 && observation.size > 0) {
            (self.pending_since_s, self.more) = (None, 1);
            return observation.size;
        }
        let since_s = *self.pending_since_s.get_or_insert(observation.now_s);
        if observation.now_s - since_s < BACKLOG_TIMEOUT_S {
            return observation.size;
        }
        self.pending_since_s = Some(observation.now_s);
        let size = (observation.size + self.more).min(self.max);
        self.more *= 2;
        size
    }
}
