//! The Spark engine: runs a pipeline as one streaming query on a Spark 4.x cluster, over Spark Connect.
//!
//! ```text
//!  Pipeline, QueryPlan ─ refuse ─► what cannot have the same rows on Spark
//!                      └ query ──► SparkQuery, a value ─ run ─► session ─► execute ─► Connect server
//!                                                         └─ rows of committed batches ─► the caller's sinks
//! ```
//! Sinks, progress files and the like are the caller's ([`Host`]). Does not know the local engine: no batches are
//! planned here, no state is kept, no record is decoded. Async on the caller's runtime.

#![cfg(feature = "engine")]
#![forbid(unsafe_code)]

mod execute;
mod kafka_options;
mod progress;
pub mod query;
pub mod refuse;
mod relation;
mod remote;
mod retry;
mod rows;
mod run;
pub mod server;
mod session;

pub use execute::Execution;
pub use progress::parse_time;
pub use query::SparkQuery;
pub use remote::Remote;
pub use run::{Host, Run};
pub use session::Session;

/// Runs a future on a new runtime, on this thread.
///
/// # Errors
/// External: the system gives no runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> tidemill_model::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let value = runtime.block_on(future);
    // A name that is still being looked up must not hold the end of the run.
    runtime.shutdown_background();
    Ok(value)
}
