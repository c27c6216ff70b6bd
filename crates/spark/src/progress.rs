//! Spark's progress JSON → the progress record that the local engine writes. Its names are Spark's already.
//!
//! Spark does not report the ages of records, the tasks, and the faults by reason: these are 0.

use serde_json::Value;
use std::collections::BTreeMap;
use tidemill_model::Millis;
use tidemill_model::progress::{Progress, SinkProgress, SourceMetrics, SourceProgress, StateOperatorProgress};
use tidemill_model::time::days_of_date;

type ByPartition = BTreeMap<String, BTreeMap<String, i64>>;

/// The record of a batch; `None` where the JSON is no progress, or where no batch ran.
pub(crate) fn record(json: &str) -> Option<Progress> {
    let json: Value = serde_json::from_str(json).ok()?;
    json["durationMs"].get("addBatch")?;
    let sources: Vec<SourceProgress> = list(&json["sources"]).iter().map(source).collect();
    let total: u64 = sources.iter().map(|source| source.num_input_rows).sum();
    let mut progress = Progress {
        id: text(&json["id"]),
        run_id: text(&json["runId"]),
        name: text(&json["name"]),
        timestamp: text(&json["timestamp"]),
        batch_id: json["batchId"].as_u64()?,
        batch_duration: number(&json["batchDuration"]),
        num_input_rows: total,
        input_rows_per_second: rate(&json["inputRowsPerSecond"], &sources, |source| source.input_rows_per_second),
        processed_rows_per_second: rate(&json["processedRowsPerSecond"], &sources, |source| {
            source.processed_rows_per_second
        }),
        duration_ms: numbers(&json["durationMs"]),
        event_time: texts(&json["eventTime"]),
        state_operators: list(&json["stateOperators"]).iter().map(state).collect(),
        sink: SinkProgress { description: text(&json["sink"]["description"]), num_output_rows: 0 },
        sources,
        ..Progress::default()
    };
    progress.tidemill.backlog = progress.sources.iter().map(behind).sum();
    Some(progress)
}

/// The batch that comes next, as told by a record of a trigger without a batch.
pub(crate) fn upcoming(json: &str) -> Option<u64> {
    serde_json::from_str::<Value>(json).ok()?["batchId"].as_u64()
}

/// What a checkpoint says of a batch of which Spark reports nothing: where it begins and ends in each source.
pub(crate) fn of_offsets(batch_id: u64, name: &str, begins: &[ByPartition], ends: &[ByPartition]) -> Progress {
    let source = |(at, end): (usize, &ByPartition)| {
        let begin = begins.get(at).cloned().unwrap_or_default();
        let position = |topic: &String, partition: &String| begin.get(topic)?.get(partition).copied();
        let of_topic = |(topic, partitions): (&String, &BTreeMap<String, i64>)| -> i64 {
            // A partition that has come since begins at 0. Without any beginning nothing is known.
            let read = partitions.iter().map(|(partition, end)| end - position(topic, partition).unwrap_or(0));
            read.sum()
        };
        let read: i64 = if begin.is_empty() { 0 } else { end.iter().map(of_topic).sum() };
        SourceProgress {
            num_input_rows: u64::try_from(read).unwrap_or(0),
            start_offset: begin.clone(),
            end_offset: end.clone(),
            ..SourceProgress::default()
        }
    };
    let sources: Vec<SourceProgress> = ends.iter().enumerate().map(source).collect();
    let num_input_rows = sources.iter().map(|source| source.num_input_rows).sum();
    Progress { batch_id, name: name.into(), num_input_rows, sources, ..Progress::default() }
}

/// The instant of a time in a progress record, `2026-01-01T00:00:05.000Z`; `None` for any other text.
pub fn parse_time(text: &str) -> Option<Millis> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.rsplitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (day, month, year) = (date.next()??, date.next()??, date.next()??);
    let (time, ms) = time.split_once('.')?;
    let mut of_day = 0;
    for part in time.split(':') {
        of_day = of_day * 60 + part.parse::<i64>().ok()?;
    }
    Some(Millis(days_of_date(year, month, day)? * 86_400_000 + of_day * 1_000 + ms.parse::<i64>().ok()?))
}

/// Records that the source holds and no batch has read.
fn behind(source: &SourceProgress) -> u64 {
    let sum = |offsets: &ByPartition| offsets.values().flat_map(BTreeMap::values).sum::<i64>();
    u64::try_from(sum(&source.latest_offset) - sum(&source.end_offset)).unwrap_or(0)
}

fn source(json: &Value) -> SourceProgress {
    let metric = |name: &str| text(&json["metrics"][name]);
    SourceProgress {
        description: text(&json["description"]),
        start_offset: offsets(&json["startOffset"]),
        end_offset: offsets(&json["endOffset"]),
        latest_offset: offsets(&json["latestOffset"]),
        num_input_rows: number(&json["numInputRows"]),
        input_rows_per_second: json["inputRowsPerSecond"].as_f64().unwrap_or(0.0),
        processed_rows_per_second: json["processedRowsPerSecond"].as_f64().unwrap_or(0.0),
        metrics: SourceMetrics {
            avg_offsets_behind_latest: metric("avgOffsetsBehindLatest"),
            max_offsets_behind_latest: metric("maxOffsetsBehindLatest"),
            min_offsets_behind_latest: metric("minOffsetsBehindLatest"),
        },
    }
}

/// Kafka's offsets by topic and partition. A files source has a position in its log of files instead.
///
/// Over Connect they are JSON in a text.
fn offsets(json: &Value) -> ByPartition {
    if let Some(parsed) = json.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        return offsets(&parsed);
    }
    let Some(topics) = json.as_object() else { return ByPartition::new() };
    let partitions = |partitions: &Value| -> BTreeMap<String, i64> {
        let partitions = partitions.as_object().into_iter().flatten();
        partitions.filter_map(|(partition, offset)| Some((partition.clone(), offset.as_i64()?))).collect()
    };
    topics.iter().filter(|(_, of)| of.is_object()).map(|(topic, of)| (topic.clone(), partitions(of))).collect()
}

fn state(json: &Value) -> StateOperatorProgress {
    StateOperatorProgress {
        operator_name: text(&json["operatorName"]),
        num_rows_total: number(&json["numRowsTotal"]),
        num_rows_updated: number(&json["numRowsUpdated"]),
        all_updates_time_ms: number(&json["allUpdatesTimeMs"]),
        num_rows_removed: number(&json["numRowsRemoved"]),
        all_removals_time_ms: number(&json["allRemovalsTimeMs"]),
        commit_time_ms: number(&json["commitTimeMs"]),
        memory_used_bytes: number(&json["memoryUsedBytes"]),
        num_rows_dropped_by_watermark: number(&json["numRowsDroppedByWatermark"]),
        num_shuffle_partitions: number(&json["numShufflePartitions"]),
        num_state_store_instances: number(&json["numStateStoreInstances"]),
        custom_metrics: numbers(&json["customMetrics"]),
    }
}

/// The figure of the whole query; older versions tell it for each source only.
fn rate(json: &Value, sources: &[SourceProgress], of: impl Fn(&SourceProgress) -> f64) -> f64 {
    json.as_f64().unwrap_or_else(|| sources.iter().map(of).sum())
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

fn number(json: &Value) -> u64 {
    json.as_u64().unwrap_or(0)
}

fn numbers(json: &Value) -> BTreeMap<String, u64> {
    let entries = json.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_u64()?))).collect()
}

fn texts(json: &Value) -> BTreeMap<String, String> {
    let entries = json.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::{ByPartition, of_offsets, parse_time, record, upcoming};
    use tidemill_model::Millis;
    use tidemill_model::time::iso_millis;

    /// What Spark 4.1.1 wrote, shortened.
    const KAFKA: &str = r#"{"id":"i","runId":"r","name":"n","timestamp":"2026-01-01T00:00:00.000Z","batchId":7,
        "batchDuration":120,"durationMs":{"addBatch":80,"triggerExecution":120},
        "eventTime":{"watermark":"1970-01-01T00:00:00.000Z"},
        "stateOperators":[{"operatorName":"stateStoreSave","numRowsTotal":3,"numRowsDroppedByWatermark":2}],
        "sources":[{"description":"KafkaV2[Subscribe[t]]","startOffset":null,"endOffset":{"t":{"0":5,"1":6}},
        "latestOffset":{"t":{"0":9,"1":6}},"numInputRows":11,"inputRowsPerSecond":1.5,"processedRowsPerSecond":91.0}],
        "sink":{"description":"Outbox[x]","numOutputRows":-1}}"#;

    #[test]
    fn kafka_batch() {
        let found = record(KAFKA).unwrap();
        assert_eq!((found.batch_id, found.num_input_rows, found.tidemill.backlog), (7, 11, 4));
        assert_eq!((found.input_rows_per_second, found.processed_rows_per_second), (1.5, 91.0));
        assert_eq!(found.state_operators[0].num_rows_dropped_by_watermark, 2);
        assert_eq!(found.sources[0].end_offset["t"]["1"], 6);
        assert!(found.sources[0].start_offset.is_empty());
        let as_text = KAFKA.replace(r#"{"t":{"0":5,"1":6}}"#, r#""{\"t\":{\"0\":5,\"1\":6}}""#);
        assert_ne!(as_text, KAFKA);
        assert_eq!(record(&as_text).unwrap().sources[0].end_offset, found.sources[0].end_offset);
        assert_eq!(record(&KAFKA.replace(r#"{"t":{"0":5,"1":6}}"#, r#""7""#)).unwrap().tidemill.backlog, 15);
    }

    #[test]
    fn times_are_read_back() {
        for at in [0, -1, 1_767_225_605_123, 253_402_300_800_000, -62_167_219_200_000] {
            assert_eq!(parse_time(&iso_millis(Millis(at))), Some(Millis(at)));
        }
        for text in ["", "2026-01-01", "2026-02-30T00:00:00.000Z", "2026-01-01T00:00:xx.000Z"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_checkpoint_tells() {
        let of = |json: &str| -> Vec<ByPartition> { serde_json::from_str(json).unwrap() };
        let (begins, ends) = (of(r#"[{"t":{"0":5}},{}]"#), of(r#"[{"t":{"0":8,"1":2}},{}]"#));
        let found = of_offsets(3, "n", &begins, &ends);
        assert_eq!((found.batch_id, found.num_input_rows, found.sources.len()), (3, 5, 2));
        assert_eq!((&found.sources[0].start_offset, &found.sources[0].end_offset), (&begins[0], &ends[0]));
        assert_eq!(of_offsets(3, "n", &[], &ends).num_input_rows, 0);
    }

    #[test]
    fn no_batch() {
        let idle = r#"{"batchId":1,"durationMs":{"latestOffset":2}}"#;
        assert!(record(idle).is_none());
        assert_eq!(upcoming(idle), Some(1));
        assert!(record("").is_none());
    }
}
