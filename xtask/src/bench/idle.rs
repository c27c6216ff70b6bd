//! `driver_idle`: what a driver takes that has worked and has nothing to do, with no executor alive.

use super::bench_dir::{BenchDir, TOPIC};
use super::process::{self, KillOnDrop, wait_until};
use crate::sh::Outcome;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What it works on before.
const RECORDS: u64 = 500_000;
const WATCHED: Duration = Duration::from_secs(20);

/// The figures.
pub fn run() -> Outcome<String> {
    let bench_dir = BenchDir::new("driver_idle")?;
    bench_dir.produce(TOPIC, RECORDS, 1)?;
    let mut figures = String::new();
    for (prefix, dashboard) in [("", false), ("dashboard_", true)] {
        let mut command = bench_dir.run(&format!("{prefix}run"), dashboard)?;
        command.args(["--set", "autoscale.executor_idle_timeout=1 second"]).stdout(Stdio::null());
        let driver = command.spawn().map_err(|error| format!("cannot start the run: {error}"))?;
        let driver = KillOnDrop(driver);
        let pid = driver.0.id();
        wait_until("an executor works", || Ok(!process::children(pid)?.is_empty()))?;
        wait_until("no executor is left", || Ok(process::children(pid)?.is_empty()))?;
        std::thread::sleep(Duration::from_secs(2));
        let (start, before) = (Instant::now(), process::cpu(pid)?);
        std::thread::sleep(WATCHED);
        let percent = 100.0 * (process::cpu(pid)?.own - before.own) / start.elapsed().as_secs_f64();
        let memory = process::memory(pid)?;
        if process::cpu(pid)?.children > before.children || !process::children(pid)?.is_empty() {
            return Err("an executor came while the driver was to be idle".into());
        }
        figures += &format!(
            "figure {prefix}cpu_percent {percent} % of a core\n\
             figure {prefix}resident {} MB\n\
             figure {prefix}proportional {} MB\n",
            memory.resident, memory.proportional
        );
    }
    Ok(figures)
}
