//! `tidemill demo`: the whole engine in one process tree, and a check of all results at the end.
//!
//! ```text
//!  this thread: demo ── rate, producers ──► load thread ──► broker ◄── executors ◄── driver thread
//!               view, report ◄────────────────── status, progress, results ──────────────┘
//! ```

mod chaos;
mod display;
mod journal;
mod phases;
mod pipeline;
mod reference;
mod report;

use crate::args::{DemoOptions, SparkOptions};
use crate::observer::{JsonLinesFile, RunObserver, TextLog};
use crate::{children, signals, verbs, wiring};
use chaos::Chaos;
use display::Display;
use journal::Journal;
use phases::Phase;
use pipeline::Variant;
use report::Report;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidemill_broker::{Broker, BrokerConfig};
use tidemill_checkpoint::SNAPSHOT_BYTES_MIN;
use tidemill_checkpoint::disk::OsDisk;
use tidemill_dash::Dashboard;
use tidemill_driver::{SNAPSHOT_PART_BYTES_MIN, SnapshotWriter, Summary, Supervisor, Wiring};
use tidemill_kafka::{KafkaOptions, admin};
use tidemill_load::{Control, Rate, produce, records};
use tidemill_model::status::{Command, Status};
use tidemill_model::{Error, Result};
use tidemill_os::output::{self, Stream};
use tidemill_os::thread::{Job, Panic};

/// Partitions of the demo's topic.
const PARTITIONS: i32 = 4;

/// JSON lines of the driver: one progress record per batch, and all facts and decisions of the autoscaler.
const PROGRESS: &str = "progress.jsonl";
const DECISIONS: &str = "decisions.jsonl";

/// The journal. A directory with this file is a demo's directory.
const JOURNAL: &str = "journal.json";

/// Options of Spark's Java processes in a demo.
const QUICK_JAVA: &str = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1";

/// Interval of the demo's loop.
const STEP: Duration = Duration::from_millis(50);

/// Interval at which a long scan reports its progress.
const SCAN_WORD: Duration = Duration::from_secs(2);

/// The load is over for so long that the next record is no part of it.
const SILENCE: Duration = Duration::from_secs(5);

/// Runs the demo. On Spark, then the same with the local engine.
///
/// # Errors
/// External: something failed, or the results are wrong. User: an option is wrong, the directory is in use.
pub(crate) fn run(options: &DemoOptions) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    signals::on_interrupt(move || flag.store(true, Ordering::Relaxed))?;
    let scale = Scale::of(options);
    let Some(report) = play(options, scale, &interrupted)? else { return told_interrupted() };
    if !options.is_on_spark() {
        return conclude_with(options, &report);
    }
    output::line(&format!("\n{}\n\nNow the same load with the local engine.", report.text()));
    let here = DemoOptions { engine: "local".into(), dir: None, spark: SparkOptions::default(), ..options.clone() };
    let Some(local) = play(&here, scale, &interrupted)? else { return told_interrupted() };
    output::line(&format!("\n{}", Report::beside(&report, &local)));
    conclude_with(options, &report)
}

fn told_interrupted() -> Result<()> {
    output::line("interrupted: everything was stopped cleanly; there is no report");
    Ok(())
}

/// Plays once; `None` if the user interrupted.
fn play(options: &DemoOptions, scale: Scale, interrupted: &Arc<AtomicBool>) -> Result<Option<Report>> {
    let dir = DemoDir::open(options)?;
    let mut demo = Demo::start(options, scale, dir, interrupted.clone())?;
    let told = demo.tell();
    let report = told.and_then(|()| demo.conclude());
    demo.leave_no_topic();
    demo.display.close();
    report
}

/// How long and how large a demo is.
#[derive(Clone, Copy)]
struct Scale {
    duration: Duration,
    variant: Variant,
    /// After the load has ended, backlog and executors must be gone within this time.
    settle: Duration,
}

impl Scale {
    fn of(options: &DemoOptions) -> Scale {
        let on_spark = options.is_on_spark();
        let usual = Duration::from_secs(if on_spark { 300 } else { 90 });
        let duration = options.duration.unwrap_or(usual);
        let limit = if on_spark { phases::LIMIT_PER_CORE_BESIDE_SPARK } else { phases::LIMIT_PER_CORE };
        let hold_ms = (duration.as_millis() as u64 / 30).clamp(1_000, if on_spark { 6_000 } else { 3_000 });
        Scale {
            duration,
            variant: Variant {
                limit: (!options.full_speed).then_some(limit),
                hold_ms,
                slo_s: if on_spark { 15 } else { 5 },
            },
            settle: Duration::from_secs(if on_spark { 400 } else { 180 }),
        }
    }
}

fn conclude_with(options: &DemoOptions, report: &Report) -> Result<()> {
    if !options.is_on_spark() {
        output::line(&format!("\n{}", report.text()));
    }
    if let Some(path) = &options.report {
        let json = serde_json::to_string_pretty(report).expect("a report serialises");
        std::fs::write(path, json + "\n").map_err(|error| {
            Error::external(format!("cannot write `{}`: {error}; give another path with --report", path.display()))
        })?;
        output::line(&format!("report    in {}", path.display()));
    }
    if report.holds() {
        output::line("\nNothing lost, nothing counted twice, every row right.");
        Ok(())
    } else {
        Err(Error::external(
            "the results are NOT right: see the report above; keep the files with --dir to look into it",
        ))
    }
}

/// The demo's directory.
struct DemoDir {
    dir: PathBuf,
    /// Deletes the files at the end.
    temporary: Option<tempfile::TempDir>,
}

impl DemoDir {
    fn open(options: &DemoOptions) -> Result<DemoDir> {
        if let Some(dir) = &options.dir {
            std::fs::create_dir_all(dir).map_err(|error| {
                Error::user(format!("cannot make `{}`: {error}; give another --dir", dir.display()))
            })?;
            let dir = DemoDir { dir: dir.canonicalize()?, temporary: None };
            if !dir.path(JOURNAL).exists() && std::fs::read_dir(&dir.dir)?.next().is_some() {
                let message =
                    "is not empty and is not a demo's directory; give an empty --dir, or one that does not exist yet";
                return Err(Error::user(format!("`{}` {message}", dir.dir.display())));
            }
            return Ok(dir);
        }
        let temporary = tempfile::Builder::new().prefix("tidemill-demo-").tempdir()?;
        Ok(DemoDir { dir: temporary.path().to_owned(), temporary: Some(temporary) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether the user asked to keep the files.
    fn stays(&self) -> bool {
        self.temporary.is_none()
    }
}

struct Demo {
    dir: DemoDir,
    kafka: KafkaOptions,
    topic: String,
    phases: Vec<Phase>,
    on_spark: bool,
    settle: Duration,
    journal: Journal,
    display: Display,
    control: Arc<Control>,
    latest: Arc<Mutex<Status>>,
    commands: Sender<Command>,
    driver: Option<Job<Result<Summary>>>,
    load: Option<Job<Result<produce::Summary>>>,
    chaos: Vec<Chaos>,
    interrupted: Arc<AtomicBool>,
    started: Instant,
    cold_start_ms: Option<u64>,
    // Last, so that it outlives its clients.
    broker: Option<Broker>,
}

impl Demo {
    fn start(options: &DemoOptions, scale: Scale, dir: DemoDir, interrupted: Arc<AtomicBool>) -> Result<Demo> {
        let mut display = Display::open(options.headless);
        let mut journal = Journal::open(&dir.path(JOURNAL))?;
        let (broker, servers) = match &options.bootstrap_servers {
            Some(servers) => (None, servers.clone()),
            None => {
                let config =
                    BrokerConfig { dir: dir.path("broker"), default_partitions: PARTITIONS, ..Default::default() };
                let broker = verbs::broker::start_near(config)?;
                let servers = broker.local_addr().to_string();
                (Some(broker), servers)
            }
        };
        let topic = journal.topic(options.bootstrap_servers.is_some());
        let kafka = KafkaOptions { client_options: options.option.clone(), ..KafkaOptions::new(servers.clone()) };
        verbs::produce::check_options(&kafka)?;
        make_topic(&kafka, &topic, broker.is_none() && journal.run() == 1)?;
        journal.run_begins()?;
        let text = pipeline::text(&servers, &topic, &dir.path("results"), scale.variant);
        let file = dir.path("pipeline.toml");
        std::fs::write(&file, &text)?;

        let (commands, inbox) = channel();
        let mut supervisor = Supervisor::default();
        let dashboard = (!options.headless).then_some(options.dashboard.as_str());
        let dashboard = dashboard.map(|listen| wiring::dashboard(listen, &commands, &mut supervisor)).transpose()?;
        let latest = Arc::new(Mutex::new(Status::default()));
        let (said, sayings) = channel();
        let observer =
            RunObserver { dashboard: dashboard.clone(), latest: Some(latest.clone()), ..RunObserver::default() };
        let job = wiring::plan(&file.display().to_string(), &text, &pipeline::set(&options.option))?;
        let driver = match options.is_on_spark() {
            true => start_on_spark(&dir, options, job, (inbox, &commands), observer, said)?,
            false => start_driver(&dir, job, (inbox, &commands), observer, supervisor, said)?,
        };
        let load = load_options(&kafka, &topic, options.seed, journal.run());
        let control = Arc::new(Control::new(Rate::PerSecond(0.0), 1));
        let shared = control.clone();
        let load = Job::spawn("load", move || produce::run(&load, &shared, |_| {}))?;
        display.listen(sayings);
        let mut demo = Demo {
            phases: phases::phases(scale.duration, scale.variant.limit),
            on_spark: options.is_on_spark(),
            settle: scale.settle,
            chaos: Chaos::all(options.kill_every, options.stop_every),
            dir,
            kafka,
            topic,
            journal,
            display,
            control,
            latest,
            commands,
            driver: Some(driver),
            load: Some(load),
            interrupted,
            started: Instant::now(),
            cold_start_ms: None,
            broker,
        };
        demo.introduce(options, &servers, dashboard.as_deref(), scale.variant);
        Ok(demo)
    }

    fn introduce(
        &mut self,
        options: &DemoOptions,
        servers: &str,
        dashboard: Option<&Dashboard>,
        Variant { limit, hold_ms, .. }: Variant,
    ) {
        let kind = if options.bootstrap_servers.is_some() { "Kafka" } else { "embedded broker" };
        self.display.say(&format!("{kind} on {servers}, topic {} with {PARTITIONS} partitions", self.topic));
        if let Some(dashboard) = dashboard {
            self.display.dashboard(&dashboard.url());
        }
        if let Some(limit) = limit.filter(|_| self.on_spark) {
            self.display.say(&format!(
                "the autoscaler is told that an executor's core does {limit:.0} records/s, so that this machine's load needs all sizes"
            ));
        } else if let Some(limit) = limit {
            self.display.say(&format!(
                "each executor is limited to {limit:.0} records/s per core, so that a small machine can show all sizes (--full-speed: no limit)"
            ));
        }
        self.display
            .say(&format!("hold times are shorter than in production: {hold_ms} ms for idle timeout and shrinking"));
        if self.journal.run() > 1 {
            let at = self.journal.elapsed().as_secs_f64();
            self.display.say(&format!(
                "going on at second {at:.0} of the demo, run {} on {}",
                self.journal.run(),
                self.dir.dir.display()
            ));
        }
    }

    /// Runs the phases, then waits for zero executors, then sends one record.
    fn tell(&mut self) -> Result<()> {
        // Spark's start is no part of the scenario.
        let is_there = |demo: &Demo| demo.latest().now_ms > 0;
        while !is_there(self) && self.step()? {
            self.started = Instant::now();
        }
        while let Some(phase) = phases::at(&self.phases, self.journal.elapsed()).cloned() {
            self.control.set_rate(phase.rate);
            self.control.set_producers(phase.producers);
            self.display.phase(phase.name, phase.text);
            while self.journal.elapsed() < phase.until {
                if !self.step()? {
                    return Ok(());
                }
            }
        }
        self.chaos.clear();
        self.control.set_rate(Rate::PerSecond(0.0));
        self.display.phase("quiet again", "the rest drains, the last executor goes");
        if !self.wait_for(|status| status.backlog == 0 && status.executors.is_empty() && status.activity == "idle")? {
            return Ok(());
        }
        self.single_record()
    }

    /// Sends one record after a silence, and measures the time until its result is out.
    fn single_record(&mut self) -> Result<()> {
        self.display.phase("one record", "after a silence, from zero executors: how long to its result?");
        let until = Instant::now() + SILENCE;
        if !self.wait_for(|_| Instant::now() >= until)? {
            return Ok(());
        }
        let before = self.latest().batch_id;
        self.control.send_now(1);
        if !self.wait_for(|status| status.batch_id > before && status.backlog == 0 && status.activity == "idle")? {
            return Ok(());
        }
        let progress = reference::read_progress(&self.dir.path(PROGRESS))?;
        let answer = progress.iter().rev().find(|record| record.num_input_rows == 1 && Some(record.batch_id) > before);
        self.cold_start_ms = answer.map(|record| record.tidemill.age_p99_ms);
        if let Some(ms) = self.cold_start_ms {
            self.display.say(&format!("one record, from zero executors to its result: {ms} ms"));
        }
        if self.on_spark {
            // A Worker needs longer to go than an executor of the local engine.
            self.wait_for(|status| status.executors.is_empty())?;
        }
        Ok(())
    }

    /// Runs steps until the status satisfies `so`; false if the user wants to end.
    fn wait_for(&mut self, so: impl Fn(&Status) -> bool) -> Result<bool> {
        let patience = Instant::now() + self.settle;
        while Instant::now() < patience {
            if !self.step()? {
                return Ok(false);
            }
            if so(&self.latest()) {
                return Ok(true);
            }
        }
        let status = self.latest().clone();
        Err(Error::external(format!(
            "after {} s the backlog is still {} and {} executors live ({}); is the machine too busy?",
            self.settle.as_secs(),
            status.backlog,
            status.executors.len(),
            status.activity
        )))
    }

    /// One step of the loop; false if the user wants to end.
    fn step(&mut self) -> Result<bool> {
        std::thread::sleep(STEP);
        let status = self.latest().clone();
        self.journal.note(self.started.elapsed(), &status, self.control.counters())?;
        self.display.update(&status, self.journal.elapsed());
        for chaos in &mut self.chaos {
            if let Some(words) = chaos.strike(&status) {
                self.journal.struck(chaos.kind());
                self.display.say(&words);
            }
        }
        early_end("the driver", &mut self.driver)?;
        early_end("the load", &mut self.load)?;
        if Stream::Out.is_abandoned() {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        Ok(!self.interrupted.load(Ordering::Relaxed))
    }

    fn latest(&self) -> MutexGuard<'_, Status> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything, scans the topic and builds the report. `None` if the user interrupted.
    fn conclude(&mut self) -> Result<Option<Report>> {
        self.control.stop();
        if let Some(load) = self.load.take() {
            ended("the load", load.end())?;
        }
        // If the driver is gone, its error is reported elsewhere.
        let _ = self.commands.send(Command::Stop);
        let summary = match self.driver.take() {
            Some(driver) => ended("the driver", driver.end())?,
            None => Summary::default(),
        };
        let status = self.latest().clone();
        self.journal.note(self.started.elapsed(), &status, self.control.counters())?;
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.display.phase("proof", "a row-at-a-time scan of the topic is compared with every row that was written");
        let topic = self.scan(status.records)?;
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.verify(&topic, &summary).map(Some)
    }

    /// Compares the scan with what was written, and builds the report.
    fn verify(&mut self, topic: &reference::Topic, summary: &Summary) -> Result<Report> {
        let progress = reference::read_progress(&self.dir.path(PROGRESS))?;
        let written = tidemill_files::read_batches(&self.dir.path("results"))?.collect::<Result<_>>()?;
        let verdict = reference::verify(topic, written, &progress);
        let used = self.journal.executor_seconds(summary.executor_seconds);
        let always = 4.0 * self.journal.elapsed().as_secs_f64();
        let mut report = Report {
            produced: verdict.produced,
            counted: verdict.counted,
            lost: verdict.lost,
            duplicated: verdict.duplicated,
            set_aside: verdict.set_aside,
            late_window_updates: verdict.late,
            rows_checked: verdict.rows_checked,
            rows_wrong: verdict.rows_wrong,
            faults: summary.faults,
            executor_seconds: used,
            static_executor_seconds: always,
            saved_percent: 100.0 * (1.0 - used / always),
            age_p50_ms: summary.age_p50_ms,
            age_p99_ms: summary.age_p99_ms,
            cold_start_ms: self.cold_start_ms,
            max_executors_seen: self.journal.most(),
            min_executors_seen: self.journal.least(),
            executors_killed: self.journal.kills(),
            executors_stopped: self.journal.stops(),
            runs: self.journal.run(),
            decisions: report::decisions(&self.dir.path(DECISIONS))?,
        };
        if let Some(words) = self.journal.check_counts(verdict.produced) {
            report.rows_wrong += 1;
            self.display.say(&words);
        }
        verdict.differences.iter().for_each(|difference| self.display.say(difference));
        Ok(report)
    }

    /// Deletes the topic on another Kafka, unless the demo will continue there.
    fn leave_no_topic(&mut self) {
        if self.broker.is_some() || self.dir.stays() {
            return;
        }
        let words = match admin::delete_topic(&self.kafka, &self.topic) {
            Ok(()) => format!("topic {} is deleted", self.topic),
            Err(error) => error.to_string(),
        };
        self.display.say(&words);
    }

    /// Scans the topic record by record; stops when the user interrupts.
    fn scan(&mut self, expected: u64) -> Result<reference::Topic> {
        let mut topic = reference::Topic::default();
        let mut said = Instant::now();
        tidemill_kafka::scan(&self.kafka, &self.topic, |partition, offset, _, _, value| {
            topic.add(partition, offset, value);
            if said.elapsed() > SCAN_WORD {
                said = Instant::now();
                self.display.say(&format!("{} of {expected} records scanned", topic.records()));
            }
            if self.interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(topic)
    }
}

/// Makes the topic. On another Kafka it must be the demo's own, which deletes it at the end.
fn make_topic(kafka: &KafkaOptions, topic: &str, must_be_new: bool) -> Result<()> {
    if must_be_new && admin::partition_count(kafka, topic)?.is_some() {
        return Err(Error::user(format!("topic `{topic}` is there already; delete it, or start the demo again")));
    }
    admin::ensure_topic(kafka, topic, Some(PARTITIONS)).map(drop)
}

fn load_options(kafka: &KafkaOptions, topic: &str, seed: u64, run: u64) -> produce::Options {
    produce::Options {
        rate: Rate::PerSecond(0.0),
        // A continued run makes other records than the killed one.
        seed: seed.wrapping_add(run << 32),
        records: records::Options { late: 0.01, late_by: Duration::from_secs(20), malformed: 0.005 },
        ..produce::Options::new(kafka.clone(), topic)
    }
}

/// Fails if a thread that should still run has ended.
fn early_end<T: Send + 'static>(name: &str, job: &mut Option<Job<Result<T>>>) -> Result<()> {
    let Some(end) = job.as_ref().and_then(Job::try_end) else { return Ok(()) };
    *job = None;
    ended(name, end)?;
    Err(Error::internal(format!("{name} ended by itself; start the demo again")))
}

/// The result of a thread.
fn ended<T>(name: &str, end: Result<Result<T>, Panic>) -> Result<T> {
    end.unwrap_or_else(|panic| {
        Err(Error::internal(format!("{name} {panic}; this is a bug in Tidemill, please report it")))
    })
}

/// Spark instead of the driver.
fn start_on_spark(
    dir: &DemoDir,
    options: &DemoOptions,
    job: tidemill_driver::Job,
    (inbox, commands): (Receiver<Command>, &Sender<Command>),
    observer: RunObserver,
    said: Sender<String>,
) -> Result<Job<Result<Summary>>> {
    // Processes that live for a minute or two are done before Java's second compiler would pay.
    let quick = ["spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"]
        .map(|key| (key.to_owned(), QUICK_JAVA.to_owned()));
    let spark = SparkOptions {
        spark_conf: quick.into_iter().chain(options.spark.spark_conf.iter().cloned()).collect(),
        ..options.spark.clone()
    };
    let run = verbs::spark::runner(job, &spark, &dir.path("checkpoint"), commands.clone(), inbox)?;
    let (progress, decisions) = (dir.path(PROGRESS), dir.path(DECISIONS));
    Ok(Job::spawn("driver", move || run(watched(observer, &progress, &decisions, said)?))?)
}

/// The observer with the demo's logs.
fn watched(observer: RunObserver, progress: &Path, decisions: &Path, said: Sender<String>) -> Result<RunObserver> {
    Ok(RunObserver {
        progress: Some(JsonLinesFile::open(progress)?),
        decisions: Some(JsonLinesFile::open(decisions)?),
        // At the very end the receiver may be gone.
        log: Some(TextLog::new(false, move |text| drop(said.send(text.to_owned())))),
        ..observer
    })
}

fn start_driver(
    dir: &DemoDir,
    job: tidemill_driver::Job,
    (inbox, commands): (Receiver<Command>, &Sender<Command>),
    observer: RunObserver,
    supervisor: Supervisor,
    said: Sender<String>,
) -> Result<Job<Result<Summary>>> {
    let sinks = wiring::sinks(&job, commands)?;
    let (sources, access) = (wiring::sources(&job)?, wiring::access(&job));
    let disk = Arc::new(OsDisk::open(&dir.path("checkpoint"))?);
    let (spawn, limits) = children::spawn(&job.pipeline.autoscale)?;
    let (progress, decisions) = (dir.path(PROGRESS), dir.path(DECISIONS));
    let driver = Job::spawn("driver", move || {
        let observer = Box::new(watched(observer, &progress, &decisions, said)?);
        let (commands, dead_letters, snapshot_bytes_min) = (inbox, None, SNAPSHOT_BYTES_MIN);
        tidemill_driver::run(
            job,
            Wiring {
                sources,
                sinks,
                dead_letters,
                access,
                disk,
                snapshot_bytes_min,
                snapshot_part_bytes_min: SNAPSHOT_PART_BYTES_MIN,
                snapshot_writer: SnapshotWriter::Thread,
                spawn,
                limits,
                commands,
                observer,
                supervisor,
            },
        )
    })?;
    Ok(driver)
}
