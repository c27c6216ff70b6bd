//! One file of a partition's log, named by its first offset, with a sparse index in memory.
//!
//! Only the last segment, which takes the appends, keeps its file open. The others are opened for each read. So a long
//! log needs no more file handles than a short one.
//!
//! The index has an entry about every [`INDEX_INTERVAL_BYTES`]. A lookup scans the headers between two entries. The
//! index is rebuilt from the headers when the broker starts, so no index file can contradict the log.

use super::batch::{self, BatchHeader};
use super::records;
use super::scan::{HeaderScan, read_exact_at};
use super::transactions::{self, Outcome};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Extension of a file that is no segment yet.
pub(crate) const TEMPORARY: &str = "compacting";
const INDEX_INTERVAL_BYTES: u64 = 16 << 10;
const LOOKUP_CHUNK_BYTES: usize = 4 << 10;
const RECOVERY_CHUNK_BYTES: usize = 256 << 10;

/// One segment file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub base_offset: i64,
    /// One past the last offset.
    pub end_offset: i64,
    /// Bytes of complete batches.
    pub bytes: u64,
    path: PathBuf,
    /// Open in the last segment only.
    file: Option<Arc<File>>,
    index: Vec<IndexEntry>,
    /// Largest timestamp of any batch (`i64::MIN` if there is none), and the base offset of the first batch with it.
    max_timestamp: i64,
    max_timestamp_offset: i64,
    /// Largest timestamp of the first batch.
    first_timestamp: Option<i64>,
    indexed_up_to: u64,
    /// A failed write may have left bytes after `bytes`.
    torn: bool,
}

/// A batch's position, and the largest timestamp of all earlier batches in the segment.
#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    relative_offset: u32,
    position: u32,
    max_timestamp_before: i64,
}

/// Bytes of a segment that a fetch sends unchanged.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub file: Arc<File>,
    pub position: u64,
    pub bytes: usize,
    /// All its records are before this offset.
    pub end_offset: i64,
}

impl Segment {
    /// Creates the segment that begins at `base_offset`. Truncates an existing file.
    pub fn create(dir: &Path, base_offset: i64) -> io::Result<Segment> {
        Segment::create_file(dir.join(format!("{base_offset:020}.log")), base_offset)
    }

    /// Creates a segment under a temporary name. [`Segment::put_in_place`] gives it its own.
    pub fn create_temporary(dir: &Path, base_offset: i64) -> io::Result<Segment> {
        Segment::create_file(dir.join(format!("{base_offset:020}.{TEMPORARY}")), base_offset)
    }

    fn create_file(path: PathBuf, base_offset: i64) -> io::Result<Segment> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let mut segment = Segment::new(path, file, base_offset);
        segment.truncate(0)?;
        Ok(segment)
    }

    /// Opens an existing segment: scans its headers, calls `seen` for each batch, and removes an incomplete batch at
    /// the end. If the batch is a marker, `seen` also gets the outcome of the transaction. With `check_crc` it also
    /// verifies every checksum. Returns whether it removed something.
    pub fn recover(
        path: PathBuf,
        base_offset: i64,
        check_crc: bool,
        mut seen: impl FnMut(&BatchHeader, Option<Outcome>),
    ) -> io::Result<(Segment, bool)> {
        let file = OpenOptions::new().read(true).append(true).open(&path)?;
        let file_bytes = file.metadata()?.len();
        let mut segment = Segment::new(path, file, base_offset);
        let file = segment.file()?;
        let mut scan = HeaderScan::new(&file, 0, file_bytes, RECOVERY_CHUNK_BYTES);
        let mut batch = Vec::new();
        while let Some((position, header)) = scan.next()? {
            if header.base_offset < segment.end_offset {
                break;
            }
            if check_crc || header.is_control() {
                batch.resize(header.total_bytes, 0);
                read_exact_at(&file, &mut batch, position)?;
                if !header.crc_is_right(&batch) {
                    break;
                }
            }
            seen(&header, if header.is_control() { transactions::outcome(&batch) } else { None });
            segment.note(&header);
        }
        let torn = segment.bytes < file_bytes;
        if torn {
            segment.truncate(segment.bytes)?;
        }
        Ok((segment, torn))
    }

    fn new(path: PathBuf, file: File, base_offset: i64) -> Segment {
        Segment {
            base_offset,
            end_offset: base_offset,
            bytes: 0,
            path,
            file: Some(Arc::new(file)),
            index: Vec::new(),
            max_timestamp: i64::MIN,
            max_timestamp_offset: base_offset,
            first_timestamp: None,
            indexed_up_to: 0,
            torn: false,
        }
    }

    /// Appends a checked batch. With `sync` it is on the disk. After an error the segment is as before.
    pub fn append(&mut self, batch: &[u8], header: &BatchHeader, sync: bool) -> io::Result<()> {
        if self.torn {
            self.truncate(self.bytes)?;
        }
        let prefix = batch::stored_prefix(batch, header.base_offset);
        let file = self.file()?;
        let written = write_both(&file, &prefix, &batch[prefix.len()..]);
        if let Err(error) = written.and_then(|()| if sync { file.sync_data() } else { Ok(()) }) {
            self.torn = true;
            // If this fails, the next append tries it again.
            let _ = self.truncate(self.bytes);
            return Err(error);
        }
        self.note(header);
        Ok(())
    }

    /// Accounts for a batch at the end of the file.
    fn note(&mut self, header: &BatchHeader) {
        if self.index.is_empty() || self.bytes - self.indexed_up_to >= INDEX_INTERVAL_BYTES {
            self.index.push(IndexEntry {
                relative_offset: (header.base_offset - self.base_offset) as u32,
                position: self.bytes as u32,
                max_timestamp_before: self.max_timestamp,
            });
            self.indexed_up_to = self.bytes;
        }
        self.bytes += header.total_bytes as u64;
        self.end_offset = header.last_offset() + 1;
        self.first_timestamp = self.first_timestamp.or(Some(header.max_timestamp));
        // Compaction leaves batches without records.
        if header.max_timestamp > self.max_timestamp && header.record_count > 0 {
            (self.max_timestamp, self.max_timestamp_offset) = (header.max_timestamp, header.base_offset);
        }
    }

    /// Whether a batch fits: the file stays within `segment_bytes`, and its offsets within an index entry.
    pub fn has_room_for(&self, bytes: u64, record_count: i32, segment_bytes: u64) -> bool {
        let offsets = self.end_offset - self.base_offset + i64::from(record_count);
        self.bytes == 0 || (self.bytes + bytes <= segment_bytes && offsets <= i64::from(u32::MAX))
    }

    /// Complete batches from the one that contains `offset` (or the first after it) to the offset `visible_end`, up to
    /// about `max_bytes`. With `at_least_one` it returns at least one batch, however large.
    pub fn slice(&self, offset: i64, visible_end: i64, max_bytes: u64, at_least_one: bool) -> io::Result<Slice> {
        let file = self.file()?;
        let visible = self.position_of(&file, visible_end)?;
        let mut scan = self.scan_from(&file, self.entry_before(offset));
        let (mut start, mut end, mut end_offset) = (visible, visible, visible_end.min(self.end_offset));
        while let Some((position, header)) = scan.next()? {
            if header.last_offset() >= offset && position < visible {
                (start, end, end_offset) = (position, position + header.total_bytes as u64, header.last_offset() + 1);
                break;
            }
        }
        let limit = start.saturating_add(max_bytes);
        if limit >= visible {
            (end, end_offset) = (visible, visible_end.min(self.end_offset));
        } else if end > limit {
            // The first batch alone is too large.
            end = if at_least_one { end } else { start };
        } else {
            (end, end_offset) = self.last_boundary(&mut scan, (end, end_offset), limit)?;
        }
        Ok(Slice { file: Arc::clone(&file), position: start, bytes: (end - start) as usize, end_offset })
    }

    /// The last batch boundary in `[end, limit]` that the index or a short scan finds, with its offset.
    fn last_boundary(&self, scan: &mut HeaderScan<'_>, end: (u64, i64), limit: u64) -> io::Result<(u64, i64)> {
        let entries = self.index.partition_point(|entry| u64::from(entry.position) <= limit);
        if let Some(entry) = self.index[..entries].last().filter(|entry| u64::from(entry.position) > end.0) {
            return Ok((u64::from(entry.position), self.base_offset + i64::from(entry.relative_offset)));
        }
        let mut end = end;
        while let Some((position, header)) = scan.next()? {
            let next = position + header.total_bytes as u64;
            if next > limit {
                break;
            }
            end = (next, header.last_offset() + 1);
        }
        Ok(end)
    }

    /// The position of the first batch that contains this offset or a later one.
    fn position_of(&self, file: &File, offset: i64) -> io::Result<u64> {
        if offset >= self.end_offset {
            return Ok(self.bytes);
        }
        let mut scan = self.scan_from(file, self.entry_before(offset));
        while let Some((position, header)) = scan.next()? {
            if header.last_offset() >= offset {
                return Ok(position);
            }
        }
        Ok(self.bytes)
    }

    /// Timestamp and offset of the first record at or after `timestamp`, from offset `from` on.
    pub fn offset_for_timestamp(&self, timestamp: i64, from: i64) -> io::Result<Option<(i64, i64)>> {
        if self.max_timestamp < timestamp {
            return Ok(None);
        }
        let after = self.index.partition_point(|entry| entry.max_timestamp_before < timestamp);
        self.first_at_or_after(after.saturating_sub(1), timestamp, from)
    }

    /// Timestamp and offset of the first record that has the largest timestamp. `None` if there are no records, or if
    /// that record is before offset `from`.
    pub fn max_timestamp(&self, from: i64) -> io::Result<Option<(i64, i64)>> {
        if self.bytes == 0 {
            return Ok(None);
        }
        self.first_at_or_after(self.entry_before(self.max_timestamp_offset), self.max_timestamp, from)
    }

    /// Searches from an index entry on. Skips unreadable batches: older versions of this broker accepted some.
    fn first_at_or_after(&self, entry: usize, timestamp: i64, from: i64) -> io::Result<Option<(i64, i64)>> {
        let file = self.file()?;
        let mut scan = self.scan_from(&file, entry);
        let mut batch = Vec::new();
        while let Some((position, header)) = scan.next()? {
            if header.max_timestamp < timestamp || header.last_offset() < from || header.is_control() {
                continue;
            }
            batch.resize(header.total_bytes, 0);
            read_exact_at(&file, &mut batch, position)?;
            let found = records::walk(&batch, &header, true, |record| {
                let found = (record.timestamp, record.offset);
                let fits = record.timestamp >= timestamp && record.offset >= from;
                if fits { ControlFlow::Break(found) } else { ControlFlow::Continue(()) }
            });
            if let Ok(Some(found)) = found {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The last index entry at or before an offset.
    fn entry_before(&self, offset: i64) -> usize {
        let at_or_before = |entry: &IndexEntry| self.base_offset + i64::from(entry.relative_offset) <= offset;
        self.index.partition_point(at_or_before).saturating_sub(1)
    }

    fn scan_from<'a>(&self, file: &'a File, entry: usize) -> HeaderScan<'a> {
        let start = self.index.get(entry).map_or(0, |entry| u64::from(entry.position));
        HeaderScan::new(file, start, self.bytes, LOOKUP_CHUNK_BYTES)
    }

    fn file(&self) -> io::Result<Arc<File>> {
        match &self.file {
            Some(file) => Ok(Arc::clone(file)),
            None => Ok(Arc::new(File::open(&self.path)?)),
        }
    }

    /// Closes the file: nothing more will be appended.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// When the file was last written.
    pub fn modified(&self) -> io::Result<std::time::SystemTime> {
        std::fs::metadata(&self.path)?.modified()
    }

    /// Largest timestamp of the first batch, if there is one.
    pub fn first_timestamp(&self) -> Option<i64> {
        self.first_timestamp
    }

    /// Largest timestamp; `i64::MIN` if there are no records.
    pub fn latest_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the writing of a temporary segment: its content is on the disk, as if written at `modified`.
    pub fn finish(&mut self, modified: std::time::SystemTime) -> io::Result<()> {
        let file = self.file()?;
        file.set_modified(modified)?;
        file.sync_all()?;
        self.close();
        Ok(())
    }

    /// Renames a finished temporary segment to its own name, in the place of an older file.
    pub fn put_in_place(&mut self) -> io::Result<()> {
        let path = self.path.with_extension("log");
        std::fs::rename(&self.path, &path)?;
        self.path = path;
        Ok(())
    }

    /// Removes the file. Fetches that already read it can finish.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(&self.path)?.set_len(bytes)?;
        self.torn = false;
        Ok(())
    }

    /// Makes every write fail as on a full disk.
    #[cfg(all(test, target_os = "linux"))]
    pub fn break_disk(&mut self) {
        self.file = Some(Arc::new(OpenOptions::new().read(true).write(true).open("/dev/full").unwrap()));
    }

    /// Ends [`Segment::break_disk`].
    #[cfg(all(test, target_os = "linux"))]
    pub fn mend_disk(&mut self) {
        self.file = Some(Arc::new(OpenOptions::new().read(true).append(true).open(&self.path).unwrap()));
    }
}

fn write_both(mut file: &File, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(first), IoSlice::new(second)];
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
