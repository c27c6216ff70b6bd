//! Operating system services: the time, threads whose end is reported, output whose reader may go away, atomic file writes,
//! directory locks, retry policies.
//!
//! Knows the standard library only: no pipeline, no Kafka, no query.

pub mod clock;
pub mod disk;
pub mod output;
pub mod retry;
pub mod thread;
