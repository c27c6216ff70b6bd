//! Bottlenecks that more executors do not cure: what a size has brought, and who holds it back.
//!
//! A trial is a stretch of ten seconds at one size with more waiting than may wait. When the backlog has grown meanwhile,
//! the shares of that time say who was busy: the driver's thread, the sinks, the source, or the machine as a whole.

use crate::facts::Facts;
use serde::{Deserialize, Serialize};

/// Who is busy for this share of the time holds the others back.
const SATURATED: f64 = 0.8;
/// Executors that wait for this share of their time wait for the source.
const STARVED: f64 = 0.5;
/// A machine of which this share is busy has nothing left for another executor.
const MACHINE_FULL: f64 = 0.95;

/// What holds the executors back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// The driver's thread, which merges.
    Driver,
    /// A sink, or the checkpoint.
    Sink,
    /// The source gives no more.
    Source,
    /// All cores of the machine are busy.
    Machine,
    /// Executors are idle, and nothing of the above is busy.
    Unknown,
}

impl Bottleneck {
    /// What it is, and what helps.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Bottleneck::Driver => "the driver's merging thread is busy all the time; group by fewer keys",
            Bottleneck::Sink => "the sink or the checkpoint's disk takes no more; speed it up",
            Bottleneck::Source => "the source gives no more; executors wait for its records",
            Bottleneck::Machine => "all cores of this machine are busy; use a larger machine, or fewer executors",
            Bottleneck::Unknown => "executors are idle, and neither driver, sink nor source is busy",
        }
    }
}

/// A stretch of time at one size, all executors ready: what the size brought, and who was busy.
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
    /// Share of the machine that was busy, thousandths, summed over `calls` calls.
    machine: u64,
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
            calls: 0,
        }
    }

    /// Goes on with a trial, or begins one; none while the fleet is not as decided or the backlog is within `floor`.
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
            trial.calls += 1;
        }
        Some(trial)
    }

    /// Records/s over these seconds.
    pub fn done(&self, lasted_s: f64) -> f64 {
        self.records as f64 / lasted_s
    }

    /// Who held the executors back. `None`: they were all at work, so more of them would do more.
    pub fn bottleneck(&self, lasted_s: f64, cores: u32, idle: f64) -> Option<Bottleneck> {
        let of_cores = |us: u64| us as f64 / 1e6 / (lasted_s * f64::from(cores * self.size));
        let of_one = |us: u64| us as f64 / 1e6 / lasted_s;
        if of_cores(self.busy_us) > 1.0 - idle {
            let machine = self.machine as f64 / 1000.0 / self.calls.max(1) as f64;
            return (machine >= MACHINE_FULL).then_some(Bottleneck::Machine);
        }
        Some(if of_one(self.driver_us) >= SATURATED {
            Bottleneck::Driver
        } else if of_one(self.sink_us) >= SATURATED {
            Bottleneck::Sink
        } else if of_cores(self.fetch_us) >= STARVED {
            Bottleneck::Source
        } else {
            Bottleneck::Unknown
        })
    }
}
