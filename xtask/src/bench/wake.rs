//! `wake`: the time from a record that arrives without executors to its result, and from a load that needs four
//! executors to four ready ones. Runs the real engine: embedded broker, `tidemill produce`, `tidemill run` with its
//! defaults.

use super::bench_dir::{BenchDir, TOPIC};
use super::process::{KillOnDrop, wait_until};
use crate::embedded::binary;
use crate::json;
use crate::sh::{self, Outcome};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Number of single records.
const WAKES: u64 = 200;
/// Interval of single records. The executor of the record before has ended by then.
const WAKE_RATE: &str = "24/min";
/// Number of backlogs that need all executors.
const BACKLOGS: u32 = 10;
/// Records of such a backlog, and the limit per core: 30 s of work for four executors of two cores.
const BACKLOG: u64 = 600_000;
const PER_CORE: &str = "autoscale.max_records_per_second_per_core=2500";

/// `--count N` wakes by a single record, `--backlogs N` by a backlog, `--no-build`.
pub fn run(args: &[&str]) -> Outcome {
    let (mut wakes, mut backlogs, mut build) = (WAKES, BACKLOGS, true);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|value| value.parse().ok()).ok_or(format!("{arg} wants a number"));
        match *arg {
            "--count" => wakes = number()?,
            "--backlogs" => backlogs = number()? as u32,
            "--no-build" => build = false,
            _ => return Err(format!("`{arg}` is no option; there are --count N, --backlogs N, --no-build")),
        }
    }
    if build {
        sh::run(&mut sh::cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
    }
    single_records(wakes)?;
    all_executors(backlogs)
}

/// A1: age of the single record when its rows were committed, since it was created. This is more than the goal
/// measures: the goal's time ends when the record is folded.
fn single_records(count: u64) -> Outcome {
    let bench_dir = BenchDir::new("wake")?;
    bench_dir.produce(TOPIC, 1, 1)?;
    let (progress, decisions) = (bench_dir.file("progress"), bench_dir.file("decisions"));
    let driver = KillOnDrop(start(&bench_dir, "run", &progress, &decisions, &[])?);
    wait_until("the first record is out", || Ok(batches(&progress).len() == 1))?;
    std::thread::sleep(Duration::from_secs(3));
    let (servers, text) = (bench_dir.broker.address(), count.to_string());
    let mut produce = sh::command(binary(), &["produce", "--bootstrap-servers", servers, "--topic", TOPIC]);
    sh::read(produce.args(["--rate", WAKE_RATE, "--count", &text, "--json"]))?;
    wait_until("all records are out", || Ok(records(&progress) > count))?;
    drop(driver);
    let mut ages: Vec<u64> = batches(&progress).into_iter().skip(1).collect();
    let woken = changes(&decisions).iter().filter(|change| change.from == 0).count() - 1;
    println!(
        "A1 one record at zero executors, until its rows are out and committed, ms; {woken} of {count} woke an executor"
    );
    distribution("wake", &mut ages);
    Ok(())
}

/// A2: a backlog of half a minute of work for four executors is there at once. Each time a new run begins without
/// executors.
fn all_executors(count: u32) -> Outcome {
    if count == 0 {
        return Ok(());
    }
    let bench_dir = BenchDir::new("wake-all")?;
    bench_dir.produce(TOPIC, BACKLOG, 1)?;
    let (mut times, mut decided) = (Vec::new(), Vec::new());
    for number in 0..count {
        let name = format!("run{number}");
        let (progress, decisions) =
            (bench_dir.file(&format!("progress{number}")), bench_dir.file(&format!("decisions{number}")));
        let _driver = KillOnDrop(start(&bench_dir, &name, &progress, &decisions, &["--set", PER_CORE])?);
        wait_until("four executors are ready", || Ok(all_ready(&decisions).is_some()))?;
        times.push(all_ready(&decisions).ok_or("the log of decisions was cut")?);
        decided.push(changes(&decisions).len() as u64);
    }
    let most = decided.iter().max().copied().unwrap_or_default();
    println!(
        "A2 a backlog for four executors at zero, from the decision until four are ready, ms (looked at every 250 ms)"
    );
    distribution("wake_all", &mut times);
    println!("figure wake_all_decisions {most} at most");
    Ok(())
}

fn start(bench_dir: &BenchDir, name: &str, progress: &Path, decisions: &Path, more: &[&str]) -> Outcome<Child> {
    let mut command = bench_dir.run(name, false)?;
    command.args(["--progress", &progress.to_string_lossy(), "--decisions", &decisions.to_string_lossy()]);
    command.args(more).stdout(Stdio::null());
    command.spawn().map_err(|error| format!("cannot start the run: {error}"))
}

/// Records in all batches.
fn records(progress: &Path) -> u64 {
    let text = std::fs::read_to_string(progress).unwrap_or_default();
    text.lines().filter_map(|line| json::number::<u64>(line, "numInputRows")).sum()
}

/// Age of the oldest record of each batch with records, ms.
fn batches(progress: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(progress).unwrap_or_default();
    let with_records = text.lines().filter(json::is_batch_with_data);
    with_records.filter_map(|line| json::number(line, "ageMaxMs")).collect()
}

struct Change {
    from: u64,
    at_ms: u64,
}

fn changes(decisions: &Path) -> Vec<Change> {
    let text = std::fs::read_to_string(decisions).unwrap_or_default();
    let change = |line: &str| {
        let (_, decision) = line.split_once("\"decision\":")?;
        let (from, to): (u64, u64) = (json::number(decision, "from")?, json::number(decision, "to")?);
        (from != to).then_some(Change { from, at_ms: json::number(decision, "at_ms")? })
    };
    text.lines().filter_map(change).collect()
}

/// From the first change until four executors were seen ready, ms.
fn all_ready(decisions: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(decisions).ok()?;
    let first = changes(decisions).first()?.at_ms;
    let ready = text.lines().find(|line| json::number::<u64>(line, "ready") == Some(4))?;
    Some(json::number::<u64>(ready, "now_ms")?.saturating_sub(first))
}

fn distribution(name: &str, values: &mut [u64]) {
    values.sort_unstable();
    if values.is_empty() {
        return;
    }
    let at = |share: usize| values[((values.len() * share).div_ceil(100)).clamp(1, values.len()) - 1];
    for share in [0, 10, 25, 50, 75, 90, 95, 99, 100] {
        println!("figure {name}_p{share} {} ms", at(share));
    }
    println!("figure {name}_count {}", values.len());
}
