//! `bench model`: real processes on compressed traces beside the simulator's policy on the same traces.
//!
//! Five traces of some 45 s are made up by seeds. For each, a run decides for itself; then `tidemill simulate` decides on the
//! load that the run has seen, second by second: the processes that make the load need a moment to start. Both write decision
//! logs, and the sizes are compared every quarter of a second. A moment is the same if the sizes differ by one at most. The
//! engine measures a rate by whole observations; so a moment also counts as the same if the simulator has such a size within
//! [`SHIFT_MS`] of it.

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
        let steps = from_first_arrival(&seen.decisions);
        let (engine, model) = (sizes(&steps), simulated(&steps)?);
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

/// A step of a decision log.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// Since the step before the first arrival.
    at_ms: u64,
    /// Records that the source has got so far.
    total: u64,
    size: u64,
}

/// The steps of a decision log from the one before the first arrival on.
fn from_first_arrival(log: &str) -> Vec<Step> {
    let step = |line: &str| {
        let (facts, decision) = line.split_once("\"decision\":")?;
        let (at_ms, size) = (json::number(facts, "now_ms")?, json::number(decision, "to")?);
        Some(Step { at_ms, total: json::number(facts, "end_total").unwrap_or(0), size })
    };
    let steps: Vec<Step> = log.lines().filter_map(step).collect();
    // Of the records of before the trace there is one.
    let first = steps.iter().position(|step| step.total > 1).unwrap_or(0).saturating_sub(1);
    let start_ms = steps.get(first).map_or(0, |step| step.at_ms);
    steps[first..].iter().map(|step| Step { at_ms: step.at_ms - start_ms, ..*step }).collect()
}

fn sizes(steps: &[Step]) -> Sizes {
    steps.iter().map(|step| (step.at_ms, step.size)).collect()
}

fn simulated(seen: &[Step]) -> Outcome<Sizes> {
    let dir = sh::target().join("bench");
    let (csv, log) = (dir.join("model.csv"), dir.join("model.jsonl"));
    sh::write_file(&csv, &csv_of(seen))?;
    let mut simulate = sh::command(binary(), &["simulate", &csv.to_string_lossy(), "--capacity-per-executor", "5000"]);
    sh::read(simulate.args(["--decisions", &log.to_string_lossy()]))?;
    Ok(sizes(&from_first_arrival(&sh::read_file(&log)?)))
}

/// The load that was seen, as a trace: what came in each second.
fn csv_of(seen: &[Step]) -> String {
    let mut text = "seconds,records_per_second\n".to_owned();
    let seconds = seen.last().map_or(0, |last| last.at_ms / 1_000);
    for second in 0..seconds {
        let came = total_at(seen, (second + 1) * 1_000) - total_at(seen, second * 1_000);
        let _ = writeln!(text, "{second},{came:.0}");
    }
    text + &format!("{seconds},0\n")
}

/// The records that had come by a moment: evenly between two steps.
fn total_at(seen: &[Step], at_ms: u64) -> f64 {
    let after = seen.partition_point(|step| step.at_ms <= at_ms).min(seen.len() - 1);
    let (before, after) = (seen[after.saturating_sub(1)], seen[after]);
    let share = (at_ms - before.at_ms) as f64 / (after.at_ms - before.at_ms).max(1) as f64;
    before.total as f64 + share * (after.total - before.total) as f64
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
        let steps = from_first_arrival(&log);
        assert_eq!(csv_of(&steps), "seconds,records_per_second\n0,0\n");
        let later = Step { at_ms: 1_500, total: 680, size: 4 };
        let longer: Vec<Step> = steps.iter().copied().chain([later]).collect();
        assert_eq!(csv_of(&longer), "seconds,records_per_second\n0,429\n1,0\n");
        let engine = sizes(&steps);
        assert_eq!(engine, [(0, 0), (250, 1), (500, 3)]);
        assert_eq!(compare(&engine, &vec![(0, 0), (1_250, 3)], 2_000).same_unshifted, 5);
        assert_eq!(compare(&engine, &vec![(0, 0), (1_250, 3)], 2_000).same, 8);
        let found = compare(&engine, &vec![(0, 1)], 1_000);
        assert_eq!((found.moments, found.same), (4, 2));
        assert_eq!(found.apart[0], "0.50 s: 3, the simulator 1");
    }
}
