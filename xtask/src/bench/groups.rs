//! `groups`: queries with many groups, from first to last record, including start and end. Rows go to the `none` sink,
//! the checkpoint to disk. There are a million keys, and windows of many slices. The million keys also go to Parquet files.

use super::bench_dir::{BenchDir, TOPIC};
use super::job;
use crate::sh::Outcome;

const RECORDS: u64 = 4_000_000;
/// The queries: name, key, window.
const QUERIES: [(&str, &str, &str); 3] = [
    // The records' values of it are 8.45 · 10⁹ numbers, drawn evenly.
    ("million_keys", "CAST(cpu_usage_pct * 11834 AS BIGINT)", "'10 seconds', '5 seconds'"),
    ("hop_hour", "concat(course, activity)", "'1 hour', '1 minute'"),
    ("hop_day", "concat(course, activity)", "'1 day', '1 minute'"),
];

/// The figures.
pub fn run() -> Outcome<String> {
    let bench_dir = BenchDir::new("groups")?;
    bench_dir.produce(TOPIC, RECORDS, 1)?;
    let mut figures = String::new();
    let mut executors = Vec::new();
    for (name, key, window) in QUERIES {
        let cost = measure(&bench_dir, name, key, window, &job::NO_ROWS)?;
        figures += &cost.figures(name, RECORDS);
        executors.push(cost.executors);
    }
    let (_, key, window) = QUERIES[0];
    let path = bench_dir.file("rows");
    let parquet =
        ["sinks.screen.type=files", "sinks.screen.format=parquet", &format!("sinks.screen.path={}", path.display())];
    figures +=
        &measure(&bench_dir, "million_keys_parquet", key, window, &parquet)?.figures("million_keys_parquet", RECORDS);
    figures += &format!("figure hop_day_to_hop_hour {} times the executors' CPU\n", executors[2] / executors[1]);
    Ok(figures)
}

/// A query with windows and two aggregates.
fn measure(bench_dir: &BenchDir, name: &str, key: &str, window: &str, sink: &[&str]) -> Outcome<job::Cost> {
    let sql = format!(
        "query.sql=SELECT window.start AS w, {key} AS k, count(*) AS n, sum(lines_of_code) AS loc, avg(cpu_usage_pct) AS cpu \
         FROM {TOPIC} GROUP BY window(event_time, {window}), {key}"
    );
    job::measure(bench_dir.run(name, false)?, &[&[sql.as_str()], sink].concat())
}
