//! LIKE and RLIKE. Regular expressions are Java's ([`crate::regex`]).

use super::regexps::Patterns;
use super::{Arguments, Function, Param, build};
use crate::eval::RowErrors;
use crate::expr::Expr;
use crate::regex::{Regex, TooLong};
use crate::value::Value;
use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::DataType;
use memchr::memmem;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

const PREDICATE: Function =
    Function { params: &[Param::String, Param::String], required: 2, gives: |_| DataType::Boolean, ..Function::BLANK };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "like",
        usage: "like(text, pattern[, escape])",
        about: "Whether the text matches: `%` stands for any text, `_` for a character. The operator LIKE.",
        example: "'Spark' LIKE '_park'",
        params: &[Param::String, Param::String, Param::String],
        kernel: |arguments| like(arguments, false),
        check: check_like,
        ..PREDICATE
    },
    Function {
        name: "ilike",
        usage: "ilike(text, pattern[, escape])",
        about: "As `like`, but letters match in both cases.",
        example: "ilike('Spark', '_PARK')",
        params: &[Param::String, Param::String, Param::String],
        kernel: |arguments| like(arguments, true),
        check: check_like,
        ..PREDICATE
    },
    Function {
        name: "rlike",
        aliases: &["regexp_like", "regexp"],
        usage: "rlike(text, pattern)",
        about: "Whether a regular expression matches a part of the text. The operator RLIKE.",
        example: "rlike('Spark 4', r'\\d')",
        kernel: rlike,
        check: check_regex,
        ..PREDICATE
    },
];

const BAD_LIKE: &str = "INVALID_FORMAT";
pub(super) const BAD_REGEX: &str = "INVALID_PARAMETER_VALUE.PATTERN";

fn like(arguments: &mut Arguments, ignore_case: bool) -> ArrayRef {
    let escapes = arguments.columns.get(2).map(|column| column.texts());
    let fold = |text: &str| if ignore_case { text.to_lowercase() } else { text.to_string() };
    let is_planned = arguments.columns[1].constant && !arguments.columns[0].constant;
    let compile = |row: usize, pattern: &str| {
        let escape = escapes.as_ref().and_then(|escapes| escapes.get(row)?.chars().next());
        LikePattern::parse(&fold(pattern), escape.unwrap_or('\\'), is_planned)
    };
    matched(arguments, BAD_LIKE, compile, |pattern: &LikePattern, text| {
        if ignore_case { pattern.matches(&text.to_lowercase()) } else { pattern.matches(text) }
    })
}

fn rlike(arguments: &mut Arguments) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, mut patterns) = (columns[0].texts(), Patterns::of(&columns[1]));
    build::booleans(arguments.rows, |row| {
        let text = texts.get(row)?;
        let found = patterns.get(row, arguments.errors)?.find(text);
        found.map_err(|error| too_long(arguments.errors, row, error)).ok()
    })
}

/// Tests each text with its pattern; a pattern that comes again, as a constant does, is compiled once.
fn matched<P>(
    arguments: &mut Arguments,
    class: &'static str,
    compile: impl Fn(usize, &str) -> Result<P, String>,
    test: impl Fn(&P, &str) -> bool,
) -> ArrayRef {
    let columns = arguments.columns;
    let (texts, patterns) = (columns[0].texts(), columns[1].texts());
    let mut last: Option<(&str, Result<P, String>)> = None;
    let value = |row: usize| {
        let (text, pattern) = (texts.get(row)?, patterns.get(row)?);
        if last.as_ref().is_none_or(|(known, _)| *known != pattern) {
            last = Some((pattern, compile(row, pattern)));
        }
        match &last.as_ref()?.1 {
            Ok(pattern) => Some(test(pattern, text)),
            Err(message) => {
                arguments.errors.record(row, class, || message.clone());
                None
            }
        }
    };
    Arc::new((0..arguments.rows).map(value).collect::<BooleanArray>())
}

fn check_like(arguments: &[Expr]) -> Result<(), String> {
    let escape = match arguments.get(2) {
        Some(Expr::Literal(Value::String(escape), _)) => escape.chars().next().unwrap_or('\\'),
        _ => '\\',
    };
    constant_pattern(arguments).map_or(Ok(()), |pattern| LikePattern::parse(pattern, escape, true).map(drop))
}

pub(super) fn check_regex(arguments: &[Expr]) -> Result<(), String> {
    constant_pattern(arguments).map_or(Ok(()), |pattern| regex(pattern).map(drop))
}

fn constant_pattern(arguments: &[Expr]) -> Option<&str> {
    match arguments.get(1) {
        Some(Expr::Literal(Value::String(pattern), _)) => Some(pattern),
        _ => None,
    }
}

/// A LIKE pattern. The forms that most queries have are comparisons of bytes.
///
/// Spark compares in the same way where the pattern is constant, has no escape, and is a text with `%` before it, behind it,
/// around it or in it once. Elsewhere it makes a regular expression of UTF-16 code units. That never matches a character above
/// U+FFFF, which has two; `_` does.
enum LikePattern {
    Same(String),
    Begins(String),
    Ends(String),
    Contains(Box<memmem::Finder<'static>>),
    /// With `%` in the middle, the text has at least so many characters: as many as both parts have UTF-16 code units.
    BeginsAndEnds(String, String, usize),
    Never,
    /// Literal characters, `_` for one and `%` for any number.
    Pieces(Vec<Piece>),
}

#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Char(char),
    One,
    Any,
}

impl LikePattern {
    /// `is_planned`: Spark looks at the form of the pattern, which is constant, before it runs the query.
    fn parse(pattern: &str, escape: char, is_planned: bool) -> Result<LikePattern, String> {
        let mut pieces = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                c if c == escape => match chars.next() {
                    Some(next) if next == '_' || next == '%' || next == escape => Piece::Char(next),
                    Some(next) => {
                        return Err(format!(
                            "the pattern '{pattern}' escapes `{next}`; escape only %, _ and {escape} itself"
                        ));
                    }
                    None => return Err(format!("the pattern '{pattern}' ends in its escape; double it")),
                },
                '_' => Piece::One,
                '%' => Piece::Any,
                c => Piece::Char(c),
            });
        }
        pieces.dedup_by(|a, b| *a == Piece::Any && *b == Piece::Any);
        let is_wide = pieces.iter().any(|piece| matches!(piece, Piece::Char('\u{10000}'..)));
        Ok(match LikePattern::of(pieces) {
            LikePattern::Pieces(_) if is_wide => LikePattern::Never,
            _ if is_wide && (!is_planned || pattern.contains(escape)) => LikePattern::Never,
            parsed => parsed,
        })
    }

    fn of(pieces: Vec<Piece>) -> LikePattern {
        let simple = match &pieces[..] {
            [Piece::Any, middle @ .., Piece::Any] => {
                text_of(middle).map(|text| LikePattern::Contains(Box::new(memmem::Finder::new(&text).into_owned())))
            }
            [Piece::Any, rest @ ..] => text_of(rest).map(LikePattern::Ends),
            [rest @ .., Piece::Any] => text_of(rest).map(LikePattern::Begins),
            all => text_of(all).map(LikePattern::Same).or_else(|| LikePattern::with_middle(all)),
        };
        simple.unwrap_or(LikePattern::Pieces(pieces))
    }

    /// A text, `%`, and another text.
    fn with_middle(pieces: &[Piece]) -> Option<LikePattern> {
        let any = pieces.iter().position(|piece| *piece == Piece::Any)?;
        let (start, end) = (text_of(&pieces[..any])?, text_of(&pieces[any + 1..])?);
        let least = start.encode_utf16().count() + end.encode_utf16().count();
        Some(LikePattern::BeginsAndEnds(start, end, least))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            LikePattern::Same(same) => text == same,
            LikePattern::Begins(start) => text.starts_with(start),
            LikePattern::Ends(end) => text.ends_with(end),
            LikePattern::Contains(part) => part.find(text.as_bytes()).is_some(),
            LikePattern::BeginsAndEnds(start, end, least) => {
                text.starts_with(start) && text.ends_with(end) && text.chars().count() >= *least
            }
            LikePattern::Never => false,
            LikePattern::Pieces(pieces) => LikePattern::tries(pieces, text),
        }
    }

    /// Greedy with one point to come back to: the last `%`, which takes a character more each time.
    fn tries(pieces: &[Piece], text: &str) -> bool {
        let (mut at, mut rest) = (0, text.chars());
        let mut retry: Option<(usize, std::str::Chars)> = None;
        loop {
            if pieces.get(at) == Some(&Piece::Any) {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            let c = rest.next();
            match (pieces.get(at), c) {
                (None, None) => return true,
                (Some(Piece::One), Some(_)) => at += 1,
                (Some(Piece::Char(wanted)), Some(c)) if *wanted == c => at += 1,
                (_, None) => return false,
                _ => {
                    let Some((back, from)) = &mut retry else {
                        return false;
                    };
                    from.next();
                    at = *back;
                    rest = from.clone();
                }
            }
        }
    }
}

/// The text that the pieces are; `None` if there is `_` or `%` among them.
fn text_of(pieces: &[Piece]) -> Option<String> {
    let chars = pieces.iter().map(|piece| match piece {
        Piece::Char(c) => Some(*c),
        Piece::One | Piece::Any => None,
    });
    chars.collect()
}

/// So many compiled patterns are kept.
const COMPILED_MAX: usize = 32;

thread_local! {
    /// Patterns compiled by this thread, the latest last, so that a constant one is not compiled for every batch.
    static COMPILED: RefCell<VecDeque<(String, Regex)>> = const { RefCell::new(VecDeque::new()) };
}

/// A compiled regular expression, or why it is none.
pub(super) fn regex(pattern: &str) -> Result<Regex, String> {
    COMPILED.with_borrow_mut(|known| {
        if let Some((_, compiled)) = known.iter().find(|(known, _)| known == pattern) {
            return Ok(compiled.clone());
        }
        let compiled = Regex::new(pattern).map_err(|mistake| {
            format!("the regular expression '{pattern}' is wrong at character {}: {}", mistake.position, mistake.what)
        })?;
        if known.len() == COMPILED_MAX {
            known.pop_front();
        }
        known.push_back((pattern.into(), compiled.clone()));
        Ok(compiled)
    })
}

/// Records that a search took too long.
pub(super) fn too_long(errors: &mut RowErrors, row: usize, _: TooLong) {
    let message = || {
        "the regular expression needs too many steps for this text; let parts of it that repeat begin with different \
         characters, or write possessive quantifiers such as `*+`"
            .into()
    };
    errors.record(row, BAD_REGEX, message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("%", "", true),
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            ("%a%b%c", "xaybzabc", true),
            ("%ab", "aab", true),
            ("_", "é", true),
            ("a%", "ba", false),
            (r"\%", "%", true),
            (r"\%", "x", false),
            ("a", "a\n", false),
            ("a_", "a\n", true),
            ("a%a", "a", false),
            ("a%a", "aa", true),
            ("a%é", "a😀é", true),
        ] {
            for is_planned in [true, false] {
                let parsed = LikePattern::parse(pattern, '\\', is_planned).unwrap();
                assert_eq!(parsed.matches(text), expected, "{pattern} {text}");
            }
        }
        assert!(LikePattern::parse(r"\a", '\\', true).is_err());
        assert!(LikePattern::parse(r"a\", '\\', true).is_err());
    }

    #[test]
    fn a_mistake_in_a_pattern_is_named_with_its_place() {
        for (pattern, place) in
            [("a(b", "character 2"), ("a**", "character 3"), (r"\p{Foo}", "character 7"), (r"\X", "\\X")]
        {
            let message = regex(pattern).err().unwrap();
            assert!(message.contains(place), "{message}");
        }
    }
}
