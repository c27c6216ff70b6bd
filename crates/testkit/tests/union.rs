//! Two sources in one query on the real driver: the same rows at any number of executors; limits, progress records and
//! dead letters of each source; what a checkpoint is bound to. The scenarios show the semantics.

use std::collections::BTreeMap;
use tidemill_model::RecordFault;
use tidemill_testkit::{Batch, Cut, Harness, MemoryDeadLetters, Record, Topic};

const PIPELINE: &str = r#"
[sources.a]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "s BIGINT, k STRING, v INT"
[sources.a.event_time]
column = "et"
expression = "CAST(s AS TIMESTAMP)"
watermark = "10 seconds"

[sources.b]
type = "kafka"
bootstrap_servers = "memory:9093"
topic = "topic"
schema = "ms BIGINT, name STRING, x BIGINT"
[sources.b.event_time]
column = "at"
expression = "timestamp_millis(ms)"
watermark = "20 seconds"

[query]
sql = "SELECT CAST(window.start AS BIGINT) AS s, k, count(*) AS n, sum(v) AS v, first(origin) AS first, last(origin) AS last, max_by(origin, v) AS of FROM (SELECT et, k, v, 'a' AS origin FROM a UNION ALL SELECT at, name, x, 'b' FROM b WHERE x <> 3) GROUP BY window(et, '10 seconds', '5 seconds'), k"
output_mode = "update"
[sinks.screen]
type = "console"
"#;

const PARTITIONS: [usize; 2] = [3, 2];

/// An empty harness with both topics.
fn harness() -> Harness {
    let mut harness = Harness::new(PIPELINE);
    let topics = ["a", "b"].into_iter().zip(PARTITIONS);
    harness.further_topics = topics.map(|(name, partitions)| (name.to_owned(), Topic::new(partitions))).collect();
    harness
}

/// Records of one put into the topic `a` or `b`: some late, every fiftieth broken.
fn records(source: usize, put: i64, count: i64) -> Vec<Record> {
    let value = |number: i64| {
        let (second, key, v) = (put * 15 + number % 40 - 12, number % 5, number % 9);
        match (number % 50, source) {
            (49, _) => "{".to_owned(),
            (_, 0) => format!(r#"{{"s":{second},"k":"k{key}","v":{v}}}"#),
            (_, _) => format!(r#"{{"ms":{}500,"name":"k{key}","x":{v}}}"#, second + 3),
        }
    };
    let record = |number: i64| Record {
        partition: (number % PARTITIONS[source] as i64) as i32,
        timestamp_ms: put * 15_000 + number,
        value: Some(value(number).into_bytes()),
        ..Record::default()
    };
    (0..count).map(record).collect()
}

/// A harness with records for five batches; the last two have records of one source only.
fn filled() -> Harness {
    let harness = harness();
    for put in 1..=4 {
        harness.further_topics["a"].put_records(records(0, put, 1_500));
    }
    for put in 1..=5 {
        harness.further_topics["b"].put_records(records(1, put, if put == 2 { 0 } else { 700 }));
    }
    harness
}

/// Rows, watermark and records by source.
fn summaries(batches: &[Batch]) -> Vec<(Vec<String>, String, Vec<u64>)> {
    let told = |batch: &Batch| {
        let records = batch.progress.sources.iter().map(|source| source.num_input_rows).collect();
        (batch.rows.clone(), batch.progress.event_time["watermark"].clone(), records)
    };
    batches.iter().map(told).collect()
}

#[test]
fn m2_the_same_rows_at_any_number_of_executors() {
    let expected = summaries(&filled().run().unwrap());
    let records: Vec<Vec<u64>> = expected.iter().map(|(.., records)| records.clone()).collect();
    assert_eq!(records, [[1_500, 700], [1_500, 0], [1_500, 700], [1_500, 700], [0, 700], [0, 0]]);
    assert!(expected[0].0.iter().any(|row| row.contains(r#""first":"a","last":"b""#)), "{:?}", expected[0]);
    for killed in [&[][..], &[("a", 1, 700), ("b", 0, 10), ("b", 1, 900)]] {
        let mut harness = filled();
        harness.executors = 4;
        killed
            .iter()
            .for_each(|(name, partition, offset)| harness.further_topics[*name].kill_at(*partition, *offset, 1));
        let batches = harness.run().unwrap();
        assert_eq!(summaries(&batches), expected, "{killed:?}");
        let retried: u64 = batches.iter().map(|batch| batch.progress.tidemill.tasks_retried).sum();
        assert_eq!(retried > 0, !killed.is_empty());
    }
}

#[test]
fn each_source_has_its_own_bound() {
    for cut in [Cut::Timestamps, Cut::Share] {
        let mut harness = harness();
        harness.max_offsets_per_trigger = Some(40);
        for topic in harness.further_topics.values_mut() {
            *topic = topic.clone().cut_by(cut);
        }
        harness.further_topics["a"].put_records(records(0, 1, 100));
        harness.further_topics["b"].put_records(records(1, 1, 60));
        let read = |batches: &[Batch], source: usize| -> Vec<u64> {
            batches.iter().map(|batch| batch.progress.sources[source].num_input_rows).collect()
        };
        let batches = harness.run().unwrap();
        for (source, all) in [(0, 100), (1, 60)] {
            let read = read(&batches, source);
            assert!(read[0] >= 30 && read.iter().all(|records| *records <= 40), "{cut:?} {read:?}");
            assert_eq!(read.iter().sum::<u64>(), all);
        }
    }
}

#[test]
fn progress_tells_of_each_source() {
    let harness = harness();
    let mut running = harness.start().unwrap();
    harness.further_topics["b"].put_records(records(1, 1, 5));
    let batches = running.settle().unwrap();
    let [a, b] = batches[0].progress.sources.as_slice() else { panic!("{:?}", batches[0].progress) };
    assert_eq!((a.description.as_str(), b.description.as_str()), ("Topic[a]", "Topic[b]"));
    let ends = |ends: &[i64]| {
        let partition = |(number, end): (usize, &i64)| (number.to_string(), *end);
        BTreeMap::from([("topic".to_owned(), ends.iter().enumerate().map(partition).collect::<BTreeMap<_, _>>())])
    };
    assert_eq!((&a.start_offset, &a.end_offset, &a.latest_offset), (&ends(&[0; 3]), &ends(&[0; 3]), &ends(&[0; 3])));
    assert_eq!((&b.start_offset, &b.end_offset, &b.latest_offset), (&ends(&[0; 2]), &ends(&[3, 2]), &ends(&[3, 2])));
    assert_eq!((a.num_input_rows, b.num_input_rows, batches[0].progress.num_input_rows), (0, 5, 5));
}

/// Faults of all kinds.
fn faults(batch: &Batch) -> u64 {
    RecordFault::ALL.iter().map(|fault| batch.progress.tidemill.faults.get(*fault)).sum()
}

/// Each broken record is one dead letter, whatever its partition and offset; other records are none.
#[test]
fn each_source_has_its_dead_letters() {
    let mut harness = filled();
    let dead_letters = MemoryDeadLetters::default();
    (harness.dead_letters, harness.executors) = (Some(dead_letters.clone()), 4);
    let batches = harness.run().unwrap();
    for batch in &batches {
        let dead_letters = dead_letters.batches().remove(&batch.progress.batch_id).unwrap_or_default();
        let malformed = dead_letters.iter().filter(|letter| letter.fault == RecordFault::Malformed).count() as u64;
        let sources = &batch.progress.sources;
        assert_eq!(malformed, sources.iter().map(|source| source.num_input_rows / 50).sum::<u64>());
        assert_eq!(dead_letters.len() as u64, faults(batch));
    }
}

/// A change of the file → the lines about sources in the message.
fn refused(changes: &[(&str, &str)], lines: &[&str]) {
    let mut harness = filled();
    harness.run().unwrap();
    for (from, to) in changes {
        assert!(harness.pipeline.contains(from), "{from}");
        harness.pipeline = harness.pipeline.replace(from, to);
    }
    let error = harness.run().expect_err("accepted");
    assert_eq!(error.exit_code(), 2, "{error}");
    let named: Vec<&str> = error.message().lines().map(str::trim).filter(|line| line.contains(" input ")).collect();
    assert_eq!(named, lines, "{error}");
}

#[test]
fn r_a_checkpoint_is_bound_to_its_sources_in_their_order() {
    let (first, second) = ("SELECT et, k, v, 'a' AS origin FROM a", "SELECT at, name, x, 'b' FROM b WHERE x <> 3");
    let both = format!("{first} UNION ALL {second}");
    refused(&[(&both, &format!("{both} UNION ALL {first}"))], &["+ input        Topic[a]"]);
    refused(
        &[(&both, &format!("SELECT at AS et, name AS k, x AS v, 'b' AS origin FROM b UNION ALL {first}"))],
        &["- input        Topic[a]", "- input        Topic[b]", "+ input        Topic[b]", "+ input        Topic[a]"],
    );
    let only_a = &PIPELINE[PIPELINE.find("[sources.b]").unwrap()..PIPELINE.find("[query]").unwrap()];
    refused(&[(&format!(" UNION ALL {second}"), ""), (only_a, "")], &["- input        Topic[b]"]);
}
