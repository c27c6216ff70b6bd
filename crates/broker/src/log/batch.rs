//! The checks of a produced batch, and what the broker sets in it.

use super::records;
use crate::refusal::Refusal;
use kafka_protocol::ResponseError as Code;
use std::borrow::Cow;
use std::ops::ControlFlow;
pub(crate) use tidemill_wire::batch::{BatchHeader, HEADER_BYTES, MAGIC_AT};
use tidemill_wire::batch::{CRC_START, LENGTH_END, MAX_TIMESTAMP, field};

/// none, gzip, snappy, lz4, zstd
const LAST_CODEC: i16 = 4;

/// Record timestamps may be this far ahead of the clock. Apache Kafka's `message.timestamp.after.max.ms`.
const AHEAD_MS_MAX: i64 = 3_600_000;

/// The timestamp of a record without one.
const NO_TIMESTAMP: i64 = -1;

/// The limits for a produced batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub max_bytes: u64,
    /// The time, in ms since 1970.
    pub now_ms: i64,
    /// Whether every record needs a key: the topic is compacted.
    pub keyed: bool,
}

/// Checks what a producer sent for one partition. It must be exactly one complete and valid v2 batch with as many
/// records as its header says. The header that it returns has the records' largest timestamp, whatever the producer
/// wrote there: sarama writes none. [`with_max_timestamp`] makes the batch say the same.
pub(crate) fn check_produced(records: &[u8], rules: Rules) -> Result<BatchHeader, Refusal> {
    let mut header = check_header(records, rules.max_bytes)?;
    let (mut ahead, mut lacks_key, mut max_timestamp) = (None, false, NO_TIMESTAMP);
    let walked = records::walk(records, &header, false, |record| {
        if record.timestamp > rules.now_ms.saturating_add(AHEAD_MS_MAX) {
            ahead = Some(record.timestamp);
        }
        lacks_key |= !record.has_key;
        max_timestamp = max_timestamp.max(record.timestamp);
        ControlFlow::<()>::Continue(())
    });
    if let Err(error) = walked {
        return Err(Refusal::new(Code::InvalidRecord, format!("the batch's records cannot be read: {error}")));
    }
    if rules.keyed && lacks_key {
        let why = "a record has no key, and the topic is compacted (cleanup.policy): send a key with each record";
        return Err(Refusal::new(Code::InvalidRecord, why));
    }
    if let Some(timestamp) = ahead {
        let why = format!("timestamp {timestamp} is more than an hour ahead of the broker's clock ({})", rules.now_ms);
        return Err(Refusal::new(Code::InvalidTimestamp, why));
    }
    header.max_timestamp = max_timestamp;
    Ok(header)
}

/// A checked batch that says what its checked header says.
pub(crate) fn with_max_timestamp<'a>(records: &'a [u8], header: &BatchHeader) -> Cow<'a, [u8]> {
    let max_timestamp = header.max_timestamp.to_be_bytes();
    if records[MAX_TIMESTAMP] == max_timestamp {
        return Cow::Borrowed(records);
    }
    let mut records = records.to_vec();
    records[MAX_TIMESTAMP].copy_from_slice(&max_timestamp);
    seal(&mut records);
    Cow::Owned(records)
}

fn check_header(records: &[u8], max_bytes: u64) -> Result<BatchHeader, Refusal> {
    let corrupt = |why: &str| Err(Refusal::new(Code::CorruptMessage, why));
    let invalid = |why: &str| Err(Refusal::new(Code::InvalidRecord, why));
    let Some(start) = records.first_chunk::<HEADER_BYTES>() else { return invalid("the record batch is incomplete") };
    if start[MAGIC_AT] < 2 {
        return invalid("record formats before version 2 are not supported; use a client for Kafka 0.11 or newer");
    }
    if start[MAGIC_AT] > 2 || i32::from_be_bytes(field(start, 8)) < (HEADER_BYTES - LENGTH_END) as i32 {
        return corrupt("no record batch begins here");
    }
    let Some(header) = BatchHeader::parse(records) else { return invalid("the batch's header contradicts itself") };
    if header.total_bytes as u64 > max_bytes {
        let why =
            format!("the batch has {} bytes; this topic accepts {max_bytes} (max.message.bytes)", header.total_bytes);
        return Err(Refusal::new(Code::MessageTooLarge, why));
    }
    if records.len() < header.total_bytes {
        return invalid("the batch is longer than what was sent");
    }
    if !header.crc_is_right(&records[..header.total_bytes]) {
        return corrupt("the batch's checksum is wrong");
    }
    let sequence_fits = header.producer_id < 0 || (header.base_sequence >= 0 && header.producer_epoch >= 0);
    let faults = [
        (records.len() != header.total_bytes, "more than one batch was sent for one partition"),
        (header.record_count == 0, "the batch has no records"),
        (header.last_offset_delta != header.record_count - 1, "the last offset does not match the number of records"),
        (!sequence_fits, "the batch has a producer id but no epoch or sequence number"),
        (header.is_transactional() && header.producer_id < 0, "a transactional batch has no producer id"),
        (header.is_control(), "clients may not write control records"),
        (header.is_append_time(), "clients may not set the append time"),
    ];
    if let Some((_, why)) = faults.iter().find(|(is_so, _)| *is_so) {
        return Err(Refusal::new(Code::InvalidRecord, *why));
    }
    if header.codec() > LAST_CODEC {
        let why = format!("compression codec {} does not exist", header.codec());
        return Err(Refusal::new(Code::UnsupportedCompressionType, why));
    }
    Ok(header)
}

/// Sets the length and the checksum of a batch to match its bytes.
pub(crate) fn seal(batch: &mut [u8]) {
    let length = (batch.len() - LENGTH_END) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// The first sixteen bytes of a stored batch: our base offset, the given length, leader epoch 0.
pub(crate) fn stored_prefix(batch: &[u8], base_offset: i64) -> [u8; 16] {
    let mut prefix = [0; 16];
    prefix[..8].copy_from_slice(&base_offset.to_be_bytes());
    prefix[8..12].copy_from_slice(&batch[8..12]);
    prefix
}

/// Batches for tests, encoded by hand.
#[cfg(test)]
pub(crate) mod sample {
    use crate::log::pack::{compress, put_varint};

    /// A batch to build. `producer` is (id, epoch, first sequence).
    pub struct Sample<'a> {
        pub timestamps: &'a [i64],
        pub value_bytes: usize,
        pub producer: (i64, i16, i32),
        pub attributes: i16,
        /// Key and value of each record. If it is empty, keys are null and values are made up.
        pub keyed: &'a [(&'a str, Option<&'a str>)],
    }

    impl Default for Sample<'_> {
        fn default() -> Self {
            Sample { timestamps: &[1000], value_bytes: 10, producer: (-1, -1, -1), attributes: 0, keyed: &[] }
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
                let made_up = "v".repeat(self.value_bytes);
                let (key, value) = match self.keyed.get(index) {
                    Some((key, value)) => (Some(*key), *value),
                    None => (None, Some(made_up.as_str())),
                };
                put_field(&mut body, key);
                put_field(&mut body, value);
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

    fn put_field(body: &mut Vec<u8>, field: Option<&str>) {
        put_varint(body, field.map_or(-1, |field| field.len() as i64));
        body.extend(field.unwrap_or_default().as_bytes());
    }

    /// The same batch compressed by a codec, with a correct checksum.
    pub fn pack(plain: &[u8], codec: i16) -> Vec<u8> {
        let packed = compress(codec, &plain[super::HEADER_BYTES..]).unwrap();
        let mut batch = [&plain[..super::HEADER_BYTES], &packed].concat();
        batch[22] = (batch[22] & !7) | codec as u8;
        super::seal(&mut batch);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{Sample, pack};
    use super::*;
    use tidemill_wire::batch::{CONTROL, TRANSACTIONAL};

    const RULES: Rules = Rules { max_bytes: 200, now_ms: 1_000_000, keyed: false };

    #[test]
    fn a_produced_batch_is_checked() {
        fn check(what: &str, change: impl FnOnce(&mut Vec<u8>), expected: Result<i32, Code>) {
            let mut batch = Sample { timestamps: &[5, 7, 6], ..Sample::default() }.build();
            change(&mut batch);
            let checked = check_produced(&batch, RULES);
            assert_eq!(checked.map(|header| header.record_count).map_err(|refusal| refusal.code), expected, "{what}");
        }
        let attributes = |attributes: u8| {
            move |batch: &mut Vec<u8>| {
                batch[22] = attributes;
                seal(batch);
            }
        };
        check("a valid batch", |_| (), Ok(3));
        check("an unknown codec", attributes(5), Err(Code::UnsupportedCompressionType));
        check("a control batch", attributes(CONTROL as u8), Err(Code::InvalidRecord));
        check("a transactional batch without a producer", attributes(TRANSACTIONAL as u8), Err(Code::InvalidRecord));
        check("an old format", |batch| batch[16] = 1, Err(Code::InvalidRecord));
        check("a future format", |batch| batch[16] = 3, Err(Code::CorruptMessage));
        check("a wrong byte", |batch| *batch.last_mut().unwrap() ^= 1, Err(Code::CorruptMessage));
        check("a byte missing", |batch| batch.truncate(batch.len() - 1), Err(Code::InvalidRecord));
        check("no header", |batch| batch.truncate(20), Err(Code::InvalidRecord));
        check("nothing", Vec::clear, Err(Code::InvalidRecord));
        check("a negative count", |batch| batch[57] = 0x80, Err(Code::InvalidRecord));
        check("two batches", |batch| batch.extend(batch.clone()), Err(Code::InvalidRecord));
        check("too large", |batch| batch[8] = 1, Err(Code::MessageTooLarge));
        check("a negative length", |batch| batch[8] = 0x80, Err(Code::CorruptMessage));
    }

    #[test]
    fn the_largest_timestamp_is_that_of_the_records() {
        let rules = Rules { now_ms: i64::MAX, ..RULES };
        for (codec, claimed) in [(0, 7), (0, 0), (0, 9), (4, i64::MIN)] {
            let right = pack(&Sample { timestamps: &[5, 7, 6], ..Sample::default() }.build(), codec);
            let mut sent = right.clone();
            sent[MAX_TIMESTAMP].copy_from_slice(&claimed.to_be_bytes());
            seal(&mut sent);
            let header = check_produced(&sent, rules).unwrap();
            assert_eq!(header.max_timestamp, 7, "the header claims {claimed}");
            assert_eq!(with_max_timestamp(&sent, &header), right, "the header claims {claimed}");
        }
    }

    /// Hand-made batches with a correct checksum and broken content.
    #[test]
    fn a_batch_with_a_right_checksum_may_still_be_broken() {
        fn check(what: &str, change: impl FnOnce(&mut Vec<u8>), expected: Result<(), Code>) {
            let mut batch = Sample { timestamps: &[5, 7, 6], ..Sample::default() }.build();
            change(&mut batch);
            seal(&mut batch);
            let checked = check_produced(&batch, RULES).map(drop).map_err(|refusal| refusal.code);
            assert_eq!(checked, expected, "{what}");
        }
        check("a valid batch", |_| (), Ok(()));
        let broken = Err(Code::InvalidRecord);
        for codec in 1..=4u8 {
            check("packed", |batch| *batch = pack(batch, codec.into()), Ok(()));
            check("uncompressed, but marked as compressed", |batch| batch[22] = codec, broken);
            check("garbage", |batch| (batch[22], batch[70]) = (codec, 0x55), broken);
        }
        check("more records than there are", |batch| (batch[26], batch[60]) = (3, 4), broken);
        check("fewer records than there are", |batch| (batch[26], batch[60]) = (1, 2), broken);
        check("a count that does not match the offsets", |batch| batch[60] = 2, broken);
        check("no records", |batch| (batch[60], batch[26]) = (0, 0), broken);
        check(
            "no records at all",
            |batch| {
                batch.truncate(HEADER_BYTES);
                batch[60] = 0;
                batch[26] = 0;
            },
            broken,
        );
        check("garbage for a record", |batch| batch[HEADER_BYTES..].fill(0xff), broken);
        check(
            "an hour ahead",
            |batch| batch[27..35].copy_from_slice(&(RULES.now_ms + AHEAD_MS_MAX - 2).to_be_bytes()),
            Ok(()),
        );
        check(
            "over an hour ahead",
            |batch| {
                batch[27..35].copy_from_slice(&(RULES.now_ms + AHEAD_MS_MAX).to_be_bytes());
            },
            Err(Code::InvalidTimestamp),
        );
    }
}
