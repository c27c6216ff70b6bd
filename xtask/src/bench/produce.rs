//! `produce`: the rate of `tidemill produce --rate max` into `tidemill broker`, with one producer and with four.

use super::bench_dir::BenchDir;
use super::process;
use crate::sh::Outcome;

const RECORDS: u64 = 3_000_000;

/// The figures.
pub fn run() -> Outcome<String> {
    let mut figures = String::new();
    for producers in [1, 4] {
        let bench_dir = BenchDir::new("produce")?;
        let before = process::cpu(bench_dir.broker.pid())?.own;
        let (per_second, cost) = bench_dir.produce("t", RECORDS, producers)?;
        let broker = process::cpu(bench_dir.broker.pid())?.own - before;
        let per_cpu_second = RECORDS as f64 / cost.cpu.as_secs_f64();
        figures += &format!(
            "figure {producers}_records_per_s {per_second} records/s\n\
             figure {producers}_records_per_cpu_s {per_cpu_second} records/CPU-s of the producer\n\
             figure {producers}_broker_cpu_per_million {} CPU-s\n",
            broker * 1e6 / RECORDS as f64
        );
    }
    Ok(figures)
}
