//! A task of many small ranges on the real driver and executors: its records are decoded together, and each is still known by
//! its partition and offset.

use std::collections::BTreeMap;
use tidemill_testkit::{Harness, Record, Topic};

const PARTITIONS: i32 = 40;
const RECORDS: i64 = 7;

/// A pipeline over 40 partitions of seven records each: `v` counts through them, partition by partition.
fn harness(select: &str, on_error: &str) -> Harness {
    let mut harness = Harness::new(&format!(
        r#"
on_error = "{on_error}"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "v STRING"
[query]
sql = "{select}"
output_mode = "update"
[sinks.screen]
type = "console"
"#
    ));
    harness.topic = Topic::new(PARTITIONS as usize);
    harness.executors = 2;
    harness
}

/// Puts the records. One of them, at an offset of a partition, is no number.
fn put(harness: &Harness, (bad_partition, bad_offset): (i32, i64)) {
    let record = |partition: i32, offset: i64| {
        let number = i64::from(partition) * RECORDS + offset;
        let is_bad = (partition, offset) == (bad_partition, bad_offset);
        let value = if is_bad { r#"{"v":"no number"}"#.to_owned() } else { format!(r#"{{"v":"{number}"}}"#) };
        Record { partition, timestamp_ms: 1_000 + number, value: Some(value.into_bytes()), ..Record::default() }
    };
    let of = |partition| (0..RECORDS).map(move |offset| record(partition, offset));
    harness.topic.put_records((0..PARTITIONS).flat_map(of).collect());
}

#[test]
fn a_record_that_fails_is_named_by_its_partition_and_offset() {
    for bad in [(0, 0), (23, 2), (39, 6)] {
        let harness = harness("SELECT sum(CAST(v AS INT)) AS s FROM t", "fail");
        put(&harness, bad);
        let error = harness.run().map(|batches| batches.len()).expect_err("a record is no number").to_string();
        assert!(error.contains(&format!("record topic-{} at offset {}:", bad.0, bad.1)), "{error}");
    }
}

#[test]
fn all_records_count_once() {
    let harness = harness("SELECT count(*) AS n, sum(CAST(v AS INT)) AS s FROM t", "drop");
    put(&harness, (23, 2));
    let batches = harness.run().expect("a run");
    let rows: Vec<&String> = batches.iter().flat_map(|batch| &batch.rows).collect();
    let all: i64 = (0..i64::from(PARTITIONS) * RECORDS).sum();
    assert_eq!(rows, [&format!(r#"{{"n":279,"s":{}}}"#, all - (23 * RECORDS + 2))]);
    assert_eq!(batches[0].progress.num_input_rows, 280);
}

#[test]
fn columns_of_the_place_are_those_of_each_record() {
    let mut harness = harness("SELECT partition, offset, CAST(value AS STRING) AS v FROM t", "drop");
    harness.pipeline = harness.pipeline.replace("schema = \"v STRING\"\n", "").replace("\"update\"", "\"append\"");
    put(&harness, (23, 2));
    let rows: BTreeMap<String, usize> = harness.run().expect("a run").into_iter().flat_map(|batch| batch.rows).fold(
        BTreeMap::new(),
        |mut rows, row| {
            *rows.entry(row).or_default() += 1;
            rows
        },
    );
    assert_eq!(rows.len(), 280);
    for partition in [0, 23, 39] {
        let number = i64::from(partition) * RECORDS + 5;
        let row = format!(r#"{{"partition":{partition},"offset":5,"v":"{{\"v\":\"{number}\"}}"}}"#);
        assert_eq!(rows.get(&row), Some(&1), "{row}");
    }
}
