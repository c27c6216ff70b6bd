//! `engine`: `tidemill run --available-now` of the reference pipeline, from first to last record, including start and
//! end.

use super::bench_dir::{BenchDir, TOPIC};
use super::process;
use crate::sh::{self, Outcome};
use std::process::Stdio;
use std::time::{Duration, Instant};

const RECORDS: u64 = 2_000_000;
const LONGEST: Duration = Duration::from_secs(300);

/// The figures.
pub fn run() -> Outcome<String> {
    let bench_dir = BenchDir::new("engine")?;
    bench_dir.produce(TOPIC, RECORDS, 1)?;
    let progress = bench_dir.file("progress");
    let mut command = bench_dir.run("run", false)?;
    command.args(["--available-now", "--progress", &progress.to_string_lossy()]).stdout(Stdio::null());
    let broker = process::cpu(bench_dir.broker.pid())?.own;
    let start = Instant::now();
    let mut driver = command.spawn().map_err(|error| format!("cannot start the run: {error}"))?;
    let cpu = process::end(driver.id(), LONGEST);
    let wall = start.elapsed().as_secs_f64();
    if cpu.is_err() {
        // It may have ended just now.
        let _ = driver.kill();
    }
    let status = driver.wait().map_err(|error| format!("cannot wait for the run: {error}"))?;
    let (cpu, broker) = (cpu?, process::cpu(bench_dir.broker.pid())?.own - broker);
    if !status.success() {
        return Err(format!("`tidemill run` ended with {status}"));
    }
    let records = RECORDS as f64;
    let batches = sh::read_file(&progress)?.lines().count();
    Ok(format!(
        "figure records_per_s {} records/s\n\
         figure records_per_cpu_s {} records/CPU-s of driver and executors\n\
         figure executors_records_per_cpu_s {} records/CPU-s of the executors\n\
         figure driver_cpu {} s\n\
         figure executors_cpu {} s\n\
         figure broker_cpu {broker} s\n\
         figure batches {batches}\n",
        records / wall,
        records / (cpu.own + cpu.children),
        records / cpu.children,
        cpu.own,
        cpu.children,
    ))
}
