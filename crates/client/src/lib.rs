//! A Kafka client in Rust: connections, security, metadata, offsets, topics, zero-copy fetch, idempotent producer.
//!
//! ```text
//!  Settings ──► Cluster   metadata, offsets, topics: one request, one answer, retried while a retry can help
//!          ├──► Fetcher   many partitions, one request in flight to each broker, records borrowed from the answer
//!          ├──► Producer  batches of many partitions, one request in flight to each broker, each batch once, in order
//!          ├──► Transactions  a transactional id's coordinator: begin, commit, abort, and a group's offset with them
//!                 └─ Connection: frames ─ Stream: TLS or not ─ socket
//! ```
//! The client runs on the caller's thread, and nothing waits without a deadline. It does not trust what a broker sends:
//! it checks lengths before it takes memory, and it never panics. Knows no pipeline, no micro-batch and no consumer
//! group.

#![forbid(unsafe_code)]

pub mod batch;
pub mod fault;
pub mod fetch;
pub mod fuzz;
mod groups;
pub mod produce;
pub mod settings;

mod cluster;
mod connection;
mod offsets;
mod sasl;
mod stream;
mod tls;
mod topics;
pub mod transactions;
mod unpack;

pub use cluster::Cluster;
pub use fetch::{Fetcher, Stop};
pub use offsets::At;
pub use settings::Settings;
pub use transactions::Transactions;
