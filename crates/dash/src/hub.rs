//! Where the driver's thread and the pages meet: the newest snapshot, the past, and the way back for commands.
//!
//! The driver replaces the newest snapshot and goes on. Each page waits on a watch channel, so what it holds is always
//! the newest one, however slow it reads: memory is one snapshot, not a queue. JSON is made once per snapshot, by the
//! first page that asks; with no page open it is never made.

use crate::history::RunHistory;
use hyper::body::Bytes;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use tidemill_model::status::{Command, Status};
use tokio::sync::watch;

/// The newest snapshot, if there was one.
pub type Latest = Option<Arc<Snapshot>>;

/// One published status.
pub struct Snapshot {
    /// As the driver gave it.
    pub status: Status,
    event: OnceLock<Bytes>,
}

/// Shared by the driver's thread and the server's.
pub struct Hub {
    /// Whether commands are taken at all: only where nobody but this machine can reach us.
    pub loopback: bool,
    latest: watch::Sender<Latest>,
    past: Mutex<RunHistory>,
    commands: mpsc::Sender<Command>,
}

impl Hub {
    /// A hub with no status yet.
    pub fn new(loopback: bool, commands: mpsc::Sender<Command>) -> Hub {
        let (latest, _) = watch::channel(None);
        Hub { loopback, latest, past: Mutex::default(), commands }
    }

    /// Called by the driver: one clone, two short locks.
    pub fn publish(&self, status: &Status) {
        lock(&self.past).add(status);
        self.latest.send_replace(Some(Arc::new(Snapshot { status: status.clone(), event: OnceLock::new() })));
    }

    /// The newest snapshot now.
    pub fn latest(&self) -> Latest {
        self.latest.borrow().clone()
    }

    /// The newest snapshot now and from now on.
    pub fn follow(&self) -> watch::Receiver<Latest> {
        self.latest.subscribe()
    }

    /// The samples, as JSON columns.
    pub fn history_json(&self) -> String {
        json!(lock(&self.past).history()).to_string()
    }

    /// The decisions, oldest first, as a JSON array.
    pub fn decisions_json(&self) -> String {
        json!(lock(&self.past).decisions()).to_string()
    }

    /// The first event of a page: everything that it missed.
    pub fn past_event(&self) -> Bytes {
        let past = lock(&self.past);
        let data = json!({ "history": past.history(), "decisions": past.decisions(), "commands": self.loopback });
        event("past", &data.to_string())
    }

    /// Hands a command to the driver; `false` when nobody takes commands.
    pub fn command(&self, command: Command) -> bool {
        self.commands.send(command).is_ok()
    }
}

impl Snapshot {
    /// The snapshot as a server-sent event.
    pub fn event(&self) -> Bytes {
        let make = || event("status", &json!(self.status).to_string());
        self.event.get_or_init(make).clone()
    }
}

/// JSON has no raw line breaks, so one `data:` line holds it.
fn event(name: &str, data: &str) -> Bytes {
    debug_assert!(!data.contains('\n'));
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The driver must not fail for a request that panicked: each change of the past is whole or not there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
