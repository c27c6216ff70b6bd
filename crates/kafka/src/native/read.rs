//! The executor's reader on the native client: ranges of partitions, one after the other.
//!
//! The reader requests nothing beyond a range's end, so an idle reader is silent. Records that an answer holds beyond
//! the end are kept. A range that starts where the previous one ended reuses them. The byte limit of a request is about
//! what the range still needs.
//!
//! In a task of several ranges, the later ones are requested together with the first. So one request serves hundreds of
//! small ranges. Their records are held until their turn. While too much is held, the reader requests only the first.

use crate::choice::settings;
use crate::options::KafkaOptions;
use crate::read::{RangeReader, ReaderSettings, after_loss, lost};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tidemill_client::batch::Record;
use tidemill_client::{At, Fetcher, Stop};
use tidemill_flow::ports::{Chunk, Read, RecordMetadata};
use tidemill_model::{Error, OffsetRange, PartitionId, Result};

/// The records of a range exist, so answers come at once. This limits the wait for an open transaction to end.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// Most bytes of an answer, so that it fits in the processor's caches.
const BYTES_MAX: u32 = 1 << 20;
/// Least bytes of an answer. Fewer are not worth a request.
const BYTES_MIN: u32 = 16 << 10;
/// Assumed size of a record before any was read.
const RECORD_BYTES: u64 = 256;
/// About this many bytes are requested of several ranges together. One range is always requested.
const EXPECTED_BYTES: u64 = 2 << 20;
/// After this many answers without a record of the current range, it is requested alone, so that the records of others
/// cannot fill the answers.
const ANSWERS_TOGETHER: u32 = 4;
/// Bytes held out of turn beyond which the later ranges are not requested. Answers in flight still arrive.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Reads ranges of Kafka partitions.
pub(crate) struct NativeReader {
    fetcher: Fetcher,
    range: Option<Open>,
    /// The partition and the offset at which the next range can reuse fetched records.
    position: Option<(PartitionId, i64)>,
    /// The later ranges, in order: those that are requested, and those that are not yet.
    asked: VecDeque<(OffsetRange, usize)>,
    waiting: VecDeque<OffsetRange>,
    /// Recent size of a record in bytes.
    record_bytes: u64,
    settings: ReaderSettings,
}

/// The current range.
struct Open {
    range: OffsetRange,
    slot: usize,
    /// It was requested together with others. Nothing is kept beyond its end.
    is_one_of_many: bool,
    /// The next offset that may be delivered.
    offset: i64,
}

impl NativeReader {
    pub(crate) fn new(options: &KafkaOptions) -> Result<NativeReader> {
        let mut settings = settings(options)?;
        settings.fetch.wait_max = WAIT_MAX;
        settings.fetch.bytes_min = 1;
        let fetcher = Fetcher::new(settings)?;
        Ok(NativeReader {
            fetcher,
            range: None,
            position: None,
            asked: VecDeque::new(),
            waiting: VecDeque::new(),
            record_bytes: RECORD_BYTES,
            settings: ReaderSettings::default(),
        })
    }

    /// Fills `chunk` from the fetched records. Returns whether the range is at its end.
    fn fill(&mut self, open: &mut Open, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        let parts = self.settings.parts;
        while chunk.has_room(records_max) {
            let buffer = self.fetcher.frame().map(|frame| chunk.hold(frame));
            let mut pushed = Ok(());
            let stop = self.fetcher.each_record(open.range.end, |record| {
                match (buffer, record.value) {
                    (Some(buffer), Some(value)) => {
                        let place = record.value_at..record.value_at + value.len();
                        chunk.push_held(record.offset, record.timestamp, buffer, place);
                    }
                    (_, value) => chunk.push(record.offset, record.timestamp, value),
                }
                if parts != RecordMetadata::default() {
                    pushed = push_parts(&record, chunk, parts, &open.range);
                }
                open.offset = record.offset + 1;
                pushed.is_ok() && chunk.has_room(records_max)
            })?;
            pushed?;
            match stop {
                Stop::Full => break,
                Stop::Beyond => return Ok(true),
                Stop::End => {
                    if !self.fetcher.next_batch(open.slot)? {
                        open.offset = self.fetcher.position(open.slot).max(open.offset);
                        break;
                    }
                }
            }
        }
        Ok(open.offset >= open.range.end)
    }

    /// The offsets from `open.offset` on do not exist. Goes on after them, or fails.
    fn go_on_after_lost(&mut self, open: &mut Open) -> Result<()> {
        let there = self.log_of(&open.range.partition);
        let (log_start, _) = match there {
            Ok(there) if self.settings.passes_over_lost => there,
            there => {
                let Open { range, offset, .. } = open;
                let what = format!("offsets {offset} to {} of {} do not exist", range.end - 1, range.partition);
                return Err(lost(what, there));
            }
        };
        let PartitionId { topic, partition, .. } = &open.range.partition;
        open.offset = after_loss(&open.range, open.offset, log_start);
        self.fetcher.forget(open.slot);
        open.slot = self.fetcher.add(topic, *partition, open.offset, open.range.end);
        Ok(())
    }

    /// Start and end of a partition's log.
    fn log_of(&mut self, PartitionId { topic, partition, .. }: &PartitionId) -> Result<(i64, i64)> {
        let cluster = self.fetcher.cluster();
        let mut ask =
            |at| cluster.offsets(topic, &[*partition], at, Duration::from_secs(5)).map(|found| found[0].unwrap_or(0));
        Ok((ask(At::Earliest)?, ask(At::Latest)?))
    }

    fn still(&self, open: &Open) -> Error {
        let what = format!("a fetch of {} at offset {}", open.range.partition, open.offset);
        match (self.fetcher.trouble(), self.fetcher.extent(open.slot)) {
            (Some(error), _) => error.context(format!("{what} did not answer")),
            // Quotas, remote storage and a leader that has just been elected make a broker answer so for a while.
            (None, Some((_, end))) if end > open.offset => Error::transient(format!(
                "{what} brought no record, although the log ends at {end}; the request is repeated; see the broker's log"
            )),
            (None, _) => {
                Error::transient(format!("{what} did not answer; the request is repeated; see the broker's log"))
            }
        }
    }

    /// About the bytes that must be fetched for so many records of a partition. A range begins and ends inside of batches.
    fn bytes_of(&self, records: i64) -> u64 {
        let values = (records as u64).saturating_mul(self.record_bytes).saturating_mul(9) / 8;
        let needed = values.saturating_add(self.fetcher.batch_bytes() as u64 * 3 / 2);
        needed.clamp(u64::from(BYTES_MIN), u64::from(BYTES_MAX))
    }

    /// Limits the partition's part of an answer to what its records need.
    fn limit(&mut self, slot: usize, records: i64) {
        self.fetcher.limit(slot, self.bytes_of(records) as u32);
    }

    /// Takes in as many of the later ranges as the limit allows, once half of what was taken in is read. So requests are
    /// large however small the ranges are. Returns whether there are new ones.
    fn take_in_ahead(&mut self) -> bool {
        let mut bytes: u64 = self.asked.iter().map(|(range, _)| self.bytes_of(range.len())).sum();
        let before = self.asked.len();
        if bytes > EXPECTED_BYTES / 2 {
            return false;
        }
        while let Some(range) = self.waiting.front() {
            let is_asked = |(asked, _): &(OffsetRange, usize)| asked.partition == range.partition;
            bytes += self.bytes_of(range.len());
            if !self.asked.is_empty() && (bytes > EXPECTED_BYTES || self.asked.iter().any(is_asked)) {
                break;
            }
            let range = self.waiting.pop_front().expect("seen above");
            let PartitionId { topic, partition, .. } = &range.partition;
            let slot = self.fetcher.add(topic, *partition, range.start, range.end);
            self.limit(slot, range.len());
            self.asked.push_back((range, slot));
        }
        self.asked.len() > before
    }

    /// Requests later ranges while the current one is read.
    fn ask_ahead(&mut self) -> Result<()> {
        if self.take_in_ahead() {
            self.fetcher.poll(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Stops requesting the later ranges, and drops what has arrived of them.
    fn forget_ahead(&mut self) {
        self.waiting.clear();
        for (_, slot) in std::mem::take(&mut self.asked) {
            self.fetcher.forget(slot);
        }
    }

    /// Closes the open range before its end.
    fn call_off(&mut self) {
        if let Some(unread) = self.range.take().filter(|open| open.is_one_of_many) {
            self.fetcher.forget(unread.slot);
        }
    }

    /// Drops the records that were kept for the next range.
    fn forget_position(&mut self) {
        if let Some((before, _)) = self.position.take()
            && let Some(slot) = self.fetcher.slot(&before.topic, before.partition)
        {
            self.fetcher.forget(slot);
        }
    }

    /// Requests only the current range while too much is held, or while answers bring nothing for it.
    fn bound_ahead(&mut self, answers: u32) {
        let is_alone = self.fetcher.held_bytes() > HELD_BYTES_MAX || answers >= ANSWERS_TOGETHER;
        for (range, slot) in &self.asked {
            self.fetcher.bound(*slot, if is_alone { 0 } else { range.end });
        }
    }

    fn finish(&mut self, open: Open) {
        if open.is_one_of_many {
            self.fetcher.forget(open.slot);
        } else {
            self.position = Some((open.range.partition, open.range.end));
        }
    }
}

/// Appends the wanted parts to a chunk that the record was just added to.
fn push_parts(record: &Record<'_>, chunk: &mut Chunk, parts: RecordMetadata, range: &OffsetRange) -> Result<()> {
    if parts.keys {
        chunk.keys.push(record.key);
    }
    if parts.timestamp_types {
        chunk.timestamp_types.push(i32::from(record.is_append_time));
    }
    if parts.headers {
        let pushed = record.each_header(|name, value| {
            chunk.header_names.push(Some(name));
            chunk.header_values.push(value);
        });
        if pushed.is_err() {
            let place = format!("{} at offset {}", range.partition, record.offset);
            return Err(Error::external(format!(
                "the headers of the record {place} are malformed; correct their producer, or leave out `include_headers`"
            )));
        }
        chunk.header_ends.push(chunk.header_names.len());
    }
    Ok(())
}

impl RangeReader for NativeReader {
    fn settings(&mut self) -> &mut ReaderSettings {
        &mut self.settings
    }
}

impl Read for NativeReader {
    fn expect(&mut self, ranges: &[OffsetRange]) {
        self.call_off();
        self.forget_ahead();
        if ranges.len() > 1 {
            self.forget_position();
            self.waiting = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
            self.take_in_ahead();
        }
    }

    fn open(&mut self, range: &OffsetRange) -> Result<()> {
        self.call_off();
        if range.is_empty() {
            return Ok(());
        }
        self.take_in_ahead();
        if self.asked.front().is_some_and(|(first, _)| first == range) {
            let (_, slot) = self.asked.pop_front().expect("seen above");
            self.fetcher.bound(slot, range.end);
            self.range = Some(Open { range: range.clone(), slot, is_one_of_many: true, offset: range.start });
            return self.ask_ahead();
        }
        self.forget_ahead();
        let goes_on = matches!(&self.position, Some((at, offset)) if *at == range.partition && *offset == range.start);
        if !goes_on {
            self.forget_position();
        }
        let PartitionId { topic, partition, .. } = &range.partition;
        let slot = match goes_on {
            true => self.fetcher.slot(topic, *partition).expect("the partition was read before"),
            false => self.fetcher.add(topic, *partition, range.start, range.end),
        };
        self.fetcher.bound(slot, range.end);
        self.limit(slot, range.len());
        self.position = Some((range.partition.clone(), range.start));
        self.range = Some(Open { range: range.clone(), slot, is_one_of_many: false, offset: range.start });
        Ok(())
    }

    fn append(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        let Some(mut open) = self.range.take() else { return Ok(false) };
        let (start, mut answers) = (Instant::now(), 0);
        let (records, bytes) = (chunk.len(), chunk.value_bytes());
        loop {
            if self.fill(&mut open, chunk, records_max)? {
                self.finish(open);
                return Ok(chunk.len() > records);
            }
            if chunk.len() > records {
                let bytes = (chunk.value_bytes() - bytes) as u64 / (chunk.len() - records) as u64;
                self.record_bytes = (self.record_bytes * 3 + bytes + 16) / 4;
                if !open.is_one_of_many {
                    self.position = Some((open.range.partition.clone(), open.offset));
                }
                self.range = Some(open);
                return Ok(true);
            }
            self.limit(open.slot, open.range.end - open.offset);
            self.bound_ahead(answers);
            let left = self.settings.still_max.saturating_sub(start.elapsed());
            let polled = self.fetcher.poll(left.min(WAIT_MAX));
            answers += u32::from(matches!(polled, Ok(true)));
            let failed = match polled {
                Ok(_) if self.fetcher.is_out_of_range(open.slot) => self.go_on_after_lost(&mut open).err(),
                Ok(_) if start.elapsed() >= self.settings.still_max => Some(self.still(&open)),
                Ok(_) => None,
                Err(error) => Some(error),
            };
            if let Some(error) = failed {
                // The next range cannot reuse anything.
                self.fetcher.forget(open.slot);
                self.forget_ahead();
                self.position = None;
                return Err(error);
            }
        }
    }

    fn waited(&mut self) -> Duration {
        self.fetcher.take_waited()
    }
}
