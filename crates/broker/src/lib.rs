//! The embedded broker: serves the Kafka protocol to any client and stores records in append-only files.
//!
//! ```text
//!  client ──► connection (a thread each) ──► api ──► catalog ──► partition ──► log ──► segment files
//!                                              ├───► groups ───► offsets file
//!                                              └───► transactions ───► file of transactional ids
//! ```
//! - Record batches are checked when they arrive. The check decompresses each batch once. They are stored and sent
//!   unchanged, but for a wrong largest timestamp.
//! - The broker uses threads and blocking I/O, no async runtime. An embedded broker has tens of clients, not tens of
//!   thousands, and a waiting thread costs nothing. Nothing polls: an append wakes the waiting fetches.
//! - An acknowledged record is in the operating system's cache: it survives SIGKILL of the broker. With
//!   [`Durability::Disk`] it also survives a power loss.
//! - One broker, one replica, no authentication, no share or streams groups.
//!
//! Knows nothing of engines, pipelines or the content of records.

#![forbid(unsafe_code)]

mod api;
mod catalog;
mod config;
mod connection;
mod disk;
#[doc(hidden)]
pub mod fuzz;
mod groups;
mod handles;
mod log;
mod partition;
mod producer_ids;
mod refusal;
mod server;
mod settings;
mod shape;
mod stderr;
mod transactions;
mod wire;

pub use config::{BrokerConfig, Durability};
pub use server::{Broker, StartError};
