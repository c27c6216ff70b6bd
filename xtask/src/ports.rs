//! TCP ports on loopback: finds free ones, and tells whether a port is in use.

use crate::random::Random;
use crate::sh::Outcome;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ports from which [`free`] chooses. They are below those that systems give to outgoing connections: a broker that is killed
/// and started again on its port does not find it taken, not even by a client that looked for the broker there.
const RANGE: (i64, i64) = (20_000, 31_999);

/// Returns a port that is free at the moment.
pub fn free() -> Outcome<u16> {
    free_in_a_row(1)
}

/// Returns a port that is free at the moment, and so are the next three.
pub fn free_four() -> Outcome<u16> {
    free_in_a_row(4)
}

fn free_in_a_row(count: u16) -> Outcome<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    // Other processes choose at the same time, by other numbers.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
    let mut random = Random::new(now ^ u64::from(std::process::id()).rotate_left(32));
    let mut tries = (0..1_000).map(|_| random.between(RANGE.0, RANGE.1 - i64::from(count)) as u16);
    let found = tries.find(|first| (0..count).all(|next| is_free(first + next)));
    found.ok_or_else(|| format!("no free port from {} to {}", RANGE.0, RANGE.1))
}

/// Whether a program listens on the port.
pub fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_each_call_can_be_taken() {
        let taken: Vec<TcpListener> = (0..20)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, free().expect("a port"))).expect("it is free"))
            .collect();
        let four = free_four().expect("four ports");
        for port in four..four + 4 {
            drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is free"));
        }
        drop(taken);
    }
}
