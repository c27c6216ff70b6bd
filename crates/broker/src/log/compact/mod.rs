//! Log compaction: of the records with the same key, the last one stays.
//!
//! ```text
//!  closed segments                                     open
//! ┌───────────┬───────────┬───────────┬───────────┐  ┌──────
//! │ a1 b1 c1  │ a2 b2     │ b3 c2     │ a3 d1     │  │ a4
//! └───────────┴───────────┴───────────┴───────────┘  └──────
//!       clean so far      │  dirty: its keys are mapped to their last offsets, a→8 b→5 c→6 d→9
//! ┌───────────────────────────────────┐
//! │             b3 c2 a3 d1           │   one pass: each record with a later one in the map is dropped
//! └───────────────────────────────────┘
//! ```
//! A [`Job`] is what a pass needs to know of a log. It is taken under the log's lock. The pass reads the closed
//! segments, which do not change, without the lock. It writes groups of neighbours into one new file each, and swaps
//! each under the lock, in the order of the offsets.
//!
//! What stays, besides the last record of each key, is as in Apache Kafka:
//! - A batch keeps its offsets, producer and sequence number. The last batch of each producer stays, perhaps without
//!   records, so that a repeat of it is recognised.
//! - A record without a value (a tombstone) and a marker without records of its transaction stay for
//!   `delete.retention.ms`. The first pass that meets them writes the end of that time into their batch
//!   ([`DELETE_HORIZON`]); a later pass drops them.
//! - Records of aborted transactions are dropped at once. Nothing at or after the stable end is touched.
//! - The open segment is not touched, nor the one before it while the open one is empty: so the log's last record, and
//!   with it the position that readers wait for, is always there.
//!
//! **Crashes.** The new file is complete and on the disk before a rename puts it in the place of the group's first file.
//! Then the group's other files are removed. [`super::Log::open`] meets them after a crash between the two: a file that
//! begins before the end of the one before it is a leftover, and is removed. One that begins after that end holds only
//! records that the pass dropped, and the next pass drops them again. Groups are swapped in order, so a tombstone is
//! gone only when everything before it is.
//!
//! **Cost.** Each dirty batch is read twice, each clean one once. The map has at most [`KEYS_MAX`] keys, 26 MB, and half as
//! much again while it doubles; a pass ends where it is full. A batch that unpacks to more than [`UNPACKED_BYTES_MAX`] stays
//! as it is.
//!
//! Knows nothing of topics and of who reads.

mod keys;
mod rewrite;
#[cfg(test)]
mod tests;

pub(crate) use keys::KEYS_MAX;

use super::batch::BatchHeader;
use super::producers::LastBatch;
use super::scan::{HeaderScan, read_exact_at};
use super::segment::Segment;
use super::transactions::Aborted;
use keys::Keys;
use rewrite::{Fate, Rewriter};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Attribute of a batch whose base timestamp is the time from which its tombstones or its marker may be dropped.
pub(crate) const DELETE_HORIZON: i16 = 1 << 6;
const UNPACKED_BYTES_MAX: u64 = 64 << 20;
const CHUNK_BYTES: usize = 256 << 10;

/// A topic's settings for compaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rules {
    /// Records stay at least this long (`min.compaction.lag.ms`).
    pub lag_ms: i64,
    /// Dirty records wait at most this long for a pass (`max.compaction.lag.ms`).
    pub lag_ms_max: i64,
    /// How long a tombstone stays.
    pub delete_retention_ms: i64,
    /// The part of the log that must be dirty for a pass (`min.cleanable.dirty.ratio`).
    pub dirty_ratio: f64,
}

/// One pass over a log.
#[derive(Debug)]
pub(crate) struct Job {
    pub dir: PathBuf,
    pub rules: Rules,
    pub segment_bytes: u64,
    pub now_ms: i64,
    /// What is before this offset was mapped by earlier passes.
    pub clean: i64,
    /// In offset order, without gaps between them.
    pub parts: Vec<Part>,
    /// The aborted transactions of each producer, in order.
    pub aborted: HashMap<i64, Vec<Aborted>>,
    /// The last batch of each known producer.
    pub last: HashMap<i64, LastBatch>,
}

/// A closed segment.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub path: PathBuf,
    pub base_offset: i64,
    /// Where the next segment begins.
    pub next_offset: i64,
    pub bytes: u64,
}

/// A new segment in the place of neighbours.
#[derive(Debug)]
pub(crate) struct Replacement {
    /// Under a temporary name, on the disk.
    pub segment: Segment,
    /// Base offset and bytes of each segment that it replaces.
    pub replaced: Vec<(i64, u64)>,
    /// Where the segment after them begins.
    pub end: i64,
}

impl Job {
    /// Does the pass. `swap` puts a new segment into the log, or says that the log has changed. Returns the offset before
    /// which the log is clean now. `None` if the log has changed, or if `going` says that the broker stops.
    pub fn run(
        &self,
        keys_max: usize,
        going: &dyn Fn() -> bool,
        mut swap: impl FnMut(Replacement) -> io::Result<bool>,
    ) -> io::Result<Option<i64>> {
        let Some((keys, end)) = self.map_keys(keys_max, going)? else { return Ok(None) };
        let mut rewriter = Rewriter::new(self, &keys, end);
        for group in self.groups(end) {
            let Some(new) = self.rewrite(group, &mut rewriter, going)? else { return Ok(None) };
            let Some(new) = new else { continue };
            if !swap(new)? {
                return Ok(None);
            }
        }
        Ok(Some(end))
    }

    /// The last offset of each key in the dirty part, and the offset up to which the map goes. `None` if the broker
    /// stops.
    fn map_keys(&self, keys_max: usize, going: &dyn Fn() -> bool) -> io::Result<Option<(Keys, i64)>> {
        let (mut keys, mut plain) = (Keys::new(keys_max), Vec::new());
        let mut end = self.clean;
        for part in self.parts.iter().filter(|part| part.next_offset > self.clean) {
            let mut full = false;
            let all = each_batch(part, going, |header, batch| {
                if header.last_offset() < self.clean || self.is_aborted(header) {
                    return Ok(ControlFlow::Continue(()));
                }
                if !keys.has_room_for(header.record_count) {
                    full = true;
                    end = header.base_offset;
                    return Ok(ControlFlow::Break(()));
                }
                rewrite::note_keys(header, batch, &mut plain, &mut keys);
                Ok(ControlFlow::Continue(()))
            })?;
            if !all {
                return Ok(None);
            }
            if full {
                return Ok(Some((keys, end)));
            }
            end = part.next_offset;
        }
        Ok(Some((keys, end)))
    }

    /// Neighbours that fit into one file, up to an offset.
    fn groups(&self, end: i64) -> Vec<&[Part]> {
        let parts = &self.parts[..self.parts.partition_point(|part| part.base_offset < end)];
        let (mut groups, mut start) = (Vec::new(), 0);
        let mut bytes = 0;
        for (index, part) in parts.iter().enumerate() {
            let offsets = part.next_offset - parts[start].base_offset;
            if index > start && (bytes + part.bytes > self.segment_bytes || offsets > i64::from(u32::MAX)) {
                groups.push(&parts[start..index]);
                (start, bytes) = (index, 0);
            }
            bytes += part.bytes;
        }
        if start < parts.len() {
            groups.push(&parts[start..]);
        }
        groups
    }

    /// Writes what stays of a group. `None` if the broker stops; `Some(None)` if all of its only segment stays.
    #[allow(clippy::option_option, reason = "stopping and unchanged are different ends")]
    fn rewrite(
        &self,
        group: &[Part],
        rewriter: &mut Rewriter<'_>,
        going: &dyn Fn() -> bool,
    ) -> io::Result<Option<Option<Replacement>>> {
        let mut segment = Segment::create_temporary(&self.dir, group[0].base_offset)?;
        step();
        let written = self.write_group(group, rewriter, going, &mut segment);
        let replaced = group.iter().map(|part| (part.base_offset, part.bytes)).collect();
        let end = group[group.len() - 1].next_offset;
        match written {
            Ok(Some(true)) => return Ok(Some(Some(Replacement { segment, replaced, end }))),
            // If this fails, the next start removes the file.
            _ => drop(segment.remove()),
        }
        Ok(written?.map(|_changed| None))
    }

    /// Whether something changes. `None` if the broker stops.
    fn write_group(
        &self,
        group: &[Part],
        rewriter: &mut Rewriter<'_>,
        going: &dyn Fn() -> bool,
        segment: &mut Segment,
    ) -> io::Result<Option<bool>> {
        let mut changed = group.len() > 1;
        for part in group {
            let all = each_batch(part, going, |header, batch| {
                match rewriter.fate(header, batch)? {
                    Fate::Keep => segment.append(batch, header, false)?,
                    Fate::Drop => changed = true,
                    Fate::Replace(batch) => {
                        let header = BatchHeader::parse(&batch).expect("a rewritten batch is valid");
                        segment.append(&batch, &header, false)?;
                        changed = true;
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
            if !all {
                return Ok(None);
            }
        }
        // The age of a segment, for retention, is that of its last append.
        let modified = std::fs::metadata(&group[group.len() - 1].path)?.modified()?;
        segment.finish(modified)?;
        // The open segment's file says where the log ends. It must be there for sure before the last records before it
        // can go.
        tidemill_os::disk::sync_dir(&self.dir)?;
        step();
        Ok(Some(changed))
    }

    /// Whether a batch belongs to an aborted transaction.
    fn is_aborted(&self, header: &BatchHeader) -> bool {
        if !header.is_transactional() || header.is_control() {
            return false;
        }
        let Some(of_producer) = self.aborted.get(&header.producer_id) else { return false };
        let offset = header.base_offset;
        let first = of_producer.partition_point(|aborted| aborted.marker_offset < offset);
        // The first that ends after this batch is the batch's own, or begins after it.
        of_producer.get(first).is_some_and(|aborted| aborted.first_offset <= offset)
    }
}

/// Passes each batch of a segment to `each`, until it breaks. Returns `false` if the broker stops.
fn each_batch(
    part: &Part,
    going: &dyn Fn() -> bool,
    mut each: impl FnMut(&BatchHeader, &[u8]) -> io::Result<ControlFlow<()>>,
) -> io::Result<bool> {
    let file = File::open(&part.path)?;
    let mut scan = HeaderScan::new(&file, 0, part.bytes, CHUNK_BYTES);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some((position, header)) = scan.next()? {
        if !going() {
            return Ok(false);
        }
        batch.resize(header.total_bytes, 0);
        read_exact_at(&file, &mut batch, position)?;
        if each(&header, &batch)?.is_break() {
            return Ok(true);
        }
        bytes += header.total_bytes as u64;
    }
    if bytes == part.bytes {
        return Ok(true);
    }
    let what = format!("{}: byte {bytes} begins no complete batch", part.path.display());
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

/// A change of the directory is done. Tests look at the directory then, as a start after a crash would.
pub(crate) fn step() {
    #[cfg(test)]
    tests::step();
}
