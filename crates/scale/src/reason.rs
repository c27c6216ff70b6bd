//! One sentence for each decision, for the console, the dashboard and the log.

use crate::bottleneck::Bottleneck;
use crate::decision::Terms;
use crate::settings::{Mode, Settings};
use crate::terms::at;

pub(crate) fn unknown(size: u32) -> String {
    format!("the source's offsets are unknown: {} kept until they are known again", executors(size))
}

pub(crate) fn bound(settings: &Settings, size: u32) -> String {
    match settings.mode {
        Mode::Pinned(_) => format!("pinned to {}", executors(size)),
        Mode::Active | Mode::Advisory => {
            format!("min_executors = {} and max_executors = {} ask for {size}", settings.min, settings.max)
        }
    }
}

pub(crate) fn activate(to: u32, work: f64, need: f64, terms: &Terms) -> String {
    let (work, need, able) = (number(work), number(need), number(at(&terms.capacity, to)));
    format!("{work} wait and there is no executor: {need}/s are needed, {} can do {able}/s", executors(to))
}

pub(crate) fn wait(backlog: f64, terms: &Terms) -> String {
    let (work, rate, slack_s) = (number(backlog), number(terms.lambda5), terms.turn_s.unwrap_or_default());
    format!("{work} wait and {rate}/s arrive: records gather for {slack_s:.1} s, then one executor does them together")
}

pub(crate) fn up(to: u32, need: f64, terms: &Terms) -> String {
    let (rate, waiting, budget) = (number(terms.lambda5), waiting(terms), number(terms.budget));
    let (need, able) = (number(need), number(at(&terms.capacity, to)));
    let executors = executors(to);
    format!("{rate}/s arrive and {waiting} wait of {budget} allowed: {need}/s are needed, {executors} can do {able}/s")
}

pub(crate) fn at_max(size: u32, terms: &Terms) -> String {
    let able = number(at(&terms.capacity, size));
    format!(
        "{}/s arrive and {} wait: more than {able}/s, but {size} is max_executors",
        number(terms.lambda5),
        waiting(terms)
    )
}

pub(crate) fn blocked(size: u32, guard: &str) -> String {
    format!("{} kept: {guard}", executors(size))
}

pub(crate) fn guard(from: u32, to: u32, done: f64, bottleneck: Bottleneck, block_s: f64) -> String {
    let (done, why) = (number(done), bottleneck.sentence());
    format!(
        "{} did only {done}/s while the backlog grew: {why}; {to} kept, growth blocked for {block_s:.0} s",
        executors(from)
    )
}

pub(crate) fn explain(size: u32, done: f64, bottleneck: Bottleneck) -> String {
    let (done, why) = (number(done), bottleneck.sentence());
    format!("{} did only {done}/s while the backlog grew: {why}", executors(size))
}

pub(crate) fn zero(idle_s: f64) -> String {
    format!("nothing arrived and nothing waited for {idle_s:.1} s: no executor is needed")
}

pub(crate) fn down(from: u32, to: u32, hold_s: f64, terms: &Terms) -> String {
    let (rate, able) = (number(terms.lambda5), at(&terms.capacity, to));
    if able < terms.lambda5.max(terms.lambda15) {
        let (waiting, slack, with) = (waiting(terms), number(terms.slack), executors(to));
        let does = if from == 1 { "does" } else { "do" };
        return match terms.turn_s {
            Some(turn_s) => format!(
                "{waiting} wait: records gather for {turn_s:.1} s with {with}, then {} {does} them together",
                executors(from)
            ),
            None => format!("{waiting} wait and {slack} may, at {rate}/s: {with} until then"),
        };
    }
    format!(
        "{rate}/s arrive, {} can do {}/s and would have done for {hold_s:.1} s: {from} are not needed",
        executors(to),
        number(able)
    )
}

pub(crate) fn replace(size: u32, crashes: u32) -> String {
    format!("{} ended unexpectedly: replaced, {size} kept", executors(crashes))
}

pub(crate) fn hold(size: u32, terms: &Terms) -> String {
    if size == 0 {
        return "nothing to do".to_owned();
    }
    let (rate, able) = (number(terms.lambda5), number(at(&terms.capacity, size)));
    let (waiting, budget) = (waiting(terms), number(terms.budget));
    format!("{} can do {able}/s, {rate}/s arrive, {waiting} wait of {budget} allowed", executors(size))
}

fn waiting(terms: &Terms) -> String {
    number(terms.backlog.unwrap_or(0) as f64)
}

fn executors(count: u32) -> String {
    match count {
        0 => "no executor".to_owned(),
        1 => "1 executor".to_owned(),
        _ => format!("{count} executors"),
    }
}

/// Rounded, with thousands separators: `12,300`.
fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
