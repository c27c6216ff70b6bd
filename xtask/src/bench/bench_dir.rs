//! The setting of benchmarks of the built binary: a broker with an empty directory, records, the reference pipeline.

use super::slow_link;
use crate::embedded::{EmbeddedBroker, binary};
use crate::json;
use crate::ports;
use crate::sh::{self, Outcome};
use crate::usage::{self, Cost};
use std::path::PathBuf;
use std::process::Command;

/// The reference pipeline that benchmarks run.
const PIPELINE: &str = "crates/config/tests/reference.toml";

/// The topic that it reads.
pub const TOPIC: &str = "cs_student_logs";

/// A broker and its directory. Dropping it ends the broker and removes the directory.
pub struct BenchDir {
    pub broker: EmbeddedBroker,
    dir: PathBuf,
}

impl BenchDir {
    /// An empty broker.
    pub fn new(name: &str) -> Outcome<BenchDir> {
        BenchDir::with(name, &[])
    }

    /// An empty broker with these options.
    pub fn with(name: &str, options: &[&str]) -> Outcome<BenchDir> {
        let dir = empty_dir(name)?;
        Ok(BenchDir { broker: EmbeddedBroker::start_with(&dir.join("broker"), options)?, dir })
    }

    /// An empty broker behind a network that carries so many bytes a second to its clients.
    pub fn far_away(name: &str, bytes_per_second: u32) -> Outcome<BenchDir> {
        let dir = empty_dir(name)?;
        let (link, port) = (ports::free()?, ports::free()?);
        let broker = EmbeddedBroker::start_behind(link, port, &dir.join("broker"))?;
        slow_link::start(link, port, bytes_per_second)?;
        Ok(BenchDir { broker, dir })
    }

    /// [`BenchDir::produce_to`] four partitions.
    pub fn produce(&self, topic: &str, count: u64, producers: u32) -> Outcome<(f64, Cost)> {
        self.produce_to(topic, 4, count, producers)
    }

    /// Runs `tidemill produce --rate max` into a topic of so many partitions. Returns the records per second that it reports, and its
    /// cost.
    pub fn produce_to(&self, topic: &str, partitions: u32, count: u64, producers: u32) -> Outcome<(f64, Cost)> {
        let (count, producers) = (count.to_string(), producers.to_string());
        let mut command = self.producer(topic, "max", partitions);
        command.args(["--count", &count, "--producers", &producers, "--json"]);
        let (text, cost) = usage::measure(|| sh::read(&mut command))?;
        let per_second = json::number(&text, "per_second");
        Ok((per_second.ok_or_else(|| format!("`tidemill produce --json` printed {text}"))?, cost))
    }

    /// `tidemill produce` into a topic of so many partitions.
    pub fn producer(&self, topic: &str, rate: &str, partitions: u32) -> Command {
        let servers = self.broker.address();
        let mut command = sh::command(binary(), &["produce", "--bootstrap-servers", servers, "--topic", topic]);
        command.args(["--partitions", &partitions.to_string(), "--rate", rate]);
        command
    }

    /// `tidemill run` of the reference pipeline from the topic's beginning, with its own checkpoint.
    pub fn run(&self, name: &str, dashboard: bool) -> Outcome<Command> {
        let reference = sh::read_file(&sh::root().join(PIPELINE))?;
        let own = |line: &&str| dashboard || !["[dashboard]", "listen ="].iter().any(|start| line.starts_with(start));
        let text: String = reference.lines().filter(own).map(|line| format!("{line}\n")).collect();
        let (file, checkpoint) = (self.dir.join(format!("{name}.toml")), self.dir.join(name));
        sh::write_file(&file, &text)?;
        let mut command = sh::command(binary(), &["run", &file.to_string_lossy(), "--quiet"]);
        command.args(["--checkpoint", &checkpoint.to_string_lossy()]);
        command.args(["--set", &format!("sources.{TOPIC}.bootstrap_servers={}", self.broker.address())]);
        command.args(["--set", &format!("sources.{TOPIC}.starting_offsets=earliest")]);
        if dashboard {
            command.args(["--set", "dashboard.listen=127.0.0.1:0"]);
        }
        Ok(command)
    }

    /// The path of a file in the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn empty_dir(name: &str) -> Outcome<PathBuf> {
    let dir = sh::target().join("bench").join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    Ok(dir)
}

impl Drop for BenchDir {
    fn drop(&mut self) {
        self.broker.end();
        // A leftover takes disk space and does no harm.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
