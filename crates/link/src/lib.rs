//! The messages between driver and executor, and the frames that carry them over the executor's stdin and stdout.
//!
//! ```text
//!  driver ──stdin──►  Hello, Task, Task …; end of file: finish what runs, then exit
//!         ◄─stdout──  Ready | Refused, then Done | Failed, one a task, in the order in which tasks end;
//!                     Alive every quarter of a second while tasks run
//!  frame = length: u32 LE | message (postcard)
//! ```
//! Both ends are the same binary, so there is one version and it is compared in `Ready`. Does not know what a pipeline
//! means or how processes are started.

#![forbid(unsafe_code)]

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::time::Duration;
use tidemill_model::limits::FRAME_BYTES_MAX;
use tidemill_model::{Error, Millis, OffsetRange, Partial, Result, Secret};

/// The version of these messages.
pub const VERSION: u32 = 4;

/// Driver → executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToExecutor {
    /// The first frame.
    Hello {
        /// [`VERSION`] of the driver.
        version: u32,
        /// The pipeline file's name, for messages.
        pipeline_file: String,
        /// The pipeline's text, with every `--set` and secret in it.
        #[serde(with = "secret_text")]
        pipeline_text: Secret,
        /// Hash of the driver's typed plan; the executor plans again and compares.
        plan_hash: u64,
        /// Worker threads.
        cores: u32,
        /// `max_records_per_second_per_core`.
        max_records_per_second_per_core: Option<f64>,
    },
    /// Fold one range.
    Task(Task),
}

/// A secret does not serialise by itself: here it goes to a child process of the same user, over a pipe.
mod secret_text {
    use serde::{Deserialize, Deserializer, Serializer};
    use tidemill_model::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

/// One range to fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Number of the dispatch, never used twice by a driver.
    pub id: u64,
    /// The batch that it is of.
    pub batch_id: u64,
    /// What to read.
    pub range: OffsetRange,
    /// wm(N−1) of the batch.
    pub late_watermark: Millis,
    /// The batch's `current_timestamp()`.
    pub timestamp: Millis,
    /// The records kill whoever works on them: they are only read and written to the dead letters, not looked into.
    pub set_aside: bool,
}

/// Executor → driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromExecutor {
    /// It takes tasks from now on.
    Ready,
    /// It works: how far its tasks are. Sent every [`BEAT`] while there are any.
    Alive {
        /// Each task that runs.
        tasks: Vec<Beat>,
    },
    /// It cannot: other version, other plan, no connection.
    Refused {
        /// Why, a sentence.
        message: String,
    },
    /// A task is done.
    Done {
        /// The task's number.
        id: u64,
        /// Its rows, folded.
        partial: Partial,
        /// What it took.
        cost: TaskCost,
    },
    /// A task comes to more than a task may build: it is to be split.
    TooLarge {
        /// The task's number.
        id: u64,
    },
    /// A task failed; the executor lives.
    Failed {
        /// The task's number.
        id: u64,
        /// What is wrong and what to do.
        message: String,
        /// Whether the same task may succeed later (the source could not be reached).
        retry: bool,
    },
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The task's number.
    pub task: u64,
    /// Records that it has read and folded.
    pub records: u64,
    /// Whether it waits for its source just now.
    pub waits: bool,
}

/// An executor with tasks sends a sign of life so often.
pub const BEAT: Duration = Duration::from_millis(250);

/// Where a task's time went, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCost {
    /// From taking the task to its partial.
    pub total_us: u64,
    /// Of it, waiting for the source.
    pub fetch_wait_us: u64,
    /// Of it, waiting on the rate limit.
    pub limit_wait_us: u64,
}

impl TaskCost {
    /// Time that was work: the rest.
    pub fn busy_us(&self) -> u64 {
        self.total_us.saturating_sub(self.fetch_wait_us + self.limit_wait_us)
    }
}

/// A message as it is sent. Made where there is time for it: a large one takes a while.
pub struct Frame(Vec<u8>);

impl Frame {
    /// A message's frame; `None` where it is larger than [`FRAME_BYTES_MAX`].
    pub fn of<T: Serialize>(message: &T) -> Option<Frame> {
        let bytes = postcard::to_extend(message, vec![0; 4]).expect("messages serialise");
        let length = bytes.len() - 4;
        let mut frame = Frame(bytes);
        frame.0[..4].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        (length <= FRAME_BYTES_MAX).then_some(frame)
    }

    /// Bytes of the message.
    pub fn message_bytes(&self) -> usize {
        self.0.len() - 4
    }

    /// Writes it and flushes.
    ///
    /// # Errors
    /// External: the other end is gone.
    pub fn send(&self, writer: &mut impl Write) -> Result<()> {
        let sent = writer.write_all(&self.0).and_then(|()| writer.flush());
        sent.map_err(|error| Error::external(format!("the other end of the pipe is gone: {error}")))
    }
}

/// Writes one message and flushes.
///
/// # Errors
/// External: the other end is gone. Internal: the message is too large.
pub fn send<T: Serialize>(writer: &mut impl Write, message: &T) -> Result<()> {
    let frame = Frame::of(message).ok_or_else(|| Error::internal("a message is larger than a frame may be"))?;
    frame.send(writer)
}

/// Reads one message; `None` at the end of the stream, also in the middle of a frame: the sender was killed.
///
/// # Errors
/// Internal: the bytes are not a message.
pub fn receive<T: DeserializeOwned>(reader: &mut impl Read) -> Result<Option<T>> {
    let mut length = [0; 4];
    if reader.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(Error::internal(format!("a frame of {length} bytes between driver and executor")));
    }
    // Grows with what arrives: a garbled length takes no memory by itself.
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    match reader.by_ref().take(length as u64).read_to_end(&mut bytes) {
        Ok(count) if count == length => {}
        _ => return Ok(None),
    }
    postcard::from_bytes(&bytes)
        .map(Some)
        .map_err(|error| Error::internal(format!("a frame between driver and executor does not read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::PartitionId;

    fn task() -> ToExecutor {
        let range =
            OffsetRange { partition: PartitionId { source: 0, topic: "t".into(), partition: 1 }, start: 3, end: 9 };
        ToExecutor::Task(Task {
            id: 7,
            batch_id: 2,
            range,
            late_watermark: Millis(-1),
            timestamp: Millis(5),
            set_aside: false,
        })
    }

    #[test]
    fn messages_arrive_whole_or_not_at_all() {
        let mut bytes = Vec::new();
        send(&mut bytes, &task()).unwrap();
        send(&mut bytes, &FromExecutor::Ready).unwrap();
        let mut reader = bytes.as_slice();
        assert_eq!(receive(&mut reader).unwrap(), Some(task()));
        assert_eq!(receive(&mut reader).unwrap(), Some(FromExecutor::Ready));
        assert_eq!(receive::<ToExecutor>(&mut reader).unwrap(), None);
        for cut in 0..bytes.len() - 5 {
            assert_eq!(receive::<ToExecutor>(&mut &bytes[..cut.min(10)]).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(receive::<ToExecutor>(&mut [255u8; 32].as_slice()).is_err());
        assert!(receive::<FromExecutor>(&mut [2, 0, 0, 0, 99, 99].as_slice()).is_err());
    }
}
