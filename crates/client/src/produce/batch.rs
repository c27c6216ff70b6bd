//! Writes record batches (format v2): the records into a buffer, then the header in front of them.

use super::Identity;
use super::pack::{self, Codec};
use std::time::Instant;
use tidemill_model::{Error, Result};
use tidemill_wire::batch::{CRC_START, HEADER_BYTES, LENGTH_END, MAGIC_AT};

/// The attribute of batches in a transaction.
const TRANSACTIONAL: u8 = 0x10;

/// A record to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its value; absent in a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// A batch that still takes records.
#[derive(Default)]
pub(super) struct Open {
    /// Space for the header, then the records.
    bytes: Vec<u8>,
    records: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    born: Option<Instant>,
}

/// A complete batch, except for the producer id, epoch and sequence number that it gets when it is sent.
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u32,
    /// Bytes of its records before compression.
    pub(super) plain_bytes: usize,
    /// When its first record was appended.
    pub(super) born: Instant,
    /// The batch has its numbers. It may be in the log.
    pub(super) is_numbered: bool,
}

impl Open {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// When its first record was appended.
    pub(super) fn born(&self) -> Option<Instant> {
        self.born
    }

    pub(super) fn push(&mut self, record: &NewRecord<'_>, now: Instant) {
        if self.born.is_none() {
            self.born = Some(now);
            self.bytes.resize(HEADER_BYTES, 0);
            (self.base_timestamp, self.max_timestamp) = (record.timestamp, record.timestamp);
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let delta = record.timestamp.wrapping_sub(self.base_timestamp);
        let headers: usize = record
            .headers
            .iter()
            .map(|(name, value)| length_of(name.len() as i64) + name.len() + bytes_of(*value))
            .sum();
        let body = 1
            + length_of(delta)
            + length_of(i64::from(self.records))
            + bytes_of(record.key)
            + bytes_of(record.value)
            + length_of(record.headers.len() as i64)
            + headers;
        let out = &mut self.bytes;
        put(out, body as i64);
        out.push(0);
        put(out, delta);
        put(out, i64::from(self.records));
        put_bytes(out, record.key);
        put_bytes(out, record.value);
        put(out, record.headers.len() as i64);
        for (name, value) in record.headers {
            put_bytes(out, Some(name.as_bytes()));
            put_bytes(out, *value);
        }
        self.records += 1;
    }

    /// Completes the batch of the pushed records. The next records go into `fresh`.
    ///
    /// # Errors
    /// The records cannot be compressed.
    pub(super) fn seal(&mut self, codec: Codec, fresh: Vec<u8>) -> Result<Option<Sealed>> {
        let Some(born) = self.born.take() else { return Ok(None) };
        let plain = std::mem::replace(&mut self.bytes, fresh);
        let plain_bytes = plain.len();
        self.bytes.clear();
        let mut bytes = match codec {
            Codec::None => plain,
            codec => {
                let mut packed = vec![0; HEADER_BYTES];
                let failed = |error| Error::internal(format!("records cannot be compressed: {error}"));
                pack::pack(codec, &plain[HEADER_BYTES..], &mut packed).map_err(failed)?;
                packed
            }
        };
        let length = (bytes.len() - LENGTH_END) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[12..16].copy_from_slice(&(-1i32).to_be_bytes());
        bytes[MAGIC_AT] = 2;
        bytes[21..23].copy_from_slice(&(codec as i16).to_be_bytes());
        bytes[23..27].copy_from_slice(&(self.records - 1).to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.records.to_be_bytes());
        let records = std::mem::take(&mut self.records) as u32;
        Ok(Some(Sealed { bytes, records, plain_bytes, born, is_numbered: false }))
    }
}

impl Sealed {
    /// Writes producer id, epoch and the sequence number of the first record, then the checksum.
    pub(super) fn number(&mut self, (id, epoch): Identity, sequence: i32, is_transactional: bool) {
        if is_transactional {
            self.bytes[22] |= TRANSACTIONAL;
        }
        self.bytes[43..51].copy_from_slice(&id.to_be_bytes());
        self.bytes[51..53].copy_from_slice(&epoch.to_be_bytes());
        self.bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
        let crc = crc32c::crc32c(&self.bytes[CRC_START..]);
        self.bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        self.is_numbered = true;
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn put(out: &mut Vec<u8>, value: i64) {
    let mut left = zigzag(value);
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn length_of(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

fn bytes_of(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| length_of(bytes.len() as i64) + bytes.len())
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put(out, -1),
        Some(bytes) => {
            put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Found, Walk, find};
    use crate::unpack::Unpacker;

    /// Writes records with every codec, and reads the same records back.
    #[test]
    fn what_is_written_is_read() {
        let value = "v".repeat(300);
        let headers: [(&str, Option<&[u8]>); 2] = [("h", Some(b"x")), ("", None)];
        let records = [
            NewRecord { timestamp: 1_000, key: Some(b"k"), value: Some(value.as_bytes()), headers: &headers },
            NewRecord { timestamp: 999, key: None, value: None, headers: &[] },
            NewRecord { timestamp: 1_700_000_000_000, key: Some(b""), value: Some(b""), headers: &[] },
        ];
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let mut open = Open::default();
            records.iter().for_each(|record| open.push(record, Instant::now()));
            let mut sealed = open.seal(codec, Vec::new()).expect("packed").expect("records");
            sealed.number((7, 2), 5, false);
            let Found::Whole(header) = find(&sealed.bytes) else { panic!("no complete batch of {codec:?}") };
            assert!(header.crc_is_right(&sealed.bytes));
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 2, 5));
            assert_eq!((header.record_count, header.max_timestamp), (3, 1_700_000_000_000));
            let mut unpacker = Unpacker::default();
            let bytes = match header.codec() {
                0 => &sealed.bytes[HEADER_BYTES..],
                codec => {
                    unpacker.unpack(codec, &sealed.bytes[HEADER_BYTES..]).expect("unpacked");
                    &unpacker.bytes
                }
            };
            let mut walk = Walk::over(&header, 0..bytes.len());
            for (offset, record) in records.iter().enumerate() {
                let read = walk.next(bytes).expect("sound").expect("a record");
                assert_eq!((read.offset, read.timestamp), (offset as i64, record.timestamp));
                assert_eq!((read.key, read.value), (record.key, record.value));
                let mut seen = Vec::new();
                read.each_header(|name, value| seen.push((name.to_vec(), value.map(<[u8]>::to_vec)))).expect("sound");
                let sent =
                    |(name, value): &(&str, Option<&[u8]>)| (name.as_bytes().to_vec(), value.map(<[u8]>::to_vec));
                assert_eq!(seen, record.headers.iter().map(sent).collect::<Vec<_>>());
            }
            assert!(walk.next(bytes).expect("sound").is_none());
        }
    }

    #[test]
    fn numbers_are_as_long_as_they_say() {
        for value in [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out.len(), length_of(value), "{value}");
        }
    }
}
