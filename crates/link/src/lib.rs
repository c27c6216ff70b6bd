//! The messages between driver and executor, and the frames that carry them over the executor's stdin and stdout.
//!
//! ```text
//!  driver ──stdin──►  Hello, Task, Task …; end of file: finish what runs, then exit
//!         ◄─stdout──  Ready | Refused, then one Done | TooLarge | Failed per task, in the order in which tasks end;
//!                     Alive every quarter of a second while tasks run
//!  frame = length: u32 LE | message (postcard)
//! ```
//! `Hello` carries the driver's [`VERSION`] and the plan. An executor with another version answers `Refused`. This crate
//! does not know what a plan means or how processes are started.

#![forbid(unsafe_code)]

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{Read, Write};
use std::time::Duration;
use tidemill_model::batch::task_len;
use tidemill_model::limits::FRAME_BYTES_MAX;
use tidemill_model::{Error, Millis, Partial, RawBytes, Result, TaskCut};

/// The version of these messages.
pub const VERSION: u32 = 9;

/// Driver → executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToExecutor {
    /// The first frame.
    Hello {
        /// [`VERSION`] of the driver.
        version: u32,
        /// The plan, and how to reach what the executor reads and writes. It is decoded only if the versions agree.
        setup: EncodedSetup,
        /// Worker threads.
        cores: u32,
        /// `max_records_per_second_per_core`.
        max_records_per_second_per_core: Option<f64>,
    },
    /// Fold some ranges.
    Task(Task),
}

/// What an executor works on, encoded. It may hold passwords, so it is not shown.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodedSetup(pub RawBytes);

impl fmt::Debug for EncodedSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedSetup(*** {} bytes)", self.0.0.len())
    }
}

/// Ranges to fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Number of the dispatch. A driver uses each number once.
    pub id: u64,
    /// The batch of the task.
    pub batch_id: u64,
    /// What to read, in this order: ranges of one source, none of them empty.
    pub ranges: TaskCut,
    /// wm(N−1) of the batch.
    pub late_watermark: Millis,
    /// The batch's `current_timestamp()`.
    pub timestamp: Millis,
    /// The query's seed: the same in all runs.
    pub seed: u64,
    /// The records kill executors. They are only read and written to the dead letters, not decoded.
    pub set_aside: bool,
}

impl Task {
    /// The number of the source that it reads.
    pub fn source(&self) -> usize {
        self.ranges[0].partition.source as usize
    }

    /// Its offsets.
    pub fn records(&self) -> i64 {
        task_len(&self.ranges)
    }
}

/// Executor → driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromExecutor {
    /// The executor takes tasks from now on.
    Ready,
    /// Heartbeat with the progress of the running tasks. Sent every [`BEAT`] while there are any.
    Alive {
        /// The running tasks.
        tasks: Vec<Beat>,
    },
    /// The executor cannot work: another version, or no connection.
    Refused {
        /// The reason, one sentence.
        message: String,
    },
    /// A task is done.
    Done {
        /// The task's number.
        id: u64,
        /// The folded rows.
        partial: Partial,
        /// Where the time went.
        cost: TaskCost,
    },
    /// The task's partial would exceed the limit. The driver splits the task.
    TooLarge {
        /// The task's number.
        id: u64,
    },
    /// A task failed; the executor goes on.
    Failed {
        /// The task's number.
        id: u64,
        /// What is wrong and what to do.
        message: String,
        /// Whether the same task may succeed later (the source could not be reached).
        retry: bool,
    },
}

/// Progress of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The task's number.
    pub task: u64,
    /// Records read and folded.
    pub records: u64,
    /// Whether the task waits for its source now.
    pub waits: bool,
}

/// Interval of heartbeats while tasks run.
pub const BEAT: Duration = Duration::from_millis(250);

/// Where a task's time went, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCost {
    /// From taking the task to its partial.
    pub total_us: u64,
    /// The part spent waiting for the source.
    pub fetch_wait_us: u64,
    /// The part spent waiting for the rate limit.
    pub limit_wait_us: u64,
}

impl TaskCost {
    /// The rest: time spent working.
    pub fn busy_us(&self) -> u64 {
        self.total_us.saturating_sub(self.fetch_wait_us + self.limit_wait_us)
    }
}

/// An encoded message with its length. Encoding a large message takes a while, so it is done where there is time for
/// it.
pub struct Frame(Vec<u8>);

impl Frame {
    /// Encodes a message; `None` if it is larger than [`FRAME_BYTES_MAX`].
    pub fn of<T: Serialize>(message: &T) -> Option<Frame> {
        let bytes = postcard::to_extend(message, vec![0; 4]).expect("messages serialise");
        let length = bytes.len() - 4;
        let mut frame = Frame(bytes);
        frame.0[..4].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        (length <= FRAME_BYTES_MAX).then_some(frame)
    }

    /// Bytes of the message, without the length.
    pub fn message_bytes(&self) -> usize {
        self.0.len() - 4
    }

    /// Writes the frame and flushes.
    ///
    /// # Errors
    /// External: the other end is closed.
    pub fn send(&self, writer: &mut impl Write) -> Result<()> {
        let sent = writer.write_all(&self.0).and_then(|()| writer.flush());
        sent.map_err(|error| Error::external(format!("the other end of the pipe is gone: {error}")))
    }
}

/// Writes one message and flushes.
///
/// # Errors
/// External: the other end is closed. Internal: the message is too large.
pub fn send<T: Serialize>(writer: &mut impl Write, message: &T) -> Result<()> {
    let frame = Frame::of(message).ok_or_else(|| Error::internal("a message is larger than a frame may be"))?;
    frame.send(writer)
}

/// Reads one message. `None` at the end of the stream, also in the middle of a frame: then the sender was killed.
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
    // Grows with the bytes that arrive: a wrong length alone allocates no memory.
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    match reader.by_ref().take(length as u64).read_to_end(&mut bytes) {
        Ok(count) if count == length => {}
        _ => return Ok(None),
    }
    postcard::from_bytes(&bytes)
        .map(Some)
        .map_err(|error| Error::internal(format!("a frame between driver and executor cannot be decoded: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::{OffsetRange, PartitionId};

    fn task() -> ToExecutor {
        let range =
            OffsetRange { partition: PartitionId { source: 0, topic: "t".into(), partition: 1 }, start: 3, end: 9 };
        ToExecutor::Task(Task {
            id: 7,
            batch_id: 2,
            ranges: vec![range],
            late_watermark: Millis(-1),
            timestamp: Millis(5),
            seed: 3,
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
