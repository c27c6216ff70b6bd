//! `autoscale`: runs a load trace on the real engine (embedded broker, `tidemill produce`, `tidemill run`) and prints
//! its cost.
//!
//! Each core is limited to 2,500 records/s, so that a small machine can show four executors. Everything else is the
//! default. Two sums are computed from the trace alone: the *work*, which is records over the rate of an executor,
//! and *just enough*, which is the executors that each segment needs, rounded up.

use super::bench_dir::{BenchDir, TOPIC};
use super::process::KillOnDrop;
use crate::embedded::binary;
use crate::json;
use crate::random::Random;
use crate::sh::{self, Outcome};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Records per second of a core, and of an executor.
const PER_CORE: u32 = 2_500;
const PER_EXECUTOR: f64 = 2.0 * PER_CORE as f64;
const EXECUTORS_MAX: u32 = 4;
const SLO_MS: u64 = 10_000;

/// The default trace: steps up and down, two pauses, a peak that four executors can serve.
const TRACE: &str = "30@1000,20@9000,40@4000,30@0,10@15000,60@2500,20@0,40@7000,30@12000,40@500";

/// Number of batches before and after a change of size that are compared, about five seconds.
const BESIDE: usize = 10;

/// Seconds at the end for the last results and for the executors to end.
const AFTER: Duration = Duration::from_secs(12);

/// A stretch of constant load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub seconds: u64,
    pub per_second: u64,
}

/// `--trace FILE`, `--seed S` (a random trace), `--set KEY=VALUE` (for the pipeline), `--no-build` (uses the existing
/// binary).
pub fn run(args: &[&str]) -> Outcome {
    let (mut trace, mut sets, mut build) = (parse(TRACE)?, Vec::new(), true);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == "--no-build" {
            build = false;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
        match *arg {
            "--trace" => trace = read(value)?,
            "--seed" => trace = made_up(value.parse().map_err(|_| "--seed wants a number")?),
            "--set" => sets.push((*value).to_owned()),
            _ => {
                return Err(format!(
                    "`{arg}` is no option; there are --trace FILE, --seed S, --set KEY=VALUE, --no-build"
                ));
            }
        }
    }
    if build {
        sh::run(&mut sh::cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
    }
    println!("trace, seconds @ records/s: {}", text(&trace));
    let seen = measure(&trace, &sets)?;
    print!("{}{}", report(&trace, &seen), figures(&trace, &seen));
    Ok(())
}

/// The results of a run.
#[derive(Clone, Debug, Default)]
pub struct RunMeasurement {
    pub produced: u64,
    pub records: u64,
    pub executor_seconds: f64,
    pub p50_ms: u64,
    pub p99_ms: u64,
    /// The greatest age of a record, and the number of records in batches with one beyond the service level.
    pub max_ms: u64,
    pub late: u64,
    pub starts: u64,
    pub actions: u64,
    pub greatest: u64,
    /// Time between two decisions, 99th percentile, in ms.
    pub decision_gap_ms: u64,
    /// Time of the batches just after a change of the number of executors over that of those just before, p99 of each.
    pub rescale_gap: f64,
    /// The decision log.
    pub decisions: String,
}

/// The trace in words: seconds @ records/s.
pub fn text(trace: &[Segment]) -> String {
    let text: Vec<String> = trace.iter().map(|segment| format!("{}@{}", segment.seconds, segment.per_second)).collect();
    text.join(", ")
}

/// Runs a trace on the real engine.
pub fn measure(trace: &[Segment], sets: &[String]) -> Outcome<RunMeasurement> {
    let bench_dir = BenchDir::new("autoscale")?;
    topic(&bench_dir)?;
    let (progress, decisions) = (bench_dir.file("progress"), bench_dir.file("decisions"));
    let mut command = bench_dir.run("run", false)?;
    command.args(["--progress", &progress.to_string_lossy(), "--decisions", &decisions.to_string_lossy()]);
    command.args(["--set", &format!("autoscale.max_records_per_second_per_core={PER_CORE}")]);
    for set in sets {
        command.args(["--set", set]);
    }
    let command: Vec<String> =
        command.get_args().filter(|arg| *arg != "--quiet").map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut driver = Command::new(binary());
    driver.args(command).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut driver = KillOnDrop(driver.spawn().map_err(|error| format!("cannot start the run: {error}"))?);
    let mut said = driver.0.stderr.take().expect("it is a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = said.read_to_string(&mut text);
        text
    });
    let produced = produce(&bench_dir, trace)?;
    std::thread::sleep(AFTER);
    sh::run(&mut sh::command("kill", &["-INT", &driver.0.id().to_string()]))?;
    driver.0.wait().map_err(|error| format!("cannot wait for the run: {error}"))?;
    let said = reader.join().map_err(|_| "the reader of the run's messages failed")?;
    let mut seen = RunMeasurement { produced, ..RunMeasurement::default() };
    read_end(&said, &mut seen)?;
    read_progress(&sh::read_file(&progress)?, &mut seen);
    seen.decisions = sh::read_file(&decisions)?;
    read_decisions(&seen.decisions.clone(), &mut seen);
    Ok(seen)
}

/// Makes the topic with four partitions.
fn topic(bench_dir: &BenchDir) -> Outcome {
    bench_dir.produce(TOPIC, 1, 1).map(drop)
}

/// Sends each segment at its time from the start of the trace.
fn produce(bench_dir: &BenchDir, trace: &[Segment]) -> Outcome<u64> {
    let start = Instant::now();
    let (mut end, mut produced) = (Duration::ZERO, 1);
    for segment in trace {
        end += Duration::from_secs(segment.seconds);
        let left = end.saturating_sub(start.elapsed());
        if segment.per_second > 0 {
            let (rate, time) = (format!("{}/s", segment.per_second), format!("{}ms", left.as_millis()));
            let servers = bench_dir.broker.address();
            let mut command = sh::command(binary(), &["produce", "--bootstrap-servers", servers, "--topic", TOPIC]);
            let text = sh::read(command.args(["--rate", &rate, "--duration", &time, "--json"]))?;
            let count: Option<u64> = json::number(&text, "acknowledged");
            produced += count.ok_or_else(|| format!("`tidemill produce --json` printed {text}"))?;
        } else {
            std::thread::sleep(left);
        }
    }
    Ok(produced)
}

fn read_end(said: &str, seen: &mut RunMeasurement) -> Outcome {
    let line = said.lines().rev().find(|line| line.starts_with("ended: "));
    let line = line.ok_or_else(|| format!("the run did not sum up; it said:\n{said}"))?;
    let after = |word: &str| -> Option<&str> { line.split_once(word)?.1.split([' ', ',']).next() };
    seen.records = after("ended: ").and_then(|n| n.parse().ok()).unwrap_or_default();
    seen.p50_ms = after("age p50 ").and_then(|n| n.parse().ok()).unwrap_or_default();
    seen.p99_ms = after(", p99 ").and_then(|n| n.parse().ok()).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let at = words.iter().position(|word| *word == "executor-seconds").ok_or("no executor-seconds in the summary")?;
    seen.executor_seconds = words[at - 1].parse().map_err(|_| format!("`{line}` has no executor-seconds"))?;
    Ok(())
}

fn read_progress(text: &str, seen: &mut RunMeasurement) {
    seen.rescale_gap = rescale_gap(text);
    for line in text.lines() {
        let max_ms = json::number(line, "ageMaxMs").unwrap_or_default();
        seen.max_ms = seen.max_ms.max(max_ms);
        if max_ms > SLO_MS {
            seen.late += json::number::<u64>(line, "numInputRows").unwrap_or_default();
        }
    }
}

/// Batches with records: (executors, duration). Those beside a change of the number of executors, neither of them none,
/// count.
fn rescale_gap(text: &str) -> f64 {
    let of = |line: &str| -> Option<(u64, u64)> {
        let rows: u64 = json::number(line, "numInputRows")?;
        (rows > 0).then_some((json::number(line, "executors")?, json::number(line, "batchDuration")?))
    };
    let batches: Vec<(u64, u64)> = text.lines().filter_map(of).collect();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for at in 1..batches.len() {
        if batches[at].0 != batches[at - 1].0 && batches[at].0 > 0 && batches[at - 1].0 > 0 {
            before.extend(batches[at.saturating_sub(BESIDE)..at].iter().map(|batch| batch.1));
            after.extend(batches[at..(at + BESIDE).min(batches.len())].iter().map(|batch| batch.1));
        }
    }
    p99(after) as f64 / p99(before).max(1) as f64
}

fn read_decisions(text: &str, seen: &mut RunMeasurement) {
    let at_ms: Vec<u64> = text.lines().filter_map(|line| json::number(line, "now_ms")).collect();
    seen.decision_gap_ms = p99(at_ms.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect());
    for line in text.lines() {
        let Some((_, decision)) = line.split_once("\"decision\":") else { continue };
        let size = |name| json::number::<u64>(decision, name).unwrap_or_default();
        let (from, to) = (size("from"), size("to"));
        seen.actions += u64::from(from != to);
        seen.starts += to.saturating_sub(from);
        seen.greatest = seen.greatest.max(to);
    }
}

fn report(trace: &[Segment], seen: &RunMeasurement) -> String {
    let enough: u64 = trace.iter().map(|s| s.seconds * needed(s.per_second)).sum();
    let work: f64 = trace.iter().map(|s| (s.seconds * s.per_second) as f64 / PER_EXECUTOR).sum();
    let seconds: u64 = trace.iter().map(|s| s.seconds).sum();
    let used = seen.executor_seconds;
    let fixed = f64::from(EXECUTORS_MAX) * seconds as f64;
    format!(
        "records sent {}, in results {}\n\
         executor-seconds {used:.1}; just enough (load / 5,000, rounded up) {enough}, ratio {:.2}; the work itself {work:.0}, ratio {:.2}\n\
         saved against 4 always on ({fixed:.0}): {:.1} %\n\
         late records (older than 10 s, counted by batch): {}; age p50 {} ms, p99 {} ms, oldest {} ms\n\
         changes of size {}, executors started {}, most at once {}\n",
        seen.produced,
        seen.records,
        used / enough as f64,
        used / work,
        100.0 * (1.0 - used / fixed),
        seen.late,
        seen.p50_ms,
        seen.p99_ms,
        seen.max_ms,
        seen.actions,
        seen.starts,
        seen.greatest,
    )
}

/// The same for `cargo xtask scoreboard`.
fn figures(trace: &[Segment], seen: &RunMeasurement) -> String {
    let enough: u64 = trace.iter().map(|s| s.seconds * needed(s.per_second)).sum();
    let seconds: u64 = trace.iter().map(|s| s.seconds).sum();
    let saved = 100.0 * (1.0 - seen.executor_seconds / (f64::from(EXECUTORS_MAX) * seconds as f64));
    format!(
        "figure autoscale_used {:.1} executor-seconds\n\
         figure autoscale_enough {enough} executor-seconds\n\
         figure autoscale_ratio {:.3} of just enough\n\
         figure autoscale_saved {saved:.1} %\n\
         figure autoscale_late {} records\n\
         figure autoscale_lost {} records\n\
         figure autoscale_p50 {} ms\n\
         figure autoscale_p99 {} ms\n\
         figure autoscale_actions {} changes\n\
         figure autoscale_decision_gap_p99 {} ms\n\
         figure autoscale_rescale_gap {:.2} of the batch time before\n",
        seen.executor_seconds,
        seen.executor_seconds / enough as f64,
        seen.late,
        seen.produced.abs_diff(seen.records),
        seen.p50_ms,
        seen.p99_ms,
        seen.actions,
        seen.decision_gap_ms,
        seen.rescale_gap,
    )
}

fn p99(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get((values.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

fn needed(per_second: u64) -> u64 {
    ((per_second as f64 / PER_EXECUTOR).ceil() as u64).min(u64::from(EXECUTORS_MAX))
}

fn read(path: &str) -> Outcome<Vec<Segment>> {
    let text = sh::read_file(path.as_ref())?;
    // As `tidemill simulate` has it: `seconds,records_per_second`, where a rate begins and which.
    let mut points: Vec<(u64, u64)> = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let point = line.split_once(',').and_then(|(at, rate)| {
            Some((at.trim().parse::<f64>().ok()? as u64, rate.trim().parse::<f64>().ok()? as u64))
        });
        points.push(point.ok_or_else(|| format!("{path}: `{line}` is not `seconds,records_per_second`"))?);
    }
    let segment = |pair: &[(u64, u64)]| Segment { seconds: pair[1].0.saturating_sub(pair[0].0), per_second: pair[0].1 };
    let segments: Vec<Segment> = points.windows(2).map(segment).collect();
    if segments.is_empty() { Err(format!("{path}: no two lines `seconds,records_per_second`")) } else { Ok(segments) }
}

fn parse(text: &str) -> Outcome<Vec<Segment>> {
    let segment = |part: &str| {
        let (seconds, rate) = part.trim().split_once('@')?;
        Some(Segment { seconds: seconds.parse().ok()?, per_second: rate.parse().ok()? })
    };
    text.split(',').map(|part| segment(part).ok_or_else(|| format!("`{part}` is not seconds@records/s"))).collect()
}

/// Ten segments of 10 to 60 s. A fifth of them have no load; the others have up to the load that four executors can
/// serve.
fn made_up(seed: u64) -> Vec<Segment> {
    let mut random = Random::new(seed);
    let mut segments = Vec::new();
    for _ in 0..10 {
        let seconds = random.between(10, 60) as u64;
        let per_second = if random.chance(20) { 0 } else { 250 * random.between(1, 72) as u64 };
        segments.push(Segment { seconds, per_second });
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_the_trace() {
        let trace = parse(TRACE).expect("segments");
        let text = report(&trace, &RunMeasurement { executor_seconds: 410.0, ..RunMeasurement::default() });
        assert!(text.contains("rounded up) 410, ratio 1.00; the work itself 266, ratio 1.54"), "{text}");
        assert_eq!(made_up(5), made_up(5));
        assert_ne!(made_up(5), made_up(6));
    }

    #[test]
    fn what_a_run_says() {
        let mut seen = RunMeasurement::default();
        let said = "checkpoint in x\nended: 1330001 records in 900 batches, 120 rows out · age p50 812 ms, p99 2301 ms · 301.5 executor-seconds\n";
        read_end(said, &mut seen).expect("a summary");
        read_decisions(
            "{\"begin\":{}}\n{\"step\":{\"facts\":{},\"decision\":{\"at_ms\":5,\"from\":0,\"to\":2,\"keep\":2}}}\n",
            &mut seen,
        );
        let figures = (seen.records, seen.p50_ms, seen.p99_ms, seen.executor_seconds, seen.starts);
        assert_eq!(figures, (1_330_001, 812, 2_301, 301.5, 2));
    }
}
