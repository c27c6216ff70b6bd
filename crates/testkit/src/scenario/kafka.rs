//! The records of a scenario over Kafka's own columns.

use crate::topic::Record;
use serde::Deserialize;

/// A line of such a scenario. Texts are the UTF-8 of keys and values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Option<String>,
    value: Option<String>,
    #[serde(default)]
    headers: Vec<(String, Option<String>)>,
    timestamp: i64,
}

pub(super) fn records(lines: &[String]) -> Vec<Record> {
    lines.iter().map(|line| record(line)).collect()
}

fn record(line: &str) -> Record {
    let line: Line = serde_json::from_str(line).unwrap_or_else(|error| panic!("`{line}` is no record: {error}"));
    let bytes = |text: String| text.into_bytes();
    let headers = line.headers.into_iter().map(|(name, value)| (name, value.map(bytes)));
    Record {
        partition: 0,
        timestamp_ms: line.timestamp,
        value: line.value.map(bytes),
        key: line.key.map(bytes),
        headers: headers.collect(),
    }
}
