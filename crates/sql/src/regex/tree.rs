//! A pattern as a tree.

use super::set::Set;
use super::study::Reach;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Empty,
    /// One character, as it is.
    Char(u32),
    /// One of several characters.
    Set(Set),
    /// One behind the other.
    Sequence(Vec<Node>),
    /// The first that leads to a match.
    Choice(Vec<Node>),
    /// A group that keeps what it matched.
    Group(usize, Box<Node>),
    Repeat(Box<Node>, Times),
    Look {
        /// How far back it looks, if it does.
        behind: Option<Reach>,
        negative: bool,
        node: Box<Node>,
    },
    /// What it matched is final.
    Atomic(Box<Node>),
    Test(Test),
    /// What a group matched, once more.
    Again(usize, Fold),
    /// `\R`.
    LineEnd,
}

/// How often, and whether more or less is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) min: u32,
    /// [`NO_MAX`] for any number.
    pub(super) max: u32,
    pub(super) greedy: bool,
}

pub(super) const NO_MAX: u32 = u32::MAX;

/// Which characters are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    Exact,
    Ascii,
    Unicode,
}

/// A condition on a place of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// `^`, `\A`.
    Start,
    /// `\z`.
    End,
    /// `$`, `\Z`: the end, or before a line end that ends the text.
    LastLineEnd { unix: bool },
    /// `^` of a line.
    LineStart { unix: bool },
    /// `$` of a line.
    LineEnd { unix: bool },
    /// `\b`; by the flag U, what a word is made of differs.
    Word { negative: bool, unicode: bool },
    /// `\G`: where the match before ended.
    Previous,
}

impl Node {
    /// A match has at least so many characters.
    pub(super) fn min(&self) -> usize {
        match self {
            Node::Empty | Node::Test(_) | Node::Look { .. } | Node::Again(..) => 0,
            Node::Char(_) | Node::Set(_) | Node::LineEnd => 1,
            Node::Group(_, node) | Node::Atomic(node) => node.min(),
            Node::Sequence(nodes) => nodes.iter().map(Node::min).fold(0, usize::saturating_add),
            Node::Choice(nodes) => nodes.iter().map(Node::min).min().unwrap_or(0),
            Node::Repeat(node, times) => node.min().saturating_mul(times.min as usize),
        }
    }
}
