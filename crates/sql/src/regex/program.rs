//! A tree as instructions, with what speeds them up: a loop over one class is one instruction and keeps nothing to come back
//! to where what follows begins with none of its characters; a search skips places where no match can begin.

use super::escapes::line_ends;
use super::set::{Bytes, Class, Set};
use super::study::{self, Reach};
use super::tree::{Fold, NO_MAX, Node, Test, Times};
use memchr::memmem::Finder;

pub(super) enum Op {
    Byte(u8),
    Bytes(Box<[u8]>),
    Class(usize),
    ClassLoop(ClassLoop),
    /// The first is tried first.
    Split(usize, usize),
    Jump(usize),
    /// The place goes into a register.
    Mark(usize),
    /// The group is what lies behind a mark.
    Group {
        group: usize,
        mark: usize,
    },
    LoopStart(usize),
    /// Behind each round, and before the first.
    Loop(usize),
    /// A round begins.
    Round(usize),
    Test(Test),
    Again(usize, Fold),
    /// A part that follows, up to its `Done`, is matched by itself.
    Look {
        behind: Option<(usize, Reach)>,
        negative: bool,
        next: usize,
    },
    Atomic {
        next: usize,
    },
    Done,
    Match,
}

/// A class, so often.
pub(super) struct ClassLoop {
    pub(super) class: usize,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) greedy: bool,
    /// Nothing shorter can lead to a match.
    pub(super) is_final: bool,
    /// What follows begins with one of these, if it is known.
    pub(super) then: Option<Box<Bytes>>,
}

/// A loop over more than a class.
pub(super) struct Loop {
    /// The register of the number of rounds, if that matters.
    pub(super) count: Option<usize>,
    /// The register of the place where a round began, if a round may be empty.
    pub(super) begin: Option<usize>,
    pub(super) times: Times,
    pub(super) body: usize,
    pub(super) exit: usize,
    /// Of a group that has one way only, an empty round that is not needed leaves no trace.
    pub(super) group: Option<usize>,
    /// Its number among the loops of which a round that failed once at a place fails there again.
    pub(super) known: Option<usize>,
}

/// Where a match may begin.
pub(super) enum Begin {
    Anywhere,
    /// At the start of the text only.
    Start,
    /// At this byte, or one of several.
    Byte(u8),
    TwoBytes(u8, u8),
    ThreeBytes(u8, u8, u8),
    Bytes(Box<Bytes>),
    Text(Box<Finder<'static>>),
}

pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) classes: Vec<Class>,
    pub(super) loops: Vec<Loop>,
    pub(super) registers: usize,
    /// With the whole match.
    pub(super) groups: usize,
    pub(super) known_loops: usize,
    pub(super) begin: Begin,
    /// A match has at least so many bytes.
    pub(super) bytes_min: usize,
    /// The pattern begins with `.*` of this class: if no match begins at a place, none does up to the next other character.
    pub(super) leading: Option<usize>,
    /// Letters and digits, and the marks that stand on them; for `\b`.
    pub(super) words: Option<Box<Words>>,
}

pub(super) struct Words {
    pub(super) plain: Class,
    pub(super) unicode: Class,
    pub(super) letters: Class,
    pub(super) marks: Class,
}

pub(super) fn program(node: &Node, groups: usize) -> Program {
    let mut compiler = Compiler { has_again: refers(node), ..Compiler::default() };
    compiler.node(node);
    compiler.op(Op::Match);
    let Compiler { ops, classes, loops, registers, known_loops, needs_words, has_again, .. } = compiler;
    let words = needs_words.then(|| Box::new(words()));
    let begin = Begin::Anywhere;
    let bytes_min = node.min();
    let mut program =
        Program { ops, classes, loops, registers, groups, known_loops, begin, bytes_min, leading: None, words };
    program.finish_loops();
    program.begin = program.find_begin();
    let leading = match &program.ops[0] {
        Op::ClassLoop(ClassLoop { class, min: 0, max: usize::MAX, greedy: true, .. }) => Some(*class),
        _ => None,
    };
    let previous = program.ops.iter().any(|op| matches!(op, Op::Test(Test::Previous)));
    program.leading = leading.filter(|_| !has_again && !previous);
    program
}

fn words() -> Words {
    use super::characters::categories;
    let letters = categories(&["L", "Nd"]);
    let unicode = super::characters::unicode("WORD", false).expect("a property");
    Words {
        plain: Class::new(&letters.union(&Set::one(95))),
        unicode: Class::new(&unicode),
        letters: Class::new(&letters),
        marks: Class::new(&categories(&["Mn"])),
    }
}

/// Whether it refers to what a group matched.
fn refers(node: &Node) -> bool {
    any(node, &|node| matches!(node, Node::Again(..)))
}

fn any(node: &Node, is: &dyn Fn(&Node) -> bool) -> bool {
    is(node)
        || match node {
            Node::Sequence(nodes) | Node::Choice(nodes) => nodes.iter().any(|node| any(node, is)),
            Node::Group(_, node) | Node::Repeat(node, _) | Node::Look { node, .. } | Node::Atomic(node) => {
                any(node, is)
            }
            Node::Empty | Node::Char(_) | Node::Set(_) | Node::Test(_) | Node::Again(..) | Node::LineEnd => false,
        }
}

#[derive(Default)]
struct Compiler {
    ops: Vec<Op>,
    classes: Vec<Class>,
    sets: Vec<Set>,
    loops: Vec<Loop>,
    registers: usize,
    known_loops: usize,
    needs_words: bool,
    has_again: bool,
    /// Within a part where a failure at a place says nothing of the next time.
    uncertain: usize,
}

impl Compiler {
    fn op(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.ops.len() - 1
    }

    fn register(&mut self) -> usize {
        self.registers += 1;
        self.registers - 1
    }

    fn class(&mut self, set: &Set) -> usize {
        if let Some(known) = self.sets.iter().position(|known| known == set) {
            return known;
        }
        self.sets.push(set.clone());
        self.classes.push(Class::new(set));
        self.classes.len() - 1
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Empty => {}
            Node::Char(code) => self.text(&[*code]),
            Node::Set(set) => {
                let class = self.class(set);
                self.op(Op::Class(class));
            }
            Node::Sequence(nodes) => self.sequence(nodes),
            Node::Choice(nodes) => self.choice(nodes),
            Node::Group(group, node) => {
                let mark = self.register();
                self.op(Op::Mark(mark));
                self.node(node);
                self.op(Op::Group { group: *group, mark });
            }
            Node::Repeat(node, times) => self.repeat(node, *times),
            Node::Look { behind, negative, node } => {
                let behind = behind.map(|reach| (node.min(), reach));
                self.alone(node, behind.is_some(), |next| Op::Look { behind, negative: *negative, next });
            }
            Node::Atomic(node) => self.alone(node, false, |next| Op::Atomic { next }),
            Node::Test(test) => {
                self.needs_words |= matches!(test, Test::Word { .. });
                self.op(Op::Test(*test));
            }
            Node::Again(group, fold) => {
                self.op(Op::Again(*group, *fold));
            }
            Node::LineEnd => {
                let both = Node::Sequence(vec![Node::Char(13), Node::Char(10)]);
                self.choice(&[both, Node::Set(line_ends())]);
            }
        }
    }

    fn sequence(&mut self, nodes: &[Node]) {
        let mut text = Vec::new();
        for node in nodes {
            if let Node::Char(code) = node {
                text.push(*code);
                continue;
            }
            self.text(&std::mem::take(&mut text));
            self.node(node);
        }
        self.text(&text);
    }

    fn text(&mut self, codes: &[u32]) {
        let mut bytes = String::new();
        for code in codes {
            match char::from_u32(*code) {
                Some(c) => bytes.push(c),
                // Half a character is in no text.
                None => {
                    let none = self.class(&Set::default());
                    self.op(Op::Class(none));
                    return;
                }
            }
        }
        match bytes.as_bytes() {
            [] => {}
            [byte] => {
                self.op(Op::Byte(*byte));
            }
            bytes => {
                self.op(Op::Bytes(bytes.into()));
            }
        }
    }

    fn choice(&mut self, nodes: &[Node]) {
        let mut ends = Vec::new();
        for node in &nodes[..nodes.len() - 1] {
            let split = self.op(Op::Split(0, 0));
            self.node(node);
            ends.push(self.op(Op::Jump(0)));
            self.ops[split] = Op::Split(split + 1, self.ops.len());
        }
        self.node(&nodes[nodes.len() - 1]);
        let end = self.ops.len();
        ends.into_iter().for_each(|jump| self.ops[jump] = Op::Jump(end));
    }

    /// A part that is matched by itself.
    fn alone(&mut self, node: &Node, uncertain: bool, op: impl FnOnce(usize) -> Op) {
        let head = self.op(Op::Done);
        self.uncertain += usize::from(uncertain);
        self.node(node);
        self.uncertain -= usize::from(uncertain);
        self.op(Op::Done);
        self.ops[head] = op(self.ops.len());
    }

    fn repeat(&mut self, node: &Node, times: Times) {
        let set = match node {
            Node::Set(set) => Some(set.clone()),
            Node::Char(code) => Some(Set::one(*code)),
            _ => None,
        };
        if times.max == 0 {
            return;
        }
        if let Some(set) = set {
            let class = self.class(&set);
            let max = if times.max == NO_MAX { usize::MAX } else { times.max as usize };
            let (min, greedy) = (times.min as usize, times.greedy);
            self.op(Op::ClassLoop(ClassLoop { class, min, max, greedy, is_final: false, then: None }));
        } else if (times.min, times.max) == (0, 1) {
            let split = self.op(Op::Split(0, 0));
            self.node(node);
            let end = self.ops.len();
            self.ops[split] = if times.greedy { Op::Split(split + 1, end) } else { Op::Split(end, split + 1) };
        } else {
            self.repeat_more(node, times);
        }
    }

    fn repeat_more(&mut self, node: &Node, times: Times) {
        let counts = times.min > 0 || times.max != NO_MAX;
        let count = counts.then(|| self.register());
        let begin = (node.min() == 0).then(|| self.register());
        let is_known = times.greedy && times.max == NO_MAX && self.uncertain == 0 && !self.has_again;
        let known = is_known.then(|| {
            self.known_loops += 1;
            self.known_loops - 1
        });
        let number = self.loops.len();
        let is_fixed = study::is_group(node) && study::is_fixed(node);
        let group = match node {
            Node::Group(group, _) if is_fixed => Some(*group),
            _ => None,
        };
        self.loops.push(Loop { count, begin, times, body: 0, exit: 0, group, known });
        self.op(Op::LoopStart(number));
        let test = self.op(Op::Loop(number));
        let body = self.op(Op::Round(number));
        let depends = times.min > 1 || times.max != NO_MAX;
        self.uncertain += usize::from(depends);
        match node {
            Node::Group(group, node) if is_fixed => {
                let mark = self.register();
                self.op(Op::Mark(mark));
                self.fixed(node);
                self.op(Op::Group { group: *group, mark });
            }
            node if is_fixed => self.fixed(node),
            node => self.node(node),
        }
        self.uncertain -= usize::from(depends);
        self.op(Op::Jump(test));
        let exit = self.ops.len();
        (self.loops[number].body, self.loops[number].exit) = (body, exit);
    }
}

impl Compiler {
    /// A part that has one way only for Java, also where a line end has two.
    fn fixed(&mut self, node: &Node) {
        match any(node, &|node| matches!(node, Node::LineEnd)) {
            true => self.alone(node, false, |next| Op::Atomic { next }),
            false => self.node(node),
        }
    }
}

impl Program {
    /// Tells each loop over a class what follows it.
    fn finish_loops(&mut self) {
        for at in 0..self.ops.len() {
            let Op::ClassLoop(ClassLoop { class, .. }) = &self.ops[at] else {
                continue;
            };
            let own = self.classes[*class].first.clone();
            let then = self.first(at + 1);
            let Op::ClassLoop(found) = &mut self.ops[at] else {
                unreachable!("it was one");
            };
            found.is_final = then.as_ref().is_some_and(|then| !then.meets(&own));
            found.then = then.map(Box::new);
        }
    }

    /// What a match from an instruction on begins with; `None` if it may be empty, or if that is not known.
    fn first(&self, at: usize) -> Option<Bytes> {
        let mut found = Bytes::NONE;
        let mut seen = vec![false; self.ops.len()];
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match &self.ops[at] {
                Op::Byte(byte) => found.add(*byte),
                Op::Bytes(bytes) => found.add(bytes[0]),
                Op::Class(class) => found.join(&self.classes[*class].first),
                Op::ClassLoop(ClassLoop { class, min, .. }) => {
                    found.join(&self.classes[*class].first);
                    if *min == 0 {
                        open.push(at + 1);
                    }
                }
                Op::Split(a, b) => open.extend([*a, *b]),
                Op::Jump(to) => open.push(*to),
                Op::Loop(number) => open.extend([self.loops[*number].body, self.loops[*number].exit]),
                Op::Mark(_) | Op::Group { .. } | Op::LoopStart(_) | Op::Round(_) | Op::Test(_) | Op::Atomic { .. } => {
                    open.push(at + 1);
                }
                Op::Look { next, .. } => open.push(*next),
                // The end of an atomic group: what is behind it follows. That of a look-around is not known.
                Op::Done | Op::Again(..) | Op::Match => return None,
            }
        }
        Some(found)
    }

    fn find_begin(&self) -> Begin {
        let first = self.ops.iter().find(|op| !matches!(op, Op::Mark(_)));
        match first {
            Some(Op::Test(Test::Start)) => return Begin::Start,
            Some(Op::Bytes(bytes)) => return Begin::Text(Box::new(Finder::new(bytes).into_owned())),
            _ => {}
        }
        let Some(bytes) = self.first(0) else {
            return Begin::Anywhere;
        };
        match bytes.list()[..] {
            [a] => Begin::Byte(a),
            [a, b] => Begin::TwoBytes(a, b),
            [a, b, c] => Begin::ThreeBytes(a, b, c),
            _ => Begin::Bytes(Box::new(bytes)),
        }
    }
}
