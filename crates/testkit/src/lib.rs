//! Runs whole pipelines in tests: in one process, without a broker, a disk or a child process.
//!
//! ```text
//!  Topic (partitions of records; each put is one batch) ─► executors (threads) ─► the real driver ─► MemorySink
//!                                                                                    └► any Disk: SimDisk, OsDisk
//! ```
//! A [`Harness`] is a pipeline text with a topic, a checkpoint and a sink. Drivers come and go on it.
//! * *backlog*: `harness.topic.put(…)` once per batch, then [`Harness::run`].
//! * *drained*: [`Harness::start`], then for each batch `harness.topic.put(…)` and [`RunningDriver::settle`].
//! * *restart*: [`RunningDriver::stop`], then [`Harness::start`] or [`Harness::run`] again.
//!
//! * *virtual time*: the same within [`Timeline::run`]. Minutes pass in seconds, and the same inputs give the same steps.
//!
//! Each returns the [`Batch`]es: the progress record, and the rows as the sink has them (JSON text, rule S1).
//! `tests/harness.rs` shows all three; `tests/crash.rs` uses a [`SimDisk`] whose machine dies at every operation. Only
//! tests use this crate.

#![forbid(unsafe_code)]

mod dead_letters;
mod disk;
pub mod function_examples;
mod harness;
mod kills;
pub mod scenario;
mod sink;
pub mod source_suite;
pub mod sql_fuzz;
mod threads;
mod topic;
mod transcript;
mod virtual_time;

pub use dead_letters::{BeforeCommit, KillPoint, MemoryDeadLetters, SavedDeadLetter};
pub use disk::{CrashImage, Fault, Operation, SimDisk};
pub use harness::{Batch, BeforeWrite, COUNT_BY_KEY, Harness, RunningDriver, SpawnOverride};
pub use kills::{Kills, Phase};
pub use sink::MemorySink;
pub use threads::{scripted, threads};
pub use topic::{Cut, Record, TOPIC, Topic};
pub use transcript::Transcript;
pub use virtual_time::Timeline;
