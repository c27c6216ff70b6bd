//! Spark SQL: text → typed plan → evaluation over Arrow arrays.
//!
//! Knows no clock, I/O, threads, async or randomness. Every function offered here is one proven equal to Spark's.

#![forbid(unsafe_code)]
#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

mod analyze;
pub mod describe;
pub mod eval;
pub mod expr;
pub mod functions;
pub mod kafka;
pub mod logical;
pub mod plan;
mod planner;
pub mod reference;
mod regex;
mod syntax;
pub mod text;
pub mod types;
pub mod value;

pub use analyze::{AGGREGATE_FUNCTIONS, GENERATORS, LAMBDAS, analyze, plan};
pub use planner::plan as plan_of;
use tidemill_decode::intervals;
pub use tidemill_decode::zone;
