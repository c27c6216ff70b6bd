//! A [`Testbed`]: a directory with a broker, a topic and a pipeline file, in which the program runs.

mod dashboard;
mod process;
mod reference;

pub use dashboard::{Dashboard, WITH_DASHBOARD};
pub use process::{Ended, Process, signal, until};
pub use reference::{Groups, count, json_lines};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tidemill_kafka::{KafkaOptions, admin};
use tidemill_model::progress::Progress;

/// The topic that the pipeline file reads.
pub const TOPIC: &str = "logs";

/// The pipeline file: counts and sums by 10 s windows and course, to files and to the console. Tests change it with
/// `--set`.
const PIPELINE: &str = r#"name = "e2e"

[sources.logs]
type = "kafka"
bootstrap_servers = "ADDRESS"
topic = "logs"
starting_offsets = "earliest"
schema = "timestamp DOUBLE, course STRING, lines_of_code INT"

[sources.logs.event_time]
column = "event_time"
expression = "CAST(timestamp AS TIMESTAMP)"
watermark = "1 minute"

[query]
sql = """
  SELECT window.start, course, count(*) AS events, sum(lines_of_code) AS lines
  FROM logs
  WHERE course IS NOT NULL
  GROUP BY window(event_time, '10 seconds', '5 seconds'), course
"""
output_mode = "update"

[sinks.files]
type = "files"
path = "rows"

[sinks.screen]
type = "console"

[checkpoint]
path = "checkpoint"

[autoscale]
max_executors = 2
"#;

/// A directory in which the program runs. Its processes end with it.
pub struct Testbed {
    // First, so that the broker ends before its directory is removed.
    broker: Option<Process>,
    address: String,
    dir: TempDir,
}

impl Testbed {
    /// A testbed with a broker and the pipeline file `p.toml`; no topic yet.
    pub fn new() -> Testbed {
        let mut testbed = Testbed::without_broker();
        testbed.start_broker();
        testbed
    }

    /// A testbed whose broker is not started yet.
    pub fn without_broker() -> Testbed {
        Testbed::at(&format!("127.0.0.1:{}", port()))
    }

    /// A testbed whose broker is somebody else's.
    pub fn at(address: &str) -> Testbed {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("p.toml"), PIPELINE.replace("ADDRESS", address))
            .expect("the folder takes files");
        Testbed { broker: None, address: address.to_owned(), dir }
    }

    /// A testbed with a broker and a topic of four partitions that holds `values`, distributed in turn.
    pub fn holding(values: impl IntoIterator<Item = String>) -> Testbed {
        let testbed = Testbed::new();
        testbed.send(values);
        testbed
    }

    /// Starts the broker, on the same port and directory each time.
    pub fn start_broker(&mut self) {
        let broker = self.start(&["broker", "--listen", &self.address, "--dir", "broker"]);
        broker.says("broker on");
        self.broker = Some(broker);
    }

    /// Ends the broker by SIGKILL.
    pub fn kill_broker(&mut self) {
        self.broker.take().expect("a broker").kill();
    }

    /// Sends the broker a signal.
    pub fn signal_broker(&self, name: &str) {
        self.broker.as_ref().expect("a broker").signal(name);
    }

    /// Appends records to the topic, which is created if necessary.
    pub fn send(&self, values: impl IntoIterator<Item = String>) {
        self.send_bytes(values.into_iter().map(|value| Some(value.into_bytes())));
    }

    /// The same with values that are not text, and tombstones.
    pub fn send_bytes(&self, values: impl IntoIterator<Item = Option<Vec<u8>>>) {
        self.send_bytes_to(TOPIC, values);
    }

    /// Appends records to another topic, which is created if necessary.
    pub fn send_to(&self, topic: &str, values: impl IntoIterator<Item = String>) {
        self.send_bytes_to(topic, values.into_iter().map(|value| Some(value.into_bytes())));
    }

    fn send_bytes_to(&self, topic: &str, values: impl IntoIterator<Item = Option<Vec<u8>>>) {
        append(&self.kafka(), topic, values);
    }

    /// The broker's connection options.
    pub fn kafka(&self) -> KafkaOptions {
        KafkaOptions::new(&self.address)
    }

    /// The broker's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the program with these arguments in the directory.
    pub fn start(&self, args: &[&str]) -> Process {
        Process::start(program(self.dir.path()).args(args))
    }

    /// Starts `tidemill run p.toml` with more arguments. Its progress is appended to the testbed's.
    pub fn start_run(&self, args: &[&str]) -> Process {
        self.start(&[&["run", "p.toml", "--progress", "progress.jsonl"], args].concat())
    }

    /// Runs the program to its end.
    pub fn tidemill(&self, args: &[&str]) -> Ended {
        self.start(args).end()
    }

    /// Reads what is there with `run --available-now`, which must succeed.
    pub fn run_now(&self, args: &[&str]) -> Ended {
        let ended = self.start_run(&[&["--available-now"], args].concat()).end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }

    /// The progress records of all runs so far.
    pub fn progress(&self) -> Vec<Progress> {
        let text = std::fs::read_to_string(self.path("progress.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a progress record")).collect()
    }

    /// Number of records in the batches of the progress records.
    pub fn records_read(&self) -> u64 {
        self.progress().iter().map(|batch| batch.num_input_rows).sum()
    }

    /// The last row of each group in the files, over all batches.
    pub fn rows(&self) -> Groups {
        reference::rows(&self.path("rows"))
    }

    /// The expected rows: the topic counted row by row.
    pub fn expected(&self) -> Groups {
        reference::count(&self.kafka(), TOPIC)
    }

    /// The same for the topic and another one together.
    pub fn expected_with(&self, topic: &str) -> Groups {
        let mut groups = self.expected();
        for (group, (events, lines)) in reference::count(&self.kafka(), topic) {
            let found = groups.entry(group).or_default();
            *found = (found.0 + events, found.1.into_iter().chain(lines).reduce(|a, b| a + b));
        }
        groups
    }

    /// Reads to the end of the topic and compares all rows.
    pub fn finish_exactly(&self) {
        self.run_now(&[]);
        let expected = self.expected();
        assert!(!expected.is_empty());
        assert_eq!(self.rows(), expected);
    }
}

/// Appends records to a topic of any broker in turn, which is created with four partitions if necessary.
pub fn append(kafka: &KafkaOptions, topic: &str, values: impl IntoIterator<Item = Option<Vec<u8>>>) {
    let partitions = admin::ensure_topic(kafka, topic, Some(4)).expect("the topic is made");
    let config = kafka.config(&[("linger.ms", "1"), ("enable.idempotence", "true")], &[]);
    let producer: BaseProducer = config.create().expect("a producer");
    for (value, partition) in values.into_iter().zip((0..partitions).cycle()) {
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition);
        record.payload = value.as_deref();
        while let Err((_, unsent)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = unsent;
        }
    }
    producer.flush(Duration::from_secs(60)).expect("the broker acknowledges");
}

/// The program, to run in a directory.
pub fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(dir);
    command
}

/// `count` valid records, 20 per second of event time from `start` (seconds) on.
pub fn records(start: i64, count: usize) -> impl Iterator<Item = String> {
    let record = move |index: usize| {
        let (seconds, course, lines) = (start as f64 + index as f64 / 20.0, index % 7, index % 100);
        format!(r#"{{"timestamp": {seconds}, "course": "course {course}", "lines_of_code": {lines}}}"#)
    };
    (0..count).map(record)
}

/// A free port below those that the system assigns: a client that connects to a missing broker must not reach itself or
/// another test.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 1_000) as u16 * 20;
    until("a free port", || {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    })
}
