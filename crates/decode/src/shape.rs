//! Remembers the order of members in the objects seen so far, to recognise the next object by comparing bytes.
//!
//! Producers write fields in one order and with one spacing. So the bytes between two values (`, "course": `) are kept
//! with their meaning, and each such step is linked to the step that followed it last time:
//! ```text
//!   start ──► {"a":  ──► , "b":  ──► , "c":  ──► }
//!               └── a record without b: one step is parsed, then known
//! ```
//! While a record has the expected bytes, its names, commas and colons are not parsed. A different member is parsed and
//! expected from then on. Cost: one comparison per member. Knows no values.

/// Longest bytes between two values that are remembered. Longer ones are parsed every time.
const BYTES_MAX: usize = 48;

/// Most steps kept. Objects with ever new names start over.
const STEPS_MAX: usize = 256;

/// What follows the bytes between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// The value of a field of the schema.
    Field(usize),
    /// The value of a field that is not in the schema.
    Unknown,
    /// Nothing: the object ends.
    End,
}

/// A position in an object's sequence of members.
#[derive(Clone, Copy, Debug)]
pub struct Step(usize);

impl Step {
    /// Before the first member.
    pub const START: Step = Step(0);
    /// After something that is not remembered.
    const UNKNOWN: Step = Step(usize::MAX);

    /// Whether no member has come yet.
    pub fn is_start(self) -> bool {
        self.0 == 0
    }
}

/// The steps seen in the objects of one column.
#[derive(Debug)]
pub struct Shape {
    /// The first step is the start of the object.
    steps: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    bytes: [u8; BYTES_MAX],
    length: usize,
    member: Member,
    next: usize,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { steps: vec![Known { bytes: [0; BYTES_MAX], length: 0, member: Member::Unknown, next: 0 }] }
    }
}

impl Shape {
    /// The member after `from` and the position of its value, if the bytes at `at` are the expected ones.
    #[inline]
    pub fn recognise(&self, from: Step, bytes: &[u8], at: usize) -> Option<(Step, Member, usize)> {
        let next = self.steps.get(from.0)?.next;
        let known = self.steps.get(next).filter(|known| known.length > 0)?;
        let end = at + known.length;
        same(bytes.get(at..end)?, &known.bytes[..known.length]).then_some((Step(next), known.member, end))
    }

    /// Remembers what was parsed after `from`.
    pub fn learn(&mut self, from: Step, parsed: &[u8], member: Member) -> Step {
        if parsed.len() > BYTES_MAX {
            return Step::UNKNOWN;
        }
        let known = self.steps.iter().position(|known| &known.bytes[..known.length] == parsed);
        let step = known.unwrap_or_else(|| {
            if self.steps.len() == STEPS_MAX {
                // The start must not expect what may only follow a member.
                self.steps.truncate(1);
                self.steps[0].next = 0;
            }
            let mut bytes = [0; BYTES_MAX];
            bytes[..parsed.len()].copy_from_slice(parsed);
            self.steps.push(Known { bytes, length: parsed.len(), member, next: 0 });
            self.steps.len() - 1
        });
        if let Some(from) = self.steps.get_mut(from.0) {
            from.next = step;
        }
        Step(step)
    }
}

/// Whether two slices of equal length, at most [`BYTES_MAX`], are equal. No function call for the usual lengths.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let sixteen = |of: &[u8], at: usize| u128::from_ne_bytes(of[at..at + 16].try_into().expect("16 bytes"));
    let eight = |of: &[u8], at: usize| u64::from_ne_bytes(of[at..at + 8].try_into().expect("8 bytes"));
    match a.len() {
        length @ 16..=32 => sixteen(a, 0) == sixteen(b, 0) && sixteen(a, length - 16) == sixteen(b, length - 16),
        length @ 8..16 => eight(a, 0) == eight(b, 0) && eight(a, length - 8) == eight(b, length - 8),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_is_equality() {
        let known: Vec<u8> = (0..BYTES_MAX as u8).collect();
        for length in 0..=BYTES_MAX {
            assert!(same(&known[..length], &known[..length]));
            for at in 0..length {
                let mut other = known.clone();
                other[at] ^= 0x80;
                assert!(!same(&known[..length], &other[..length]), "{length} {at}");
            }
        }
    }

    #[test]
    fn a_step_is_expected_after_the_step_it_came_after() {
        let mut shape = Shape::default();
        let a = shape.learn(Step::START, b"\"a\":", Member::Field(0));
        let b = shape.learn(a, b",\"b\":", Member::Unknown);
        shape.learn(b, b"}", Member::End);
        let (step, member, end) = shape.recognise(Step::START, b"\"a\":1", 0).unwrap();
        assert_eq!((step.0, member, end), (a.0, Member::Field(0), 4));
        assert!(shape.recognise(a, b"}", 0).is_none());
        shape.learn(a, b"}", Member::End);
        assert_eq!(shape.recognise(a, b"}", 0).unwrap().1, Member::End);
        assert_eq!(shape.recognise(b, b"x}", 1).unwrap().2, 2);
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let mut shape = Shape::default();
        let mut step = shape.learn(Step::START, b"\"a\":", Member::Unknown);
        for number in 0..10 * STEPS_MAX {
            let text = format!(",\"{number}\":");
            step = shape.learn(step, text.as_bytes(), Member::Unknown);
            assert!(shape.recognise(Step::START, text.as_bytes(), 0).is_none(), "no object starts with {text}");
        }
        assert!(shape.steps.len() <= STEPS_MAX);
        let unknown = shape.learn(step, &[b' '; BYTES_MAX + 1], Member::End);
        assert!(shape.recognise(unknown, b"}", 0).is_none());
    }
}
