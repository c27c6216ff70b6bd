//! `tidemill produce`: count, shares and summary are exact, and the same seed gives the same records.

use crate::support::Testbed;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Produces into a topic and returns the summary.
fn produce(testbed: &Testbed, topic: &str, args: &[&str]) -> Value {
    let common = ["produce", "--bootstrap-servers", testbed.address(), "--topic", topic, "--json"];
    let ended = testbed.tidemill(&[&common[..], args].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("a summary")
}

/// All values of a topic by partition, in offset order.
fn values(testbed: &Testbed, topic: &str) -> BTreeMap<i32, Vec<Vec<u8>>> {
    let mut values: BTreeMap<i32, Vec<Vec<u8>>> = BTreeMap::new();
    tidemill_kafka::scan(&testbed.kafka(), topic, |partition, _, _, _, value| {
        values.entry(partition).or_default().push(value.expect("a value").to_vec());
        ControlFlow::Continue(())
    })
    .expect("the topic is read");
    values
}

#[test]
fn the_same_seed_makes_the_same_records() {
    let testbed = Testbed::new();
    let like = |topic: &str, seed: &str| {
        let args =
            ["--seed", seed, "--count", "5003", "--rate", "max", "--partitions", "3", "--start-time", "1700000000.5"];
        let summary = produce(&testbed, topic, &[&args[..], &["--late", "5%", "--malformed", "5%"]].concat());
        assert_eq!([&summary["sent"], &summary["acknowledged"], &summary["failed"]], [5_003, 5_003, 0]);
        assert!(summary["seconds"].as_f64() > Some(0.0) && summary["per_second"].as_f64() > Some(0.0), "{summary}");
        values(&testbed, topic)
    };
    let (a, b, c) = (like("a", "7"), like("b", "7"), like("c", "8"));
    assert_eq!(a.len(), 3);
    assert_eq!(a.values().map(Vec::len).sum::<usize>(), 5_003);
    assert!(a == b, "the same seed, other records");
    assert!(a != c, "another seed, the same records");
}

#[test]
fn shares_are_kept() {
    let testbed = Testbed::new();
    let args = ["--count", "20000", "--rate", "max", "--producers", "3", "--start-time", "1700000000"];
    produce(&testbed, "logs", &[&args[..], &["--late", "10%", "--malformed", "20%"]].concat());
    let (mut all, mut broken, mut late) = (0, 0, 0);
    for value in values(&testbed, "logs").values().flatten() {
        all += 1;
        match serde_json::from_slice::<Value>(value) {
            Ok(row) if row["timestamp"].is_f64() && row["lines_of_code"].is_u64() => {
                late += i32::from(row["timestamp"].as_f64() < Some(1.7e9));
            }
            _ => broken += 1,
        }
    }
    assert_eq!(all, 20_000);
    // Within twenty standard deviations. The draw is pseudo-random with a fixed seed.
    assert!((3_000..5_000).contains(&broken) && (1_200..2_800).contains(&late), "{broken} broken, {late} late");
}

#[test]
fn an_end_by_time_or_signal_waits_for_every_acknowledgement() {
    let testbed = Testbed::new();
    let summary = produce(&testbed, "timed", &["--rate", "2k/s", "--duration", "1s"]);
    let sent = summary["sent"].as_u64().unwrap();
    assert!(sent > 0 && summary["acknowledged"] == sent, "{summary}");
    assert_eq!(values(&testbed, "timed").values().map(Vec::len).sum::<usize>() as u64, sent);

    let producer = testbed.start(&[
        "produce",
        "--bootstrap-servers",
        testbed.address(),
        "--topic",
        "ended",
        "--rate",
        "1k/s",
        "--json",
    ]);
    producer.says("records sent");
    producer.signal("INT");
    let ended = producer.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(summary["acknowledged"], summary["sent"]);
    assert_eq!(
        values(&testbed, "ended").values().map(Vec::len).sum::<usize>() as u64,
        summary["sent"].as_u64().unwrap()
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let testbed = Testbed::without_broker();
    let ended = testbed.tidemill(&["produce", "--bootstrap-servers", testbed.address(), "--count", "1"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("cannot be reached") && ended.stderr.contains("start it"), "{}", ended.stderr);
    for args in [["--rate", "soon"], ["--late", "120%"], ["--producers", "0"], ["--option", "x"]] {
        let ended = testbed.tidemill(&[&["produce"], &args[..]].concat());
        assert_eq!((ended.code, ended.stderr.contains(args[0])), (Some(2), true), "{}", ended.stderr);
    }
}
