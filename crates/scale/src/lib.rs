//! The autoscaler: how many executors, and why.
//!
//! Knows facts and settings. Knows no clock, I/O, randomness, threads, and no room but `model`.

#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

mod capacity;
mod decide;
mod decision;
mod facts;
mod rates;
mod reason;
mod settings;
pub mod simulate;
mod state;
mod terms;

pub use capacity::Prior;
pub use decide::decide;
pub use decision::{Decision, Difference, Kind, Record, Terms, replay};
pub use facts::{Facts, Work};
pub use settings::{Mode, Policy, Settings};
pub use state::State;
