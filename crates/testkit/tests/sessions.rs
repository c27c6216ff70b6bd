//! Sessions on the real driver and executors: the rows are those of a naive reference, at any number of executors, over a
//! restart, and if executors are killed (rule W7).

use std::collections::BTreeMap;
use tidemill_model::random::Random;
use tidemill_testkit::{Batch, Harness, Record, Topic};

const PARTITIONS: i32 = 3;
const PUTS: i64 = 6;
const RECORDS: i64 = 1_500;
const KEYS: i64 = 20;
const GAP: i64 = 3;

/// `first` and `last` depend on the order in which rows are merged, the others do not.
const ORDERED: &str = "first(v) AS a, last(v) AS b, ";

fn harness(mode: &str, ordered: &str, watermark: &str) -> Harness {
    let mut harness = Harness::new(&format!(
        r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "s BIGINT, k BIGINT, v BIGINT"
[sources.t.event_time]
column = "et"
expression = "CAST(s AS TIMESTAMP)"
{watermark}
[query]
sql = "SELECT CAST(session_window.start AS BIGINT) AS s, CAST(session_window.end AS BIGINT) AS e, k, {ordered}count(*) AS n, sum(v) AS total FROM t GROUP BY session_window(et, '{GAP} seconds'), k"
output_mode = "{mode}"
[sinks.screen]
type = "console"
"#
    ));
    harness.topic = Topic::new(PARTITIONS as usize);
    harness
}

/// Time, key and value of each record of a put. Times go on from put to put, and some are older.
fn rows(put: i64) -> Vec<(i64, i64, i64)> {
    let mut random = Random::new(put as u64);
    let mut row = |number: i64| {
        let late = if random.chance(5) { 150 } else { 0 };
        let time = 1_000 + put * 100 + random.between(0, 140) - late;
        // The even keys have few rows, so they have gaps.
        let key = random.between(0, KEYS - 1);
        (time, if random.chance(80) { key | 1 } else { key }, put * RECORDS + number)
    };
    (0..RECORDS).map(&mut row).collect()
}

fn put(harness: &Harness, put: i64) {
    let record = |(number, (time, key, value)): (i32, (i64, i64, i64))| Record {
        partition: number.rem_euclid(PARTITIONS),
        timestamp_ms: 1_000 + put,
        value: Some(format!(r#"{{"s":{time},"k":{key},"v":{value}}}"#).into_bytes()),
        ..Record::default()
    };
    harness.topic.put_records((0..).zip(rows(put)).map(record).collect());
}

/// The sessions of all records by start and key.
fn naive() -> Vec<String> {
    let mut by_key: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
    for (time, key, value) in (0..PUTS).flat_map(rows) {
        by_key.entry(key).or_default().push((time, value));
    }
    let mut sessions = Vec::new();
    for (key, mut rows) in by_key {
        rows.sort_unstable();
        for of_session in rows.chunk_by(|a, b| b.0 <= a.0 + GAP) {
            let (start, end) = (of_session[0].0, of_session[of_session.len() - 1].0 + GAP);
            let total: i64 = of_session.iter().map(|(_, value)| value).sum();
            sessions.push((start, key, end, of_session.len(), total));
        }
    }
    sessions.sort_unstable();
    let text =
        |(start, key, end, count, total)| format!(r#"{{"s":{start},"e":{end},"k":{key},"n":{count},"total":{total}}}"#);
    sessions.into_iter().map(text).collect()
}

/// Rows, watermark, and the figures of the state.
fn summaries(batches: &[Batch]) -> Vec<(Vec<String>, Option<String>, u64, u64, u64)> {
    let told = |batch: &Batch| {
        let state = &batch.progress.state_operators[0];
        let figures = (state.num_rows_total, state.num_rows_dropped_by_watermark);
        let watermark = batch.progress.event_time.get("watermark").cloned();
        (batch.rows.clone(), watermark, figures.0, figures.1, batch.progress.num_input_rows)
    };
    batches.iter().map(told).collect()
}

#[test]
fn w7_the_sessions_of_all_records_are_the_naive_ones() {
    for executors in [1, 3] {
        let mut harness = harness("complete", "", "");
        harness.executors = executors;
        (0..PUTS).for_each(|number| put(&harness, number));
        let batches = harness.run().unwrap();
        assert_eq!(batches.len() as i64, PUTS);
        assert_eq!(batches.last().unwrap().rows, naive());
    }
}

#[test]
fn w7_the_same_rows_at_any_number_of_executors() {
    for ordered in ["", ORDERED] {
        let filled = || {
            let harness = harness("append", ordered, "watermark = \"20 seconds\"");
            (0..PUTS).for_each(|number| put(&harness, number));
            harness
        };
        let expected = summaries(&filled().run().unwrap());
        assert!(
            expected.iter().any(|(rows, ..)| !rows.is_empty()) && expected.iter().any(|(_, _, _, late, _)| *late > 0)
        );
        for killed in [&[][..], &[(1, 700), (2, 10), (0, 900)]] {
            let mut harness = filled();
            harness.executors = 4;
            killed.iter().for_each(|(partition, offset)| harness.topic.kill_at(*partition, *offset, 1));
            assert_eq!(summaries(&harness.run().unwrap()), expected, "{ordered:?}, killed {killed:?}");
        }
    }
}

#[test]
fn w7_the_same_rows_over_restarts() {
    let run = |restarts: bool| {
        // A snapshot after nearly every batch.
        let mut harness = harness("append", ORDERED, "watermark = \"20 seconds\"");
        harness.snapshot_bytes_min = 1_000;
        harness.snapshot_part_bytes_min = 1_000;
        let mut running = harness.start().unwrap();
        let mut batches = Vec::new();
        for number in 0..PUTS {
            if restarts && number > 0 {
                running.stop().unwrap();
                running = harness.start().unwrap();
            }
            put(&harness, number);
            batches.extend(running.settle().unwrap());
        }
        running.stop().unwrap();
        summaries(&batches)
    };
    assert_eq!(run(true), run(false));
}
