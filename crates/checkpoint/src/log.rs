//! The log: appends records to the newest segment and flushes as many as possible at once.
//!
//! ```text
//!  driver thread     append plan N ──┐                                append plan N+1 ──┐
//!  committer                         └─► flush ─► sinks of N ─► append delta N, commit N └─► flush ─► sinks of N+1
//!                                        └ makes commit N−1 durable, too
//! ```
//! A plan must be durable before a sink is called with its rows, but not before its tasks run. A commit record may become
//! durable with the next plan: sinks ignore a batch that they have. So a batch costs one flush. With a snapshot a new
//! segment begins. Once the snapshot is written, which may take many batches, older segments that are no longer needed
//! are removed.

use crate::disk::{Disk, DiskFile, refused};
use crate::record::{Base, Kind, encode};
use crate::snapshot::SnapshotWriter;
use crate::{segment, snapshot};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use tidemill_model::{BatchPlan, Error, Millis, Offsets, Result};

/// A snapshot is due when the records since the last one are larger than it, and at least this many bytes.
pub const SNAPSHOT_BYTES_MIN: u64 = 4 << 20;

/// Bytes counted for a batch's plan and commit record in that comparison. About their size, and the same in every run.
pub(crate) const RECORDS_BYTES: u64 = 1 << 10;

/// A snapshot is due when there are this many segments. Each start creates one and reads them all.
const SEGMENTS_MAX: usize = 32;

/// The commit record of a batch: the sinks have its rows, and its state is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Number of the batch.
    pub batch_id: u64,
    /// wm(N), the late watermark of the next batch.
    pub watermark: Millis,
    /// wm(N+1), the watermark of the next batch (rule M3).
    pub next_watermark: Millis,
    /// Positions after the batch.
    pub end_offsets: Offsets,
    /// Records in all committed batches.
    pub records: u64,
    /// What the autoscaler has learnt, in its own format.
    pub capacity: Option<serde_json::Value>,
}

/// Writes plan records.
pub struct PlanLog(pub(crate) Arc<Log>);

/// Writes state changes and commit records.
pub struct CommitLog {
    pub(crate) log: Arc<Log>,
    pub(crate) snapshot_bytes_min: u64,
}

impl PlanLog {
    /// Writes where the query starts, before its first plan: `latest` must mean the same after a crash. Durable when
    /// that plan is.
    ///
    /// # Errors
    /// External: the disk.
    pub fn write_start(&mut self, positions: &Offsets) -> Result<()> {
        self.0.append(&[(Kind::Start, &[&json(positions)])], |base| base.start = Some(positions.clone()))
    }

    /// Writes a plan record. The batch may then be dispatched. Call [`CommitLog::make_durable`] before its rows
    /// reach a sink.
    ///
    /// # Errors
    /// External: the disk.
    pub fn write(&mut self, plan: &BatchPlan) -> Result<()> {
        self.0.append(&[(Kind::Plan, &[&json(plan)])], |base| base.plans.push(plan.clone()))
    }
}

impl CommitLog {
    /// Makes every record durable that was written before the call.
    ///
    /// # Errors
    /// External: the disk.
    pub fn make_durable(&mut self) -> Result<()> {
        self.log.sync()
    }

    /// Whether a snapshot of the state should be begun after the next batch. A snapshot that is being written is not asked
    /// about.
    pub fn wants_snapshot(&self) -> bool {
        let writer = self.log.writer();
        writer.since_snapshot > writer.snapshot_bytes.max(self.snapshot_bytes_min) || writer.older.len() >= SEGMENTS_MAX
    }

    /// Writes a batch's change of the state and its commit record. A dead process loses none of that; a dead machine may,
    /// until [`CommitLog::make_durable`], and the batch is then replayed.
    ///
    /// # Errors
    /// External: the disk. The batch is then not committed and will be replayed.
    pub fn commit(&mut self, record: &CommitRecord, delta: &[u8]) -> Result<()> {
        let batch = record.batch_id;
        let number = batch.to_le_bytes();
        let change: RecordParts<'_> = (Kind::Delta, &[&number, delta]);
        self.log.append(&[change, (Kind::Commit, &[&json(record)])], |base| {
            base.plans.retain(|plan| plan.batch_id > batch);
            base.committed = Some(record.clone());
        })?;
        self.log.writer().since_snapshot += RECORDS_BYTES + delta.len() as u64;
        Ok(())
    }

    /// Begins a snapshot, whose first part is the state after the last committed batch, and a segment for the changes of
    /// later batches.
    ///
    /// # Errors
    /// External: the disk. What was committed stays committed.
    pub fn begin_snapshot(&mut self, batch: u64) -> Result<SnapshotWriter> {
        self.log.begin_segment()?;
        Ok(SnapshotWriter::new(self.log.clone(), batch))
    }
}

/// A record's kind and the parts of its payload.
type RecordParts<'a> = (Kind, &'a [&'a [u8]]);

/// The newest segment, and the base of the next one.
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    writer: Mutex<Writer>,
    /// The newest segment and how many of its bytes are durable.
    durable: Mutex<(u64, u64)>,
}

struct Writer {
    segment: u64,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    base: Base,
    /// Older segments that still exist, each with the last batch whose change is in it, if any.
    older: Vec<(u64, Option<u64>)>,
    /// Last batch whose change is in the newest segment.
    last_batch: Option<u64>,
    /// Bytes of the batches that a start would apply to the newest snapshot, or to the one that is being written.
    since_snapshot: u64,
    /// Bytes of the newest snapshot.
    snapshot_bytes: u64,
    /// Whether an operation failed. The file's content is then unknown, and nothing more may be appended.
    failed: bool,
}

/// Where [`Log::begin`] continues.
pub(crate) struct LogStart {
    pub(crate) base: Base,
    pub(crate) segment: u64,
    pub(crate) older: Vec<(u64, Option<u64>)>,
    pub(crate) since_snapshot: u64,
    pub(crate) snapshot_bytes: u64,
}

impl Log {
    /// Begins a segment and makes it durable.
    ///
    /// # Errors
    /// External: the disk.
    pub(crate) fn begin(disk: Arc<dyn Disk>, from: LogStart) -> Result<Log> {
        let LogStart { base, segment, older, since_snapshot, snapshot_bytes } = from;
        let (file, bytes) = create(&*disk, segment, &base)?;
        let last_batch = None;
        let writer =
            Writer { segment, file, bytes, base, older, last_batch, since_snapshot, snapshot_bytes, failed: false };
        Ok(Log { disk, writer: Mutex::new(writer), durable: Mutex::new((segment, bytes)) })
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect("no holder panics")
    }

    /// Appends records in one write; `change` applies them to the base of the next segment.
    fn append(&self, records: &[RecordParts<'_>], change: impl FnOnce(&mut Base)) -> Result<()> {
        let mut writer = self.writer();
        writer.check(&*self.disk)?;
        change(&mut writer.base);
        let durable = self.durable_bytes(writer.segment);
        let mut bytes = Vec::new();
        for (kind, payload) in records {
            encode(&mut bytes, *kind, durable, payload);
        }
        if records.iter().any(|(kind, _)| *kind == Kind::Delta) {
            writer.last_batch = writer.base.committed.as_ref().map(|record| record.batch_id);
        }
        let written = writer.file.append(&bytes);
        writer.outcome(&*self.disk, written)?;
        writer.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything durable that was appended before the call. Other threads may append meanwhile.
    fn sync(&self) -> Result<()> {
        let (file, segment, bytes) = {
            let writer = self.writer();
            writer.check(&*self.disk)?;
            (writer.file.clone(), writer.segment, writer.bytes)
        };
        if self.durable_bytes(segment) >= bytes {
            return Ok(());
        }
        let synced = file.sync();
        self.writer().outcome(&*self.disk, synced)?;
        self.note_durable(segment, bytes);
        Ok(())
    }

    /// Begins the next segment. The one before is complete and durable from then on.
    fn begin_segment(&self) -> Result<()> {
        let mut writer = self.writer();
        writer.check(&*self.disk)?;
        let synced = writer.file.sync();
        writer.outcome(&*self.disk, synced)?;
        let (segment, bytes) = (writer.segment, writer.bytes);
        writer.base.previous = Some((segment, bytes));
        let (file, begun) = create(&*self.disk, segment + 1, &writer.base).inspect_err(|_| writer.failed = true)?;
        let last_batch = writer.last_batch.take();
        writer.older.push((segment, last_batch));
        (writer.file, writer.segment, writer.bytes) = (file, segment + 1, begun);
        writer.since_snapshot = 0;
        self.note_durable(segment + 1, begun);
        Ok(())
    }

    /// Notes a snapshot, and removes the segments and snapshots that it makes obsolete.
    pub(crate) fn snapshot_written(&self, snapshot: u64, bytes: u64) -> Result<()> {
        let mut writer = self.writer();
        writer.snapshot_bytes = bytes;
        let obsolete = obsolete(&writer.older, Some(snapshot));
        let obsolete: Vec<String> = writer.older.drain(..obsolete).map(|(number, _)| segment::name(number)).collect();
        drop(writer);
        let snapshots = list(&*self.disk, snapshot::FOLDER)?;
        let older = batches(&snapshots).into_iter().filter(|batch| *batch < snapshot).map(snapshot::name);
        older.chain(obsolete).try_for_each(|name| remove(&*self.disk, &name))
    }

    fn durable_bytes(&self, segment: u64) -> u64 {
        let durable = self.durable.lock().expect("no holder panics");
        if durable.0 == segment { durable.1 } else { 0 }
    }

    fn note_durable(&self, segment: u64, bytes: u64) {
        let mut durable = self.durable.lock().expect("no holder panics");
        *durable = (*durable).max((segment, bytes));
    }
}

impl Writer {
    fn check(&self, disk: &dyn Disk) -> Result<()> {
        match self.failed {
            false => Ok(()),
            true => Err(self.refused(disk, &io::Error::other("an earlier write failed"))),
        }
    }

    fn outcome(&mut self, disk: &dyn Disk, result: io::Result<()>) -> Result<()> {
        result.map_err(|error| {
            self.failed = true;
            self.refused(disk, &error)
        })
    }

    fn refused(&self, disk: &dyn Disk, error: &io::Error) -> Error {
        refused("write", &disk.place(&segment::name(self.segment)), error)
    }
}

/// Creates a durable segment with its base. Returns the file and its length.
fn create(disk: &dyn Disk, number: u64, base: &Base) -> Result<(Arc<dyn DiskFile>, u64)> {
    let name = segment::name(number);
    let mut bytes = segment::header();
    encode(&mut bytes, Kind::Base, 0, &[&json(base)]);
    let create = || {
        let file = disk.create(&name)?;
        file.append(&bytes)?;
        file.sync()?;
        disk.sync_folder(segment::FOLDER)?;
        Ok(file)
    };
    let file = create().map_err(|error: io::Error| refused("write", &disk.place(&name), &error))?;
    Ok((file, bytes.len() as u64))
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("records serialise")
}

/// How many of the oldest segments are obsolete: the snapshot holds the changes of their batches.
pub(crate) fn obsolete(older: &[(u64, Option<u64>)], snapshot: Option<u64>) -> usize {
    older.iter().position(|(_, last)| *last > snapshot).unwrap_or(older.len())
}

/// Names in a folder.
///
/// # Errors
/// External: the disk.
pub(crate) fn list(disk: &dyn Disk, folder: &str) -> Result<Vec<String>> {
    disk.list(folder).map_err(|error| refused("list", &disk.place(folder), &error))
}

/// Removes a file.
///
/// # Errors
/// External: the disk.
pub(crate) fn remove(disk: &dyn Disk, name: &str) -> Result<()> {
    disk.remove(name).map_err(|error| refused("remove", &disk.place(name), &error))
}

/// The numbers among some names, ascending.
pub(crate) fn batches(names: &[String]) -> Vec<u64> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}
