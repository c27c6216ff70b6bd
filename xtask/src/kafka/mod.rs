//! `kafka`: a private Apache Kafka broker under `target/kafka/`, for tests and experiments.
//!
//! ```text
//!   target/kafka/libs-VERSION/    the jars, fetched by Maven once
//!   target/kafka/spark-VERSION/   those of Spark's Kafka connector
//!   target/kafka/PORT/            server.properties, data, log.txt and pid of the broker on that port
//! ```
//! One KRaft node, broker and controller at once, on loopback. The controller takes the next port. Starting a broker
//! that runs, or stopping one that does not, is no error. Does not use Tidemill.

mod compare;
mod install;
pub mod process;

pub use install::spark_connector;

use crate::ports;
use crate::sh::{self, Outcome};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The version that is installed.
pub const VERSION: &str = "4.1.0";

const PORT: u16 = 9092;
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);

/// Runs `cargo xtask kafka`.
pub fn run(args: &[&str]) -> Outcome {
    let (verb, port) = match args {
        [verb] => (*verb, PORT),
        [verb, "--port", port] => (*verb, port.parse().map_err(|_| format!("`{port}` is no port"))?),
        _ => return Err("kafka start|stop|status|compare [--port N]".into()),
    };
    let broker = Broker::at(port);
    match verb {
        "compare" => compare::run(broker),
        "start" => broker.start().map(|()| println!("Apache Kafka {VERSION} on {}", broker.address())),
        "stop" => broker.stop().map(|()| println!("Apache Kafka on {} is stopped", broker.address())),
        "status" if broker.runs() => {
            println!("Apache Kafka {VERSION} on {}", broker.address());
            Ok(())
        }
        "status" => Err(format!("no Apache Kafka of ours on {}; `cargo xtask kafka start`", broker.address())),
        _ => Err(format!("`{verb}` is none of kafka start|stop|status|compare")),
    }
}

/// One broker, identified by its port. It may or may not run.
pub struct Broker {
    port: u16,
    dir: PathBuf,
}

impl Broker {
    /// The broker of a port.
    pub fn at(port: u16) -> Broker {
        Broker { port, dir: sh::target().join("kafka").join(port.to_string()) }
    }

    /// The address for clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it unless it runs, and waits until it answers. It keeps its data from earlier starts.
    ///
    /// # Errors
    /// Java or Maven is missing, the port is taken, or the broker ends. The message says which.
    pub fn start(&self) -> Outcome {
        if self.runs() {
            return Ok(());
        }
        let class_path = install::class_path()?;
        for port in [self.port, self.controller_port()] {
            if ports::answers(port) {
                return Err(format!("port {port} is taken by another program; name another one with --port"));
            }
        }
        let properties = self.dir.join("server.properties");
        sh::write_file(&properties, &self.properties())?;
        let java =
            |class: &str, args: &[&str]| sh::command("java", &[&["-Xmx1g", "-cp", &class_path, class], args].concat());
        let properties = properties.to_string_lossy();
        if !self.dir.join("data/meta.properties").exists() {
            let id = sh::read(&mut java("kafka.tools.StorageTool", &["random-uuid"]))?;
            sh::read(&mut java("kafka.tools.StorageTool", &["format", "-t", id.trim(), "-c", &properties]))?;
        }
        let process = process::spawn(&mut java("kafka.Kafka", &[&properties]), &self.dir)?;
        self.wait_for_answer(process)
    }

    /// Stops it if it runs. Its data stay.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub fn stop(&self) -> Outcome {
        match self.process() {
            Some(pid) => process::end(pid, STOP_MAX),
            None => Ok(()),
        }
    }

    /// Stops it and removes its data.
    ///
    /// # Errors
    /// As [`Broker::stop`].
    pub fn stop_and_forget(&self) -> Outcome {
        self.stop()?;
        if !self.dir.exists() {
            return Ok(());
        }
        std::fs::remove_dir_all(&self.dir).map_err(|error| format!("cannot remove {}: {error}", self.dir.display()))
    }

    fn runs(&self) -> bool {
        self.process().is_some() && ports::answers(self.port)
    }

    /// Its process id. After a restart of the machine, the id in the file may belong to another program; that is `None`.
    fn process(&self) -> Option<u32> {
        process::running(&self.dir, "kafka.Kafka")
    }

    fn controller_port(&self) -> u16 {
        self.port + 1
    }

    fn wait_for_answer(&self, mut process: std::process::Child) -> Outcome {
        let start = Instant::now();
        while start.elapsed() < START_MAX {
            if process.try_wait().is_ok_and(|status| status.is_some()) {
                return Err(format!("Kafka ended as it started:\n{}", process::log_tail(&self.dir)));
            }
            if ports::answers(self.port) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.stop()?;
        Err(format!("Kafka did not answer within {} s:\n{}", START_MAX.as_secs(), process::log_tail(&self.dir)))
    }

    fn properties(&self) -> String {
        let (broker, controller) = (self.address(), format!("127.0.0.1:{}", self.controller_port()));
        format!(
            "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{broker},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={}
num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
",
            self.dir.join("data").display()
        )
    }
}
