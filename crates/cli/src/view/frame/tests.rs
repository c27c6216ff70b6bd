//! Frames as text, for terminals of several sizes.

use super::*;
use tidemill_model::status::{DecisionLine, ResultRows};

fn status() -> Status {
    let executor = |id, state: &str, tasks_running| ExecutorStatus {
        id,
        state: state.into(),
        tasks_running,
        ..ExecutorStatus::default()
    };
    let decision = |at_ms, from, to, reason: &str| DecisionLine { at_ms, from, to, reason: reason.into() };
    let row = |values: [&str; 4]| values.map(String::from).to_vec();
    Status {
        now_ms: 1_060_000,
        uptime_ms: 60_000,
        activity: "batch 12: 3 of 8 tasks".into(),
        rate_in: 92_481.3,
        rate_done: 44_000.0,
        backlog: 121_300,
        age_p50_ms: 190,
        age_p99_ms: 1_410,
        records: 2_536_900,
        executors_target: 3,
        executors_max: 4,
        executors: vec![executor(1, "ready", 2), executor(2, "draining", 1), executor(3, "starting", 0)],
        decisions: vec![
            decision(1_004_200, 0, 1, "the first records"),
            decision(
                1_030_200,
                1,
                3,
                "94824 records/s arrive and 18206 wait: 1 would be over the budget of 10 s in 1.4 s",
            ),
        ],
        windows: ResultRows {
            columns: ["start", "course", "total_loc", "avg_cpu"].map(String::from).to_vec(),
            rows: vec![
                row(["2026-01-05 10:42:15", "Operating Systems", "977", "52.51998877"]),
                row(["2026-01-05 10:42:20", "\u{1b}]0;owned\u{7} Web 日本", "12", "NULL"]),
            ],
        },
        ..Status::default()
    }
}

fn check(status: &Status, width: usize, height: usize, expected: &str) {
    let mut samples = SampleHistory::default();
    for (second, backlog) in [0, 0, 60_000, 121_300].into_iter().enumerate() {
        let uptime_ms = second as u64 * 20_000;
        samples.add(&Status { uptime_ms, backlog, rate_in: backlog as f64 / 2.0, ..status.clone() });
    }
    let phase = ["phase 3 of 6: a spike".to_string()];
    let notes = ["the dashboard is on http://127.0.0.1:8080/".to_string()];
    let scene = Screen { title: "tidemill demo", status, extra: &phase, notes: &notes, samples: &samples };
    let lines = render(&scene, width, height);
    let told: Vec<String> = lines.iter().map(|line| line.iter().map(|span| span.text.as_str()).collect()).collect();
    let told: Vec<&str> = told.iter().map(|line| line.trim_end()).collect();
    let told = told.join("\n");
    assert!(told == expected.trim_matches('\n'), "the picture is now:\n{told}");
    for line in &lines {
        assert!(line.iter().map(|span| columns_of(&span.text)).sum::<usize>() <= width, "{line:?}");
    }
}

#[test]
fn a_usual_terminal() {
    check(
        &status(),
        80,
        24,
        r#"
 tidemill demo                                    batch 12: 3 of 8 tasks · 60 s
 phase 3 of 6: a spike

 arriving /s    processed /s   backlog        records        age p50 / p99
 92,481         44,000         121,300        2,536,900      190 ms / 1.4 s
 executors  ██ ▒▒ ░░ ··  3, wanted 3: 1 ready, 1 starting, 1 draining; 3 tasks

 arriving     ▄█                                              at most 60,650
 processed  ▆▆▆▆                                              at most 44,000
 backlog      ▄█                                              at most 121,300
 executors  ▆▆▆▆                                              the last 60 s

 Decisions
    30.2 s  1 → 3  94824 records/s arrive and 18206 wait: 1 would be over the
                   budget of 10 s in 1.4 s
     4.2 s  0 → 1  the first records

 Newest results, of 2026-01-05
 start     course               total_loc  avg_cpu
 10:42:20  ·]0;owned· Web 日本         12     NULL
 10:42:15  Operating Systems          977   52.520
 the dashboard is on http://127.0.0.1:8080/
"#,
    );
}

#[test]
fn a_low_and_narrow_terminal() {
    check(
        &status(),
        44,
        13,
        r#"
 tidemill demo  batch 12: 3 of 8 tasks · 60…
 phase 3 of 6: a spike
 arriving /s    processed /s   backlog     …
 92,481         44,000         121,300     …
 executors  ██ ▒▒ ░░ ··  3, wanted 3: 1 rea…
 arriving     ▄█          at most 60,650
 processed  ▆▆▆▆          at most 44,000
 backlog      ▄█          at most 121,300
 executors  ▆▆▆▆          the last 60 s
 Decisions
    30.2 s  1 → 3  94824 records/s arrive
                   and 18206 wait: 1 would
 the dashboard is on http://127.0.0.1:8080/
"#,
    );
}

#[test]
fn a_slit() {
    check(
        &status(),
        16,
        3,
        r#"
 tidemill demo
 phase 3 of 6: …
 executors  ██ …
"#,
    );
    check(&status(), 1, 1, "…");
}

#[test]
fn nothing_has_happened_yet() {
    check(
        &Status { executors_max: 4, ..Status::default() },
        80,
        24,
        r#"
 tidemill demo                                                           · 0 ms
 phase 3 of 6: a spike

 arriving /s    processed /s   backlog        records        age p50 / p99
 0              0              0              0              –
 executors  ·· ·· ·· ··  0, wanted 0

 arriving     ▄█                                              at most 60,650
 processed                                                    at most 0
 backlog      ▄█                                              at most 121,300
 executors                                                    the last 60 s
 the dashboard is on http://127.0.0.1:8080/
"#,
    );
}
