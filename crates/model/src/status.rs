//! A snapshot of a running pipeline, for the terminal view, the dashboard and the report.

use crate::fault::FaultCounts;
use crate::pipeline::ScaleMode;
use crate::scale_change::ScaleChange;
use serde::{Deserialize, Serialize};

/// A snapshot, taken by the driver a few times a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The pipeline's name.
    pub name: String,
    /// Wall clock, ms since the epoch.
    pub now_ms: i64,
    /// Milliseconds since the driver started.
    pub uptime_ms: u64,
    /// What the driver does, in a few words: `idle`, `batch 12: 3 of 8 tasks`, `waiting for topic t`.
    pub activity: String,
    /// Arrival rate over the last seconds, records/s.
    pub rate_in: f64,
    /// Processing rate over the last seconds, records/s.
    pub rate_done: f64,
    /// Records that have arrived and are in no committed batch.
    pub backlog: u64,
    /// Median age in ms of the records of recent batches when their results were out.
    pub age_p50_ms: u64,
    /// 99th percentile of the same ages, in ms.
    pub age_p99_ms: u64,
    /// Number of the last committed batch.
    pub batch_id: Option<u64>,
    /// Records in committed batches.
    pub records: u64,
    /// Records by fault, this run.
    pub faults: FaultCounts,
    /// The watermark, ms since the epoch; `None` without one.
    pub watermark_ms: Option<i64>,
    /// Groups in the state.
    pub state_rows: u64,
    /// The size that the autoscaler wants.
    pub executors_target: u32,
    /// Who chooses the size.
    #[serde(default)]
    pub mode: ScaleMode,
    /// The least size that it may want.
    #[serde(default)]
    pub executors_min: u32,
    /// The largest size that it may want.
    pub executors_max: u32,
    /// The greatest wanted age of a record when its result is out, ms.
    #[serde(default)]
    pub slo_ms: u64,
    /// What holds an executor to its cores and memory, a sentence.
    #[serde(default)]
    pub limits: String,
    /// The size that a user pinned.
    pub executors_pinned: Option<u32>,
    /// The living executors.
    pub executors: Vec<ExecutorStatus>,
    /// Seconds from spawn to exit, summed over all executors so far.
    pub executor_seconds: f64,
    /// What the largest allowed size would have used, always on. Each moment counts at the maximum of that moment.
    #[serde(default)]
    pub always_on_executor_seconds: f64,
    /// Records/s of one executor core: measured, or its limit if that is lower or nothing has been measured. `None` if
    /// neither is known.
    pub capacity_per_core: Option<f64>,
    /// The newest decisions, newest last.
    pub decisions: Vec<DecisionLine>,
    /// Rows of the newest output, newest last, at most a few dozen.
    pub windows: ResultRows,
}

/// One executor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutorStatus {
    /// Number in the order of spawning, from 1; never reused.
    pub id: u64,
    /// Operating system process id.
    pub pid: u32,
    /// `starting`, `ready`, `draining`.
    pub state: String,
    /// Tasks running.
    pub tasks_running: u32,
    /// Records processed.
    pub records: u64,
}

/// One decision of the autoscaler, as text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DecisionLine {
    /// Wall clock, ms since the epoch.
    pub at_ms: i64,
    /// Size before.
    pub from: u32,
    /// Size decided.
    pub to: u32,
    /// One sentence.
    pub reason: String,
}

/// Output rows as text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultRows {
    /// Column names.
    pub columns: Vec<String>,
    /// Values as the console prints them; `NULL` for NULL.
    pub rows: Vec<Vec<String>>,
}

/// A user's command to a running driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Finish the batch, commit, end.
    Stop,
    /// Keep this many executors, whatever the policy says.
    Pin(u32),
    /// Follow the policy again.
    Unpin,
    /// Decide by other settings from now on.
    Scale(ScaleChange),
}
