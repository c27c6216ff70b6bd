//! The terms of the rules, computed from facts and state. The rules use nothing else, so a logged decision explains
//! itself.

use crate::decision::Terms;
use crate::facts::Facts;
use crate::reason;
use crate::settings::Settings;
use crate::state::{Blocked, State, seconds};

/// λ↑ uses the slope of λ5 over this time, seconds.
const SLOPE_S: u64 = 15;
/// λ↑ looks this far beyond the start of an executor, for its first batch, seconds.
const AHEAD_S: f64 = 2.0;

/// How two sizes serve a load in turns.
#[derive(Clone, Copy)]
struct Turn {
    /// How long records gather at the smaller size, seconds.
    wait_s: f64,
    /// What comes meanwhile beyond what the smaller size does, records/s.
    over: f64,
}

/// The shortest turn at which starts cost no more than their share. The load exceeds the capacity of size n, so records
/// gather there for S and are processed at n + 1. If the load needs the share f of that executor, a turn lasts S/(1 − f)
/// and uses n + f executors. If S would be too long, it is the longest that is allowed, provided that a start then costs
/// no more than its share of the n + 1 executors that would stay instead. `None`: it costs more, and the greater size stays.
fn turn(settings: &Settings, capacity: &[f64], lambda: f64, price_s: f64) -> Option<Turn> {
    let policy = &settings.policy;
    let size = capacity.iter().rposition(|able| *able < lambda)?;
    let (below, above) = (capacity[size], capacity.get(size + 1)?);
    let over = lambda - below;
    let share = over / (above - below);
    let rest = 1.0 - share.min(policy.turn_above);
    let (cheap_s, most_s) = (price_s / policy.turn_share * rest, policy.turn_slo * settings.slo_ms as f64 / 1000.0);
    let wait_s = (cheap_s / (size as f64 + share)).min(most_s);
    (cheap_s / (size as f64 + 1.0) <= wait_s).then_some(Turn { wait_s, over })
}

/// All terms except the timers, which [`note_timers`] adds after they are updated.
pub(crate) fn terms(state: &State, settings: &Settings, facts: &Facts) -> Terms {
    let policy = &settings.policy;
    let (rates, capacity) = (&state.rates, state.capacity.sizes(settings));
    // The age of the facts delays a reaction like a longer start does.
    let start_s = state.capacity.start_s(settings) + facts.age_ms as f64 / 1000.0;
    let lambda5 = rates.rate(5);
    let slope = rates.rate_ago(5, SLOPE_S).map_or(0.0, |before| (lambda5 - before) / SLOPE_S as f64);
    let lambda_up = lambda5 + slope.max(0.0) * (start_s + AHEAD_S);
    let backlog = facts.end_total.and(facts.backlog);
    let known = backlog.unwrap_or(0) as f64;
    let ready = capacity[facts.ready.min(settings.max) as usize];
    let one_task = policy.task_records.min(at(&capacity, 1) * policy.batch_ms / 1000.0).max(1.0);
    let budget = (policy.theta * settings.slo_ms as f64 / 1000.0 * lambda5).max(one_task);
    let price_s = state.capacity.price_s(settings);
    let turn = turn(settings, &capacity, lambda5, price_s);
    let slack = match turn {
        Some(turn) => (turn.wait_s * turn.over).max(one_task),
        // Where the greatest size is needed all the time, nothing is saved by waiting for it.
        None if lambda5 > at(&capacity, settings.max) => one_task,
        None => budget,
    };
    let outgrown = |size: usize| state.outgrown.get(size).copied().unwrap_or(false);
    let margin = |size| if outgrown(size) { policy.cautious } else { 1.0 };
    let enough_below = capacity.iter().enumerate().map(|(size, able)| thousandth(able * margin(size))).collect();
    let runway_s = capacity.iter().map(|&able| runway(able, lambda_up, known, budget).map(thousandth)).collect();
    Terms {
        lambda_half: thousandth(rates.newest()),
        lambda1: thousandth(rates.rate(1)),
        lambda2: thousandth(rates.rate(2)),
        lambda5: thousandth(lambda5),
        lambda15: thousandth(rates.rate(15)),
        lambda_up: thousandth(lambda_up),
        mu: state.capacity.per_core().map(thousandth),
        start_s,
        price_s: thousandth(price_s),
        turn_s: turn.map(|turn| thousandth(turn.wait_s)),
        slack: thousandth(slack),
        backlog,
        backlog_up: thousandth((known + (lambda_up - ready) * start_s).max(0.0)),
        budget: thousandth(budget),
        capacity: capacity.into_iter().map(thousandth).collect(),
        enough_below,
        runway_s,
        guard: state.blocked.map(|blocked| guard_text(blocked, facts.now_ms)),
        bottleneck: state.blocked.map(|blocked| blocked.bottleneck),
        ..Terms::default()
    }
}

/// Adds the terms of the timers.
pub(crate) fn note_timers(terms: &mut Terms, state: &State, settings: &Settings, now_ms: u64) {
    let age = |since_ms: Option<u64>| since_ms.map(|since_ms| seconds(now_ms, since_ms));
    terms.held_s = state.timers.enough_since_ms.iter().copied().map(age).collect();
    terms.held_s.truncate(state.target() as usize);
    terms.step_s = age(state.step_since_ms);
    terms.idle_s = age(state.timers.idle_since_ms);
    terms.waiting_s = age(state.waiting_since_ms);
    terms.hold_s = thousandth(state.timers.hold_s(settings, terms.price_s));
}

/// Seconds until a backlog of `backlog` grows to `budget` with `lambda` in and `capacity` out; `None`: never.
pub(crate) fn runway(capacity: f64, lambda: f64, backlog: f64, budget: f64) -> Option<f64> {
    (lambda > capacity).then(|| (budget - backlog).max(0.0) / (lambda - capacity))
}

/// C(size); 0 for sizes that are not allowed.
pub(crate) fn at(capacity: &[f64], size: u32) -> f64 {
    capacity.get(size as usize).copied().unwrap_or(0.0)
}

fn guard_text(blocked: Blocked, now_ms: u64) -> String {
    let left_s = seconds(blocked.until_ms, now_ms).ceil();
    reason::no_growth(left_s as u64, blocked.done, blocked.bottleneck)
}

fn thousandth(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
