//! The load producer: activity records of computer-science students, generated from a seed and sent to Kafka at a
//! steady rate.
//!
//! ```text
//! records (pure: seed, producer, index → bytes) ──► outlet: librdkafka or the native client (64 MB at most) ──► broker
//!         ▲ how many are due: pace (pure)                         └─ acknowledged, failed ──► Control
//! ```
//! Knows Kafka's topics, but no pipeline, no engine and no schema except its own nine fields.

pub mod control;
pub mod pace;
pub mod produce;
pub mod records;
pub mod text;

mod fields;
#[cfg(feature = "librdkafka")]
mod librdkafka;
mod native;
mod outlet;
mod producer;

pub use control::{Control, Counters};
pub use pace::Rate;
