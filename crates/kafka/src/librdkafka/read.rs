//! The executor's reader on librdkafka: ranges of partitions, one after the other.
//!
//! In a task of several ranges, the later ones are fetched while the first is read (`ahead.rs`). A range that starts
//! where the previous one ended reuses the fetched records. Any other start discards them and fetches again, which
//! costs 4–6 ms. At the end of a range the reader stops the partition, unless a thousand records are fetched ahead.
//! Otherwise an idle reader would ask the broker 200 times a second.

use super::ahead::Ahead;
use super::client::Handle;
use super::fetch::{Event, Fetch};
use crate::ask::Ask;
use crate::options::KafkaOptions;
use crate::read::{RangeReader, ReaderSettings, after_loss, lost};
use rdkafka::error::RDKafkaErrorCode;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Chunk, Read};
use tidemill_model::{Error, OffsetRange, PartitionId, Result};

/// How often librdkafka's own events are drained while waiting.
const WAIT: Duration = Duration::from_millis(500);

/// Records that are prefetched beyond a range's end are kept for the next range if there are at least this many. Fewer
/// are quickly fetched again.
const AHEAD_MIN: usize = 1_000;

/// Reads ranges of Kafka partitions.
pub struct LibrdkafkaReader {
    range: Option<OffsetRange>,
    /// The partition that is being fetched, and its next offset.
    position: Option<(PartitionId, i64)>,
    /// The ranges to come, and what was fetched of them. Declared before `fetch`: librdkafka waits without end for a
    /// message that outlives its client.
    ahead: Ahead,
    fetch: Fetch,
    /// The first range of `ahead` is open.
    reads_ahead: bool,
    settings: ReaderSettings,
}

impl LibrdkafkaReader {
    /// A reader with its own client, which connects in the background.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions) -> Result<LibrdkafkaReader> {
        let defaults = [
            ("isolation.level", "read_committed"),
            // The records of a range exist, so the broker answers at once. Only a fetch beyond them waits, and it
            // delays the next partition.
            ("fetch.wait.max.ms", "1"),
            // Limits an answer for many partitions.
            ("fetch.max.bytes", "4194304"),
            ("fetch.message.max.bytes", "1048576"),
            ("queued.max.messages.kbytes", "4096"),
            // Pause before a full queue is checked again. At a million records a second the queue is then still half
            // full. With librdkafka's default of one second a reader would stand still for most of it. With 1 ms an
            // idle reader would cost 2 % of a core.
            ("fetch.queue.backoff.ms", "5"),
            ("check.crcs", "true"),
            ("fetch.error.backoff.ms", "50"),
        ];
        let must = [("enable.partition.eof", "true"), ("auto.offset.reset", "error")];
        let fetch = Fetch::new(Handle::new(options, &defaults, &must)?);
        Ok(LibrdkafkaReader {
            fetch,
            range: None,
            position: None,
            ahead: Ahead::default(),
            reads_ahead: false,
            settings: ReaderSettings::default(),
        })
    }

    fn finish(&mut self, range: OffsetRange) {
        if self.fetch.ahead() >= AHEAD_MIN {
            self.position = Some((range.partition, range.end));
        } else {
            self.fetch.stop();
        }
    }

    /// The error for a failure of the partition at `offset`; `None` if librdkafka recovers by itself.
    fn failure(&mut self, code: RDKafkaErrorCode, range: &OffsetRange, offset: i64) -> Option<Error> {
        match code {
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut => None,
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Some(self.lost(range, offset)),
            code => Some(
                self.fetch.handle.failed(&format!("a fetch of {} at offset {offset}", range.partition), Some(code)),
            ),
        }
    }

    fn lost(&mut self, range: &OffsetRange, offset: i64) -> Error {
        let what = format!("offsets {offset} to {} of {} do not exist", range.end - 1, range.partition);
        let there = self.fetch.handle.extents(std::slice::from_ref(&range.partition), Duration::from_secs(5));
        lost(what, there.map(|found| (found[0].start, found[0].end)))
    }

    /// Where the range is read on, if the failure is that its offsets do not exist and they are passed over.
    fn after_loss(&mut self, code: RDKafkaErrorCode, range: &OffsetRange, offset: i64) -> Result<Option<i64>> {
        let is_loss = matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange);
        if !is_loss || !self.settings.passes_over_lost {
            return Ok(None);
        }
        let there = self.fetch.handle.extents(std::slice::from_ref(&range.partition), Duration::from_secs(5))?;
        Ok(Some(after_loss(range, offset, there[0].start)))
    }

    /// Reads a range alone, from an offset on.
    fn read_on(&mut self, range: OffsetRange, offset: i64) {
        self.give_up_ahead();
        self.fetch.stop();
        if offset < range.end {
            self.fetch.start(&range.partition.topic, range.partition.partition, offset);
            self.position = Some((range.partition.clone(), offset));
            self.range = Some(range);
        }
    }

    fn give_up_ahead(&mut self) {
        self.ahead.forget(&mut self.fetch);
        self.reads_ahead = false;
    }

    /// The next records of the front range in `ahead`.
    fn next_ahead(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        let (start, before) = (Instant::now(), chunk.len());
        loop {
            self.ahead.drain(chunk, records_max, self.settings.parts);
            if self.ahead.is_at_end() {
                if chunk.len() == before {
                    self.ahead.pop(&mut self.fetch);
                    self.reads_ahead = false;
                }
                return Ok(chunk.len() > before);
            }
            if !chunk.has_room(records_max) {
                return Ok(true);
            }
            // Waits only for the first record: what is there is worth more now than a full chunk later.
            let wait = if chunk.len() == before { WAIT } else { Duration::ZERO };
            let (range, offset) = self.ahead.front();
            match self.ahead.take_in(&mut self.fetch, wait) {
                Ok(true) => continue,
                Ok(false) if chunk.len() > before => return Ok(true),
                Ok(false) => self.fetch.handle.drain_events(),
                Err((code, range, offset)) => {
                    let on = self.after_loss(code, &range, offset);
                    if let Ok(Some(on)) = on {
                        // A later range fails again in its turn.
                        let (front, next) = self.ahead.front();
                        let on = if front == range { on } else { next };
                        self.read_on(front, on);
                        return if chunk.len() == before { self.append(chunk, records_max) } else { Ok(true) };
                    }
                    let failed = on.err().or_else(|| self.failure(code, &range, offset));
                    if let Some(error) = failed {
                        self.give_up_ahead();
                        return Err(error);
                    }
                }
            }
            if chunk.len() == before && start.elapsed() >= self.settings.still_max {
                self.give_up_ahead();
                return Err(self
                    .fetch
                    .handle
                    .failed(&format!("a fetch of {} at offset {offset}", range.partition), None));
            }
        }
    }
}

impl RangeReader for LibrdkafkaReader {
    fn settings(&mut self) -> &mut ReaderSettings {
        &mut self.settings
    }
}

impl Read for LibrdkafkaReader {
    fn expect(&mut self, ranges: &[OffsetRange]) {
        self.ahead.forget(&mut self.fetch);
        self.reads_ahead = false;
        if ranges.len() > 1 {
            self.fetch.stop();
            (self.range, self.position) = (None, None);
            self.ahead.expect(&mut self.fetch, ranges);
        }
    }

    fn open(&mut self, range: &OffsetRange) -> Result<()> {
        self.reads_ahead = self.ahead.begins_with(range);
        if self.reads_ahead {
            return Ok(());
        }
        self.ahead.forget(&mut self.fetch);
        let goes_on = matches!(&self.position, Some((at, offset)) if *at == range.partition && *offset == range.start);
        if !goes_on && !range.is_empty() {
            self.fetch.stop();
            self.fetch.start(&range.partition.topic, range.partition.partition, range.start);
            self.position = Some((range.partition.clone(), range.start));
        }
        self.range = (!range.is_empty()).then(|| range.clone());
        Ok(())
    }

    fn append(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        if self.reads_ahead {
            return self.next_ahead(chunk, records_max);
        }
        let Some(range) = self.range.take() else { return Ok(false) };
        let (_, mut offset) = self.position.take().expect("an open range has a position");
        let (start, before) = (Instant::now(), chunk.len());
        let mut at_end = false;
        while !at_end && chunk.has_room(records_max) {
            // Waits only for the first record: what is there is worth more now than a full chunk later.
            let wait = if chunk.len() == before { WAIT } else { Duration::ZERO };
            match self.fetch.peek(wait) {
                Some(Event::Record { offset: found, timestamp, value, extras }) if found < range.end => {
                    // librdkafka skips records of a batch before the requested offset. If it did not, they must not
                    // count twice.
                    if found >= offset {
                        chunk.push(found, timestamp, value);
                        extras.push_to(chunk, self.settings.parts);
                        offset = found + 1;
                    }
                    self.fetch.consume();
                    at_end = offset == range.end;
                    continue;
                }
                Some(Event::Record { .. }) => at_end = true,
                Some(Event::End { offset: found }) => {
                    self.fetch.consume();
                    at_end = found >= range.end;
                }
                Some(Event::Failed { code }) => {
                    self.fetch.consume();
                    if let Some(on) = self.after_loss(code, &range, offset)? {
                        self.read_on(range, on);
                        return if chunk.len() == before { self.append(chunk, records_max) } else { Ok(true) };
                    }
                    if let Some(error) = self.failure(code, &range, offset) {
                        self.fetch.stop();
                        return Err(error);
                    }
                }
                None if chunk.len() > before => break,
                None => self.fetch.handle.drain_events(),
            }
            if !at_end && chunk.len() == before && start.elapsed() >= self.settings.still_max {
                let what = format!("a fetch of {} at offset {offset}", range.partition);
                self.fetch.stop();
                return Err(self.fetch.handle.failed(&what, None));
            }
        }
        if at_end {
            self.finish(range);
        } else {
            self.position = Some((range.partition.clone(), offset));
            self.range = Some(range);
        }
        Ok(chunk.len() > before)
    }

    fn waited(&mut self) -> Duration {
        std::mem::take(&mut self.fetch.waited)
    }
}
