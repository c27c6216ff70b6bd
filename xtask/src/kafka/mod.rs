//! `kafka`: a private Apache Kafka broker under `target/kafka/`, for tests and experiments.
//!
//! ```text
//!   target/kafka/libs-VERSION/    the jars, fetched by Maven once
//!   target/kafka/spark-VERSION/   those of Spark's Kafka connector
//!   target/kafka/PORT/            server.properties, data, log.txt and pid of the broker on that port
//! ```
//! KRaft nodes, broker and controller at once, on loopback: one, or three that form a cluster. The controller takes the next
//! port; with `--secure` the port after it is a listener with TLS and SASL, and the one after that a listener with mutual TLS.
//! Starting a broker that runs, or stopping one that does not, is no error. Does not use Tidemill.

mod certificates;
mod compare;
mod install;
pub mod process;

pub use install::{application_class_path, class_path, spark_connector};

use crate::ports;
use crate::sh::{self, Outcome};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// The version that is installed.
pub const VERSION: &str = "4.1.0";

const PORT: u16 = 9092;
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);

/// Runs `cargo xtask kafka`.
pub fn run(args: &[&str]) -> Outcome {
    let is_secure = args.contains(&"--secure");
    let args: Vec<&str> = args.iter().copied().filter(|arg| *arg != "--secure").collect();
    let (verb, port) = match &args[..] {
        [verb] => (*verb, PORT),
        [verb, "--port", port] => (*verb, port.parse().map_err(|_| format!("`{port}` is no port"))?),
        _ => return Err("kafka start|stop|status|compare [--port N] [--secure]".into()),
    };
    let broker = Broker { is_secure, ..Broker::at(port) };
    match verb {
        "compare" => compare::run(broker),
        "start" => {
            broker.start()?;
            println!("Apache Kafka {VERSION} on {}", broker.address());
            if is_secure {
                let certificates = broker.certificates();
                println!("SASL_SSL on {}, certificates in {}", broker.secure_address(), certificates.display());
                println!("mutual TLS on {}", broker.mutual_address());
            }
            Ok(())
        }
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
    /// It has a listener with TLS and SASL too.
    is_secure: bool,
    /// The ports of the nodes of its cluster, itself among them.
    nodes: Vec<u16>,
}

/// Users of the secure listener, each with the password `NAME-secret`. The first may do all, the second nothing: no ACL names
/// it. Clients of the plain listener and who shows a certificate of `carol` may do all.
const USERS: [&str; 2] = ["alice", "bob"];

impl Broker {
    /// The broker of a port.
    pub fn at(port: u16) -> Broker {
        Broker { port, dir: dir_of(port), is_secure: false, nodes: vec![port] }
    }

    /// The nodes of a cluster, which replicates every partition to all of them.
    pub fn cluster(ports: &[u16]) -> Vec<Broker> {
        ports.iter().map(|port| Broker { nodes: ports.to_vec(), ..Broker::at(*port) }).collect()
    }

    /// The same with a secure listener.
    pub fn secured(self) -> Broker {
        Broker { is_secure: true, ..self }
    }

    /// What clients of the secure listener are told.
    pub fn secure_address(&self) -> String {
        format!("localhost:{}", self.port + 2)
    }

    /// What clients of the listener with mutual TLS are told.
    pub fn mutual_address(&self) -> String {
        format!("localhost:{}", self.port + 3)
    }

    /// Where the certificates of the secure listener lie.
    pub fn certificates(&self) -> PathBuf {
        dir_of(self.nodes[0]).join("certificates")
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
        Broker::start_all(std::slice::from_ref(self))
    }

    /// Starts the nodes of a cluster that do not run, and waits until all answer.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_all(nodes: &[Broker]) -> Outcome {
        let away: Vec<&Broker> = nodes.iter().filter(|node| !node.runs()).collect();
        if let Some(node) = away.first().filter(|node| node.is_secure && away.len() == node.nodes.len()) {
            certificates::make(&node.certificates())?;
        }
        let launched: Vec<_> = away.into_iter().map(|node| Ok((node, node.launch()?))).collect::<Outcome<_>>()?;
        launched.into_iter().try_for_each(|(node, process)| node.wait_for_answer(process))
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// It does not run, or cannot be killed.
    pub fn kill(&self) -> Outcome {
        let pid = self.process().ok_or_else(|| format!("no Apache Kafka of ours on {}", self.address()))?;
        process::kill(pid)
    }

    /// Starts it, and does not wait for its answer.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn launch(&self) -> Outcome<Child> {
        let class_path = install::class_path()?;
        for port in [self.port, self.controller_port()] {
            if ports::answers(port) {
                return Err(format!("port {port} is taken by another program; name another one with --port"));
            }
        }
        let properties = self.dir.join("server.properties");
        let secure = if self.is_secure { self.secure_properties() } else { String::new() };
        sh::write_file(&properties, &(self.properties() + &secure))?;
        let java =
            |class: &str, args: &[&str]| sh::command("java", &[&["-Xmx1g", "-cp", &class_path, class], args].concat());
        let properties = properties.to_string_lossy();
        if !self.dir.join("data/meta.properties").exists() {
            let shared = dir_of(self.nodes[0]).join("cluster-id");
            if !shared.exists() {
                sh::write_file(&shared, &sh::read(&mut java("kafka.tools.StorageTool", &["random-uuid"]))?)?;
            }
            let id = sh::read_file(&shared)?;
            let scram = scram_users();
            let scram: Vec<&str> = scram.iter().flat_map(|user| ["--add-scram", user]).collect();
            let format = ["format", "-t", id.trim(), "-c", &properties];
            sh::read(&mut java("kafka.tools.StorageTool", &[&format[..], &scram].concat()))?;
        }
        process::spawn(&mut java("kafka.Kafka", &[&properties]), &self.dir)
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

    /// Its id and the voters of the controllers' quorum.
    fn place(&self) -> (usize, String) {
        let id = |port: &u16| 1 + self.nodes.iter().position(|node| node == port).expect("it is one of the nodes");
        let voters: Vec<String> =
            self.nodes.iter().map(|port| format!("{}@127.0.0.1:{}", id(port), port + 1)).collect();
        (id(&self.port), voters.join(","))
    }

    /// Waits until a launched broker answers.
    ///
    /// # Errors
    /// It ends instead, or takes too long.
    pub fn wait_for_answer(&self, mut process: Child) -> Outcome {
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
        let ((id, voters), replicas) = (self.place(), self.nodes.len());
        let in_sync = replicas.div_ceil(2);
        // Leaders move soon after a node is gone, and back soon after it is there again.
        let haste = match replicas {
            1 => "",
            _ => {
                "broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\nleader.imbalance.check.interval.seconds=10"
            }
        };
        let secure = match self.is_secure {
            true => format!(",SASL_SSL://{},MUTUAL://{}", self.secure_address(), self.mutual_address()),
            false => String::new(),
        };
        format!(
            "\
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{broker},CONTROLLER://{controller}{secure}
advertised.listeners=PLAINTEXT://{broker}{secure}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,MUTUAL:SSL
log.dirs={}
num.partitions=4
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=200
{haste}
",
            self.dir.join("data").display()
        )
    }

    /// Users by PLAIN, SCRAM and OAUTHBEARER. Who logs in by SCRAM-SHA-256 must do so again every second (KIP-368).
    fn secure_properties(&self) -> String {
        let plain = USERS.map(|user| format!("user_{user}=\"{user}-secret\"")).join(" ");
        let (listener, login) = ("listener.name.sasl_ssl", "org.apache.kafka.common.security");
        // Kafka takes tokens without a signature where no validator is named.
        let oauth = format!(
            "sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";"
        );
        let (mutual, keystore) = ("listener.name.mutual", self.certificates().join("broker.pem"));
        let keystore = keystore.display();
        let scram = format!("sasl.jaas.config={login}.scram.ScramLoginModule required;");
        format!(
            "\
{listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
{listener}.oauthbearer.{oauth}
{listener}.plain.sasl.jaas.config={login}.plain.PlainLoginModule required {plain};
{listener}.scram-sha-256.{scram}
{listener}.scram-sha-512.{scram}
{listener}.scram-sha-256.connections.max.reauth.ms=1000
{listener}.ssl.keystore.type=PEM
{listener}.ssl.keystore.location={keystore}
{mutual}.ssl.keystore.type=PEM
{mutual}.ssl.keystore.location={keystore}
{mutual}.ssl.truststore.type=PEM
{mutual}.ssl.truststore.location={}
{mutual}.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{};User:CN=carol
",
            self.certificates().join("ca.pem").display(),
            USERS[0]
        )
    }
}

fn dir_of(port: u16) -> PathBuf {
    sh::target().join("kafka").join(port.to_string())
}

/// The users as the storage tool takes them.
fn scram_users() -> Vec<String> {
    let user = |hash: &'static str| move |user| format!("SCRAM-SHA-{hash}=[name={user},password={user}-secret]");
    USERS.into_iter().flat_map(|name| ["256", "512"].map(|hash| user(hash)(name))).collect()
}
