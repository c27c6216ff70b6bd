//! `engine`: `tidemill run --available-now` of the reference pipeline, from first to last record, including start and
//! end.

use super::bench_dir::{BenchDir, TOPIC};
use super::{job, process};
use crate::sh::{self, Outcome};

const RECORDS: u64 = 2_000_000;

/// The figures.
pub fn run() -> Outcome<String> {
    let bench_dir = BenchDir::new("engine")?;
    bench_dir.produce(TOPIC, RECORDS, 1)?;
    let progress = bench_dir.file("progress");
    let mut command = bench_dir.run("run", false)?;
    command.args(["--progress", &progress.to_string_lossy()]);
    let broker = process::cpu(bench_dir.broker.pid())?.own;
    let cost = job::measure(command, &[])?;
    let broker = process::cpu(bench_dir.broker.pid())?.own - broker;
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
        records / cost.wall,
        cost.rate(RECORDS),
        records / cost.executors,
        cost.driver,
        cost.executors,
    ))
}
