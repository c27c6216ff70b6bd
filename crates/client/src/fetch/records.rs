//! Delivers what has arrived: batch by batch, record by record, each borrowed from its answer.

use super::transactions::Aborted;
use super::{Fetcher, Slot};
use crate::batch::{BatchHeader, Found, HEADER_BYTES, Record, Walk, find};
use std::ops::Range;
use std::sync::Arc;
use tidemill_model::{Error, Result};

/// Batches of one partition in an answer.
pub(super) struct Piece {
    pub(super) slot: Slot,
    pub(super) frame: Arc<Vec<u8>>,
    pub(super) records: Range<usize>,
    pub(super) aborted: Aborted,
    /// Records before this offset are skipped, since a batch may begin earlier.
    pub(super) from: i64,
}

/// The current batch.
pub(super) struct Current {
    walk: Walk,
    /// The answer that holds the batch's records. `None` if they are in the unpacker.
    frame: Option<Arc<Vec<u8>>>,
    from: i64,
    pub(super) slot: Slot,
    base_offset: i64,
}

/// Why [`Fetcher::each_record`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The caller takes no more.
    Full,
    /// The next record is at or beyond the bound and stays for later.
    Beyond,
    /// The end of the batch.
    End,
}

impl Fetcher {
    /// Moves to the next batch of a partition that has arrived and has records for us. Returns whether there is one.
    ///
    /// # Errors
    /// External: the batch cannot be read.
    pub fn next_batch(&mut self, slot: Slot) -> Result<bool> {
        self.current = None;
        while let Some(at) = self.pieces.iter().position(|piece| piece.slot == slot) {
            let piece = &mut self.pieces[at];
            let Found::Whole(header) = find(&piece.frame[piece.records.clone()]) else {
                self.held_bytes -= piece.records.len();
                self.pieces.remove(at);
                continue;
            };
            let frame = Arc::clone(&piece.frame);
            let (from, start) = (piece.from, piece.records.start);
            let batch = start..start + header.total_bytes;
            piece.records.start = batch.end;
            self.held_bytes -= header.total_bytes;
            // A large batch is forgotten after some dozens of smaller ones.
            self.batch_bytes = header.total_bytes.max(self.batch_bytes - self.batch_bytes / 32);
            if self.cluster.shared.settings.fetch.check_crcs && !header.crc_is_right(&frame[batch.clone()]) {
                return Err(self.unreadable(slot, header.base_offset, "its checksum is wrong"));
            }
            let records = batch.start + HEADER_BYTES..batch.end;
            if piece.aborted.leaves_out(&header, &frame[records.clone()]) && self.leaves_out(&header) {
                continue;
            }
            if header.last_offset() < from || header.record_count == 0 {
                continue;
            }
            let base_offset = header.base_offset;
            let (frame, place) = match header.codec() {
                0 => (Some(frame), records),
                codec => {
                    if let Err(error) = self.unpacker.unpack(codec, &frame[records]) {
                        return Err(self.unreadable(slot, base_offset, &error.to_string()));
                    }
                    (None, 0..self.unpacker.bytes.len())
                }
            };
            self.current = Some(Current { walk: Walk::over(&header, place), frame, from, slot, base_offset });
            return Ok(true);
        }
        Ok(false)
    }

    /// Skips control batches always, and aborted batches if only committed records are wanted.
    fn leaves_out(&self, header: &BatchHeader) -> bool {
        header.is_control() || self.cluster.shared.settings.fetch.committed_only
    }

    /// The buffer that the current batch's records are in, if it may be held: the buffer of decompressed records is
    /// used again for the next batch.
    pub fn frame(&self) -> Option<&Arc<Vec<u8>>> {
        self.current.as_ref()?.frame.as_ref()
    }

    /// Calls `take` for the records of the current batch with offsets below `until`, as long as it returns true.
    ///
    /// # Errors
    /// External: a record cannot be read. Those before it were delivered.
    #[inline]
    pub fn each_record(&mut self, until: i64, mut take: impl FnMut(Record<'_>) -> bool) -> Result<Stop> {
        let Some(current) = &mut self.current else { return Ok(Stop::End) };
        let buffer: &[u8] = current.frame.as_deref().unwrap_or(&self.unpacker.bytes);
        // A local walk stays in registers.
        let mut walk = current.walk;
        let stop = loop {
            let before = walk;
            match walk.next(buffer) {
                Ok(Some(record)) if record.offset < current.from => {}
                Ok(Some(record)) if record.offset < until => {
                    if !take(record) {
                        break Ok(Stop::Full);
                    }
                }
                Ok(Some(_)) => {
                    walk = before;
                    break Ok(Stop::Beyond);
                }
                Ok(None) => break Ok(Stop::End),
                Err(malformed) => break Err(malformed),
            }
        };
        current.walk = walk;
        let (slot, offset) = (current.slot, current.base_offset);
        stop.map_err(|_| self.unreadable(slot, offset, "a record is malformed"))
    }

    fn unreadable(&self, slot: Slot, offset: i64, why: &str) -> Error {
        let partition = &self.slots[slot];
        let (topic, number) = (&self.topics[partition.topic].name, partition.number);
        Error::external(format!(
            "the record batch at offset {offset} of {topic}-{number} cannot be read: {why}; see the broker's disk and log, \
             or read on from a later offset"
        ))
    }
}
