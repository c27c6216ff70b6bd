//! The command line. Each option is defined here once; help and checks are derived.

use crate::wiring;
use clap::{Args as Options, Parser, Subcommand};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use tidemill_load::{Rate, text};
use tidemill_model::Secret;
use tidemill_model::pipeline::ClientChoice;

/// Streaming ETL and window aggregation over Kafka with Spark's semantics, on executors that follow the load
#[derive(Parser)]
#[command(name = "tidemill", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Run a demonstration: broker, load that rises and falls, pipeline, autoscaling, dashboard, and a check of all
    /// results
    Demo(DemoOptions),
    /// Run a pipeline file
    Run(RunOptions),
    /// Send generated activity logs to a Kafka topic
    Produce(ProduceOptions),
    /// Run only the embedded Kafka-compatible broker
    Broker(BrokerOptions),
    /// Check a pipeline file and print how it is understood
    Check(CheckOptions),
    /// Compute in a model what a load would have cost, with this autoscaler and with others
    Simulate(SimulateOptions),
    /// Print what a run used, day by day, and what a fixed size would have used
    Cost(CostOptions),
    /// Inspect a running pipeline through its dashboard, and change how it scales
    Ctl(CtlOptions),
    /// Inspect a checkpoint
    Checkpoint(CheckpointOptions),
    /// Send the records of dead letters again
    DeadLetters(DeadLettersOptions),
    /// List the SQL functions, or explain one
    Functions(FunctionsOptions),
    /// An executor. A driver starts it and talks to it over stdin and stdout
    #[command(hide = true)]
    Executor,
}

#[derive(Clone, Options)]
pub(crate) struct DemoOptions {
    /// Length of the demo; each phase keeps its share [default: 90s, on Spark 300s]
    #[arg(long, value_name = "TIME", value_parser = text::duration)]
    pub(crate) duration: Option<Duration>,
    /// What runs the query. `spark` needs --spark-local, and shows the local engine under the same load beside it
    #[arg(long, value_name = "ENGINE", default_value = "local", value_parser = ["local", "spark"])]
    pub(crate) engine: String,
    #[command(flatten)]
    pub(crate) spark: SparkOptions,
    /// No limit on the executors, and as much load as this machine can generate
    #[arg(long)]
    pub(crate) full_speed: bool,
    /// Print plain lines instead of the live view; no dashboard
    #[arg(long)]
    pub(crate) headless: bool,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Keep everything in this directory, and continue a demo that was killed [default: a temporary directory, deleted
    /// at the end]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Use this Kafka instead of the embedded broker
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_servers: Option<String>,
    /// A property of the client, for instance `security.protocol=SSL`; `${ENV:X}` and `${FILE:PATH}` are replaced;
    /// repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = client_option)]
    pub(crate) option: Vec<(String, Secret)>,
    /// Address of the dashboard; if the port is taken, the next free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) dashboard: String,
    /// Kill one executor with SIGKILL at this interval
    #[arg(long, value_name = "TIME", value_parser = text::duration)]
    pub(crate) kill_every: Option<Duration>,
    /// Stop one executor with SIGSTOP at this interval: it stays alive and silent, and must be replaced
    #[arg(long, value_name = "TIME", value_parser = text::duration)]
    pub(crate) stop_every: Option<Duration>,
    /// The same seed gives the same records
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl DemoOptions {
    pub(crate) fn is_on_spark(&self) -> bool {
        self.engine == "spark"
    }
}

#[derive(Options)]
pub(crate) struct RunOptions {
    /// The pipeline file
    pub(crate) pipeline: PathBuf,
    /// Read what is there now, in as many batches as needed, then end
    #[arg(long)]
    pub(crate) available_now: bool,
    /// Checkpoint directory; overrides the file's
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Append one progress record (a JSON line) per batch to this file; `-` for stderr
    #[arg(long, value_name = "FILE")]
    pub(crate) progress: Option<PathBuf>,
    /// Append all facts and decisions of the autoscaler to this file, four JSON lines per second; they can be replayed
    #[arg(long, value_name = "FILE")]
    pub(crate) decisions: Option<PathBuf>,
    /// Set a value of the file, for instance `sinks.screen.json=true`; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Print rows as JSON lines: the console sink's `json = true`
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no lines about progress, decisions and executors on stderr
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// What runs the query
    #[arg(long, value_name = "ENGINE", default_value = "local", value_parser = ["local", "spark"])]
    pub(crate) engine: String,
    #[command(flatten)]
    pub(crate) spark: SparkOptions,
    /// With --engine spark: start the query and leave it running; the same command without --detach takes it over
    #[arg(long)]
    pub(crate) detach: bool,
}

/// Where Spark is.
#[derive(Clone, Default, Options)]
pub(crate) struct SparkOptions {
    /// The Connect server of a Spark 4.x
    #[arg(long, value_name = "sc://HOST:PORT[/;token=…][;use_ssl=true]", conflicts_with = "spark_local")]
    pub(crate) spark_remote: Option<String>,
    /// Start a Connect server on this machine for this run, from a folder of Spark or of a Python environment with
    /// pyspark; `auto` finds one
    #[arg(long, value_name = "DIR|auto")]
    pub(crate) spark_local: Option<String>,
    /// The master of that server: `local[N]`, or `spark://HOST:PORT` [default: with `[autoscale]` in the file a cluster of
    /// this run's own, whose Workers follow the load; otherwise `local[2]`]
    #[arg(long, value_name = "MASTER")]
    pub(crate) spark_master: Option<String>,
    /// An option of that server, for instance `spark.driver.memory=2g`; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) spark_conf: Vec<(String, String)>,
    /// The page of Spark's driver, whose REST API lists the executors [default: port 4040 of the Connect server's host]
    #[arg(long, value_name = "http://HOST:PORT")]
    pub(crate) spark_ui: Option<String>,
}

#[derive(Options)]
pub(crate) struct CheckOptions {
    /// The pipeline file
    pub(crate) pipeline: PathBuf,
    /// Set a value of the file, for instance `query.output_mode=append`; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// What runs the query. `spark` refuses what cannot have the same rows on Spark, and prints what is sent to Spark
    #[arg(long, value_name = "ENGINE", default_value = "local", value_parser = ["local", "spark"])]
    pub(crate) engine: String,
}

#[derive(Options)]
pub(crate) struct SimulateOptions {
    /// The load: CSV with the heading `seconds,records_per_second`. A rate holds until the next line; the last line
    /// ends the load
    #[arg(value_name = "TRACE.csv", required_unless_present = "from")]
    pub(crate) trace: Option<PathBuf>,
    /// Records per second of one executor
    #[arg(long, value_name = "R", value_parser = positive)]
    pub(crate) capacity_per_executor: f64,
    /// runway, keda, flink, ds2, dataflow, spark, static:N, or all
    #[arg(long, value_name = "POLICY", default_value = "runway")]
    pub(crate) policy: String,
    /// Greatest acceptable age of a record when its result is out
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = text::duration)]
    pub(crate) slo: Duration,
    /// Time that an executor takes to start; it is paid for meanwhile
    #[arg(long, value_name = "TIME", default_value = "25ms", value_parser = text::duration)]
    pub(crate) start_time: Duration,
    /// The largest size
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) max_executors: u32,
    /// Price of an executor-hour
    #[arg(long, value_name = "MONEY", default_value = "0.10", value_parser = positive)]
    pub(crate) price: f64,
    /// Vary the rate by a tenth from second to second; the same seed gives the same load [default: no variation]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Print figures as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw load, sizes, backlog and age over time, or a sweep's curve, as SVG
    #[arg(long, value_name = "OUT.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Write the decisions of the runway policy as JSON lines, as `tidemill run --decisions` does
    #[arg(long, value_name = "FILE", conflicts_with = "sweep")]
    pub(crate) decisions: Option<PathBuf>,
    /// Take the load of a past run from its checkpoint directory
    #[arg(long, value_name = "DIR", conflicts_with = "trace")]
    pub(crate) from: Option<PathBuf>,
    /// Try several values: `slo=5s,10s,30s`, `start-time=25ms,15s` or `turn=1s,3s` (how long records may gather)
    #[arg(long, value_name = "KEY=A,B,…", value_parser = key_values)]
    pub(crate) sweep: Option<(String, Vec<String>)>,
}

#[derive(Options)]
pub(crate) struct CostOptions {
    /// The checkpoint directory of a run
    pub(crate) dir: PathBuf,
    /// Price of an executor-hour
    #[arg(long, value_name = "MONEY", default_value = "0.10", value_parser = positive)]
    pub(crate) price: f64,
    /// The size to compare with [default: the run's `max_executors`]
    #[arg(long, value_name = "N")]
    pub(crate) fixed: Option<u32>,
}

#[derive(Options)]
pub(crate) struct FunctionsOptions {
    /// The function to explain
    pub(crate) name: Option<String>,
    /// Print JSON lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the pages of the documentation into this directory
    #[arg(long, hide = true, value_name = "DIR", conflicts_with_all = ["name", "json"])]
    pub(crate) pages: Option<PathBuf>,
}

#[derive(Options)]
pub(crate) struct CtlOptions {
    /// Where the run's dashboard listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", global = true)]
    pub(crate) dashboard: String,
    #[command(subcommand)]
    pub(crate) action: CtlAction,
}

#[derive(Subcommand)]
pub(crate) enum CtlAction {
    /// Print how the run scales, and how it fares
    Status {
        /// The whole status as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Change the run's `[autoscale]` until it ends: mode=active|advisory|pinned, min_executors=N, max_executors=N, slo=TIME
    Set {
        /// What to change
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = key_value)]
        changes: Vec<(String, String)>,
    },
    /// Keep so many executors, whatever the load
    Pin {
        /// How many
        executors: u32,
    },
    /// Follow the load again
    Unpin,
    /// Finish the batch, commit, end
    Stop,
}

#[derive(Options)]
pub(crate) struct CheckpointOptions {
    #[command(subcommand)]
    pub(crate) action: CheckpointAction,
}

#[derive(Subcommand)]
pub(crate) enum CheckpointAction {
    /// Print what a checkpoint holds: batches, offsets, watermarks, sizes. Works while a driver uses it
    Show {
        /// The checkpoint directory
        dir: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Options)]
pub(crate) struct DeadLettersOptions {
    #[command(subcommand)]
    pub(crate) action: DeadLettersAction,
}

#[derive(Subcommand)]
pub(crate) enum DeadLettersAction {
    /// Send each record that has a dead letter in the pipeline's topic of dead letters to another topic, as it was
    Replay {
        /// The pipeline file
        pipeline: PathBuf,
        /// The topic, on the cluster of the pipeline's first Kafka source
        #[arg(long, value_name = "TOPIC")]
        to: String,
        /// Only records with this reason, for instance `late`
        #[arg(long, value_name = "REASON")]
        reason: Option<String>,
        /// Set a value of the file, for instance `dead_letter.topic=letters`; repeatable
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
    },
}

#[derive(Options)]
pub(crate) struct BrokerOptions {
    /// Address to listen on. There is no authentication: use loopback, unless everyone who can reach the port may read
    /// and write [default: 127.0.0.1:9092, or the next free port]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = socket_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Address that the broker gives to clients, if it differs from the one that they reached
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) advertised: Option<(String, u16)>,
    /// Directory for records, topics and group offsets
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Partitions of a topic that is created on first use
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub(crate) partitions: i32,
    /// Create topics only by CreateTopics, not on first use
    #[arg(long)]
    pub(crate) no_auto_create: bool,
    /// Bytes kept per partition, in whole segments [default: all]
    #[arg(long, value_name = "BYTES")]
    pub(crate) retention_bytes: Option<u64>,
    /// How long records are kept
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = text::duration)]
    pub(crate) retention: Duration,
    /// How long the offsets of a group without members are kept
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = text::duration)]
    pub(crate) offsets_retention: Duration,
    /// How often the broker looks for topics to compact (`cleanup.policy=compact`)
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = text::duration)]
    pub(crate) compaction_interval: Duration,
    /// Most clients connected at once
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) connections_max: u32,
    /// Flush to disk before each acknowledgement: records survive a power loss, not only a crash
    #[arg(long)]
    pub(crate) fsync: bool,
}

#[derive(Options)]
pub(crate) struct ProduceOptions {
    /// The Kafka cluster
    #[arg(long, value_name = "HOST:PORT,…", default_value = "localhost:9092")]
    pub(crate) bootstrap_servers: String,
    /// The topic; created if it does not exist
    #[arg(long, default_value = "cs_student_logs")]
    pub(crate) topic: String,
    /// Total rate of all producers: `10/s`, `5k/s`, `600/min` or `max`
    #[arg(long, value_name = "RATE", default_value = "10/s", value_parser = text::rate)]
    pub(crate) rate: Rate,
    /// End after this many records
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = text::duration)]
    pub(crate) duration: Option<Duration>,
    /// Number of producers, each with its own connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = producers)]
    pub(crate) producers: usize,
    /// Partitions of a new topic [default: the cluster's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub(crate) partitions: Option<i32>,
    /// The same seed gives the same records
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Share of records with an event time in the past
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = text::share)]
    pub(crate) late: f64,
    /// Share of malformed records, of several kinds
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = text::share)]
    pub(crate) malformed: f64,
    /// Event time of the first record, seconds since 1970 (UTC); the others follow at the rate [default: the clock]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) start_time: Option<f64>,
    /// A property of the client, for instance `compression.type=lz4`; `${ENV:X}` and `${FILE:PATH}` are replaced;
    /// repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = client_option)]
    pub(crate) option: Vec<(String, Secret)>,
    /// The client that writes: `auto`, `native` or `librdkafka`
    #[arg(long, value_name = "CLIENT", default_value = "auto", value_parser = client)]
    pub(crate) client: ClientChoice,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().into(), value.into())),
        _ => Err("write KEY=VALUE".into()),
    }
}

fn key_values(text: &str) -> Result<(String, Vec<String>), String> {
    let (key, values) = key_value(text)?;
    Ok((key, values.split(',').map(|value| value.trim().to_owned()).collect()))
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| *number > 0.0 && *number < 1e12).ok_or_else(|| "a number above 0".into())
}

/// Parses a property of the client. Errors do not repeat the value: it may be a password.
fn client_option(text: &str) -> Result<(String, Secret), String> {
    let (name, value) = key_value(text)?;
    let value = wiring::substituted(&value).map_err(|message| format!("{name}: {message}"))?;
    Ok((name, value))
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.find(SocketAddr::is_ipv4));
    found.or_else(|| text.parse().ok()).ok_or_else(|| "write ADDRESS:PORT, for instance 127.0.0.1:9092".into())
}

fn host_port(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() => Ok((host.into(), port)),
        _ => Err("write HOST:PORT".into()),
    }
}

fn client(text: &str) -> Result<ClientChoice, String> {
    let known = ClientChoice::NAMES.iter().find(|(name, _)| *name == text);
    known.map(|(_, client)| *client).ok_or_else(|| "`auto`, `native` or `librdkafka`".into())
}

fn producers(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|producers| (1..=256).contains(producers)).ok_or_else(|| "a number from 1 to 256".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
