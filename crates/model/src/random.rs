//! Pseudo-random numbers from a seed: SplitMix64 (Steele, Lea, Flood 2014). For generated loads, benchmarks, the fuzzer and
//! simulations that are replayed by their seed; property tests use proptest. Not for secrets. The same seed gives the same
//! numbers. The project's task runner includes this file too.

/// What the state moves on by.
pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A source of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        least + below(self.bits(), (most - least) as u64 + 1) as i64
    }

    /// True with this probability in percent.
    pub fn chance(&mut self, percent: i64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of several.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.between(0, of.len() as i64 - 1) as usize]
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// 1 ± `share`.
    pub fn around(&mut self, share: f64) -> f64 {
        1.0 + share * (2.0 * self.unit() - 1.0)
    }
}

/// A seed made of a text, the same in any run.
pub fn seed_of(text: &str) -> u64 {
    fold(STEP, text.as_bytes())
}

/// A seed made of another one and bytes.
pub fn fold(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |seed, byte| mix(seed.wrapping_add(STEP) ^ u64::from(*byte)))
}

/// The bits of a state.
pub fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Scales 64 random bits to `0..bound`.
pub fn below(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_numbers() {
        // The first of SplitMix64 for the seed 1234567.
        let mut random = Random::new(1_234_567);
        let bits: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(bits, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        assert!((0..1_000).map(|_| random.between(-2, 3)).all(|number| (-2..=3).contains(&number)));
    }
}
