//! The partition of a record that names none, as the Java client's default partitioner chooses it: the same key, the
//! same partition, whoever writes. Records without a key are spread in runs, so that batches stay large.

/// So many records without a key follow each other to one partition.
const RUN: u64 = 500;

/// The partition of a key among `partitions`.
pub(crate) fn of_key(key: &[u8], partitions: i32) -> i32 {
    ((murmur2(key) & 0x7fff_ffff) as i32).rem_euclid(partitions)
}

/// The partition of the record with this number in a batch, without a key.
pub(crate) fn of_number(batch_id: u64, number: u64, partitions: i32) -> i32 {
    (batch_id.wrapping_add(number / RUN)).rem_euclid(partitions as u64) as i32
}

/// The hash function of `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Apache Kafka's `UtilsTest`.
    #[test]
    fn keys_hash_as_in_java() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn records_without_a_key_go_everywhere() {
        let partitions = |batch_id: u64, number: u64| of_number(batch_id, number, 3);
        assert_eq!([0, 499, 500, 1_000, 1_500].map(|number| partitions(0, number)), [0, 0, 1, 2, 0]);
        assert_eq!([0, 1, 2, 3].map(|batch_id| partitions(batch_id, 0)), [0, 1, 2, 0]);
    }
}
