//! Writes snapshots of the state part by part, beside the batches: neither the driver's loop nor the committer waits for
//! the disk.
//!
//! ```text
//!  driver's loop       copies a part after a batch ─► … ─► copies the next part, once the one before is written
//!  committer              └─► commits the batch ─► passes the part on
//!  thread `snapshots`                                 └─► writes it, flushes, tells the loop; after the last part
//!                                                         makes the snapshot visible and removes what it replaces
//! ```
//! At most one snapshot is being written, and at most one part of it is on its way. A part is written after the batch that
//! it was copied after is committed: a snapshot never holds what a replayed batch would add again. An error or a panic of
//! the thread ends the run. The end of the run does not wait for a snapshot, unless the run ends by itself.

use crate::event::Event;
use std::sync::mpsc::{Receiver, Sender};
use tidemill_checkpoint::SnapshotWriter;
use tidemill_model::Result;
use tidemill_os::clock;

/// Name of the thread.
pub(crate) const THREAD: &str = "snapshots";

/// A part of a snapshot, as copied from the state.
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    /// The first part of a new snapshot.
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
}

/// A part, with the writer of its snapshot if it is the first one.
pub(crate) type Work = (Part, Option<SnapshotWriter>);

/// Where the parts are written.
pub(crate) enum Snapshots {
    /// On the thread [`THREAD`].
    Beside(Sender<Work>),
    /// On the thread of the committer.
    Inline(Desk),
}

impl Snapshots {
    /// Takes a part, with the writer if it is the first one. The batch that it was copied after is committed.
    ///
    /// # Errors
    /// External: the disk.
    pub(crate) fn take(&mut self, work: Work) -> Result<()> {
        match self {
            // If the thread has failed, the run has been told why.
            Snapshots::Beside(thread) => drop(thread.send(work)),
            Snapshots::Inline(desk) => desk.write(work)?,
        }
        Ok(())
    }
}

/// Writes parts, one after the other.
pub(crate) struct Desk {
    writer: Option<SnapshotWriter>,
    events: Sender<Event>,
}

impl Desk {
    pub(crate) fn new(events: Sender<Event>) -> Desk {
        Desk { writer: None, events }
    }

    /// Writes parts until the committer is gone.
    ///
    /// # Errors
    /// External: the disk.
    pub(crate) fn serve(mut self, work: &Receiver<Work>) -> Result<()> {
        while let Some(work) = clock::receive(work) {
            self.write(work)?;
        }
        Ok(())
    }

    fn write(&mut self, (part, begun): Work) -> Result<()> {
        self.writer = begun.or(self.writer.take());
        let writer = self.writer.as_mut().expect("a snapshot begins with its first part");
        writer.append(&part.bytes)?;
        if part.is_last {
            self.writer.take().expect("it has just written").finish()?;
        }
        // If the driver is gone, the work ends soon.
        let _ = self.events.send(Event::SnapshotPart { is_last: part.is_last });
        Ok(())
    }
}
