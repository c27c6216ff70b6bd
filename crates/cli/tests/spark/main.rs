//! The same pipeline file on the local engine and on real Spark: the same rows in the same batches, whatever dies.
//!
//! Needs the feature `spark`, and pyspark where `TIDEMILL_SPARK_VENV` or `target/references/spark-venv` says; without, the
//! tests say so and pass.
#![cfg(feature = "spark")]

mod both_engines;
mod faults;
mod formats;
mod mistakes;
mod support;
mod workers;
