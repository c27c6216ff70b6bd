//! `driver_idle`: CPU and memory of a driver that has worked and is now idle, without executors. `idle --minutes M`
//! measures the same over a longer time, with the executor-seconds used.

use super::bench_dir::{BenchDir, TOPIC};
use super::process::{self, KillOnDrop, wait_until};
use crate::json;
use crate::sh::{self, Outcome};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Records that it processes first.
const RECORDS: u64 = 500_000;
const WATCHED: Duration = Duration::from_secs(20);

/// The figures.
pub fn run() -> Outcome<String> {
    let bench_dir = BenchDir::new("driver_idle")?;
    bench_dir.produce(TOPIC, RECORDS, 1)?;
    let mut figures = String::new();
    for (prefix, dashboard) in [("", false), ("dashboard_", true)] {
        let driver = KillOnDrop(start(&bench_dir, &format!("{prefix}run"), dashboard, &[])?);
        figures += &watch(driver.0.id(), prefix, WATCHED)?;
    }
    Ok(figures)
}

/// `--minutes M` (default 30): the time without records.
pub fn run_long(args: &[&str]) -> Outcome {
    let minutes: f64 = match args {
        [] => 30.0,
        ["--minutes", minutes] => minutes.parse().map_err(|_| "--minutes wants a number")?,
        _ => return Err("idle takes --minutes M".into()),
    };
    let bench_dir = BenchDir::new("idle")?;
    bench_dir.produce(TOPIC, RECORDS, 1)?;
    let decisions = bench_dir.file("decisions");
    let log = decisions.to_string_lossy().into_owned();
    let driver = KillOnDrop(start(&bench_dir, "run", false, &["--decisions", &log])?);
    print!("{}", watch(driver.0.id(), "idle_", Duration::from_secs_f64(minutes * 60.0))?);
    let text = sh::read_file(&decisions)?;
    let target = |line: &str| line.split_once("\"decision\":").and_then(|(_, decision)| json::number(decision, "to"));
    let at_zero = text.lines().rev().take_while(|line| target(line).is_some_and(|to: u64| to == 0)).count();
    println!("figure idle_decisions_at_zero {at_zero} decisions, all of them for no executor");
    Ok(())
}

fn start(bench_dir: &BenchDir, name: &str, dashboard: bool, more: &[&str]) -> Outcome<Child> {
    let mut command = bench_dir.run(name, dashboard)?;
    command.args(["--set", "autoscale.executor_idle_timeout=1 second"]).args(more).stdout(Stdio::null());
    command.spawn().map_err(|error| format!("cannot start the run: {error}"))
}

/// Waits until the driver has processed everything and has no executors, then measures it for this time.
fn watch(pid: u32, prefix: &str, watched: Duration) -> Outcome<String> {
    wait_until("an executor works", || Ok(!process::children(pid)?.is_empty()))?;
    wait_until("no executor is left", || Ok(process::children(pid)?.is_empty()))?;
    std::thread::sleep(Duration::from_secs(2));
    let (start, before) = (Instant::now(), process::cpu(pid)?);
    std::thread::sleep(watched);
    let percent = 100.0 * (process::cpu(pid)?.own - before.own) / start.elapsed().as_secs_f64();
    let memory = process::memory(pid)?;
    if process::cpu(pid)?.children > before.children || !process::children(pid)?.is_empty() {
        return Err("an executor came while the driver was to be idle".into());
    }
    Ok(format!(
        "figure {prefix}watched {:.0} s, no executor among them\n\
         figure {prefix}cpu_percent {percent} % of a core\n\
         figure {prefix}resident {} MB\n\
         figure {prefix}proportional {} MB\n",
        start.elapsed().as_secs_f64(),
        memory.resident,
        memory.proportional
    ))
}
