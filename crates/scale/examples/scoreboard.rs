//! Prints the autoscaler's scoreboard from the fluid model: `cargo run --release -p tidemill-scale --example scoreboard`.

use tidemill_scale::Settings;
use tidemill_scale::simulate::{Mechanism, Outcome, Runway, START_PRICE_S, Shapes, Trace, optimum, run};

const SLO_MS: u64 = 10_000;

fn main() {
    let mechanism = Mechanism::default();
    let shapes = Shapes { per_executor: mechanism.per_executor, seed: 1 };
    println!(
        "{:22} {:>7} {:>6} {:>6} {:>6} {:>7} {:>7} {:>6} {:>5}",
        "trace", "ex-s", "start", "/opt", "/opt$", "late%", "p99", "act", "saved"
    );
    let mut logs = 0.0;
    let mut costs = 0.0;
    let mut count = 0;
    for trace in shapes.all() {
        let outcome = runway(&trace, &mechanism);
        let best = optimum(&trace, &mechanism, SLO_MS, 4).expect("4 executors serve it");
        let over = outcome.executor_seconds / best.executor_seconds;
        let over_cost = outcome.cost(START_PRICE_S) / best.cost(START_PRICE_S);
        logs += over.ln();
        costs += over_cost.ln();
        count += 1;
        println!(
            "{:22} {:7.0} {:6} {:6.2} {:6.2} {:7.3} {:7} {:6} {:5.1}  opt {:.0} {}",
            trace.name,
            outcome.executor_seconds,
            outcome.starts,
            over,
            over_cost,
            outcome.late * 100.0,
            outcome.age_p99_ms,
            outcome.actions.len(),
            100.0 * (1.0 - outcome.executor_seconds / (4.0 * trace.seconds() as f64)),
            best.executor_seconds,
            best.starts
        );
    }
    println!("geomean {:.3} priced {:.3}", (logs / count as f64).exp(), (costs / count as f64).exp());
    if std::env::var("Q").is_ok() {
        return;
    }
    for level in (10..=75).map(|i| i as f64 * 0.05) {
        let o = runway(&shapes.constant(level, 86_400), &mechanism);
        let n = o.actions.iter().filter(|a| a.0 > 900_000).count();
        if n > 0 || o.late > 0.0 {
            println!("const {level:.2}: {n} late {}", o.late)
        }
    }
    let constant = [0.5, 0.9, 0.95, 0.99, 1.5, 1.9, 1.97, 2.5, 2.8, 3.3];
    for level in constant {
        let o = runway(&shapes.constant(level, 86_400), &mechanism);
        println!("constant {level}: {:?} late {}", &o.actions[..o.actions.len().min(12)], o.late);
    }
    for (a, b) in [(0.0, 0.5), (0.0, 3.5), (0.5, 1.5), (0.5, 2.5), (0.5, 3.5), (1.5, 2.5), (2.5, 3.5)] {
        let o = runway(&shapes.step_between(a, b), &mechanism);
        println!("step {a} {b}: {:?} late {} p99 {}", o.actions, o.late, o.age_p99_ms);
    }
}

fn runway(trace: &Trace, mechanism: &Mechanism) -> Outcome {
    let mut settings = Settings::default();
    settings.policy.assumed_per_core = mechanism.per_executor / 2.0;
    run(trace, mechanism, SLO_MS, &mut Runway::new(&settings))
}
