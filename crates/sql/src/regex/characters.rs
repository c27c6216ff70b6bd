//! What Java knows of characters: the properties of `\p{…}` and the two cases, from a table that Java 17 printed.
//!
//! A line of the table is read when a pattern asks for it, which takes microseconds.

use super::set::Set;
use std::sync::OnceLock;

const TABLE: &str = include_str!("characters.txt");

/// Of the categories whose names begin with one of these.
pub(super) fn categories(names: &[&str]) -> Set {
    let lines = TABLE.lines().filter_map(|line| line.strip_prefix("category "));
    let wanted = lines.filter(|line| names.iter().any(|name| line.starts_with(name)));
    Set::of(&wanted.flat_map(ranges).collect::<Vec<_>>())
}

/// A property that the table lists by this name.
pub(super) fn property(name: &str) -> Set {
    line("property", name).expect("the table has the property")
}

/// `\p{NAME}` without a prefix; `any_case` if case does not count.
pub(super) fn plain(name: &str, any_case: bool) -> Option<Set> {
    let cased = |set: Set, all: &[&str]| if any_case { categories(all) } else { set };
    Some(match name {
        "Cn" | "Mn" | "Me" | "Mc" | "Nd" | "Nl" | "No" | "Zs" | "Zl" | "Zp" | "Cc" | "Cf" | "Co" | "Cs" | "Pd"
        | "Ps" | "Pe" | "Pc" | "Po" | "Sm" | "Sc" | "Sk" | "So" | "Pi" | "Pf" | "Lm" | "Lo" | "L" | "M" | "N" | "Z"
        | "C" | "P" | "S" => categories(&[name]),
        "Lu" | "Ll" | "Lt" => cased(categories(&[name]), &["Lu", "Ll", "Lt"]),
        "LC" => categories(&["Lu", "Ll", "Lt"]),
        "LD" => categories(&["L", "Nd"]),
        "L1" => Set::of(&[(0, 0xFF)]),
        "all" => Set::all(),
        "ASCII" => Set::of(&[(0, 0x7F)]),
        "Alnum" => ascii(&["09", "AZ", "az"]),
        "Alpha" => ascii(&["AZ", "az"]),
        "Blank" => ascii(&["  ", "\t\t"]),
        "Cntrl" => Set::of(&[(0, 31), (127, 127)]),
        "Digit" => ascii(&["09"]),
        "Graph" => ascii(&["!~"]),
        "Lower" => ascii(if any_case { &["AZ", "az"] } else { &["az"] }),
        "Print" => ascii(&[" ~"]),
        "Punct" => ascii(&["!/", ":@", "[`", "{~"]),
        "Space" => ascii(&["  ", "\t\r"]),
        "Upper" => ascii(if any_case { &["AZ", "az"] } else { &["AZ"] }),
        "XDigit" => ascii(&["09", "AF", "af"]),
        _ => java(name.strip_prefix("java")?, any_case)?,
    })
}

/// A method `Character.isNAME`.
fn java(name: &str, any_case: bool) -> Option<Set> {
    let every_case = || property("Lowercase").union(&property("Uppercase")).union(&categories(&["Lt"]));
    Some(match name {
        "LowerCase" | "UpperCase" | "TitleCase" if any_case => every_case(),
        "LowerCase" => property("Lowercase"),
        "UpperCase" => property("Uppercase"),
        "Alphabetic"
        | "Ideographic"
        | "Mirrored"
        | "IdentifierIgnorable"
        | "JavaIdentifierStart"
        | "JavaIdentifierPart"
        | "UnicodeIdentifierStart"
        | "UnicodeIdentifierPart" => property(name),
        "TitleCase" => categories(&["Lt"]),
        "Digit" => categories(&["Nd"]),
        "Defined" => categories(&["Cn"]).negate(),
        "Letter" => categories(&["L"]),
        "LetterOrDigit" => categories(&["L", "Nd"]),
        "SpaceChar" => categories(&["Z"]),
        "Whitespace" => {
            let breaking = categories(&["Z"]).minus(&Set::of(&[(0xA0, 0xA0), (0x2007, 0x2007), (0x202F, 0x202F)]));
            breaking.union(&Set::of(&[(9, 13), (28, 31)]))
        }
        "ISOControl" => Set::of(&[(0, 0x1F), (0x7F, 0x9F)]),
        _ => return None,
    })
}

/// `\p{IsNAME}`: a property, a category or a script.
pub(super) fn is(name: &str, any_case: bool) -> Option<Set> {
    unicode(&name.to_uppercase(), any_case).or_else(|| plain(name, any_case)).or_else(|| script(name))
}

/// A Unicode property, by its name in upper case.
pub(super) fn unicode(name: &str, any_case: bool) -> Option<Set> {
    let every_case = || property("Lowercase").union(&property("Uppercase")).union(&categories(&["Lt"]));
    Some(match name {
        "LOWERCASE" | "UPPERCASE" | "TITLECASE" if any_case => every_case(),
        "LOWERCASE" => property("Lowercase"),
        "UPPERCASE" => property("Uppercase"),
        "TITLECASE" => categories(&["Lt"]),
        "ALPHABETIC" => property("Alphabetic"),
        "IDEOGRAPHIC" => property("Ideographic"),
        "LETTER" => categories(&["L"]),
        "WHITESPACE" | "WHITE_SPACE" => categories(&["Z"]).union(&Set::of(&[(9, 13), (0x85, 0x85)])),
        "CONTROL" => categories(&["Cc"]),
        "PUNCTUATION" => categories(&["P"]),
        "HEXDIGIT" | "HEX_DIGIT" => {
            let letters = [(65, 70), (97, 102), (0xFF21, 0xFF26), (0xFF41, 0xFF46)];
            categories(&["Nd"]).union(&Set::of(&letters))
        }
        "ASSIGNED" => categories(&["Cn"]).negate(),
        "NONCHARACTERCODEPOINT" | "NONCHARACTER_CODE_POINT" => {
            let ends = (0..=16).map(|plane| (plane << 16 | 0xFFFE, plane << 16 | 0xFFFF));
            Set::of(&ends.chain([(0xFDD0, 0xFDEF)]).collect::<Vec<_>>())
        }
        "DIGIT" => categories(&["Nd"]),
        "ALNUM" => property("Alphabetic").union(&categories(&["Nd"])),
        "BLANK" => categories(&["Zs"]).union(&Set::one(9)),
        "GRAPH" => categories(&["Z", "Cc", "Cs", "Cn"]).negate(),
        "PRINT" => {
            let shown = categories(&["Z", "Cc", "Cs", "Cn"]).negate();
            shown.union(&categories(&["Zs"])).minus(&categories(&["Cc"]))
        }
        "WORD" => property("Alphabetic").union(&categories(&["Mn", "Me", "Mc", "Nd", "Pc"])).union(&joins()),
        "JOINCONTROL" | "JOIN_CONTROL" => joins(),
        _ => return None,
    })
}

/// What `\p{NAME}` of POSIX is with the flag U, by its name in upper case.
pub(super) fn posix(name: &str, any_case: bool) -> Option<Set> {
    let name = match name {
        "ALPHA" => "ALPHABETIC",
        "LOWER" => "LOWERCASE",
        "UPPER" => "UPPERCASE",
        "SPACE" => "WHITE_SPACE",
        "PUNCT" => "PUNCTUATION",
        "XDIGIT" => "HEX_DIGIT",
        "CNTRL" => "CONTROL",
        "ALNUM" | "DIGIT" | "BLANK" | "GRAPH" | "PRINT" => name,
        _ => return None,
    };
    unicode(name, any_case)
}

/// By its name or its code of four letters, in any case.
pub(super) fn script(name: &str) -> Option<Set> {
    let aliases = TABLE.lines().filter_map(|line| line.strip_prefix("alias ")?.split_once(' '));
    let full = aliases.filter(|(code, _)| code.eq_ignore_ascii_case(name)).map(|(_, full)| full).next();
    line("script", full.unwrap_or(&name.to_uppercase()))
}

/// By its name in any case, with or without spaces.
pub(super) fn block(name: &str) -> Option<Set> {
    let bare = |name: &str| name.to_uppercase().replace([' ', '_', '-'], "");
    let wanted = match bare(name).as_str() {
        "GREEKANDCOPTIC" => "GREEK".into(),
        "COMBININGDIACRITICALMARKSFORSYMBOLS" => "COMBININGMARKSFORSYMBOLS".into(),
        "CYRILLICSUPPLEMENT" => "CYRILLICSUPPLEMENTARY".into(),
        wanted => wanted.to_owned(),
    };
    let blocks = TABLE.lines().filter_map(|line| line.strip_prefix("block "));
    let found = blocks.filter(|line| line.split(' ').next().is_some_and(|name| bare(name) == wanted));
    found.map(|line| Set::of(&ranges(line).collect::<Vec<_>>())).next()
}

fn joins() -> Set {
    Set::of(&[(0x200C, 0x200D)])
}

/// From pairs of characters, first and last.
fn ascii(pairs: &[&str]) -> Set {
    let ranges = pairs.iter().map(|pair| (u32::from(pair.as_bytes()[0]), u32::from(pair.as_bytes()[1])));
    Set::of(&ranges.collect::<Vec<_>>())
}

fn line(kind: &str, name: &str) -> Option<Set> {
    let mut of_kind = TABLE.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
    let found = of_kind.find(|line| line.split(' ').next() == Some(name))?;
    Some(Set::of(&ranges(found).collect::<Vec<_>>()))
}

/// Those of a line, behind its name.
fn ranges(line: &str) -> impl Iterator<Item = (u32, u32)> + '_ {
    line.split(' ').skip(1).map(range)
}

fn range(text: &str) -> (u32, u32) {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |text| u32::from_str_radix(text, 16).expect("a code point of the table");
    (code(first), code(last))
}

/// `Character.toUpperCase`.
pub(super) fn upper(code: u32) -> u32 {
    static CASES: OnceLock<Vec<Shift>> = OnceLock::new();
    shifted(CASES.get_or_init(|| shifts("upper ")), code)
}

/// `Character.toLowerCase`.
pub(super) fn lower(code: u32) -> u32 {
    static CASES: OnceLock<Vec<Shift>> = OnceLock::new();
    shifted(CASES.get_or_init(|| shifts("lower ")), code)
}

/// How two characters are alike in any case.
pub(super) fn fold(code: u32) -> u32 {
    lower(upper(code))
}

/// The set with the characters whose cases are in it, as Java's classes find them with the flags i and u.
pub(super) fn any_case(set: &Set) -> Set {
    let cased = [shifts("upper "), shifts("lower ")];
    let codes = cased.iter().flatten().flat_map(|shift| (shift.first..=shift.last).step_by(shift.step as usize));
    let alike = codes.filter(|code| set.contains(upper(*code)) || set.contains(fold(*code)));
    set.union(&Set::of(&alike.map(|code| (code, code)).collect::<Vec<_>>()))
}

/// Every `step`th code point of a range has its other case so far away.
struct Shift {
    first: u32,
    last: u32,
    step: u32,
    by: i32,
}

fn shifts(kind: &str) -> Vec<Shift> {
    let line = TABLE.lines().find_map(|line| line.strip_prefix(kind)).expect("the table has both cases");
    let parsed = line.split(' ').map(|text| {
        let (codes, rest) = text.split_once('/').expect("a step");
        let (first, last) = range(codes);
        let (step, by) = rest.split_at(1);
        let number = "a number of the table";
        Shift { first, last, step: step.parse().expect(number), by: by.parse().expect(number) }
    });
    parsed.collect()
}

fn shifted(shifts: &[Shift], code: u32) -> u32 {
    let behind = shifts.partition_point(|shift| shift.first <= code);
    let shift = shifts[..behind].last();
    match shift.filter(|shift| code <= shift.last && (code - shift.first).is_multiple_of(shift.step)) {
        Some(shift) => code.wrapping_add_signed(shift.by),
        None => code,
    }
}
