//! `tidemill broker` for clients from outside: the built binary in a separate process.

use crate::bench::process::KillOnDrop;
use crate::ports;
use crate::sh::{self, Outcome, command};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(10);

/// A `tidemill broker` process, ended when dropped.
pub struct EmbeddedBroker {
    process: KillOnDrop,
    address: String,
}

impl EmbeddedBroker {
    /// Starts a broker on a free port with its files in `dir`, and waits until it answers.
    ///
    /// # Errors
    /// The broker ends or does not answer.
    pub fn start(dir: &Path) -> Outcome<EmbeddedBroker> {
        EmbeddedBroker::start_on(ports::free()?, dir)
    }

    /// Starts a broker on a given port, for example after one was killed there.
    pub fn start_on(port: u16, dir: &Path) -> Outcome<EmbeddedBroker> {
        EmbeddedBroker::launch(port, dir, &[])
    }

    /// Starts a broker on a given port that sends its clients to another one.
    pub fn start_behind(advertised: u16, port: u16, dir: &Path) -> Outcome<EmbeddedBroker> {
        EmbeddedBroker::launch(port, dir, &["--advertised", &format!("127.0.0.1:{advertised}")])
    }

    /// Starts a broker with more options of `tidemill broker`.
    pub fn start_with(dir: &Path, options: &[&str]) -> Outcome<EmbeddedBroker> {
        EmbeddedBroker::launch(ports::free()?, dir, options)
    }

    fn launch(port: u16, dir: &Path, options: &[&str]) -> Outcome<EmbeddedBroker> {
        let address = format!("127.0.0.1:{port}");
        let dir = dir.to_string_lossy();
        let line = [&["broker", "--listen", &address, "--dir", &dir], options].concat();
        let mut command = command(binary(), &line);
        let process =
            command.stdout(Stdio::null()).spawn().map_err(|error| format!("cannot start the broker: {error}"))?;
        let mut broker = EmbeddedBroker { process: KillOnDrop(process), address };
        let start = Instant::now();
        while !ports::answers(port) {
            if let Ok(Some(status)) = broker.process.0.try_wait() {
                return Err(format!("`tidemill broker` ended as it started ({status})"));
            }
            if start.elapsed() > START_MAX {
                return Err(format!("`tidemill broker` did not answer within {} s", START_MAX.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }

    /// The address for clients, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends the broker, as dropping it does.
    pub fn end(&mut self) {
        self.process.end();
    }
}

/// The path of the built binary.
pub fn binary() -> PathBuf {
    sh::target().join("release").join(format!("tidemill{}", std::env::consts::EXE_SUFFIX))
}
