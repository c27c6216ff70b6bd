//! Prints the autoscaler's scoreboard of the fluid model: `cargo run --release -p tidemill-simulate --example
//! scoreboard`. `cargo xtask scoreboard` reads the lines `figure NAME VALUE`. All figures come from the model, not from
//! the engine.

use tidemill_scale::Bottleneck;
use tidemill_scale::{Kind, Record, Settings, replay};
use tidemill_simulate::baselines::{Dataflow, Ds2, Fixed, Flink, Keda, Spark};
use tidemill_simulate::{Mechanism, Optimum, Outcome, Runway, Scaler, Shapes, Trace, optimum, run};

const SLO_MS: u64 = 10_000;
const MAX: u32 = 4;
const DAY_S: usize = 86_400;

fn main() {
    let mechanism = Mechanism::default();
    let shapes = Shapes { per_executor: mechanism.per_executor, seed: 1 };
    for (name, mechanism) in [("cheap", &mechanism), ("dear", &Mechanism::dear())] {
        println!("\n== a start takes {} ms and costs {} executor-seconds", mechanism.start_ms, mechanism.price_s());
        let traces: Vec<(Trace, Optimum)> =
            shapes.all().into_iter().map(|trace| with_optimum(trace, mechanism)).collect();
        compare_rules(name, &traces, mechanism);
        by_trace(&traces, mechanism);
        savings(name, shapes, mechanism);
        steadiness(name, shapes, mechanism);
        steps(name, shapes, mechanism);
        if name == "cheap" {
            replays(&traces, mechanism);
        }
        robustness(name, &traces, mechanism);
    }
    println!("\n== whatever a start costs");
    drain(shapes, &mechanism);
    bottlenecks(shapes, &mechanism);
    idle(shapes, &mechanism);
}

fn with_optimum(trace: Trace, mechanism: &Mechanism) -> (Trace, Optimum) {
    let best = optimum(&trace, mechanism, SLO_MS, MAX, mechanism.price_s())
        .expect("four executors serve every trace of the set");
    (trace, best)
}

fn settings(mechanism: &Mechanism) -> Settings {
    let mut settings = Settings::default();
    settings.policy.assumed_per_core = mechanism.per_executor / f64::from(mechanism.cores);
    settings
}

fn runway(trace: &Trace, mechanism: &Mechanism) -> Outcome {
    run(trace, mechanism, SLO_MS, &mut Runway::new(&settings(mechanism)))
}

/// Means over the set of traces.
struct MeanScores {
    over: f64,
    over_priced: f64,
    late: f64,
    late_worst: f64,
    p99_worst_ms: u64,
    saved: f64,
    actions: usize,
}

fn means(traces: &[(Trace, Optimum)], price_s: f64, mut run_one: impl FnMut(&Trace) -> Outcome) -> MeanScores {
    let (mut logs, mut logs_priced, mut late, mut records, mut used, mut fixed) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut late_worst, mut p99_worst_ms, mut actions) = (0.0_f64, 0, 0);
    for (trace, best) in traces {
        let outcome = run_one(trace);
        logs += (outcome.executor_seconds / best.executor_seconds).ln();
        logs_priced += (outcome.cost(price_s) / best.cost(price_s)).ln();
        late += outcome.late * outcome.records;
        records += outcome.records;
        late_worst = late_worst.max(outcome.late);
        p99_worst_ms = p99_worst_ms.max(outcome.age_p99_ms);
        used += outcome.executor_seconds;
        fixed += f64::from(MAX) * trace.seconds() as f64;
        actions += outcome.actions.len();
    }
    let count = traces.len() as f64;
    MeanScores {
        over: (logs / count).exp(),
        over_priced: (logs_priced / count).exp(),
        late: late / records,
        late_worst,
        p99_worst_ms,
        saved: 1.0 - used / fixed,
        actions,
    }
}

fn compare_rules(name: &str, traces: &[(Trace, Optimum)], mechanism: &Mechanism) {
    let price_s = mechanism.price_s();
    println!("A6 A7 A8 over {} traces; over the optimum: executor-seconds, and with the price of starts", traces.len());
    let ours = means(traces, price_s, |trace| runway(trace, mechanism));
    println!("figure {name}_over {:.3}\nfigure {name}_priced {:.3}", ours.over, ours.over_priced);
    println!("figure {name}_late_percent {:.3}\nfigure {name}_p99_ms {}", ours.late_worst * 100.0, ours.p99_worst_ms);
    println!(
        "{:16} {:>6} {:>7} {:>7} {:>7} {:>8} {:>7} {:>7}",
        "rule", "over", "priced", "late %", "worst", "p99 ms", "saved %", "actions"
    );
    let line = |name: &str, make: &dyn Fn() -> Box<dyn Scaler>| {
        let means = means(traces, price_s, |trace| run(trace, mechanism, SLO_MS, &mut *make()));
        println!(
            "{name:16} {:6.3} {:7.3} {:7.2} {:7.2} {:8} {:7.1} {:7}",
            means.over,
            means.over_priced,
            means.late * 100.0,
            means.late_worst * 100.0,
            means.p99_worst_ms,
            means.saved * 100.0,
            means.actions
        );
    };
    line("runway", &|| Box::new(Runway::new(&settings(mechanism))));
    line("static 4", &|| Box::new(Fixed(MAX)));
    line("KEDA", &|| Box::new(Keda::new(MAX)));
    line("DS2", &|| Box::new(Ds2::new(MAX)));
    line("Flink", &|| Box::new(Flink::new(MAX)));
    line("Flink, tuned", &|| Box::new(Flink::tuned(MAX)));
    line("Spark", &|| Box::new(Spark::new(MAX)));
    line("like Dataflow", &|| Box::new(Dataflow::new(MAX)));
}

fn by_trace(traces: &[(Trace, Optimum)], mechanism: &Mechanism) {
    println!(
        "\nrunway by trace\n{:20} {:>7} {:>7} {:>6} {:>6} {:>7} {:>6} {:>6} {:>7} {:>7}",
        "trace", "ex-s", "best", "over", "priced", "starts", "late %", "p99 ms", "actions", "saved %"
    );
    for (trace, best) in traces {
        let outcome = runway(trace, mechanism);
        println!(
            "{:20} {:7.0} {:7.0} {:6.2} {:6.2} {:4}/{:3} {:6.2} {:6} {:7} {:7.1}",
            trace.name,
            outcome.executor_seconds,
            best.executor_seconds,
            outcome.executor_seconds / best.executor_seconds,
            outcome.cost(mechanism.price_s()) / best.cost(mechanism.price_s()),
            outcome.starts,
            best.starts,
            outcome.late * 100.0,
            outcome.age_p99_ms,
            outcome.actions.len(),
            100.0 * (1.0 - outcome.executor_seconds / (f64::from(MAX) * trace.seconds() as f64)),
        );
    }
}

fn savings(name: &str, shapes: Shapes, mechanism: &Mechanism) {
    println!("\nA7 saved against 4 always on");
    for (key, trace) in [("day", shapes.two_level_day()), ("long", shapes.long_bursts()), ("bursts", shapes.bursts())] {
        let used = runway(&trace, mechanism).executor_seconds / (f64::from(MAX) * trace.seconds() as f64);
        println!("  {:22} {:.1} %", trace.name, 100.0 * (1.0 - used));
        println!("figure {name}_saved_{key} {:.1}", 100.0 * (1.0 - used));
    }
}

fn drain(shapes: Shapes, mechanism: &Mechanism) {
    let trace = shapes.dump(600.0);
    let drained = |scaler: &mut dyn Scaler| run(&trace, mechanism, SLO_MS, scaler).age_max_ms as f64 / 1000.0;
    let fixed = drained(&mut Fixed(MAX));
    println!("\nA9 drain of 600 executor-seconds: static 4 {fixed:.1} s");
    println!("figure drain {:.3}", drained(&mut Runway::new(&settings(mechanism))) / fixed);
    let line = |name: &str, seconds: f64| println!("  {name:14} {seconds:6.1} s, {:.2} of static 4", seconds / fixed);
    line("runway", drained(&mut Runway::new(&settings(mechanism))));
    line("DS2", drained(&mut Ds2::new(MAX)));
    line("like Dataflow", drained(&mut Dataflow::new(MAX)));
}

fn steadiness(name: &str, shapes: Shapes, mechanism: &Mechanism) {
    println!("\nA10 constant load ± 20 %, 24 h: what changes cost of the executor-seconds, by the load in executors");
    let (mut most, mut most_of_used, mut half_of_used) = (0.0_f64, 0.0_f64, 0.0_f64);
    for level in [0.1, 0.25, 0.4, 0.45, 0.5, 0.55, 0.6, 0.75, 0.9, 0.95, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 2.95, 3.5]
    {
        let outcome = runway(&shapes.constant(level, DAY_S), mechanism);
        let paid = outcome.starts as f64 * mechanism.price_s();
        // What the size costs that is enough, if it stays.
        let kept = (level / 0.97_f64).ceil() * DAY_S as f64;
        let (share, of_used) = (100.0 * paid / kept, 100.0 * paid / outcome.executor_seconds);
        println!(
            "  {level:4}: {:6} starts, {share:.2} % of {kept:.0} kept, {of_used:.2} % of {:.0} used; work {:.0}; late {:.2} %, p50 {} ms, p99 {} ms",
            outcome.starts,
            outcome.executor_seconds,
            outcome.records / mechanism.per_executor,
            outcome.late * 100.0,
            outcome.age_p50_ms,
            outcome.age_p99_ms
        );
        most = most.max(share);
        most_of_used = most_of_used.max(of_used);
        if level >= 0.5 {
            half_of_used = half_of_used.max(of_used);
        }
    }
    println!("figure {name}_changes_percent {most:.2}\nfigure {name}_changes_of_used_percent {most_of_used:.2}");
    println!("figure {name}_changes_from_half_percent {half_of_used:.2}");
}

fn steps(name: &str, shapes: Shapes, mechanism: &Mechanism) {
    println!("\nA11 a step of load: seconds to the last action of the minute, actions");
    let (mut slowest_s, mut most) = (0.0_f64, 0);
    for (from, to) in [(0.0, 0.5), (0.0, 3.5), (0.5, 1.5), (0.5, 2.5), (0.5, 3.5), (1.5, 2.5), (1.5, 3.5), (2.5, 3.5)] {
        let outcome = runway(&shapes.step_between(from, to), mechanism);
        // Not answers to the step: the wake from zero, which waits for no measurement, and what happens without the step
        // too, where two sizes serve the load before it in turns.
        let without = runway(&shapes.step_between(from, from), mechanism).actions;
        // The time until the size for the new load is reached.
        let enough = (to / 0.97).ceil() as u32;
        let mut short = true;
        let answers: Vec<_> = outcome
            .actions
            .iter()
            .filter(|action| action.0 > 300_000 && !without.contains(action))
            .take_while(|action| std::mem::replace(&mut short, action.2 < enough))
            .filter(|action| action.1 > 0)
            .collect();
        if let Some(last) = answers.last() {
            slowest_s = slowest_s.max(last.0 as f64 / 1000.0 - 300.0);
        }
        most = most.max(answers.len());
        let text: Vec<_> =
            answers.iter().map(|a| format!("{:.2} s {}→{}", a.0 as f64 / 1000.0 - 300.0, a.1, a.2)).collect();
        println!(
            "  {from} → {to}: {}; late {:.2} %, p99 {} ms",
            text.join(", "),
            outcome.late * 100.0,
            outcome.age_p99_ms
        );
    }
    println!("figure {name}_step_s {slowest_s:.2}\nfigure {name}_step_actions {most}");
}

fn bottlenecks(shapes: Shapes, mechanism: &Mechanism) {
    println!("\nA13 a bottleneck of 1.5 executors' worth, load 0.5 → 3.0 after 300 s");
    let (mut slowest_s, mut most) = (0.0_f64, 0);
    for bottleneck in [Bottleneck::Driver, Bottleneck::Sink, Bottleneck::Source, Bottleneck::Machine] {
        let limited = Mechanism { limit: Some((bottleneck, 1.5 * mechanism.per_executor)), ..mechanism.clone() };
        let mut scaler = Runway::new(&settings(mechanism));
        run(&shapes.step_between(0.5, 3.0), &limited, SLO_MS, &mut scaler);
        let guard = scaler.actions().find(|decision| decision.kind == Kind::Guard).expect("it is noticed");
        let grown = scaler.actions().find(|decision| decision.to == 4).expect("it grows at first");
        let after_s = (guard.at_ms - grown.at_ms) as f64 / 1000.0;
        println!("  {bottleneck:?}: {after_s:.1} s after growth, {}→{}: {}", guard.from, guard.to, guard.reason);
        (slowest_s, most) = (slowest_s.max(after_s), most.max(guard.to));
    }
    println!("figure bottleneck_s {slowest_s:.1}\nfigure bottleneck_size {most}");
}

fn idle(shapes: Shapes, mechanism: &Mechanism) {
    println!(
        "\nA15 24 h idle\nfigure idle_executor_seconds {}",
        runway(&shapes.idle(DAY_S), mechanism).executor_seconds
    );
}

fn replays(traces: &[(Trace, Optimum)], mechanism: &Mechanism) {
    let (mut steps, mut differences) = (0, 0);
    for (trace, _) in traces {
        let mut scaler = Runway::new(&settings(mechanism)).logged();
        run(trace, mechanism, SLO_MS, &mut scaler);
        let lines = scaler.log().iter().map(|record| serde_json::to_string(record).expect("plain data"));
        let read: Vec<Record> = lines.map(|line| serde_json::from_str(&line).expect("what was written")).collect();
        let (replayed, differing) = replay(&read);
        steps += replayed;
        differences += differing.len();
    }
    println!("\nA16 replay through JSON lines\nfigure replayed {steps}\nfigure replay_differences {differences}");
}

/// A line for policies that believe in a capacity of `believed` times the true one.
fn wrong(what: &str, traces: &[(Trace, Optimum)], mechanism: &Mechanism, believed: f64) -> (f64, f64) {
    let means = means(traces, mechanism.price_s(), |trace| {
        let mut settings = settings(mechanism);
        settings.policy.assumed_per_core *= believed;
        run(trace, mechanism, SLO_MS, &mut Runway::new(&settings))
    });
    println!("  {what:32} {:6.3} {:6.3} {:6}", means.over, means.late_worst * 100.0, means.p99_worst_ms);
    (means.over, means.late_worst * 100.0)
}

fn robustness(name: &str, traces: &[(Trace, Optimum)], mechanism: &Mechanism) {
    println!("\nA17 with wrong or old facts: over the optimum, late %, p99 ms");
    let with =
        |mu_error: f64, stale_ms: u64, start_ms: u64| Mechanism { mu_error, stale_ms, start_ms, ..mechanism.clone() };
    let start_ms = mechanism.start_ms;
    let alone = [
        wrong("μ 30 % too high", traces, &with(1.3, 0, start_ms), 1.3),
        wrong("μ 30 % too low", traces, &with(0.7, 0, start_ms), 0.7),
        wrong("facts 5 s old", traces, &with(1.0, 5000, start_ms), 1.0),
        wrong("a start of 5 s", traces, &with(1.0, 0, 5000), 1.0),
    ];
    let over = alone.iter().map(|seen| seen.0).fold(0.0, f64::max);
    let late = alone.iter().map(|seen| seen.1).fold(0.0, f64::max);
    println!("figure {name}_wrong_over {over:.3}\nfigure {name}_wrong_late_percent {late:.3}");
    wrong("too high, old facts, slow start", traces, &with(1.3, 5000, 5000), 1.3);
    wrong("too low, old facts, slow start", traces, &with(0.7, 5000, 5000), 0.7);
}
