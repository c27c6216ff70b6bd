//! The driver: observes the source, plans batches, hands their tasks to executors, merges, outputs, commits; and keeps as
//! many executors as the autoscaler says.
//!
//! ```text
//!  observe ─► plan ─► log the plan ─► dispatch ─► merge, watermark ─► output ─┬─► sinks ─► state, commit record
//!     ▲                                  │                                    │   └── committer thread ──┘
//!     └── the next batch may start from here on: at most two plans are uncommitted ──┘
//! ```
//! One loop over one closed [`event::Event`] (`run.rs`) and six parts with private state: what there is to read
//! (`watching.rs`), what the next batch reads (`planning.rs`), who carries it out (`execution.rs`), its way to the commit record
//! (`committing.rs`), how many executors there are (`scaling.rs`), and who is told (`reporter.rs`). The same plan gives the same
//! rows at any number of executors and across any kill. The query's clock is here: what depends on time gets it as a value.
//! Does not know Kafka, decoding or HTTP: source and sinks come as ports, executors as pipes with a [`Handle`].

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
mod level;
mod notes;
mod open;
mod plan;
mod planning;
mod report;
mod reporter;
mod run;
mod scaling;
mod sources;
mod status;
mod supervisor;
mod watching;

pub use fleet::{Handle, Spawn, Spawned};
pub use run::run;
pub use supervisor::{Role, Supervisor};

use arrow_array::RecordBatch;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tidemill_checkpoint::disk::Disk;
use tidemill_flow::ports::{DeadLetterCommitter, Sink, Watch};
use tidemill_model::pipeline::{StartingOffsets, Trigger};
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
    /// It, watched. What it says of partitions has the source's number.
    pub watch: Box<dyn Watch>,
    /// What progress records and the checkpoint call it.
    pub description: String,
    /// Where a query without a checkpoint begins.
    pub starting_offsets: StartingOffsets,
    /// Bound of a batch, offsets over all its partitions; `None`: what the executors can do in half a second.
    pub max_offsets_per_trigger: Option<u64>,
}

/// What to run it with.
pub struct Wiring {
    /// The sources, one for each branch of the plan, in its order.
    pub sources: Vec<Source>,
    /// The sinks; each gets every batch.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Where dead letters are kept, if they are; executors write there.
    pub dead_letters: Option<Box<dyn DeadLetterCommitter>>,
    /// Where the checkpoint is.
    pub disk: Arc<dyn Disk>,
    /// A snapshot of the state is due when the log since the last one outweighs it, but not for less than so many bytes.
    pub snapshot_bytes_min: u64,
    /// How an executor is started.
    pub spawn: Spawn,
    /// What users command while it runs.
    pub commands: Receiver<Command>,
    /// Who is told what happens.
    pub observer: Box<dyn Observer>,
    /// Owns the threads of the run, with those that were started before it.
    pub supervisor: Supervisor,
}

/// Is told what happens, on the driver's thread: must return quickly.
pub trait Observer {
    /// A batch was committed.
    fn batch(&mut self, progress: &Progress, rows: &RecordBatch);
    /// From here on the autoscaler decides with these settings, from this state: at the start, and when a user pins.
    fn deciding(&mut self, settings: &Settings, state: &State);
    /// The autoscaler spoke; most decisions hold ([`Decision::acts`]).
    fn decision(&mut self, facts: &Facts, decision: &Decision);
    /// A few times a second.
    fn status(&mut self, status: &Status);
    /// Something that a user should know, a sentence.
    fn note(&mut self, note: &str);
    /// Every batch that is due is committed, up to these positions; nothing is to be done until the source holds more.
    fn idle(&mut self, _positions: &Offsets) {}
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Batches committed.
    pub batches: u64,
    /// Records in them.
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
    /// Spawn → exit of all executors, summed.
    pub executor_seconds: f64,
}
