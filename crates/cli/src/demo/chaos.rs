//! `--kill-every` and `--stop-every`: SIGKILLs or SIGSTOPs an executor at an interval.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidemill_model::status::Status;

/// What is done to an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is gone at once.
    Kill,
    /// It stays alive and does nothing; only its driver can notice.
    Stop,
}

pub(crate) struct Chaos {
    kind: Kind,
    every: Duration,
    next: Instant,
    strikes: usize,
}

impl Chaos {
    /// The requested kinds.
    pub(crate) fn all(kill_every: Option<Duration>, stop_every: Option<Duration>) -> Vec<Chaos> {
        let chaos = |(kind, every): (Kind, Option<Duration>)| {
            every.map(|every| Chaos { kind, every, next: Instant::now() + every, strikes: 0 })
        };
        [(Kind::Kill, kill_every), (Kind::Stop, stop_every)].into_iter().filter_map(chaos).collect()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Kills or stops an executor when it is due, each in turn. Returns a message.
    pub(crate) fn strike(&mut self, status: &Status) -> Option<String> {
        if Instant::now() < self.next || status.executors.is_empty() {
            return None;
        }
        self.next = Instant::now() + self.every;
        self.strikes += 1;
        let at = self.strikes.checked_rem(status.executors.len()).expect("there are executors");
        let pid = status.executors[at].pid;
        let (name, what) = match self.kind {
            Kind::Kill => ("KILL", "killed"),
            Kind::Stop => ("STOP", "stopped"),
        };
        signal(pid, name).then(|| format!("{what} executor process {pid} with SIG{name}"))
    }
}

/// Sends a signal with the system's `kill` program, which needs no unsafe code. Returns whether it was sent. Windows
/// can only kill.
fn signal(pid: u32, name: &str) -> bool {
    let mut command = if cfg!(windows) { Command::new("taskkill") } else { Command::new("kill") };
    match cfg!(windows) {
        true => command.args(["/F", "/PID", &pid.to_string()]),
        false => command.args([&format!("-{name}"), &pid.to_string()]),
    };
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
