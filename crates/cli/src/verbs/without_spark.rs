//! `--engine spark` in a binary without it.

use crate::args::RunOptions;
use tidemill_driver::Job;
use tidemill_model::{Error, Result};

pub(crate) fn run(_options: &RunOptions) -> Result<()> {
    Err(missing())
}

pub(crate) fn check(_job: &Job) -> Result<()> {
    Err(missing())
}

fn missing() -> Error {
    Error::user(
        "this binary was built without the Spark engine; use a released one, or build it with: cargo build --release \
         --features spark",
    )
}
