//! Fetches the ranges of a gathered task together and delivers them one after the other.
//!
//! ```text
//!  waiting ──start──► open: [ front | … | … ]      front is read; the others keep their messages until their turn
//!                       └── at most 8,192 records of ranges and 16 MB of messages out of turn ──┘
//! ```
//! One fetch serves all open partitions, so a task of a hundred small ranges costs a few round trips. Messages stay in
//! librdkafka's buffers. If they exceed the bytes, the last ranges are stopped and fetched again at their turn.

use super::fetch::{Event, Fetch, Message};
use rdkafka::error::RDKafkaErrorCode;
use std::collections::VecDeque;
use std::time::Duration;
use tidemill_flow::ports::{Chunk, RecordMetadata};
use tidemill_model::OffsetRange;

/// The open ranges hold at most this many records together. One range is always open.
const OPEN_RECORDS: i64 = 8_192;

/// Most bytes of values that are kept out of turn.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// A partition that cannot be read further: the code, the range, and the offset.
pub type Failure = (RDKafkaErrorCode, OffsetRange, i64);

/// The ranges to read, in order.
#[derive(Default)]
pub struct Ahead {
    waiting: VecDeque<OffsetRange>,
    open: VecDeque<OpenRange>,
    /// The open ranges may hold this many records.
    open_records_max: i64,
    kept_bytes: usize,
}

/// A range that is being fetched.
struct OpenRange {
    range: OffsetRange,
    /// The next expected offset.
    next: i64,
    kept: VecDeque<Message>,
}

impl OpenRange {
    fn new(range: OffsetRange) -> OpenRange {
        OpenRange { next: range.start, range, kept: VecDeque::new() }
    }

    /// Whether the whole range has arrived.
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

    /// Whether a range is the front one.
    pub fn begins_with(&self, range: &OffsetRange) -> bool {
        self.open.front().is_some_and(|part| part.range == *range)
    }

    /// Begins to fetch these ranges, none of them empty. Call while nothing is being fetched.
    pub fn expect(&mut self, fetch: &mut Fetch, ranges: &[OffsetRange]) {
        self.waiting = ranges.iter().cloned().collect();
        self.open_records_max = OPEN_RECORDS;
        self.fill(fetch);
    }

    /// Stops fetching, and drops what has arrived.
    pub fn forget(&mut self, fetch: &mut Fetch) {
        if !self.is_empty() {
            fetch.stop();
        }
        *self = Ahead::default();
    }

    /// The front range, and its next expected offset.
    pub fn front(&self) -> (OffsetRange, i64) {
        let part = self.open.front().expect("a range is open");
        (part.range.clone(), part.next)
    }

    /// Whether the whole front range has arrived and was delivered.
    pub fn is_at_end(&self) -> bool {
        self.open.front().is_some_and(|part| part.is_complete() && part.kept.is_empty())
    }

    /// Delivers what has arrived of the front range, while the chunk has room.
    pub fn drain(&mut self, chunk: &mut Chunk, records_max: usize, parts: RecordMetadata) {
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

    /// Moves to the next range. The front one is at its end.
    pub fn pop(&mut self, fetch: &mut Fetch) {
        self.open.pop_front();
        self.fill(fetch);
    }

    /// Takes one event of any range. Waits at most `wait` for it. Returns whether there was one.
    ///
    /// # Errors
    /// A partition of an open range cannot be read further.
    pub fn take_in(&mut self, fetch: &mut Fetch, wait: Duration) -> Result<bool, Failure> {
        let Some(event) = fetch.peek(wait) else { return Ok(false) };
        let (found, bytes) = match event {
            Event::Record { offset, value, .. } => (Ok((offset, true)), value.map_or(0, <[u8]>::len)),
            Event::End { offset } => (Ok((offset, false)), 0),
            Event::Failed { code } => (Err(code), 0),
        };
        let part = fetch.origin().and_then(|origin| self.open.iter_mut().find(|part| part.is_of(origin)));
        // The partition was stopped, or librdkafka did not skip records of a batch before the requested offset.
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

    /// Opens as many ranges as the limit allows.
    fn fill(&mut self, fetch: &mut Fetch) {
        let mut records: i64 = self.open.iter().map(|part| part.range.len()).sum();
        while let Some(range) = self.waiting.front() {
            if !self.open.is_empty() && records + range.len() > self.open_records_max {
                return;
            }
            records += range.len();
            fetch.start(&range.partition.topic, range.partition.partition, range.start);
            self.open.extend(self.waiting.pop_front().map(OpenRange::new));
        }
    }

    /// Called when too much is kept. All but the front range wait again, and fewer are open from now on.
    fn shed(&mut self, fetch: &mut Fetch) {
        self.open_records_max /= 2;
        while self.open.len() > 1 {
            let part = self.open.pop_back().expect("at least two ranges are open");
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
