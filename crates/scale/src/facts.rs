//! What the policy is told each time: facts, nothing derived, whole numbers only, so that a log replays exactly.

use serde::{Deserialize, Serialize};

/// What the driver sees, every 250–500 ms and whenever records arrive while no executor lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// A monotonic clock, ms.
    pub now_ms: u64,
    /// How old `backlog` and `end_total` are, ms; 0 when just read.
    pub age_ms: u64,
    /// Records that are in the source and in no plan: `Σ max(0, end − max(position, log start))`; `None` when any
    /// part of it is unknown.
    pub backlog: Option<u64>,
    /// `Σ end` over the partitions, for the arrival rate; `None` when any is unknown.
    pub end_total: Option<u64>,
    /// Records in logged plans whose tasks have not ended: they need an executor though the backlog may be 0.
    pub unfinished: u64,
    /// Every logged plan is committed.
    pub all_committed: bool,
    /// Executors that take tasks.
    pub ready: u32,
    /// Executors on their way up.
    pub starting: u32,
    /// Executors that finish their last tasks.
    pub draining: u32,
    /// What each living executor has done since the last call.
    pub work: Vec<Work>,
    /// Spawn → ready of the executors that became ready since the last call, ms each.
    pub start_ms: Vec<u64>,
    /// What starts have cost, as known since the last call: executor-time without work, ms each (spawn → ready, the wait
    /// for a first record, told to end → gone).
    #[serde(default)]
    pub start_cost_ms: Vec<u64>,
    /// Time of the driver's own thread spent working since the last call, µs.
    #[serde(default)]
    pub driver_us: u64,
    /// Time spent in the sinks and in committing since the last call, µs; with the write that still goes on.
    #[serde(default)]
    pub sink_us: u64,
    /// The share of the machine's cores that was busy since the last call, thousandths; `None`: not known here.
    #[serde(default)]
    pub machine_busy: Option<u32>,
    /// Executors that ended without being told to, since the last call.
    pub crashes: u32,
}

/// Work of one executor since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Which one; numbers are never used twice.
    pub executor: u64,
    /// Tasks ended.
    pub tasks: u64,
    /// Records in them.
    pub records: u64,
    /// Time worked on them, summed over the cores, µs: task time less waits on fetch, on sinks and on the rate limit.
    pub busy_us: u64,
    /// Time that its tasks waited for the source, summed over the cores, µs.
    #[serde(default)]
    pub fetch_us: u64,
}
