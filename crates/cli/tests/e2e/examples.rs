//! The example pipeline that reads Kafka.

use crate::support::Testbed;
use std::path::Path;

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
