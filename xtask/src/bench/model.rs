//! `bench model`: real processes on compressed traces beside the simulator's policy on the same traces.
//!
//! Five traces of some 45 s are made up by seeds. For each, a run decides for itself; then `tidemill simulate` decides on the
//! same trace. Both write decision logs, and the sizes are compared every quarter of a second. A moment is the same if the
//! sizes differ by one at most. The engine measures a rate by whole observations, and its load comes from processes that
//! need a moment to start; so a moment also counts as the same if the simulator has such a size within [`SHIFT_MS`] of it.

use super::autoscale::{self, Segment};
use crate::embedded::binary;
use crate::json;
use crate::random::Random;
use crate::sh::{self, Outcome};
use std::fmt::Write;

/// The traces that are made up when none are named.
const SEEDS: [u64; 5] = [41, 42, 43, 44, 45];

/// Sizes are compared this often, ms.
const STEP_MS: u64 = 250;

/// By so much the engine may be earlier or later than the simulator, ms.
const SHIFT_MS: u64 = 1_000;

/// A decided size from a moment on: (ms, size).
pub type Sizes = Vec<(u64, u64)>;

/// `--seed S`, once or more often, for other traces.
pub fn run(args: &[&str]) -> Outcome {
    let mut seeds = Vec::new();
    for pair in args.chunks(2) {
        match pair {
            ["--seed", seed] => seeds.push(seed.parse().map_err(|_| "--seed wants a number")?),
            _ => return Err("say `bench model [--seed S]…`".into()),
        }
    }
    if seeds.is_empty() {
        seeds = SEEDS.to_vec();
    }
    sh::run(&mut sh::cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
    let (mut late, mut apart, mut exact, mut count) = (0, 0, 0, 0);
    for seed in seeds {
        let trace = compressed(seed);
        let seen = autoscale::measure(&trace, &[])?;
        let engine = from_first_arrival(&seen.decisions);
        let model = simulated(&trace)?;
        let end_ms: u64 = trace.iter().map(|segment| segment.seconds * 1_000).sum();
        let found = compare(&engine, &model, end_ms);
        println!(
            "seed {seed}: {}\n  late records {}, age p99 {} ms; executor-seconds {:.1}; {} of {} moments within one of the \
             simulator, {} at the very moment",
            autoscale::text(&trace),
            seen.late,
            seen.p99_ms,
            seen.executor_seconds,
            found.same,
            found.moments,
            found.same_unshifted
        );
        found.apart.iter().take(5).for_each(|text| println!("  {text}"));
        late += seen.late;
        apart += found.moments - found.same;
        exact += found.same_unshifted;
        count += found.moments;
    }
    println!(
        "figure model_late {late}\nfigure model_moments {count}\nfigure model_apart {apart}\nfigure model_unshifted {exact}"
    );
    Ok(())
}

/// Eight segments of 3 to 8 s; the first has a load.
fn compressed(seed: u64) -> Vec<Segment> {
    let mut random = Random::new(seed);
    let segment = |number| {
        let seconds = random.between(3, 8) as u64;
        let quiet = number > 0 && random.chance(20);
        Segment { seconds, per_second: if quiet { 0 } else { 250 * random.between(1, 72) as u64 } }
    };
    (0..8).map(segment).collect()
}

/// The sizes of a decision log, counted from the first arrival.
fn from_first_arrival(log: &str) -> Sizes {
    let (mut before, mut start_ms, mut sizes) = (None, None, Vec::new());
    for line in log.lines() {
        let Some((facts, decision)) = line.split_once("\"decision\":") else { continue };
        let (Some(now_ms), Some(size)) = (json::number::<u64>(facts, "now_ms"), json::number(decision, "to")) else {
            continue;
        };
        let total: Option<u64> = json::number(facts, "end_total");
        // Of the records of before the trace there is one.
        if start_ms.is_none() && total > Some(1) {
            start_ms = before.or(Some(now_ms));
        }
        before = Some(now_ms);
        if let Some(start_ms) = start_ms {
            sizes.push((now_ms - start_ms, size));
        }
    }
    sizes
}

fn simulated(trace: &[Segment]) -> Outcome<Sizes> {
    let dir = sh::target().join("bench");
    let (csv, log) = (dir.join("model.csv"), dir.join("model.jsonl"));
    sh::write_file(&csv, &csv_of(trace))?;
    let mut simulate = sh::command(binary(), &["simulate", &csv.to_string_lossy(), "--capacity-per-executor", "5000"]);
    sh::read(simulate.args(["--decisions", &log.to_string_lossy()]))?;
    Ok(from_first_arrival(&sh::read_file(&log)?))
}

fn csv_of(trace: &[Segment]) -> String {
    let (mut text, mut at) = ("seconds,records_per_second\n".to_owned(), 0);
    for segment in trace {
        let _ = writeln!(text, "{at},{}", segment.per_second);
        at += segment.seconds;
    }
    text + &format!("{at},0\n")
}

#[derive(Debug, Default, PartialEq)]
struct Comparison {
    moments: usize,
    /// Within one, the shift allowed for.
    same: usize,
    same_unshifted: usize,
    apart: Vec<String>,
}

fn compare(engine: &Sizes, model: &Sizes, end_ms: u64) -> Comparison {
    let mut found = Comparison::default();
    for at_ms in (0..end_ms).step_by(STEP_MS as usize) {
        let own = size_at(engine, at_ms);
        let near = |ms: u64| own.abs_diff(size_at(model, ms)) <= 1;
        let mut around = (at_ms.saturating_sub(SHIFT_MS)..=at_ms + SHIFT_MS).step_by(STEP_MS as usize);
        found.moments += 1;
        found.same_unshifted += usize::from(near(at_ms));
        if around.any(near) {
            found.same += 1;
        } else {
            found.apart.push(format!("{:.2} s: {own}, the simulator {}", at_ms as f64 / 1e3, size_at(model, at_ms)));
        }
    }
    found
}

fn size_at(sizes: &Sizes, at_ms: u64) -> u64 {
    let after = sizes.partition_point(|(ms, _)| *ms <= at_ms);
    after.checked_sub(1).map_or(0, |at| sizes[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_moment_by_moment() {
        let line = |ms: u64, total: u64, to: u64| {
            format!(
                "{{\"step\":{{\"facts\":{{\"now_ms\":{ms},\"end_total\":{total}}},\"decision\":{{\"from\":0,\"to\":{to}}}}}}}\n"
            )
        };
        let log = line(100, 1, 0) + &line(350, 90, 1) + &line(600, 180, 3);
        let engine = from_first_arrival(&log);
        assert_eq!(engine, [(250, 1), (500, 3)]);
        assert_eq!(compare(&engine, &vec![(0, 0), (1_250, 3)], 2_000).same_unshifted, 5);
        assert_eq!(compare(&engine, &vec![(0, 0), (1_250, 3)], 2_000).same, 8);
        let found = compare(&engine, &vec![(0, 1)], 1_000);
        assert_eq!((found.moments, found.same), (4, 2));
        assert_eq!(found.apart[0], "0.50 s: 3, the simulator 1");
        assert_eq!(csv_of(&compressed(1)).lines().count(), 10);
    }
}
