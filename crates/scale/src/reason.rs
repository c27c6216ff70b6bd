//! One sentence for each decision, for the console, the dashboard and the log.

use crate::bottleneck::Bottleneck;
use crate::decision::Terms;
use crate::settings::{Mode, Settings};
use crate::terms::at;

pub(crate) fn unknown(size: u32) -> String {
    format!("the source's offsets are unknown: keeping {} until they are known", executors(size))
}

pub(crate) fn bound(settings: &Settings, from: u32, size: u32) -> String {
    match settings.mode {
        Mode::Pinned(_) => format!("pinned to {}", executors(size)),
        Mode::Active | Mode::Advisory if from > size => {
            format!("max_executors = {size} allows no more than {}", executors(size))
        }
        Mode::Active | Mode::Advisory => {
            format!("min_executors = {size} requires at least {}", executors(size))
        }
    }
}

pub(crate) fn activate(to: u32, work: f64, need: f64, terms: &Terms) -> String {
    let waiting = if work == 0.0 { "a job without records waits".to_owned() } else { records(work) };
    let need = number(need);
    format!("{waiting} without an executor: {need}/s are needed, {}", capacity(to, terms))
}

pub(crate) fn wait(backlog: f64, terms: &Terms) -> String {
    let (waiting, rate, turn_s) = (records(backlog), number(terms.lambda5), terms.turn_s.unwrap_or_default());
    format!("{waiting}, {rate}/s arrive: 1 executor will process {turn_s:.1} s of records together")
}

pub(crate) fn up(to: u32, need: f64, terms: &Terms) -> String {
    let (rate, waiting, budget) = (number(terms.lambda5), waiting(terms), number(terms.budget));
    format!("{rate}/s arrive, {waiting} ({budget} allowed): {}/s are needed, {}", number(need), capacity(to, terms))
}

pub(crate) fn at_max(size: u32, terms: &Terms) -> String {
    let (rate, waiting) = (number(terms.lambda5), waiting(terms));
    format!("{rate}/s arrive, {waiting}: {}, and max_executors = {size}", capacity(size, terms))
}

pub(crate) fn blocked(size: u32, guard: &str) -> String {
    format!("keeping {}: {guard}", executors(size))
}

/// The guard's text for [`blocked`].
pub(crate) fn no_growth(left_s: u64, done: f64, bottleneck: Bottleneck) -> String {
    let (done, why) = (number(done), bottleneck.sentence());
    format!("no growth for {left_s} s, since more executors did not process more than {done}/s: {why}")
}

pub(crate) fn guard(from: u32, to: u32, done: f64, bottleneck: Bottleneck, block_s: f64) -> String {
    format!("{}; going back to {}, no growth for {block_s:.0} s", explain(from, done, bottleneck), executors(to))
}

pub(crate) fn explain(size: u32, done: f64, bottleneck: Bottleneck) -> String {
    let (done, why) = (number(done), bottleneck.sentence());
    format!("{} processed only {done}/s while the backlog grew: {why}", executors(size))
}

pub(crate) fn zero(idle_s: f64) -> String {
    format!("no record has arrived or waited for {idle_s:.1} s")
}

pub(crate) fn down(from: u32, to: u32, hold_s: f64, terms: &Terms) -> String {
    let rate = number(terms.lambda5);
    if at(&terms.capacity, to) >= terms.lambda5.max(terms.lambda15) {
        return format!("{rate}/s arrive: {}, which has been enough for {hold_s:.1} s", capacity(to, terms));
    }
    let (waiting, slack) = (waiting(terms), number(terms.slack));
    match terms.turn_s {
        Some(turn_s) => {
            let (to, from) = (executors(to), executors(from));
            format!("{waiting}: {to} for {turn_s:.1} s, then {from} for what has gathered")
        }
        None => format!("{rate}/s arrive, {waiting} ({slack} allowed): {} until then", executors(to)),
    }
}

pub(crate) fn replace(size: u32, crashes: u32) -> String {
    let are = if crashes == 1 { "is" } else { "are" };
    format!("{} ended unexpectedly and {are} replaced: keeping {size}", executors(crashes))
}

pub(crate) fn hold(size: u32, terms: &Terms) -> String {
    if size == 0 {
        return "nothing to do".to_owned();
    }
    let (rate, waiting, budget) = (number(terms.lambda5), waiting(terms), number(terms.budget));
    format!("{rate}/s arrive, {waiting} ({budget} allowed): {}", capacity(size, terms))
}

fn waiting(terms: &Terms) -> String {
    records(terms.backlog.unwrap_or(0) as f64)
}

fn records(waiting: f64) -> String {
    match number(waiting).as_str() {
        "0" => "no record waits".to_owned(),
        "1" => "1 record waits".to_owned(),
        count => format!("{count} records wait"),
    }
}

fn capacity(size: u32, terms: &Terms) -> String {
    let (able, handle) = (number(at(&terms.capacity, size)), if size == 1 { "handles" } else { "handle" });
    format!("{} {handle} {able}/s", executors(size))
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
