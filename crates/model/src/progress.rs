//! Progress records: Spark's `StreamingQueryProgress` JSON, field by field, with what Tidemill adds under `tidemill`.

use crate::fault::FaultCounts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One batch's progress, or an idle heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Identity of the query, kept in the checkpoint.
    pub id: String,
    /// Identity of this run of it.
    pub run_id: String,
    /// The pipeline's name.
    pub name: String,
    /// Start of the batch, ISO 8601 UTC.
    pub timestamp: String,
    /// Number of the batch.
    pub batch_id: u64,
    /// Length of the batch, ms.
    pub batch_duration: u64,
    /// Records read.
    pub num_input_rows: u64,
    /// Records that arrived per second since the batch before.
    pub input_rows_per_second: f64,
    /// Records processed per second of this batch.
    pub processed_rows_per_second: f64,
    /// Milliseconds by step: `latestOffset`, `queryPlanning`, `walCommit`, `addBatch`, `commitOffsets`, `triggerExecution`.
    pub duration_ms: BTreeMap<String, u64>,
    /// `avg`, `max`, `min` (ISO, absent without rows) and `watermark`; empty without a watermark.
    pub event_time: BTreeMap<String, String>,
    /// The stateful operator; empty for a stateless query.
    pub state_operators: Vec<StateOperatorProgress>,
    /// One entry per source.
    pub sources: Vec<SourceProgress>,
    /// The sinks.
    pub sink: SinkProgress,
    /// Always empty; Spark has it.
    pub observed_metrics: BTreeMap<String, String>,
    /// What Tidemill adds.
    pub tidemill: TidemillProgress,
}

/// `stateOperators[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateOperatorProgress {
    /// `stateStoreSave`, Spark's name for the aggregation.
    pub operator_name: String,
    /// Groups in the state after the batch.
    pub num_rows_total: u64,
    /// Groups touched by the batch.
    pub num_rows_updated: u64,
    /// Groups evicted by the batch.
    pub num_rows_removed: u64,
    /// Distinct late (window, key) groups of the batch (rule L3).
    pub num_rows_dropped_by_watermark: u64,
    /// Bytes of state in memory, estimated.
    pub memory_used_bytes: u64,
}

/// `sources[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProgress {
    /// `KafkaV2[Subscribe[topic]]`, Spark's words.
    pub description: String,
    /// topic → partition → offset.
    pub start_offset: BTreeMap<String, BTreeMap<String, i64>>,
    /// topic → partition → offset.
    pub end_offset: BTreeMap<String, BTreeMap<String, i64>>,
    /// topic → partition → offset.
    pub latest_offset: BTreeMap<String, BTreeMap<String, i64>>,
    /// Records read.
    pub num_input_rows: u64,
    /// Records that arrived per second since the batch before.
    pub input_rows_per_second: f64,
    /// Records processed per second of this batch.
    pub processed_rows_per_second: f64,
}

/// `sink`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkProgress {
    /// What the sinks are.
    pub description: String,
    /// Rows handed to each sink.
    pub num_output_rows: u64,
}

/// What Spark's record has no place for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TidemillProgress {
    /// Records by fault, this batch.
    pub faults: FaultCounts,
    /// Tasks of the batch.
    pub tasks: u64,
    /// Tasks run again because their executor went away.
    pub tasks_retried: u64,
    /// Executors ready when the batch was committed.
    pub executors: u32,
    /// Records not yet planned when the batch was committed.
    pub backlog: u64,
    /// Age of the batch's records when the sinks had taken them: p50, ms.
    pub age_p50_ms: u64,
    /// Age of the batch's records when the sinks had taken them: p99, ms.
    pub age_p99_ms: u64,
    /// Whether the batch was replayed from the plan log after a restart.
    pub replayed: bool,
}
