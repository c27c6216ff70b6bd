//! Kafka as a source, through the native client or librdkafka, and as a sink through the native client. [`KafkaWatch`],
//! [`KafkaReader`] and [`KafkaSink`] implement the traits of `flow`.
//!
//! ```text
//! driver    KafkaWatch   metadata + ListOffsets, and while the topic is quiet a long-poll fetch at its end
//! executor  KafkaReader  ranges from explicit offsets; fetches ahead at most 4 MB and one answer, or 16 MB in a task of
//!                        many ranges
//! driver    KafkaSink    the rows of a batch as records, in a transaction that also holds the batch's id
//! driver    KafkaDeadLetterCommitter   the same for a batch's dead letters
//! ```
//! No consumer group decides what is read. [`Group`] sets a group's offsets, for tools that show its lag. Knows no plan;
//! formats of rows are `tidemill_sql::text`'s. librdkafka's log lines are dropped; its last message about a connection
//! becomes part of our errors.

pub mod admin;
pub mod choice;
pub mod dead_letters;
pub mod options;
pub mod produce;
pub mod properties;
pub mod scan;
pub mod sink;
pub mod subscription;

mod alarm;
mod ask;
mod group;
#[cfg_attr(not(feature = "librdkafka"), path = "without_librdkafka.rs")]
mod librdkafka;
mod native;
mod positions;
mod read;
mod watch;

pub use choice::ClientChoice;
pub use dead_letters::KafkaDeadLetterCommitter;
pub use group::Group;
#[cfg(feature = "librdkafka")]
pub use librdkafka::ErrorContext;
pub use options::KafkaOptions;
pub use read::KafkaReader;
pub use scan::scan;
pub use sink::{KafkaSink, RecordsWriter};
pub use watch::KafkaWatch;
