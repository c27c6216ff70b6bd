//! The ranges of a task that gathers several: they are fetched together and handed on one after the other.
//!
//! ```text
//!  waiting ──start──► open: [ front | … | … ]      front is read; the others keep what comes for them until it is their turn
//!                       └── at most 8,192 records of ranges and 16 MB of messages out of turn ──┘
//! ```
//! One fetch serves all partitions that are open, so that a task of a hundred small ranges costs a few round trips. Messages
//! stay in librdkafka's buffers. Who exceeds the bytes is stopped and fetched again at its turn.

use crate::fetch::{Event, Fetch, Message};
use rdkafka::error::RDKafkaErrorCode;
use std::collections::VecDeque;
use std::time::Duration;
use tidemill_flow::ports::{Chunk, Parts};
use tidemill_model::OffsetRange;

/// Ranges of so many records together are open at once; one always is.
const OPEN_RECORDS: i64 = 8_192;

/// Bytes of values kept out of turn.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// A partition that cannot be read on: why, and where.
pub type Failure = (RDKafkaErrorCode, OffsetRange, i64);

/// Ranges that are to be read, in order.
#[derive(Default)]
pub struct Ahead {
    waiting: VecDeque<OffsetRange>,
    open: VecDeque<Part>,
    /// Ranges of so many records may be open.
    open_records_max: i64,
    kept_bytes: usize,
}

/// A range that is being fetched.
struct Part {
    range: OffsetRange,
    /// The next offset to come.
    next: i64,
    kept: VecDeque<Message>,
}

impl Part {
    fn new(range: OffsetRange) -> Part {
        Part { next: range.start, range, kept: VecDeque::new() }
    }

    /// Whether all of it has come.
    fn is_complete(&self) -> bool {
        self.next >= self.range.end
    }

    fn is_of(&self, (topic, partition): (&str, i32)) -> bool {
        self.range.partition.partition == partition && *self.range.partition.topic == *topic
    }
}

impl Ahead {
    /// Whether no range is expected.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a range is the one whose turn it is.
    pub fn begins_with(&self, range: &OffsetRange) -> bool {
        self.open.front().is_some_and(|part| part.range == *range)
    }

    /// Begins to fetch these ranges, none of them empty. Nothing is being fetched.
    pub fn expect(&mut self, fetch: &mut Fetch, ranges: &[OffsetRange]) {
        self.waiting = ranges.iter().cloned().collect();
        self.open_records_max = OPEN_RECORDS;
        self.fill(fetch);
    }

    /// Stops fetching, and forgets what is there.
    pub fn forget(&mut self, fetch: &mut Fetch) {
        if !self.is_empty() {
            fetch.stop();
        }
        *self = Ahead::default();
    }

    /// The range whose turn it is, and the next offset that is to come of it.
    pub fn front(&self) -> (OffsetRange, i64) {
        let part = self.open.front().expect("a range is open");
        (part.range.clone(), part.next)
    }

    /// Whether all of the front range has come and was handed on.
    pub fn is_at_end(&self) -> bool {
        self.open.front().is_some_and(|part| part.is_complete() && part.kept.is_empty())
    }

    /// Hands on what is there of the front range, while the chunk has room.
    pub fn drain(&mut self, chunk: &mut Chunk, records_max: usize, parts: Parts) {
        let Some(part) = self.open.front_mut() else { return };
        while chunk.has_room(records_max)
            && let Some(message) = part.kept.pop_front()
            && let Event::Record { offset, timestamp, value, extras } = message.event()
        {
            self.kept_bytes -= value.map_or(0, <[u8]>::len);
            chunk.push(offset, timestamp, value);
            extras.push_to(chunk, parts);
        }
    }

    /// Goes on to the next range. The front one is at its end.
    pub fn pop(&mut self, fetch: &mut Fetch) {
        self.open.pop_front();
        self.fill(fetch);
    }

    /// Takes in one event, for whichever range; waits at most `wait` for it. Whether there was one.
    ///
    /// # Errors
    /// A partition of an open range cannot be read on.
    pub fn take_in(&mut self, fetch: &mut Fetch, wait: Duration) -> Result<bool, Failure> {
        let Some(event) = fetch.peek(wait) else { return Ok(false) };
        let (found, bytes) = match event {
            Event::Record { offset, value, .. } => (Ok((offset, true)), value.map_or(0, <[u8]>::len)),
            Event::End { offset } => (Ok((offset, false)), 0),
            Event::Failed { code } => (Err(code), 0),
        };
        let part = fetch.origin().and_then(|origin| self.open.iter_mut().find(|part| part.is_of(origin)));
        // A partition that was stopped; or librdkafka has not skipped what a batch holds before the offset asked for.
        let Some(part) = part.filter(|part| !part.is_complete()) else {
            fetch.consume();
            return Ok(true);
        };
        let (offset, is_record) = match found {
            Ok(found) => found,
            Err(code) => {
                fetch.consume();
                return Err((code, part.range.clone(), part.next));
            }
        };
        if is_record && (part.next..part.range.end).contains(&offset) {
            part.kept.push_back(fetch.take_out());
            part.next = offset + 1;
            self.kept_bytes += bytes;
        } else {
            fetch.consume();
            if offset >= part.range.end {
                part.next = part.range.end;
            }
        }
        if part.is_complete() {
            let partition = part.range.partition.clone();
            fetch.stop_one(&partition.topic, partition.partition);
        }
        if self.kept_bytes > KEPT_BYTES_MAX {
            self.shed(fetch);
        }
        Ok(true)
    }

    /// Opens as many ranges as may be.
    fn fill(&mut self, fetch: &mut Fetch) {
        let mut records: i64 = self.open.iter().map(|part| part.range.len()).sum();
        while let Some(range) = self.waiting.front() {
            if !self.open.is_empty() && records + range.len() > self.open_records_max {
                return;
            }
            records += range.len();
            fetch.start(&range.partition.topic, range.partition.partition, range.start);
            self.open.extend(self.waiting.pop_front().map(Part::new));
        }
    }

    /// Too much is kept: all but the front range wait again, and fewer are open from now on.
    fn shed(&mut self, fetch: &mut Fetch) {
        self.open_records_max /= 2;
        while self.open.len() > 1 {
            let part = self.open.pop_back().expect("there are two at least");
            self.kept_bytes -= part.kept.iter().map(|message| bytes(&message.event())).sum::<usize>();
            fetch.stop_one(&part.range.partition.topic, part.range.partition.partition);
            self.waiting.push_front(part.range);
        }
    }
}

fn bytes(event: &Event<'_>) -> usize {
    match event {
        Event::Record { value, .. } => value.map_or(0, <[u8]>::len),
        Event::End { .. } | Event::Failed { .. } => 0,
    }
}
