//! Finds one record inside an uncompressed batch by its timestamp: the only place that looks at records.

use super::batch::{BatchHeader, HEADER_BYTES};

/// Timestamp and offset of the first record of an uncompressed batch at or after `timestamp`; `None` when there is none
/// or the records are not well formed.
pub(crate) fn first_at_or_after(batch: &[u8], header: &BatchHeader, timestamp: i64) -> Option<(i64, i64)> {
    let mut rest = &batch[HEADER_BYTES..];
    for _ in 0..header.record_count {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let mut record = rest.get(..length)?;
        rest = &rest[length..];
        record = record.get(1..)?;
        let record_timestamp = header.base_timestamp.checked_add(varint(&mut record)?)?;
        let offset = header.base_offset.checked_add(varint(&mut record)?)?;
        if record_timestamp >= timestamp {
            return Some((record_timestamp, offset));
        }
    }
    None
}

/// A zigzag variable-length integer.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::batch::sample::Sample;
    use super::*;

    #[test]
    fn the_first_record_at_or_after_a_time_is_found() {
        let batch = Sample { timestamps: &[1000, 1500, 900, 70_000], ..Sample::default() }.build();
        let header = BatchHeader::parse(&batch).unwrap();
        fn check(batch: &[u8], header: &BatchHeader, timestamp: i64, expected: Option<(i64, i64)>) {
            assert_eq!(first_at_or_after(batch, header, timestamp), expected, "at {timestamp}");
        }
        check(&batch, &header, 0, Some((1000, 0)));
        check(&batch, &header, 1001, Some((1500, 1)));
        check(&batch, &header, 1501, Some((70_000, 3)));
        check(&batch, &header, 70_001, None);
        check(&batch[..batch.len() - 20], &header, 1501, None);
    }
}
