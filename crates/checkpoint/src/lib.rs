//! The checkpoint: what a pipeline needs to go on after a crash.
//!
//! ```text
//! DIR/lock                held by the one driver that uses the checkpoint
//! DIR/log/<number>        segments of one log: plans, state changes and commit records, in the order of events
//! DIR/snapshots/<batch>   the whole state, its first part as it was after the batch
//! DIR/sources/            the sources' own files
//! ```
//! A batch is committed when its commit record is in the log. The state of batch N is the newest snapshot ≤ N plus
//! every change after it. Every start and every snapshot begins a new segment; a snapshot is written beside later batches. A segment's first record holds all that
//! a reader must know of earlier segments, except the state ([`record::Base`]); so old segments can be removed. After a
//! crash, a pure function of the files decides where to go on (`recover`). `docs/checkpoint.md` describes the format
//! byte by byte.
//!
//! Does not know what a state is made of (it stores bytes), nor sinks, executors or clocks.

#![forbid(unsafe_code)]

mod changes;
pub mod disk;
mod log;
mod open;
pub mod record;
mod recover;
pub mod segment;
mod snapshot;

pub use changes::Change;
pub use log::{CommitLog, CommitRecord, PlanLog, SNAPSHOT_BYTES_MIN};
pub use open::{Checkpoint, Inspection, Query, inspect};
pub use recover::Recovered;
pub use snapshot::SnapshotWriter;
