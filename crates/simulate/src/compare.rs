//! Compares policies on one load: the output of `tidemill simulate`.

use crate::baselines::{Dataflow, Ds2, Fixed, Flink, Keda, Spark};
use crate::machine::{Mechanism, run};
use crate::oracle::optimum;
use crate::outcome::Outcome;
use crate::scaler::{Runway, Scaler};
use crate::trace::Trace;
use serde::Serialize;
use std::fmt::Write;
use tidemill_model::random::Random;
use tidemill_model::{Error, Result};
use tidemill_scale::{Record, Settings};

/// Two opposite changes of size within this many seconds are a reversal.
const REVERSAL_S: u64 = 120;

/// The assumptions of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareSettings {
    /// Records/s of one executor.
    pub per_executor: f64,
    /// The service level, ms.
    pub slo_ms: u64,
    /// Spawn → ready, ms. This time is paid; it is also the price of a start.
    pub start_ms: u64,
    /// The greatest size.
    pub max: u32,
    /// Price of an executor-hour.
    pub price: f64,
    /// How long records may gather, seconds, where the runway policy serves a load by two sizes in turns; its default follows
    /// from the service level.
    pub turn_s: Option<f64>,
}

/// A policy by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Tidemill's policy.
    Runway,
    /// KEDA's Kafka scaler and the Kubernetes HPA.
    Keda,
    /// The Flink Kubernetes Operator's autoscaler, with its defaults.
    Flink,
    /// DS2.
    Ds2,
    /// A rule similar to Google Cloud Dataflow's.
    Dataflow,
    /// Spark's dynamic allocation.
    Spark,
    /// A fixed size.
    Fixed(u32),
}

/// The result of one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// The policy.
    pub policy: String,
    /// Spawn → exit, summed over all executors.
    pub executor_seconds: f64,
    /// The same of the optimum; `None` if no size can keep the service level.
    pub oracle_executor_seconds: Option<f64>,
    /// `executor_seconds` / `oracle_executor_seconds`.
    pub ratio: Option<f64>,
    /// Share of records older than the service level when their result was out, including records without a result.
    pub late_percent: f64,
    /// 99th percentile of record ages when the result was out.
    pub age_p99_s: f64,
    /// Greatest age.
    pub age_max_s: f64,
    /// Changes of size.
    pub actions: usize,
    /// Changes that undid the one before within two minutes.
    pub reversals: usize,
    /// From the first record's arrival to its result.
    pub first_record_s: Option<f64>,
    /// Executor-hours times the price.
    pub cost: f64,
}

impl Rule {
    /// Parses `runway`, `static:3` and so on. `all` means every policy, with a fixed size of `max`.
    ///
    /// # Errors
    /// An unknown word.
    pub fn parse(text: &str, max: u32) -> Result<Vec<Rule>> {
        let one = match text {
            "runway" => Rule::Runway,
            "keda" => Rule::Keda,
            "flink" => Rule::Flink,
            "ds2" => Rule::Ds2,
            "dataflow" => Rule::Dataflow,
            "spark" => Rule::Spark,
            "all" => {
                let others = [Rule::Keda, Rule::Flink, Rule::Ds2, Rule::Dataflow, Rule::Spark, Rule::Fixed(max)];
                return Ok(std::iter::once(Rule::Runway).chain(others).collect());
            }
            _ => {
                let size = text.strip_prefix("static:").and_then(|size| size.parse().ok()).filter(|size| *size <= 256);
                Rule::Fixed(size.ok_or_else(|| {
                    Error::user(format!(
                        "`{text}` is no policy; give runway, keda, flink, ds2, dataflow, spark, static:N or all"
                    ))
                })?)
            }
        };
        Ok(vec![one])
    }

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Rule::Runway => "runway".into(),
            Rule::Keda => "keda".into(),
            Rule::Flink => "flink".into(),
            Rule::Ds2 => "ds2".into(),
            Rule::Dataflow => "dataflow".into(),
            Rule::Spark => "spark".into(),
            Rule::Fixed(size) => format!("static:{size}"),
        }
    }

    fn scaler(self, question: &CompareSettings) -> Box<dyn Scaler> {
        let max = question.max;
        match self {
            Rule::Runway => Box::new(Runway::new(&question.settings())),
            Rule::Keda => Box::new(Keda::new(max)),
            Rule::Flink => Box::new(Flink::new(max)),
            Rule::Ds2 => Box::new(Ds2::new(max)),
            Rule::Dataflow => Box::new(Dataflow::new(max)),
            Rule::Spark => Box::new(Spark::new(max)),
            Rule::Fixed(size) => Box::new(Fixed(size)),
        }
    }
}

impl CompareSettings {
    fn mechanism(&self) -> Mechanism {
        Mechanism { start_ms: self.start_ms, per_executor: self.per_executor, ..Mechanism::default() }
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings { max: self.max, slo_ms: self.slo_ms, ..Settings::default() };
        settings.policy.assumed_per_core = self.per_executor / f64::from(settings.cores);
        settings.policy.assumed_start_ms = self.start_ms;
        if let Some(turn_s) = self.turn_s {
            settings.policy.turn_slo = turn_s * 1000.0 / self.slo_ms as f64;
        }
        settings
    }

    /// Runs each policy on the load. The outcomes hold what a plot needs.
    pub fn answer(&self, trace: &Trace, rules: &[Rule]) -> Vec<(Figures, Outcome)> {
        let mechanism = self.mechanism();
        let best = optimum(trace, &mechanism, self.slo_ms, self.max, mechanism.price_s());
        let answer = |rule: &Rule| {
            let outcome = run(trace, &mechanism, self.slo_ms, &mut *rule.scaler(self));
            (self.figures(*rule, &outcome, best.map(|best| best.executor_seconds)), outcome)
        };
        rules.iter().map(answer).collect()
    }

    /// Every decision of the runway policy on the load, as a run logs them.
    pub fn decisions(&self, trace: &Trace) -> Vec<Record> {
        let mut scaler = Runway::new(&self.settings()).logged();
        run(trace, &self.mechanism(), self.slo_ms, &mut scaler);
        scaler.log().to_vec()
    }

    fn figures(&self, rule: Rule, outcome: &Outcome, best: Option<f64>) -> Figures {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let used = outcome.executor_seconds;
        Figures {
            policy: rule.name(),
            executor_seconds: used,
            oracle_executor_seconds: best,
            ratio: best.filter(|best| *best > 0.0).map(|best| thousandth(used / best)),
            late_percent: thousandth(outcome.late * 100.0),
            age_p99_s: seconds(outcome.age_p99_ms),
            age_max_s: seconds(outcome.age_max_ms),
            actions: outcome.actions.len(),
            reversals: outcome.reversals(REVERSAL_S),
            first_record_s: outcome.first_record_ms.map(seconds),
            cost: (used / 3600.0 * self.price * 1e4).round() / 1e4,
        }
    }
}

/// Rates that vary by a tenth from second to second.
pub fn with_noise(trace: &Trace, seed: u64) -> Trace {
    let mut noise = Random::new(seed);
    let arrivals = trace.arrivals.iter().map(|records| records * noise.around(0.1)).collect();
    Trace { arrivals, ..trace.clone() }
}

/// The figures as a table; `label` heads the first column.
pub fn table(label: &str, rows: &[(String, Figures)]) -> String {
    let mut text = format!(
        "{label:<12} {:>11} {:>11} {:>6} {:>7} {:>9} {:>9} {:>8} {:>9} {:>13} {:>9}\n",
        "executor-s",
        "oracle",
        "ratio",
        "late %",
        "age p99 s",
        "age max s",
        "actions",
        "reversals",
        "first record s",
        "cost"
    );
    let known = |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
    for (name, row) in rows {
        let _ = writeln!(
            text,
            "{name:<12} {:>11.1} {:>11} {:>6} {:>7.2} {:>9.2} {:>9.2} {:>8} {:>9} {:>14} {:>9.4}",
            row.executor_seconds,
            known(row.oracle_executor_seconds, 1),
            known(row.ratio, 3),
            row.late_percent,
            row.age_p99_s,
            row.age_max_s,
            row.actions,
            row.reversals,
            known(row.first_record_s, 2),
            row.cost
        );
    }
    text
}

fn thousandth(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> CompareSettings {
        CompareSettings { per_executor: 5_000.0, slo_ms: 10_000, start_ms: 25, max: 4, price: 0.1, turn_s: None }
    }

    #[test]
    fn rules_have_names() {
        assert_eq!(Rule::parse("static:3", 4).expect("a rule"), vec![Rule::Fixed(3)]);
        let all: Vec<String> = Rule::parse("all", 4).expect("rules").into_iter().map(Rule::name).collect();
        assert_eq!(all.join(" "), "runway keda flink ds2 dataflow spark static:4");
        let refused = Rule::parse("static:x", 4).expect_err("no number").to_string();
        assert!(refused.starts_with("`static:x` is no policy; give runway, keda,"), "{refused}");
    }

    #[test]
    fn a_load_is_priced() {
        let trace = Trace::from_csv("t", "seconds,records_per_second\n0,2500\n600,0\n699,0\n").expect("a trace");
        let answers = question().answer(&trace, &[Rule::Runway, Rule::Fixed(4)]);
        let [(ours, outcome), (fixed, _)] = &answers[..] else { panic!("two rules") };
        assert_eq!((fixed.executor_seconds, fixed.actions, fixed.cost), (2_799.0, 1, 0.0778));
        let best = ours.oracle_executor_seconds.expect("one executor can do it");
        assert!((300.0..310.0).contains(&best), "half an executor for 600 s: {best}");
        assert!(ours.executor_seconds < 1.1 * best && ours.late_percent == 0.0, "{ours:?}");
        assert_eq!(outcome.samples.len(), 700);
        assert_eq!(question().answer(&trace, &[Rule::Runway])[0].0, *ours, "the same twice");
    }

    #[test]
    fn more_than_all_can_do_has_no_optimum() {
        let trace = Trace::new("t", vec![50_000.0; 60]);
        let answers = question().answer(&trace, &[Rule::Fixed(4)]);
        assert_eq!((answers[0].0.oracle_executor_seconds, answers[0].0.ratio), (None, None));
        assert!(answers[0].0.late_percent > 0.0);
    }
}
