//! The log of one partition: append-only segment files of record batches as they were received.
//!
//! ```text
//! DIR/data/<topic id>/<partition>/00000000000000000000.log   00000000000000481516.log ← appended to
//! ```
//! Opening the log removes any bytes that are not part of a complete batch. This loses no acknowledged batch, since a
//! batch is acknowledged after it is written completely. Knows nothing of topics, clients or the protocol. One thread
//! uses a log at a time (the partition's lock).

pub(crate) mod batch;
pub(crate) mod compact;
mod pack;
mod producers;
mod records;
mod scan;
mod segment;
#[cfg(test)]
mod tests;
pub(crate) mod transactions;
mod unpack;

pub(crate) use scan::read_exact_at;
pub(crate) use segment::Slice;

use crate::config::Durability;
use batch::BatchHeader;
use kafka_protocol::ResponseError as Code;
use producers::{Producers, Verdict};
use segment::Segment;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tidemill_os::clock::wall_ms;
use transactions::{Aborted, Outcome, Transactions};

/// Settings of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    pub segment_bytes: u64,
    pub max_message_bytes: u64,
    pub retention_bytes: Option<u64>,
    pub retention_age: Option<Duration>,
    /// Whether the retention removes segments (`cleanup.policy`).
    pub delete: bool,
    /// Whether, and how, the log is compacted (`cleanup.policy`).
    pub compact: Option<compact::Rules>,
    /// A batch whose records are later than the open segment's first by more than this begins a new segment.
    pub segment_ms: i64,
    pub durability: Durability,
}

/// One partition's log.
#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    config: LogConfig,
    /// In offset order; never empty. Appends go to the last one.
    segments: Vec<Segment>,
    producers: Producers,
    transactions: Transactions,
    /// Records before this offset are deleted, even if the first segment still has them. Stored in the file [`START`].
    start: i64,
    /// Compaction has mapped the keys before this offset. Stored in the file [`CLEAN`].
    clean: i64,
}

/// The file that stores [`Log::clean`]. If it is absent, the whole log is dirty.
const CLEAN: &str = "compacted";

/// The file that stores [`Log::start`]. It is absent until records are deleted.
const START: &str = "start";

/// What a fetch may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Everything.
    ReadUncommitted,
    /// Records before the stable end.
    ReadCommitted,
}

/// What a partition knows of a producer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownProducer {
    pub epoch: i16,
    /// −1 if the partition knows only markers of it.
    pub last_sequence: i32,
    /// When it last wrote, in ms since 1970.
    pub time_ms: i64,
    /// Where its open transaction begins.
    pub first_offset: Option<i64>,
}

/// Why an append failed.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// The batch is refused.
    Refused(Code),
    /// The disk failed.
    Disk(io::Error),
}

impl Log {
    /// Opens or creates the log in `dir`. Removes an incomplete batch at the end.
    pub fn open(dir: &Path, config: LogConfig) -> io::Result<Log> {
        std::fs::create_dir_all(dir)?;
        let mut files = segment_files(dir)?;
        files.sort();
        let (producers, transactions) = (Producers::default(), Transactions::default());
        let (start, clean) = (read_offset(&dir.join(START))?, read_offset(&dir.join(CLEAN))?);
        let mut log = Log { dir: dir.to_owned(), config, segments: Vec::new(), producers, transactions, start, clean };
        let last = files.len().saturating_sub(1);
        let mut torn = false;
        for (index, (base_offset, path)) in files.iter().enumerate() {
            // After an interrupted compaction, the segment before has what stays of this one. Segments after a
            // truncated one could leave a gap in the offsets.
            if torn || log.segments.last().is_some_and(|before| before.end_offset > *base_offset) {
                std::fs::remove_file(path)?;
                continue;
            }
            torn = log.recover_segment(path, *base_offset, index == last)?;
        }
        if log.segments.is_empty() {
            log.segments.push(Segment::create(dir, log.start)?);
        }
        log.start = log.start.min(log.end_offset());
        log.clean = log.clean.min(log.end_offset());
        Ok(log)
    }

    /// Opens the next segment. Returns whether it was truncated.
    fn recover_segment(&mut self, path: &Path, base_offset: i64, check_crc: bool) -> io::Result<bool> {
        let (producers, transactions) = (&mut self.producers, &mut self.transactions);
        let note = |header: &BatchHeader, outcome: Option<Outcome>| {
            // The best known time of the write: the records' largest timestamp.
            producers.note(header, header.max_timestamp);
            transactions.note(header, outcome);
        };
        let (segment, torn) = Segment::recover(path.to_owned(), base_offset, check_crc, note)?;
        if let Some(before) = self.segments.last_mut() {
            before.close();
        }
        self.segments.push(segment);
        Ok(torn)
    }

    /// The log's settings.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Changes the settings from now on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// First offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.segments[0].base_offset.max(self.start)
    }

    /// One past the last offset.
    pub fn end_offset(&self) -> i64 {
        self.open_segment().end_offset
    }

    /// One past the last offset that a reader with this isolation sees.
    pub fn visible_end(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadUncommitted => self.end_offset(),
            Isolation::ReadCommitted => self.transactions.stable_end(self.end_offset()).max(self.start_offset()),
        }
    }

    /// The aborted transactions that have records or a marker in `[from, to)`.
    pub fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        self.transactions.aborted(from, to)
    }

    /// The producers with an open transaction in this partition, each with its epoch.
    pub fn open_producers(&self) -> Vec<(i64, i16)> {
        let open = self.transactions.open_producers().into_iter();
        open.map(|id| (id, self.producers.epoch(id).unwrap_or(0))).collect()
    }

    /// The known producers, by id.
    pub fn known_producers(&self) -> Vec<(i64, KnownProducer)> {
        let known = self.producers.all().map(|(id, epoch, last_sequence, time_ms)| {
            let first_offset = self.transactions.first_offset(id);
            (id, KnownProducer { epoch, last_sequence, time_ms, first_offset })
        });
        let mut known: Vec<_> = known.collect();
        known.sort_unstable_by_key(|(id, _)| *id);
        known
    }

    /// Bytes in all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Stores a batch that [`batch::check_produced`] accepted, and returns its base offset. For a repeated batch of an
    /// idempotent producer it returns the existing offset.
    pub fn append(&mut self, batch: &[u8], header: &BatchHeader) -> Result<i64, AppendError> {
        match self.producers.check(header).map_err(AppendError::Refused)? {
            Verdict::Duplicate { base_offset } => return Ok(base_offset),
            Verdict::New => {}
        }
        let header = BatchHeader { base_offset: self.end_offset(), ..*header };
        self.write(batch, &header).map_err(AppendError::Disk)?;
        self.producers.note(&header, wall_ms());
        self.transactions.note(&header, None);
        Ok(header.base_offset)
    }

    /// Stores the marker that ends a producer's transaction here.
    pub fn append_marker(&mut self, producer_id: i64, epoch: i16, outcome: Outcome) -> io::Result<()> {
        let now_ms = wall_ms();
        let batch = transactions::marker(producer_id, epoch, outcome, now_ms);
        let header = BatchHeader::parse(&batch).expect("a marker is a valid batch");
        let header = BatchHeader { base_offset: self.end_offset(), ..header };
        self.write(&batch, &header)?;
        self.producers.note(&header, now_ms);
        self.transactions.note(&header, Some(outcome));
        Ok(())
    }

    fn write(&mut self, batch: &[u8], header: &BatchHeader) -> io::Result<()> {
        let (bytes, open) = (header.total_bytes as u64, self.open_segment());
        let is_old = open
            .first_timestamp()
            .is_some_and(|first| first >= 0 && header.max_timestamp.saturating_sub(first) > self.config.segment_ms);
        if is_old || !open.has_room_for(bytes, header.record_count, self.config.segment_bytes) {
            self.roll()?;
            self.drop_beyond_bytes()?;
        }
        let sync = self.config.durability == Durability::Disk;
        self.segments.last_mut().expect("a log has a segment").append(batch, header, sync)
    }

    /// Complete batches of one segment from `offset` on, up to about `max_bytes`. `None` if the offset is out of range.
    /// The slice is empty at the visible end.
    pub fn slice(
        &self,
        offset: i64,
        isolation: Isolation,
        max_bytes: u64,
        at_least_one: bool,
    ) -> io::Result<Option<Slice>> {
        if offset < self.start_offset() || offset > self.end_offset() {
            return Ok(None);
        }
        let from = self.segments.partition_point(|segment| segment.end_offset <= offset);
        // Compaction leaves segments without batches.
        let segment = self.segments[from..].iter().find(|segment| segment.bytes > 0).unwrap_or(self.open_segment());
        segment.slice(offset, self.visible_end(isolation), max_bytes, at_least_one).map(Some)
    }

    /// Timestamp and offset of the first record at or after `timestamp` (milliseconds), if any.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        for segment in &self.segments {
            if let Some(found) = segment.offset_for_timestamp(timestamp, self.start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Timestamp and offset of the first record that has the largest timestamp, if there are records.
    pub fn max_timestamp(&self) -> io::Result<Option<(i64, i64)>> {
        let mut max: Option<(i64, i64)> = None;
        for segment in &self.segments {
            let found = segment.max_timestamp(self.start)?;
            max = if found.is_some_and(|(time, _)| max.is_none_or(|(before, _)| time > before)) { found } else { max };
        }
        Ok(max)
    }

    /// Forgets producers that have written nothing since `before_ms`.
    pub fn forget_producers(&mut self, before_ms: i64) {
        self.producers.forget(before_ms);
    }

    /// Removes whole segments that exceed the retention by bytes or by age.
    pub fn enforce_retention(&mut self, now: SystemTime) -> io::Result<()> {
        if let Some(age) = self.config.retention_age.filter(|_| self.config.delete) {
            let expired = |segment: &Segment| -> io::Result<bool> {
                Ok(now.duration_since(segment.modified()?).is_ok_and(|since| since > age))
            };
            if self.open_segment().bytes > 0 && expired(self.open_segment())? {
                self.roll()?;
            }
            while self.segments.len() > 1 && expired(&self.segments[0])? {
                self.segments.remove(0).remove()?;
            }
        }
        self.drop_beyond_bytes()?;
        self.transactions.forget_before(self.start_offset());
        Ok(())
    }

    /// Deletes the records before an offset. Removes the segments that lie entirely before it.
    pub fn delete_before(&mut self, offset: i64) -> io::Result<()> {
        if offset <= self.start_offset() {
            return Ok(());
        }
        tidemill_os::disk::replace(&self.dir.join(START), format!("{offset}\n").as_bytes())?;
        self.start = offset;
        if self.open_segment().bytes > 0 && self.end_offset() == offset {
            self.roll()?;
        }
        while self.segments.len() > 1 && self.segments[0].end_offset <= offset {
            self.segments.remove(0).remove()?;
        }
        self.transactions.forget_before(offset);
        Ok(())
    }

    /// What a pass of compaction needs to know. `None` if none is due.
    pub fn compaction(&self, now_ms: i64) -> Option<compact::Job> {
        let rules = self.config.compact?;
        let stable_end = self.visible_end(Isolation::ReadCommitted);
        let keeps_end = if self.open_segment().bytes == 0 { 2 } else { 1 };
        let closed = self.segments.len().saturating_sub(keeps_end);
        let is_young = |segment: &Segment| rules.lag_ms > 0 && segment.latest_timestamp() > now_ms - rules.lag_ms;
        let pairs = self.segments.iter().zip(&self.segments[1..]).take(closed);
        let ready = pairs.take_while(|(segment, next)| {
            next.base_offset <= stable_end && (next.base_offset <= self.clean || !is_young(segment))
        });
        let (mut parts, mut dirty_bytes, mut waits_ms) = (Vec::new(), 0, 0);
        for (segment, next) in ready {
            if next.base_offset > self.clean {
                dirty_bytes += segment.bytes;
                waits_ms = waits_ms.max(segment.first_timestamp().map_or(0, |first| now_ms.saturating_sub(first)));
            }
            parts.push(compact::Part {
                path: segment.path().to_owned(),
                base_offset: segment.base_offset,
                next_offset: next.base_offset,
                bytes: segment.bytes,
            });
        }
        let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        let is_due = dirty_bytes as f64 > rules.dirty_ratio * bytes as f64 || waits_ms > rules.lag_ms_max;
        (dirty_bytes > 0 && is_due).then(|| compact::Job {
            dir: self.dir.clone(),
            rules,
            segment_bytes: self.config.segment_bytes,
            now_ms,
            clean: self.clean,
            parts,
            aborted: self.transactions.aborted_by_producer(),
            last: self.producers.last_batches(),
        })
    }

    /// Puts a compacted segment in the place of others. Returns `false` if some of them are gone.
    pub fn replace(&mut self, mut new: compact::Replacement) -> io::Result<bool> {
        let first = self.segments.partition_point(|segment| segment.base_offset < new.segment.base_offset);
        let there = self.segments[first..].iter().map(|segment| (segment.base_offset, segment.bytes));
        if !there.take(new.replaced.len()).eq(new.replaced.iter().copied()) {
            new.segment.remove()?;
            return Ok(false);
        }
        new.segment.put_in_place()?;
        compact::step();
        let old: Vec<Segment> = self.segments.splice(first..first + new.replaced.len(), [new.segment]).collect();
        // The new segments up to here have none of their records.
        self.transactions.forget_before(new.end);
        // Only when the new file is there for sure may the others go. The first one went by the renaming.
        tidemill_os::disk::sync_dir(&self.dir)?;
        for segment in old.into_iter().skip(1) {
            segment.remove()?;
            compact::step();
        }
        tidemill_os::disk::sync_dir(&self.dir)?;
        Ok(true)
    }

    /// Notes that the records before an offset are compacted.
    pub fn set_clean(&mut self, clean: i64) -> io::Result<()> {
        tidemill_os::disk::replace(&self.dir.join(CLEAN), format!("{clean}\n").as_bytes())?;
        compact::step();
        self.clean = clean;
        Ok(())
    }

    fn drop_beyond_bytes(&mut self) -> io::Result<()> {
        let Some(limit) = self.config.retention_bytes.filter(|_| self.config.delete) else { return Ok(()) };
        let mut total = self.bytes();
        while self.segments.len() > 1 && total - self.segments[0].bytes >= limit {
            total -= self.segments[0].bytes;
            self.segments.remove(0).remove()?;
        }
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        let segment = Segment::create(&self.dir, self.end_offset())?;
        self.segments.last_mut().expect("a log has a segment").close();
        self.segments.push(segment);
        Ok(())
    }

    fn open_segment(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }
}

fn read_offset(path: &Path) -> io::Result<i64> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: not a number: `{text}`", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn segment_files(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == segment::TEMPORARY) {
            // A crash interrupted the compaction that wrote it.
            std::fs::remove_file(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "log")
            && let Ok(base_offset) = stem.parse()
        {
            files.push((base_offset, path));
        }
    }
    Ok(files)
}
