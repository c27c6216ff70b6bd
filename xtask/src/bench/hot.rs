//! `hot`: records per second of four executors with all records in one partition, and with the same number in four.
//! Each core is limited to 20,000 a second. Time runs from the first executor to the end.

use super::bench_dir::{BenchDir, TOPIC};
use crate::embedded::binary;
use crate::sh::{self, Outcome};
use std::process::Stdio;
use std::time::Instant;

const RECORDS: &str = "1600000";

/// `--no-build` uses the existing binary.
pub fn run(args: &[&str]) -> Outcome {
    if !args.contains(&"--no-build") {
        sh::run(&mut sh::cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
    }
    let (even, hot) = (seconds("4")?, seconds("1")?);
    println!("figure hot_even_s {even:.2} s, four partitions");
    println!("figure hot_s {hot:.2} s, one partition");
    println!("figure hot_ratio {:.3} of the throughput with four", even / hot);
    Ok(())
}

fn seconds(partitions: &str) -> Outcome<f64> {
    let bench_dir = BenchDir::new(&format!("hot-{partitions}"))?;
    let servers = bench_dir.broker.address();
    let mut produce = sh::command(binary(), &["produce", "--bootstrap-servers", servers, "--topic", TOPIC]);
    sh::read(produce.args(["--partitions", partitions, "--rate", "max", "--count", RECORDS, "--json"]))?;
    let mut run = bench_dir.run("run", false)?;
    run.args(["--available-now", "--set", "autoscale.mode=pinned"]).stdout(Stdio::null());
    run.args(["--set", "autoscale.max_records_per_second_per_core=20000"]);
    let since = Instant::now();
    sh::run(&mut run)?;
    Ok(since.elapsed().as_secs_f64())
}
