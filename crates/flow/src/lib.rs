//! The steps of a batch, pure: decode → filter → fold | merge → output; and the ports through which rows come and go.
//!
//! Knows no clock, threads or async; only implementations of the ports do I/O, and they live in other crates.

#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

pub mod decode;
pub mod fold;
pub mod key;
pub mod merge;
pub mod output;
pub mod ports;
