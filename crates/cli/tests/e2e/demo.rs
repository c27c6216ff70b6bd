//! A short `tidemill demo`: nothing lost, nothing counted twice, every row right, whatever is killed.

use crate::support::{Ended, Testbed, until};
use serde_json::Value;

/// The report of a demo, which must succeed.
pub fn report(testbed: &Testbed, ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    let text = std::fs::read_to_string(testbed.path("r.json")).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    for (name, expected) in [("lost", 0), ("duplicated", 0), ("rows_wrong", 0), ("min_executors_seen", 0)] {
        assert_eq!(report[name], expected, "{name} in {text}");
    }
    for name in ["produced", "counted", "rows_checked", "max_executors_seen", "cold_start_ms"] {
        assert!(report[name].as_u64() >= Some(1), "{name} in {text}");
    }
    assert!(!report["decisions"].as_array().expect("a list").is_empty());
    report
}

pub const DEMO: [&str; 6] = ["demo", "--headless", "--duration", "12s", "--report", "r.json"];

#[test]
fn a_short_demo() {
    let testbed = Testbed::without_broker();
    let report = report(&testbed, &testbed.tidemill(&DEMO));
    assert_eq!((&report["runs"], &report["executors_killed"]), (&1.into(), &0.into()));
}

#[test]
fn executors_are_killed_every_two_seconds() {
    let testbed = Testbed::without_broker();
    let report = report(&testbed, &testbed.tidemill(&[&DEMO[..], &["--kill-every", "2s"]].concat()));
    assert!(report["executors_killed"].as_u64() >= Some(2), "{report}");
}

#[test]
fn killed_in_the_spike_it_goes_on() {
    let testbed = Testbed::without_broker();
    let args = [&DEMO[..], &["--dir", "kept"]].concat();
    let demo = testbed.start(&args);
    demo.says("four producers at once");
    let batches = || std::fs::read_to_string(testbed.path("kept/progress.jsonl")).unwrap().lines().count();
    let before = batches();
    until("more batches", || (batches() > before + 3).then_some(()));
    assert_eq!(demo.kill().code, None);
    let report = report(&testbed, &testbed.tidemill(&args));
    assert_eq!(report["runs"], 2);
}

#[test]
fn interrupted_it_ends_cleanly() {
    let testbed = Testbed::without_broker();
    let demo = testbed.start(&["demo", "--duration", "60s", "--dashboard", "127.0.0.1:0", "--dir", "kept"]);
    demo.says("a steady load");
    demo.signal("INT");
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.ends_with("interrupted: everything was stopped cleanly; there is no report\n"),
        "{}",
        ended.stdout
    );
}
