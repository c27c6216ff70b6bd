//! `--engine spark` in a binary without it.

use crate::args::{RunOptions, SparkOptions};
use crate::observer::RunObserver;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender};
use tidemill_driver::{Job, Summary};
use tidemill_model::status::Command;
use tidemill_model::{Error, Result};

/// A run that is ready to begin.
pub(crate) type Runner = Box<dyn FnOnce(RunObserver) -> Result<Summary> + Send>;

pub(crate) fn runner(
    _job: Job,
    _spark: &SparkOptions,
    _checkpoint: &Path,
    _commands: Sender<Command>,
    _inbox: Receiver<Command>,
) -> Result<Runner> {
    Err(missing())
}

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
