//! The processes under torture: a broker, a load, a driver with its executors. All end when dropped.

use super::brokers::Brokers;
use super::dashboard::Dashboard;
use crate::bench::process::{self, KillOnDrop};
use crate::embedded::binary;
use crate::sh::{self, Outcome, command};
use crate::{json, ports};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Records per second. A small machine can keep this up for hours.
const RATE: &str = "1000/s";

/// Limit per core. With it, one executor of two cores is not quite enough, so that a kill hits executors at work.
const LIMIT: &str = "autoscale.max_records_per_second_per_core=450";

/// After the last kill, the backlog must be read within this time.
const DRAIN: Duration = Duration::from_secs(900);

/// Time for a driver to end after the signal.
const END: Duration = Duration::from_secs(60);

pub struct Testbed {
    dir: PathBuf,
    dashboard: Dashboard,
    job: Job,
    driver: KillOnDrop,
    load: KillOnDrop,
    // Last, so that they outlive whoever talks to them.
    brokers: Brokers,
}

/// What the processes are told.
pub struct Job {
    /// Arguments of `tidemill produce`: the topic and what its records are like.
    pub load: Vec<String>,
    /// Arguments of `tidemill run pipeline.toml`.
    pub driver: Vec<String>,
}

impl Testbed {
    /// Starts load and driver on the pipeline in a directory and its checkpoint.
    pub fn start(dir: &Path, length: Duration, seed: u64, brokers: Brokers, job: Job) -> Outcome<Testbed> {
        let mut load = command(binary(), &["produce", "--bootstrap-servers", &brokers.address(), "--rate", RATE]);
        load.args(&job.load).args(["--json", "--seed", &seed.to_string()]);
        load.args(["--duration", &format!("{}s", length.as_secs())]);
        load.stdout(log(dir, LOAD)?).stderr(Stdio::null());
        let load = load.spawn().map(KillOnDrop).map_err(|error| format!("cannot start the load: {error}"))?;
        let dashboard = Dashboard(ports::free()?);
        let driver = driver(dir, &job, dashboard)?;
        Ok(Testbed { dir: dir.to_owned(), dashboard, job, driver, load, brokers })
    }

    /// Whether the load still runs.
    pub fn loads(&mut self) -> bool {
        matches!(self.load.0.try_wait(), Ok(None))
    }

    /// Kills an executor with SIGKILL; false if there is none.
    pub fn kill_executor(&mut self, which: u64) -> Outcome<bool> {
        let mut living = process::children(self.driver.0.id())?;
        living.sort_unstable();
        let at = which.checked_rem(living.len() as u64);
        Ok(at.is_some_and(|at| signal(living[at as usize], "-KILL")))
    }

    /// Kills the driver with SIGKILL, and starts it again on the same checkpoint.
    pub fn kill_driver(&mut self, away: Duration) -> Outcome {
        self.living()?;
        self.driver.end();
        std::thread::sleep(away);
        self.dashboard = Dashboard(ports::free()?);
        self.driver = driver(&self.dir, &self.job, self.dashboard)?;
        Ok(())
    }

    /// [`Brokers::kill`].
    pub fn kill_broker(&mut self, away: Duration) -> Outcome<bool> {
        self.brokers.kill(away)
    }

    /// Pins the size, or unpins it; false if no driver accepts the command.
    pub fn pin(&self, size: Option<u64>) -> bool {
        self.dashboard.pin(size)
    }

    /// Checks that the driver has not ended by itself.
    pub fn living(&mut self) -> Outcome {
        match self.driver.0.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("the driver ended by itself ({status}):\n{}", self.last_words())),
            Err(error) => Err(format!("the driver cannot be waited for: {error}")),
        }
    }

    /// Waits until everything is read, then ends load and driver. Returns the number of records that the brokers have
    /// acknowledged to the load, and the brokers.
    pub fn settle(mut self) -> Outcome<(u64, Brokers)> {
        self.brokers.complete()?;
        let _ = self.load.0.wait();
        let start = Instant::now();
        while !self.pin(None) || !self.is_idle() {
            self.living()?;
            if start.elapsed() > DRAIN {
                return Err(format!("after {} s the driver has not read everything", DRAIN.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        signal(self.driver.0.id(), "-INT");
        let start = Instant::now();
        let status = loop {
            match self.driver.0.try_wait() {
                Ok(Some(status)) => break status,
                _ if start.elapsed() > END => {
                    return Err(format!("the driver did not end in {} s:\n{}", END.as_secs(), self.last_words()));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        if !status.success() {
            return Err(format!("the driver was asked to end and failed ({status}):\n{}", self.last_words()));
        }
        let summary = sh::read_file(&self.dir.join(LOAD))?;
        let acknowledged = json::number(&summary, "acknowledged");
        let acknowledged = acknowledged.ok_or_else(|| format!("the load did not end well: it said `{summary}`"))?;
        Ok((acknowledged, self.brokers))
    }

    fn is_idle(&self) -> bool {
        let holds = |status: String| status.contains("\"backlog\":0,") && status.contains("\"activity\":\"idle\"");
        self.dashboard.status().is_ok_and(holds)
    }

    fn last_words(&self) -> String {
        let text = sh::read_file(&self.dir.join(DRIVER)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

/// Files with the processes' output, in the testbed's directory.
const LOAD: &str = "load.json";
const DRIVER: &str = "driver.log";

fn driver(dir: &Path, job: &Job, dashboard: Dashboard) -> Outcome<KillOnDrop> {
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let mut driver = command(binary(), &["run", &path("pipeline.toml"), "--checkpoint", &path("checkpoint")]);
    driver.args(["--progress", &path("progress.jsonl"), "--decisions", &path("decisions.jsonl"), "--set", LIMIT]);
    driver.args(&job.driver);
    driver.args(["--set", &format!("dashboard.listen=127.0.0.1:{}", dashboard.0)]);
    driver.stdout(Stdio::null()).stderr(log(dir, DRIVER)?);
    driver.spawn().map(KillOnDrop).map_err(|error| format!("cannot start the driver: {error}"))
}

fn log(dir: &Path, name: &str) -> Outcome<File> {
    let path = dir.join(name);
    let file = File::options().create(true).append(true).open(&path);
    file.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn signal(pid: u32, which: &str) -> bool {
    let mut kill = command("kill", &[which, &pid.to_string()]);
    kill.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
