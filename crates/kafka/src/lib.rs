//! Kafka as a source, through librdkafka: [`KafkaWatch`] and [`KafkaReader`] behind the ports of `flow`.
//!
//! ```text
//! driver    KafkaWatch   metadata + ListOffsets, and while the topic is quiet a long-poll fetch at its end
//! executor  KafkaReader  one partition at a time, from an explicit offset; at most 4 MB and one answer fetched ahead
//! ```
//! Consumer groups are never used: no group id, no coordinator, no committed offsets. Knows no pipeline, no batch and no
//! record format. librdkafka's own log lines go nowhere; its last words about a connection end up in our errors.

pub mod admin;
pub mod options;
pub mod properties;
pub mod scan;

mod client;
mod fetch;
mod read;
mod watch;

pub use client::ErrorContext;
pub use options::KafkaOptions;
pub use read::KafkaReader;
pub use scan::scan;
pub use watch::KafkaWatch;
