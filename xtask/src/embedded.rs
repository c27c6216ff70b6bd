//! `tidemill broker` as clients from outside meet it: the built binary, in a process of its own.

use crate::bench::process::KillOnDrop;
use crate::ports;
use crate::sh::{self, Outcome, command};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(10);

/// `tidemill broker` in a process of its own, ended when dropped.
pub struct EmbeddedBroker {
    process: KillOnDrop,
    address: String,
}

impl EmbeddedBroker {
    /// Starts it on a free port over the files in `dir`, and waits until it answers.
    ///
    /// # Errors
    /// When it ends instead, or does not answer.
    pub fn start(dir: &Path) -> Outcome<EmbeddedBroker> {
        EmbeddedBroker::start_on(ports::free()?, dir)
    }

    /// The same on a port that is known, where one was killed.
    pub fn start_on(port: u16, dir: &Path) -> Outcome<EmbeddedBroker> {
        let address = format!("127.0.0.1:{port}");
        let mut command = command(binary(), &["broker", "--listen", &address, "--dir", &dir.to_string_lossy()]);
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

    /// What clients are told.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends it, as dropping it does.
    pub fn end(&mut self) {
        self.process.end();
    }
}

/// The built binary.
pub fn binary() -> PathBuf {
    sh::target().join("release").join(format!("tidemill{}", std::env::consts::EXE_SUFFIX))
}
