//! The brokers of a pipeline under torture: the embedded one, one Apache Kafka, or three that form a cluster.

use crate::embedded::EmbeddedBroker;
use crate::kafka::Broker;
use crate::ports;
use crate::sh::Outcome;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

/// Ports that a node takes.
const PORTS: u16 = 4;

/// Brokers that run. They end when dropped.
pub enum Brokers {
    /// Without security, which it does not have.
    Embedded { broker: EmbeddedBroker, port: u16, dir: PathBuf },
    /// With a listener for SASL_SSL.
    Apache(Nodes),
}

pub struct Nodes {
    all: Vec<Broker>,
    /// The next one to be killed.
    next: usize,
    /// The one that was killed last and may not answer yet.
    returning: Option<(usize, Child)>,
}

impl Brokers {
    /// What `embedded`, `apache` and `three` name. The embedded broker's files are in `dir`.
    pub fn of(which: &str, dir: &Path) -> Outcome<Brokers> {
        match which {
            "embedded" => Brokers::embedded(&dir.join("broker")),
            "apache" => Brokers::apache(1),
            "three" => Brokers::apache(3),
            _ => Err("choose embedded, apache or three".into()),
        }
    }

    /// The embedded broker with its files in `dir`.
    fn embedded(dir: &Path) -> Outcome<Brokers> {
        let port = ports::free()?;
        Ok(Brokers::Embedded { broker: EmbeddedBroker::start_on(port, dir)?, port, dir: dir.to_owned() })
    }

    /// Apache Kafka of one node or three.
    fn apache(count: usize) -> Outcome<Brokers> {
        let mut ports: Vec<u16> = Vec::new();
        while ports.len() < count {
            let port = ports::free_four()?;
            if ports.iter().all(|other| other.abs_diff(port) >= PORTS) {
                ports.push(port);
            }
        }
        let all: Vec<Broker> = Broker::cluster(&ports).into_iter().map(Broker::secured).collect();
        // They end also if not all of them start.
        let nodes = Nodes { all, next: 0, returning: None };
        Broker::start_all(&nodes.all)?;
        Ok(Brokers::Apache(nodes))
    }

    /// The addresses of the listeners without security.
    pub fn address(&self) -> String {
        match self {
            Brokers::Embedded { broker, .. } => broker.address().to_owned(),
            Brokers::Apache(nodes) => nodes.list(Broker::address),
        }
    }

    /// How a pipeline connects: the addresses, and the lines of `options`.
    pub fn connection(&self) -> (String, String) {
        match self {
            Brokers::Embedded { .. } => (self.address(), String::new()),
            Brokers::Apache(nodes) => {
                let ca = nodes.all[0].certificates().join("ca.pem");
                let options = format!(
                    "\"security.protocol\" = \"SASL_SSL\"\n\"ssl.ca.location\" = \"{}\"\n\"sasl.mechanism\" = \
                     \"SCRAM-SHA-512\"\n\"sasl.username\" = \"alice\"\n\"sasl.password\" = \"alice-secret\"\n",
                    ca.display()
                );
                (nodes.list(Broker::secure_address), options)
            }
        }
    }

    /// Kills a broker with SIGKILL, and starts it again on the same files after `away`. False if it is left alone: the only
    /// node of a cluster. Of several nodes the next one is killed, whose leaders move.
    pub fn kill(&mut self, away: Duration) -> Outcome<bool> {
        match self {
            Brokers::Embedded { broker, port, dir } => {
                broker.end();
                std::thread::sleep(away);
                *broker = EmbeddedBroker::start_on(*port, dir)?;
            }
            Brokers::Apache(nodes) if nodes.all.len() == 1 => return Ok(false),
            Brokers::Apache(nodes) => nodes.kill_next(away)?,
        }
        Ok(true)
    }

    /// Waits until all answer.
    pub fn complete(&mut self) -> Outcome {
        match self {
            Brokers::Embedded { .. } => Ok(()),
            Brokers::Apache(nodes) => nodes.complete(),
        }
    }
}

impl Nodes {
    fn list(&self, address: fn(&Broker) -> String) -> String {
        self.all.iter().map(address).collect::<Vec<_>>().join(",")
    }

    fn kill_next(&mut self, away: Duration) -> Outcome {
        self.complete()?;
        let at = self.next % self.all.len();
        self.next += 1;
        self.all[at].kill()?;
        std::thread::sleep(away);
        self.returning = Some((at, self.all[at].launch()?));
        Ok(())
    }

    fn complete(&mut self) -> Outcome {
        match self.returning.take() {
            Some((at, process)) => self.all[at].wait_for_answer(process),
            None => Ok(()),
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &self.all {
            // A node whose cluster is gone would wait for it when it is asked to end. One that does not run is no error here.
            let _ = node.kill();
            if let Err(error) = node.stop_and_forget() {
                eprintln!("xtask: {error}");
            }
        }
    }
}
