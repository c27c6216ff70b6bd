//! What the operating system does for us, each done once: threads whose end is heard, output that may be closed, files that
//! are there whole, directory locks, pauses before the next attempt.
//!
//! Knows the standard library only: no pipeline, no Kafka, no query.

pub mod disk;
pub mod output;
pub mod retry;
pub mod thread;
