//! The driver: observes the sources, plans batches, runs their tasks on executors, merges, writes and commits. It keeps
//! as many executors as the autoscaler decides.
//!
//! ```text
//!  observe ─► plan ─► log the plan ─► dispatch ─► merge, watermark ─► output ─┬─► sinks ─► state, commit record
//!     ▲                                  │                                    │   └── committer thread ──┘
//!     └── the next batch may start from here on: at most two plans are uncommitted ──┘
//! ```
//! `run.rs` is one loop over [`event::Event`]. Six parts hold the state: `watching.rs` (what there is to read),
//! `planning.rs` (what the next batch reads), `execution.rs` (the batch in flight), `committing.rs` (the batch on its
//! way to its commit record; `snapshots.rs` writes the state beside it), `scaling.rs` (the number of executors) and `reporter.rs` (progress and status). The same
//! plan gives the same rows at any number of executors and across any crash. The driver takes the time from `os::clock`; pure crates
//! get the time as an argument. It does not know Kafka, decoding or HTTP: sources and sinks are traits, and an executor
//! is two pipes and a [`Handle`].

#![forbid(unsafe_code)]

mod ages;
mod batch;
mod commit;
mod committing;
mod deadlines;
mod event;
mod execution;
mod executor;
mod facts;
mod finish;
mod fleet;
mod hold;
mod level;
mod notes;
mod open;
mod output;
mod pacing;
mod plan;
mod planning;
mod report;
mod reporter;
mod run;
mod scaling;
mod snapshots;
mod sources;
mod status;
mod supervisor;
mod watching;

pub use ages::Ages;
pub use fleet::{Handle, Spawn, Spawned};
pub use report::RecentOutput;
pub use run::run;
pub use scaling::Scaling;
pub use supervisor::{Role, Supervisor};

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tidemill_checkpoint::disk::Disk;
use tidemill_flow::ports::{DeadLetterCommitter, Sink, Watch};
use tidemill_flow::setup::Access;
use tidemill_model::pipeline::{MinOffsets, StartingOffsets, Trigger};
use tidemill_model::progress::Progress;
use tidemill_model::status::{Command, Status};
use tidemill_model::{FaultCounts, Offsets, Pipeline};
use tidemill_scale::{Decision, Facts, Settings, State};
use tidemill_sql::plan::QueryPlan;

/// What to run.
pub struct Job {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// Its typed plan.
    pub plan: Arc<QueryPlan>,
    /// When batches are due; the pipeline's trigger unless the user overrides it.
    pub trigger: Trigger,
}

/// A source of the query.
pub struct Source {
    /// Reports what the source holds. Its partitions carry the source's number.
    pub watch: Box<dyn Watch>,
    /// The source's name in progress records and in the checkpoint.
    pub description: String,
    /// Where a query without a checkpoint starts, unless the watch says it ([`Watch::starting`]).
    pub starting_offsets: StartingOffsets,
    /// Most offsets in a batch, over all partitions of the source; `None`: what the executors do in half a second.
    pub max_offsets_per_trigger: Option<u64>,
    /// What a batch waits for.
    pub min_offsets: Option<MinOffsets>,
    /// Whether the run ends when records are gone that it has not read. Otherwise it goes on from what is left.
    pub fail_on_data_loss: bool,
}

/// What a run needs from outside.
pub struct Wiring {
    /// One source for each branch of the plan, in the plan's order.
    pub sources: Vec<Source>,
    /// The sinks; each gets every batch.
    pub sinks: Vec<Sink>,
    /// Commits dead letters, if the pipeline keeps them. Executors write them.
    pub dead_letters: Option<Box<dyn DeadLetterCommitter>>,
    /// What executors read and write themselves.
    pub access: Access,
    /// The checkpoint's storage.
    pub disk: Arc<dyn Disk>,
    /// Least size of the log, in bytes, at which a snapshot is due. A snapshot is due when the log since the last one
    /// is larger than the snapshot.
    pub snapshot_bytes_min: u64,
    /// Least bytes of a part of a snapshot; [`SNAPSHOT_PART_BYTES_MIN`] but in tests.
    pub snapshot_part_bytes_min: u64,
    /// Where snapshots are written.
    pub snapshot_writer: SnapshotWriter,
    /// Starts an executor.
    pub spawn: Spawn,
    /// States how executors are held to their cores and memory. Shown in the status.
    pub limits: String,
    /// Commands of the user.
    pub commands: Receiver<Command>,
    /// Gets progress, decisions and status.
    pub observer: Box<dyn Observer>,
    /// Owns the run's threads, including those started before the run.
    pub supervisor: Supervisor,
}

/// A snapshot is copied and written in parts of this size or more. Copying one takes a few milliseconds.
pub const SNAPSHOT_PART_BYTES_MIN: u64 = 4 << 20;

/// Where snapshots are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotWriter {
    /// On a thread of their own, while batches go on.
    Thread,
    /// Between the batches, so that the operations of the disk have the same order in each run. For tests.
    Inline,
}

/// Gets reports of a run, on the driver's thread. Its methods must return quickly.
pub trait Observer {
    /// A batch is committed.
    fn batch(&mut self, progress: &Progress);
    /// The autoscaler decides with these settings from this state on. Called at the start and when a user pins the
    /// size.
    fn deciding(&mut self, settings: &Settings, state: &State);
    /// A decision of the autoscaler. Most keep the size ([`Decision::acts`]).
    fn decision(&mut self, facts: &Facts, decision: &Decision);
    /// A status snapshot, a few times a second.
    fn status(&mut self, status: &Status);
    /// A message to the user, one sentence.
    fn note(&mut self, note: &str);
    /// Every batch that is due is committed, up to these positions. Nothing happens until the sources hold more.
    fn idle(&mut self, _positions: &Offsets) {}
}

/// Totals of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Batches committed.
    pub batches: u64,
    /// Records in these batches.
    pub records: u64,
    /// Output rows handed to each sink.
    pub rows: u64,
    /// Records by fault.
    pub faults: FaultCounts,
    /// Dead letters of these batches.
    pub dead_letters: u64,
    /// Age of records when their results were out, p50, ms.
    pub age_p50_ms: u64,
    /// Age of records when their results were out, p99, ms.
    pub age_p99_ms: u64,
    /// Time from spawn to exit, summed over all executors, in seconds.
    pub executor_seconds: f64,
}
