//! Iterates over the records of a batch, compressed or not. This checks a produced batch, and finds a record by time.
//!
//! ```text
//! length varint | attributes i8 | timestamp delta varint | offset delta varint
//! | key length varint, key | value length varint, value | headers varint | (name length, name, value length, value)…
//! ```
//! Lengths are zigzag; −1 is null. Keys and values are skipped.

use super::batch::{BatchHeader, HEADER_BYTES};
use super::unpack::{Source, unpack};
use std::io;
use std::ops::ControlFlow;

/// The visible fields of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub timestamp: i64,
    pub offset: i64,
    pub has_key: bool,
}

/// Passes every record of a complete batch to `each`, until it breaks.
///
/// # Errors
/// - The compression is not the one in the header.
/// - A record is malformed, or other bytes follow the last one.
/// - The number of records differs from the header.
/// - The offsets are not consecutive. `gaps` allows this, since compaction leaves gaps.
pub(crate) fn walk<T>(
    batch: &[u8],
    header: &BatchHeader,
    gaps: bool,
    each: impl FnMut(Record) -> ControlFlow<T>,
) -> io::Result<Option<T>> {
    let mut records = batch.get(HEADER_BYTES..).ok_or(io::ErrorKind::UnexpectedEof)?;
    match header.codec() {
        0 => walk_source(&mut records, header, gaps, each),
        codec => match unpack(codec, records) {
            Some(source) => walk_source(&mut source?, header, gaps, each),
            None => Err(malformed("no such codec")),
        },
    }
}

fn walk_source<T>(
    source: &mut impl Source,
    header: &BatchHeader,
    gaps: bool,
    mut each: impl FnMut(Record) -> ControlFlow<T>,
) -> io::Result<Option<T>> {
    let mut delta_before = -1;
    for _ in 0..header.record_count {
        let (timestamp_delta, offset_delta, has_key) = step(source)?;
        let in_order = if gaps { offset_delta > delta_before } else { offset_delta == delta_before + 1 };
        if !in_order || offset_delta > i64::from(header.last_offset_delta) {
            return Err(malformed("the records' offsets are not consecutive"));
        }
        delta_before = offset_delta;
        let record = Record {
            timestamp: header.base_timestamp.wrapping_add(timestamp_delta),
            offset: header.base_offset + offset_delta,
            has_key,
        };
        if let ControlFlow::Break(found) = each(record) {
            return Ok(Some(found));
        }
    }
    if source.is_at_end()? { Ok(None) } else { Err(malformed("bytes follow the last record")) }
}

/// Reads one record. Returns (timestamp delta, offset delta, whether it has a key).
fn step(source: &mut impl Source) -> io::Result<(i64, i64, bool)> {
    let length = varint(source)?;
    let mut left = Counted { source, left: u64::try_from(length).map_err(|_| malformed("a negative length"))? };
    left.skip(1)?;
    let (timestamp_delta, offset_delta) = (varint(&mut left)?, varint(&mut left)?);
    let has_key = skip_field(&mut left, true)?;
    skip_field(&mut left, true)?;
    for _ in 0..length_of(varint(&mut left)?, false)?.unwrap_or_default() {
        skip_field(&mut left, false)?;
        skip_field(&mut left, true)?;
    }
    if left.left > 0 {
        return Err(malformed("bytes follow the last field of a record"));
    }
    Ok((timestamp_delta, offset_delta, has_key))
}

/// Skips a length-prefixed field. Returns whether it is there, which null is not.
fn skip_field(source: &mut impl Source, may_be_null: bool) -> io::Result<bool> {
    let length = length_of(varint(source)?, may_be_null)?;
    length.map_or(Ok(()), |length| source.skip(length))?;
    Ok(length.is_some())
}

fn length_of(length: i64, may_be_null: bool) -> io::Result<Option<u64>> {
    match u64::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 && may_be_null => Ok(None),
        Err(_) => Err(malformed("a negative length")),
    }
}

/// Reads a zigzag varint.
pub(crate) fn varint(source: &mut impl Source) -> io::Result<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = source.byte()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(malformed("a varint has more than ten bytes"))
}

/// The bytes of one record. Reading beyond them is an error.
struct Counted<'a, S> {
    source: &'a mut S,
    left: u64,
}

impl<S: Source> Source for Counted<'_, S> {
    fn byte(&mut self) -> io::Result<u8> {
        self.take(1)?;
        self.source.byte()
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.take(count)?;
        self.source.skip(count)
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.left == 0)
    }
}

impl<S> Counted<'_, S> {
    fn take(&mut self, count: u64) -> io::Result<()> {
        self.left = self.left.checked_sub(count).ok_or_else(|| malformed("a record is shorter than its fields"))?;
        Ok(())
    }
}

pub(crate) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::super::batch::sample::{Sample, pack};
    use super::*;

    #[test]
    fn records_are_seen_under_every_codec() {
        let plain = Sample { timestamps: &[1000, 1500, 900, 70_000], value_bytes: 500, ..Sample::default() }.build();
        for codec in 0..=4 {
            let batch = pack(&plain, codec);
            let header = BatchHeader::parse(&batch).unwrap();
            let mut seen = Vec::new();
            let all: Option<()> = walk(&batch, &header, false, |record| {
                seen.push((record.timestamp, record.offset));
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(all, None);
            assert_eq!(seen, [(1000, 0), (1500, 1), (900, 2), (70_000, 3)], "codec {codec}");
            let found = walk(&batch, &header, false, |record| {
                if record.timestamp > 1200 { ControlFlow::Break(record.offset) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(found.unwrap(), Some(1), "codec {codec}");
        }
    }

    #[test]
    fn broken_records_are_told() {
        let plain = Sample { timestamps: &[1, 2, 3], value_bytes: 100, ..Sample::default() }.build();
        let check = |what: &str, batch: &[u8], codec: i16, sound: bool| {
            let header = BatchHeader { attributes: codec, ..BatchHeader::parse(&plain).unwrap() };
            let walked: io::Result<Option<()>> = walk(batch, &header, false, |_| ControlFlow::Continue(()));
            assert_eq!(walked.is_ok(), sound, "{what}: {walked:?}");
        };
        check("as it was", &plain, 0, true);
        for codec in 1..=4 {
            let packed = pack(&plain, codec);
            check("packed", &packed, codec, true);
            check("garbage", &[&plain[..HEADER_BYTES], &[0xab; 50]].concat(), codec, false);
            check("nothing", &plain[..HEADER_BYTES], codec, false);
            check("cut off", &packed[..packed.len() - 20], codec, false);
        }
        check("one byte missing", &plain[..plain.len() - 1], 0, false);
        check("one byte more", &[&plain[..], &[0]].concat(), 0, false);
        for at in [HEADER_BYTES, HEADER_BYTES + 4, HEADER_BYTES + 5] {
            let mut changed = plain.clone();
            changed[at] ^= 2;
            check(&format!("changed at {at}"), &changed, 0, false);
        }
    }
}
