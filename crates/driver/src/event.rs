//! Every event that wakes the driver's loop.

use crate::commit::Committed;
use crate::supervisor::EndedThread;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tidemill_flow::ports::{Extents, Watch};
use tidemill_link::FromExecutor;
use tidemill_model::Result;
use tidemill_model::status::Command;
use tidemill_os::retry::SOURCE;

/// One wake-up.
pub(crate) enum Event {
    /// What the source of this number holds, or why it could not be asked.
    Extents(usize, Result<Extents>),
    /// A message of an executor.
    Executor(u64, Result<FromExecutor>),
    /// An executor's output has ended: the executor is gone.
    Gone(u64),
    /// A batch is committed, or could not be.
    Committed(Result<Committed>),
    /// The snapshot after a batch is written, or could not be.
    Snapshot(Result<()>),
    /// A user's command.
    Command(Command),
    /// A thread of the run has ended.
    Ended(EndedThread),
}

/// How long one call to a source may wait for a change.
const WATCH_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause between two calls to a source that keeps changing.
const WATCH_PAUSE: Duration = Duration::from_millis(50);

/// Watches a source until the driver has ended.
pub(crate) fn watch(number: usize, mut source: Box<dyn Watch>, events: &Sender<Event>) {
    let mut known = Extents::new();
    loop {
        let seen = source.watch(&known, WATCH_TIMEOUT);
        let pause = match &seen {
            Ok(extents) if *extents == known && !known.is_empty() => Duration::ZERO,
            Ok(extents) => {
                known.clone_from(extents);
                if known.is_empty() { SOURCE.first } else { WATCH_PAUSE }
            }
            Err(_) => SOURCE.first,
        };
        if events.send(Event::Extents(number, seen)).is_err() {
            return;
        }
        std::thread::sleep(pause);
    }
}
