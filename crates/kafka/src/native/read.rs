//! The executor's side by the native client: ranges of partitions, one after the other.
//!
//! Nothing is asked for beyond a range's end, so an idle reader is silent. What an answer holds beyond the end is kept: a
//! range that begins where the one before ended uses it. An answer is asked for with about the bytes that the range still
//! needs.
//!
//! Of a task of several ranges those that follow are asked for together with the first: one request serves hundreds of small
//! ones. What comes for them is held until it is their turn; they are asked for no more while too much is held.

use crate::choice::settings;
use crate::options::KafkaOptions;
use crate::read::{STILL_MAX, lost};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tidemill_client::batch::Record;
use tidemill_client::{At, Fetcher, Step};
use tidemill_flow::ports::{Chunk, Parts, Read};
use tidemill_model::{Error, OffsetRange, PartitionId, Result};

/// What exists is read, so answers come at once; this bounds the wait for an open transaction's end.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// Bytes of an answer: as large as the processor's caches like.
const BYTES_MAX: u32 = 1 << 20;
/// Fewer are not worth a request.
const BYTES_MIN: u32 = 16 << 10;
/// A record's size before any was seen.
const RECORD_BYTES: u64 = 256;
/// Ranges of so many records together are asked for at once; one always is.
const EXPECTED_RECORDS: i64 = 8_192;
/// After so many answers without a record of the range that is read, the others wait: where only offsets without a record
/// are left, that shows only when it is asked for alone.
const ANSWERS_TOGETHER: u32 = 4;
/// Bytes held out of turn before no more are asked for; the answers under way still come.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Reads ranges of Kafka partitions.
pub(crate) struct NativeReader {
    fetcher: Fetcher,
    range: Option<Open>,
    /// Where the next range goes on with what is fetched.
    position: Option<(PartitionId, i64)>,
    /// Ranges that follow, in order: those that are asked for, and those that are not yet.
    asked: VecDeque<(OffsetRange, usize)>,
    waiting: VecDeque<OffsetRange>,
    /// Bytes of a record, as seen lately.
    record_bytes: u64,
    still_max: Duration,
    parts: Parts,
}

/// The range at work.
struct Open {
    range: OffsetRange,
    slot: usize,
    /// It was asked for together with others: nothing is kept beyond its end.
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
            still_max: STILL_MAX,
            parts: Parts::default(),
        })
    }

    pub(crate) fn with_parts(mut self, parts: Parts) -> NativeReader {
        self.parts = parts;
        self
    }

    pub(crate) fn with_still_max(mut self, still_max: Duration) -> NativeReader {
        self.still_max = still_max;
        self
    }

    /// Fills `chunk` from what is fetched; whether the range is at its end.
    fn fill(&mut self, open: &mut Open, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        while chunk.has_room(records_max) {
            match self.fetcher.next_record(open.range.end)? {
                Step::Record(record) => {
                    chunk.push(record.offset, record.timestamp, record.value);
                    if self.parts != Parts::default() {
                        push_parts(&record, chunk, self.parts, &open.range)?;
                    }
                    open.offset = record.offset + 1;
                }
                Step::Beyond => return Ok(true),
                Step::End => {
                    if !self.fetcher.next_batch(open.slot)? {
                        open.offset = self.fetcher.position(open.slot).max(open.offset);
                        break;
                    }
                }
            }
        }
        Ok(open.offset >= open.range.end)
    }

    fn lost(&mut self, open: &Open) -> Error {
        let PartitionId { topic, partition, .. } = &open.range.partition;
        let what =
            format!("offsets {} to {} of {} are not there", open.offset, open.range.end - 1, open.range.partition);
        let cluster = self.fetcher.cluster();
        let mut ask =
            |at| cluster.offsets(topic, &[*partition], at, Duration::from_secs(5)).map(|found| found[0].unwrap_or(0));
        lost(what, ask(At::Earliest).and_then(|start| Ok((start, ask(At::Latest)?))))
    }

    fn still(&self, open: &Open) -> Error {
        let what = format!("a fetch of {} at offset {}", open.range.partition, open.offset);
        match self.fetcher.trouble() {
            Some(error) => error.context(format!("{what} did not answer")),
            None => Error::transient(format!("{what} did not answer; see the broker's log, it is tried again")),
        }
    }

    /// Asks for about as many bytes as the records need.
    fn limit(&mut self, slot: usize, records: i64) {
        let needed = (records as u64).saturating_mul(self.record_bytes).saturating_mul(9) / 8;
        let bytes = needed.clamp(u64::from(BYTES_MIN), u64::from(BYTES_MAX)) as u32;
        self.fetcher.limit(slot, bytes);
    }

    /// Asks for as many of the ranges that follow as may be.
    fn ask_ahead(&mut self) {
        let mut records: i64 = self.asked.iter().map(|(range, _)| range.len()).sum();
        while let Some(range) = self.waiting.front() {
            let is_asked = |(asked, _): &(OffsetRange, usize)| asked.partition == range.partition;
            if !self.asked.is_empty() && (records + range.len() > EXPECTED_RECORDS || self.asked.iter().any(is_asked)) {
                return;
            }
            records += range.len();
            let range = self.waiting.pop_front().expect("seen above");
            let PartitionId { topic, partition, .. } = &range.partition;
            let slot = self.fetcher.add(topic, *partition, range.start, range.end);
            self.limit(slot, range.len());
            self.asked.push_back((range, slot));
        }
    }

    /// Nothing more is asked for of the ranges that follow, and what has come of them is dropped.
    fn forget_ahead(&mut self) {
        self.waiting.clear();
        for (_, slot) in std::mem::take(&mut self.asked) {
            self.fetcher.forget(slot);
        }
    }

    /// The range that is open is read no further.
    fn call_off(&mut self) {
        if let Some(unread) = self.range.take().filter(|open| open.is_one_of_many) {
            self.fetcher.forget(unread.slot);
        }
    }

    /// What was fetched where the reader was is dropped.
    fn forget_position(&mut self) {
        if let Some((before, _)) = self.position.take()
            && let Some(slot) = self.fetcher.slot(&before.topic, before.partition)
        {
            self.fetcher.forget(slot);
        }
    }

    /// While too much is held, or little comes for it, only the range that is read is asked for.
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
fn push_parts(record: &Record<'_>, chunk: &mut Chunk, parts: Parts, range: &OffsetRange) -> Result<()> {
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
                "the headers of the record {place} do not decode: correct what writes them, or leave out `include_headers`"
            )));
        }
        chunk.header_ends.push(chunk.header_names.len());
    }
    Ok(())
}

impl Read for NativeReader {
    fn expect(&mut self, ranges: &[OffsetRange]) {
        self.call_off();
        self.forget_ahead();
        if ranges.len() > 1 {
            self.forget_position();
            self.waiting = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
            self.ask_ahead();
        }
    }

    fn open(&mut self, range: &OffsetRange) -> Result<()> {
        self.call_off();
        if range.is_empty() {
            return Ok(());
        }
        self.ask_ahead();
        if self.asked.front().is_some_and(|(first, _)| first == range) {
            let (_, slot) = self.asked.pop_front().expect("seen above");
            self.fetcher.bound(slot, range.end);
            self.range = Some(Open { range: range.clone(), slot, is_one_of_many: true, offset: range.start });
            self.ask_ahead();
            return Ok(());
        }
        self.forget_ahead();
        let goes_on = matches!(&self.position, Some((at, offset)) if *at == range.partition && *offset == range.start);
        if !goes_on {
            self.forget_position();
        }
        let PartitionId { topic, partition, .. } = &range.partition;
        let slot = match goes_on {
            true => self.fetcher.slot(topic, *partition).expect("it was read before"),
            false => self.fetcher.add(topic, *partition, range.start, range.end),
        };
        self.fetcher.bound(slot, range.end);
        self.limit(slot, range.len());
        self.position = Some((range.partition.clone(), range.start));
        self.range = Some(Open { range: range.clone(), slot, is_one_of_many: false, offset: range.start });
        Ok(())
    }

    fn next(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        chunk.clear();
        let Some(mut open) = self.range.take() else { return Ok(false) };
        let (start, mut answers) = (Instant::now(), 0);
        loop {
            if self.fill(&mut open, chunk, records_max)? {
                self.finish(open);
                return Ok(!chunk.is_empty());
            }
            if !chunk.is_empty() {
                let bytes = chunk.bytes.len() as u64 / chunk.len() as u64;
                self.record_bytes = (self.record_bytes * 3 + bytes + 16) / 4;
                if !open.is_one_of_many {
                    self.position = Some((open.range.partition.clone(), open.offset));
                }
                self.range = Some(open);
                return Ok(true);
            }
            self.limit(open.slot, open.range.end - open.offset);
            self.bound_ahead(answers);
            let left = self.still_max.saturating_sub(start.elapsed());
            let polled = self.fetcher.poll(left.min(WAIT_MAX));
            answers += u32::from(matches!(polled, Ok(true)));
            let failed = match polled {
                Ok(_) if self.fetcher.is_out_of_range(open.slot) => Some(self.lost(&open)),
                Ok(_) if start.elapsed() >= self.still_max => Some(self.still(&open)),
                Ok(_) => None,
                Err(error) => Some(error),
            };
            if let Some(error) = failed {
                // The next range begins anew.
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
