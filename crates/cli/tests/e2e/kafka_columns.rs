//! Kafka's own columns through a whole run: windows over Kafka's time, by topic and partition.

use crate::support::Testbed;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::Duration;
use tidemill_kafka::admin;

/// Noon of 2026-01-05 in ms.
const NOON: i64 = 1_767_614_400_000;

#[test]
fn windows_over_kafkas_time_by_topic_and_partition() {
    let testbed = Testbed::new();
    admin::ensure_topic(&testbed.kafka(), "orders", Some(2)).expect("the topic is made");
    let producer: BaseProducer = testbed.kafka().config(&[], &[]).create().expect("a producer");
    // Partition, seconds after noon, key, whether it has headers.
    for (partition, second, key, with_headers) in [
        (0, 0, Some("k"), true),
        (0, 59, None, false),
        (1, 30, Some(""), true),
        (0, 60, Some("k"), false),
        (1, 300, None, false),
    ] {
        let mut record =
            BaseRecord::<str, str>::to("orders").partition(partition).timestamp(NOON + second * 1_000).payload("{}");
        record.key = key;
        if with_headers {
            let headers = OwnedHeaders::new().insert(Header { key: "a", value: Some("1") });
            record.headers = Some(headers.insert(Header { key: "b", value: None::<&str> }));
        }
        producer.send(record).expect("sent");
    }
    producer.flush(Duration::from_secs(60)).expect("the broker acknowledges");
    let pipeline = format!(
        r#"name = "columns"
[sources.orders]
type = "kafka"
bootstrap_servers = "{}"
topic = "orders"
starting_offsets = "earliest"
include_headers = true
event_time = {{ column = "timestamp", expression = "timestamp", watermark = "1 minute" }}
[query]
sql = """
  SELECT window.start, topic, partition, count(*) AS records, count(key) AS keys, count(headers) AS with_headers,
         max(size(headers)) AS headers, max(offset) AS last, max(timestampType) AS type
  FROM orders GROUP BY window(timestamp, '1 minute'), topic, partition
"""
output_mode = "append"
[sinks.files]
type = "files"
path = "rows"
[checkpoint]
path = "checkpoint"
"#,
        testbed.address()
    );
    std::fs::write(testbed.path("p.toml"), pipeline).expect("the folder takes files");
    testbed.run_now(&[]);
    let files = std::fs::read_dir(testbed.path("rows")).expect("the sink's folder").map(|entry| entry.unwrap().path());
    let batches = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let text: String = batches.map(|path| std::fs::read_to_string(path).expect("text")).collect();
    let mut rows: Vec<&str> = text.lines().collect();
    rows.sort_unstable();
    // The window of the record at 300 s is still open.
    let row = |start: &str, partition: i32, rest: &str| {
        format!(r#"{{"start":"2026-01-05T{start}.000Z","topic":"orders","partition":{partition},{rest}}}"#)
    };
    let expected = [
        row("12:00:00", 0, r#""records":2,"keys":1,"with_headers":1,"headers":2,"last":1,"type":0"#),
        row("12:00:00", 1, r#""records":1,"keys":1,"with_headers":1,"headers":2,"last":0,"type":0"#),
        row("12:01:00", 0, r#""records":1,"keys":1,"with_headers":0,"last":2,"type":0"#),
    ];
    let expected: Vec<serde_json::Value> = expected.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let rows: Vec<serde_json::Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(rows, expected);
}
