//! The example pipelines that read Kafka.

use crate::support::Testbed;
use std::ops::ControlFlow;
use std::path::Path;
use tidemill_kafka::scan;

#[test]
fn cs_student_activity() {
    let testbed = Testbed::new();
    let record = |index: usize| {
        let seconds = 1_767_600_000 + index;
        format!(
            r#"{{"timestamp": {seconds}, "course": "CS101", "activity": "coding", "lines_of_code": 10, "cpu_usage_pct": 50.0}}"#
        )
    };
    testbed.send_to("cs_student_logs", (0..5).map(record));
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(["cs-student-activity", ".toml"].concat());
    let server = format!("sources.cs_student_logs.bootstrap_servers={}", testbed.address());
    let sets = [&server, "sources.cs_student_logs.starting_offsets=earliest", "dashboard.listen=127.0.0.1:0"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let ended = testbed.tidemill(&[&["run", example.to_str().unwrap(), "--available-now"], &sets[..]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // Five records, a second apart, from the start of a window: each is in two windows.
    let rows: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |from: &'static str, to: &'static str| {
        vec!["2026-01-05", from, "2026-01-05", to, "CS101", "coding", "50", "50.0"]
    };
    for expected in [row("07:59:55", "08:00:05"), row("08:00:00", "08:00:10")] {
        assert!(rows.contains(&expected), "{}", ended.stdout);
    }
}

/// The value is parsed by the query. The window over the parsed time is over the event time: the watermark closes it.
#[test]
fn orders_from_json() {
    let testbed = Testbed::new();
    let records = [
        r#"{"ts":"2026-01-05T08:01:00Z","country":"fr","amount":10.0}"#,
        r#"{"ts":"2026-01-05T08:04:59Z","country":"fr","amount":20.5,"more":[1]}"#,
        r#"{"ts":"2026-01-05T08:05:00Z","country":"it","amount":"none"}"#,
        "not JSON",
        "",
        r#"{"ts":"2026-01-05T09:00:00Z","country":"fr","amount":1.0}"#,
    ];
    testbed.send_to("orders", records.into_iter().map(str::to_owned));
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(["orders-from-json", ".toml"].concat());
    let server = format!("sources.events.bootstrap_servers={}", testbed.address());
    let ended = testbed.tidemill(&["run", example.to_str().unwrap(), "--available-now", "--set", &server]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let rows: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let has = |row: &[&str]| rows.iter().any(|found| found.starts_with(row));
    assert!(has(&["2026-01-05", "08:00:00", "fr", "2", "15.25"]), "{}", ended.stdout);
    assert!(has(&["2026-01-05", "08:05:00", "it", "1"]), "{}", ended.stdout);
    assert!(!ended.stdout.contains("09:00:00"), "the window is still open: {}", ended.stdout);
}

#[test]
fn big_orders() {
    let testbed = Testbed::new();
    let records = [
        r#"{"id":1,"country":"fr","amount":100.5}"#,
        r#"{"id":2,"country":"fr","amount":100.0}"#,
        r#"{"id":3,"country":"it","amount":1e3}"#,
        "not JSON",
        r#"{"id":4,"amount":200}"#,
    ];
    testbed.send_to("orders", records.into_iter().map(str::to_owned));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(["big-orders", ".toml"].concat());
    let servers =
        ["sources.orders", "sinks.big"].map(|table| format!("{table}.bootstrap_servers={}", testbed.address()));
    let sets: Vec<&str> = servers.iter().flat_map(|set| ["--set", set]).collect();
    let ended = testbed.tidemill(&[&["run", example.to_str().unwrap(), "--available-now"], &sets[..]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut found = Vec::new();
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    scan(&testbed.kafka(), "big-orders", |_, _, _, key, value| {
        found.push((text(key), text(value).unwrap()));
        ControlFlow::Continue(())
    })
    .unwrap();
    found.sort();
    let row = |key: Option<&str>, value: &str| (key.map(str::to_owned), value.to_owned());
    let expected = [
        row(None, r#"{"id":4,"amount":200.0}"#),
        row(Some("FR"), r#"{"id":1,"country":"FR","amount":100.5}"#),
        row(Some("IT"), r#"{"id":3,"country":"IT","amount":1000.0}"#),
    ];
    assert_eq!(found, expected);
}
