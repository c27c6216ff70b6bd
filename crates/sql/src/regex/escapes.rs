//! What a backslash makes of the characters behind it.

use super::parse::{Next, Parser};
use super::set::Set;
use super::tree::{Node, Test};
use super::{Mistake, characters};

pub(super) enum Escape {
    Char(u32),
    Set(Set),
    Node(Node),
}

/// Behind a backslash. In a range `\v` is the one character that it was before it was a set.
pub(super) fn escape(parser: &mut Parser, in_class: bool, in_range: bool) -> Result<Escape, Mistake> {
    let Some(c) = parser.next_raw() else {
        return Err(parser.mistake("a backslash at the end; write two for the character"));
    };
    Ok(match c {
        't' => Escape::Char(9),
        'n' => Escape::Char(10),
        'r' => Escape::Char(13),
        'f' => Escape::Char(12),
        'a' => Escape::Char(7),
        'e' => Escape::Char(27),
        'v' if in_range => Escape::Char(11),
        'c' => match parser.next_raw() {
            Some(c) => Escape::Char(u32::from(c) ^ 64),
            None => return Err(parser.mistake("no character behind \\c")),
        },
        '0' => Escape::Char(octal(parser)?),
        'x' => Escape::Char(hexadecimal(parser)?),
        'u' => Escape::Char(utf16(parser)?),
        'd' | 'D' | 'h' | 'H' | 's' | 'S' | 'v' | 'V' | 'w' | 'W' => {
            let set = class(c.to_ascii_lowercase(), parser.flags.unicode);
            Escape::Set(if c.is_ascii_uppercase() { set.negate() } else { set })
        }
        'p' | 'P' => {
            let set = family(parser)?;
            Escape::Set(if c == 'P' { set.negate() } else { set })
        }
        'N' if parser.raw() == Some(Next::Plain('{')) => {
            return Err(parser.mistake_before("\\N{…} is not supported; write the character, or \\x{…}"));
        }
        'X' if !in_class => {
            return Err(
                parser.mistake_before("\\X is not supported; write \\P{M}\\p{M}* for a letter with its accents")
            );
        }
        _ if !in_class && matches!(c, 'A' | 'B' | 'G' | 'R' | 'Z' | 'z' | 'b' | 'k' | '1'..='9') => {
            Escape::Node(node(parser, c)?)
        }
        c if c.is_ascii_alphanumeric() => {
            return Err(parser.mistake_before(format!("\\{c} has no meaning here; leave the backslash out")));
        }
        c => Escape::Char(u32::from(c)),
    })
}

/// What is no character.
fn node(parser: &mut Parser, c: char) -> Result<Node, Mistake> {
    let unicode = parser.flags.unicode;
    Ok(match c {
        'A' => Node::Test(Test::Start),
        'G' => Node::Test(Test::Previous),
        'R' => Node::LineEnd,
        'Z' => Node::Test(Test::LastLineEnd { unix: parser.flags.unix_lines }),
        'z' => Node::Test(Test::End),
        'b' if parser.follows("{g}") => {
            return Err(parser.mistake_before("\\b{g} is not supported; \\b is the end of a word"));
        }
        'b' | 'B' => Node::Test(Test::Word { negative: c == 'B', unicode }),
        'k' => {
            if parser.next_raw() != Some('<') {
                return Err(parser.mistake_before("no name behind \\k; write \\k<name>"));
            }
            let name = parser.name()?;
            match parser.names.iter().find(|(known, _)| *known == name) {
                Some((_, group)) => Node::Again(*group, parser.flags.fold()),
                None => return Err(parser.mistake_before(format!("no group before is named `{name}`"))),
            }
        }
        digit => {
            let mut group = digit.to_digit(10).expect("a digit") as usize;
            // More digits belong to it as long as there is such a group so far.
            while let Some(digit) = parser.raw().and_then(|next| next.char().to_digit(10)) {
                let longer = group * 10 + digit as usize;
                if longer >= parser.groups {
                    break;
                }
                group = longer;
                parser.at += 1;
            }
            Node::Again(group, parser.flags.fold())
        }
    })
}

/// `\d`, `\h`, `\s`, `\v` or `\w`.
fn class(letter: char, unicode: bool) -> Set {
    let named = |name| characters::unicode(name, false).expect("a property");
    match letter {
        'd' if unicode => named("DIGIT"),
        's' if unicode => named("WHITE_SPACE"),
        'w' if unicode => named("WORD"),
        'd' => Set::of(&[(48, 57)]),
        's' => Set::of(&[(9, 13), (32, 32)]),
        'w' => Set::of(&[(48, 57), (65, 90), (95, 95), (97, 122)]),
        'v' => line_ends(),
        _ => {
            let spaces = [(9, 9), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200A)];
            Set::of(&[&spaces[..], &[(0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)]].concat())
        }
    }
}

/// `\v`, each of which is a `\R` too.
pub(super) fn line_ends() -> Set {
    Set::of(&[(10, 13), (0x85, 0x85), (0x2028, 0x2029)])
}

fn octal(parser: &mut Parser) -> Result<u32, Mistake> {
    let mut code = None;
    for _ in 0..3 {
        let Some(digit) = parser.raw().and_then(|next| next.char().to_digit(8)) else {
            break;
        };
        let longer = code.unwrap_or(0) * 8 + digit;
        if longer > 0o377 {
            break;
        }
        code = Some(longer);
        parser.at += 1;
    }
    code.ok_or_else(|| parser.mistake("no octal number behind \\0"))
}

fn hexadecimal(parser: &mut Parser) -> Result<u32, Mistake> {
    if parser.raw().is_none_or(|next| next.char() != '{') {
        return digits(parser, 2, "two hexadecimal digits belong behind \\x");
    }
    parser.at += 1;
    let mut code: u32 = 0;
    let mut any = false;
    while let Some(digit) = parser.raw().and_then(|next| next.char().to_digit(16)) {
        code = code * 16 + digit;
        any = true;
        parser.at += 1;
        if code > 0x10_FFFF {
            return Err(parser.mistake_before("a code point above 10FFFF"));
        }
    }
    match parser.next_raw() {
        Some('}') if any => Ok(code),
        _ => Err(parser.mistake_before("no hexadecimal number in \\x{…}")),
    }
}

/// `\uXXXX`, of which two may make one character.
fn utf16(parser: &mut Parser) -> Result<u32, Mistake> {
    const WHAT: &str = "four hexadecimal digits belong behind \\u";
    let high = digits(parser, 4, WHAT)?;
    let at = parser.at;
    if (0xD800..0xDC00).contains(&high) && parser.next_raw() == Some('\\') && parser.next_raw() == Some('u') {
        let low = digits(parser, 4, WHAT)?;
        if (0xDC00..0xE000).contains(&low) {
            return Ok(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
        }
    }
    parser.at = at;
    Ok(high)
}

fn digits(parser: &mut Parser, count: usize, what: &str) -> Result<u32, Mistake> {
    let mut code = 0;
    for _ in 0..count {
        let digit = parser.raw().and_then(|next| next.char().to_digit(16));
        code = code * 16 + digit.ok_or_else(|| parser.mistake(what))?;
        parser.at += 1;
    }
    Ok(code)
}

/// Behind `\p`.
fn family(parser: &mut Parser) -> Result<Set, Mistake> {
    let mut name = String::new();
    match parser.next_raw() {
        Some('{') => loop {
            match parser.next_raw() {
                Some('}') => break,
                Some(c) => name.push(c),
                None => return Err(parser.mistake("a property that does not end; close it with `}`")),
            }
        },
        Some(c) => name.push(c),
        None => return Err(parser.mistake("no property behind \\p; write \\p{name}")),
    }
    let flags = parser.flags;
    let found = match name.split_once('=') {
        Some((kind, value)) => match kind.to_lowercase().as_str() {
            "sc" | "script" => characters::script(value),
            "blk" | "block" => characters::block(value),
            "gc" | "general_category" => characters::plain(value, flags.any_case),
            _ => None,
        },
        None => match (name.strip_prefix("In"), name.strip_prefix("Is")) {
            (Some(block), _) => characters::block(block),
            (_, Some(name)) => characters::is(name, flags.any_case),
            _ => {
                let posix = flags.unicode.then(|| characters::posix(&name.to_uppercase(), flags.any_case)).flatten();
                posix.or_else(|| characters::plain(&name, flags.any_case))
            }
        },
    };
    found.ok_or_else(|| parser.mistake_before(format!("Java 17 knows no property `{name}`")))
}
