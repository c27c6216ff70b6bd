//! Stories: a load in, the changes of size out, compared as text. The machine is the fluid model.
//!
//! A story's load is written in executors' worth (`5s 0, 20s 0.6`); a line of the transcript is `second: kind from→to`.

use tidemill_scale::simulate::{Mechanism, Runway, Trace, run};
use tidemill_scale::{Mode, Settings};

/// The demo: 2,500 records/s and core, short hold times, 90 seconds.
fn demo() -> (Settings, Mechanism) {
    let settings = Settings {
        idle_timeout_ms: 3_000,
        down_hold_ms: 3_000,
        max_records_per_second_per_core: Some(2_500.0),
        ..Settings::default()
    };
    (settings, Mechanism { per_executor: 5_000.0, crowding: 0.0, ..Mechanism::default() })
}

/// Production's defaults, capacity unknown at first.
fn production() -> (Settings, Mechanism) {
    let mut settings = Settings::default();
    settings.policy.assumed_per_core = 5_000.0;
    (settings, Mechanism::default())
}

fn trace(load: &str, per_executor: f64) -> Trace {
    let mut arrivals = Vec::new();
    for phase in load.split(", ") {
        let (seconds, level) = phase.split_once("s ").expect("`20s 0.6`");
        let (seconds, level): (usize, f64) = (seconds.parse().expect("seconds"), level.parse().expect("a level"));
        arrivals.extend(std::iter::repeat_n(level * per_executor, seconds));
    }
    Trace::new(load, arrivals)
}

fn check((settings, mechanism): (Settings, Mechanism), load: &str, expected: &str) {
    let mut runway = Runway::new(&settings);
    let outcome = run(&trace(load, mechanism.per_executor), &mechanism, settings.slo_ms, &mut runway);
    let line = |decision: &tidemill_scale::Decision| {
        let kind = format!("{:?}", decision.kind).to_lowercase();
        format!("{}: {kind} {}→{}", decision.at_ms as f64 / 1000.0, decision.from, decision.to)
    };
    let lines: Vec<String> = runway.actions().map(line).collect();
    let seen = format!("{} | late {:.2} % | left {}", lines.join(", "), outcome.late * 100.0, outcome.left.round());
    assert_eq!(seen, expected, "{load}");
}

#[test]
fn the_demo_shows_all_sizes() {
    check(
        demo(),
        "5s 0, 20s 0.6, 20s 3.4, 25s 0.6, 20s 0",
        "5.25: activate 0→1, 27.25: up 1→4, 51.25: down 4→3, 56: down 3→2, 61.5: down 2→1, 75: zero 1→0 | late 0.00 % | left 0",
    );
    check(
        demo(),
        "5s 0, 15s 0.6, 15s 1.6, 15s 2.6, 15s 3.5, 10s 0.4, 15s 0",
        "5.25: activate 0→1, 22.5: up 1→2, 37.5: up 2→3, 52.75: up 3→4, 72.5: down 4→3, 76.5: down 3→2, 80: zero 2→0 | late 0.00 % | left 0",
    );
}

#[test]
fn one_record_in_a_quiet_stream_is_one_executor() {
    check(demo(), "30s 0, 1s 0.0002, 29s 0", "30.5: activate 0→1, 35.5: zero 1→0 | late 0.00 % | left 0");
    check(production(), "30s 0, 1s 0.0001, 29s 0", "30.5: activate 0→1, 42.5: zero 1→0 | late 0.00 % | left 0");
}

#[test]
fn a_backlog_is_met_at_once_with_the_size_needed() {
    check(production(), "10s 0, 1s 5, 50s 0", "10.25: activate 0→1, 25.5: zero 1→0 | late 0.00 % | left 0");
    check(production(), "10s 0, 1s 100, 90s 0", "10.25: activate 0→4, 47.25: zero 4→0 | late 64.28 % | left 0");
}

#[test]
fn a_step_is_one_action() {
    check(production(), "60s 0.5, 60s 1.5", "0.25: activate 0→1, 62.75: up 1→2 | late 0.00 % | left 0");
    check(production(), "60s 0.5, 60s 3.5", "0.25: activate 0→1, 62.25: up 1→4 | late 0.00 % | left 0");
    check(production(), "60s 1.5, 60s 2.5", "0.25: activate 0→1, 3: up 1→2, 62.5: up 2→3 | late 0.00 % | left 0");
}

#[test]
fn bounds_and_pins_hold() {
    let (mut settings, mechanism) = demo();
    settings.min = 1;
    check(
        (settings.clone(), mechanism.clone()),
        "20s 0, 20s 3, 30s 0",
        "22.5: up 1→4, 44: down 4→3, 48.5: down 3→2, 53.75: down 2→1 | late 0.00 % | left 0",
    );
    settings.max = 2;
    check(
        (settings.clone(), mechanism.clone()),
        "20s 0, 20s 1.9, 30s 0",
        "22.75: up 1→2, 51: down 2→1 | late 0.00 % | left 0",
    );
    settings.mode = Mode::Pinned(2);
    check((settings, mechanism), "20s 0, 20s 1.9, 30s 0", " | late 0.00 % | left 0");
}

#[test]
fn a_slow_sink_gets_no_executors_that_it_cannot_use() {
    let (settings, mut mechanism) = production();
    mechanism.sink_limit = Some(15_000.0);
    check(
        (settings, mechanism),
        "60s 0.5, 240s 3",
        "0.25: activate 0→1, 62.25: up 1→4, 83.25: guard 4→2 | late 88.48 % | left 3612500",
    );
}

#[test]
fn a_load_that_swings_is_held_longer_each_time() {
    check(
        production(),
        "60s 0.5, 20s 3, 40s 0.5, 20s 3, 60s 0.5, 20s 3, 160s 0.5",
        "0.25: activate 0→1, 62.25: up 1→4, 96.25: down 4→3, 101.75: down 3→2, 107.75: down 2→1, 122.25: up 1→4, 171.25: down 4→3, 176.75: down 3→2, 182.75: down 2→1, 206.75: up 1→4, 281.25: down 4→3, 286.75: down 3→2, 292.25: down 2→1 | late 0.00 % | left 0",
    );
}

#[test]
fn capacity_that_was_overestimated_is_not_taken_for_a_slow_sink() {
    let (settings, mut mechanism) = production();
    mechanism.mu_error = 1.5;
    check(
        (settings, mechanism),
        "60s 0.5, 120s 3.6",
        "0.25: activate 0→1, 62.5: up 1→3, 88: up 3→4, 168.25: down 4→3 | late 0.00 % | left 211700",
    );
}
