//! The checkpoint: what a pipeline needs to go on after any crash.
//!
//! ```text
//! DIR/lock                     held by the one driver that uses the checkpoint
//! DIR/metadata                 identity and typed plan of the query, as of the last start
//! DIR/start                    positions at which the query began, written once
//! DIR/plans/<batch>            plan record: written before a batch is dispatched
//! DIR/state/<batch>.snapshot   the whole state after the batch
//! DIR/state/<batch>.delta      what the batch changed
//! DIR/commits/<batch>          commit record: written when the sinks have the batch and its state is stored
//! ```
//! A batch is committed when its commit record exists. The state of batch N is the newest snapshot ≤ N and every delta
//! after it. Each file appears whole or not at all ([`store::Store::put`]) and carries its version and checksum
//! ([`frame`]). What to do after a crash is decided by a pure function of what is found (`recover`).
//!
//! Does not know what a state is made of (bytes in, bytes out), nor sinks, executors or clocks.

mod changes;
pub mod disk;
pub mod frame;
pub mod fs;
mod log;
pub mod memory;
mod open;
mod recover;
pub mod store;

pub use changes::Change;
pub use log::{CommitLog, CommitRecord, PlanLog, StateChange};
pub use open::{Checkpoint, Metadata};
pub use recover::Recovered;
