//! TCP ports on loopback: finds free ones, and tells whether a port is in use.

use crate::sh::Outcome;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Returns a port that is free at the moment.
pub fn free() -> Outcome<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| format!("no free port: {error}"))?;
    Ok(listener.local_addr().map_err(|error| format!("no free port: {error}"))?.port())
}

/// Returns a port that is free at the moment, and so are the next three.
pub fn free_four() -> Outcome<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let next_are_free = |port: &u16| (1..=3).all(|next| is_free(port + next));
    let tries: Result<Vec<u16>, String> = (0..20).map(|_| free()).collect();
    let found = tries?.into_iter().filter(|port| *port < u16::MAX - 3).find(next_are_free);
    found.ok_or("no four free ports in a row".into())
}

/// Whether a program listens on the port.
pub fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}
