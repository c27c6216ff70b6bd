//! The types that every other crate uses.
//!
//! Knows no clock, I/O, threads, async or randomness, and depends on no other crate. Time is an argument. `window` is
//! the only module that divides event time.

#![forbid(unsafe_code)]
#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

pub mod batch;
mod counted;
pub mod diagnostic;
pub mod error;
pub mod fault;
pub mod fingerprint;
pub mod glob;
pub mod interval;
pub mod kafka_source;
pub mod limits;
pub mod partial;
pub mod pipeline;
pub mod progress;
pub mod random;
pub mod scale_change;
pub mod secret;
pub mod status;
pub mod time;
pub mod window;

pub use batch::{BatchPlan, OffsetRange, Offsets, PartitionId, TaskCut};
pub use counted::counted;
pub use diagnostic::{Diagnostic, Diagnostics, SourceText};
pub use error::{Domain, Error, Result};
pub use fault::{FaultCounts, RecordFault};
pub use fingerprint::Fingerprint;
pub use interval::{CalendarInterval, Interval};
pub use partial::{DeadLetterFile, EventTimeStats, Partial, RawBytes, SinkPart};
pub use pipeline::Pipeline;
pub use secret::Secret;
pub use time::{Micros, Millis};
pub use window::WindowSpec;
