//! The autoscaler of the Apache Flink Kubernetes Operator.
//!
//! Published: nightlies.apache.org/flink/flink-kubernetes-operator-docs, "Autoscaler" and "Configuration". Target rate
//! = (arrival rate + lag / catch-up + arrivals during a restart) / target utilisation; it scales when the target rate
//! leaves the boundary around it, waits for a stabilisation interval after each change, and scales down at most once
//! per interval. Defaults: utilisation 0.7 ± 0.3, metrics window 15 min, stabilisation 5 min, catch-up 30 min, restart
//! 5 min, scale-down interval 1 h. The job restart is left out here. It does not scale to zero.

use super::{Recent, whole};
use crate::{Observation, Scaler};
use tidemill_scale::Facts;

/// The operator's autoscaler, from 1 to `max`.
#[derive(Clone, Debug)]
pub struct Flink {
    max: u32,
    recent: Recent,
    stabilisation_s: f64,
    catch_up_s: f64,
    restart_s: f64,
    down_interval_s: f64,
    last_s: f64,
    last_wish_up_s: f64,
}

impl Flink {
    /// With its defaults.
    pub fn new(max: u32) -> Flink {
        Flink {
            max,
            recent: Recent::seconds(900.0),
            stabilisation_s: 300.0,
            catch_up_s: 1800.0,
            restart_s: 300.0,
            down_interval_s: 3600.0,
            last_s: f64::NEG_INFINITY,
            last_wish_up_s: f64::NEG_INFINITY,
        }
    }

    /// With the shortest times that its documentation allows: window 60 s, stabilisation 30 s, catch-up 60 s, restart 1
    /// s, scale-down interval 60 s.
    pub fn tuned(max: u32) -> Flink {
        Flink {
            recent: Recent::seconds(60.0),
            stabilisation_s: 30.0,
            catch_up_s: 60.0,
            restart_s: 1.0,
            down_interval_s: 60.0,
            ..Flink::new(max)
        }
    }
}

const TARGET: f64 = 0.7;
const BOUNDARY: f64 = 0.3;

impl Scaler for Flink {
    fn size(&mut self, _: &Facts, observation: &Observation) -> u32 {
        self.recent.note(observation);
        let size = observation.size.max(1);
        if observation.now_s < self.last_s + self.stabilisation_s || !self.recent.is_whole() {
            return size;
        }
        let rate = self.recent.rate();
        let catch_up = observation.backlog / self.catch_up_s;
        let able = f64::from(size) * observation.per_executor;
        let (least, most) = (able * (TARGET - BOUNDARY), able * (TARGET + BOUNDARY).min(1.0));
        if (least..=most).contains(&(rate + catch_up)) {
            return size;
        }
        let restart = rate * self.restart_s / self.catch_up_s;
        let wish = whole((rate + catch_up + restart) / TARGET / observation.per_executor, 1, self.max);
        if wish > size {
            self.last_wish_up_s = observation.now_s;
        }
        if wish < size && observation.now_s < self.last_wish_up_s + self.down_interval_s {
            return size;
        }
        if wish != size {
            self.last_s = observation.now_s;
            self.recent.clear();
        }
        wish
    }
}
