//! Character classes: `[a-z&&[^b]]`, read as Java 17 reads them.

use super::escapes::{self, Escape};
use super::parse::{Next, Parser};
use super::set::Set;
use super::tree::Fold;
use super::{Mistake, characters};

/// So deep may classes be nested.
const DEPTH_MAX: usize = 100;

/// Behind `[`, up to its `]`.
pub(super) fn class(parser: &mut Parser) -> Result<Set, Mistake> {
    part(parser, true, 0)
}

/// A class, or the rest of one behind `&&`, which leaves the `]` to it.
fn part(parser: &mut Parser, whole: bool, depth: usize) -> Result<Set, Mistake> {
    if depth > DEPTH_MAX {
        return Err(parser.mistake(format!("classes are nested more than {DEPTH_MAX} deep")));
    }
    let negative = whole && parser.take('^');
    let mut all: Option<Set> = None;
    // What came last decides what `&&` without a right side means.
    let mut last: Option<Set> = None;
    // Characters by themselves join at the end, or before an `&&`.
    let mut singles = Set::default();
    loop {
        let Some(next) = parser.peek() else {
            return Err(parser.mistake("a class that does not end; close it with `]`"));
        };
        match next {
            Next::Plain(']') if all.is_some() || !singles.ranges().is_empty() => {
                parser.at += usize::from(whole);
                let set = all.unwrap_or_default().union(&singles);
                return Ok(if negative { set.negate() } else { set });
            }
            Next::Plain('[') => {
                parser.at += 1;
                let inner = part(parser, true, depth + 1)?;
                all = Some(all.map_or(inner.clone(), |all| all.union(&inner)));
                last = Some(inner);
            }
            Next::Plain('&') if both(parser) => {
                let right = right_side(parser, depth)?;
                if !singles.ranges().is_empty() {
                    all = Some(all.unwrap_or_default().union(&singles));
                    last = last.or_else(|| Some(singles.clone()));
                    singles = Set::default();
                }
                last = right.clone().or(last);
                all = Some(match (all, right) {
                    (None, None) => return Err(parser.mistake("nothing on both sides of `&&`")),
                    (None, Some(right)) => right,
                    (Some(all), _) => all.intersect(last.as_ref().unwrap_or(&all)),
                });
            }
            _ => {
                let (set, single) = item(parser)?;
                match single {
                    true => singles = singles.union(&set),
                    false => {
                        all = Some(all.map_or(set.clone(), |all| all.union(&set)));
                        last = Some(set);
                    }
                }
            }
        }
    }
}

/// Takes `&&`.
fn both(parser: &mut Parser) -> bool {
    let at = parser.at;
    let both = parser.take('&') && parser.take('&');
    if !both {
        parser.at = at;
    }
    both
}

/// What stands behind `&&`; nothing if the class or another `&&` follows.
fn right_side(parser: &mut Parser, depth: usize) -> Result<Option<Set>, Mistake> {
    let mut right: Option<Set> = None;
    loop {
        match parser.peek() {
            None => return Err(parser.mistake("a class that does not end; close it with `]`")),
            Some(Next::Plain(']' | '&')) => return Ok(right),
            Some(Next::Plain('[')) => {
                parser.at += 1;
                let inner = part(parser, true, depth + 1)?;
                right = Some(right.map_or(inner.clone(), |right| right.union(&inner)));
            }
            Some(_) => {
                let rest = part(parser, false, depth + 1)?;
                right = Some(right.map_or(rest.clone(), |right| right.union(&rest)));
            }
        }
    }
}

/// A character, a range or a set; whether it is a character.
fn item(parser: &mut Parser) -> Result<(Set, bool), Mistake> {
    let first = match parser.peek() {
        Some(Next::Plain('\\')) => {
            parser.at += 1;
            let at = parser.at;
            let is_range = parser.next_raw().is_some() && parser.raw() == Some(Next::Plain('-'));
            parser.at = at;
            match escapes::escape(parser, true, is_range)? {
                Escape::Char(code) => code,
                Escape::Set(set) => return Ok((set, false)),
                Escape::Node(_) => unreachable!("no node in a class"),
            }
        }
        _ => u32::from(parser.next_raw().expect("peeked")),
    };
    let fold = parser.flags.fold();
    if parser.peek() != Some(Next::Plain('-')) {
        return Ok((one_in_any_case(first, fold), true));
    }
    let minus = parser.at;
    parser.at += 1;
    let last = match parser.raw() {
        Some(Next::Plain('[' | ']')) => {
            parser.at = minus;
            return Ok((one_in_any_case(first, fold), true));
        }
        Some(Next::Plain('\\')) => {
            parser.at += 1;
            match escapes::escape(parser, true, true)? {
                Escape::Char(code) => code,
                _ => return Err(parser.mistake_before("a set as the end of a range; write - as the first character")),
            }
        }
        _ => match parser.peek() {
            Some(_) => u32::from(parser.next_raw().expect("peeked")),
            None => return Err(parser.mistake("a class that does not end; close it with `]`")),
        },
    };
    if last < first {
        return Err(parser.mistake_before("a range that ends before it begins; write the lesser character first"));
    }
    Ok((in_any_case(Set::of(&[(first, last)]), fold), false))
}

/// A character and those that are alike.
pub(super) fn one_in_any_case(code: u32, fold: Fold) -> Set {
    match fold {
        Fold::Unicode => in_any_case(Set::one(characters::fold(code)), fold).union(&Set::one(code)),
        _ => in_any_case(Set::one(code), fold),
    }
}

fn in_any_case(set: Set, fold: Fold) -> Set {
    match fold {
        Fold::Exact => set,
        Fold::Unicode => characters::any_case(&set),
        Fold::Ascii => {
            let letters = (0..26).flat_map(|letter| [(65 + letter, 97 + letter), (97 + letter, 65 + letter)]);
            let other = letters.filter(|(letter, _)| set.contains(*letter)).map(|(_, other)| (other, other));
            set.union(&Set::of(&other.collect::<Vec<_>>()))
        }
    }
}
