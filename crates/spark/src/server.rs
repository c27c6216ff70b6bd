//! A Connect server on this machine, from a Spark or pyspark folder, and a Master for Workers of this run: for trying, and
//! for tests. Both end with this process ([`crate::keeper`]).

use crate::keeper::Kept;
use crate::remote::Remote;
use crate::rest::RestApi;
use crate::session::Session;
use crate::workers::daemon;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};
use tidemill_model::{Error, Result, Secret};
use uuid::Uuid;

/// How long the server may take to answer.
const START_MAX: Duration = Duration::from_secs(300);
/// How long it may take to end before it is killed.
const END_MAX: Duration = Duration::from_secs(20);
/// The pause between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often a server is started again within [`ENDS_WITHIN`].
const ENDS_MAX: usize = 5;
const ENDS_WITHIN: Duration = Duration::from_secs(600);

/// A running server; ends with its value.
pub struct Server {
    kept: Kept,
    _scratch: tempfile::TempDir,
    home: PathBuf,
    /// With its port and token.
    options: ServerOptions,
    page: Option<u16>,
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// `auto`, or a folder of Spark, of pyspark, or of a Python environment with pyspark.
    pub folder: String,
    /// `local[2]`, `spark://host:port`.
    pub master: String,
    /// Spark's options.
    pub conf: Vec<(String, String)>,
    /// Its port; 0 is a free one.
    pub port: u16,
    /// The token that clients must give; `None`: one that nobody else knows.
    pub token: Option<Secret>,
    /// The secret of its Master, if that wants one.
    pub secret: Option<Secret>,
}

impl Server {
    /// Starts a server on a free port of the loopback address, and waits until it answers.
    ///
    /// # Errors
    /// User: there is no Spark or no Java. External: the server ends as it starts, or does not answer.
    pub async fn start(options: &ServerOptions, note: &mut dyn FnMut(&str)) -> Result<Server> {
        let home = spark_home(&options.folder)?;
        let port = if options.port == 0 { free_port()? } else { options.port };
        // A token keeps other users of the machine out.
        let token = options.token.clone().or_else(|| Some(Secret::new(Uuid::new_v4().to_string())));
        let options = ServerOptions { port, token, ..options.clone() };
        // A cluster has executors to be seen on the driver's page.
        let page = if is_local(&options.master) { None } else { Some(free_port()?) };
        note(&format!("starting Spark from {} on 127.0.0.1:{port}, master {}", home.display(), options.master));
        let (kept, scratch) = spawn(&home, &options, page)?;
        let mut server = Server { kept, _scratch: scratch, home, options, page };
        server.answer(note).await?;
        Ok(server)
    }

    /// Starts the server again, at the same address, whenever it ends. Returns only if that does not help.
    pub async fn keep(&mut self, note: &mut dyn FnMut(&str)) -> Error {
        let mut ends: Vec<Instant> = Vec::new();
        loop {
            if let Some(status) = self.kept.ended() {
                ends.retain(|at| at.elapsed() < ENDS_WITHIN);
                ends.push(Instant::now());
                if ends.len() > ENDS_MAX {
                    return self.died(status);
                }
                let log = self.kept.log_tail();
                note(&format!(
                    "Spark's Connect server ended ({status}); starting it again. The end of its log:\n{log}"
                ));
                if let Err(error) = self.again(note).await {
                    return error;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn again(&mut self, note: &mut dyn FnMut(&str)) -> Result<()> {
        (self.kept, self._scratch) = spawn(&self.home, &self.options, self.page)?;
        self.answer(note).await
    }

    /// Waits until it answers.
    async fn answer(&mut self, note: &mut dyn FnMut(&str)) -> Result<()> {
        let started = Instant::now();
        loop {
            if reached(self.options.port).await {
                let session = Session::open(&self.remote()).await?;
                let version = session.version().await?;
                drop(session.release().await);
                note(&format!("Spark {version} answers after {:.1} s", started.elapsed().as_secs_f64()));
                return Ok(());
            }
            if let Some(error) = self.end() {
                return Err(error);
            }
            if started.elapsed() > START_MAX {
                return Err(Error::external(format!(
                    "Spark does not answer after {} s:\n{}\nsee whether the machine has enough memory",
                    START_MAX.as_secs(),
                    self.kept.log_tail()
                )));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Its address.
    pub fn remote(&self) -> Remote {
        Remote {
            host: "127.0.0.1".into(),
            port: self.options.port,
            tls: false,
            token: self.options.token.clone(),
            user_id: "tidemill".into(),
            session_id: None,
            is_kept: false,
        }
    }

    /// The process group of the server and its keeper.
    pub fn process_group(&self) -> u32 {
        self.kept.process_group()
    }

    /// The driver's page, if it has one.
    pub fn page(&self) -> Option<RestApi> {
        self.page.map(|port| RestApi::at("127.0.0.1", port))
    }

    /// How it ended, if it has; with the end of its log.
    pub fn end(&mut self) -> Option<Error> {
        let status = self.kept.ended()?;
        Some(self.died(status))
    }

    fn died(&self, status: ExitStatus) -> Error {
        let log = self.kept.log_tail();
        let help = match log.contains("java: not found") || log.contains("JAVA_HOME") {
            true => "install Java 17 or newer, or set JAVA_HOME",
            false => "mend what its log says",
        };
        Error::external(format!("Spark's Connect server ended ({status}):\n{log}\n{help}"))
    }
}

/// A standalone Master on a free port of the loopback address; ends with its value.
pub struct Master {
    _kept: Kept,
    port: u16,
    secret: Secret,
    _scratch: tempfile::TempDir,
}

impl Master {
    /// Starts it from a folder of Spark, and waits until it answers.
    ///
    /// # Errors
    /// External: it ends as it starts, or does not answer.
    pub async fn start(home: &Path) -> Result<Master> {
        let scratch = tempfile::Builder::new().prefix("tidemill-workers-").tempdir()?;
        let (port, secret) = (free_port()?, Secret::new(Uuid::new_v4().to_string()));
        let mut command = daemon(home, "org.apache.spark.deploy.master.Master", Some(&secret));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--webui-port", "0"]);
        let mut kept = Kept::start(&command, scratch.path(), END_MAX)?;
        let started = Instant::now();
        while !reached(port).await {
            if kept.ended().is_some() || started.elapsed() > START_MAX {
                let log = kept.log_tail();
                return Err(Error::external(format!("Spark's Master does not answer:\n{log}\nmend what its log says")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(Master { _kept: kept, port, secret, _scratch: scratch })
    }

    /// `spark://host:port`.
    pub fn url(&self) -> String {
        format!("spark://127.0.0.1:{}", self.port)
    }

    /// What its Workers and applications must know.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// Whether a master is no cluster: Spark's driver does the work itself.
pub fn is_local(master: &str) -> bool {
    master.starts_with("local")
}

/// A server's process, and its folder.
fn spawn(home: &Path, options: &ServerOptions, page: Option<u16>) -> Result<(Kept, tempfile::TempDir)> {
    let scratch = tempfile::Builder::new().prefix("tidemill-spark-").tempdir()?;
    let command = command(home, options, page, scratch.path())?;
    Ok((Kept::start(&command, scratch.path(), END_MAX)?, scratch))
}

fn command(home: &Path, options: &ServerOptions, page: Option<u16>, scratch: &Path) -> Result<Command> {
    let mut conf: Vec<(String, String)> = [
        ("spark.driver.memory", "1g"),
        ("spark.driver.host", "127.0.0.1"),
        ("spark.driver.bindAddress", "127.0.0.1"),
        ("spark.connect.grpc.binding.address", "127.0.0.1"),
        ("spark.ui.showConsoleProgress", "false"),
        ("spark.log.level", "WARN"),
        ("spark.sql.shuffle.partitions", "2"),
        ("spark.sql.streaming.pollingDelay", "10ms"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    conf.push(("spark.ui.enabled".into(), page.is_some().to_string()));
    conf.extend(page.map(|page| ("spark.ui.port".into(), page.to_string())));
    conf.push(("spark.connect.grpc.binding.port".into(), options.port.to_string()));
    conf.push(("spark.local.dir".into(), scratch.join("local").display().to_string()));
    conf.push(("spark.sql.warehouse.dir".into(), scratch.join("warehouse").display().to_string()));
    conf.extend(options.conf.iter().cloned());
    let mut command = Command::new(home.join("bin/spark-submit"));
    command.args(["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", &options.master]);
    for (key, value) in conf {
        command.args(["--conf", &format!("{key}={value}")]);
    }
    if let Some(secret) = &options.secret {
        command.arg("--load-spark-defaults").arg("--properties-file").arg(secret_file(secret, scratch)?);
    }
    command.arg("spark-internal");
    command.envs(options.token.as_ref().map(|token| ("SPARK_CONNECT_AUTHENTICATE_TOKEN", token.expose())));
    command.env("SPARK_HOME", home).env("SPARK_LOCAL_IP", "127.0.0.1").env_remove("SPARK_DAEMON_MEMORY");
    Ok(command)
}

/// The file with the secret, in a folder that nobody else reads: on a command line all could see it.
fn secret_file(secret: &Secret, scratch: &Path) -> Result<PathBuf> {
    let path = scratch.join("secret.conf");
    std::fs::write(&path, format!("spark.authenticate.secret {}\n", secret.expose()))?;
    Ok(path)
}

/// The folder with `bin/spark-submit`.
///
/// # Errors
/// User: there is none; the message names the places looked at.
pub fn spark_home(folder: &str) -> Result<PathBuf> {
    let is_home = |dir: &Path| dir.join("bin/spark-submit").is_file() && dir.join("jars").is_dir();
    let within = |dir: &Path| -> Option<PathBuf> {
        if is_home(dir) {
            return Some(dir.to_owned());
        }
        let pythons = std::fs::read_dir(dir.join("lib")).into_iter().flatten().flatten();
        let mut homes = pythons.map(|python| python.path().join("site-packages/pyspark"));
        homes.find(|home| is_home(home)).or_else(|| Some(dir.join("pyspark")).filter(|home| is_home(home)))
    };
    if folder != "auto" {
        return within(Path::new(folder)).ok_or_else(|| {
            Error::user(format!(
                "--spark-local: {folder} holds no Spark; name a folder with bin/spark-submit and jars, or a Python environment \
                 with pyspark 4"
            ))
        });
    }
    let named =
        ["SPARK_HOME", "TIDEMILL_SPARK_VENV", "VIRTUAL_ENV"].iter().filter_map(std::env::var_os).map(PathBuf::from);
    let ours = ["target/references/spark-venv"].iter().map(PathBuf::from);
    named.chain(ours).find_map(|dir| within(&dir)).ok_or_else(|| {
        Error::user(
            "--spark-local auto: no Spark found by SPARK_HOME, TIDEMILL_SPARK_VENV, VIRTUAL_ENV or in \
             target/references/spark-venv; name its folder, or make one: python3 -m venv spark && spark/bin/pip install \
             pyspark==4.1.1, then --spark-local spark",
        )
    })
}

/// The option that gives this Spark its Kafka connector; `None` if it has one, or the options name jars already. Jars that
/// `cargo xtask spark start` has fetched are taken; otherwise Spark fetches them from Maven Central.
pub fn kafka_connector(home: &Path, conf: &[(String, String)]) -> Option<(String, String)> {
    let names = |dir: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let jars = names(&home.join("jars"));
    let is_named = conf.iter().any(|(key, _)| key == "spark.jars" || key == "spark.jars.packages");
    if is_named || jars.iter().any(|jar| jar.starts_with("spark-sql-kafka")) {
        return None;
    }
    let core = jars.iter().find_map(|jar| jar.strip_prefix("spark-core_")?.strip_suffix(".jar"))?;
    let (scala, version) = core.split_once('-')?;
    let fetched = std::path::absolute(format!("target/kafka/spark-{version}")).ok()?;
    let found: Vec<String> = names(&fetched).into_iter().filter(|name| name.ends_with(".jar")).collect();
    Some(match found.is_empty() {
        true => ("spark.jars.packages".into(), format!("org.apache.spark:spark-sql-kafka-0-10_{scala}:{version}")),
        false => {
            let paths = found.iter().map(|name| fetched.join(name).display().to_string());
            ("spark.jars".into(), paths.collect::<Vec<_>>().join(","))
        }
    })
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn reached(port: u16) -> bool {
    tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_without_the_connector_gets_it() {
        let home = tempfile::tempdir().unwrap();
        let touch = |name: &str| std::fs::write(home.path().join("jars").join(name), "").unwrap();
        std::fs::create_dir(home.path().join("jars")).unwrap();
        touch("spark-core_2.13-0.0.7.jar");
        let package = "org.apache.spark:spark-sql-kafka-0-10_2.13:0.0.7".to_owned();
        assert_eq!(kafka_connector(home.path(), &[]), Some(("spark.jars.packages".into(), package)));
        assert_eq!(kafka_connector(home.path(), &[("spark.jars".into(), "a.jar".into())]), None);
        touch("spark-sql-kafka-0-10_2.13-0.0.7.jar");
        assert_eq!(kafka_connector(home.path(), &[]), None);
    }
}
