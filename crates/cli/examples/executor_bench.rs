//! Benchmark of an executor: the built binary, driven through its pipes as by a driver, on reference records of an
//! embedded broker.
//!
//! `cargo xtask bench executor`, or `executor_bench [RECORDS [STARTS]]` beside a built `target/release/tidemill`.
//! Prints records per CPU-second of the executor's process, the time from its start to its first result, and its idle
//! cost.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemill_broker::{Broker, BrokerConfig};
use tidemill_flow::setup::{Access, Input, Setup};
use tidemill_kafka::{KafkaOptions, admin};
use tidemill_link::{EncodedSetup, FromExecutor, Task, TaskCost, ToExecutor, VERSION, receive, send};
use tidemill_load::produce;
use tidemill_model::limits::TASK_RECORDS;
use tidemill_model::{Millis, OffsetRange, RawBytes, TaskCut, batch::cut_tasks, pipeline};

const PIPELINE: &str = include_str!("../../config/tests/reference.toml");
const TOPIC: &str = "cs_student_logs";
const CORES: usize = 2;
const REST: Duration = Duration::from_secs(5);

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let records = arguments.next().unwrap_or(2_000_000);
    let starts = arguments.next().unwrap_or(20);
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(BrokerConfig { dir: dir.path().into(), ..BrokerConfig::default() }).expect("a broker");
    let kafka = KafkaOptions::new(broker.local_addr().to_string());
    let load = produce::Options { count: Some(records), ..produce::Options::new(kafka.clone(), TOPIC) };
    produce::run(&load, &load.control(), |_| {}).expect("records");
    let extents = admin::extents(&kafka, TOPIC).expect("offsets").into_iter();
    let ranges: Vec<OffsetRange> =
        extents.map(|(partition, there)| OffsetRange { partition, start: there.start, end: there.end }).collect();
    let hello = hello(&kafka.bootstrap_servers);
    throughput(&hello, &ranges);
    first_results(&hello, &ranges[0], starts);
}

/// All ranges, cut into tasks like a large batch: as many at once as the executor has cores, each continuing where one
/// has ended.
fn throughput(hello: &ToExecutor, ranges: &[OffsetRange]) {
    let mut executor = Executor::start(hello);
    executor.ready();
    std::thread::sleep(Duration::from_secs(1));
    let fresh = executor.memory();
    let (start, cpu) = (Instant::now(), executor.cpu_seconds());
    let tasks = cut_tasks(ranges, TASK_RECORDS);
    let mut waiting: Vec<_> = tasks.chunks(tasks.len().div_ceil(CORES)).map(|tasks| tasks.iter()).collect();
    let (mut running, mut records, mut fetch_wait_us) = (0, 0, 0);
    let mut send = |executor: &mut Executor, core: usize| {
        let task = waiting[core].next();
        task.inspect(|ranges| executor.send(core as u64, (*ranges).clone())).is_some() as usize
    };
    for core in 0..CORES {
        running += send(&mut executor, core);
    }
    while running > 0 {
        let (core, folded, cost) = executor.result();
        records += folded;
        fetch_wait_us += cost.fetch_wait_us;
        running = running - 1 + send(&mut executor, core as usize);
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), executor.cpu_seconds() - cpu);
    let worked = executor.cpu_seconds();
    std::thread::sleep(REST);
    let idle = (executor.cpu_seconds() - worked) / REST.as_secs_f64();
    let rest = executor.memory();
    println!("figure records_per_cpu_s {:.0} records/CPU-s of the executor", records as f64 / cpu);
    println!("figure records_per_s {:.0} records/s", records as f64 / wall);
    println!("figure fetch_wait {:.3} of the workers' time", fetch_wait_us as f64 / 1e6 / wall / CORES as f64);
    println!("figure fresh_resident {:.1} MB", fresh.0);
    println!("figure fresh_proportional {:.1} MB", fresh.1);
    println!("figure rest_resident {:.1} MB", rest.0);
    println!("figure rest_proportional {:.1} MB", rest.1);
    println!("figure rest_cpu_percent {:.2} % of a core", 100.0 * idle);
}

/// Spawn → ready and spawn → result of a first, small task.
fn first_results(hello: &ToExecutor, range: &OffsetRange, starts: u64) {
    let range = OffsetRange { end: range.end.min(range.start + 1_000), ..range.clone() };
    let mut times: Vec<[Duration; 2]> = (0..starts)
        .map(|_| {
            let start = Instant::now();
            let mut executor = Executor::start(hello);
            executor.ready();
            let ready = start.elapsed();
            executor.send(0, vec![range.clone()]);
            let (_, records, _) = executor.result();
            assert_eq!(records, range.len() as u64);
            [ready, start.elapsed()]
        })
        .collect();
    for (name, column) in [("ready", 0), ("first_result", 1)] {
        times.sort_by_key(|times| times[column]);
        for (quantile, at) in [("median", times.len() / 2), ("p95", times.len() * 95 / 100)] {
            println!("figure {name}_{quantile} {:.1} ms", times[at][column].as_secs_f64() * 1e3);
        }
    }
}

fn hello(bootstrap_servers: &str) -> ToExecutor {
    let pipeline = tidemill_config::parse("reference.toml", PIPELINE, &[]).expect("the reference pipeline");
    let input = Input::Kafka {
        bootstrap_servers: bootstrap_servers.into(),
        client: pipeline::ClientChoice::Auto,
        properties: Vec::new(),
        whole_records: false,
        passes_over_lost: false,
    };
    let setup = Setup {
        plan: Arc::new(tidemill_sql::plan(&pipeline).expect("the reference query")),
        on_error: pipeline.on_error,
        access: Access { inputs: vec![input], ..Access::default() },
    };
    ToExecutor::Hello {
        version: VERSION,
        setup: EncodedSetup(RawBytes(setup.to_bytes())),
        cores: CORES as u32,
        max_records_per_second_per_core: None,
    }
}

/// An executor's process, killed when dropped.
struct Executor {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Executor {
    fn start(hello: &ToExecutor) -> Executor {
        let mut command = Command::new(program());
        command.arg("executor").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("target/release/tidemill, built");
        let mut stdin = child.stdin.take().expect("piped above");
        let stdout = BufReader::new(child.stdout.take().expect("piped above"));
        send(&mut stdin, hello).expect("an executor that listens");
        Executor { child, stdin, stdout }
    }

    fn ready(&mut self) {
        assert_eq!(self.receive(), FromExecutor::Ready);
    }

    fn send(&mut self, id: u64, ranges: TaskCut) {
        let (late_watermark, timestamp) = (Millis(i64::MIN), Millis(0));
        let task = Task { id, batch_id: 0, ranges, late_watermark, timestamp, seed: 0, set_aside: false };
        send(&mut self.stdin, &ToExecutor::Task(task)).expect("an executor that listens");
    }

    /// A task's number, its records, and its cost.
    fn result(&mut self) -> (u64, u64, TaskCost) {
        match self.receive() {
            FromExecutor::Done { id, partial, cost } => (id, partial.records, cost),
            other => panic!("{other:?}"),
        }
    }

    fn receive(&mut self) -> FromExecutor {
        receive(&mut self.stdout).expect("a message").expect("an executor that lives")
    }

    /// User and system time, in hundredths (Linux; 0 elsewhere).
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// Resident and proportional memory, MB of 10⁶ bytes (Linux; 0 elsewhere).
    fn memory(&self) -> (f64, f64) {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap_or_default();
        let of = |field: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
            line.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).unwrap_or_default() * 1024.0 / 1e6
        };
        (of("Rss:"), of("Pss:"))
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `target/release/tidemill`, two folders above this example.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a program's own path");
    let release = own.parent().and_then(|examples| examples.parent()).expect("target/release/examples");
    release.join(format!("tidemill{}", std::env::consts::EXE_SUFFIX))
}
