//! Progress records: the JSON of Spark's `StreamingQueryProgress`, field by field; Tidemill's own figures are under
//! `tidemill`.
//!
//! Fields that Spark omits when empty (`eventTime`, `observedMetrics`) are omitted here too. docs/progress.md says what
//! each field means and where it differs from Spark's.

use crate::fault::FaultCounts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One batch's progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Identity of the query, kept in the checkpoint.
    pub id: String,
    /// Identity of this run.
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
    /// Records per second since the start of the batch before; 0 in a run's first batch.
    pub input_rows_per_second: f64,
    /// Records processed per second of this batch.
    pub processed_rows_per_second: f64,
    /// Milliseconds per step: `latestOffset`, `queryPlanning`, `getBatch`, `walCommit`, `addBatch`, `commitOffsets`,
    /// `triggerExecution`.
    pub duration_ms: BTreeMap<String, u64>,
    /// `avg`, `max`, `min` (ISO, absent without rows) and `watermark`; empty without a watermark.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub event_time: BTreeMap<String, String>,
    /// The stateful operator; empty for a stateless query.
    pub state_operators: Vec<StateOperatorProgress>,
    /// One entry per source.
    pub sources: Vec<SourceProgress>,
    /// The sinks.
    pub sink: SinkProgress,
    /// What Tidemill adds.
    pub tidemill: TidemillProgress,
}

/// `stateOperators[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateOperatorProgress {
    /// `stateStoreSave`, Spark's name for the aggregation; behind it `globalLimit`, a LIMIT over all batches, whose one row is
    /// the number of rows that have gone out.
    pub operator_name: String,
    /// Groups in the state after the batch.
    pub num_rows_total: u64,
    /// Groups touched by the batch.
    pub num_rows_updated: u64,
    /// Milliseconds to merge the batch's partials into the state, including eviction.
    pub all_updates_time_ms: u64,
    /// Groups evicted by the batch.
    pub num_rows_removed: u64,
    /// Always 0: eviction is part of `all_updates_time_ms`.
    pub all_removals_time_ms: u64,
    /// Milliseconds to store the state's change with the commit record.
    pub commit_time_ms: u64,
    /// Bytes of state in memory, estimated.
    pub memory_used_bytes: u64,
    /// Distinct late (window, key) groups of the batch (rule L3).
    pub num_rows_dropped_by_watermark: u64,
    /// Always 1: executors hold no state.
    pub num_shuffle_partitions: u64,
    /// Always 1, as `num_shuffle_partitions`.
    pub num_state_store_instances: u64,
    /// Empty: Spark's metrics here describe its own state stores.
    pub custom_metrics: BTreeMap<String, u64>,
}

/// `sources[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProgress {
    /// `KafkaV2[Subscribe[topic]]`, as Spark names it.
    pub description: String,
    /// topic → partition → offset.
    pub start_offset: BTreeMap<String, BTreeMap<String, i64>>,
    /// topic → partition → offset.
    pub end_offset: BTreeMap<String, BTreeMap<String, i64>>,
    /// topic → partition → offset.
    pub latest_offset: BTreeMap<String, BTreeMap<String, i64>>,
    /// Records read.
    pub num_input_rows: u64,
    /// As in the progress record.
    pub input_rows_per_second: f64,
    /// As in the progress record.
    pub processed_rows_per_second: f64,
    /// How far the batch's ends are behind the latest offsets, over the partitions.
    pub metrics: SourceMetrics,
}

/// `sources[].metrics`: numbers as text, as Spark's Kafka source writes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceMetrics {
    /// Mean over the partitions.
    pub avg_offsets_behind_latest: String,
    /// Of the partition that is furthest behind.
    pub max_offsets_behind_latest: String,
    /// Of the partition that is least behind.
    pub min_offsets_behind_latest: String,
}

/// `sink`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkProgress {
    /// Names of the sinks.
    pub description: String,
    /// Rows handed to each sink.
    pub num_output_rows: u64,
}

/// Figures that Spark's record does not have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TidemillProgress {
    /// Records by fault, this batch.
    pub faults: FaultCounts,
    /// Records whose rows went into an open group or into the output.
    #[serde(default)]
    pub rows: u64,
    /// Records that a condition of the query rejected.
    #[serde(default)]
    pub filtered: u64,
    /// Records without any row in the result, by reason. `rows` + `filtered` + these = `numInputRows`.
    #[serde(default)]
    pub left_out: FaultCounts,
    /// Tasks of the batch.
    pub tasks: u64,
    /// Tasks that ran again because their executor was lost.
    pub tasks_retried: u64,
    /// Executors ready when the batch was committed.
    pub executors: u32,
    /// Records not yet planned when the batch was committed.
    pub backlog: u64,
    /// Median age in ms of the batch's records when the sinks had accepted them.
    pub age_p50_ms: u64,
    /// 99th percentile of the same ages, in ms.
    pub age_p99_ms: u64,
    /// Age of the oldest of these records, in ms.
    #[serde(default)]
    pub age_max_ms: u64,
    /// Whether the batch was replayed from the plan log after a restart.
    pub replayed: bool,
}
