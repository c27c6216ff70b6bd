//! `bench`: runs each benchmark a few times and prints medians, with the CPU-seconds of the whole process tree.
//!
//! A benchmark is an example of a crate, or a module here that measures the built binary from outside. Its output lines
//! `figure NAME VALUE UNIT` (the value is a plain number) go into the table. The other lines of the last run are
//! shown below it. `wall` and `cpu` cover the whole run, with all processes that it starts.

pub mod autoscale;
mod batches;
mod bench_dir;
mod bottlenecks;
mod consume;
mod engine;
mod groups;
mod hot;
mod idle;
mod job;
mod latency;
mod model;
mod partitions;
pub mod process;
mod produce;
mod restart;
mod sink;
mod slow_link;
mod stateless;
mod steady;
mod wake;

use crate::sh::{self, Outcome, cargo};
use crate::usage::{self, Cost};
use std::collections::BTreeMap;

/// One benchmark.
struct Bench {
    name: &'static str,
    program: Program,
}

enum Program {
    /// An example of a crate: package, example.
    Example(&'static str, &'static str),
    /// A module here.
    Own(fn() -> Outcome<String>),
}
use Program::{Example, Own};

/// All benchmarks. A crate adds a line here and prints its figures.
const BENCHES: &[Bench] = &[
    Bench { name: "decode", program: Example("tidemill-decode", "decode_bench") },
    Bench { name: "fold", program: Example("tidemill-flow", "fold_bench") },
    Bench { name: "state", program: Example("tidemill-state", "state_bench") },
    Bench { name: "sql", program: Example("tidemill-sql", "evaluate") },
    Bench { name: "executor", program: Example("tidemill-cli", "executor_bench") },
    Bench { name: "engine", program: Own(engine::run) },
    Bench { name: "groups", program: Own(groups::run) },
    Bench { name: "batches", program: Own(batches::run) },
    Bench { name: "partitions", program: Own(partitions::run) },
    Bench { name: "stateless", program: Own(stateless::run) },
    Bench { name: "latency", program: Own(latency::run) },
    Bench { name: "driver_idle", program: Own(idle::run) },
    Bench { name: "produce", program: Own(produce::run) },
    Bench { name: "restart", program: Own(restart::run) },
    Bench { name: "broker", program: Example("tidemill-broker", "throughput") },
    Bench { name: "commits", program: Example("tidemill-broker", "commits") },
    Bench { name: "compaction", program: Example("tidemill-broker", "compaction") },
    Bench { name: "broker_stop", program: Example("tidemill-broker", "stop") },
    Bench { name: "batch_checks", program: Example("tidemill-broker", "batch_checks") },
];

const RUNS: usize = 3;

/// Runs the named benchmarks, or all.
pub fn run(args: &[&str]) -> Outcome {
    match args {
        ["autoscale", rest @ ..] => return autoscale::run(rest),
        ["bottlenecks", rest @ ..] => return bottlenecks::run(rest),
        ["consume", rest @ ..] => return consume::run(rest),
        ["hot", rest @ ..] => return hot::run(rest),
        ["model", rest @ ..] => return model::run(rest),
        ["idle", rest @ ..] => return idle::run_long(rest),
        ["sink", rest @ ..] => return sink::run(rest),
        ["steady", rest @ ..] => return steady::run(rest),
        ["wake", rest @ ..] => return wake::run(rest),
        _ => {}
    }
    if args == ["--list"] {
        BENCHES.iter().for_each(|bench| println!("{}", bench.name));
        return Ok(());
    }
    let (names, runs) = parse(args)?;
    let chosen = BENCHES.iter().filter(|bench| names.is_empty() || names.contains(&bench.name));
    // Benchmarks measure the binary of this workspace.
    sh::run(&mut cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
    println!("{:<12} {:<40} {:>14} {:>14} {:>14}  unit", "bench", "figure", "median", "least", "greatest");
    for bench in chosen {
        bench.build()?;
        let mut figures: BTreeMap<(usize, String), (String, Vec<f64>)> = BTreeMap::new();
        let mut text = String::new();
        for _ in 0..runs {
            let cost;
            (text, cost) = bench.measure()?;
            for (index, (name, value, unit)) in figures_of(&text, cost).into_iter().enumerate() {
                figures.entry((index, name)).or_insert((unit, Vec::new())).1.push(value);
            }
        }
        for ((_, name), (unit, mut values)) in figures {
            values.sort_by(f64::total_cmp);
            let [median, least, greatest] = [values[values.len() / 2], values[0], values[values.len() - 1]].map(round);
            println!("{:<12} {name:<40} {median:>14} {least:>14} {greatest:>14}  {unit}", bench.name);
        }
        text.lines().filter(|line| !line.starts_with("figure ")).for_each(|line| println!("  | {line}"));
    }
    Ok(())
}

impl Bench {
    fn build(&self) -> Outcome {
        let Example(package, example) = self.program else { return Ok(()) };
        sh::run(&mut cargo(&["build", "--release", "--quiet", "--package", package, "--example", example]))
    }

    fn measure(&self) -> Outcome<(String, Cost)> {
        match self.program {
            Example(_, example) => {
                let path = sh::target().join("release/examples").join(example);
                usage::measure(|| sh::read(&mut sh::command(path, &[])))
            }
            Own(run) => usage::measure(run),
        }
    }
}

fn parse<'a>(args: &[&'a str]) -> Outcome<(Vec<&'a str>, usize)> {
    let (mut names, mut runs) = (Vec::new(), RUNS);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == "--runs" {
            let count = args.next().and_then(|count| count.parse().ok()).filter(|count| *count > 0);
            runs = count.ok_or("--runs wants a number from 1")?;
        } else if BENCHES.iter().any(|bench| bench.name == *arg) {
            names.push(*arg);
        } else {
            return Err(format!("`{arg}` is no benchmark; `cargo xtask bench --list` names them"));
        }
    }
    Ok((names, runs))
}

fn figures_of(text: &str, cost: Cost) -> Vec<(String, f64, String)> {
    let own = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("figure ")?.split_whitespace();
        let (name, value) = (words.next()?, words.next()?.parse().ok()?);
        Some((name.to_owned(), value, words.collect::<Vec<_>>().join(" ")))
    });
    let outside = [("wall", cost.wall), ("cpu", cost.cpu)];
    own.chain(outside.map(|(name, time)| (name.to_owned(), time.as_secs_f64(), "s".to_owned()))).collect()
}

/// Three decimals for small figures, none for large ones.
fn round(value: f64) -> String {
    if value.abs() < 1_000.0 { format!("{value:.3}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn figures_are_the_marked_lines_and_the_cost() {
        let cost = Cost { wall: Duration::from_millis(1_500), cpu: Duration::from_secs(2) };
        let figures = figures_of("hello\nfigure rate 4100000 records/CPU-s\nfigure broken x\n", cost);
        let expected = [("rate", 4_100_000.0, "records/CPU-s"), ("wall", 1.5, "s"), ("cpu", 2.0, "s")];
        assert_eq!(figures, expected.map(|(name, value, unit)| (name.to_owned(), value, unit.to_owned())));
        assert_eq!([round(12.345_6), round(4_100_000.4)], ["12.346", "4100000"]);
    }
}
