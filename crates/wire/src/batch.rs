//! The header of a record batch (format v2).
//!
//! ```text
//!  0 base offset i64 | 8 length i32 | 12 leader epoch i32 | 16 magic i8 | 17 CRC-32C u32 | 21 attributes i16
//! 23 last offset delta i32 | 27 base timestamp i64 | 35 max timestamp i64 | 43 producer id i64 | 51 producer epoch i16
//! 53 base sequence i32 | 57 record count i32 | 61 records…
//! ```
//! `length` counts from byte 12. The checksum covers everything from byte 21. So a broker can set the base offset and
//! the leader epoch without changing the checksum.

use std::ops::Range;

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the part that `length` counts.
pub const LENGTH_END: usize = 12;
/// First byte that the checksum covers.
pub const CRC_START: usize = 21;
/// Position of the format's version.
pub const MAGIC_AT: usize = 16;

/// The bytes with the largest timestamp of the records.
pub const MAX_TIMESTAMP: Range<usize> = 35..43;

const CODEC_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
/// Attribute bit: the batch belongs to a transaction.
pub const TRANSACTIONAL: i16 = 1 << 4;
/// Attribute bit: the batch is a control batch, such as a transaction marker.
pub const CONTROL: i16 = 1 << 5;

/// A batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Base of the records' offsets.
    pub base_offset: i64,
    /// Bytes of the whole batch, including the header.
    pub total_bytes: usize,
    /// The checksum.
    pub crc: u32,
    /// Codec, type of timestamps, and kind of batch.
    pub attributes: i16,
    /// The last record's offset, relative to `base_offset`.
    pub last_offset_delta: i32,
    /// Base of the records' timestamps, ms.
    pub base_timestamp: i64,
    /// The latest timestamp, ms.
    pub max_timestamp: i64,
    /// The producer's id. −1 if it is not idempotent.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// The sequence number of the first record.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. `None` if there is no well-formed v2 header.
    pub fn parse(bytes: &[u8]) -> Option<BatchHeader> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let length = i32::from_be_bytes(field(bytes, 8));
        let header = BatchHeader {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            total_bytes: LENGTH_END + usize::try_from(length).ok()?,
            crc: u32::from_be_bytes(field(bytes, 17)),
            attributes: i16::from_be_bytes(field(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp: i64::from_be_bytes(field(bytes, 35)),
            producer_id: i64::from_be_bytes(field(bytes, 43)),
            producer_epoch: i16::from_be_bytes(field(bytes, 51)),
            base_sequence: i32::from_be_bytes(field(bytes, 53)),
            record_count: i32::from_be_bytes(field(bytes, 57)),
        };
        let sound = bytes[MAGIC_AT] == 2
            && header.total_bytes >= HEADER_BYTES
            && header.base_offset >= 0
            && header.record_count >= 0
            && header.last_offset_delta >= 0
            && header.base_offset.checked_add(i64::from(header.last_offset_delta)).is_some_and(|last| last < i64::MAX);
        sound.then_some(header)
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The compression codec; 0 for none.
    pub fn codec(&self) -> i16 {
        self.attributes & CODEC_MASK
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch is a control batch, such as a transaction marker.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
    /// Whether the broker has set the timestamps of all records, to `max_timestamp`.
    pub fn is_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether the checksum of the whole batch is correct.
    ///
    /// # Panics
    /// If the batch is shorter than its header.
    pub fn crc_is_right(&self, batch: &[u8]) -> bool {
        crc32c::crc32c(&batch[CRC_START..]) == self.crc
    }
}

/// The bytes of a field.
///
/// # Panics
/// If it is not within the header.
pub fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    header[at..at + N].try_into().expect("a field within the header")
}
