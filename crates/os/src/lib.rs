//! What the operating system does for us, each done once: threads whose end is heard, output that may be closed.
//!
//! Knows the standard library only: no pipeline, no Kafka, no query.

pub mod output;
pub mod thread;
