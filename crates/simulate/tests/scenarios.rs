//! Scenarios: a load in, the changes of size out, compared as text. The machine is the fluid model.
//!
//! A scenario's load is in units of one executor's work (`5s 0, 20s 0.6`). A line of the transcript is `second: kind
//! from→to`.

use tidemill_scale::{Bottleneck, Kind, Mode, Record, Settings};
use tidemill_simulate::{Mechanism, Runway, Trace, run};

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

/// Defaults where a start costs 15 executor-seconds and capacity is unknown at first.
fn production() -> (Settings, Mechanism) {
    let mut settings = Settings::default();
    settings.policy.assumed_per_core = 5_000.0;
    (settings, Mechanism::dear())
}

/// Defaults where a start costs 25 ms.
fn cheap() -> (Settings, Mechanism) {
    (production().0, Mechanism::default())
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
        "5.25: activate 0→1, 5.75: down 1→0, 6: activate 0→1, 6.5: down 1→0, 9.25: activate 0→1, 13: down 1→0, 14.75: activate 0→1, 17.25: down 1→0, 19: activate 0→1, 21.75: down 1→0, 23.5: activate 0→1, 25.75: up 1→4, 30: down 4→3, 31.25: up 3→4, 32.25: down 4→3, 33.5: up 3→4, 34.5: down 4→3, 35.75: up 3→4, 36.75: down 4→3, 38: up 3→4, 39: down 4→3, 40.25: up 3→4, 41.25: down 4→3, 42.5: up 3→4, 43.5: down 4→3, 44.75: up 3→4, 45.5: down 4→3, 48.25: down 3→2, 50.25: down 2→1, 51.25: down 1→0, 53.25: activate 0→1, 55.75: down 1→0, 57.5: activate 0→1, 60.25: down 1→0, 62: activate 0→1, 64.5: down 1→0, 66.25: activate 0→1, 69: down 1→0, 72.75: activate 0→1, 73.75: zero 1→0 | late 0.00 % | left 0",
    );
    check(
        demo(),
        "5s 0, 15s 0.6, 15s 1.6, 15s 2.6, 15s 3.5, 10s 0.4, 15s 0",
        "5.25: activate 0→1, 5.75: down 1→0, 6: activate 0→1, 6.5: down 1→0, 9.25: activate 0→1, 13: down 1→0, 14.75: activate 0→1, 17.25: down 1→0, 19: activate 0→1, 21.5: up 1→2, 26: down 2→1, 27: up 1→2, 28.5: down 2→1, 29.5: up 1→2, 31: down 2→1, 32: up 1→2, 33.5: down 2→1, 34.5: up 1→2, 36: up 2→3, 38.5: down 3→2, 39.5: up 2→3, 41.25: down 3→2, 42.25: up 2→3, 44: down 3→2, 45: up 2→3, 46.5: down 3→2, 47.5: up 2→3, 49: down 3→2, 50: up 2→3, 50.5: up 3→4, 52.25: down 4→3, 53.25: up 3→4, 54.5: down 4→3, 55.5: up 3→4, 56.75: down 4→3, 57.75: up 3→4, 59: down 4→3, 60: up 3→4, 61.25: down 4→3, 62.25: up 3→4, 63.25: down 4→3, 64.25: up 3→4, 65.25: down 4→3, 68.5: down 3→2, 69.75: down 2→1, 70.25: down 1→0, 73.75: activate 0→1, 75.75: down 1→0 | late 0.00 % | left 0",
    );
}

#[test]
fn one_record_in_a_quiet_stream_is_one_executor() {
    check(demo(), "30s 0, 1s 0.0002, 29s 0", "30.5: activate 0→1, 31: down 1→0 | late 0.00 % | left 0");
    check(production(), "30s 0, 1s 0.0001, 29s 0", "30.5: activate 0→1, 41.5: zero 1→0 | late 0.00 % | left 0");
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
fn who_starts_for_nothing_is_not_kept() {
    check(
        cheap(),
        "20s 0, 10s 0.5, 10s 0",
        "20.25: activate 0→1, 20.75: down 1→0, 21: activate 0→1, 21.5: down 1→0, 24.75: activate 0→1, 27.5: down 1→0, 30: activate 0→1, 31.5: down 1→0 | late 0.00 % | left 0",
    );
    check(
        cheap(),
        "20s 1.5, 10s 0.1",
        "0.25: activate 0→1, 1.25: up 1→2, 3.25: down 2→1, 4.25: up 1→2, 5.5: down 2→1, 6.5: up 1→2, 7.75: down 2→1, 8.75: up 1→2, 10: down 2→1, 11: up 1→2, 12.25: down 2→1, 13.25: up 1→2, 14.5: down 2→1, 15.5: up 1→2, 16.75: down 2→1, 17.75: up 1→2, 19: down 2→1, 20: up 1→2, 20.5: down 2→1, 23: down 1→0, 26.75: activate 0→1, 27.5: down 1→0 | late 0.00 % | left 2500",
    );
    check(cheap(), "10s 0, 1s 100, 60s 0", "10.25: activate 0→4, 37.25: zero 4→0 | late 63.34 % | left 0");
    check(
        cheap(),
        "20s 0, 15s 3.5, 20s 0",
        "20.25: activate 0→1, 21.25: up 1→4, 34: down 4→3, 34.75: up 3→4, 35.5: down 4→3, 36.25: zero 3→0 | late 0.00 % | left 0",
    );
}

#[test]
fn bounds_and_pins_hold() {
    let (mut settings, mechanism) = demo();
    settings.min = 1;
    check(
        (settings.clone(), mechanism.clone()),
        "20s 0, 20s 3, 30s 0",
        "21.5: up 1→4, 24.5: down 4→3, 26.75: up 3→4, 27.25: down 4→3, 29.5: up 3→4, 30: down 4→3, 32.25: up 3→4, 32.75: down 4→3, 41: down 3→2, 44: down 2→1 | late 0.00 % | left 0",
    );
    settings.max = 2;
    check(
        (settings.clone(), mechanism.clone()),
        "20s 0, 20s 1.9, 30s 0",
        "22.25: up 1→2, 40.75: down 2→1 | late 0.00 % | left 0",
    );
    settings.mode = Mode::Pinned(2);
    check((settings, mechanism), "20s 0, 20s 1.9, 30s 0", " | late 0.00 % | left 0");
}

#[test]
fn a_slow_sink_gets_no_executors_that_it_cannot_use() {
    let (settings, mut mechanism) = production();
    mechanism.limit = Some((Bottleneck::Sink, 15_000.0));
    check(
        (settings, mechanism),
        "60s 0.5, 240s 3",
        "0.25: activate 0→1, 62.25: up 1→4, 83.25: guard 4→2 | late 88.48 % | left 3612500",
    );
}

#[test]
fn a_load_that_swings_is_held_longer_near_the_capacity_of_a_size() {
    check(
        production(),
        "60s 0.5, 20s 3, 40s 0.5, 20s 3, 60s 0.5, 20s 3, 160s 0.5",
        "0.25: activate 0→1, 62.25: up 1→4, 96: down 4→3, 101.75: down 3→2, 107.75: down 2→1, 122.25: up 1→4, 156: down 4→3, 161.75: down 3→2, 182.75: down 2→1, 206.75: up 1→4, 236: down 4→3, 241.75: down 3→2, 292.25: down 2→1 | late 0.00 % | left 0",
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

#[test]
fn a_source_that_gives_too_little_is_named_though_one_executor_stays() {
    let (settings, mechanism) = production();
    let limited = Mechanism { limit: Some((Bottleneck::Source, 2_000.0)), ..mechanism };
    let mut runway = Runway::new(&settings).logged();
    run(&Trace::new("slow source", vec![5_000.0; 60]), &limited, settings.slo_ms, &mut runway);
    let guard = |record: &Record| match record {
        Record::Step { decision, .. } if decision.kind == Kind::Guard => Some(decision.clone()),
        _ => None,
    };
    let named = runway.log().iter().find_map(guard).expect("it is named");
    assert_eq!((named.from, named.to), (1, 1));
    let sentence = "1 executor processed only 2,000/s while the backlog grew: the source delivers no more records";
    assert!(named.reason.starts_with(sentence), "{}", named.reason);
    assert!(named.at_ms <= 30_000, "{}", named.at_ms);
}

#[test]
fn growth_is_allowed_again_when_the_bottleneck_is_gone() {
    let (settings, mechanism) = cheap();
    let limited = Mechanism { limit: Some((Bottleneck::Machine, 8_000.0)), ..mechanism.clone() };
    let mut runway = Runway::new(&settings);
    run(&Trace::new("a full machine", vec![30_000.0; 60]), &limited, settings.slo_ms, &mut runway);
    let before = runway.actions().count();
    assert_eq!(runway.actions().filter(|decision| decision.kind == Kind::Guard).count(), 1, "blocked for five minutes");
    // The clock begins anew, and the others are gone.
    run(&Trace::new("a free machine", vec![30_000.0; 60]), &mechanism, settings.slo_ms, &mut runway);
    let grown = runway.actions().skip(before).find(|decision| decision.to == 4).expect("it grows");
    assert!(grown.kind == Kind::Up && grown.at_ms <= 30_000, "{grown:?}");
}
