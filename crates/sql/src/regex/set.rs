//! Sets of code points: the algebra of character classes, and the form in which a text is matched with them.

/// Sorted ranges, both ends included, that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(Vec<(u32, u32)>);

const LAST: u32 = 0x10_FFFF;

impl Set {
    pub(super) fn of(ranges: &[(u32, u32)]) -> Set {
        let mut sorted = ranges.to_vec();
        sorted.sort_unstable();
        let mut out: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match out.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => out.push((first, last)),
            }
        }
        Set(out)
    }

    pub(super) fn one(code: u32) -> Set {
        Set(vec![(code, code)])
    }

    pub(super) fn all() -> Set {
        Set(vec![(0, LAST)])
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    pub(super) fn contains(&self, code: u32) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= code);
        behind > 0 && code <= self.0[behind - 1].1
    }

    pub(super) fn union(&self, other: &Set) -> Set {
        Set::of(&[self.ranges(), other.ranges()].concat())
    }

    pub(super) fn negate(&self) -> Set {
        let mut out = Vec::new();
        let mut next = 0;
        for (first, last) in &self.0 {
            if next < *first {
                out.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= LAST {
            out.push((next, LAST));
        }
        Set(out)
    }

    pub(super) fn intersect(&self, other: &Set) -> Set {
        self.negate().union(&other.negate()).negate()
    }

    pub(super) fn minus(&self, other: &Set) -> Set {
        self.intersect(&other.negate())
    }
}

/// The bytes that a part of a text may begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bytes([u64; 4]);

impl Bytes {
    pub(super) const NONE: Bytes = Bytes([0; 4]);

    pub(super) fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub(super) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    pub(super) fn join(&mut self, other: &Bytes) {
        self.0.iter_mut().zip(other.0).for_each(|(to, from)| *to |= from);
    }

    pub(super) fn meets(&self, other: &Bytes) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }

    pub(super) fn list(&self) -> Vec<u8> {
        (0..=u8::MAX).filter(|byte| self.has(*byte)).collect()
    }
}

/// A set as the matcher asks it: ASCII by a bit, the rest by its ranges.
#[derive(Clone, Debug)]
pub(super) struct Class {
    ascii: [u64; 2],
    rest: Box<[(u32, u32)]>,
    /// The first bytes of its characters.
    pub(super) first: Bytes,
}

impl Class {
    pub(super) fn new(set: &Set) -> Class {
        let mut class = Class { ascii: [0; 2], rest: Box::default(), first: Bytes::NONE };
        for code in 0..128 {
            if set.contains(code) {
                class.ascii[code as usize >> 6] |= 1 << (code & 63);
                class.first.add(code as u8);
            }
        }
        let rest = set.ranges().iter().filter(|(_, last)| *last >= 128);
        class.rest = rest.map(|(first, last)| ((*first).max(128), *last)).collect();
        for (first, last) in &class.rest {
            (lead(*first)..=lead(*last)).for_each(|byte| class.first.add(byte));
        }
        class
    }

    pub(super) fn has(&self, code: u32) -> bool {
        if code < 128 {
            return self.ascii[code as usize >> 6] >> (code & 63) & 1 == 1;
        }
        let behind = self.rest.partition_point(|(first, _)| *first <= code);
        behind > 0 && code <= self.rest[behind - 1].1
    }

    /// The end of the character at a place, if the class has it.
    #[inline]
    pub(super) fn step(&self, text: &[u8], at: usize) -> Option<usize> {
        let byte = *text.get(at)?;
        if byte < 128 {
            return (self.ascii[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1).then_some(at + 1);
        }
        let (code, end) = decode(text, at);
        self.has(code).then_some(end)
    }
}

/// The first byte of a character's UTF-8.
fn lead(code: u32) -> u8 {
    match code {
        0..0x80 => code as u8,
        0x80..0x800 => 0xC0 | (code >> 6) as u8,
        0x800..0x1_0000 => 0xE0 | (code >> 12) as u8,
        _ => 0xF0 | (code >> 18) as u8,
    }
}

/// The character that begins at a place within the text, and its end.
pub(super) fn decode(text: &[u8], at: usize) -> (u32, usize) {
    let more = |n: usize| u32::from(text[at + n] & 63);
    let byte = u32::from(text[at]);
    match byte {
        0..0x80 => (byte, at + 1),
        0x80..0xE0 => ((byte & 31) << 6 | more(1), at + 2),
        0xE0..0xF0 => ((byte & 15) << 12 | more(1) << 6 | more(2), at + 3),
        _ => ((byte & 7) << 18 | more(1) << 12 | more(2) << 6 | more(3), at + 4),
    }
}

/// Where the character before a place begins; the place is not the start.
pub(super) fn back(text: &[u8], mut at: usize) -> usize {
    at -= 1;
    while text[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    at
}
