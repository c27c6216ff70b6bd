//! Talks to the dashboard of a run over a plain socket: status and commands.

use super::process::{Process, until};
use std::io::{Read, Write};
use std::net::TcpStream;
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
        let mut stream = TcpStream::connect(&self.0).ok()?;
        let (host, length) = (&self.0, body.len());
        let request = format!(
            "{what} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let (head, body) = reply.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }
}
