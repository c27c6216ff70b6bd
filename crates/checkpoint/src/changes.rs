//! Compares the lines of two plan texts, and builds the error for changes that are not allowed.

use std::fmt;
use tidemill_model::Error;

/// A changed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The line was removed.
    Gone(String),
    /// The line was added.
    New(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Gone(line) => write!(f, "- {line}"),
            Change::New(line) => write!(f, "+ {line}"),
        }
    }
}

/// The lines in which two plans differ, in order. If lines only moved, those from the first moved line to the last.
pub(crate) fn changes(old: &[String], new: &[String]) -> Vec<Change> {
    let common = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[common..], &new[common..]);
    let common = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - common], &new[..new.len() - common]);
    let gone = |line: &&String| !new.contains(line);
    let come = |line: &&String| !old.contains(line);
    let moved = !old.iter().any(|line| gone(&line)) && !new.iter().any(|line| come(&line));
    let gone = old.iter().filter(|line| moved || gone(line)).map(|line| Change::Gone(line.clone()));
    let come = new.iter().filter(|line| moved || come(line)).map(|line| Change::New(line.clone()));
    gone.chain(come).collect()
}

/// The error for changes that the state does not allow.
pub(crate) fn another_query(forbidden: &[Change]) -> Error {
    let lines: Vec<String> = forbidden.iter().map(|change| format!("  {change}")).collect();
    Error::user(format!(
        "the checkpoint's state belongs to another query:\n{}\nundo the change, or run the changed query with another --checkpoint",
        lines.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plans with one word per line → the changes.
    fn check(old: &str, new: &str, expected: &str) {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
        let shown: Vec<String> = changes(&lines(old), &lines(new)).iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn what_has_changed() {
        check("a b c", "a b c", "");
        check("a b c", "a x c", "- b + x");
        check("a b", "a b c", "+ c");
        check("a b c", "c", "- a - b");
        check("a b b", "a b", "- b");
        check("a b c d", "a c b d", "- b - c + c + b");
        check("a b a", "b a b", "- a - b - a + b + a + b");
    }
}
