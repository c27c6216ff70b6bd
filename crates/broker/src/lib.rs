//! The embedded broker: speaks the Kafka protocol to any client, keeps records in append-only files.
//!
//! ```text
//!  client ──► connection (a thread each) ──► api ──► catalog ──► partition ──► log ──► segment files
//!                                              └───► groups ───► offsets file
//! ```
//! - Record batches are checked as they come in, which unpacks them once, and are stored and sent as they are.
//! - Threads and blocking I/O, no async runtime: an embedded broker has tens of clients, not tens of thousands, and a
//!   thread that waits costs nothing. Nothing polls: a fetch that waits is woken by the append.
//! - A record that was acknowledged has been handed to the operating system: it survives SIGKILL of the broker. To
//!   survive a power loss as well, choose [`Durability::Disk`].
//! - One broker, one replica, no transactions, no authentication, no share or streams groups, no log compaction.
//!
//! Knows nothing of engines, pipelines or what is in a record.

#![forbid(unsafe_code)]

mod api;
mod catalog;
mod clock;
mod config;
mod connection;
mod disk;
#[doc(hidden)]
pub mod fuzz;
mod groups;
mod guard;
mod handles;
mod log;
mod partition;
mod producer_ids;
mod refusal;
mod server;
mod settings;
mod stderr;
mod wire;

pub use config::{BrokerConfig, Durability};
pub use server::{Broker, StartError};
