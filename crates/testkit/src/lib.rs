//! What tests run whole pipelines with, in one process and without a broker, a disk or a child process.
//!
//! ```text
//!  Topic (partitions of records; each put is one batch) ─► executors (threads) ─► the real driver ─► MemorySink
//!                                                                                    └► any Disk: SimDisk, OsDisk
//! ```
//! A [`Stage`] is a pipeline text with a topic, a checkpoint and a sink; drivers come and go on it.
//! * *backlog*: `stage.topic.put(…)` as often as there are batches, then [`Stage::run`].
//! * *drained*: [`Stage::start`], then for each batch `stage.topic.put(…)` and [`Running::settle`].
//! * *restart*: [`Running::stop`], then [`Stage::start`] or [`Stage::run`] again.
//!
//! Each gives back the [`Batch`]es: the progress record, and the rows as the sink has them (JSON text, rule S1).
//! `tests/stage.rs` shows all three, `tests/crash.rs` a [`SimDisk`] whose machine dies at every operation. Development
//! only: no crate's own code uses it.

#![forbid(unsafe_code)]

mod dead_letters;
mod disk;
pub mod function_examples;
pub mod scenario;
mod sink;
pub mod sql_fuzz;
mod stage;
mod threads;
mod topic;

pub use dead_letters::{BeforeCommit, Death, MemoryDeadLetters, Saved};
pub use disk::{Aftermath, Fault, Operation, SimDisk};
pub use sink::MemorySink;
pub use stage::{Batch, BeforeWrite, Running, Stage, Understudies};
pub use threads::{scripted, threads};
pub use topic::{Cut, Record, TOPIC, Topic};
