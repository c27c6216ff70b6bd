//! Matches by trying: the first way that works, as Java does.
//!
//! What may be tried later lies on a stack of its own, so the length of a text is no matter. Two things keep a search short.
//! From [`LEARNS_AFTER`] steps on it remembers at which places a round of a loop has failed, as Java does. And it ends with
//! an error after [`STEPS_MAX`] steps, where Java would go on for minutes.

use super::characters;
use super::program::{Begin, ClassLoop, Op, Program};
use super::set::{Class, back, decode};
use super::study::Reach;
use super::tree::{Fold, NO_MAX, Test};

/// What a search may take: a second or less.
const STEPS_MAX: u64 = 10_000_000;
const LEARNS_AFTER: u64 = 20_000;
/// What is remembered may take so many bits.
const LEARNT_MAX: usize = 1 << 26;
/// Steps of the stack: 24 bytes each.
const FRAMES_MAX: usize = 4_000_000;

/// No place.
const NONE: usize = usize::MAX;

/// A search that took too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// What is used again from search to search.
#[derive(Default)]
pub(super) struct Memory {
    /// Start and end of each group.
    pub(super) groups: Vec<(usize, usize)>,
    registers: Vec<usize>,
    frames: Vec<Frame>,
    learnt: Vec<u64>,
}

/// What is tried, or undone, when a way fails.
#[derive(Clone, Copy)]
enum Frame {
    Try {
        op: usize,
        at: usize,
    },
    /// A loop's exit; a round has failed at the place.
    Exit {
        number: usize,
        at: usize,
    },
    /// A greedy loop over a class, which gives back characters down to a place.
    Less {
        op: usize,
        from: usize,
        at: usize,
    },
    /// A lazy one, which takes more, up to a number of them.
    More {
        op: usize,
        at: usize,
        taken: usize,
    },
    Register {
        register: usize,
        before: usize,
    },
    Group {
        group: usize,
        before: (u32, u32),
    },
}

pub(super) struct Search<'a> {
    pub(super) program: &'a Program,
    pub(super) text: &'a [u8],
    /// Where the match before ended.
    pub(super) previous: usize,
    pub(super) memory: &'a mut Memory,
    pub(super) steps: u64,
}

impl Search<'_> {
    /// The first match from a place on; its groups are in the memory.
    pub(super) fn find(&mut self, from: usize) -> Result<bool, TooLong> {
        self.memory.groups.clear();
        self.memory.groups.resize(self.program.groups, (NONE, NONE));
        self.memory.registers.resize(self.program.registers, 0);
        self.memory.learnt.clear();
        let mut next = Some(from);
        while let Some(at) = next.and_then(|next| self.candidate(next)) {
            self.memory.frames.clear();
            if let Some(end) = self.run(0, at, NONE)? {
                self.memory.groups[0] = (at, end);
                return Ok(true);
            }
            next = self.behind(at);
        }
        Ok(false)
    }

    /// The next place, from one on, where a match may begin.
    fn candidate(&self, from: usize) -> Option<usize> {
        let rest = &self.text[from..];
        if rest.len() < self.program.bytes_min {
            return None;
        }
        let found = match &self.program.begin {
            Begin::Anywhere => Some(0),
            Begin::Start => (from == 0).then_some(0),
            Begin::Byte(a) => memchr::memchr(*a, rest),
            Begin::TwoBytes(a, b) => memchr::memchr2(*a, *b, rest),
            Begin::ThreeBytes(a, b, c) => memchr::memchr3(*a, *b, *c, rest),
            Begin::Bytes(bytes) => rest.iter().position(|byte| bytes.has(*byte)),
            Begin::Text(finder) => finder.find(rest),
        };
        found.map(|found| from + found)
    }

    /// The place behind one where no match begins.
    fn behind(&self, mut at: usize) -> Option<usize> {
        if let Some(class) = self.program.leading {
            while let Some(next) = self.program.classes[class].step(self.text, at) {
                at = next;
            }
        }
        (at < self.text.len()).then(|| decode(self.text, at).1)
    }

    /// Runs from an instruction on, up to a match or, in a part by itself, to its end, which is `target` if that is given.
    fn run(&mut self, mut op: usize, mut at: usize, target: usize) -> Result<Option<usize>, TooLong> {
        let program = self.program;
        let base = self.memory.frames.len();
        loop {
            self.steps += 1;
            if self.steps > STEPS_MAX || self.memory.frames.len() > FRAMES_MAX {
                return Err(TooLong);
            }
            let next = match &program.ops[op] {
                Op::Split(first, second) => {
                    self.memory.frames.push(Frame::Try { op: *second, at });
                    Some((*first, at))
                }
                Op::Jump(to) => Some((*to, at)),
                Op::Loop(number) => Some((self.round(*number, at), at)),
                Op::Look { behind, negative, next } => {
                    (self.look(op + 1, *behind, at)? != *negative).then_some((*next, at))
                }
                Op::Atomic { next } => self.run(op + 1, at, NONE)?.map(|end| (*next, end)),
                Op::Done if target != NONE && at != target => None,
                Op::Done | Op::Match => {
                    self.keep(base);
                    return Ok(Some(at));
                }
                this => self.take(this, op, at).map(|at| (op + 1, at)),
            };
            (op, at) = match next.or_else(|| self.backtrack(base)) {
                Some(there) => there,
                None => return Ok(None),
            };
        }
    }

    /// Where an instruction ends that the next one follows.
    #[inline(always)]
    fn take(&mut self, this: &Op, op: usize, at: usize) -> Option<usize> {
        let program = self.program;
        match this {
            Op::Byte(byte) => (self.text.get(at) == Some(byte)).then_some(at + 1),
            Op::Bytes(bytes) => self.text[at..].starts_with(bytes).then_some(at + bytes.len()),
            Op::Class(class) => program.classes[*class].step(self.text, at),
            Op::ClassLoop(this) => self.class_loop(this, op, at),
            Op::Test(test) => self.test(*test, at).then_some(at),
            Op::Again(group, fold) => self.again(*group, *fold, at),
            Op::Mark(register) => {
                self.set(*register, at);
                Some(at)
            }
            Op::Group { group, mark } => {
                let before = self.memory.groups[*group];
                self.memory.frames.push(Frame::Group { group: *group, before: (before.0 as u32, before.1 as u32) });
                self.memory.groups[*group] = (self.memory.registers[*mark], at);
                Some(at)
            }
            Op::LoopStart(number) => {
                let this = &program.loops[*number];
                this.count.iter().for_each(|register| self.set(*register, 0));
                this.begin.iter().for_each(|register| self.set(*register, NONE));
                Some(at)
            }
            Op::Round(number) => {
                let this = &program.loops[*number];
                this.count.iter().for_each(|count| self.set(*count, self.memory.registers[*count] + 1));
                this.begin.iter().for_each(|register| self.set(*register, at));
                Some(at)
            }
            Op::Split(..) | Op::Jump(_) | Op::Loop(_) | Op::Look { .. } | Op::Atomic { .. } | Op::Done | Op::Match => {
                unreachable!("the program goes on elsewhere")
            }
        }
    }

    /// The end of a part by itself: no other way of it is tried. What its groups matched stays, even if what follows fails.
    fn keep(&mut self, base: usize) {
        for at in (base..self.memory.frames.len()).rev() {
            if let Frame::Register { register, before } = self.memory.frames[at] {
                self.memory.registers[register] = before;
            }
        }
        self.memory.frames.truncate(base);
    }

    fn set(&mut self, register: usize, value: usize) {
        let before = std::mem::replace(&mut self.memory.registers[register], value);
        self.memory.frames.push(Frame::Register { register, before });
    }

    /// The next way to try.
    fn backtrack(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.memory.frames.len() > base {
            match self.memory.frames.pop()? {
                Frame::Try { op, at } => return Some((op, at)),
                Frame::Exit { number, at } => {
                    self.learn(number, at);
                    return Some((self.program.loops[number].exit, at));
                }
                Frame::Less { op, from, at } => {
                    if let Some(at) = self.less(op, from, at) {
                        return Some((op + 1, at));
                    }
                }
                Frame::More { op, at, taken } => {
                    if let Some(at) = self.more(op, at, taken) {
                        return Some((op + 1, at));
                    }
                }
                Frame::Register { register, before } => self.memory.registers[register] = before,
                Frame::Group { group, before: (start, end) } => {
                    let place = |place: u32| if place == u32::MAX { NONE } else { place as usize };
                    self.memory.groups[group] = (place(start), place(end));
                }
            }
        }
        None
    }

    /// Matches a class as often as it is wanted; what else can be tried is kept.
    fn class_loop(&mut self, this: &ClassLoop, op: usize, start: usize) -> Option<usize> {
        let class = &self.program.classes[this.class];
        let (mut at, mut taken) = (start, 0);
        while taken < this.min {
            at = class.step(self.text, at)?;
            taken += 1;
        }
        if !this.greedy {
            if taken < this.max {
                self.memory.frames.push(Frame::More { op, at, taken });
            }
            return Some(at);
        }
        let from = at;
        while taken < this.max {
            match class.step(self.text, at) {
                Some(next) => at = next,
                None => break,
            }
            taken += 1;
        }
        self.steps += (at - start) as u64 / 16;
        if this.is_final || from == at {
            return Some(at);
        }
        if self.follows(this, at) {
            self.memory.frames.push(Frame::Less { op, from, at });
            return Some(at);
        }
        self.less(op, from, at)
    }

    /// Whether what follows a loop may begin at a place.
    fn follows(&self, this: &ClassLoop, at: usize) -> bool {
        this.then.as_ref().is_none_or(|then| self.text.get(at).is_some_and(|byte| then.has(*byte)))
    }

    /// The next shorter way of a greedy loop.
    fn less(&mut self, op: usize, from: usize, mut at: usize) -> Option<usize> {
        let program = self.program;
        let Op::ClassLoop(this) = &program.ops[op] else {
            unreachable!("the frame is a loop's");
        };
        let start = at;
        while at > from {
            at = back(self.text, at);
            if self.follows(this, at) {
                if at > from {
                    self.memory.frames.push(Frame::Less { op, from, at });
                }
                self.steps += (start - at) as u64 / 16;
                return Some(at);
            }
        }
        self.steps += (start - at) as u64 / 16;
        None
    }

    /// The next longer way of a lazy loop.
    fn more(&mut self, op: usize, start: usize, mut taken: usize) -> Option<usize> {
        let program = self.program;
        let Op::ClassLoop(this) = &program.ops[op] else {
            unreachable!("the frame is a loop's");
        };
        let mut at = start;
        loop {
            at = program.classes[this.class].step(self.text, at)?;
            taken += 1;
            if self.follows(this, at) {
                if taken < this.max {
                    self.memory.frames.push(Frame::More { op, at, taken });
                }
                self.steps += (at - start) as u64 / 16;
                return Some(at);
            }
            if taken == this.max {
                return None;
            }
        }
    }

    /// Behind a round of a loop: the next round, or the exit.
    fn round(&mut self, number: usize, at: usize) -> usize {
        let this = &self.program.loops[number];
        // An empty round is the last one.
        let is_empty = this.begin.is_some_and(|begin| self.memory.registers[begin] == at);
        let count = this.count.map_or(0, |count| self.memory.registers[count]);
        if is_empty {
            if let Some(group) = this.group.filter(|_| count > this.times.min as usize || this.count.is_none()) {
                self.forget(group);
            }
            return this.exit;
        }
        if count < this.times.min as usize {
            return this.body;
        }
        if this.times.max != NO_MAX && count >= this.times.max as usize || self.has_failed(number, at) {
            return this.exit;
        }
        if !this.times.greedy {
            self.memory.frames.push(Frame::Try { op: this.body, at });
            return this.exit;
        }
        self.memory.frames.push(Frame::Exit { number, at });
        this.body
    }

    /// Gives a group back what it had before the round that has just ended.
    fn forget(&mut self, group: usize) {
        let Some(Frame::Group { before: (start, end), .. }) = self.memory.frames.last().copied() else {
            return;
        };
        let place = |place: u32| if place == u32::MAX { NONE } else { place as usize };
        let now = std::mem::replace(&mut self.memory.groups[group], (place(start), place(end)));
        self.memory.frames.push(Frame::Group { group, before: (now.0 as u32, now.1 as u32) });
    }

    fn learn(&mut self, number: usize, at: usize) {
        let Some(known) = self.program.loops[number].known.filter(|_| self.steps > LEARNS_AFTER) else {
            return;
        };
        if self.memory.learnt.is_empty() {
            let bits = self.program.known_loops.saturating_mul(self.text.len() + 1);
            if bits > LEARNT_MAX {
                return;
            }
            self.memory.learnt.resize(bits.div_ceil(64), 0);
        }
        let bit = known * (self.text.len() + 1) + at;
        self.memory.learnt[bit >> 6] |= 1 << (bit & 63);
    }

    fn has_failed(&self, number: usize, at: usize) -> bool {
        let Some(known) = self.program.loops[number].known.filter(|_| !self.memory.learnt.is_empty()) else {
            return false;
        };
        let bit = known * (self.text.len() + 1) + at;
        self.memory.learnt[bit >> 6] >> (bit & 63) & 1 == 1
    }

    /// Whether a part by itself matches at a place, or up to it.
    fn look(&mut self, op: usize, behind: Option<(usize, Reach)>, at: usize) -> Result<bool, TooLong> {
        let Some((min, reach)) = behind else {
            return Ok(self.run(op, at, NONE)?.is_some());
        };
        let max = match reach {
            Reach::Characters(max) => max,
            Reach::Any => usize::MAX,
            Reach::Nowhere => return Ok(false),
        };
        let mut start = at;
        for length in 0..=max {
            if length >= min && self.run(op, start, at)?.is_some() {
                return Ok(true);
            }
            if start == 0 {
                break;
            }
            start = back(self.text, start);
        }
        Ok(false)
    }

    /// The end of what a group matched, once more.
    fn again(&mut self, group: usize, fold: Fold, at: usize) -> Option<usize> {
        let (start, end) = self.memory.groups.get(group).copied().filter(|(start, _)| *start != NONE)?;
        self.steps += (end - start) as u64 / 16;
        if fold == Fold::Exact {
            return self.text[at..].starts_with(&self.text[start..end]).then_some(at + end - start);
        }
        let (mut from, mut at) = (start, at);
        while from < end {
            if at == self.text.len() {
                return None;
            }
            let ((one, from_next), (other, at_next)) = (decode(self.text, from), decode(self.text, at));
            let is_alike = match fold {
                Fold::Unicode => characters::fold(one) == characters::fold(other),
                _ => {
                    let lower =
                        |code: u32| if code < 128 { u32::from((code as u8).to_ascii_lowercase()) } else { code };
                    lower(one) == lower(other)
                }
            };
            if one != other && !is_alike {
                return None;
            }
            (from, at) = (from_next, at_next);
        }
        Some(at)
    }

    fn test(&self, test: Test, at: usize) -> bool {
        let text = self.text;
        let rest = &text[at..];
        match test {
            Test::Start => at == 0,
            Test::End => rest.is_empty(),
            Test::Previous => at == self.previous,
            Test::LastLineEnd { unix: true } => rest.is_empty() || rest == b"\n",
            Test::LastLineEnd { unix: false } => match rest {
                b"" | b"\r" | b"\r\n" | b"\xC2\x85" | b"\xE2\x80\xA8" | b"\xE2\x80\xA9" => true,
                b"\n" => at == 0 || text[at - 1] != b'\r',
                _ => false,
            },
            Test::LineEnd { unix: true } => rest.first().is_none_or(|byte| *byte == b'\n'),
            Test::LineEnd { unix: false } => match rest.first() {
                None => true,
                Some(b'\n') => at == 0 || text[at - 1] != b'\r',
                Some(_) => ends_line(rest),
            },
            Test::LineStart { unix } => {
                // Not even in an empty text.
                if rest.is_empty() {
                    return false;
                }
                if at == 0 {
                    return true;
                }
                match (text[at - 1], unix) {
                    (b'\n', _) => true,
                    (_, true) => false,
                    (b'\r', _) => rest[0] != b'\n',
                    _ => {
                        let before = &text[back(text, at)..at];
                        matches!(before, b"\xC2\x85" | b"\xE2\x80\xA8" | b"\xE2\x80\xA9")
                    }
                }
            }
            Test::Word { negative, unicode } => {
                let words = self.program.words.as_ref().expect("the program has a word's end");
                let class = if unicode { &words.unicode } else { &words.plain };
                let before = at > 0 && self.is_word(class, back(text, at));
                let after = at < text.len() && self.is_word(class, at);
                (before != after) != negative
            }
        }
    }

    /// Whether a character is of a word: one of its letters, or a mark on a letter.
    fn is_word(&self, class: &Class, mut at: usize) -> bool {
        let (code, _) = decode(self.text, at);
        if class.has(code) {
            return true;
        }
        let words = self.program.words.as_ref().expect("the program has a word's end");
        while words.marks.has(decode(self.text, at).0) {
            if at == 0 {
                return false;
            }
            at = back(self.text, at);
            if words.letters.has(decode(self.text, at).0) {
                return true;
            }
        }
        false
    }
}

fn ends_line(rest: &[u8]) -> bool {
    matches!(rest, [b'\n' | b'\r', ..] | [0xC2, 0x85, ..] | [0xE2, 0x80, 0xA8 | 0xA9, ..])
}
