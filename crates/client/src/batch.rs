//! Reads record batches (format v2) in place: nothing is copied and nothing is allocated per record.
//!
//! ```text
//!  record: length, attributes i8, timestamp delta, offset delta, key length, key, value length, value, headers
//! ```
//! The lengths and deltas of a record are zigzag varints. [`BatchHeader`] describes the header.

use std::ops::Range;
use tidemill_wire::batch::MAGIC_AT;
pub use tidemill_wire::batch::{BatchHeader, HEADER_BYTES};

/// What [`find`] found at the place where a batch should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A complete batch.
    Whole(BatchHeader),
    /// The beginning of a batch. The rest was not sent.
    Incomplete,
    /// No valid batch of format v2. The text says why.
    Malformed(&'static str),
}

/// Reads the batch at the start of `bytes`.
pub fn find(bytes: &[u8]) -> Found {
    let Some(header) = bytes.get(..HEADER_BYTES) else { return Found::Incomplete };
    if header[MAGIC_AT] != 2 {
        return Found::Malformed(
            "the records have a format before version 2; rewrite the topic with Kafka 0.11 or later",
        );
    }
    match BatchHeader::parse(header) {
        None => Found::Malformed("a batch header is invalid"),
        Some(header) if header.total_bytes > bytes.len() => Found::Incomplete,
        Some(header) => Found::Whole(header),
    }
}

/// Checks the headers of a partition's batches, from the one that holds `offset` on. Returns one past the last offset
/// of the last complete batch, or `None` if there is no batch.
pub(crate) fn walk_headers(mut bytes: &[u8], offset: i64) -> Result<Option<i64>, &'static str> {
    let mut next = offset;
    let mut last = -1;
    while !bytes.is_empty() {
        match find(bytes) {
            Found::Whole(header) => {
                if header.base_offset <= last {
                    return Err("the batches overlap");
                }
                last = header.last_offset();
                next = next.max(last + 1);
                bytes = &bytes[header.total_bytes..];
            }
            Found::Incomplete if next == offset => return Err("a batch is incomplete"),
            Found::Incomplete => break,
            Found::Malformed(why) => return Err(why),
        }
    }
    Ok((next > offset).then_some(next))
}

/// A record, borrowed from the buffer that it arrived in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; −1 if it has none.
    pub timestamp: i64,
    /// Whether the broker has set the timestamp, instead of the producer.
    pub is_append_time: bool,
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its value; absent in a tombstone.
    pub value: Option<&'a [u8]>,
    /// Position of the value in the buffer that it arrived in.
    pub value_at: usize,
    /// Its headers, encoded.
    pub headers: &'a [u8],
}

impl<'a> Record<'a> {
    /// Calls `header(name, value)` for each header, in order.
    ///
    /// # Errors
    /// The headers are malformed.
    pub fn each_header(&self, mut header: impl FnMut(&'a [u8], Option<&'a [u8]>)) -> Result<(), Malformed> {
        let (bytes, mut at) = (self.headers, 0);
        for _ in 0..number(bytes, &mut at)? {
            let name = bounded(bytes, &mut at)?.ok_or(Malformed)?;
            let value = bounded(bytes, &mut at)?;
            header(&bytes[name], value.map(|value| &bytes[value]));
        }
        Ok(())
    }
}

/// Iterates over the decompressed records of a batch. The state borrows nothing, so the walk can be interrupted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    base_offset: i64,
    last_offset: i64,
    base_timestamp: i64,
    /// The timestamp of all records, if the broker has set it.
    append_time: Option<i64>,
    /// Position of the next record in the buffer.
    at: usize,
    /// The end of the batch there.
    end: usize,
    left: i32,
}

/// A record is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Walk {
    /// `place` is where the decompressed records are in their buffer.
    pub(crate) fn over(header: &BatchHeader, place: Range<usize>) -> Walk {
        Walk {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            base_timestamp: header.base_timestamp,
            append_time: header.is_append_time().then_some(header.max_timestamp),
            at: place.start,
            end: place.end,
            left: header.record_count,
        }
    }

    /// The next record. `buffer` holds the decompressed records at the place that the walk was made for.
    #[inline]
    pub(crate) fn next<'a>(&mut self, buffer: &'a [u8]) -> Result<Option<Record<'a>>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut at = self.at;
        let length = number(&buffer[..self.end], &mut at)?;
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let end = at.checked_add(length).filter(|end| *end <= self.end).ok_or(Malformed)?;
        let body = &buffer[..end];
        // Skip the attributes of the record, which have no meaning so far.
        at += 1;
        let timestamp_delta = number(body, &mut at)?;
        let offset_delta = number(body, &mut at)?;
        let key = bounded(body, &mut at)?;
        let value = bounded(body, &mut at)?;
        let offset = self.base_offset.wrapping_add(offset_delta);
        if offset < self.base_offset || offset > self.last_offset {
            return Err(Malformed);
        }
        (self.at, self.left) = (end, self.left - 1);
        let timestamp = self.append_time.unwrap_or_else(|| self.base_timestamp.wrapping_add(timestamp_delta));
        Ok(Some(Record {
            offset,
            timestamp,
            is_append_time: self.append_time.is_some(),
            key: key.map(|key| &body[key]),
            value_at: value.as_ref().map_or(at, |value| value.start),
            value: value.map(|value| &body[value]),
            headers: &body[at..],
        }))
    }
}

/// Whether a control batch aborts its transaction. `bytes` are the bytes after the header. The key of a marker is a
/// version and a type; type 0 is an abort.
pub(crate) fn is_abort(header: &BatchHeader, bytes: &[u8]) -> bool {
    let record = Walk::over(header, 0..bytes.len()).next(bytes);
    matches!(record, Ok(Some(Record { key: Some([_, _, 0, 0, ..]), .. })))
}

#[inline]
fn bounded(bytes: &[u8], at: &mut usize) -> Result<Option<Range<usize>>, Malformed> {
    let length = number(bytes, at)?;
    if length < 0 {
        return if length == -1 { Ok(None) } else { Err(Malformed) };
    }
    let start = *at;
    let end =
        usize::try_from(length).ok().and_then(|length| start.checked_add(length)).filter(|end| *end <= bytes.len());
    *at = end.ok_or(Malformed)?;
    Ok(Some(start..*at))
}

/// Reads a zigzag varint. Nearly all have one or two bytes.
#[inline]
fn number(bytes: &[u8], at: &mut usize) -> Result<i64, Malformed> {
    let first = *bytes.get(*at).ok_or(Malformed)?;
    let (value, length) = match bytes.get(*at + 1) {
        _ if first < 0x80 => (u64::from(first), 1),
        Some(second) if *second < 0x80 => (u64::from(first & 0x7f) | u64::from(*second) << 7, 2),
        _ => long_number(&bytes[*at..])?,
    };
    *at += length;
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// A varint of any length, before zigzag, and its number of bytes.
fn long_number(bytes: &[u8]) -> Result<(u64, usize), Malformed> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((value, at + 1));
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length() {
        for (bytes, expected) in [
            (&[0x00][..], Ok(0)),
            (&[0x01], Ok(-1)),
            (&[0x02], Ok(1)),
            (&[0xfe, 0x01], Ok(127)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(i64::MIN)),
            (&[0x80], Err(Malformed)),
            (&[0xff; 11], Err(Malformed)),
            (&[], Err(Malformed)),
        ] {
            assert_eq!(number(bytes, &mut 0), expected, "{bytes:x?}");
        }
    }

    /// Decodes headers and compares names and values. `None` if they must not decode.
    fn check_headers(bytes: &[u8], expected: Option<&[(&str, Option<&str>)]>) {
        let record = Record {
            offset: 0,
            timestamp: 0,
            is_append_time: false,
            key: None,
            value: None,
            value_at: 0,
            headers: bytes,
        };
        let mut found = Vec::new();
        let text = |bytes| std::str::from_utf8(bytes).expect("text");
        let result = record.each_header(|name, value| found.push((text(name), value.map(text))));
        assert_eq!(result.ok().map(|()| found.as_slice()), expected, "{bytes:x?}");
    }

    #[test]
    fn headers_of_a_record() {
        check_headers(&[0], Some(&[]));
        check_headers(b"\x04\x02a\x04bc\x02a\x01", Some(&[("a", Some("bc")), ("a", None)]));
        for malformed in [&b""[..], b"\x02", b"\x02\x01\x01", b"\x02\x02a", b"\x02\x02a\x08bc", b"\xfe\xff\xff\xff\x0f"]
        {
            check_headers(malformed, None);
        }
    }

    #[test]
    fn a_header_is_whole_or_a_part_or_none() {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[11] = 49;
        bytes[16] = 2;
        assert!(matches!(find(&bytes), Found::Whole(header) if header.total_bytes == HEADER_BYTES));
        assert_eq!(find(&bytes[..60]), Found::Incomplete);
        bytes[11] = 50;
        assert_eq!(find(&bytes), Found::Incomplete);
        bytes[11] = 48;
        assert!(matches!(find(&bytes), Found::Malformed(_)));
        bytes[16] = 1;
        assert!(matches!(find(&bytes), Found::Malformed(_)));
    }
}
