//! All that wakes the driver's loop.

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
    /// The source of this number holds this, or could not be asked.
    Extents(usize, Result<Extents>),
    /// An executor says something.
    Executor(u64, Result<FromExecutor>),
    /// An executor's output has ended: it is gone.
    Gone(u64),
    /// A batch was committed, or could not be.
    Committed(Result<Committed>),
    /// The snapshot that followed a batch was written, or could not be.
    Snapshot(Result<()>),
    /// A user's command.
    Command(Command),
    /// A thread of the run is over.
    Ended(EndedThread),
}

/// How long one look at the source may wait for a change.
const WATCH_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two looks at a source that keeps changing.
const WATCH_PAUSE: Duration = Duration::from_millis(50);

/// Watches a source until the driver is gone.
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
