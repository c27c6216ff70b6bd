//! The dashboard of the pipeline under torture, as a script speaks to it: bare HTTP, no library in between.

use crate::sh::Outcome;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Nobody waits longer for a word: the driver may be dead.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where it listens.
#[derive(Clone, Copy)]
pub struct Dashboard(pub u16);

impl Dashboard {
    /// Gives a command, as JSON; false when there is nobody to take it.
    pub fn command(self, json: &str) -> bool {
        let own = format!("Origin: http://127.0.0.1:{}\r\nContent-Type: application/json\r\n", self.0);
        self.ask("POST /api/command", &own, json).is_ok_and(|reply| reply.starts_with("HTTP/1.1 200"))
    }

    /// The pipeline's status, as JSON.
    pub fn status(self) -> Outcome<String> {
        let reply = self.ask("GET /api/status", "", "").map_err(|error| format!("no word from the driver: {error}"))?;
        reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or_else(|| format!("no HTTP: {reply}"))
    }

    fn ask(self, what: &str, headers: &str, body: &str) -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.0));
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (port, length) = (self.0, body.len());
        let request = format!(
            "{what} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }
}
