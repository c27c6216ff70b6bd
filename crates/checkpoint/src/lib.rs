//! The checkpoint: what a pipeline needs to go on after any crash.
//!
//! ```text
//! DIR/lock                held by the one driver that uses the checkpoint
//! DIR/log/<number>        segments of one log: plans, state changes and commit records, appended in the order of events
//! DIR/snapshots/<batch>   the whole state after a batch
//! DIR/sources/            the sources' own files
//! ```
//! A batch is committed when its commit record is in the log. The state of batch N is the newest snapshot ≤ N and every
//! change after it. Every start and every snapshot begins a segment; its first record holds all that a reader must know of
//! the segments before, except for the state, so old segments can go ([`record::Base`]). What to do after a crash is decided
//! by a pure function of what is found (`recover`). `docs/checkpoint.md` describes the format byte by byte.
//!
//! Does not know what a state is made of (bytes in, bytes out), nor sinks, executors or clocks.

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
