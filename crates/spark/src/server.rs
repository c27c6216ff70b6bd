//! A Connect server on this machine, from a Spark or pyspark folder: for trying, and for tests.
//!
//! ```text
//!   this process ─ pipe ─► sh, which waits ─► spark-submit … SparkConnectServer
//! ```
//! The shell ends the server when the pipe closes, so the server does not outlive this process, however it dies.

use crate::remote::Remote;
use crate::session::Session;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tidemill_model::{Error, Result, Secret};
use uuid::Uuid;

/// How long the server may take to answer.
const START_MAX: Duration = Duration::from_secs(300);
/// How long it may take to end before it is killed.
const END_MAX: Duration = Duration::from_secs(20);

/// Waits for the server or for the pipe's end, whichever comes first. `$1` is the longest wait for a clean end, seconds.
const KEEPER: &str = r#"
exec 3<&0
patience=$1; shift
"$@" </dev/null 3<&- &
server=$!
(
    cat <&3 >/dev/null
    kill "$server" 2>/dev/null
    while [ "$patience" -gt 0 ] && kill -0 "$server" 2>/dev/null; do sleep 1; patience=$((patience - 1)); done
    kill -9 "$server" 2>/dev/null
) &
exec 3<&-
wait "$server"
"#;

/// A running server; ends with its value.
pub struct Server {
    keeper: Child,
    port: u16,
    /// Keeps other users of the machine out.
    token: Secret,
    log: PathBuf,
    _scratch: tempfile::TempDir,
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
}

impl Server {
    /// Starts a server on a free port of the loopback address, and waits until it answers.
    ///
    /// # Errors
    /// User: there is no Spark or no Java. External: the server ends as it starts, or does not answer.
    pub async fn start(options: &ServerOptions, note: &mut dyn FnMut(&str)) -> Result<Server> {
        let home = spark_home(&options.folder)?;
        let scratch = tempfile::Builder::new().prefix("tidemill-spark-").tempdir()?;
        let port = if options.port == 0 { free_port()? } else { options.port };
        let log = scratch.path().join("log.txt");
        let output = File::create(&log)?;
        note(&format!("starting Spark from {} on 127.0.0.1:{port}, master {}", home.display(), options.master));
        let token = options.token.clone().unwrap_or_else(|| Secret::new(Uuid::new_v4().to_string()));
        let keeper = spawn(&home, options, port, &token, scratch.path(), output)?;
        let mut server = Server { keeper, port, token, log, _scratch: scratch };
        let started = Instant::now();
        loop {
            if reached(port).await {
                let session = Session::open(&server.remote()).await?;
                let version = session.version().await?;
                drop(session.release().await);
                note(&format!("Spark {version} answers after {:.1} s", started.elapsed().as_secs_f64()));
                return Ok(server);
            }
            if let Some(status) = server.keeper.try_wait()? {
                return Err(server.died(status));
            }
            if started.elapsed() > START_MAX {
                return Err(Error::external(format!(
                    "Spark does not answer after {} s:\n{}\nsee whether the machine has enough memory",
                    START_MAX.as_secs(),
                    tail(&server.log)
                )));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Its address.
    pub fn remote(&self) -> Remote {
        Remote {
            host: "127.0.0.1".into(),
            port: self.port,
            tls: false,
            token: Some(self.token.clone()),
            user_id: "tidemill".into(),
            session_id: None,
        }
    }

    /// The process group of the server and its keeper.
    pub fn process_group(&self) -> u32 {
        self.keeper.id()
    }

    /// How it ended, if it has; with the end of its log.
    pub fn end(&mut self) -> Option<Error> {
        let status = self.keeper.try_wait().ok()??;
        Some(self.died(status))
    }

    fn died(&self, status: ExitStatus) -> Error {
        let log = tail(&self.log);
        let help = match log.contains("java: not found") || log.contains("JAVA_HOME") {
            true => "install Java 17 or newer, or set JAVA_HOME",
            false => "mend what its log says",
        };
        Error::external(format!("Spark's Connect server ended ({status}):\n{log}\n{help}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let since = Instant::now();
        while since.elapsed() < END_MAX + Duration::from_secs(5) {
            if self.keeper.try_wait().map_or(true, |status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn spawn(
    home: &Path,
    options: &ServerOptions,
    port: u16,
    token: &Secret,
    scratch: &Path,
    output: File,
) -> Result<Child> {
    let mut conf: Vec<(String, String)> = [
        ("spark.driver.memory", "1g"),
        ("spark.driver.host", "127.0.0.1"),
        ("spark.driver.bindAddress", "127.0.0.1"),
        ("spark.connect.grpc.binding.address", "127.0.0.1"),
        ("spark.ui.enabled", "false"),
        ("spark.ui.showConsoleProgress", "false"),
        ("spark.sql.shuffle.partitions", "2"),
        ("spark.sql.streaming.pollingDelay", "10ms"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    conf.push(("spark.connect.grpc.binding.port".into(), port.to_string()));
    conf.push(("spark.local.dir".into(), scratch.join("local").display().to_string()));
    conf.push(("spark.sql.warehouse.dir".into(), scratch.join("warehouse").display().to_string()));
    conf.extend(options.conf.iter().cloned());
    let mut command = Command::new("sh");
    command.args(["-c", KEEPER, "sh", &END_MAX.as_secs().to_string()]);
    command.arg(home.join("bin/spark-submit"));
    command.args(["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", &options.master]);
    for (key, value) in conf {
        command.args(["--conf", &format!("{key}={value}")]);
    }
    command.arg("spark-internal").current_dir(scratch);
    command.env("SPARK_CONNECT_AUTHENTICATE_TOKEN", token.expose());
    command.env("SPARK_HOME", home).env("SPARK_LOCAL_IP", "127.0.0.1").env_remove("SPARK_DAEMON_MEMORY");
    // A Ctrl-C of the terminal is for this process; the server is asked to end when the run has.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
    command.spawn().map_err(|error| Error::external(format!("cannot start Spark: {error}; a POSIX shell is needed")))
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

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn reached(port: u16) -> bool {
    tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
