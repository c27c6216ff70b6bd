//! One file per verb: takes the options, wires the parts, and calls the crate that does the work.

pub(crate) mod broker;
pub(crate) mod check;
pub(crate) mod checkpoint;
pub(crate) mod cost;
pub(crate) mod ctl;
pub(crate) mod dead_letters;
pub(crate) mod executor;
pub(crate) mod functions;
pub(crate) mod produce;
pub(crate) mod run;
pub(crate) mod simulate;
#[cfg(feature = "spark")]
pub(crate) mod spark;
#[cfg(not(feature = "spark"))]
#[path = "without_spark.rs"]
pub(crate) mod spark;
#[cfg(feature = "spark")]
mod spark_board;
#[cfg(feature = "spark")]
mod spark_ends;
#[cfg(feature = "spark")]
mod spark_scaling;
