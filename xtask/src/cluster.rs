//! `spark`: a standalone Spark cluster under `target/spark/`, with a Connect server, for tests and for trying out.
//!
//! ```text
//!   target/spark/master/       log.txt and pid of the Master, 127.0.0.1:7077
//!   target/spark/worker-1/     those of a Worker with two cores, and its work
//!   target/spark/connect/      those of the Connect server, sc://127.0.0.1:15002
//! ```
//! Spark is PyPI's pyspark, as for the golden files; its Kafka connector comes from Maven Central. Loopback only. `compare`
//! runs pipelines on both engines; `sink` builds the jar with the sink that the engine brings along.

use crate::kafka::{self, process};
use crate::sh::{self, Outcome, cargo, command};
use crate::{ports, spark};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const MASTER_PORT: u16 = 7077;
const MASTER_PAGE: u16 = 7078;
const CONNECT_PORT: u16 = 15002;
const WORKERS: u32 = 1;
const WORKERS_MAX: u32 = 16;
const START_MAX: Duration = Duration::from_secs(300);
const STOP_MAX: Duration = Duration::from_secs(30);
/// The sink's folder.
const SINK: &str = "crates/spark/sink";
const CASES: &str = "300";

/// The verb.
pub fn run(args: &[&str]) -> Outcome {
    match args {
        ["start"] => start(WORKERS),
        ["start", "--workers", count] => match count.parse() {
            Ok(count) if count <= WORKERS_MAX => start(count),
            _ => Err(format!("`{count}` is no number from 0 to {WORKERS_MAX}")),
        },
        ["stop"] => stop(),
        ["status"] => status(),
        ["sink"] => sink(false),
        ["sink", "--check"] => sink(true),
        ["check"] => check(),
        ["compare", rest @ ..] => compare(rest),
        _ => Err("spark start|stop|status [--workers N], spark check, spark compare [--cases N] [--seed S], spark sink [--check]".into()),
    }
}

/// One process of the cluster.
struct ClusterProcess {
    dir: PathBuf,
    /// A word of its command line.
    class: &'static str,
}

impl ClusterProcess {
    fn master() -> ClusterProcess {
        ClusterProcess { dir: home_of("master"), class: "deploy.master.Master" }
    }

    fn worker(number: u32) -> ClusterProcess {
        ClusterProcess { dir: home_of(&format!("worker-{number}")), class: "deploy.worker.Worker" }
    }

    fn connect() -> ClusterProcess {
        ClusterProcess { dir: home_of("connect"), class: "SparkConnectServer" }
    }

    fn all() -> Vec<ClusterProcess> {
        let workers = (1..=WORKERS_MAX).rev().map(ClusterProcess::worker);
        std::iter::once(ClusterProcess::connect()).chain(workers).chain([ClusterProcess::master()]).collect()
    }

    fn pid(&self) -> Option<u32> {
        process::running(&self.dir, self.class)
    }

    fn name(&self) -> String {
        self.dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Starts it, unless it runs.
    fn start(&self, spark: &Path, program: &str, args: &[&str]) -> Outcome {
        if self.pid().is_some() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.dir).map_err(|error| format!("cannot make {}: {error}", self.dir.display()))?;
        let mut command = command(spark.join("bin").join(program), args);
        command
            .env("SPARK_HOME", spark)
            .env("SPARK_LOCAL_IP", "127.0.0.1")
            .env("SPARK_LOCAL_DIRS", self.dir.join("local"));
        // The folder in the command line tells our processes from others'. A Connect server takes its memory from its
        // own options, and SPARK_DAEMON_MEMORY would override them.
        command.env("SPARK_DAEMON_JAVA_OPTS", format!("-Dtidemill.dir={} -XX:+UseSerialGC", self.dir.display()));
        if self.class != "SparkConnectServer" {
            command.env("SPARK_DAEMON_MEMORY", "256m");
        }
        process::spawn(&mut command, &self.dir).map(drop)
    }

    fn wait_for(&self, port: u16) -> Outcome {
        let started = Instant::now();
        while !ports::answers(port) {
            if self.pid().is_none() && started.elapsed() > Duration::from_secs(5) {
                return Err(format!("Spark's {} ended as it started:\n{}", self.name(), process::log_tail(&self.dir)));
            }
            if started.elapsed() > START_MAX {
                return Err(format!("Spark's {} does not answer:\n{}", self.name(), process::log_tail(&self.dir)));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

fn home_of(part: &str) -> PathBuf {
    sh::target().join("spark").join(part)
}

fn start(workers: u32) -> Outcome {
    let (home, version) = spark::home()?;
    let master_url = format!("spark://127.0.0.1:{MASTER_PORT}");
    for (part, port) in [(ClusterProcess::master(), MASTER_PORT), (ClusterProcess::connect(), CONNECT_PORT)] {
        if part.pid().is_none() && ports::answers(port) {
            return Err(format!("port {port} is taken by another program; end it first"));
        }
    }
    let (port, page) = (MASTER_PORT.to_string(), MASTER_PAGE.to_string());
    let master = ClusterProcess::master();
    let class = "org.apache.spark.deploy.master.Master";
    master.start(&home, "spark-class", &[class, "--host", "127.0.0.1", "--port", &port, "--webui-port", &page])?;
    master.wait_for(MASTER_PORT)?;
    for number in 1..=workers {
        let worker = ClusterProcess::worker(number);
        let work = worker.dir.join("work").display().to_string();
        let class = "org.apache.spark.deploy.worker.Worker";
        let size = ["--cores", "2", "--memory", "1g", "--host", "127.0.0.1", "--webui-port", "0", "--work-dir", &work];
        worker.start(&home, "spark-class", &[&[class], &size[..], &[&master_url]].concat())?;
    }
    let jars = kafka::spark_connector(&version)?;
    let connect = ClusterProcess::connect();
    let conf: Vec<String> =
        connect_conf(&connect.dir, &jars)?.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut args = vec!["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", &master_url];
    conf.iter().for_each(|pair| args.extend(["--conf", pair]));
    args.push("spark-internal");
    connect.start(&home, "spark-submit", &args)?;
    connect.wait_for(CONNECT_PORT)?;
    println!("Spark {version}: sc://127.0.0.1:{CONNECT_PORT}, {workers} Workers at {master_url}");
    Ok(())
}

fn connect_conf(dir: &Path, jars: &Path) -> Outcome<Vec<(&'static str, String)>> {
    let entries = std::fs::read_dir(jars).map_err(|error| format!("cannot read {}: {error}", jars.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let jars: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
        .map(|path| path.display().to_string())
        .collect();
    Ok(vec![
        ("spark.connect.grpc.binding.address", "127.0.0.1".into()),
        ("spark.connect.grpc.binding.port", CONNECT_PORT.to_string()),
        ("spark.connect.session.manager.defaultSessionTimeout", "-1".into()),
        ("spark.driver.host", "127.0.0.1".into()),
        ("spark.driver.memory", "1g".into()),
        ("spark.executor.cores", "2".into()),
        ("spark.executor.memory", "512m".into()),
        ("spark.decommission.enabled", "true".into()),
        ("spark.dynamicAllocation.enabled", "false".into()),
        ("spark.jars", jars.join(",")),
        ("spark.sql.shuffle.partitions", "2".into()),
        ("spark.sql.warehouse.dir", dir.join("warehouse").display().to_string()),
        ("spark.ui.port", "4050".into()),
    ])
}

fn stop() -> Outcome {
    for part in ClusterProcess::all() {
        if let Some(pid) = part.pid() {
            process::end(pid, STOP_MAX)?;
            println!("Spark's {} is stopped", part.name());
        }
    }
    Ok(())
}

fn status() -> Outcome {
    let mut running = 0;
    for part in ClusterProcess::all() {
        if let Some(pid) = part.pid() {
            println!("{}: process {pid}", part.name());
            running += 1;
        }
    }
    match running {
        0 => Err("no Spark of ours runs; `cargo xtask spark start`".into()),
        _ => Ok(()),
    }
}

/// Builds the jar of the sink from its source; with `check` compares it with the one that is there.
fn sink(check: bool) -> Outcome {
    let (home, _) = spark::home()?;
    let folder = sh::root().join(SINK);
    let scratch = sh::target().join("spark/sink");
    let _ = std::fs::remove_dir_all(&scratch);
    let classes = scratch.join("classes").display().to_string();
    let class_path = home.join("jars/*").display().to_string();
    let sources =
        ["Outbox", "OutboxSink"].map(|name| folder.join(format!("src/tidemill/{name}.java")).display().to_string());
    let mut javac = vec!["--release", "17", "-g:none", "-nowarn", "-cp", &class_path, "-d", &classes];
    javac.extend(sources.iter().map(String::as_str));
    sh::read(&mut command("javac", &javac))?;
    let (jar, wanted) = (scratch.join("outbox.jar"), folder.join("outbox.jar"));
    let (path, date) = (jar.display().to_string(), "--date=2026-01-01T00:00:00Z");
    sh::read(&mut command("jar", &["--create", date, "--no-manifest", "--file", &path, "-C", &classes, "tidemill"]))?;
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    if !check {
        return std::fs::write(&wanted, read(&jar)?)
            .map_err(|error| format!("cannot write {}: {error}", wanted.display()));
    }
    match read(&jar)? == read(&wanted)? {
        true => Ok(()),
        false => Err(format!("{SINK}/outbox.jar is not what its source gives; `cargo xtask spark sink`")),
    }
}

/// What `cargo xtask check` leaves out, since it builds many libraries: clippy and the tests of the feature, and the jar.
fn check() -> Outcome {
    let feature =
        ["--release", "--package", "tidemill-cli", "--package", "tidemill-spark", "--features", "spark,engine"];
    sh::run(&mut cargo(&[&["clippy"], &feature[..], &["--all-targets", "--quiet", "--", "-D", "warnings"]].concat()))?;
    sink(true)?;
    sh::run(&mut cargo(&["test", "--release", "--package", "tidemill-spark", "--features", "engine"]))?;
    sh::run(&mut cargo(&["test", "--release", "--package", "tidemill-cli", "--features", "spark", "--test", "spark"]))
}

/// Runs generated pipelines and all scenarios on both engines.
fn compare(args: &[&str]) -> Outcome {
    let (cases, seed) = match args {
        [] => (CASES, "1"),
        ["--cases", cases] => (*cases, "1"),
        ["--cases", cases, "--seed", seed] => (*cases, *seed),
        _ => return Err("spark compare [--cases N [--seed S]]".into()),
    };
    sh::run(&mut cargo(&["build", "--release", "--package", "tidemill-testkit", "--example", "differential"]))?;
    let dir = sh::target().join("spark/cases");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let dir = dir.display().to_string();
    let tool = sh::target().join("release/examples/differential");
    sh::run(&mut command(&tool, &["generate", &dir, cases, seed]))?;
    let scenarios = sh::root().join("tests/scenarios").display().to_string();
    let mut test: Command =
        cargo(&["test", "--release", "--package", "tidemill-cli", "--features", "spark", "--test", "spark"]);
    test.args(["both_engines", "--", "--nocapture"]).env("TIDEMILL_SPARK_CASES", format!("{dir},{scenarios}"));
    sh::run(&mut test)
}
