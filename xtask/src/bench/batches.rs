//! `batches`: the time of a whole batch of 10,000 updates, from its plan to its commit, over few and over many groups.
//! Rows go to the `none` sink, the checkpoint to disk; there is one executor.
//!
//! A record's key follows from its offset, so every batch touches 10,000 different groups, evenly spread.

use super::bench_dir::{BenchDir, TOPIC};
use super::job;
use crate::json;
use crate::sh::{self, Outcome};

/// The states: name, groups.
const STATES: [(&str, u64); 2] = [("few", 10_000), ("many", 10_000_000)];

/// Groups that a batch updates, one record each.
const UPDATES: u64 = 10_000;

/// Batches per turn, and turns: the two states take turns.
const BATCHES: u64 = 100;
const TURNS: u64 = 3;

/// Batches at the start of a turn that are not measured: the executor starts, and the state comes from the checkpoint.
const FIRST: usize = 5;

/// The figures.
///
/// # Errors
/// A process fails, or a batch has another number of updates.
pub fn run() -> Outcome<String> {
    let bench_dir = BenchDir::new("batches")?;
    bench_dir.produce_to(TOPIC, 1, STATES[1].1, 1)?;
    for (name, groups) in STATES {
        batches_of(&bench_dir, name, groups, 50 * UPDATES)?;
    }
    let mut times: [Vec<f64>; 2] = [const { Vec::new() }; 2];
    for _ in 0..TURNS {
        bench_dir.produce_to(TOPIC, 1, BATCHES * UPDATES, 1)?;
        for ((name, groups), times) in STATES.into_iter().zip(&mut times) {
            times.extend(measured(&batches_of(&bench_dir, name, groups, UPDATES)?, groups)?);
        }
    }
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    let [few, many] = times.map(|times| mean(&times));
    Ok(format!(
        "figure batch_with_few_groups {few} ms from plan to commit, mean\n\
         figure batch_with_many_groups {many} ms from plan to commit, mean\n\
         figure batch_ratio {} times\n",
        many / few
    ))
}

/// Runs the query over all that has come, in batches of so many records. Returns the progress records.
fn batches_of(bench_dir: &BenchDir, name: &str, groups: u64, records: u64) -> Outcome<String> {
    let progress = bench_dir.file(&format!("{name}.jsonl"));
    // Of this turn only.
    let _ = std::fs::remove_file(&progress);
    let mut command = bench_dir.run(name, false)?;
    command.arg("--progress").arg(&progress);
    // The factor has no divisor in common with the number of groups.
    let key = format!("pmod(kafka.offset * 7919, {groups})");
    let source = |setting: &str| format!("sources.{TOPIC}.{setting}");
    let settings = [
        source("metadata_column=kafka"),
        source(&format!("max_offsets_per_trigger={records}")),
        format!("query.sql=SELECT {key} AS k, count(*) AS n, sum(lines_of_code) AS loc FROM {TOPIC} GROUP BY {key}"),
        "autoscale.min_executors=1".into(),
        "autoscale.max_executors=1".into(),
        job::NO_ROWS[0].into(),
    ];
    job::measure(command, &settings.each_ref().map(String::as_str))?;
    sh::read_file(&progress)
}

/// The times of a turn's batches, ms.
fn measured(progress: &str, groups: u64) -> Outcome<Vec<f64>> {
    let field = |line: &str, name: &str| json::number::<u64>(line, name).ok_or_else(|| format!("no {name} in {line}"));
    progress
        .lines()
        .filter(json::is_batch_with_data)
        .skip(FIRST)
        .map(|line| {
            let (updates, total) = (field(line, "numRowsUpdated")?, field(line, "numRowsTotal")?);
            if (updates, total) != (UPDATES, groups) {
                return Err(format!("{updates} updates and {total} groups, not {UPDATES} and {groups}: {line}"));
            }
            Ok(field(line, "triggerExecution")? as f64)
        })
        .collect()
}
