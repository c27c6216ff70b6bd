//! The harness: a pipeline with all that outlives its driver, and drivers that run on it.

use crate::dead_letters::MemoryDeadLetters;
use crate::disk::SimDisk;
use crate::kills::Kills;
use crate::sink::MemorySink;
use crate::threads::threads;
use crate::topic::Topic;
use arrow_array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tidemill_checkpoint::disk::Disk;
use tidemill_driver::{Job, Observer, Source, Spawn, Spawned, Summary, Supervisor, Wiring};
use tidemill_flow::ports::Sink;
use tidemill_model::pipeline::{StartingOffsets, Trigger};
use tidemill_model::progress::Progress;
use tidemill_model::status::{Command, Status};
use tidemill_model::{Offsets, Result};
use tidemill_scale::{Decision, Facts, Settings, State};

/// A driver that does nothing for so long hangs: the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What may keep a sink from writing.
pub type BeforeWrite = Arc<dyn Fn(usize, u64) -> Result<()> + Send + Sync>;

/// Executors that are none, by how many were started before.
pub type SpawnOverride = Arc<dyn Fn(u32) -> Option<Result<Spawned>> + Send + Sync>;

/// A pipeline with its topic, checkpoint and sink. A driver comes and goes; these stay. Clones share them.
#[derive(Clone)]
pub struct Harness {
    /// The pipeline file's text. Whatever its sources are, [`Harness::topic`] is read, from the beginning; its sinks and
    /// `[autoscale]` do not count either.
    pub pipeline: String,
    /// Where records are put.
    pub topic: Topic,
    /// Where the records of these sources, by name, are put instead.
    pub further_topics: BTreeMap<String, Topic>,
    /// What progress records and the checkpoint call the topic; a further one has its source's name behind it.
    pub description: String,
    /// Where the checkpoint is.
    pub disk: Arc<dyn Disk>,
    /// As [`Wiring::snapshot_bytes_min`]; small, so that a few batches bring a snapshot.
    pub snapshot_bytes_min: u64,
    /// Where rows go.
    pub sink: MemorySink,
    /// Where they go after that.
    pub further_sinks: Vec<MemorySink>,
    /// Where dead letters are kept, if they are.
    pub dead_letters: Option<MemoryDeadLetters>,
    /// Asked before each write of a sink, with the sink's number and the batch's; what it fails with, the sink does.
    pub before_write: Option<BeforeWrite>,
    /// Starts these executors instead of the real ones, as long as it gives any.
    pub understudies: Option<SpawnOverride>,
    /// Who kills executors.
    pub kills: Option<Kills>,
    /// Executors that run.
    pub executors: u32,
    /// Changes of size that were decided.
    size_changes: Arc<AtomicU64>,
    /// Records of committed batches that are in no row.
    left_out: Arc<AtomicU64>,
    /// Bound of a batch, offsets over all partitions.
    pub max_offsets_per_trigger: Option<u64>,
}

/// A batch that was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its progress record.
    pub progress: Progress,
    /// Its rows, one JSON object a row.
    pub rows: Vec<String>,
    /// The same rows as they came to the sink.
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
            sink: MemorySink::default(),
            further_sinks: Vec::new(),
            dead_letters: None,
            before_write: None,
            understudies: None,
            kills: None,
            executors: 1,
            size_changes: Arc::default(),
            left_out: Arc::default(),
            max_offsets_per_trigger: None,
        }
    }

    /// Runs a driver until all that is in the topic is processed ("backlog": available now, each put a batch, no-data
    /// batches at the end). Returns what it committed.
    ///
    /// # Errors
    /// What the driver ended with.
    pub fn run(&self) -> Result<Vec<Batch>> {
        let mut running = self.start_with(Trigger::AvailableNow)?;
        let mut batches = Vec::new();
        while let Ok(told) = running.told.recv_timeout(PATIENCE) {
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

    fn start_with(&self, trigger: Trigger) -> Result<RunningDriver> {
        let job = self.job(trigger)?;
        let (commands, inbox) = channel();
        let (teller, told) = channel();
        let (held, released) = channel();
        let tables: Vec<String> = job.plan.branches.iter().map(|branch| branch.table.clone()).collect();
        let topics: Vec<Topic> = (0..).zip(&tables).map(|(number, table)| self.topic(number, table)).collect();
        let (own_topics, own_tables) = (topics.clone(), tables.clone());
        let harness = self.clone();
        let driver = std::thread::spawn(move || {
            let wiring = Wiring {
                sources: tables.iter().zip(&topics).map(|(table, topic)| harness.source(table, topic)).collect(),
                sinks: harness.held_sinks(&held),
                dead_letters: harness.dead_letters.as_ref().map(MemoryDeadLetters::committer),
                spawn: harness.spawn(&topics),
                limits: "threads of the test".into(),
                disk: harness.disk,
                snapshot_bytes_min: harness.snapshot_bytes_min,
                commands: inbox,
                observer: Box::new(EventObserver {
                    teller,
                    sink: harness.sink,
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

    /// What the branch of this number reads.
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
        }
    }

    fn spawn(&self, topics: &[Topic]) -> Spawn {
        let mut real = threads(topics, self.dead_letters.as_ref(), self.kills.clone().unwrap_or_default());
        let Some(understudies) = self.understudies.clone() else { return real };
        let mut started = 0;
        Box::new(move || {
            started += 1;
            understudies(started - 1).unwrap_or_else(&mut real)
        })
    }

    fn held_sinks(&self, held: &Sender<()>) -> Vec<Box<dyn Sink>> {
        let sinks = [&self.sink].into_iter().chain(&self.further_sinks).enumerate();
        let hold = |(number, sink): (usize, &MemorySink)| -> Box<dyn Sink> {
            Box::new(HeldSink {
                number,
                sink: sink.clone(),
                before_write: self.before_write.clone(),
                _held: held.clone(),
            })
        };
        sinks.map(hold).collect()
    }

    fn job(&self, trigger: Trigger) -> Result<Job> {
        let set = [("autoscale.mode", "pinned".to_owned()), ("autoscale.max_executors", self.executors.to_string())];
        let set = set.map(|(key, value)| (key.to_owned(), value));
        let pipeline = tidemill_config::parse("test.toml", &self.pipeline, &set)?;
        let plan = tidemill_sql::plan(&pipeline)?;
        Ok(Job { trigger, plan: Arc::new(plan), pipeline: Arc::new(pipeline) })
    }
}

/// A driver that runs. Dropped, it stops, after the batch in flight.
pub struct RunningDriver {
    /// By the source's number.
    topics: Vec<Topic>,
    /// Their sources' names.
    tables: Vec<String>,
    driver: Option<JoinHandle<Result<Summary>>>,
    told: Receiver<Event>,
    commands: Sender<Command>,
    /// Disconnected when the committer has let go of the sinks, and with them of the checkpoint.
    released: Receiver<()>,
    idle_at: Option<Offsets>,
}

impl RunningDriver {
    /// Waits until all that is in the topic is committed, with the no-data batches that this makes due ("drained").
    /// Returns what was committed since the last call.
    ///
    /// # Errors
    /// What the driver ended with.
    pub fn settle(&mut self) -> Result<Vec<Batch>> {
        let ends = Offsets(self.topics.iter().flat_map(|topic| topic.ends().0).collect());
        let mut batches = Vec::new();
        while self.idle_at.as_ref() != Some(&ends) {
            match self.told.recv_timeout(PATIENCE) {
                Ok(Event::Idle(positions)) => self.idle_at = Some(positions),
                Ok(told) => batches.extend(told.batch()),
                Err(_) => {
                    self.end()?;
                    panic!("the driver ended without being told to");
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

    /// Whether the driver is over.
    pub fn has_ended(&self) -> bool {
        self.driver.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Where users' commands go.
    pub fn commands(&self) -> Sender<Command> {
        self.commands.clone()
    }

    /// Stops the driver after the batch in flight.
    ///
    /// # Errors
    /// What the driver ended with.
    pub fn stop(mut self) -> Result<Summary> {
        self.end()
    }

    /// Waits for the driver's end, and until it has let go of everything that it was given.
    fn end(&mut self) -> Result<Summary> {
        let Some(driver) = self.driver.take() else { return Ok(Summary::default()) };
        // A driver that is gone needs no command.
        let _ = self.commands.send(Command::Stop);
        let result = driver.join().expect("the driver does not panic");
        while self.released.recv_timeout(PATIENCE).is_ok() {}
        result
    }
}

impl Drop for RunningDriver {
    fn drop(&mut self) {
        // A test that fails says why by itself.
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
    teller: Sender<Event>,
    sink: MemorySink,
    size_changes: Arc<AtomicU64>,
    left_out: Arc<AtomicU64>,
}

impl Observer for EventObserver {
    fn batch(&mut self, progress: &Progress, rows: &RecordBatch) {
        let own = &progress.tidemill;
        let accounted = own.rows + own.filtered + own.left_out.total();
        self.left_out.fetch_add(own.left_out.total(), Ordering::SeqCst);
        assert_eq!(accounted, progress.num_input_rows, "every record of a batch is accounted for: {own:?}");
        let batch = Batch { progress: progress.clone(), rows: self.sink.rows(progress.batch_id), table: rows.clone() };
        // Whoever listened may be gone.
        let _ = self.teller.send(Event::Batch(Box::new(batch)));
    }

    fn deciding(&mut self, _: &Settings, _: &State) {}

    fn decision(&mut self, _: &Facts, decision: &Decision) {
        self.size_changes.fetch_add(u64::from(decision.acts()), Ordering::SeqCst);
    }

    fn status(&mut self, _: &Status) {}

    fn note(&mut self, _: &str) {}

    fn idle(&mut self, positions: &Offsets) {
        let _ = self.teller.send(Event::Idle(positions.clone()));
    }
}

/// A sink, what may keep it from writing, and who is to know when it is let go.
struct HeldSink {
    number: usize,
    sink: MemorySink,
    before_write: Option<BeforeWrite>,
    _held: Sender<()>,
}

impl Sink for HeldSink {
    fn description(&self) -> String {
        self.sink.description()
    }

    fn write(&mut self, batch_id: u64, rows: &RecordBatch, replayed: bool) -> Result<()> {
        if let Some(before_write) = &self.before_write {
            before_write(self.number, batch_id)?;
        }
        self.sink.write(batch_id, rows, replayed)
    }
}
