//! `groups`: queries with many groups, from first to last record, including start and end. Rows go to the `none` sink,
//! the checkpoint to disk. There are a million keys, and windows of many slices.

use super::bench_dir::{BenchDir, TOPIC};
use super::process;
use crate::sh::Outcome;
use std::process::Stdio;
use std::time::{Duration, Instant};

const RECORDS: u64 = 4_000_000;
const LONGEST: Duration = Duration::from_secs(600);

/// Interval of memory measurements.
const LOOK: Duration = Duration::from_millis(50);

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
        let cost = measure(&bench_dir, name, key, window)?;
        let records = RECORDS as f64;
        figures += &format!(
            "figure {name}_records_per_cpu_s {} records/CPU-s of driver and executors\n\
             figure {name}_driver_cpu {} s\n\
             figure {name}_executors_cpu {} s\n\
             figure {name}_wall {} s\n\
             figure {name}_tree {} MB at most, resident\n",
            records / (cost.driver + cost.executors),
            cost.driver,
            cost.executors,
            cost.wall,
            cost.memory,
        );
        executors.push(cost.executors);
    }
    figures += &format!("figure hop_day_to_hop_hour {} times the executors' CPU\n", executors[2] / executors[1]);
    Ok(figures)
}

struct Cost {
    driver: f64,
    executors: f64,
    wall: f64,
    /// Of driver and executors together, MB.
    memory: f64,
}

fn measure(bench_dir: &BenchDir, name: &str, key: &str, window: &str) -> Outcome<Cost> {
    let sql = format!(
        "SELECT window.start AS w, {key} AS k, count(*) AS n, sum(lines_of_code) AS loc, avg(cpu_usage_pct) AS cpu \
         FROM {TOPIC} GROUP BY window(event_time, {window}), {key}"
    );
    let mut command = bench_dir.run(name, false)?;
    command.args(["--available-now", "--set", &format!("query.sql={sql}"), "--set", "sinks.screen.type=none"]);
    let start = Instant::now();
    let mut driver = command.stdout(Stdio::null()).spawn().map_err(|error| format!("cannot start the run: {error}"))?;
    let mut memory: f64 = 0.0;
    while start.elapsed() < LONGEST && process::is_alive(driver.id())? {
        // A process that has ended takes no memory.
        let resident = |pid: u32| process::memory(pid).map_or(0.0, |memory| memory.resident);
        let children = process::children(driver.id())?;
        memory = memory.max(resident(driver.id()) + children.into_iter().map(resident).sum::<f64>());
        std::thread::sleep(LOOK);
    }
    let cpu = process::end(driver.id(), LOOK);
    if cpu.is_err() {
        // It may have ended just now.
        let _ = driver.kill();
    }
    let status = driver.wait().map_err(|error| format!("cannot wait for the run: {error}"))?;
    let (cpu, wall) = (cpu?, start.elapsed().as_secs_f64());
    if !status.success() {
        return Err(format!("`tidemill run` ended with {status}"));
    }
    Ok(Cost { driver: cpu.own, executors: cpu.children, wall, memory })
}
