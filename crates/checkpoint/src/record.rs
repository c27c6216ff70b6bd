//! A record of the log: its kinds, its frame, and how to tell a whole record from the remains of a crash.
//!
//! ```text
//! crc32c: u32 LE | length: u64 LE | kind: u8 | durable: u64 LE | payload: length bytes
//! ```
//! The checksum covers everything after it. `durable` is the number of bytes of the segment that were known to be
//! durable when the record was appended. A broken record before that position is damage; one after it was never relied
//! on.

use crate::log::CommitRecord;
use serde::{Deserialize, Serialize};
use tidemill_model::{BatchPlan, Fingerprint, Offsets};

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A summary of the segments before ([`Base`], JSON). The first record of every segment.
    Base = 1,
    /// Positions at which the query started (JSON).
    Start = 2,
    /// Plan record of a batch (JSON).
    Plan = 3,
    /// A batch's change of the state: batch number as u64 LE, then the state's bytes.
    Delta = 4,
    /// Commit record of a batch (JSON).
    Commit = 5,
}

const KINDS: [Kind; 5] = [Kind::Base, Kind::Start, Kind::Plan, Kind::Delta, Kind::Commit];

/// What a reader must know of the segments before, except the state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// Identity of the query, the same in all its runs.
    pub id: String,
    /// The typed plan as text, one property per line, as of the last start.
    pub query: String,
    /// What the checkpoint is bound to.
    pub fingerprint: Fingerprint,
    /// The segment before this one, and how many of its bytes count. `None` in the first.
    pub previous: Option<(u64, u64)>,
    /// Where the query started.
    pub start: Option<Offsets>,
    /// The last committed batch.
    pub committed: Option<CommitRecord>,
    /// Plans that are not committed, in order.
    pub plans: Vec<BatchPlan>,
}

/// Bytes before the payload.
pub(crate) const HEADER: usize = 4 + 8 + 1 + 8;

/// A record in a segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) durable: u64,
    pub(crate) payload: &'a [u8],
    /// One past its last byte in the segment.
    pub(crate) end: usize,
}

/// Appends a record to `out`.
pub(crate) fn encode(out: &mut Vec<u8>, kind: Kind, durable: u64, payload: &[&[u8]]) {
    let at = out.len();
    let length: usize = payload.iter().map(|part| part.len()).sum();
    out.reserve(HEADER + length);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(length as u64).to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(&durable.to_le_bytes());
    payload.iter().for_each(|part| out.extend_from_slice(part));
    let crc = crc32c::crc32c(&out[at + 4..]);
    out[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The record that begins at `at`; `None` if there is no whole one.
pub(crate) fn decode(bytes: &[u8], at: usize) -> Option<Record<'_>> {
    let header = bytes.get(at..at.checked_add(HEADER)?)?;
    let kind = KINDS.into_iter().find(|kind| *kind as u8 == header[12])?;
    let length = usize::try_from(u64_at(header, 4)).ok()?;
    let end = (at + HEADER).checked_add(length)?;
    let payload = bytes.get(at + HEADER..end)?;
    let crc = u32::from_le_bytes(header[..4].try_into().expect("four bytes"));
    (crc32c::crc32c(&bytes[at + 4..end]) == crc).then_some(Record { kind, durable: u64_at(header, 13), payload, end })
}

/// Corrects length and checksum of the record at `at`. Returns its end; `None` if there is no place for a header.
pub(crate) fn reseal(bytes: &mut [u8], at: usize) -> Option<usize> {
    let left = bytes.len().checked_sub(at + HEADER)?;
    let length = u64_at(bytes, at + 4).min(left as u64);
    bytes[at + 4..at + 12].copy_from_slice(&length.to_le_bytes());
    let end = at + HEADER + length as usize;
    let crc = crc32c::crc32c(&bytes[at + 4..end]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    Some(end)
}

/// Describes the first record in some bytes: `plan 3`, `delta 3`. For tests.
pub fn describe(bytes: &[u8]) -> String {
    let start = if bytes.starts_with(&crate::segment::header()) { crate::segment::HEADER } else { 0 };
    let Some(record) = decode(bytes, start) else { return "no record".into() };
    let kind = format!("{:?}", record.kind).to_lowercase();
    match batch(record.kind, record.payload) {
        Some(batch) => format!("{kind} {batch}"),
        None => kind,
    }
}

/// The batch of a record.
pub fn batch(kind: Kind, payload: &[u8]) -> Option<u64> {
    match kind {
        Kind::Base | Kind::Start => None,
        Kind::Delta => payload.first_chunk().map(|batch| u64::from_le_bytes(*batch)),
        Kind::Plan | Kind::Commit => serde_json::from_slice::<serde_json::Value>(payload).ok()?["batch_id"].as_u64(),
    }
}

/// Eight bytes as a number.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damage_is_seen() {
        let mut bytes = b"before".to_vec();
        encode(&mut bytes, Kind::Delta, 77, &[b"pay", b"load"]);
        let record = decode(&bytes, 6).unwrap();
        assert_eq!((record.kind, record.durable, record.payload), (Kind::Delta, 77, b"payload".as_slice()));
        assert_eq!(record.end, bytes.len());
        for cut in 6..bytes.len() {
            assert_eq!(decode(&bytes[..cut], 6), None, "cut at {cut}");
        }
        for at in 6..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            assert_eq!(decode(&flipped, 6), None, "flipped at {at}");
        }
    }

    #[test]
    fn no_bytes_are_too_odd() {
        for length in 0..64 {
            for byte in [0, 1, 5, 0x7f, 0xff] {
                assert_eq!(decode(&vec![byte; length], length / 3), None);
            }
        }
        assert_eq!(decode(b"x", usize::MAX), None);
    }
}
