//! The steps of a batch as pure functions, decode → filter → fold | merge → output; and the traits of sources and
//! sinks.
//!
//! Knows no clock, threads or async. Only implementations of the traits do I/O, and they live in other crates.

#![forbid(unsafe_code)]
#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

pub mod aggregate;
pub mod alone;
pub mod encoded_rows;
pub mod fold;
pub mod kafka_columns;
pub mod key;
pub mod merge;
pub mod output;
pub mod ports;
mod positions;
pub mod records;
pub mod setup;
pub mod state;
