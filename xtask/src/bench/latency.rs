//! `latency`: the age of a steady load's records when their results are at the sink, and what driver and executor take.
//!
//! Producers send each record at once (`linger.ms=0`), so the age is close to append → row. It is counted from the record's
//! Kafka timestamp to the return of the sink. `p99` is an upper bound: 1 % of the records are in batches whose oldest record
//! is older.

use super::bench_dir::{BenchDir, TOPIC};
use super::process::{self, KillOnDrop};
use crate::json;
use crate::sh::{self, Outcome};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Name, records a second, partitions.
const LOADS: [(&str, u64, u32); 3] = [("1k", 1_000, 4), ("10k", 10_000, 4), ("1k_500_partitions", 1_000, 500)];

/// The first part is not counted: executors start, connections are made.
const WARMING: Duration = Duration::from_secs(3);
const WATCHED: Duration = Duration::from_secs(10);

/// The figures.
pub fn run() -> Outcome<String> {
    let mut figures = String::new();
    for (name, rate, partitions) in LOADS {
        let stage = BenchDir::new("latency")?;
        figures += &measure(&stage, name, rate, partitions)?;
    }
    Ok(figures)
}

fn measure(stage: &BenchDir, name: &str, rate: u64, partitions: u32) -> Outcome<String> {
    let progress = stage.file("progress.jsonl");
    let mut producer = stage.producer(TOPIC, &format!("{rate}/s"), partitions);
    producer.args(["--option", "linger.ms=0", "--duration", "30s"]).stdout(Stdio::null()).stderr(Stdio::null());
    let _producer = KillOnDrop(producer.spawn().map_err(|error| format!("cannot start the load: {error}"))?);
    let mut command = stage.run("latency", false)?;
    command.args(["--progress", &progress.to_string_lossy(), "--set", "autoscale.min_executors=1"]);
    command.args(["--set", "autoscale.max_executors=1", "--set", "sinks.screen.type=none"]);
    let driver = command.stdout(Stdio::null()).spawn().map_err(|error| format!("cannot start the run: {error}"))?;
    let driver = KillOnDrop(driver);
    std::thread::sleep(WARMING);
    let tree = || -> Outcome<f64> {
        let executors = process::children(driver.0.id())?;
        let own = process::cpu(driver.0.id())?.own;
        executors.into_iter().try_fold(own, |sum, pid| Ok(sum + process::cpu(pid)?.own))
    };
    let lines = || sh::read_file(&progress).map(|text| text.lines().count());
    let (start, cpu, skip) = (Instant::now(), tree()?, lines()?);
    std::thread::sleep(WATCHED);
    let percent = 100.0 * (tree()? - cpu) / start.elapsed().as_secs_f64();
    let text = sh::read_file(&progress)?;
    // The last line may be half written.
    let batches: Vec<&str> = text.lines().skip(skip).collect();
    let batches = &batches[..batches.len().saturating_sub(1)];
    let mut figures = format!("figure {name}_cpu_percent {percent} % of a core, driver and executor\n");
    figures += &format!("figure {name}_batches {} 1/s\n", batches.len() as f64 / WATCHED.as_secs_f64());
    for (field, share) in [("ageP50Ms", 0.5), ("ageMaxMs", 0.99)] {
        let quantile = quantile(batches, field, share).ok_or("no batch had records")?;
        figures += &format!("figure {name}_p{:.0} {quantile} ms\n", 100.0 * share);
    }
    for step in ["addBatch", "commitOffsets", "triggerExecution"] {
        figures += &format!("figure {name}_{step}_p99 {} ms\n", quantile(batches, step, 0.99).unwrap_or_default());
    }
    Ok(figures)
}

/// The value of a field that a share of the records is in batches with, or less.
fn quantile(batches: &[&str], field: &str, share: f64) -> Option<f64> {
    let value = |line: &&str| Some((json::number(line, field)?, json::number(line, "numInputRows")?));
    let mut values: Vec<(f64, f64)> = batches.iter().filter_map(value).filter(|(_, records)| *records > 0.0).collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let enough = share * values.iter().map(|(_, records)| records).sum::<f64>();
    let mut sum = 0.0;
    values.into_iter().find_map(|(value, records)| {
        sum += records;
        (sum >= enough).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_count_records() {
        let batches =
            [r#"{"numInputRows":1,"age":9}"#, r#"{"numInputRows":0,"age":0}"#, r#"{"numInputRows":3,"age":5}"#];
        assert_eq!(quantile(&batches, "age", 0.5), Some(5.0));
        assert_eq!(quantile(&batches, "age", 0.99), Some(9.0));
        assert_eq!(quantile(&batches, "other", 0.5), None);
    }
}
