//! Talks to the dashboard of a run: status and commands.

use super::process::{Process, until};
use tidemill_dash::client;
use tidemill_model::status::{ExecutorStatus, Status};

/// Arguments that give a run a dashboard.
pub const WITH_DASHBOARD: [&str; 2] = ["--set", "dashboard.listen=127.0.0.1:0"];

/// A dashboard's address.
pub struct Dashboard(String);

impl Dashboard {
    /// The dashboard that a process announces.
    pub fn of(process: &Process) -> Dashboard {
        let line = process.says("dashboard on http://");
        let (_, address) = line.rsplit_once("http://").expect("says so");
        Dashboard(address.trim_end_matches('/').to_owned())
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.0
    }

    /// The status; `None` before the first one.
    pub fn status(&self) -> Option<Status> {
        let reply = self.ask("GET /api/status", "")?;
        serde_json::from_str(&reply).ok()
    }

    /// Waits for a status that satisfies `so`, and returns it.
    pub fn wait(&self, what: &str, so: impl Fn(&Status) -> bool) -> Status {
        until(what, || self.status().filter(|status| so(status)))
    }

    /// Waits for an executor that satisfies `so`.
    pub fn executor(&self, what: &str, so: impl Fn(&ExecutorStatus) -> bool) -> ExecutorStatus {
        until(what, || self.status()?.executors.into_iter().find(|executor| so(executor)))
    }

    /// Sends a command, as the page does.
    pub fn command(&self, json: &str) {
        self.ask("POST /api/command", json).expect("the command is taken");
    }

    /// The body of the answer, if the code is 200.
    fn ask(&self, what: &str, body: &str) -> Option<String> {
        let answer = client::ask(self.0.parse().ok()?, what, body).ok()?;
        (answer.code == 200).then_some(answer.body)
    }
}
