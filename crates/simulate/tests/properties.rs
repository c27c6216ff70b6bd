//! Properties that hold for any load in the fluid model. The cases are the same in every run.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use tidemill_scale::{Decision, Facts, Kind, Record, Settings, State, decide, replay};
use tidemill_simulate::{Mechanism, Observation, Runway, Scaler, Trace, run};

const LOADS: u32 = 60;
const SECONDS: usize = 240;
/// The scaler is called four times a second.
const CALLS: usize = SECONDS * 4;

/// A load, and what the autoscaler is told about it.
#[derive(Clone, Debug)]
struct Load {
    /// Records that arrive in each second.
    arrivals: Vec<f64>,
    settings: Settings,
    /// Whether the backlog is unknown at each call.
    unknown: Vec<bool>,
}

/// Levels that hold for a random time: quiet, within capacity, beyond it. `greatest` is in executors; `unknown` is the
/// probability of a call without a backlog.
fn loads(greatest: f64, unknown: f64) -> impl Strategy<Value = Load> {
    let level = prop_oneof![1 => Just(0.0), 1 => 0.0..0.3, 2 => 0.0..1.0];
    let levels = vec((level, 1..=40_usize), SECONDS / 8..SECONDS);
    let unknown = vec(proptest::bool::weighted(unknown), CALLS);
    (levels, vec(0.8..1.2, SECONDS), unknown, 3_000..13_000_u64, 0.7..1.3).prop_map(
        move |(levels, noise, unknown, idle_timeout_ms, speed): (Vec<(f64, usize)>, Vec<f64>, _, _, f64)| {
            let per_executor = Mechanism::default().per_executor;
            let levels = levels.into_iter().flat_map(|(level, seconds)| std::iter::repeat_n(level * greatest, seconds));
            let rate = |(level, noise): (f64, f64)| (level * noise).min(greatest) * per_executor;
            let mut arrivals: Vec<f64> = levels.zip(noise).map(rate).collect();
            arrivals.resize(SECONDS, 0.0);
            let mut settings = Settings { idle_timeout_ms, ..Settings::default() };
            settings.policy.assumed_per_core = per_executor / 2.0 * speed;
            Load { arrivals, settings, unknown }
        },
    )
}

/// Checks some loads.
fn for_loads(count: u32, loads: impl Strategy<Value = Load>, check: impl Fn(Load)) {
    let config = ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&loads, |load| {
        check(load);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Runs loads and passes every call to `see(state before, settings, facts, decision)`.
fn for_every_call(greatest: f64, unknown: f64, see: impl Fn(&State, &Settings, &Facts, &Decision)) {
    struct Watch<'a, F> {
        settings: Settings,
        state: State,
        unknown: std::vec::IntoIter<bool>,
        see: &'a F,
    }
    impl<F: Fn(&State, &Settings, &Facts, &Decision)> Scaler for Watch<'_, F> {
        fn size(&mut self, facts: &Facts, _: &Observation) -> u32 {
            let mut facts = facts.clone();
            if self.unknown.next() == Some(true) {
                facts.backlog = None;
            }
            let before = self.state.clone();
            let decision = decide(&mut self.state, &self.settings, &facts);
            (self.see)(&before, &self.settings, &facts, &decision);
            decision.keep
        }
    }
    for_loads(LOADS, loads(greatest, unknown), |load| {
        let (state, slo_ms) = (State::new(&load.settings), load.settings.slo_ms);
        let mut watch = Watch { settings: load.settings, state, unknown: load.unknown.into_iter(), see: &see };
        run(&Trace::new("random", load.arrivals), &Mechanism::default(), slo_ms, &mut watch);
    });
}

#[test]
fn a_greater_backlog_never_gives_fewer_executors() {
    let compared = Cell::new(0);
    for_every_call(4.5, 0.0, |before, settings, facts, decision| {
        // The guard decides by what executors added, not by the backlog.
        let Some(backlog) = facts.backlog.filter(|_| decision.kind != Kind::Guard) else { return };
        for more in [1, 100, 10_000, 100_000, 1_000_000] {
            let greater = Facts { backlog: Some(backlog + more), ..facts.clone() };
            let other = decide(&mut before.clone(), settings, &greater);
            assert!(
                other.to >= decision.to || other.kind == Kind::Guard,
                "{more} more: {} instead of {}\n{decision:?}\n{other:?}",
                other.to,
                decision.to
            );
            compared.set(compared.get() + 1);
        }
    });
    assert!(compared.get() > 100_000, "{compared:?}");
}

#[test]
fn the_size_stays_within_its_bounds() {
    for_every_call(9.0, 0.1, |_, settings, _, decision| {
        assert!(decision.to <= settings.max && decision.to >= settings.min, "{decision:?}");
    });
}

#[test]
fn zero_only_with_nothing_to_do() {
    let (zeros, left) = (Cell::new(0), Cell::new(0));
    for_every_call(3.0, 0.1, |_, settings, facts, decision| {
        let (Some(backlog), terms) = (facts.backlog.map(|backlog| backlog as f64), &decision.terms) else { return };
        if decision.kind == Kind::Zero {
            assert_eq!((backlog, facts.unfinished, facts.all_committed), (0.0, 0, true), "{decision:?}");
            zeros.set(zeros.get() + 1);
        } else if decision.to == 0 && decision.from > 0 {
            assert!(backlog <= settings.policy.drained * terms.slack, "records wait and are left: {decision:?}");
            left.set(left.get() + 1);
        } else if decision.to == 0 && backlog > 0.0 {
            let waiting_s = terms.waiting_s.expect("it is known since when they wait");
            assert!(Some(waiting_s) < terms.turn_s && backlog < terms.slack, "nobody is woken: {decision:?}");
        }
    });
    assert!(left.get() > 20, "{left:?}");
    assert!(zeros.get() > 20, "{zeros:?}");
}

#[test]
fn unknown_facts_never_change_the_size() {
    let unknown = Cell::new(0);
    for_every_call(3.0, 0.3, |_, _, facts, decision| {
        if facts.backlog.is_none() {
            assert_eq!(decision.from, decision.to, "{decision:?}");
            unknown.set(unknown.get() + 1);
        }
    });
    assert!(unknown.get() > 10_000, "{unknown:?}");
}

#[test]
fn a_load_within_capacity_drains() {
    let mechanism = Mechanism::default();
    let greatest = 0.97 * mechanism.able(4) / mechanism.per_executor;
    let backlogs = 0.0..100.0 * mechanism.per_executor;
    let loads = (loads(greatest, 0.0), backlogs).prop_map(|(mut load, backlog)| {
        load.arrivals[0] = backlog;
        load.arrivals.extend([0.0; 300]);
        load
    });
    for_loads(LOADS, loads, |load| {
        let trace = Trace::new("random", load.arrivals);
        let outcome = run(&trace, &mechanism, load.settings.slo_ms, &mut Runway::new(&load.settings));
        assert_eq!(outcome.left, 0.0, "{:?}", outcome.actions);
        assert_eq!(outcome.actions.last().map(|action| action.2), Some(0), "it ends at zero");
    });
}

#[test]
fn a_log_replays_to_the_same_decisions_through_its_text() {
    for_loads(LOADS / 4, loads(4.5, 0.0), |load| {
        let mut runway = Runway::new(&load.settings).logged();
        run(&Trace::new("random", load.arrivals), &Mechanism::default(), load.settings.slo_ms, &mut runway);
        let lines = runway.log().iter().map(|record| serde_json::to_string(record).expect("plain data"));
        let mut read: Vec<Record> = lines.map(|line| serde_json::from_str(&line).expect("what was written")).collect();
        assert_eq!(replay(&read), (CALLS, vec![]));
        // Change one fact: the replay must differ, otherwise this test would prove nothing.
        let Some(Record::Step { facts, .. }) = read.get_mut(400) else { panic!("a log of {SECONDS} s") };
        facts.backlog = Some(50_000_000);
        assert!(!replay(&read).1.is_empty());
    });
}
