//! A Kafka client in Rust: connections, security, metadata, offsets, topics, and fetching without a copy.
//!
//! ```text
//!  Settings ──► Cluster   metadata, offsets, topics: one question, one answer, asked again while that can help
//!          └──► Fetcher   many partitions, one request under way to each broker, records where they lie
//!                 └─ Connection: frames ─ Stream: TLS or not ─ socket
//! ```
//! There are no threads but the caller's, and nothing waits without a deadline. What a broker sends is not believed:
//! lengths are checked before memory is taken, and nothing panics. Knows no pipeline, no batch of the engine and no group.

#![forbid(unsafe_code)]

pub mod batch;
pub mod fault;
pub mod fetch;
pub mod settings;

mod cluster;
mod connection;
mod offsets;
mod sasl;
mod stream;
mod tls;
mod topics;
mod unpack;

pub use cluster::Cluster;
pub use fetch::{Fetcher, Step};
pub use offsets::At;
pub use settings::Settings;
