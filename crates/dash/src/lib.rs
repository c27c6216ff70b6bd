//! The dashboard: an HTTP page that shows a running pipeline, and the same figures for programs.
//!
//! ```text
//! driver loop ── publish(&Status) ──► Hub: the newest snapshot (1) + a sample a second (900) + decisions (1000)
//!                                      │ watch channel: a slow page misses snapshots, the driver never waits
//!                                      ▼
//!        one thread, one tokio loop ── GET /events /api/* /metrics /   ·   POST /api/command ──► Sender<Command>
//! ```
//!
//! Knows only `model::status`: no driver, no engine, no Kafka. Without an open page, `publish` costs one clone and a
//! lock, and the thread sleeps. It has no TLS and no users. It listens on loopback by default and accepts commands only
//! there ([`guard`]); a reverse proxy can add TLS and users.

#![forbid(unsafe_code)]

pub mod client;
mod guard;
mod history;
mod hub;
mod metrics;
mod page;
mod reply;
mod routes;
mod server;

use hub::Hub;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use tidemill_model::status::{Command, Status};
use tidemill_model::{Error, Result};

/// If the port is taken, this many following ports are tried.
const PORTS_TRIED: u16 = 100;

/// A dashboard. Its [`Server`] runs until this is dropped.
pub struct Dashboard {
    address: SocketAddr,
    hub: Arc<Hub>,
    /// Dropping it ends the server.
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// The server of a [`Dashboard`]; the owner runs it on a thread.
pub struct Server(Box<dyn FnOnce() -> Result<()> + Send>);

impl Server {
    /// Serves until the dashboard is dropped.
    ///
    /// # Errors
    /// External: it cannot listen any more.
    pub fn run(self) -> Result<()> {
        (self.0)()
    }
}

impl Dashboard {
    /// Listens on `listen` (`address:port`; port 0 lets the system choose) or, if that port is taken, on the next free
    /// one. Commands of users go to `commands`; drop its receiver to refuse all commands.
    ///
    /// # Errors
    /// `listen` is not an address of this machine, or none of the tried ports is free.
    pub fn bind(listen: &str, commands: mpsc::Sender<Command>) -> Result<(Dashboard, Server)> {
        let listener = bind(listen)?;
        let address = listener.local_addr()?;
        let hub = Arc::new(Hub::new(address.ip().is_loopback(), commands));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serve = server::prepare(listener, hub.clone(), stopped)?;
        Ok((Dashboard { address, hub, _stop: stop }, Server(Box::new(serve))))
    }

    /// The page's URL for a browser on this machine.
    pub fn url(&self) -> String {
        match self.address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("http://127.0.0.1:{}/", v4.port()),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("http://[::1]:{}/", v6.port()),
            address => format!("http://{address}/"),
        }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows `status` on every open page and adds it to the history. Never waits for a page.
    pub fn publish(&self, status: &Status) {
        self.hub.publish(status);
    }
}

fn bind(listen: &str) -> Result<TcpListener> {
    let wrong = |why: String| {
        Error::user(format!(
            "dashboard: cannot listen on `{listen}` ({why}); give an address and a port like 127.0.0.1:8080"
        ))
    };
    let first = listen
        .to_socket_addrs()
        .map_err(|error| wrong(error.to_string()))?
        .next()
        .ok_or_else(|| wrong("no such address".into()))?;
    let last_port = if first.port() == 0 { 0 } else { first.port().saturating_add(PORTS_TRIED) };
    for port in first.port()..=last_port {
        match TcpListener::bind(SocketAddr::new(first.ip(), port)) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(wrong(error.to_string())),
        }
    }
    Err(Error::external(format!(
        "dashboard: the ports {} to {last_port} of {} are all taken; free one or choose another with `listen`",
        first.port(),
        first.ip()
    )))
}
