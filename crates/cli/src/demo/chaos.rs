//! `--kill-every`, `--stop-every`: an executor dies by SIGKILL, or is stopped by SIGSTOP, every so often, as on real machines.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidemill_model::status::Status;

/// What happens to an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is gone at once.
    Kill,
    /// It lives on and does nothing: nobody but its driver notices.
    Stop,
}

pub(crate) struct Chaos {
    kind: Kind,
    every: Duration,
    next: Instant,
    strikes: usize,
}

impl Chaos {
    /// Those that are asked for.
    pub(crate) fn all(kill_every: Option<Duration>, stop_every: Option<Duration>) -> Vec<Chaos> {
        let chaos = |(kind, every): (Kind, Option<Duration>)| {
            every.map(|every| Chaos { kind, every, next: Instant::now() + every, strikes: 0 })
        };
        [(Kind::Kill, kill_every), (Kind::Stop, stop_every)].into_iter().filter_map(chaos).collect()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Strikes one of the executors when it is time; each in turn. Returns what happened.
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

/// Whether a process got a signal. The system's own program does it: it needs no unsafe code here. Windows can only kill.
fn signal(pid: u32, name: &str) -> bool {
    let mut command = if cfg!(windows) { Command::new("taskkill") } else { Command::new("kill") };
    match cfg!(windows) {
        true => command.args(["/F", "/PID", &pid.to_string()]),
        false => command.args([&format!("-{name}"), &pid.to_string()]),
    };
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
