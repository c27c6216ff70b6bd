//! What becomes of one batch in a pass.

use super::super::batch::{self, BatchHeader, HEADER_BYTES};
use super::super::pack::{compress, put_varint};
use super::super::records::{malformed, varint};
use super::super::transactions;
use super::super::unpack::{Source, unpack};
use super::keys::Keys;
use super::{DELETE_HORIZON, Job, UNPACKED_BYTES_MAX};
use std::collections::HashSet;
use std::io::{self, Read};
use tidemill_wire::batch::TRANSACTIONAL;

/// What becomes of a batch.
pub(super) enum Fate {
    Keep,
    Drop,
    Replace(Vec<u8>),
}

/// Decides for each batch of a log, in offset order.
pub(super) struct Rewriter<'a> {
    job: &'a Job,
    keys: &'a Keys,
    /// The map knows the keys before this offset.
    end: i64,
    /// Producers with records since their last marker.
    writing: HashSet<i64>,
    plain: Vec<u8>,
}

/// A record of an unpacked batch.
pub(super) struct View<'a> {
    whole: &'a [u8],
    attributes: u8,
    pub timestamp_delta: i64,
    /// The bytes from the offset delta on.
    after_timestamp: &'a [u8],
    pub offset_delta: i64,
    pub key: Option<&'a [u8]>,
    /// `None` in a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What a pass keeps of a batch's records.
#[derive(Default)]
struct Kept {
    count: i32,
    has_tombstone: bool,
    max_timestamp: Option<i64>,
}

impl<'a> Rewriter<'a> {
    pub fn new(job: &'a Job, keys: &'a Keys, end: i64) -> Rewriter<'a> {
        Rewriter { job, keys, end, writing: HashSet::new(), plain: Vec::new() }
    }

    /// Decides. A batch that cannot be read stays.
    pub fn fate(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<Fate> {
        if header.is_control() {
            return self.marker(header, batch);
        }
        if header.is_transactional() {
            self.writing.insert(header.producer_id);
        }
        if self.job.is_aborted(header) || header.record_count == 0 {
            return Ok(self.without_records(header, batch));
        }
        if !self.keys.takes(header.record_count) {
            return Ok(Fate::Keep);
        }
        let mut plain = std::mem::take(&mut self.plain);
        let fate = match unpacked(header, batch, &mut plain) {
            Some(records) => self.records(header, batch, records),
            None => Ok(Fate::Keep),
        };
        self.plain = plain;
        fate
    }

    fn marker(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<Fate> {
        let had_records = self.writing.remove(&header.producer_id);
        let last = self.job.last.get(&header.producer_id);
        // A producer of which the log has only markers: this one fences its earlier epochs.
        let fences = last.is_some_and(|last| last.base_offset.is_none() && last.epoch == header.producer_epoch);
        if had_records || fences || transactions::outcome(batch).is_none() || !header.crc_is_right(batch) {
            return Ok(Fate::Keep);
        }
        match horizon(header) {
            Some(horizon_ms) if horizon_ms < self.job.now_ms => Ok(Fate::Drop),
            Some(_) => Ok(Fate::Keep),
            None => {
                let kept = Kept { count: 1, max_timestamp: Some(header.max_timestamp), has_tombstone: false };
                self.rewritten(header, batch, &batch[HEADER_BYTES..], &kept, Some(self.new_horizon()))
            }
        }
    }

    /// A batch without its records: gone, unless it is the last of its producer.
    fn without_records(&self, header: &BatchHeader, batch: &[u8]) -> Fate {
        let last = self.job.last.get(&header.producer_id);
        if header.producer_id < 0 || last.is_none_or(|last| last.base_offset != Some(header.base_offset)) {
            return Fate::Drop;
        }
        if header.record_count == 0 {
            return Fate::Keep;
        }
        let attributes = header.attributes & TRANSACTIONAL;
        Fate::Replace(encode(batch, attributes, (-1, header.max_timestamp), 0, &[]))
    }

    fn records(&self, header: &BatchHeader, batch: &[u8], records: &[u8]) -> io::Result<Fate> {
        let mut kept = Kept::default();
        for view in views(records, header) {
            let Ok(view) = view else { return Ok(Fate::Keep) };
            if self.stays(header, &view) {
                let timestamp = header.base_timestamp.wrapping_add(view.timestamp_delta);
                kept.count += 1;
                kept.has_tombstone |= view.value.is_none();
                kept.max_timestamp = kept.max_timestamp.max(Some(timestamp));
            }
        }
        if kept.count == 0 {
            return Ok(self.without_records(header, batch));
        }
        let new_horizon = (kept.has_tombstone && horizon(header).is_none()).then(|| self.new_horizon());
        if kept.count == header.record_count && new_horizon.is_none() {
            return Ok(Fate::Keep);
        }
        self.rewritten(header, batch, records, &kept, new_horizon)
    }

    fn stays(&self, header: &BatchHeader, view: &View<'_>) -> bool {
        let offset = header.base_offset + view.offset_delta;
        // Records without a key were written before the topic was compacted.
        let Some(key) = view.key else { return offset >= self.end };
        let expired = view.value.is_none() && horizon(header).is_some_and(|horizon_ms| horizon_ms < self.job.now_ms);
        offset >= self.end || (!self.keys.has_later(key, offset) && !expired)
    }

    /// The batch with the records that stay. A new horizon becomes the base of its timestamps.
    fn rewritten(
        &self,
        header: &BatchHeader,
        batch: &[u8],
        records: &[u8],
        kept: &Kept,
        new_horizon: Option<i64>,
    ) -> io::Result<Fate> {
        let base_timestamp = new_horizon.unwrap_or(header.base_timestamp);
        let mut body = Vec::new();
        for view in views(records, header) {
            let view = view?;
            if header.is_control() || self.stays(header, &view) {
                view.put(&mut body, base_timestamp.wrapping_sub(header.base_timestamp));
            }
        }
        let body = compress(header.codec(), &body)?;
        let attributes = header.attributes | if new_horizon.is_some() { DELETE_HORIZON } else { 0 };
        let times = (base_timestamp, kept.max_timestamp.unwrap_or(header.max_timestamp));
        Ok(Fate::Replace(encode(batch, attributes, times, kept.count, &body)))
    }

    fn new_horizon(&self) -> i64 {
        self.job.now_ms.saturating_add(self.job.rules.delete_retention_ms)
    }
}

/// Notes the keys of a batch. The records of a batch that cannot be read stay, and replace no others.
pub(super) fn note_keys(header: &BatchHeader, batch: &[u8], plain: &mut Vec<u8>, keys: &mut Keys) {
    if header.is_control() || !keys.takes(header.record_count) {
        return;
    }
    let Some(records) = unpacked(header, batch, plain) else { return };
    if views(records, header).any(|view| view.is_err()) {
        return;
    }
    for view in views(records, header).flatten() {
        if let Some(key) = view.key {
            keys.note(key, header.base_offset + view.offset_delta);
        }
    }
}

/// When the tombstones or the marker of a batch may be dropped, if a pass has set it.
fn horizon(header: &BatchHeader) -> Option<i64> {
    (header.attributes & DELETE_HORIZON != 0).then_some(header.base_timestamp)
}

/// The records of a batch. `None` if they are damaged, of an unknown codec, or too large.
pub(super) fn unpacked<'a>(header: &BatchHeader, batch: &'a [u8], plain: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if !header.crc_is_right(batch) {
        return None;
    }
    let packed = &batch[HEADER_BYTES..];
    if header.codec() == 0 {
        return Some(packed);
    }
    plain.clear();
    let unpacked = unpack(header.codec(), packed)?.ok()?;
    unpacked.take(UNPACKED_BYTES_MAX + 1).read_to_end(plain).ok()?;
    (plain.len() as u64 <= UNPACKED_BYTES_MAX).then_some(plain)
}

/// The records of an unpacked batch. An error is the last item.
pub(super) fn views<'a>(records: &'a [u8], header: &BatchHeader) -> impl Iterator<Item = io::Result<View<'a>>> {
    let (mut rest, mut left) = (records, header.record_count);
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let view = View::take(&mut rest);
        left = if view.is_ok() { left - 1 } else { 0 };
        Some(view)
    })
}

impl<'a> View<'a> {
    fn take(rest: &mut &'a [u8]) -> io::Result<View<'a>> {
        let start = *rest;
        let body = take(rest)?.ok_or_else(|| malformed("a record of length null"))?;
        let mut fields = body;
        let attributes = fields.byte()?;
        let timestamp_delta = varint(&mut fields)?;
        let after_timestamp = fields;
        let offset_delta = varint(&mut fields)?;
        let key = take(&mut fields)?;
        let value = take(&mut fields)?;
        let whole = &start[..start.len() - rest.len()];
        Ok(View { whole, attributes, timestamp_delta, after_timestamp, offset_delta, key, value })
    }

    /// Appends the record; the base of its timestamp is later by `shift`.
    fn put(&self, out: &mut Vec<u8>, shift: i64) {
        if shift == 0 {
            out.extend(self.whole);
            return;
        }
        let mut head = vec![self.attributes];
        put_varint(&mut head, self.timestamp_delta.wrapping_sub(shift));
        put_varint(out, (head.len() + self.after_timestamp.len()) as i64);
        out.extend(head);
        out.extend(self.after_timestamp);
    }
}

/// Takes a field with its length; `None` for null.
fn take<'a>(rest: &mut &'a [u8]) -> io::Result<Option<&'a [u8]>> {
    let length = varint(rest)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| malformed("a negative length"))?;
    let (field, after) = rest.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
    *rest = after;
    Ok(Some(field))
}

/// A batch with the offsets, producer and sequence number of another one.
fn encode(like: &[u8], attributes: i16, (base, max): (i64, i64), count: i32, body: &[u8]) -> Vec<u8> {
    let mut batch = [&like[..HEADER_BYTES], body].concat();
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[27..35].copy_from_slice(&base.to_be_bytes());
    batch[35..43].copy_from_slice(&max.to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    batch::seal(&mut batch);
    batch
}
