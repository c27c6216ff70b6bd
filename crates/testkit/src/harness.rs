//! The test harness: a pipeline with everything that outlives its driver, and drivers that run on it.

use crate::dead_letters::MemoryDeadLetters;
use crate::disk::SimDisk;
use crate::kills::Kills;
use crate::sink::MemorySink;
use crate::threads::threads;
use crate::topic::Topic;
use crate::transcript::Transcript;
use crate::virtual_time::Beside;
use arrow_array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tidemill_checkpoint::disk::Disk;
use tidemill_driver::{
    Job, Observer, SNAPSHOT_PART_BYTES_MIN, SnapshotWriter, Source, Spawn, Spawned, Summary, Supervisor, Wiring,
};
use tidemill_flow::encoded_rows::{Kept, RowsWriter};
use tidemill_flow::ports::{Sink, SinkCommitter};
use tidemill_flow::setup::Access;
use tidemill_model::pipeline::{MinOffsets, StartingOffsets, Trigger};
use tidemill_model::progress::Progress;
use tidemill_model::status::{Command, Status};
use tidemill_model::{Offsets, Result, SinkPart};
use tidemill_os::clock;
use tidemill_scale::{Decision, Facts, Settings, State};
use tidemill_sql::plan::QueryPlan;

/// A pipeline that counts the records `{"k": …}` by `k`.
pub const COUNT_BY_KEY: &str = r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "k BIGINT"
[query]
sql = "SELECT k, count(*) AS n FROM t GROUP BY k"
output_mode = "update"
[sinks.screen]
type = "console"
"#;

/// A driver that does nothing for this long hangs: the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Called before a sink's write, with the sink's number and the batch; may fail.
pub type BeforeWrite = Arc<dyn Fn(usize, u64) -> Result<()> + Send + Sync>;

/// Replaces an executor, given the number of executors started before; `None` starts a real one.
pub type SpawnOverride = Arc<dyn Fn(u32) -> Option<Result<Spawned>> + Send + Sync>;

/// A pipeline with its topic, checkpoint and sink. Drivers come and go; these stay. Clones share them.
#[derive(Clone)]
pub struct Harness {
    /// The text of the pipeline file. Its sources are replaced by [`Harness::topic`], read from the beginning; its
    /// sinks are ignored, and so is the mode of `[autoscale]`, unless [`Harness::autoscales`].
    pub pipeline: String,
    /// The topic of the records.
    pub topic: Topic,
    /// Other topics, by the name of their source.
    pub further_topics: BTreeMap<String, Topic>,
    /// The topic's name in progress records and in the checkpoint. Other topics append their source's name.
    pub description: String,
    /// The checkpoint's disk.
    pub disk: Arc<dyn Disk>,
    /// As [`Wiring::snapshot_bytes_min`]; small, so that a few batches cause a snapshot.
    pub snapshot_bytes_min: u64,
    /// As [`Wiring::snapshot_part_bytes_min`].
    pub snapshot_part_bytes_min: u64,
    /// Where snapshots are written.
    pub snapshot_writer: SnapshotWriter,
    /// The first sink.
    pub sink: MemorySink,
    /// Further sinks.
    pub further_sinks: Vec<MemorySink>,
    /// The dead letters, if kept.
    pub dead_letters: Option<MemoryDeadLetters>,
    /// Called before each write of a sink, with the sink's number and the batch's. Its error becomes the sink's error.
    pub before_write: Option<BeforeWrite>,
    /// Whether the sinks are other systems, which the driver waits for.
    pub remote_sinks: bool,
    /// Replaces executors, as long as it returns any.
    pub spawn_override: Option<SpawnOverride>,
    /// Kills executors at chosen points.
    pub kills: Option<Kills>,
    /// Number of executors.
    pub executors: u32,
    /// The autoscaler chooses their number by the pipeline's `[autoscale]`.
    pub autoscales: bool,
    /// Gets every decision, progress record, row and message.
    pub transcript: Option<Transcript>,
    /// Number of changes of size that were decided.
    size_changes: Arc<AtomicU64>,
    /// Number of records of committed batches that are in no row.
    left_out: Arc<AtomicU64>,
    /// Most offsets in a batch, over all partitions.
    pub max_offsets_per_trigger: Option<u64>,
    /// What a batch waits for.
    pub min_offsets: Option<MinOffsets>,
    /// Whether lost records end the run.
    pub fail_on_data_loss: bool,
}

/// A committed batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its progress record.
    pub progress: Progress,
    /// Its rows, one JSON object each.
    pub rows: Vec<String>,
    /// The rows as the sink got them.
    pub table: RecordBatch,
}

impl Harness {
    /// A topic of one partition, an empty checkpoint in memory, one executor.
    pub fn new(pipeline: &str) -> Harness {
        Harness {
            pipeline: pipeline.into(),
            topic: Topic::new(1),
            further_topics: BTreeMap::new(),
            description: "Topic".into(),
            disk: Arc::new(SimDisk::default()),
            snapshot_bytes_min: 64 << 10,
            snapshot_part_bytes_min: SNAPSHOT_PART_BYTES_MIN,
            snapshot_writer: SnapshotWriter::Inline,
            sink: MemorySink::default(),
            further_sinks: Vec::new(),
            dead_letters: None,
            before_write: None,
            remote_sinks: false,
            spawn_override: None,
            kills: None,
            executors: 1,
            autoscales: false,
            transcript: None,
            size_changes: Arc::default(),
            left_out: Arc::default(),
            max_offsets_per_trigger: None,
            min_offsets: None,
            fail_on_data_loss: true,
        }
    }

    /// Runs a driver until the topic is processed ("backlog": available now, each put is a batch, then no-data
    /// batches). Returns the committed batches.
    ///
    /// # Errors
    /// The driver's error.
    pub fn run(&self) -> Result<Vec<Batch>> {
        let mut running = self.start_bounded()?;
        let mut batches = Vec::new();
        while let Ok(told) = clock::receive_until(&running.told, clock::now() + PATIENCE) {
            batches.extend(told.batch());
        }
        running.end()?;
        Ok(batches)
    }

    /// Changes of size that drivers have decided.
    pub fn size_changes(&self) -> u64 {
        self.size_changes.load(Ordering::SeqCst)
    }

    /// Records of committed batches that are in no row: bad ones, and those whose executors died again and again.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::SeqCst)
    }

    /// Starts a driver that waits for records.
    ///
    /// # Errors
    /// The pipeline has a mistake.
    pub fn start(&self) -> Result<RunningDriver> {
        self.start_with(Trigger::AsSoonAsPossible)
    }

    /// Starts a driver that reads what is there and ends.
    ///
    /// # Errors
    /// The pipeline has a mistake.
    pub fn start_bounded(&self) -> Result<RunningDriver> {
        self.start_with(Trigger::AvailableNow)
    }

    fn start_with(&self, trigger: Trigger) -> Result<RunningDriver> {
        let job = self.job(trigger)?;
        let (commands, inbox) = channel();
        let (events, told) = channel();
        let (held, released) = channel();
        let tables: Vec<String> = job.plan.branches.iter().map(|branch| branch.table.clone()).collect();
        let topics: Vec<Topic> = (0..).zip(&tables).map(|(number, table)| self.topic(number, table)).collect();
        let (own_topics, own_tables) = (topics.clone(), tables.clone());
        let harness = self.clone();
        let driver = Beside::spawn(move || {
            let wiring = Wiring {
                sources: tables.iter().zip(&topics).map(|(table, topic)| harness.source(table, topic)).collect(),
                sinks: harness.held_sinks(&job.plan, &held),
                dead_letters: harness.dead_letters.as_ref().map(MemoryDeadLetters::committer),
                access: Access::default(),
                spawn: harness.spawn(&topics),
                limits: "threads of the test".into(),
                disk: harness.disk,
                snapshot_bytes_min: harness.snapshot_bytes_min,
                snapshot_part_bytes_min: harness.snapshot_part_bytes_min,
                snapshot_writer: harness.snapshot_writer,
                commands: inbox,
                observer: Box::new(EventObserver {
                    events,
                    sink: harness.sink,
                    transcript: harness.transcript,
                    size_changes: harness.size_changes,
                    left_out: harness.left_out,
                }),
                supervisor: Supervisor::default(),
            };
            drop(held);
            tidemill_driver::run(job, wiring)
        });
        let (topics, tables) = (own_topics, own_tables);
        Ok(RunningDriver { topics, tables, driver: Some(driver), told, commands, released, idle_at: None })
    }

    /// The topic of the branch of this number.
    fn topic(&self, number: u32, table: &str) -> Topic {
        self.further_topics.get(table).unwrap_or(&self.topic).clone().of_source(number)
    }

    fn source(&self, table: &str, topic: &Topic) -> Source {
        let description = match self.further_topics.contains_key(table) {
            true => format!("{}[{table}]", self.description),
            false => self.description.clone(),
        };
        Source {
            watch: topic.watch(),
            description,
            starting_offsets: StartingOffsets::Earliest,
            max_offsets_per_trigger: self.max_offsets_per_trigger,
            min_offsets: self.min_offsets,
            fail_on_data_loss: self.fail_on_data_loss,
        }
    }

    fn spawn(&self, topics: &[Topic]) -> Spawn {
        let sinks = 1 + self.further_sinks.len();
        let mut real = threads(topics, sinks, self.dead_letters.as_ref(), self.kills.clone().unwrap_or_default());
        let Some(spawn_override) = self.spawn_override.clone() else { return real };
        let mut started = 0;
        Box::new(move || {
            started += 1;
            spawn_override(started - 1).unwrap_or_else(&mut real)
        })
    }

    fn held_sinks(&self, query: &QueryPlan, held: &Sender<()>) -> Vec<Sink> {
        let sinks = [&self.sink].into_iter().chain(&self.further_sinks).enumerate();
        let hold = |(number, sink): (usize, &MemorySink)| {
            sink.expect_columns(query.output_schema.clone());
            let committer = HeldSink {
                number,
                sink: sink.clone(),
                before_write: self.before_write.clone(),
                is_remote: self.remote_sinks,
                _held: held.clone(),
            };
            Sink::new(RowsWriter::new(Kept::All), committer)
        };
        sinks.map(hold).collect()
    }

    fn job(&self, trigger: Trigger) -> Result<Job> {
        let set = [("autoscale.mode", "pinned".to_owned()), ("autoscale.max_executors", self.executors.to_string())];
        let set = set.map(|(key, value)| (key.to_owned(), value));
        let set = if self.autoscales { &[][..] } else { &set };
        let pipeline = tidemill_config::parse("test.toml", &self.pipeline, set)?;
        let plan = tidemill_sql::plan(&pipeline)?;
        Ok(Job { trigger, plan: Arc::new(plan), pipeline: Arc::new(pipeline) })
    }
}

/// A running driver. Dropping it stops the driver after the batch in flight.
pub struct RunningDriver {
    /// By source number.
    topics: Vec<Topic>,
    /// Names of the sources.
    tables: Vec<String>,
    driver: Option<Beside<Result<Summary>>>,
    told: Receiver<Event>,
    commands: Sender<Command>,
    /// Disconnected when the committer has released the sinks and the checkpoint.
    released: Receiver<()>,
    idle_at: Option<Offsets>,
}

impl RunningDriver {
    /// Waits until the topic is committed, including the no-data batches that this makes due ("drained"). Returns the
    /// batches committed since the last call.
    ///
    /// # Errors
    /// The driver's error.
    pub fn settle(&mut self) -> Result<Vec<Batch>> {
        let ends = Offsets(self.topics.iter().flat_map(|topic| topic.ends().0).collect());
        let mut batches = Vec::new();
        while self.idle_at.as_ref() != Some(&ends) {
            match clock::receive_until(&self.told, clock::now() + PATIENCE) {
                Ok(Event::Idle(positions)) => self.idle_at = Some(positions),
                Ok(told) => batches.extend(told.batch()),
                Err(_) => {
                    self.end()?;
                    panic!("the driver ended unexpectedly");
                }
            }
        }
        Ok(batches)
    }

    /// Puts values into the topics of sources by name, as one batch.
    pub fn put_together(&self, batch: &BTreeMap<String, Vec<String>>) {
        let sources = self.tables.iter().zip(&self.topics);
        let puts = sources.filter_map(|(table, topic)| Some((topic.clone(), batch.get(table)?.as_slice())));
        Topic::put_together(&puts.collect::<Vec<_>>());
    }

    /// Whether the driver has ended.
    pub fn has_ended(&self) -> bool {
        self.driver.as_ref().is_none_or(Beside::has_ended)
    }

    /// The channel for users' commands.
    pub fn commands(&self) -> Sender<Command> {
        self.commands.clone()
    }

    /// Stops the driver after the batch in flight.
    ///
    /// # Errors
    /// The driver's error.
    pub fn stop(mut self) -> Result<Summary> {
        self.end()
    }

    /// Waits until the driver has ended and released everything.
    fn end(&mut self) -> Result<Summary> {
        let Some(driver) = self.driver.take() else { return Ok(Summary::default()) };
        // A driver that has ended needs no command.
        let _ = self.commands.send(Command::Stop);
        let result = driver.join().expect("the driver does not panic");
        while clock::receive_until(&self.released, clock::now() + PATIENCE).is_ok() {}
        result
    }
}

impl Drop for RunningDriver {
    fn drop(&mut self) {
        // A failing test reports its own reason.
        let _ = self.end();
    }
}

enum Event {
    Batch(Box<Batch>),
    Idle(Offsets),
}

impl Event {
    fn batch(self) -> Option<Batch> {
        match self {
            Event::Batch(batch) => Some(*batch),
            Event::Idle(_) => None,
        }
    }
}

struct EventObserver {
    events: Sender<Event>,
    sink: MemorySink,
    transcript: Option<Transcript>,
    size_changes: Arc<AtomicU64>,
    left_out: Arc<AtomicU64>,
}

impl Observer for EventObserver {
    fn batch(&mut self, progress: &Progress) {
        let own = &progress.tidemill;
        let accounted = own.rows + own.filtered + own.left_out.total();
        self.left_out.fetch_add(own.left_out.total(), Ordering::SeqCst);
        assert_eq!(accounted, progress.num_input_rows, "every record of a batch is accounted for: {own:?}");
        let (rows, table) = (self.sink.rows(progress.batch_id), self.sink.newest());
        let batch = Batch { progress: progress.clone(), rows, table };
        if let Some(transcript) = &self.transcript {
            transcript.batch(progress, &batch.rows);
        }
        // The receiver may be gone.
        let _ = self.events.send(Event::Batch(Box::new(batch)));
    }

    fn deciding(&mut self, settings: &Settings, state: &State) {
        if let Some(transcript) = &self.transcript {
            transcript.begin(settings, state);
        }
    }

    fn decision(&mut self, facts: &Facts, decision: &Decision) {
        if let Some(transcript) = &self.transcript {
            transcript.decision(facts, decision);
        }
        self.size_changes.fetch_add(u64::from(decision.acts()), Ordering::SeqCst);
    }

    fn status(&mut self, _: &Status) {}

    fn note(&mut self, note: &str) {
        if let Some(transcript) = &self.transcript {
            transcript.note(note);
        }
    }

    fn idle(&mut self, positions: &Offsets) {
        let _ = self.events.send(Event::Idle(positions.clone()));
    }
}

/// A sink with a hook before its writes. It reports when it is released.
struct HeldSink {
    number: usize,
    sink: MemorySink,
    before_write: Option<BeforeWrite>,
    is_remote: bool,
    _held: Sender<()>,
}

impl SinkCommitter for HeldSink {
    fn description(&self) -> String {
        self.sink.description()
    }

    fn commit(&mut self, batch_id: u64, parts: &[SinkPart], replayed: bool) -> Result<()> {
        if let Some(before_write) = &self.before_write {
            before_write(self.number, batch_id)?;
        }
        self.sink.commit(batch_id, parts, replayed)
    }

    fn is_remote(&self) -> bool {
        self.is_remote
    }
}
