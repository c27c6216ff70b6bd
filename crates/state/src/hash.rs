//! The hash of a key. It selects the key's shard, so it is the same in every process and version.

/// Number of shards. More than a machine has cores, to balance the load; fixed, so that a state never needs resharding.
pub const SHARDS: usize = 16;

const SHARD_BITS: u32 = SHARDS.trailing_zeros();
const _: () = assert!(SHARDS.is_power_of_two());

const MIX: [u64; 3] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3];

/// Hash of a key's bytes.
pub(crate) fn hash(key: &[u8]) -> u32 {
    let (words, rest) = key.as_chunks::<8>();
    let mut state = MIX[0] ^ key.len() as u64;
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), MIX[1]);
    }
    let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte));
    let state = fold(state ^ last, MIX[2]);
    (fold(state, MIX[1]) >> 32) as u32
}

/// Shard of a hash.
pub(crate) fn shard(hash: u32) -> usize {
    (hash >> (u32::BITS - SHARD_BITS)) as usize
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash places keys in checkpoints: it must never change.
    #[test]
    fn hashes_stay() {
        let hashes = ["", "a", "12345678", "123456789"].map(|key| hash(key.as_bytes()));
        assert_eq!(hashes, HASHES);
        let mut counts = [0; SHARDS];
        (0..16_000u32).for_each(|key| counts[shard(hash(&key.to_be_bytes()))] += 1);
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    const HASHES: [u32; 4] = [415_759_558, 1_852_829_540, 896_683_339, 3_368_988_290];
}
