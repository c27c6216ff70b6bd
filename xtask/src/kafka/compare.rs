//! `kafka compare`: sends the same frames to Apache Kafka and to the embedded broker, and prints a table of both answers.

use super::Broker;
use crate::embedded::EmbeddedBroker;
use crate::sh::{self, Outcome, cargo, command};
use crate::venv;

/// Starts both if they do not run, then runs `crates/broker/tests/compare.py`.
pub fn run(kafka: Broker) -> Outcome {
    let python = venv::ensure()?;
    sh::run(&mut cargo(&["build", "--release", "--locked", "--package", "tidemill-cli"]))?;
    kafka.start()?;
    let dir = sh::target().join("references/compare");
    let _ = std::fs::remove_dir_all(&dir);
    let embedded = EmbeddedBroker::start(&dir)?;
    let script = "crates/broker/tests/compare.py";
    sh::run(&mut command(python, &[script, embedded.address(), &kafka.address()]))
}
