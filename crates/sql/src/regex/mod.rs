//! Java's regular expressions, as `java.util.regex` of Java 17 reads and matches them.
//!
//! ```text
//!  pattern ─ parse ─► Node ─ program ─► Program ─ matcher ─► the groups of a match
//! ```
//! A library would match in its own way what Java matches in another: which groups a failed way leaves behind, what ends a
//! line, where look-behind looks. So this follows Java's, and reads its properties of characters from Java's own table.
//! Matching costs about what it costs in Java, and a search ends with an error after some steps: `matcher.rs`.
//!
//! It knows nothing of SQL, and nothing of Java's half characters: an empty match never splits a character.

mod characters;
mod classes;
mod escapes;
mod matcher;
mod parse;
mod program;
mod set;
mod study;
mod tree;

pub(crate) use matcher::TooLong;
use matcher::{Memory, Search};
use program::Program;
use std::rc::Rc;
use std::sync::OnceLock;

/// Java's `Character.isLetterOrDigit`.
pub(crate) fn is_letter_or_digit(c: char) -> bool {
    static SET: OnceLock<set::Set> = OnceLock::new();
    SET.get_or_init(|| characters::categories(&["L", "Nd"])).contains(c as u32)
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The character, counted from 1.
    pub(crate) position: usize,
    pub(crate) what: String,
}

/// A pattern that can be matched.
#[derive(Clone)]
pub(crate) struct Regex {
    program: Rc<Program>,
    names: Rc<[(String, usize)]>,
}

impl Regex {
    pub(crate) fn new(pattern: &str) -> Result<Regex, Mistake> {
        let (node, groups, names) = parse::parse(pattern)?;
        Ok(Regex { program: Rc::new(program::program(&node, groups)), names: names.into() })
    }

    /// Number of groups, with the whole match.
    pub(crate) fn groups(&self) -> usize {
        self.program.groups
    }

    /// The number of a named group.
    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        self.names.iter().find(|(known, _)| known == name).map(|(_, group)| *group)
    }

    pub(crate) fn matcher(&self) -> Matcher {
        Matcher { regex: self.clone(), memory: Memory::default() }
    }
}

/// A pattern with what a search needs and the next one uses again.
pub(crate) struct Matcher {
    pub(crate) regex: Regex,
    memory: Memory,
}

impl Matcher {
    /// Whether the pattern matches a part of the text.
    pub(crate) fn find(&mut self, text: &str) -> Result<bool, TooLong> {
        self.find_at(text, 0, 0)
    }

    /// The first match from a place on; `previous` is where the match before it ended.
    fn find_at(&mut self, text: &str, from: usize, previous: usize) -> Result<bool, TooLong> {
        let (program, memory) = (&self.regex.program, &mut self.memory);
        Search { program, text: text.as_bytes(), previous, memory, steps: 0 }.find(from)
    }

    /// Start and end of what a group matched in the match found last.
    pub(crate) fn span(&self, group: usize) -> Option<(usize, usize)> {
        self.memory.groups.get(group).copied().filter(|(start, _)| *start != usize::MAX)
    }

    /// Calls for every match, as Java's `Matcher.find` goes on: behind the match before, where an empty one counts too;
    /// behind an empty one, at the next character. Until the call gives false.
    pub(crate) fn each(
        &mut self,
        text: &str,
        mut call: impl FnMut(&Matcher, usize, usize) -> bool,
    ) -> Result<(), TooLong> {
        let (mut from, mut previous) = (0, 0);
        while self.find_at(text, from, previous)? {
            let (start, end) = self.memory.groups[0];
            if !call(self, start, end) {
                break;
            }
            previous = end;
            from = match text[end..].chars().next() {
                _ if start < end => end,
                Some(passed) => end + passed.len_utf8(),
                None => break,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, text: &str) -> Result<bool, TooLong> {
        Regex::new(pattern).unwrap().matcher().find(text)
    }

    #[test]
    fn no_text_and_no_pattern_takes_for_ever() {
        let long = "a".repeat(100_000);
        // What Java ends by remembering failures, and what would need a deep stack there.
        for (pattern, expected) in [
            ("^(a+)+$", true),
            ("^(a+)+b", false),
            ("^(a|aa)+b", false),
            ("(?:a|a)*b", false),
            ("(a|b)*c", false),
            (".*.*=.*", false),
        ] {
            let text = if pattern == ".*.*=.*" { &long[..1_000] } else { &long[..2_000] };
            assert_eq!(find(pattern, text), Ok(expected), "{pattern}");
        }
        assert_eq!(find("(?:a|b)*", &long), Ok(true));
        for pattern in ["(?:(?:a|aa){1,50}){1,50}b", r"(a*)*\1b", "(a*)(a*)(a*)(a*)(a*)b", "(?:.*){9}b"] {
            assert_eq!(find(pattern, &long), Err(TooLong), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_too_deep_is_a_mistake() {
        for pattern in ["(".repeat(100_000), "[".repeat(100_000), "(a)".repeat(2_000), "(?<=".repeat(1_000)] {
            assert!(Regex::new(&pattern).is_err());
        }
        assert!(Regex::new(&"a?".repeat(10_000)).is_ok());
        assert_eq!(Regex::new("a(?<n>b").err().unwrap().position, 2);
    }
}
