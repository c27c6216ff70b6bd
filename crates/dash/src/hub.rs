//! The state shared by the driver's thread and the pages: the newest snapshot, the history, and the channel for
//! commands.
//!
//! The driver replaces the newest snapshot and goes on. Each page waits on a watch channel and always gets the newest
//! snapshot, however slowly it reads: memory holds one snapshot, not a queue. The first page that asks encodes a
//! snapshot as JSON; without an open page no JSON is made.

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
    /// Whether commands are accepted: only if nothing but this machine can reach the dashboard.
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

    /// The newest snapshot.
    pub fn latest(&self) -> Latest {
        self.latest.borrow().clone()
    }

    /// A channel of the newest snapshot.
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

    /// The first event for a page: the whole history.
    pub fn past_event(&self) -> Bytes {
        let past = lock(&self.past);
        let data = json!({ "history": past.history(), "decisions": past.decisions(), "commands": self.loopback });
        event("past", &data.to_string())
    }

    /// Passes a command to the driver; `false` if commands are not accepted.
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

/// Formats an event. JSON has no raw line breaks, so one `data:` line is enough.
fn event(name: &str, data: &str) -> Bytes {
    debug_assert!(!data.contains('\n'));
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Locks even after a panic: a panicking request must not break the driver, and each change of the history is atomic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
