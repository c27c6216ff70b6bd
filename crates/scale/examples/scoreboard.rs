//! Prints the autoscaler's scoreboard, as far as the fluid model goes: `cargo run --release -p tidemill-scale --example
//! scoreboard`. Every figure is a model's: executor-seconds, ages and actions, not the engine's own times.

use tidemill_scale::simulate::baselines::{Dataflow, Ds2, Fixed, Flink, Keda, Spark};
use tidemill_scale::simulate::{
    Mechanism, Optimum, Outcome, Runway, START_PRICE_S, Scaler, Shapes, Trace, optimum, run,
};
use tidemill_scale::{Kind, Record, Settings, replay};

const SLO_MS: u64 = 10_000;
const MAX: u32 = 4;
const DAY_S: usize = 86_400;

fn main() {
    let mechanism = Mechanism::default();
    let shapes = Shapes { per_executor: mechanism.per_executor, seed: 1 };
    let traces: Vec<(Trace, Optimum)> = shapes.all().into_iter().map(|trace| with_optimum(trace, &mechanism)).collect();
    compare_rules(&traces, &mechanism);
    by_trace(&traces, &mechanism);
    savings(shapes, &mechanism);
    drain(shapes, &mechanism);
    steadiness(shapes, &mechanism);
    steps(shapes, &mechanism);
    slow_sink(shapes, &mechanism);
    idle(shapes, &mechanism);
    replays(&traces, &mechanism);
    robustness(&traces, &mechanism);
}

fn with_optimum(trace: Trace, mechanism: &Mechanism) -> (Trace, Optimum) {
    let best = optimum(&trace, mechanism, SLO_MS, MAX).expect("four executors serve every trace of the set");
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

/// One line of means over the trace set.
struct Means {
    over: f64,
    over_priced: f64,
    late: f64,
    late_worst: f64,
    p99_worst_ms: u64,
    saved: f64,
    actions: usize,
}

fn means(traces: &[(Trace, Optimum)], mut run_one: impl FnMut(&Trace) -> Outcome) -> Means {
    let (mut logs, mut logs_priced, mut late, mut records, mut used, mut fixed) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut late_worst, mut p99_worst_ms, mut actions) = (0.0_f64, 0, 0);
    for (trace, best) in traces {
        let outcome = run_one(trace);
        logs += (outcome.executor_seconds / best.executor_seconds).ln();
        logs_priced += (outcome.cost(START_PRICE_S) / best.cost(START_PRICE_S)).ln();
        late += outcome.late * outcome.records;
        records += outcome.records;
        late_worst = late_worst.max(outcome.late);
        p99_worst_ms = p99_worst_ms.max(outcome.age_p99_ms);
        used += outcome.executor_seconds;
        fixed += f64::from(MAX) * trace.seconds() as f64;
        actions += outcome.actions.len();
    }
    let count = traces.len() as f64;
    Means {
        over: (logs / count).exp(),
        over_priced: (logs_priced / count).exp(),
        late: late / records,
        late_worst,
        p99_worst_ms,
        saved: 1.0 - used / fixed,
        actions,
    }
}

fn compare_rules(traces: &[(Trace, Optimum)], mechanism: &Mechanism) {
    println!(
        "A6 A7 A8 over {} traces; over the optimum: executor-seconds, and with {START_PRICE_S} s a start",
        traces.len()
    );
    println!(
        "{:16} {:>6} {:>7} {:>7} {:>7} {:>8} {:>7} {:>7}",
        "rule", "over", "priced", "late %", "worst", "p99 ms", "saved %", "actions"
    );
    let line = |name: &str, make: &dyn Fn() -> Box<dyn Scaler>| {
        let means = means(traces, |trace| run(trace, mechanism, SLO_MS, &mut *make()));
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
            "{:20} {:7.0} {:7.0} {:6.2} {:6.2} {:3}/{:3} {:6.2} {:6} {:7} {:7.1}",
            trace.name,
            outcome.executor_seconds,
            best.executor_seconds,
            outcome.executor_seconds / best.executor_seconds,
            outcome.cost(START_PRICE_S) / best.cost(START_PRICE_S),
            outcome.starts,
            best.starts,
            outcome.late * 100.0,
            outcome.age_p99_ms,
            outcome.actions.len(),
            100.0 * (1.0 - outcome.executor_seconds / (f64::from(MAX) * trace.seconds() as f64)),
        );
    }
}

fn savings(shapes: Shapes, mechanism: &Mechanism) {
    println!("\nA7 saved against 4 always on");
    for trace in [shapes.two_level_day(), shapes.long_bursts(), shapes.bursts()] {
        let used = runway(&trace, mechanism).executor_seconds / (f64::from(MAX) * trace.seconds() as f64);
        println!("  {:22} {:.1} %", trace.name, 100.0 * (1.0 - used));
    }
}

fn drain(shapes: Shapes, mechanism: &Mechanism) {
    let trace = shapes.dump(600.0);
    let drained = |scaler: &mut dyn Scaler| run(&trace, mechanism, SLO_MS, scaler).age_max_ms as f64 / 1000.0;
    let fixed = drained(&mut Fixed(MAX));
    println!("\nA9 drain of 600 executor-seconds: static 4 {fixed:.1} s");
    let line = |name: &str, seconds: f64| println!("  {name:14} {seconds:6.1} s, {:.2} of static 4", seconds / fixed);
    line("runway", drained(&mut Runway::new(&settings(mechanism))));
    line("DS2", drained(&mut Ds2::new(MAX)));
    line("like Dataflow", drained(&mut Dataflow::new(MAX)));
}

fn steadiness(shapes: Shapes, mechanism: &Mechanism) {
    println!("\nA10 constant load ± 20 %, 24 h: actions in all, after 1 h");
    for twentieth in 2..=74 {
        let level = f64::from(twentieth) * 0.05;
        let outcome = runway(&shapes.constant(level, DAY_S), mechanism);
        let after = outcome.actions.iter().filter(|action| action.0 > 3_600_000).count();
        if after > 0 || outcome.late > 0.0 || twentieth == 74 {
            println!("  level {level:.2}: {} {after}, late {:.2} %", outcome.actions.len(), outcome.late * 100.0);
        }
    }
    let day = runway(&shapes.day(), mechanism);
    println!("  day-like 6 h (made up): {} actions, {} reversals within 120 s", day.actions.len(), day.reversals(120));
}

fn steps(shapes: Shapes, mechanism: &Mechanism) {
    println!("\nA11 a step of load: seconds to the last action of the minute, actions");
    for (from, to) in [(0.0, 0.5), (0.0, 3.5), (0.5, 1.5), (0.5, 2.5), (0.5, 3.5), (1.5, 2.5), (1.5, 3.5), (2.5, 3.5)] {
        let outcome = runway(&shapes.step_between(from, to), mechanism);
        let answers: Vec<_> = outcome.actions.iter().filter(|action| action.0 > 300_000).collect();
        let text: Vec<_> =
            answers.iter().map(|a| format!("{:.2} s {}→{}", a.0 as f64 / 1000.0 - 300.0, a.1, a.2)).collect();
        println!(
            "  {from} → {to}: {}; late {:.2} %, p99 {} ms",
            text.join(", "),
            outcome.late * 100.0,
            outcome.age_p99_ms
        );
    }
}

fn slow_sink(shapes: Shapes, mechanism: &Mechanism) {
    let slow = Mechanism { sink_limit: Some(1.5 * mechanism.per_executor), ..mechanism.clone() };
    let mut scaler = Runway::new(&settings(mechanism));
    run(&shapes.step_between(0.5, 3.0), &slow, SLO_MS, &mut scaler);
    println!("\nA13 a sink of 1.5 executors' worth, load 0.5 → 3.0 after 300 s");
    for decision in scaler.actions() {
        println!(
            "  {:7.2} s {}→{} {:?}: {}",
            decision.at_ms as f64 / 1000.0,
            decision.from,
            decision.to,
            decision.kind,
            decision.reason
        );
    }
    assert!(scaler.actions().any(|decision| decision.kind == Kind::Guard && decision.to <= 2));
}

fn idle(shapes: Shapes, mechanism: &Mechanism) {
    println!("\nA15 24 h idle: {} executor-seconds", runway(&shapes.idle(DAY_S), mechanism).executor_seconds);
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
    println!("\nA16 replay through JSON lines: {steps} decisions, {differences} differ");
}

fn robustness(traces: &[(Trace, Optimum)], mechanism: &Mechanism) {
    println!("\nA17 with wrong or old facts: over the optimum, late %, p99 ms");
    let line = |name: &str, mechanism: Mechanism, believed: f64| {
        let means = means(traces, |trace| {
            let mut settings = settings(&mechanism);
            settings.policy.assumed_per_core *= believed;
            let outcome = run(trace, &mechanism, SLO_MS, &mut Runway::new(&settings));
            if outcome.late > 0.0 {
                println!("    {}: {:.3} % late", trace.name, outcome.late * 100.0);
            }
            outcome
        });
        println!("  {name:28} {:6.3} {:6.3} {:6}", means.over, means.late_worst * 100.0, means.p99_worst_ms);
    };
    let with =
        |mu_error: f64, stale_ms: u64, start_ms: u64| Mechanism { mu_error, stale_ms, start_ms, ..mechanism.clone() };
    line("μ 30 % too high", with(1.3, 0, 300), 1.3);
    line("μ 30 % too low", with(0.7, 0, 300), 0.7);
    line("facts 5 s old", with(1.0, 5000, 300), 1.0);
    line("a start of 5 s", with(1.0, 0, 5000), 1.0);
    line("too high, old facts, slow start", with(1.3, 5000, 5000), 1.3);
    line("too low, old facts, slow start", with(0.7, 5000, 5000), 0.7);
}
