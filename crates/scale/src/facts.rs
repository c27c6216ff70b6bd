//! The input of the policy: observed facts only, whole numbers only, so that a log replays exactly.

use serde::{Deserialize, Serialize};

/// What the driver observes, every 250–500 ms, and whenever records arrive while no executor lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// A monotonic clock, ms.
    pub now_ms: u64,
    /// How old `backlog` and `end_total` are, ms; 0 when just read.
    pub age_ms: u64,
    /// Records in the source and in no plan: `Σ max(0, end − max(position, log start))`; `None` if any part is unknown.
    pub backlog: Option<u64>,
    /// `Σ end` over the partitions, for the arrival rate; `None` if any is unknown.
    pub end_total: Option<u64>,
    /// Records in logged plans whose tasks have not ended: they need an executor even if the backlog is 0.
    pub unfinished: u64,
    /// A batch or another job is under way whose records, if it has any, are still in `backlog`: it needs an executor too.
    #[serde(default)]
    pub job: bool,
    /// Every logged plan is committed.
    pub all_committed: bool,
    /// Executors that take tasks.
    pub ready: u32,
    /// Executors that are starting.
    pub starting: u32,
    /// Executors that finish their last tasks.
    pub draining: u32,
    /// What each living executor has done since the last call.
    pub work: Vec<Work>,
    /// Times from spawn to ready, in ms, of the executors that became ready since the last call.
    pub start_ms: Vec<u64>,
    /// Costs of starts that became known since the last call, in ms: executor time without work (spawn → ready, the
    /// wait for a first record, asked to end → gone).
    #[serde(default)]
    pub start_cost_ms: Vec<u64>,
    /// Working time of the driver's own thread since the last call, µs.
    #[serde(default)]
    pub driver_us: u64,
    /// Time in sinks and commits since the last call, µs, including a write that is still running.
    #[serde(default)]
    pub sink_us: u64,
    /// Busy share of the machine's cores since the last call, thousandths; `None` if unknown.
    #[serde(default)]
    pub machine_busy: Option<u32>,
    /// The part of it that driver and executors used, thousandths of the machine's cores; `None` if unknown.
    #[serde(default)]
    pub own_busy: Option<u32>,
    /// Executors that ended unexpectedly since the last call.
    pub crashes: u32,
}

/// Work of one executor since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Id of the executor; never reused.
    pub executor: u64,
    /// Tasks ended.
    pub tasks: u64,
    /// Records in them.
    pub records: u64,
    /// Working time, summed over the cores, µs: task time minus waits for fetches, sinks and the rate limit.
    pub busy_us: u64,
    /// Time that its tasks waited for the source, summed over the cores, µs.
    #[serde(default)]
    pub fetch_us: u64,
}
