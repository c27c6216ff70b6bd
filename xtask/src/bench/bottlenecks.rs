//! `bottlenecks`: loads for which more executors do not help, on the real engine, and the time until the autoscaler
//! names the bottleneck: the driver (many keys), a sink (a slow reader of the console), the source (a slow network to
//! the broker), the machine (four executors without a limit on a few cores).

use super::bench_dir::{BenchDir, TOPIC};
use super::process::KillOnDrop;
use crate::embedded::binary;
use crate::json;
use crate::sh::{self, Outcome};
use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// A bottleneck that is not named within this time counts as missed.
const LONGEST: Duration = Duration::from_secs(90);

/// A load: its name, its rate, the changes to the pipeline.
struct Load {
    name: &'static str,
    /// A word of the expected reason.
    names: &'static str,
    rate: &'static str,
    producers: &'static str,
    sets: &'static [&'static str],
    slow_console: bool,
    slow_network: bool,
}

const MANY_KEYS: &str = "query.sql=SELECT window.start, CAST(cpu_usage_pct * 11834 AS BIGINT) AS k, concat(student_id, student_name) AS s, \
     count(*) AS n FROM cs_student_logs GROUP BY window(event_time, '10 minutes', '1 minute'), CAST(cpu_usage_pct * 11834 AS BIGINT), \
     concat(student_id, student_name)";

/// Some 0.1 ms of a core for each record, so that the executors use the machine and not the producer or the broker.
const SLOW_FILTER: &str = "query.sql=SELECT window.start, count(*) AS n FROM cs_student_logs \
     WHERE sha2(repeat(student_id, 5000), 512) <> '' GROUP BY window(event_time, '10 seconds', '5 seconds')";

/// What the slow network carries, bytes per second: a quarter of the load.
const SLOW: u32 = 4_000_000;

const LOADS: [Load; 4] = [
    Load {
        name: "driver",
        names: "driver",
        rate: "max",
        producers: "1",
        sets: &[MANY_KEYS, "sinks.screen.type=none"],
        slow_console: false,
        slow_network: false,
    },
    Load {
        name: "sink",
        names: "sink",
        rate: "15000/s",
        producers: "1",
        sets: &["autoscale.max_records_per_second_per_core=2500"],
        slow_console: true,
        slow_network: false,
    },
    Load {
        name: "source",
        names: "source",
        rate: "60000/s",
        producers: "1",
        sets: &["sinks.screen.type=none"],
        slow_console: false,
        slow_network: true,
    },
    Load {
        name: "machine",
        names: "cores of this machine",
        rate: "40000/s",
        producers: "1",
        sets: &[SLOW_FILTER, "sinks.screen.type=none"],
        slow_console: false,
        slow_network: false,
    },
];

/// Runs the named loads, or all. `--no-build` uses the existing binary.
pub fn run(args: &[&str]) -> Outcome {
    if !args.contains(&"--no-build") {
        sh::run(&mut sh::cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
    }
    let named: Vec<&&str> = args.iter().filter(|arg| **arg != "--no-build").collect();
    if let Some(unknown) = named.iter().find(|name| !LOADS.iter().any(|load| load.name == ***name)) {
        return Err(format!("`{unknown}` is no load; there are driver, sink, source, machine"));
    }
    for load in LOADS.iter().filter(|load| named.is_empty() || named.iter().any(|name| **name == load.name)) {
        match measure(load)? {
            Some(Noticed { after_s, size, reason }) => {
                let right = if reason.contains(load.names) { "as expected" } else { "another one than expected" };
                println!("{}: after {after_s:.1} s, {size} executors kept, {right}: {reason}", load.name);
                println!("figure bottleneck_{}_s {after_s:.1} s", load.name);
                println!("figure bottleneck_{}_right {} of 1", load.name, u8::from(reason.contains(load.names)));
            }
            None => println!("{}: not noticed within {} s", load.name, LONGEST.as_secs()),
        }
    }
    Ok(())
}

struct Noticed {
    after_s: f64,
    size: u64,
    reason: String,
}

fn measure(load: &Load) -> Outcome<Option<Noticed>> {
    let name = format!("bottleneck-{}", load.name);
    let bench_dir = if load.slow_network { BenchDir::far_away(&name, SLOW)? } else { BenchDir::new(&name)? };
    bench_dir.produce(TOPIC, 1, 1)?;
    let decisions = bench_dir.file("decisions");
    let mut command = bench_dir.run("run", false)?;
    command.args(["--decisions", &decisions.to_string_lossy()]);
    for set in load.sets {
        command.args(["--set", set]);
    }
    command.stdout(if load.slow_console { Stdio::piped() } else { Stdio::null() });
    let mut driver = KillOnDrop(command.spawn().map_err(|error| format!("cannot start the run: {error}"))?);
    if let Some(console) = driver.0.stdout.take() {
        std::thread::spawn(move || read_slowly(console));
    }
    std::thread::sleep(Duration::from_secs(3));
    let servers = bench_dir.broker.address();
    let mut produce = sh::command(binary(), &["produce", "--bootstrap-servers", servers, "--topic", TOPIC]);
    produce.args(["--rate", load.rate, "--producers", load.producers, "--duration", "10m"]).stderr(Stdio::null());
    let producer: Child = produce.stdout(Stdio::null()).spawn().map_err(|error| format!("cannot produce: {error}"))?;
    let (_producer, since) = (KillOnDrop(producer), Instant::now());
    while since.elapsed() < LONGEST {
        std::thread::sleep(Duration::from_millis(100));
        if driver.0.try_wait().is_ok_and(|end| end.is_some()) {
            return Err(format!("the run of `{}` ended by itself", load.name));
        }
        if let Some((size, reason)) = guard(&decisions) {
            return Ok(Some(Noticed { after_s: since.elapsed().as_secs_f64(), size, reason }));
        }
    }
    Ok(None)
}

/// 4 KB a second.
fn read_slowly(mut console: ChildStdout) {
    let mut bytes = [0; 400];
    while console.read(&mut bytes).is_ok_and(|count| count > 0) {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The first decision that removes executors because of a bottleneck: the size kept, and the reason.
fn guard(decisions: &Path) -> Option<(u64, String)> {
    let text = std::fs::read_to_string(decisions).ok()?;
    let (_, decision) = text.lines().find(|line| line.contains("\"kind\":\"guard\""))?.split_once("\"decision\":")?;
    let (_, reason) = decision.split_once("\"reason\":\"")?;
    Some((json::number(decision, "to")?, reason.split('"').next()?.to_owned()))
}
