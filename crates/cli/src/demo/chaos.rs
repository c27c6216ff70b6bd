//! `--kill-every`: an executor dies by SIGKILL every so often, as machines do.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidemill_model::status::Status;

pub(crate) struct Chaos {
    every: Duration,
    next: Instant,
    strikes: usize,
}

impl Chaos {
    pub(crate) fn new(every: Duration) -> Chaos {
        Chaos { every, next: Instant::now() + every, strikes: 0 }
    }

    /// Kills one of the executors when it is time; each in turn. Returns its process id.
    pub(crate) fn strike(&mut self, status: &Status) -> Option<u32> {
        if Instant::now() < self.next || status.executors.is_empty() {
            return None;
        }
        self.next = Instant::now() + self.every;
        self.strikes += 1;
        let at = self.strikes.checked_rem(status.executors.len()).expect("there are executors");
        let pid = status.executors[at].pid;
        kill(pid).then_some(pid)
    }
}

/// Whether a process was killed. The system's own program does it: it needs no unsafe code here.
fn kill(pid: u32) -> bool {
    let mut command = if cfg!(windows) { Command::new("taskkill") } else { Command::new("kill") };
    match cfg!(windows) {
        true => command.args(["/F", "/PID", &pid.to_string()]),
        false => command.args(["-KILL", &pid.to_string()]),
    };
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
