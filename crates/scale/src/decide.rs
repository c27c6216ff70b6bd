//! The rules, in order of precedence: pin and bounds, unknown facts, activate, guard, up, zero, down, hold.

use crate::bottleneck::{Bottleneck, Trial};
use crate::decision::{Decision, Kind, Terms};
use crate::facts::Facts;
use crate::reason;
use crate::settings::{Mode, Settings};
use crate::state::{Blocked, State, Timers, seconds};
use crate::terms::{at, note_timers, runway, terms};

/// A smaller size is enough only if the backlog is below this share of its budget.
const DOWN_SHARE: f64 = 0.6;
/// A step needs λ1 above this many times the present capacity.
const STEP_OVER: f64 = 1.05;
/// A load up to this many times a size's capacity outgrows it barely. λ15 of a load that varies by a fifth stays
/// within.
const HAIR: f64 = 1.15;
/// A step is measured after this many seconds: half a second, less the observation that has shown it.
const STEP_MEASURED_S: f64 = 0.25;
/// A backlog over its budget needs no action if it drains within this many T_c.
const DRAINING: f64 = 1.5;

/// Decides the size. Pure: the same state, settings and facts give the same decision, to the bit.
pub fn decide(state: &mut State, settings: &Settings, facts: &Facts) -> Decision {
    assert!(settings.min <= settings.max && settings.cores > 0, "the pipeline file was checked for this");
    state.capacity.learn(settings, facts);
    if let Some(end_total) = facts.end_total {
        state.rates.observe(facts.now_ms, end_total);
    }
    state.blocked = state.blocked.filter(|blocked| facts.now_ms < blocked.until_ms);
    let mut terms = terms(state, settings, facts);
    let from = state.target;
    let (kind, to, reason) = Case { settings, facts, terms: &terms, from }.decide(state);
    state.target = to;
    note_timers(&mut terms, state, settings, facts.now_ms);
    let keep = if settings.mode == Mode::Advisory { settings.max } else { to };
    Decision { at_ms: facts.now_ms, from, to, keep, kind, reason, terms }
}

type Verdict = (Kind, u32, String);

struct Case<'a> {
    settings: &'a Settings,
    facts: &'a Facts,
    terms: &'a Terms,
    from: u32,
}

impl Case<'_> {
    fn decide(&self, state: &mut State) -> Verdict {
        if let Some(verdict) = self.bound() {
            state.timers.reset();
            return verdict;
        }
        let Some(backlog) = self.terms.backlog else {
            state.timers.reset();
            state.trial = None;
            return (Kind::Hold, self.from, reason::unknown(self.from));
        };
        self.note(state, backlog as f64);
        state.trial = Trial::follow(state.trial, self.from, self.terms.slack, self.facts);
        if let Some(verdict) = self.activate(state, backlog as f64) {
            return verdict;
        }
        if let Some(verdict) = self.guard(state, backlog) {
            return verdict;
        }
        if let Some(verdict) = self.up(state, backlog as f64) {
            return verdict;
        }
        if let Some(verdict) = self.zero(state).or_else(|| self.down(state)) {
            return verdict;
        }
        if self.facts.crashes > 0 {
            return (Kind::Replace, self.from, reason::replace(self.from, self.facts.crashes));
        }
        (Kind::Hold, self.from, reason::hold(self.from, self.terms))
    }

    fn bound(&self) -> Option<Verdict> {
        let Settings { min, max, .. } = *self.settings;
        let to = match self.settings.mode {
            Mode::Pinned(size) => size.min(max),
            Mode::Active | Mode::Advisory if (min..=max).contains(&self.from) => return None,
            Mode::Active | Mode::Advisory => self.from.clamp(min, max),
        };
        let kind = if to == self.from { Kind::Hold } else { Kind::Bound };
        Some((kind, to, reason::bound(self.settings, self.from, to)))
    }

    fn note(&self, state: &mut State, backlog: f64) {
        let (policy, terms, now_ms) = (&self.settings.policy, self.terms, self.facts.now_ms);
        let lambda = terms.lambda5.max(terms.lambda15);
        // A change must save several times its price, and last longer than a start takes.
        let long_s = (policy.gain * terms.price_s).min(policy.down_s).max(2.0 * terms.start_s);
        let enough = |(size, &below): (usize, &f64)| {
            if below >= lambda && below > 0.0 {
                return backlog <= DOWN_SHARE * terms.slack;
            }
            // Too small for the load, but the records that gather are within the slack: executors pause for a while.
            let left_s = runway(below, lambda, backlog, terms.slack);
            let next = terms.turn_s.is_some() || size > 0;
            let next = next && size + 1 == self.from as usize;
            next && backlog <= policy.drained * terms.slack && left_s.is_none_or(|left_s| left_s >= long_s)
        };
        let enough: Vec<bool> = terms.enough_below.iter().enumerate().map(enough).collect();
        let idle = backlog == 0.0 && terms.lambda1 == 0.0 && self.facts.all_committed && self.facts.unfinished == 0;
        state.timers.note(now_ms, &enough, idle);
        state.timers.forget(now_ms, self.settings);
        let (usual, capacity) = (state.rates.rate_before(15, 2), at(&terms.capacity, self.from));
        let steps = terms.lambda1 > (policy.step * usual).max(STEP_OVER * capacity)
            && self.from < self.settings.max
            && !state.timers.flapping();
        state.step_since_ms = steps.then(|| state.step_since_ms.unwrap_or(now_ms));
    }

    /// After a silence, executors start at once. If records keep coming, they wait for the slack and are then done
    /// together.
    fn activate(&self, state: &mut State, backlog: f64) -> Option<Verdict> {
        let Facts { ready, starting, draining, unfinished, job, .. } = *self.facts;
        // Executors that still live finish the batch in flight.
        let alone = ready + starting + draining == 0;
        let orphaned = if alone { unfinished } else { 0 };
        let interrupted = alone && (job || unfinished > 0);
        let work = backlog + orphaned as f64;
        if self.from > 0 || (work == 0.0 && !interrupted) || self.settings.max == 0 {
            state.waiting_since_ms = None;
            return None;
        }
        let terms = self.terms;
        let since_ms = *state.waiting_since_ms.get_or_insert(self.facts.now_ms);
        let oldest_s = seconds(self.facts.now_ms, since_ms) + terms.start_s;
        let soon = backlog + terms.lambda2.max(terms.lambda_up) * terms.start_s;
        // Where records are rare, each starts an executor: waiting for others saves next to nothing.
        let rare = state.rates.rate_before(15, 1) * terms.price_s <= self.settings.policy.lone_share;
        // So does the first after a silence as long as a turn: it would have been a turn of its own.
        let after_silence = |turn_s: f64| state.rates.rate_before(turn_s.ceil() as u64, 1) == 0.0;
        // What one executor cannot do is no load for turns with none.
        let turn_s = terms.turn_s.filter(|turn_s| {
            !interrupted && !rare && !after_silence(*turn_s) && terms.lambda5 <= at(&terms.capacity, 1)
        });
        if turn_s.is_some_and(|turn_s| oldest_s < turn_s) && soon < terms.slack {
            return Some((Kind::Hold, 0, reason::wait(backlog, terms)));
        }
        state.waiting_since_ms = None;
        state.promised.clone_from(&terms.capacity);
        // What had been left to wait is no backlog.
        let over = if turn_s.is_some() { (work - terms.slack).max(0.0) } else { work };
        let need = terms.lambda5.max(terms.lambda2) + over / self.settings.policy.catch_up_s;
        let to = self.smallest(1, need);
        Some((Kind::Activate, to, reason::activate(to, work, need, terms)))
    }

    /// The backlog has used up the slack, and more arrives than the present size can do.
    fn slack_used(&self, backlog: f64) -> bool {
        let terms = self.terms;
        let growing = terms.lambda_up - at(&terms.capacity, self.from);
        growing > 0.0 && backlog + growing * terms.start_s >= terms.slack
    }

    /// The backlog is over the budget and does not drain in time, or will be over it sooner than an executor starts.
    /// Both tests use λ↑: if one used λ5, a greater backlog could give a smaller size.
    fn short(&self, backlog: f64) -> bool {
        let (policy, terms) = (&self.settings.policy, self.terms);
        let capacity = at(&terms.capacity, self.from);
        if backlog > terms.budget {
            let spare = capacity - terms.lambda_up;
            return !(spare > 0.0 && backlog / spare <= DRAINING * policy.catch_up_s);
        }
        let left_s = runway(capacity, terms.lambda_up, backlog, terms.budget);
        left_s.is_some_and(|left_s| left_s < terms.start_s + policy.up_s)
    }

    /// λ1 is clearly above the usual rate and above capacity, for long enough that λ2 measures only the new rate. The
    /// runway would wait for the queue to grow, which is cheaper for a swinging load; flaps show that a load swings.
    fn stepped(&self, state: &State) -> bool {
        let since_ms = state.step_since_ms;
        since_ms.is_some_and(|since_ms| seconds(self.facts.now_ms, since_ms) >= self.settings.policy.step_s)
    }

    /// A step has begun just now: in a moment the newest rate measures it alone, and one change is enough for it.
    fn too_young(&self, state: &State) -> bool {
        state.step_since_ms.is_some_and(|since_ms| seconds(self.facts.now_ms, since_ms) < STEP_MEASURED_S)
    }

    /// From zero only a record that waits starts an executor, by `activate`: what the averages remember does not.
    fn up(&self, state: &mut State, backlog: f64) -> Option<Verdict> {
        let (from, terms) = (self.from, self.terms);
        let stepped = self.stepped(state);
        let needed = stepped || self.short(backlog) || (!self.too_young(state) && self.slack_used(backlog));
        if from == 0 || !needed {
            return None;
        }
        if from == self.settings.max {
            state.timers.reset();
            return Some((Kind::Hold, from, reason::at_max(from, terms)));
        }
        if let Some(guard) = &terms.guard {
            state.timers.reset();
            return Some((Kind::Hold, from, reason::blocked(from, guard)));
        }
        let over = (terms.backlog_up - terms.budget / 2.0).max(0.0);
        // During a step λ5 lags behind, so the size is chosen for the step, whatever rule asks for growth.
        let rate = match state.step_since_ms {
            Some(_) if stepped => terms.lambda_up.max(terms.lambda2),
            Some(_) => terms.lambda_up.max(terms.lambda1).max(terms.lambda_half),
            None => terms.lambda_up,
        };
        let need = rate + over / self.settings.policy.catch_up_s;
        let to = self.smallest(from + 1, need);
        state.promised.clone_from(&terms.capacity);
        state.note_outgrown(from, terms.lambda15 <= HAIR * at(&terms.capacity, from));
        state.timers.after_up(self.facts.now_ms, self.settings, terms.price_s);
        Some((Kind::Up, to, reason::up(to, need, terms)))
    }

    /// More executors than help, although the backlog is over the budget and grows: the bottleneck is elsewhere. A
    /// capacity that was only overestimated shows busy executor cores on a machine with free cores.
    fn guard(&self, state: &mut State, backlog: u64) -> Option<Verdict> {
        let (policy, now_ms) = (&self.settings.policy, self.facts.now_ms);
        let trial = state.trial?;
        let lasted_s = seconds(now_ms, trial.since_ms);
        if lasted_s < policy.assess_s {
            return None;
        }
        state.trial = None;
        let done = trial.done(lasted_s);
        let Some(bottleneck) = trial.bottleneck(lasted_s, self.settings.cores, policy.effective) else {
            release(&mut state.blocked);
            return None;
        };
        if bottleneck == Bottleneck::OtherPrograms {
            release(&mut state.blocked);
            let until_ms = now_ms + (policy.block_s * 1000.0) as u64;
            return self.explain(state, backlog, until_ms, (done, bottleneck));
        }
        // On a full machine every executor is slower: compare with the capacity that was believed before the growth.
        let promised = match bottleneck {
            Bottleneck::Machine => &state.promised,
            _ => &self.terms.capacity,
        };
        if done >= policy.fulfilled * at(promised, self.from) {
            release(&mut state.blocked);
        }
        let brings = |size: &u32| {
            let below = at(promised, size - 1);
            done >= below + policy.effective * (at(promised, *size) - below)
        };
        let to = (1..=self.from).rev().find(brings).unwrap_or(1).max(self.settings.min);
        if backlog <= trial.backlog {
            return None;
        }
        let until_ms = now_ms + (policy.block_s * 1000.0) as u64;
        if to >= self.from {
            return self.explain(state, backlog, until_ms, (done, bottleneck));
        }
        // A bottleneck that comes back soon is no accident of the moment.
        let firm = state.blocked_at_ms.is_some_and(|at_ms| seconds(now_ms, at_ms) < 2.0 * policy.block_s);
        state.blocked_at_ms = Some(now_ms);
        state.blocked = Some(Blocked { until_ms, done, bottleneck, firm });
        state.timers.reset();
        Some((Kind::Guard, to, reason::guard(self.from, to, done, bottleneck, policy.block_s)))
    }

    /// No executor is too many, and yet the backlog exceeds its budget: the user learns who is busy. Growth is not blocked,
    /// because it has not been tried.
    fn explain(&self, state: &mut State, backlog: u64, until_ms: u64, found: (f64, Bottleneck)) -> Option<Verdict> {
        let (done, bottleneck) = found;
        let known = bottleneck != Bottleneck::Unknown;
        let told = self.facts.now_ms < state.explained_until_ms;
        if !known || told || (backlog as f64) <= self.terms.budget {
            return None;
        }
        state.explained_until_ms = until_ms;
        Some((Kind::Guard, self.from, reason::explain(self.from, done, bottleneck)))
    }

    fn zero(&self, state: &mut State) -> Option<Verdict> {
        let idle_s = seconds(self.facts.now_ms, state.timers.idle_since_ms?);
        let most_s = self.settings.idle_timeout_ms as f64 / 1000.0;
        let hold_s = self.terms.price_s.max(self.settings.policy.hold_min_s).min(most_s);
        let due = idle_s >= hold_s && self.from > 0 && self.settings.min == 0;
        due.then(|| (Kind::Zero, 0, reason::zero(idle_s)))
    }

    /// The smallest size that has been enough for its W. Flaps lengthen W only near a size's capacity.
    fn down(&self, state: &mut State) -> Option<Verdict> {
        let (terms, policy) = (self.terms, &self.settings.policy);
        let lambda = terms.lambda5.max(terms.lambda15);
        let hold_s = |size: u32| match lambda > policy.near * at(&terms.capacity, size) {
            true => state.timers.hold_s(self.settings, terms.price_s),
            false => Timers::first_hold_s(self.settings, terms.price_s),
        };
        let held = |size: &u32| {
            state.timers.enough_s(self.facts.now_ms, *size).is_some_and(|enough_s| enough_s >= hold_s(*size))
        };
        let to = (self.settings.min..self.from).find(held)?;
        let hold_s = hold_s(to);
        state.timers.after_down(self.facts.now_ms);
        state.outgrown.truncate(to as usize);
        Some((Kind::Down, to, reason::down(self.from, to, hold_s, terms)))
    }

    /// The smallest allowed size from `least` on with a capacity of `need`, else the greatest.
    fn smallest(&self, least: u32, need: f64) -> u32 {
        let least = least.max(self.settings.min);
        (least..self.settings.max).find(|&size| at(&self.terms.capacity, size) >= need).unwrap_or(self.settings.max)
    }
}

/// The executors that are there do what they should: growth is allowed again, unless the bottleneck has come back once.
fn release(blocked: &mut Option<Blocked>) {
    *blocked = blocked.filter(|blocked| blocked.firm);
}
