//! The Spark engine: runs a pipeline as one streaming query on a Spark 4.x cluster, over Spark Connect.
//!
//! ```text
//!  Pipeline, QueryPlan ─ refuse ─► what cannot have the same rows on Spark
//!                      └ query ──► SparkQuery, a value ─ run ─► session ─► execute ─► Connect server
//!                                                         └─ rows of committed batches ─► the caller's sinks
//!  size wanted ─► workers ─► Spark's Workers, one executor each ─► rest ─► what there is
//! ```
//! Sinks, progress files and the like are the caller's ([`Host`]), and so is the size. Does not know the local engine: no batches are
//! planned here, no state is kept, no record is decoded. Async on the caller's runtime.

#![cfg(feature = "engine")]
#![forbid(unsafe_code)]

mod checkpoint;
mod execute;
mod kafka_options;
mod keeper;
mod progress;
pub mod query;
pub mod refuse;
mod relation;
mod remote;
mod rest;
mod retry;
mod rows;
mod run;
pub mod server;
mod session;
pub mod workers;

pub use checkpoint::ByPartition;
pub use execute::Execution;
pub use progress::parse_time;
pub use query::SparkQuery;
pub use remote::Remote;
pub use rest::{Executor, Listing, RestApi};
pub use run::{Host, QueryState, Run};
pub use session::Session;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tidemill_model::{Error, Result};

/// Polls a future, and beside it one that has no end.
pub async fn beside<T>(main: impl Future<Output = T>, side: impl Future<Output = Infallible>) -> T {
    let (mut main, mut side) = (pin!(main), pin!(side));
    poll_fn(|context| {
        if let Poll::Ready(never) = side.as_mut().poll(context) {
            match never {}
        }
        main.as_mut().poll(context)
    })
    .await
}

/// Polls a future, and beside it one that may end it by an error.
///
/// # Errors
/// That of either.
pub async fn unless<T>(main: impl Future<Output = Result<T>>, side: impl Future<Output = Error>) -> Result<T> {
    let (mut main, mut side) = (pin!(main), pin!(side));
    poll_fn(|context| match side.as_mut().poll(context) {
        Poll::Ready(error) => Poll::Ready(Err(error)),
        Poll::Pending => main.as_mut().poll(context),
    })
    .await
}

/// Waits, while other futures of the runtime go on.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Runs a future on a new runtime, on this thread.
///
/// # Errors
/// External: the system gives no runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let value = runtime.block_on(future);
    // A name that is still being looked up must not hold the end of the run.
    runtime.shutdown_background();
    Ok(value)
}
