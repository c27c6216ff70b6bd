//! A socket with or without TLS, and waits with a deadline.
//!
//! The socket never blocks. `poll` waits until it can be read or written. So the client can wait for several brokers at
//! once, and no wait outlasts its deadline.

use crate::fault::Fault;
use crate::settings::Settings;
use crate::tls;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// A connection's bytes.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Read,
    Write,
}

impl Stream {
    /// Connects, and does the TLS handshake if TLS is configured. Tries every address of the host.
    pub(crate) fn connect(
        settings: &Settings,
        tls: Option<&Arc<ClientConfig>>,
        (host, port): (&str, u16),
        deadline: Instant,
    ) -> Result<Stream, Fault> {
        let broker = format!("{host}:{port}");
        let mut reason = "the host name has no address".to_owned();
        for address in addresses(host, port, deadline)? {
            match connect(settings, address, deadline) {
                Ok(socket) => {
                    let Some(config) = tls else { return Ok(Stream::Plain(socket)) };
                    let session = tls::session(config, host)?;
                    let mut stream = Stream::Tls(Box::new(StreamOwned::new(session, socket)));
                    stream.shake_hands(&broker, deadline)?;
                    return Ok(stream);
                }
                Err(error) => reason = error.to_string(),
            }
        }
        Err(Fault::Lost(format!("{broker}: {reason}")))
    }

    fn shake_hands(&mut self, broker: &str, deadline: Instant) -> Result<(), Fault> {
        loop {
            let Stream::Tls(tls) = self else { return Ok(()) };
            if !tls.conn.is_handshaking() && !tls.conn.wants_write() {
                return Ok(());
            }
            let wants = if tls.conn.wants_write() { Readiness::Write } else { Readiness::Read };
            match tls.conn.complete_io(&mut tls.sock) {
                Ok(_) => {}
                Err(error) if would_block(&error) => {
                    if !self.wait(wants, deadline) {
                        return Err(Fault::Lost(format!(
                            "{broker}: no TLS handshake in time; check that the listener uses TLS (SSL or SASL_SSL)"
                        )));
                    }
                }
                // A broker that stops also closes the connection. A retry may help.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Fault::Lost(format!(
                        "{broker}: it ended the TLS handshake; if its listener does not speak TLS, set `security.protocol` to \
                         PLAINTEXT or SASL_PLAINTEXT"
                    )));
                }
                Err(error) => return Err(tls::fault(broker, &error)),
            }
        }
    }

    /// Reads the available bytes. Fails with `WouldBlock` if there are none.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }

    /// Writes all bytes. `None` if the deadline passes first.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<Option<()>> {
        while !bytes.is_empty() || self.wants_write() {
            let result = match self {
                Stream::Plain(socket) => socket.write(bytes),
                Stream::Tls(tls) if bytes.is_empty() => tls.conn.write_tls(&mut tls.sock).map(|_| 0),
                Stream::Tls(tls) => tls.write(bytes),
            };
            match result {
                Ok(0) if !bytes.is_empty() => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => {
                    if !self.wait(Readiness::Write, deadline) {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(()))
    }

    fn wants_write(&self) -> bool {
        matches!(self, Stream::Tls(tls) if tls.conn.wants_write())
    }

    /// The socket, for [`wait`].
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    /// Waits until the stream is ready or the deadline has passed. Returns whether it is ready.
    pub(crate) fn wait(&self, wants: Readiness, deadline: Instant) -> bool {
        wait(&[self.socket()], wants, deadline)
    }
}

/// Waits until one of the sockets is ready or the deadline has passed. Returns whether one is ready.
pub(crate) fn wait(sockets: &[&TcpStream], wants: Readiness, deadline: Instant) -> bool {
    let flags = if wants == Readiness::Read { PollFlags::IN } else { PollFlags::OUT };
    let mut waited: Vec<PollFd<'_>> = sockets.iter().map(|socket| PollFd::new(*socket, flags)).collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(3_600));
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut waited, Some(&left)) {
            Ok(count) => return count > 0,
            Err(error) if error == rustix::io::Errno::INTR => {}
            // The next read reports the error of the socket.
            Err(_) => return true,
        }
    }
}

pub(crate) fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn connect(settings: &Settings, address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(ErrorKind::TimedOut, "the connection was not made in time"));
    }
    let socket = TcpStream::connect_timeout(&address, left)?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    if settings.keepalive {
        rustix::net::sockopt::set_socket_keepalive(&socket, true)?;
    }
    Ok(socket)
}

/// The addresses of a host. The system's resolver has no deadline, so it runs on a thread that may outlast ours.
fn addresses(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Fault> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, answered) = channel();
    let owned = host.to_owned();
    let asking = thread::Builder::new().name("resolver".into()).spawn(move || {
        let found = (owned.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // If the answer comes too late, nobody receives it.
        let _ = answer.send(found);
    });
    asking.map_err(|error| Fault::Lost(format!("{host}: the name cannot be looked up: {error}")))?;
    match answered.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(mut found)) => {
            // Try IPv4 first: local brokers often listen only there.
            found.sort_by_key(SocketAddr::is_ipv6);
            Ok(found)
        }
        Ok(Err(error)) => Err(Fault::Lost(format!("{host}:{port}: {error}"))),
        Err(_) => Err(Fault::Lost(format!("{host}:{port}: the name was not looked up in time"))),
    }
}
