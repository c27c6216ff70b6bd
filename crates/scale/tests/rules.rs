//! The rules one by one: a state after a steady load, one call, the decision.

use tidemill_scale::{Facts, Kind, Mode, Settings, State, Work, decide};

/// One executor does 9,700/s by the assumption; two 19,012, three 27,936, four 36,472.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.policy.assumed_per_core = 5_000.0;
    settings
}

/// A row of the table. The state has seen `rate` records/s for 30 s at `size` executors.
struct Case {
    size: u32,
    rate: u64,
    facts: fn(&mut Facts),
    settings: fn(&mut Settings),
}

const CASE: Case = Case { size: 1, rate: 5_000, facts: |_| {}, settings: |_| {} };

fn check(what: &str, case: Case, expected: (Kind, u32)) {
    let mut settings = settings();
    settings.mode = Mode::Pinned(case.size);
    let mut state = State::new(&settings);
    let mut facts = Facts { backlog: Some(0), all_committed: true, ready: case.size, ..Facts::default() };
    for tick in 0..=120 {
        facts.now_ms = tick * 250;
        facts.end_total = Some(1_000 + case.rate * facts.now_ms / 1000);
        decide(&mut state, &settings, &facts);
    }
    settings.mode = Mode::Active;
    (case.settings)(&mut settings);
    facts.now_ms += 250;
    facts.end_total = facts.end_total.map(|total| total + case.rate / 4);
    (case.facts)(&mut facts);
    let decision = decide(&mut state, &settings, &facts);
    assert_eq!((decision.kind, decision.to), expected, "{what}: {}", decision.reason);
    assert!(decision.reason.len() > 10, "{what} has a reason");
}

#[test]
fn from_zero() {
    let zero = Case { size: 0, rate: 0, ..CASE };
    check("nothing to do", Case { ..zero }, (Kind::Hold, 0));
    check(
        "records came, all are done",
        Case { size: 0, rate: 1_300, facts: |f| f.age_ms = 700, settings: |s| s.slo_ms = 5_000 },
        (Kind::Hold, 0),
    );
    check("one record", Case { size: 0, rate: 0, facts: |f| f.backlog = Some(1), ..CASE }, (Kind::Activate, 1));
    let one_a_second = Case { size: 0, rate: 1, facts: |f| f.backlog = Some(1), ..CASE };
    check(
        "one record a second, cheap starts",
        Case { settings: |s| s.policy.assumed_start_ms = 15, ..one_a_second },
        (Kind::Activate, 1),
    );
    check(
        "one record a second, starts of more than 2 % of an executor",
        Case { settings: |s| s.policy.assumed_start_ms = 25, ..one_a_second },
        (Kind::Hold, 0),
    );
    check(
        "150,000 in 10 s",
        Case { size: 0, rate: 0, facts: |f| f.backlog = Some(150_000), ..CASE },
        (Kind::Activate, 2),
    );
    check("a million", Case { size: 0, rate: 0, facts: |f| f.backlog = Some(1_000_000), ..CASE }, (Kind::Activate, 4));
    check("a plan to finish", Case { size: 0, rate: 0, facts: |f| f.unfinished = 5, ..CASE }, (Kind::Activate, 1));
    check("a job without records", Case { size: 0, rate: 0, facts: |f| f.job = true, ..CASE }, (Kind::Activate, 1));
    check(
        "a job without records while an executor lives",
        Case { size: 0, rate: 0, facts: |f| (f.job, f.draining) = (true, 1), ..CASE },
        (Kind::Hold, 0),
    );
    check(
        "a batch without data",
        Case { size: 0, rate: 0, facts: |f| f.all_committed = false, ..CASE },
        (Kind::Hold, 0),
    );
    check("nothing known", Case { size: 0, rate: 0, facts: |f| f.backlog = None, ..CASE }, (Kind::Hold, 0));
    check(
        "no executors allowed",
        Case { size: 0, rate: 0, facts: |f| f.backlog = Some(9), settings: |s| s.max = 0 },
        (Kind::Hold, 0),
    );
}

/// A load of 1,000/s that is served in turns has ended; nothing comes for `silence_ms`, then one record.
#[test]
fn the_first_record_after_a_silence_does_not_wait() {
    for (silence_ms, expected) in [(250, (Kind::Hold, 0)), (1_000, (Kind::Hold, 0)), (4_750, (Kind::Activate, 1))] {
        let mut settings = Settings { mode: Mode::Pinned(0), ..settings() };
        settings.policy.assumed_start_ms = 25;
        let mut state = State::new(&settings);
        let mut facts = Facts { backlog: Some(0), all_committed: true, ..Facts::default() };
        let end = 30_000;
        for tick in 0..=(end + silence_ms) / 250 {
            facts.now_ms = tick * 250;
            facts.end_total = Some(1_000 + facts.now_ms.min(end));
            decide(&mut state, &settings, &facts);
        }
        facts.now_ms += 250;
        facts.end_total = facts.end_total.map(|total| total + 1);
        facts.backlog = Some(1);
        let settings = Settings { mode: Mode::Active, ..settings };
        let decision = decide(&mut state, &settings, &facts);
        assert_eq!((decision.kind, decision.to), expected, "after {silence_ms} ms: {}", decision.reason);
        assert!(decision.terms.turn_s.is_some(), "the load before is still in the averages");
    }
}

#[test]
fn up() {
    check("within capacity", CASE, (Kind::Hold, 1));
    check("a backlog within its budget", Case { facts: |f| f.backlog = Some(30_000), ..CASE }, (Kind::Hold, 1));
    check("over it, draining in time", Case { facts: |f| f.backlog = Some(60_000), ..CASE }, (Kind::Hold, 1));
    check("over it, not draining in time", Case { facts: |f| f.backlog = Some(80_000), ..CASE }, (Kind::Up, 2));
    check("far over it", Case { facts: |f| f.backlog = Some(400_000), ..CASE }, (Kind::Up, 4));
    check("more than capacity, long runway", Case { rate: 12_000, ..CASE }, (Kind::Hold, 1));
    check(
        "more than capacity, short runway",
        Case { rate: 12_000, facts: |f| f.backlog = Some(80_000), ..CASE },
        (Kind::Up, 2),
    );
    check(
        "straight to the size needed",
        Case { rate: 30_000, facts: |f| f.backlog = Some(200_000), ..CASE },
        (Kind::Up, 4),
    );
    check(
        "old facts shorten the runway",
        Case { rate: 12_000, facts: |f| (f.backlog, f.age_ms) = (Some(65_000), 5_000), ..CASE },
        (Kind::Up, 2),
    );
    check(
        "not above max",
        Case { size: 4, rate: 50_000, facts: |f| f.backlog = Some(9_000_000), ..CASE },
        (Kind::Hold, 4),
    );
}

#[test]
fn bounds_pins_and_losses() {
    check("min asks for more", Case { settings: |s| s.min = 2, ..CASE }, (Kind::Bound, 2));
    check("max asks for less", Case { size: 4, settings: |s| s.max = 2, ..CASE }, (Kind::Bound, 2));
    check("a pin", Case { settings: |s| s.mode = Mode::Pinned(3), ..CASE }, (Kind::Bound, 3));
    check("a pin above max", Case { settings: |s| s.mode = Mode::Pinned(9), ..CASE }, (Kind::Bound, 4));
    check(
        "a pin, offsets unknown",
        Case { facts: |f| f.backlog = None, settings: |s| s.mode = Mode::Pinned(2), ..CASE },
        (Kind::Bound, 2),
    );
    check("offsets unknown", Case { size: 3, facts: |f| f.end_total = None, ..CASE }, (Kind::Hold, 3));
    check("an executor lost", Case { size: 2, facts: |f| f.crashes = 1, ..CASE }, (Kind::Replace, 2));
}

#[test]
fn the_limit_is_the_capacity_before_any_is_measured_and_caps_it_after() {
    let limited: fn(&mut Settings) = |s| s.max_records_per_second_per_core = Some(1_000.0);
    check(
        "12,000 waiting at 1,940/s",
        Case { size: 0, rate: 0, facts: |f| f.backlog = Some(30_000), settings: limited },
        (Kind::Activate, 2),
    );
    let mut state = State::new(&settings());
    let mut settings = settings();
    limited(&mut settings);
    let mut facts = Facts { backlog: Some(0), end_total: Some(0), ready: 1, ..Facts::default() };
    for tick in 0..40 {
        facts.now_ms = tick * 500;
        facts.work = vec![Work { executor: 1, tasks: 1, records: 500_000, busy_us: 500_000, ..Work::default() }];
        let decision = decide(&mut state, &settings, &facts);
        let learned = decision.terms.mu;
        assert_eq!(learned.is_some(), tick >= 12, "5 s of warm-up and a second's worth, at tick {tick}: {learned:?}");
        assert_eq!(decision.terms.capacity[1], 1_940.0);
    }
    let prior = state.prior().clone();
    let mut again = State::with_prior(&settings, prior);
    settings.max_records_per_second_per_core = None;
    facts.work.clear();
    let capacity = decide(&mut again, &settings, &facts).terms.capacity[1];
    assert!((capacity - 1_940_000.0).abs() < 1.0, "kept over a restart: {capacity}");
}

#[test]
fn advice_is_logged_and_not_followed() {
    let settings = Settings { mode: Mode::Advisory, ..settings() };
    let mut state = State::new(&settings);
    let facts = Facts { backlog: Some(1), end_total: Some(1), ready: 4, ..Facts::default() };
    let decision = decide(&mut state, &settings, &facts);
    assert_eq!((decision.kind, decision.to, decision.keep), (Kind::Activate, 1, 4));
}
