//! Sets the offsets of consumer groups after each batch, so that tools show the run's lag. A group is a signal only: a run
//! never reads it, and goes on if it cannot be set.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tidemill_kafka::Group;
use tidemill_model::kafka_source::PerPartition;
use tidemill_model::progress::Progress;
use tidemill_model::{Error, Result};
use tidemill_os::thread;

/// Pause before offsets are set again that could not be set.
const PAUSE: Duration = Duration::from_secs(1);
/// At its end a run waits so long for the last offsets to be set.
const END_MAX: Duration = Duration::from_secs(5);

/// The group of one source, set on a thread of its own.
pub(crate) struct GroupOffsets {
    /// The source's number in progress records.
    source: usize,
    newest: Option<Sender<PerPartition>>,
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl GroupOffsets {
    /// Starts the thread. `say` gets messages for the user.
    pub(crate) fn start(
        source: usize,
        group: Group,
        mut say: impl FnMut(&str) + Send + 'static,
    ) -> Result<GroupOffsets> {
        let (newest, offsets) = channel();
        let (end, ended) = channel::<()>();
        let body = move || set_until_closed(group, &offsets, &mut say);
        let thread = thread::spawn("group offsets", body, move |_| drop(end));
        let thread =
            thread.map_err(|error| Error::external(format!("a thread cannot be started: {error}; try again")))?;
        Ok(GroupOffsets { source, newest: Some(newest), ended, thread: Some(thread) })
    }

    /// A batch is committed.
    pub(crate) fn batch(&self, progress: &Progress) {
        let offsets = &progress.sources[self.source].end_offset;
        let number = |(partition, offset): (&String, &i64)| Some((partition.parse().ok()?, *offset));
        let of_topic = |of_topic: &BTreeMap<String, i64>| of_topic.iter().filter_map(number).collect();
        let offsets = offsets.iter().map(|(topic, offsets)| (topic.clone(), of_topic(offsets))).collect();
        if let Some(newest) = &self.newest {
            // The thread ends only after its sender.
            let _ = newest.send(offsets);
        }
    }
}

impl Drop for GroupOffsets {
    fn drop(&mut self) {
        self.newest = None;
        // A thread that waits for a silent broker ends with the process.
        if self.ended.recv_timeout(END_MAX) == Err(RecvTimeoutError::Disconnected)
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Sets the newest offsets, over and over, until the sender is gone.
fn set_until_closed(mut group: Group, offsets: &Receiver<PerPartition>, say: &mut dyn FnMut(&str)) {
    let mut unset: Option<PerPartition> = None;
    let mut failing = false;
    loop {
        let next = match unset {
            None => offsets.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => offsets.recv_timeout(PAUSE),
        };
        let closed = next == Err(RecvTimeoutError::Disconnected);
        unset = offsets.try_iter().last().or(next.ok()).or(unset);
        if let Some(newest) = &unset {
            match group.commit(newest) {
                Ok(()) => {
                    if failing {
                        say("the group's offsets can be set again");
                    }
                    (failing, unset) = (false, None);
                }
                Err(error) => {
                    if !failing {
                        say(&format!("{error}; the run goes on without it"));
                    }
                    failing = true;
                }
            }
        }
        if closed {
            return;
        }
    }
}
