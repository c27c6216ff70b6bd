//! Finds the end of a JSON string, many bytes at a time.
//!
//! The search stops at a quote, a backslash or a control character. It also reports whether it passed a byte beyond
//! ASCII. It takes 32 bytes at a time if the processor has SSE2 (most strings end within them: one predictable branch),
//! else 8. It knows nothing else of JSON.

/// Position of the first byte at or after `from` that is `"`, `\` or below 0x20 (`bytes.len()` if there is none), and
/// whether a byte of 0x80 or more comes before it.
#[inline(always)]
pub fn string_stop(bytes: &[u8], from: usize) -> (usize, bool) {
    let (mut at, mut high) = (from, false);
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    while let Some(block) = bytes.get(at..at + 32) {
        let (stops, highs) = sse2::classes(block.try_into().expect("32 bytes"));
        if stops != 0 {
            let below = stops.trailing_zeros();
            return (at + below as usize, high || highs & ((1 << below) - 1) != 0);
        }
        high |= highs != 0;
        at += 32;
    }
    while let Some(block) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(block.try_into().expect("8 bytes"));
        let stops = word_stops(word);
        if stops != 0 {
            let below = stops.trailing_zeros() - 7;
            return (at + below as usize / 8, high || word & HIGH & ((1 << below) - 1) != 0);
        }
        high |= word & HIGH != 0;
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        high |= byte >= 0x80;
        at += 1;
    }
    (at, high)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// High bit of each byte that stops the search. Bits above the lowest set one may be wrong, since borrows run upwards.
fn word_stops(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    (zero(quote) | zero(backslash) | (word.wrapping_sub(ONES * 0x20) & !word)) & HIGH
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2 {
    use std::arch::x86_64::*;

    /// Two bit sets: the bytes that stop the search, and the bytes beyond ASCII.
    #[inline]
    pub fn classes(block: &[u8; 32]) -> (u32, u32) {
        let half = |at: usize| {
            // SAFETY: SSE2 is enabled for the whole build (the cfg above). The unaligned load reads 16 of the 32
            // borrowed bytes.
            unsafe {
                let bytes = _mm_loadu_si128(block[at..at + 16].as_ptr().cast());
                let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
                let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
                let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
                let stops = _mm_or_si128(_mm_or_si128(quote, backslash), control);
                (_mm_movemask_epi8(stops) as u32, _mm_movemask_epi8(bytes) as u32)
            }
        };
        let ((low_stops, low_highs), (high_stops, high_highs)) = (half(0), half(16));
        (low_stops | high_stops << 16, low_highs | high_highs << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_at_every_place_of_every_length() {
        for length in 0..80 {
            for at in 0..length {
                for stop in [b'"', b'\\', 0, 0x1f, b'\n'] {
                    for filler in [b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff] {
                        let mut bytes = vec![filler; length];
                        bytes[at] = stop;
                        for from in 0..=at {
                            assert_eq!(string_stop(&bytes, from), (at, filler >= 0x80 && from < at));
                        }
                    }
                }
            }
            assert_eq!(string_stop(&vec![b'x'; length], 0), (length, false));
        }
    }
}
