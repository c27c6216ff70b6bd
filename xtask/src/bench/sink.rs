//! `sink`: from a topic to a topic, exactly once: records per CPU-second of a backlog, and how old records are at a reader of
//! committed records under a steady load, at the embedded broker and at Apache Kafka (which needs Java and Maven).

use super::process::{self, KillOnDrop};
use super::{figures_of, job};
use crate::embedded::{EmbeddedBroker, binary};
use crate::kafka::Broker;
use crate::ports;
use crate::sh::{self, Outcome, cargo};
use crate::usage;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Records of the backlog, unless an argument says otherwise.
const RECORDS: &str = "2000000";
/// Records a second of the steady load.
const RATE: &str = "1000/s";
/// The first part of the load is not counted: executors start, connections are made.
const WARMING: Duration = Duration::from_secs(5);
const WATCHED_S: &str = "15";

/// Starts brokers for itself, one after the other, and ends them.
pub fn run(args: &[&str]) -> Outcome {
    let (mut records, mut brokers) = (RECORDS, vec!["embedded", "apache"]);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match (*arg, args.next()) {
            ("--records", Some(count)) if count.parse::<u32>().is_ok_and(|count| count > 0) => records = count,
            ("--broker", Some(name)) if brokers.contains(name) => brokers = vec![name],
            _ => return Err("bench sink [--records N] [--broker embedded|apache]".into()),
        }
    }
    sh::run(&mut cargo(&["build", "--release", "--quiet", "--package", "tidemill-cli"]))?;
    sh::run(&mut cargo(&["build", "--release", "--quiet", "--workspace", "--example", "arrive"]))?;
    for broker in brokers {
        let dir = sh::target().join("bench/sink");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        let measured = match broker {
            "embedded" => {
                let embedded = EmbeddedBroker::start(&dir.join("broker"))?;
                measure(&dir, embedded.address(), records, Some(embedded.pid()))
            }
            _ => {
                let kafka = Broker::at(ports::free_four()?);
                kafka.start()?;
                let measured = measure(&dir, &kafka.address(), records, None);
                kafka.stop_and_forget()?;
                measured
            }
        };
        for (name, value) in measured? {
            println!("figure {broker}_{name} {value:.1}");
        }
        let _ = std::fs::remove_dir_all(&dir);
    }
    Ok(())
}

fn measure(dir: &Path, address: &str, records: &str, broker: Option<u32>) -> Outcome<Vec<(String, f64)>> {
    let mut figures = backlog(dir, address, records, broker)?;
    figures.extend(steady(dir, address)?);
    Ok(figures)
}

/// `tidemill run` from one topic to another.
fn copier(dir: &Path, address: &str, name: &str, is_timed: bool) -> Outcome<Command> {
    let (metadata, sent, starting) = match is_timed {
        true => ("metadata_column = \"kafka\"", ", unix_millis(kafka.timestamp) AS sent", "latest"),
        false => ("", "", "earliest"),
    };
    let text = format!(
        "[sources.logs]
type = \"kafka\"
bootstrap_servers = \"{address}\"
topic = \"{name}-in\"
starting_offsets = \"{starting}\"
schema = \"timestamp DOUBLE, student_id STRING, course STRING, activity STRING, lines_of_code INT\"
{metadata}
[query]
sql = \"SELECT timestamp, student_id, course, activity, lines_of_code{sent} FROM logs\"
output_mode = \"append\"
[sinks.out]
type = \"kafka\"
bootstrap_servers = \"{address}\"
topic = \"{name}-out\"
partitions = 4
"
    );
    let (file, checkpoint): (PathBuf, PathBuf) = (dir.join(format!("{name}.toml")), dir.join(name));
    sh::write_file(&file, &text)?;
    let mut command = sh::command(binary(), &["run", &file.to_string_lossy(), "--quiet"]);
    command.args(["--checkpoint", &checkpoint.to_string_lossy()]).stdout(Stdio::null());
    Ok(command)
}

fn producer(address: &str, topic: &str, more: &[&str]) -> Command {
    let mut command = sh::command(binary(), &["produce", "--bootstrap-servers", address, "--topic", topic]);
    command.args(["--partitions", "4"]).args(more).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A backlog is copied, from the start of the run to its end.
fn backlog(dir: &Path, address: &str, records: &str, broker: Option<u32>) -> Outcome<Vec<(String, f64)>> {
    sh::run(&mut producer(address, "backlog-in", &["--rate", "max", "--count", records]))?;
    let broker_cpu = || broker.map(|pid| process::cpu(pid).map(|cpu| cpu.own)).transpose();
    let before = broker_cpu()?;
    let cost = job::measure(copier(dir, address, "backlog", false)?, &[])?;
    let records: f64 = records.parse().expect("a number");
    let mut figures = vec![
        ("records_per_s".to_owned(), records / cost.wall),
        ("records_per_cpu_s".to_owned(), records / (cost.driver + cost.executors)),
        ("driver_cpu_s".to_owned(), cost.driver),
        ("executors_cpu_s".to_owned(), cost.executors),
    ];
    if let (Some(before), Some(after)) = (before, broker_cpu()?) {
        figures.push(("broker_cpu_s".to_owned(), after - before));
    }
    Ok(figures)
}

/// A steady load is copied; a reader of committed records tells how old the records are.
fn steady(dir: &Path, address: &str) -> Outcome<Vec<(String, f64)>> {
    let spawn = |mut command: Command| {
        command.spawn().map(KillOnDrop).map_err(|error| format!("cannot start a process: {error}"))
    };
    let load = ["--rate", RATE, "--option", "linger.ms=0", "--duration", "60s"];
    let _load = spawn(producer(address, "steady-in", &load))?;
    let mut command = copier(dir, address, "steady", true)?;
    command.args(["--set", "autoscale.min_executors=1", "--set", "autoscale.max_executors=1"]);
    let _driver = spawn(command)?;
    std::thread::sleep(WARMING);
    let path = sh::target().join("release/examples/arrive");
    let (text, cost) = usage::measure(|| sh::read(&mut sh::command(path, &[address, "steady-out", WATCHED_S])))?;
    let figures = figures_of(&text, cost).into_iter().filter(|(name, ..)| name.starts_with("in_out"));
    Ok(figures.map(|(name, value, _)| (name, value)).collect())
}
