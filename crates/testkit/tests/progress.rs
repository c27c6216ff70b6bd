//! Progress records have Spark's fields with the same types. tests/goldens/progress.json holds what real Spark wrote
//! for a Kafka topic; docs/progress.md says where a figure has another meaning.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tidemill_testkit::{Batch, Harness};

const AGGREGATE: &str = "SELECT k, count(*) AS n FROM t GROUP BY window(et, '10 seconds'), k";

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/progress.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Two batches of 20 records each.
fn run(sql: &str, watermark: &str) -> Vec<Batch> {
    let harness = Harness::new(&format!(
        r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "s BIGINT, k STRING"
[sources.t.event_time]
column = "et"
expression = "CAST(s AS TIMESTAMP)"
{watermark}
[query]
sql = "{sql}"
output_mode = "update"
no_data_batches = false
[sinks.screen]
type = "console"
"#
    ));
    for batch in [0..20, 20..40] {
        harness.topic.put(&batch.map(|s| format!("{{\"s\":{s},\"k\":\"a\"}}")).collect::<Vec<_>>());
    }
    harness.run().unwrap()
}

/// The path and type of each value: `sources.0.numInputRows` → `number`. Offsets are skipped: they depend on the
/// source.
fn fields(record: &Value) -> BTreeMap<String, &'static str> {
    let mut fields = BTreeMap::new();
    let mut open = vec![(String::new(), record)];
    while let Some((path, value)) = open.pop() {
        let kind = match value {
            _ if path.ends_with("Offset") => "offsets",
            Value::Object(entries) => {
                let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                open.extend(entries.iter().map(|(name, value)| (inside(name), value)));
                "object"
            }
            Value::Array(entries) => {
                open.extend(entries.iter().enumerate().map(|(at, value)| (format!("{path}.{at}"), value)));
                "array"
            }
            Value::String(_) => "text",
            Value::Number(_) => "number",
            Value::Bool(_) => "boolean",
            Value::Null => "null",
        };
        fields.insert(path, kind);
    }
    // Metrics of Spark's state stores, and our figures of executors and ages, have no counterpart.
    fields.retain(|path, _| !path.contains("customMetrics.") && !path.starts_with("tidemill"));
    fields
}

#[test]
fn every_field_of_spark_and_no_other() {
    let golden = golden();
    for (case, sql, watermark) in
        [("aggregate", AGGREGATE, "watermark = \"10 seconds\""), ("stateless", "SELECT k FROM t", "")]
    {
        let spark = golden[case].as_array().unwrap();
        let ours = run(sql, watermark);
        assert_eq!((ours.len(), spark.len()), (2, 2), "{case}");
        for (batch, record) in ours.iter().zip(spark) {
            let ours = serde_json::to_value(&batch.progress).unwrap();
            assert_eq!(fields(&ours), fields(record), "{case}");
        }
    }
}

/// Values that do not depend on the clock are equal too.
#[test]
fn the_figures_that_do_not_hang_on_the_clock() {
    let ours = run(AGGREGATE, "watermark = \"10 seconds\"");
    for (batch, record) in ours.iter().zip(golden()["aggregate"].as_array().unwrap()) {
        let ours = serde_json::to_value(&batch.progress).unwrap();
        for path in [
            "/batchId",
            "/numInputRows",
            "/eventTime",
            "/stateOperators/0/operatorName",
            "/stateOperators/0/numRowsTotal",
            "/stateOperators/0/numRowsUpdated",
            "/stateOperators/0/numRowsRemoved",
            "/stateOperators/0/numRowsDroppedByWatermark",
            "/stateOperators/0/numShufflePartitions",
            "/stateOperators/0/numStateStoreInstances",
            "/sources/0/numInputRows",
            "/sink/numOutputRows",
        ] {
            assert!(ours.pointer(path).is_some(), "{path}");
            assert_eq!(ours.pointer(path), record.pointer(path), "{path}");
        }
    }
    let behind = |batch: &Batch| {
        let metrics = &batch.progress.sources[0].metrics;
        [&metrics.avg_offsets_behind_latest, &metrics.max_offsets_behind_latest, &metrics.min_offsets_behind_latest]
            .map(String::clone)
    };
    assert_eq!([behind(&ours[0]), behind(&ours[1])], [["20.0", "20", "20"], ["0.0", "0", "0"]]);
    assert_eq!(ours[0].progress.input_rows_per_second, 0.0, "nothing was before the first batch");
    assert!(ours[1].progress.input_rows_per_second > 0.0);
}
