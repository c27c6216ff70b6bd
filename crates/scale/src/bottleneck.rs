//! Bottlenecks that more executors do not remove: what the last growth added, and which part is saturated.
//!
//! A trial is ten seconds at one size with a backlog over the budget. If the backlog grows meanwhile, the busy shares
//! show the bottleneck: the driver's thread, the sinks, the source, or the machine.

use crate::facts::Facts;
use serde::{Deserialize, Serialize};

/// A part that is busy for this share of the time is the bottleneck.
const SATURATED: f64 = 0.8;
/// Executors that wait for the source for this share of their time are starved.
const STARVED: f64 = 0.5;
/// A machine that is busy to this share has no capacity for another executor.
const MACHINE_FULL: f64 = 0.95;
/// If driver and executors use less than this share of the busy cores, other programs fill the machine. Each executor then
/// gets a share of the cores beside them, so more executors still do more.
const OWN_SHARE: f64 = 0.5;

/// What limits the executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// The driver's thread, which merges partials.
    Driver,
    /// A sink, or the checkpoint.
    Sink,
    /// The source delivers no more.
    Source,
    /// All cores of the machine are busy, mostly with driver and executors.
    Machine,
    /// All cores of the machine are busy, mostly with other programs. More executors help, but less than they should.
    OtherPrograms,
    /// Executors are idle, and none of the above is busy.
    Unknown,
}

impl Bottleneck {
    /// Describes the bottleneck and what helps.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Bottleneck::Driver => "the driver's merging thread is busy all the time; group by fewer keys",
            Bottleneck::Sink => "the sink or the checkpoint's disk is saturated; make it faster",
            Bottleneck::Source => "the source delivers no more records; executors wait for it",
            Bottleneck::Machine => "all cores of this machine are busy; use a larger machine or fewer executors",
            Bottleneck::OtherPrograms => {
                "other programs use the cores of this machine; end them or use a larger machine"
            }
            Bottleneck::Unknown => "executors are idle, and neither driver, sink nor source is busy",
        }
    }
}

/// A period at one size with all executors ready: its throughput, and busy times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub size: u32,
    pub since_ms: u64,
    pub backlog: u64,
    records: u64,
    busy_us: u64,
    fetch_us: u64,
    driver_us: u64,
    sink_us: u64,
    /// Busy share of the machine in thousandths, and the part of driver and executors, summed over `calls` calls.
    machine: u64,
    #[serde(default)]
    own: u64,
    calls: u64,
}

impl Trial {
    fn new(size: u32, now_ms: u64, backlog: u64) -> Trial {
        Trial {
            size,
            since_ms: now_ms,
            backlog,
            records: 0,
            busy_us: 0,
            fetch_us: 0,
            driver_us: 0,
            sink_us: 0,
            machine: 0,
            own: 0,
            calls: 0,
        }
    }

    /// Continues or begins a trial. `None` while the number of executors is not as decided, or the backlog is within
    /// `floor`.
    pub fn follow(trial: Option<Trial>, target: u32, floor: f64, facts: &Facts) -> Option<Trial> {
        let backlog = facts.backlog?;
        let settled = facts.ready == target && facts.starting == 0 && facts.draining == 0 && facts.crashes == 0;
        if !settled || (backlog as f64) <= floor {
            return None;
        }
        let mut trial = match trial {
            Some(trial) if trial.size == target => trial,
            _ => return Some(Trial::new(target, facts.now_ms, backlog)),
        };
        for work in &facts.work {
            trial.records += work.records;
            trial.busy_us += work.busy_us;
            trial.fetch_us += work.fetch_us;
        }
        trial.driver_us += facts.driver_us;
        trial.sink_us += facts.sink_us;
        if let Some(busy) = facts.machine_busy {
            trial.machine += u64::from(busy);
            trial.own += u64::from(facts.own_busy.unwrap_or(busy));
            trial.calls += 1;
        }
        Some(trial)
    }

    /// Records/s over this time.
    pub fn done(&self, lasted_s: f64) -> f64 {
        self.records as f64 / lasted_s
    }

    /// The bottleneck; `None` if all executors were working, so that more of them would do more.
    pub fn bottleneck(&self, lasted_s: f64, cores: u32, idle: f64) -> Option<Bottleneck> {
        let of_cores = |us: u64| us as f64 / 1e6 / (lasted_s * f64::from(cores * self.size));
        let of_one = |us: u64| us as f64 / 1e6 / lasted_s;
        let full = self.full();
        if of_cores(self.busy_us) > 1.0 - idle {
            return full;
        }
        Some(if of_one(self.driver_us) >= SATURATED {
            Bottleneck::Driver
        } else if of_one(self.sink_us) >= SATURATED {
            Bottleneck::Sink
        } else if of_cores(self.fetch_us) >= STARVED {
            Bottleneck::Source
        } else {
            // On a full machine executors wait for their turn on its cores, the driver for them, and nobody is busy all
            // the time.
            full.unwrap_or(Bottleneck::Unknown)
        })
    }

    /// By whom the machine is full, if it is.
    fn full(&self) -> Option<Bottleneck> {
        let full = self.machine as f64 / 1000.0 / self.calls.max(1) as f64 >= MACHINE_FULL;
        let others = (self.own as f64) < OWN_SHARE * self.machine as f64;
        full.then_some(if others { Bottleneck::OtherPrograms } else { Bottleneck::Machine })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Work;

    /// Ten seconds of two executors of two cores: busy share of their cores, of the machine, and of it by driver and
    /// executors → the bottleneck.
    fn check(busy: f64, machine: u32, own: Option<u32>, expected: Option<Bottleneck>) {
        let mut trial = None;
        for tick in 0..=40 {
            let work =
                |executor| Work { executor, records: 100, busy_us: (500_000.0 * busy) as u64, ..Work::default() };
            let facts = Facts {
                now_ms: 250 * tick,
                backlog: Some(1_000_000),
                ready: 2,
                work: vec![work(1), work(2)],
                machine_busy: Some(machine),
                own_busy: own,
                ..Facts::default()
            };
            trial = Trial::follow(trial, 2, 1_000.0, &facts);
        }
        let found = trial.expect("the backlog is over the floor").bottleneck(10.0, 2, 0.2);
        assert_eq!(found, expected, "{busy} {machine} {own:?}");
    }

    #[test]
    fn a_full_machine_is_ours_or_that_of_others() {
        check(0.9, 600, Some(500), None);
        check(0.9, 1_000, Some(900), Some(Bottleneck::Machine));
        check(0.9, 1_000, None, Some(Bottleneck::Machine));
        check(0.9, 1_000, Some(300), Some(Bottleneck::OtherPrograms));
        check(0.4, 1_000, Some(900), Some(Bottleneck::Machine));
        check(0.4, 1_000, Some(300), Some(Bottleneck::OtherPrograms));
        check(0.4, 600, Some(300), Some(Bottleneck::Unknown));
    }
}
