//! A pipeline from Kafka to Kafka: readers of committed records see each row once, whenever the driver is killed.

use crate::support::{Testbed, records, until};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, SystemTime};
use tidemill_kafka::{KafkaOptions, scan};

const THEN: i64 = 1_700_000_000;
const COUNT: usize = 12_000;
const KILLS: usize = 10;

/// How often each row is in a topic, as a reader of committed records sees it.
fn rows(kafka: &KafkaOptions, topic: &str) -> BTreeMap<String, usize> {
    let mut rows = BTreeMap::new();
    let scanned = scan(kafka, topic, |_, _, _, _, value| {
        *rows.entry(String::from_utf8(value.expect("a value").to_vec()).expect("text")).or_default() += 1;
        ControlFlow::Continue(())
    });
    scanned.expect("the topic reads");
    rows
}

/// The settings of a run from the testbed's broker to a topic.
fn sets(kafka: &KafkaOptions, topic: &str) -> Vec<String> {
    let sets = [
        "query.sql=SELECT timestamp, course, lines_of_code FROM logs".to_owned(),
        "query.output_mode=append".into(),
        "sinks.out.type=kafka".into(),
        format!("sinks.out.bootstrap_servers={}", kafka.bootstrap_servers),
        format!("sinks.out.topic={topic}"),
        "sinks.out.partitions=3".into(),
        "sinks.out.key_column=course".into(),
    ];
    sets.into_iter().flat_map(|set| ["--set".to_owned(), set]).collect()
}

/// 1,200 batches: more than the fastest machine gets done before the last kill.
const SLOW: [&str; 2] = ["--set", "sources.logs.max_offsets_per_trigger=10"];

/// Kills the driver of a run from the testbed's broker to a topic of another one, and compares what is there at the end.
fn check(testbed: &Testbed, kafka: &KafkaOptions, topic: &str) {
    let sets = sets(kafka, topic);
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    println!("the pauses before the kills have the seed {seed}");
    let mut random = seed;
    for _ in 0..KILLS {
        let before = testbed.progress().len();
        let run = testbed.start_run(&[&sets[..], &SLOW].concat());
        until("a batch", || (testbed.progress().len() > before).then_some(()));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_micros((random >> 33) % 150_000));
        assert_eq!(run.kill().code, None);
    }
    let read = testbed.records_read();
    assert!(read < COUNT as u64, "every kill came in the middle");
    testbed.run_now(&sets);
    let expected: BTreeMap<String, usize> = records(THEN, COUNT).map(|record| (plain(&record), 1)).collect();
    // Apache Kafka answers a commit before it writes the markers that make the records visible.
    let found = until("the last batch", || {
        let found = rows(kafka, topic);
        (found.values().sum::<usize>() >= COUNT).then_some(found)
    });
    let found: BTreeMap<String, usize> = found.into_iter().map(|(row, count)| (plain(&row), count)).collect();
    assert_eq!(found, expected, "seed {seed}");
}

/// A record without the differences between two writers of JSON.
fn plain(record: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(record).expect("JSON");
    format!("{} {} {}", value["timestamp"].as_f64().expect("a number"), value["course"], value["lines_of_code"])
}

#[test]
fn a_driver_that_is_killed_at_random_writes_each_row_once() {
    let testbed = Testbed::holding(records(THEN, COUNT));
    check(&testbed, &testbed.kafka(), "out");
}

#[test]
fn the_same_on_apache_kafka() {
    let Ok(servers) = std::env::var("TIDEMILL_TEST_KAFKA") else {
        eprintln!("skipped: TIDEMILL_TEST_KAFKA=host:port names no Apache Kafka");
        return;
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
    check(&Testbed::holding(records(THEN, COUNT)), &KafkaOptions::new(servers), &format!("e2e-out-{now}"));
}

/// The broker of the sink goes away in the middle of a run, comes back, and goes away again.
#[test]
fn a_run_whose_sink_is_away_waits_and_ends_when_told() {
    let testbed = Testbed::holding(records(THEN, COUNT));
    let mut other = Testbed::new();
    let sets = sets(&other.kafka(), "out");
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let run = testbed.start_run(&[&sets[..], &SLOW].concat());
    until("a batch", || (!testbed.progress().is_empty()).then_some(()));
    other.kill_broker();
    let line = run.says("waiting for it to come back");
    assert!(line.contains("sink KafkaSink[out]") && line.contains(other.address()), "{line}");
    other.start_broker();
    run.says("the batch was taken; the run goes on");
    let before = testbed.progress().len();
    until("more batches", || (testbed.progress().len() > before + 2).then_some(()));
    other.kill_broker();
    let waits = || run.stderr().matches("waiting for it to come back").count();
    until("a second wait", || (waits() == 2).then_some(()));
    run.signal("INT");
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("is not committed; the next start writes it again"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("waiting for it to come back").count(), 2, "{}", ended.stderr);
    other.start_broker();
    testbed.run_now(&sets);
    let found: BTreeMap<String, usize> =
        rows(&other.kafka(), "out").into_iter().map(|(row, count)| (plain(&row), count)).collect();
    let expected: BTreeMap<String, usize> = records(THEN, COUNT).map(|record| (plain(&record), 1)).collect();
    assert_eq!(found, expected);
}

/// What is wrong with a sink is said at its place, before anything runs.
#[test]
fn mistakes_of_a_kafka_sink() {
    let testbed = Testbed::without_broker();
    let sink = ["sinks.out.type=kafka", "sinks.out.bootstrap_servers=h:1"];
    for (more, expected) in [
        (&["sinks.out.format=raw", "sinks.out.topic=t"][..], "format = \"raw\" needs a column `value`"),
        (&["sinks.out.topic=t", "sinks.out.key_column=no"], "`key_column` names `no`, which is not a column"),
        (&["sinks.out.topic=a b"], "`a b` is not the name of a topic"),
        (&["sinks.out.topic=t", "sinks.out.options={ \"acks\" = \"1\" }"], "`options.acks` takes all"),
        (&["sinks.out.topic=t", "sinks.out.client=librdkafka"], "client"),
        (
            &["sinks.out.topic=t", "sinks.out.topic_options={ a = 1 }"],
            "`topic_options` are the settings of a new topic",
        ),
    ] {
        let sets: Vec<&str> = sink.iter().chain(more).flat_map(|set| ["--set", *set]).collect();
        let ended = testbed.tidemill(&[&["check", "p.toml"], &sets[..]].concat());
        assert_eq!(ended.code, Some(2), "{more:?} {}", ended.stdout);
        assert!(ended.stderr.contains(expected), "{more:?}: {}", ended.stderr);
    }
}
