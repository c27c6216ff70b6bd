//! What Java finds out about a part: how long look-behind may be, and which loops have one way only. It reckons with numbers
//! of 32 bits that overflow, and some patterns are patterns only because of that.

use super::tree::{NO_MAX, Node, Times};

/// Characters that a part takes.
#[derive(Clone, Copy)]
struct Length {
    min: i32,
    max: i32,
    /// Whether there is a greatest length.
    is_limited: bool,
    /// Whether there is one way to match it.
    is_fixed: bool,
}

const START: Length = Length { min: 0, max: 0, is_limited: true, is_fixed: true };

/// How far back look-behind looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Characters(usize),
    Any,
    /// The overflow makes it match nowhere.
    Nowhere,
}

/// That of a part; `None` if Java finds no limit.
pub(super) fn reach(node: &Node) -> Option<Reach> {
    let length = alone(node);
    length.is_limited.then_some(match length.max {
        max @ 0.. => Reach::Characters(max as usize),
        max if max < i32::MIN / 2 => Reach::Any,
        _ => Reach::Nowhere,
    })
}

/// Whether a loop over the part comes back to no other way of a round.
pub(super) fn is_fixed(node: &Node) -> bool {
    alone(node).is_fixed
}

/// Whether it is written in parentheses: Java repeats such a part by other means.
pub(super) fn is_group(node: &Node) -> bool {
    matches!(node, Node::Group(..) | Node::Sequence(_) | Node::Choice(_) | Node::Repeat(..) | Node::Empty)
}

fn alone(node: &Node) -> Length {
    let mut length = START;
    study(node, &mut length, &mut |_| {});
    length
}

/// Goes through a part and what follows it, which a choice reckons separately.
fn study(node: &Node, length: &mut Length, next: &mut dyn FnMut(&mut Length)) {
    match node {
        Node::Empty | Node::Test(_) | Node::Look { .. } => next(length),
        Node::Char(_) | Node::Set(_) => {
            add(length, 1, 1);
            next(length);
        }
        Node::LineEnd => {
            add(length, 1, 2);
            next(length);
        }
        Node::Again(..) => {
            length.is_limited = false;
            next(length);
        }
        Node::Group(_, node) => study(node, length, next),
        Node::Atomic(node) => {
            study(node, length, &mut |_| {});
            next(length);
        }
        Node::Sequence(nodes) => sequence(nodes, length, next),
        Node::Choice(nodes) => choice(&nodes.iter().collect::<Vec<_>>(), length, next),
        Node::Repeat(node, times) => repeat(node, *times, length, next),
    }
}

fn add(length: &mut Length, min: i32, max: i32) {
    length.min = length.min.wrapping_add(min);
    length.max = length.max.wrapping_add(max);
}

fn sequence(nodes: &[Node], length: &mut Length, next: &mut dyn FnMut(&mut Length)) {
    let plain = nodes.iter().take_while(|node| matches!(node, Node::Char(_) | Node::Set(_) | Node::Test(_)));
    let plain = plain.inspect(|node| {
        add(length, i32::from(!matches!(node, Node::Test(_))), i32::from(!matches!(node, Node::Test(_))))
    });
    let rest = &nodes[plain.count()..];
    match rest.split_first() {
        None => next(length),
        Some((first, rest)) => study(first, length, &mut |length| sequence(rest, length, next)),
    }
}

fn choice(nodes: &[&Node], length: &mut Length, next: &mut dyn FnMut(&mut Length)) {
    let branches: Vec<Length> = nodes.iter().map(|node| alone(node)).collect();
    let min = branches.iter().map(|branch| branch.min).min().unwrap_or(0);
    let max = branches.iter().map(|branch| branch.max).max().unwrap_or(0);
    let is_limited = length.is_limited && branches.iter().all(|branch| branch.is_limited);
    let before = *length;
    *length = START;
    next(length);
    add(length, before.min.wrapping_add(min), before.max.wrapping_add(max));
    length.is_limited &= is_limited;
    length.is_fixed = false;
}

fn repeat(node: &Node, times: Times, length: &mut Length, next: &mut dyn FnMut(&mut Length)) {
    let is_once = (times.min, times.max) == (0, 1);
    match node {
        Node::Char(_) | Node::Set(_) if times.greedy && times.max == NO_MAX => {
            add(length, times.min as i32, i32::MAX);
            length.is_fixed = false;
        }
        node if is_group(node) && is_once => return choice(&[node, &Node::Empty], length, next),
        node if is_once => {
            let min = length.min;
            study(node, length, &mut |_| {});
            length.min = min;
            length.is_fixed = false;
        }
        node if is_group(node) && !is_fixed(node) => (length.is_limited, length.is_fixed) = (false, false),
        node => {
            let (before, one) = (*length, alone(node));
            let max = if times.max == NO_MAX { i32::MAX } else { times.max as i32 };
            length.min = one.min.wrapping_mul(times.min as i32).wrapping_add(before.min);
            length.max = one.max.wrapping_mul(max).wrapping_add(before.max);
            length.is_limited = before.is_limited && one.is_limited && length.max >= before.max;
            length.is_fixed = before.is_fixed && one.is_fixed && times.min == times.max;
        }
    }
    next(length);
}
