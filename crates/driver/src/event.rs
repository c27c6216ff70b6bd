//! Every event that wakes the driver's loop.

use crate::commit::Committed;
use crate::supervisor::EndedThread;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use tidemill_flow::ports::{Extents, Watch};
use tidemill_link::FromExecutor;
use tidemill_model::Result;
use tidemill_model::status::Command;
use tidemill_os::clock;
use tidemill_os::retry::SOURCE;

/// One wake-up.
pub(crate) enum Event {
    /// What the source of this number holds, or why it could not be asked.
    Extents(usize, Result<Extents>),
    /// A message of an executor.
    Executor(u64, Result<FromExecutor>),
    /// An executor's output has ended: the executor is gone.
    Gone(u64),
    /// A batch is committed, or the committer has failed.
    Committed(Result<Committed>),
    /// The committer waits for a sink or for the dead letters to take a batch: why, or `None` when it no longer waits.
    /// Repeated at each attempt.
    CommitWaits(Option<String>),
    /// A part of a snapshot is written; with the last one the snapshot is complete.
    SnapshotPart { is_last: bool },
    /// All rows are published.
    Closed,
    /// A user's command.
    Command(Command),
    /// A thread of the run has ended.
    Ended(EndedThread),
}

/// How long one call to a source may wait for a change.
const WATCH_TIMEOUT: Duration = Duration::from_secs(1);

/// A source that has reported news is looked at again when the driver asks, or after this time: the autoscaler must see a backlog grow.
const UNASKED: Duration = Duration::from_millis(100);

/// Watches a source until the driver is gone. After news it waits to be asked: a driver that is at work needs no more of them,
/// and one that asks gets all that has come meanwhile.
pub(crate) fn watch(number: usize, mut source: Box<dyn Watch>, asked: &Receiver<()>, events: &Sender<Event>) {
    let mut known = Extents::new();
    loop {
        let seen = source.watch(&known, WATCH_TIMEOUT);
        let pause = match &seen {
            Ok(extents) if *extents == known && !known.is_empty() => None,
            Ok(extents) => {
                known.clone_from(extents);
                Some(if known.is_empty() { SOURCE.first } else { UNASKED })
            }
            Err(_) => Some(SOURCE.first),
        };
        if events.send(Event::Extents(number, seen)).is_err() {
            return;
        }
        let over = pause.map(|pause| clock::receive_until(asked, clock::now() + pause));
        if over == Some(Err(RecvTimeoutError::Disconnected)) {
            return;
        }
    }
}
