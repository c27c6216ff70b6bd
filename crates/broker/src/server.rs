//! Starts and stops the broker: the directory lock, the listener, one thread per client, and two threads for
//! maintenance.

use crate::api::Shared;
use crate::catalog::Catalog;
use crate::config::{BrokerConfig, Durability};
use crate::connection;
use crate::groups::Groups;
use crate::handles;
use crate::partition::Signal;
use crate::producer_ids::ProducerIds;
use crate::stderr::{ThrottledLog, log_line};
use crate::transactions::Transactions;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tidemill_os::clock::wall_ms;
use tidemill_os::disk::{DirLock, LockError};
use uuid::Uuid;

/// Interval between checks for overdue transactions.
const TRANSACTIONS_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between applications of retention.
const RETENTION_INTERVAL: Duration = Duration::from_secs(30);
/// Pause after an accept failed, for example because no file handle is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const CLIENT_STACK_BYTES: usize = 512 << 10;

/// A running broker; it stops when dropped.
#[derive(Debug)]
pub struct Broker {
    server: Arc<Server>,
    local_addr: SocketAddr,
    threads: Vec<JoinHandle<()>>,
    _lock: DirLock,
}

/// Why a broker could not start.
#[derive(Debug)]
pub enum StartError {
    /// Another process listens on the address.
    PortTaken(SocketAddr),
    /// Another broker uses the directory.
    DirTaken(PathBuf),
    /// The address cannot be used for another reason.
    Listen(SocketAddr, io::Error),
    /// The directory cannot be created, locked or read.
    Dir(PathBuf, io::Error),
}

/// Each client's connection, and the signal that wakes its fetch.
type Clients = HashMap<u64, (Arc<TcpStream>, Arc<Signal>)>;

/// Shared by the acceptor, the client threads and the owner.
#[derive(Debug)]
struct Server {
    shared: Shared,
    stopping: AtomicBool,
    clients: Mutex<Clients>,
    /// A client disconnected, or the broker stops.
    changed: Condvar,
}

impl Broker {
    /// Recovers the directory and serves until [`Broker::shutdown`] or drop.
    pub fn start(config: BrokerConfig) -> Result<Broker, StartError> {
        let dir = config.dir.clone();
        let dir_error = |error| StartError::Dir(dir.clone(), error);
        std::fs::create_dir_all(&dir).map_err(dir_error)?;
        let lock = lock_dir(&dir)?;
        let listener = TcpListener::bind(config.listen).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => StartError::PortTaken(config.listen),
            _ => StartError::Listen(config.listen, error),
        })?;
        let local_addr = listener.local_addr().map_err(|error| StartError::Listen(config.listen, error))?;
        let sync = config.durability == Durability::Disk;
        let shared = Shared {
            catalog: Catalog::open(&config, handles::raise_limit()).map_err(dir_error)?,
            groups: Groups::open(dir.join("offsets"), sync).map_err(dir_error)?,
            producer_ids: ProducerIds::open(dir.join("producer-ids")).map_err(dir_error)?,
            transactions: Transactions::open(dir.join("transactions"), sync).map_err(dir_error)?,
            cluster_id: cluster_id(&dir).map_err(dir_error)?,
            config,
        };
        shared.transactions.recover(shared.participants(), wall_ms());
        let stopping = AtomicBool::new(false);
        let server = Arc::new(Server { shared, stopping, clients: Mutex::default(), changed: Condvar::new() });
        let [acceptor, maintainer, compactor] = std::array::from_fn(|_| Arc::clone(&server));
        let threads = vec![
            spawn("broker-accept", move || acceptor.accept(&listener)).map_err(dir_error)?,
            spawn("broker-retention", move || maintainer.maintain()).map_err(dir_error)?,
            spawn("broker-compaction", move || compactor.compact()).map_err(dir_error)?,
        ];
        Ok(Broker { server, local_addr, threads, _lock: lock })
    }

    /// The address that clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends all connections and threads. Everything acknowledged is kept.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if self.server.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        // This connection wakes the acceptor, which then sees the flag.
        let _ = TcpStream::connect_timeout(&reachable(self.local_addr), Duration::from_secs(1));
        for thread in self.threads.drain(..1) {
            let _ = thread.join();
        }
        self.server.shared.groups.stop();
        let mut clients = self.server.clients();
        self.server.changed.notify_all();
        for (stream, signal) in clients.values() {
            let _ = stream.shutdown(Shutdown::Both);
            signal.fire();
        }
        while !clients.is_empty() {
            clients = self.server.changed.wait(clients).expect("no panic under this lock");
        }
        drop(clients);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Server {
    fn accept(self: &Arc<Server>, listener: &TcpListener) {
        for number in 0u64.. {
            let accepted = listener.accept();
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            match accepted.and_then(|(stream, _)| self.serve(number, stream)) {
                Ok(()) => {}
                Err(error) => {
                    log_line(&format!("cannot accept a client: {error}"));
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    fn serve(self: &Arc<Server>, number: u64, stream: TcpStream) -> io::Result<()> {
        let mut clients = self.clients();
        if clients.len() >= self.shared.config.max_connections {
            drop(clients);
            static FULL: ThrottledLog = ThrottledLog::new();
            FULL.log_line(|| {
                let max = self.shared.config.max_connections;
                format!("a client was refused because {max} are connected; raise --connections-max")
            });
            return Ok(());
        }
        let (stream, signal) = (Arc::new(stream), Arc::new(Signal::default()));
        clients.insert(number, (Arc::clone(&stream), Arc::clone(&signal)));
        drop(clients);
        let server = Arc::clone(self);
        let leave = Leave { server: Arc::clone(self), number };
        spawn("broker-client", move || {
            let _leave = leave;
            connection::serve(&server.shared, &server.stopping, &stream, signal);
        })?;
        Ok(())
    }

    fn maintain(&self) {
        let mut clients = self.clients();
        let mut retention_due = Instant::now() + RETENTION_INTERVAL;
        let (mut pause, mut transactions_due) = (TRANSACTIONS_INTERVAL, Instant::now() + TRANSACTIONS_INTERVAL);
        while !self.stopping.load(Ordering::SeqCst) {
            clients = self.changed.wait_timeout(clients, pause).expect("no panic under this lock").0;
            pause = transactions_due.saturating_duration_since(Instant::now());
            if !pause.is_zero() {
                continue;
            }
            drop(clients);
            self.shared.transactions.maintain(self.shared.participants(), wall_ms());
            if Instant::now() >= retention_due {
                self.shared.catalog.enforce_retention(wall_ms());
                self.shared.groups.expire(wall_ms(), self.shared.config.offsets_retention);
                retention_due = Instant::now() + RETENTION_INTERVAL;
            }
            (pause, transactions_due) = (TRANSACTIONS_INTERVAL, Instant::now() + TRANSACTIONS_INTERVAL);
            clients = self.clients();
        }
    }

    /// Compaction may take minutes, so it has a thread of its own.
    fn compact(&self) {
        let going = || !self.stopping.load(Ordering::SeqCst);
        let interval = self.shared.config.compaction_interval;
        let mut due = Instant::now() + interval;
        let mut clients = self.clients();
        while going() {
            let pause = due.saturating_duration_since(Instant::now());
            if !pause.is_zero() {
                clients = self.changed.wait_timeout(clients, pause).expect("no panic under this lock").0;
                continue;
            }
            drop(clients);
            self.shared.catalog.compact(wall_ms(), &going);
            due = Instant::now() + interval;
            clients = self.clients();
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().expect("no panic under this lock")
    }
}

/// Removes a client from the list when its thread ends, also after a panic.
struct Leave {
    server: Arc<Server>,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.server.clients().remove(&self.number);
        self.server.changed.notify_all();
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::PortTaken(addr) => write!(f, "{addr} is in use by another program"),
            StartError::DirTaken(dir) => {
                write!(f, "{} is used by another broker; stop it or choose another directory", dir.display())
            }
            StartError::Listen(addr, error) => write!(f, "cannot listen on {addr}: {error}; choose another address"),
            StartError::Dir(dir, error) => {
                write!(f, "cannot use {}: {error}; repair it or choose another directory", dir.display())
            }
        }
    }
}

impl std::error::Error for StartError {}

impl From<StartError> for tidemill_model::Error {
    fn from(error: StartError) -> tidemill_model::Error {
        match error {
            StartError::PortTaken(_) | StartError::DirTaken(_) => tidemill_model::Error::transient(error.to_string()),
            StartError::Listen(..) | StartError::Dir(..) => tidemill_model::Error::external(error.to_string()),
        }
    }
}

fn lock_dir(dir: &Path) -> Result<DirLock, StartError> {
    DirLock::take(dir).map_err(|error| match error {
        LockError::Taken => StartError::DirTaken(dir.to_owned()),
        LockError::Refused(_, error) => StartError::Dir(dir.to_owned(), error),
    })
}

fn cluster_id(dir: &Path) -> io::Result<String> {
    let path = dir.join("cluster-id");
    match std::fs::read_to_string(&path) {
        Ok(id) => Ok(id.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = Uuid::new_v4().simple().to_string();
            tidemill_os::disk::replace(&path, id.as_bytes())?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}

/// An address at which this machine can reach its own listener.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).stack_size(CLIENT_STACK_BYTES).spawn(body)
}
