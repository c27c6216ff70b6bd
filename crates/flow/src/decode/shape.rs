//! What a record's object looked like last time, to recognise the next one by comparing bytes.
//!
//! Producers write their fields in one order and one spacing. So for each member the bytes between two values
//! (`, "course": `) are kept with what they mean; while the next record has the same bytes there, its names, commas and
//! colons need no parsing. A difference is parsed and remembered from that member on. Knows no values.

/// Bytes between two values that can be remembered; longer ones are parsed every time.
const BYTES_MAX: usize = 48;

/// What comes after the bytes between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// The value of a field of the schema.
    Field(usize),
    /// A value that nobody wants.
    Unknown,
    /// Nothing: the object has ended.
    End,
}

/// The members of an object in the order of the last one seen.
#[derive(Debug, Default)]
pub struct Shape {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    bytes: [u8; BYTES_MAX],
    length: usize,
    member: Member,
}

impl Shape {
    /// What member number `step` is and where its value starts, if the bytes from `at` on are those of last time.
    #[inline]
    pub fn recognise(&self, step: usize, bytes: &[u8], at: usize) -> Option<(Member, usize)> {
        let known = self.steps.get(step)?;
        let end = at + known.length;
        (bytes.get(at..end)? == &known.bytes[..known.length]).then_some((known.member, end))
    }

    /// Remembers what was parsed as member number `step`; what came after it last time is forgotten.
    pub fn learn(&mut self, step: usize, parsed: &[u8], member: Member) {
        self.steps.truncate(step);
        if parsed.len() <= BYTES_MAX && self.steps.len() == step {
            let mut bytes = [0; BYTES_MAX];
            bytes[..parsed.len()].copy_from_slice(parsed);
            self.steps.push(Step { bytes, length: parsed.len(), member });
        }
    }
}
