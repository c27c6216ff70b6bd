//! The header of a record batch (format v2): the only part of a batch that the broker reads.
//!
//! ```text
//!  0 base offset i64 | 8 length i32 | 12 leader epoch i32 | 16 magic i8 | 17 CRC-32C u32 | 21 attributes i16
//! 23 last offset delta i32 | 27 base timestamp i64 | 35 max timestamp i64 | 43 producer id i64 | 51 producer epoch i16
//! 53 base sequence i32 | 57 record count i32 | 61 records…
//! ```
//! `length` counts from byte 12, the checksum covers everything from byte 21: base offset and leader epoch may be set
//! by the broker without touching it.

use kafka_protocol::ResponseError as Code;

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes before the part that `length` counts.
const LENGTH_END: usize = 12;
const CRC_START: usize = 21;

const COMPRESSION_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// none, gzip, snappy, lz4, zstd
const LAST_CODEC: i16 = 4;

/// The header's fields that the broker needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub base_offset: i64,
    /// The whole batch, header included.
    pub total_bytes: usize,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; `None` when no well-formed v2 header stands there.
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
        let sound = bytes[16] == 2
            && header.total_bytes >= HEADER_BYTES
            && header.base_offset >= 0
            && header.record_count >= 1
            && header.last_offset_delta >= 0;
        sound.then_some(header)
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Whether the records are compressed.
    pub fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION_MASK != 0
    }
}

/// Whether the checksum of a whole batch is right.
pub(crate) fn crc_is_right(batch: &[u8], header: &BatchHeader) -> bool {
    crc32c::crc32c(&batch[CRC_START..]) == header.crc
}

/// Checks what a producer sent for one partition: exactly one whole, sound v2 batch of at most `max_bytes`.
pub(crate) fn check_produced(records: &[u8], max_bytes: u64) -> Result<BatchHeader, Code> {
    if records.len() > 16 && records[16] < 2 {
        return Err(Code::UnsupportedForMessageFormat);
    }
    let header = BatchHeader::parse(records).ok_or(Code::CorruptMessage)?;
    if header.total_bytes as u64 > max_bytes {
        return Err(Code::MessageTooLarge);
    }
    if records.len() < header.total_bytes {
        return Err(Code::CorruptMessage);
    }
    let one_batch = records.len() == header.total_bytes;
    let counts_agree = header.last_offset_delta == header.record_count - 1;
    let sequence_fits = header.producer_id < 0 || (header.base_sequence >= 0 && header.producer_epoch >= 0);
    let plain = header.attributes & (CONTROL | LOG_APPEND_TIME) == 0;
    if !one_batch || !counts_agree || !sequence_fits || !plain {
        return Err(Code::InvalidRecord);
    }
    if header.attributes & TRANSACTIONAL != 0 {
        return Err(Code::InvalidTxnState);
    }
    if header.attributes & COMPRESSION_MASK > LAST_CODEC {
        return Err(Code::UnsupportedCompressionType);
    }
    if !crc_is_right(records, &header) {
        return Err(Code::CorruptMessage);
    }
    Ok(header)
}

/// The first sixteen bytes of a batch as the log keeps it: our base offset, the given length, leader epoch 0.
pub(crate) fn stored_prefix(batch: &[u8], base_offset: i64) -> [u8; 16] {
    let mut prefix = [0; 16];
    prefix[..8].copy_from_slice(&base_offset.to_be_bytes());
    prefix[8..12].copy_from_slice(&batch[8..12]);
    prefix
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a field lies inside the header")
}

/// Batches for tests, encoded by hand.
#[cfg(test)]
pub(crate) mod sample {
    /// A batch to be built: `producer` is (id, epoch, first sequence).
    pub struct Sample<'a> {
        pub timestamps: &'a [i64],
        pub value_bytes: usize,
        pub producer: (i64, i16, i32),
        pub attributes: i16,
    }

    impl Default for Sample<'_> {
        fn default() -> Self {
            Sample { timestamps: &[1000], value_bytes: 10, producer: (-1, -1, -1), attributes: 0 }
        }
    }

    impl Sample<'_> {
        pub fn build(&self) -> Vec<u8> {
            let base = self.timestamps[0];
            let mut records = Vec::new();
            for (index, timestamp) in self.timestamps.iter().enumerate() {
                let mut body = vec![0u8];
                put_varint(&mut body, timestamp - base);
                put_varint(&mut body, index as i64);
                put_varint(&mut body, -1);
                put_varint(&mut body, self.value_bytes as i64);
                body.resize(body.len() + self.value_bytes, b'v');
                put_varint(&mut body, 0);
                put_varint(&mut records, body.len() as i64);
                records.extend(body);
            }
            let count = self.timestamps.len() as i32;
            let mut covered = Vec::new();
            covered.extend(self.attributes.to_be_bytes());
            covered.extend((count - 1).to_be_bytes());
            covered.extend(base.to_be_bytes());
            covered.extend(self.timestamps.iter().max().unwrap().to_be_bytes());
            covered.extend(self.producer.0.to_be_bytes());
            covered.extend(self.producer.1.to_be_bytes());
            covered.extend(self.producer.2.to_be_bytes());
            covered.extend(count.to_be_bytes());
            covered.extend(records);
            let mut batch = Vec::new();
            batch.extend(0i64.to_be_bytes());
            batch.extend((covered.len() as i32 + 9).to_be_bytes());
            batch.extend((-1i32).to_be_bytes());
            batch.push(2);
            batch.extend(crc32c::crc32c(&covered).to_be_bytes());
            batch.extend(covered);
            batch
        }
    }

    fn put_varint(out: &mut Vec<u8>, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::sample::Sample;
    use super::*;

    #[test]
    fn a_produced_batch_is_checked() {
        fn check(change: impl FnOnce(&mut Vec<u8>), attributes: i16, expected: Result<i32, Code>) {
            let mut batch = Sample { timestamps: &[5, 7, 6], attributes, ..Sample::default() }.build();
            change(&mut batch);
            assert_eq!(check_produced(&batch, 200).map(|header| header.record_count), expected);
        }
        check(|_| (), 0, Ok(3));
        check(|_| (), 4, Ok(3));
        check(|_| (), 5, Err(Code::UnsupportedCompressionType));
        check(|_| (), TRANSACTIONAL, Err(Code::InvalidTxnState));
        check(|_| (), CONTROL, Err(Code::InvalidRecord));
        check(|batch| batch[16] = 1, 0, Err(Code::UnsupportedForMessageFormat));
        check(|batch| batch[16] = 3, 0, Err(Code::CorruptMessage));
        check(|batch| *batch.last_mut().unwrap() ^= 1, 0, Err(Code::CorruptMessage));
        check(|batch| batch.truncate(batch.len() - 1), 0, Err(Code::CorruptMessage));
        check(|batch| batch.truncate(20), 0, Err(Code::CorruptMessage));
        check(|batch| batch.extend(batch.clone()), 0, Err(Code::InvalidRecord));
        check(|batch| batch[60] = 9, 0, Err(Code::InvalidRecord));
        check(|batch| batch[8] = 1, 0, Err(Code::MessageTooLarge));
        check(|batch| batch[8] = 0x80, 0, Err(Code::CorruptMessage));
    }
}
