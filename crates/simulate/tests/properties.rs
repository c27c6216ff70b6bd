//! Properties that hold for any load: seeded loops over random loads in the fluid model.

use tidemill_model::random::Random;
use tidemill_scale::{Decision, Facts, Kind, Record, Settings, State, decide, replay};
use tidemill_simulate::{Mechanism, Observation, Runway, Scaler, Trace, run};

const LOADS: u64 = 60;
const SECONDS: usize = 240;

/// Levels that hold for a random time: quiet, within capacity, beyond it, single records.
fn random_trace(noise: &mut Random, per_executor: f64, greatest: f64) -> Trace {
    let mut arrivals = Vec::new();
    while arrivals.len() < SECONDS {
        let level = match noise.bits() >> 62 {
            0 => 0.0,
            1 => noise.unit() * greatest * 0.3,
            _ => noise.unit() * greatest,
        };
        let length = 1 + (noise.unit() * 40.0) as usize;
        for _ in 0..length {
            arrivals.push((level * per_executor * noise.around(0.2)).min(greatest * per_executor));
        }
    }
    arrivals.truncate(SECONDS);
    Trace::new("random", arrivals)
}

fn settings(mechanism: &Mechanism, noise: &mut Random) -> Settings {
    let mut settings = Settings { idle_timeout_ms: 3_000 + noise.bits() / (u64::MAX / 10_000), ..Settings::default() };
    settings.policy.assumed_per_core = mechanism.per_executor / 2.0 * noise.around(0.3);
    settings
}

/// Runs random loads and passes every call to `see(state before, settings, facts, decision)`.
fn for_every_call(greatest: f64, unknown: f64, mut see: impl FnMut(&State, &Settings, &Facts, &Decision)) {
    struct Watch<'a, F> {
        settings: Settings,
        state: State,
        noise: Random,
        unknown: f64,
        see: &'a mut F,
    }
    impl<F: FnMut(&State, &Settings, &Facts, &Decision)> Scaler for Watch<'_, F> {
        fn size(&mut self, facts: &Facts, _: &Observation) -> u32 {
            let mut facts = facts.clone();
            if self.noise.unit() < self.unknown {
                facts.backlog = None;
            }
            let before = self.state.clone();
            let decision = decide(&mut self.state, &self.settings, &facts);
            (self.see)(&before, &self.settings, &facts, &decision);
            decision.keep
        }
    }
    let mechanism = Mechanism::default();
    for seed in 0..LOADS {
        let mut noise = Random::new(seed);
        let trace = random_trace(&mut noise, mechanism.per_executor, greatest);
        let settings = settings(&mechanism, &mut noise);
        let state = State::new(&settings);
        let slo_ms = settings.slo_ms;
        run(&trace, &mechanism, slo_ms, &mut Watch { settings, state, noise, unknown, see: &mut see });
    }
}

#[test]
fn a_greater_backlog_never_gives_fewer_executors() {
    let mut compared = 0;
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
            compared += 1;
        }
    });
    assert!(compared > 100_000, "{compared}");
}

#[test]
fn the_size_stays_within_its_bounds() {
    for_every_call(9.0, 0.1, |_, settings, _, decision| {
        assert!(decision.to <= settings.max && decision.to >= settings.min, "{decision:?}");
    });
}

#[test]
fn zero_only_with_nothing_to_do() {
    let (mut zeros, mut left) = (0, 0);
    for_every_call(3.0, 0.1, |_, settings, facts, decision| {
        let (Some(backlog), terms) = (facts.backlog.map(|backlog| backlog as f64), &decision.terms) else { return };
        if decision.kind == Kind::Zero {
            assert_eq!((backlog, facts.unfinished, facts.all_committed), (0.0, 0, true), "{decision:?}");
            zeros += 1;
        } else if decision.to == 0 && decision.from > 0 {
            assert!(backlog <= settings.policy.drained * terms.slack, "records wait and are left: {decision:?}");
            left += 1;
        } else if decision.to == 0 && backlog > 0.0 {
            let waiting_s = terms.waiting_s.expect("it is known since when they wait");
            assert!(Some(waiting_s) < terms.turn_s && backlog < terms.slack, "nobody is woken: {decision:?}");
        }
    });
    assert!(left > 20, "{left}");
    assert!(zeros > 20, "{zeros}");
}

#[test]
fn unknown_facts_never_change_the_size() {
    let mut unknown = 0;
    for_every_call(3.0, 0.3, |_, _, facts, decision| {
        if facts.backlog.is_none() {
            assert_eq!(decision.from, decision.to, "{decision:?}");
            unknown += 1;
        }
    });
    assert!(unknown > 10_000, "{unknown}");
}

#[test]
fn a_load_within_capacity_drains() {
    let mechanism = Mechanism::default();
    let greatest = 0.97 * mechanism.able(4) / mechanism.per_executor;
    for seed in 0..LOADS {
        let mut noise = Random::new(seed ^ 0xD00D);
        let mut trace = random_trace(&mut noise, mechanism.per_executor, greatest);
        trace.arrivals[0] = noise.unit() * 100.0 * mechanism.per_executor;
        trace.arrivals.extend([0.0; 300]);
        let settings = settings(&mechanism, &mut noise);
        let outcome = run(&trace, &mechanism, settings.slo_ms, &mut Runway::new(&settings));
        assert_eq!(outcome.left, 0.0, "seed {seed}: {:?}", outcome.actions);
        assert_eq!(outcome.actions.last().map(|action| action.2), Some(0), "seed {seed} ends at zero");
    }
}

#[test]
fn a_log_replays_to_the_same_decisions_through_its_text() {
    let mechanism = Mechanism::default();
    for seed in 0..LOADS / 4 {
        let mut noise = Random::new(seed);
        let trace = random_trace(&mut noise, mechanism.per_executor, 4.5);
        let settings = settings(&mechanism, &mut noise);
        let mut runway = Runway::new(&settings).logged();
        run(&trace, &mechanism, settings.slo_ms, &mut runway);
        let lines = runway.log().iter().map(|record| serde_json::to_string(record).expect("plain data"));
        let mut read: Vec<Record> = lines.map(|line| serde_json::from_str(&line).expect("what was written")).collect();
        assert_eq!(replay(&read), (SECONDS * 4, vec![]), "seed {seed}");
        // Change one fact: the replay must differ, otherwise this test would prove nothing.
        let Some(Record::Step { facts, .. }) = read.get_mut(400) else { panic!("a log of {SECONDS} s") };
        facts.backlog = Some(50_000_000);
        assert!(!replay(&read).1.is_empty(), "seed {seed}");
    }
}
