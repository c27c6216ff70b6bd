//! The log of one partition: append-only segment files of record batches as they were received.
//!
//! ```text
//! DIR/data/<topic id>/<partition>/00000000000000000000.log   00000000000000481516.log ← appended to
//! ```
//! Opening the log removes any bytes that are not part of a complete batch; acknowledged batches were written
//! completely before. Knows nothing of topics, clients or the protocol. One thread at a time (the partition's lock).

pub(crate) mod batch;
mod producers;
mod records;
mod scan;
mod segment;
#[cfg(test)]
mod tests;
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

/// Settings of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    pub segment_bytes: u64,
    pub max_message_bytes: u64,
    pub retention_bytes: Option<u64>,
    pub retention_age: Option<Duration>,
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
    /// Opens or creates the log in `dir` and removes a cut tail.
    pub fn open(dir: &Path, config: LogConfig) -> io::Result<Log> {
        std::fs::create_dir_all(dir)?;
        let mut files = segment_files(dir)?;
        files.sort();
        let mut log = Log { dir: dir.to_owned(), config, segments: Vec::new(), producers: Producers::default() };
        let last = files.len().saturating_sub(1);
        for (index, (base_offset, path)) in files.iter().enumerate() {
            let gap = log.segments.last().is_some_and(|before| before.end_offset > *base_offset);
            if gap {
                break;
            }
            let producers = &mut log.producers;
            // The clock at that time, as far as the records show it.
            let note = |header: &BatchHeader| producers.note(header, header.max_timestamp);
            let (segment, torn) = Segment::recover(path.clone(), *base_offset, index == last, note)?;
            if let Some(before) = log.segments.last_mut() {
                before.close();
            }
            log.segments.push(segment);
            if torn {
                break;
            }
        }
        // Segments after a cut one may leave a gap.
        for (_, path) in &files[log.segments.len()..] {
            std::fs::remove_file(path)?;
        }
        if log.segments.is_empty() {
            log.segments.push(Segment::create(dir, 0)?);
        }
        Ok(log)
    }

    /// The log's settings.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// First offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.segments[0].base_offset
    }

    /// One past the last offset.
    pub fn end_offset(&self) -> i64 {
        self.open_segment().end_offset
    }

    /// Bytes in all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Stores a batch that [`batch::check_produced`] accepted and returns its base offset. A repeated batch of an
    /// idempotent producer gets the offset that it already has.
    pub fn append(&mut self, batch: &[u8], header: &BatchHeader) -> Result<i64, AppendError> {
        match self.producers.check(header).map_err(AppendError::Refused)? {
            Verdict::Duplicate { base_offset } => return Ok(base_offset),
            Verdict::New => {}
        }
        let header = BatchHeader { base_offset: self.end_offset(), ..*header };
        self.write(batch, &header).map_err(AppendError::Disk)?;
        self.producers.note(&header, wall_ms());
        Ok(header.base_offset)
    }

    fn write(&mut self, batch: &[u8], header: &BatchHeader) -> io::Result<()> {
        let bytes = header.total_bytes as u64;
        if !self.open_segment().has_room_for(bytes, header.record_count, self.config.segment_bytes) {
            self.roll()?;
            self.drop_beyond_bytes()?;
        }
        let sync = self.config.durability == Durability::Disk;
        self.segments.last_mut().expect("a log has a segment").append(batch, header, sync)
    }

    /// Where the batches from `offset` are: up to about `max_bytes` of complete batches of one segment. `None` if the
    /// offset is out of range; an empty slice at the end.
    pub fn slice(&self, offset: i64, max_bytes: u64, at_least_one: bool) -> io::Result<Option<Slice>> {
        if offset < self.start_offset() || offset > self.end_offset() {
            return Ok(None);
        }
        let segment = self.segments.partition_point(|segment| segment.end_offset <= offset);
        let segment = self.segments.get(segment).unwrap_or(self.open_segment());
        segment.slice(offset, max_bytes, at_least_one).map(Some)
    }

    /// Timestamp and offset of the first record at or after `timestamp` (milliseconds), if any.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        for segment in &self.segments {
            if let Some(found) = segment.offset_for_timestamp(timestamp)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Timestamp and offset of the first record that has the largest timestamp, if there are records.
    pub fn max_timestamp(&self) -> io::Result<Option<(i64, i64)>> {
        let mut max: Option<(i64, i64)> = None;
        for segment in &self.segments {
            let found = segment.max_timestamp()?;
            max = if found.is_some_and(|(time, _)| max.is_none_or(|(before, _)| time > before)) { found } else { max };
        }
        Ok(max)
    }

    /// Forgets producers that wrote nothing since `before_ms`.
    pub fn forget_producers(&mut self, before_ms: i64) {
        self.producers.forget(before_ms);
    }

    /// Removes whole segments beyond the retention by bytes or by age.
    pub fn enforce_retention(&mut self, now: SystemTime) -> io::Result<()> {
        if let Some(age) = self.config.retention_age {
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
        self.drop_beyond_bytes()
    }

    fn drop_beyond_bytes(&mut self) -> io::Result<()> {
        let Some(limit) = self.config.retention_bytes else { return Ok(()) };
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

fn segment_files(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "log")
            && let Ok(base_offset) = stem.parse()
        {
            files.push((base_offset, path));
        }
    }
    Ok(files)
}
