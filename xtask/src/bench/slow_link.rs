//! A slow network in front of a broker: what the broker sends passes at so many bytes a second, over all connections.
//! What clients send passes at once.

use crate::sh::Outcome;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The link sends so much at once.
const CHUNK: usize = 16 << 10;

/// Starts a link from `port` to the broker's port. It lasts as long as this process.
///
/// # Errors
/// The port is in use.
pub fn start(port: u16, broker: u16, bytes_per_second: u32) -> Outcome {
    let clients = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| format!("port {port}: {error}"))?;
    // When the link is free again.
    let free_at = Arc::new(Mutex::new(Instant::now()));
    thread::spawn(move || {
        for client in clients.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)) else { continue };
            let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { continue };
            thread::spawn(move || copy(from_client, to_server, |_| ()));
            let free_at = free_at.clone();
            let wait = move |bytes: usize| {
                let mut free_at = free_at.lock().expect("no holder panics");
                let takes = Duration::from_secs_f64(bytes as f64 / f64::from(bytes_per_second));
                *free_at = (*free_at).max(Instant::now()) + takes;
                let until = *free_at;
                drop(free_at);
                thread::sleep(until.saturating_duration_since(Instant::now()));
            };
            thread::spawn(move || copy(server, client, wait));
        }
    });
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, wait: impl Fn(usize)) {
    let mut bytes = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        wait(count);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // The other direction ends, too.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
