//! Record batches (format v2), read where they lie: nothing is copied and nothing is allocated for a record.
//!
//! ```text
//!  0 base offset i64 | 8 length i32 | 12 leader epoch i32 | 16 magic i8 | 17 CRC-32C u32 | 21 attributes i16
//! 23 last offset delta i32 | 27 base timestamp i64 | 35 max timestamp i64 | 43 producer id i64 | 51 producer epoch i16
//! 53 base sequence i32 | 57 record count i32 | 61 records…
//!
//!  record: length, attributes i8, timestamp delta, offset delta, key length, key, value length, value, headers
//! ```
//! `length` counts from byte 12, the checksum covers everything from byte 21. A record's numbers are of variable length.

use std::ops::Range;

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;
const LENGTH_END: usize = 12;
const CRC_START: usize = 21;

const CODEC_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A batch's header, as far as a reader needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Offset from which the records count.
    pub base_offset: i64,
    /// The whole batch, header included.
    pub total_bytes: usize,
    /// Offset of the last record that the batch was made with.
    pub last_offset: i64,
    /// Timestamp from which the records count, ms.
    pub base_timestamp: i64,
    /// The latest timestamp, ms.
    pub max_timestamp: i64,
    /// Who wrote it; −1 for a producer that is not idempotent.
    pub producer_id: i64,
    /// Records that are there.
    pub record_count: i32,
    crc: u32,
    attributes: i16,
}

/// What stands where a batch should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A batch that is whole.
    Whole(Header),
    /// The beginning of a batch, of which the rest was not sent.
    Part,
    /// No batch of format v2; why.
    Malformed(&'static str),
}

impl Header {
    /// Reads what stands at the start of `bytes`.
    pub fn find(bytes: &[u8]) -> Found {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Found::Part };
        if header[16] != 2 {
            return Found::Malformed(
                "records are in a format before version 2; have the topic's log written anew by Kafka 0.11 or later",
            );
        }
        let length = i32::from_be_bytes(field(header, 8));
        let (base_offset, delta) = (i64::from_be_bytes(field(header, 0)), i32::from_be_bytes(field(header, 23)));
        let record_count = i32::from_be_bytes(field(header, 57));
        let sound = length >= (HEADER_BYTES - LENGTH_END) as i32 && base_offset >= 0 && delta >= 0 && record_count >= 0;
        let last_offset = base_offset.checked_add(i64::from(delta)).filter(|last| *last < i64::MAX);
        let (true, Some(last_offset)) = (sound, last_offset) else {
            return Found::Malformed("a batch's header has impossible numbers");
        };
        let total_bytes = LENGTH_END + length as usize;
        if total_bytes > bytes.len() {
            return Found::Part;
        }
        Found::Whole(Header {
            base_offset,
            total_bytes,
            last_offset,
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            record_count,
            crc: u32::from_be_bytes(field(header, 17)),
            attributes: i16::from_be_bytes(field(header, 21)),
        })
    }

    /// How the records are packed: 0 for not at all.
    pub fn codec(&self) -> i16 {
        self.attributes & CODEC_MASK
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch is a marker that ends a transaction.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether the checksum of the whole batch is right.
    pub fn crc_is_right(&self, batch: &[u8]) -> bool {
        crc32c::crc32c(&batch[CRC_START..]) == self.crc
    }
}

/// Goes over the batches of a partition's records, from the one that holds `offset`: one past the last whole batch's last
/// offset; `None` where there is no batch.
pub(crate) fn walk_headers(mut bytes: &[u8], offset: i64) -> Result<Option<i64>, &'static str> {
    let mut next = offset;
    let mut last = -1;
    while !bytes.is_empty() {
        match Header::find(bytes) {
            Found::Whole(header) => {
                if header.base_offset <= last {
                    return Err("its batches overlap");
                }
                last = header.last_offset;
                next = next.max(last + 1);
                bytes = &bytes[header.total_bytes..];
            }
            Found::Part if next == offset => return Err("a batch was not sent whole"),
            Found::Part => break,
            Found::Malformed(why) => return Err(why),
        }
    }
    Ok((next > offset).then_some(next))
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a field within the header")
}

/// A record, borrowed from the buffer that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; −1 where it has none.
    pub timestamp: i64,
    /// Whether the broker has set the timestamp, not the producer.
    pub is_append_time: bool,
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its value; absent in a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, as they were sent.
    pub headers: &'a [u8],
}

impl<'a> Record<'a> {
    /// Calls `header(name, value)` for each header, in their order.
    ///
    /// # Errors
    /// The headers' numbers cannot be.
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

/// A walk over the records of a batch, unpacked. It can be left and gone on with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    base_offset: i64,
    last_offset: i64,
    base_timestamp: i64,
    /// What all records have as their timestamp, where the broker has set it.
    append_time: Option<i64>,
    at: usize,
    left: i32,
}

/// A record whose numbers cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Walk {
    pub(crate) fn over(header: &Header) -> Walk {
        Walk {
            base_offset: header.base_offset,
            last_offset: header.last_offset,
            base_timestamp: header.base_timestamp,
            append_time: (header.attributes & LOG_APPEND_TIME != 0).then_some(header.max_timestamp),
            at: 0,
            left: header.record_count,
        }
    }

    /// The next record; `bytes` are those after the header, unpacked.
    #[inline]
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Record<'a>>, Malformed> {
        if self.left == 0 {
            return Ok(None);
        }
        let length = number(bytes, &mut self.at)?;
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let end = self.at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or(Malformed)?;
        let body = &bytes[..end];
        // Attributes of a record have no meaning so far.
        let mut at = self.at + 1;
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
            value: value.map(|value| &body[value]),
            headers: &body[at..],
        }))
    }
}

/// Whether a control batch aborts its transaction; `bytes` are those after the header. A marker's key is its version and
/// its kind, 0 for abort.
pub(crate) fn is_abort(header: &Header, bytes: &[u8]) -> bool {
    let record = Walk::over(header).next(bytes);
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

/// A number of variable length with its sign in the lowest bit.
#[inline]
fn number(bytes: &[u8], at: &mut usize) -> Result<i64, Malformed> {
    let first = *bytes.get(*at).ok_or(Malformed)?;
    *at += 1;
    let mut value = u64::from(first & 0x7f);
    if first & 0x80 != 0 {
        let mut shift = 7;
        loop {
            let byte = *bytes.get(*at).ok_or(Malformed)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 63 {
                return Err(Malformed);
            }
        }
    }
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
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

    /// Bytes of headers → names and values; `None` where they do not decode.
    fn check_headers(bytes: &[u8], expected: Option<&[(&str, Option<&str>)]>) {
        let record = Record { offset: 0, timestamp: 0, is_append_time: false, key: None, value: None, headers: bytes };
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
        assert!(matches!(Header::find(&bytes), Found::Whole(header) if header.total_bytes == HEADER_BYTES));
        assert_eq!(Header::find(&bytes[..60]), Found::Part);
        bytes[11] = 50;
        assert_eq!(Header::find(&bytes), Found::Part);
        bytes[11] = 48;
        assert!(matches!(Header::find(&bytes), Found::Malformed(_)));
        bytes[16] = 1;
        assert!(matches!(Header::find(&bytes), Found::Malformed(_)));
    }
}
