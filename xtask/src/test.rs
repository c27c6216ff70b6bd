//! `test`: runs the external references first, then all tests of the workspace, so that cargo's own lines come last.
//!
//! A reference that is not installed is skipped. The list before the tests names it and the reason. A reference that
//! disagrees fails the run.

use crate::embedded::EmbeddedBroker;
use crate::kafka::{self, Broker};
use crate::sh::{self, Outcome, cargo, command};
use crate::{clients, ports, venv};
use std::path::Path;

/// Address of an Apache Kafka for tests; if not set, those tests are skipped.
const KAFKA: &str = "TIDEMILL_TEST_KAFKA";
/// Its listeners with TLS and SASL and with mutual TLS, and the directory of the certificates.
const SECURE_KAFKA: &str = "TIDEMILL_TEST_SECURE_KAFKA";
const MUTUAL_KAFKA: &str = "TIDEMILL_TEST_MUTUAL_KAFKA";
const CERTIFICATES: &str = "TIDEMILL_TEST_CERTIFICATES";
/// The class path of Apache Kafka's tools.
const JARS: &str = "TIDEMILL_TEST_KAFKA_JARS";

/// Runs the references and the tests. Arguments are passed to `cargo test`.
pub fn run(args: &[&str]) -> Outcome {
    // The references need the binary. The tests build everything else, in the same profile.
    sh::run(&mut cargo(&["build", "--release", "--locked", "--package", "tidemill-cli"]))?;
    let references = match venv::ensure() {
        Ok(python) => check_embedded_broker(&python).map(|()| "agree".to_owned()),
        Err(why) => Ok(format!("SKIPPED: {why}")),
    };
    let kafka = start_kafka();
    let address = kafka.as_ref().map(|kafka| kafka.0.address());
    let clients = clients::check(address.as_ref().map(String::as_str).map_err(|why| why.as_str()));
    let mut tests = cargo(&[&["test", "--release", "--locked", "--workspace"], args].concat());
    let apache = match &kafka {
        Ok(kafka) => {
            tests.env(KAFKA, kafka.0.address());
            tests.env(MUTUAL_KAFKA, kafka.0.mutual_address());
            tests.env(SECURE_KAFKA, kafka.0.secure_address()).env(CERTIFICATES, kafka.0.certificates());
            tests.env(JARS, kafka::class_path()?);
            format!("{} on {}, used by the tests below", kafka::VERSION, kafka.0.address())
        }
        Err(why) => format!("SKIPPED: {why}"),
    };
    println!("\nreferences:");
    println!("  kafka-python and librdkafka on the embedded broker: {}", references.as_ref().unwrap_or_else(|why| why));
    match &clients {
        Ok(lines) => lines.iter().for_each(|line| println!("  {line}")),
        Err(why) => println!("  {why}"),
    }
    println!("  Apache Kafka: {apache}\n");
    sh::run(&mut tests)?;
    references.and(clients).map(drop)
}

/// The verb `clients`, with an Apache Kafka for this run only.
///
/// # Errors
/// A broker does not start, or a program fails.
pub fn clients(args: &[&str]) -> Outcome {
    sh::run(&mut cargo(&["build", "--release", "--locked", "--package", "tidemill-cli"]))?;
    let kafka = OwnKafka(Broker::at(ports::free_four()?));
    clients::run(args, &kafka.0)
}

/// Runs the broker crate's own checks from another client.
fn check_embedded_broker(python: &Path) -> Outcome {
    let dir = sh::target().join("references/broker");
    let _ = std::fs::remove_dir_all(&dir);
    let broker = EmbeddedBroker::start(&dir)?;
    sh::run(&mut command(python, &["crates/broker/tests/conformance.py", broker.address()]))
}

/// An Apache Kafka for this run only, stopped and deleted when dropped.
struct OwnKafka(Broker);

fn start_kafka() -> Outcome<OwnKafka> {
    let kafka = OwnKafka(Broker::at(ports::free_four()?).secured());
    kafka.0.start()?;
    Ok(kafka)
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        if let Err(error) = self.0.stop_and_forget() {
            eprintln!("xtask: {error}");
        }
    }
}
