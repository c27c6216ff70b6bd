//! Mistakes in a pipeline file: `FILE:LINE:COLUMN: what is wrong; what to do`.

use crate::error::Error;
use crate::secret::{Secret, scrubbed};
use std::fmt;
use std::ops::Range;

/// One mistake and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}; {}", self.file, self.line, self.column, self.message, self.help)
    }
}

/// All mistakes found in one reading of a file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Error {
        Error::user(diagnostics.to_string())
    }
}

/// A file's name and text: turns byte positions into lines and columns.
///
/// `--set` values have positions too: after the file's text, one after the other.
#[derive(Clone, Default)]
pub struct SourceText {
    /// The file, as the user named it.
    pub file: String,
    /// Its text.
    pub text: String,
    /// `--set` values: first position, key, value.
    overrides: Vec<(usize, String, String)>,
    /// Secrets, and what to show in their place.
    hidden: Vec<(Secret, String)>,
}

/// Hides the text: it may hold a password.
impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceText").field("file", &self.file).finish_non_exhaustive()
    }
}

impl SourceText {
    /// A file's text.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> SourceText {
        SourceText { file: file.into(), text: text.into(), overrides: Vec::new(), hidden: Vec::new() }
    }

    /// Adds a `--set` value; returns the position of its first byte.
    pub fn add_override(&mut self, key: &str, value: &str) -> usize {
        let after = self.overrides.last().map_or(self.text.len(), |(start, _, value)| start + value.len());
        self.overrides.push((after + 1, key.into(), value.into()));
        after + 1
    }

    /// Hides secrets from diagnostics from now on. Each comes with the text to show in its place.
    pub fn hide(&mut self, secrets: impl IntoIterator<Item = (Secret, String)>) {
        self.hidden.extend(secrets);
    }

    /// Line and column (both from 1, the column in characters) of a byte position.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let (_, text, byte) = self.text_at(byte);
        let before = &text.as_bytes()[..byte.min(text.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
    }

    /// A diagnostic at the start of a byte span of the file.
    pub fn diagnostic(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        let (line, column) = self.position(span.start);
        let file = match self.text_at(span.start).0 {
            Some(key) => format!("--set {key}"),
            None => self.file.clone(),
        };
        let shown = |text: String| match self.hidden.is_empty() {
            true => text,
            false => scrubbed(&text, self.hidden.iter().map(|(secret, shown)| (secret, shown.as_str()))),
        };
        Diagnostic { file, line, column, message: shown(message.into()), help: shown(help.into()) }
    }

    /// The `--set` key if the position is in one, the text there, and the position inside it.
    fn text_at(&self, byte: usize) -> (Option<&str>, &str, usize) {
        match self.overrides.iter().rev().find(|(start, ..)| *start <= byte) {
            Some((start, key, value)) => (Some(key), value, byte - start),
            None => (None, &self.text, byte),
        }
    }
}

/// The content of a TOML string. It knows where each of its bytes stands in the file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// The content, unescaped.
    pub text: String,
    /// Byte span of the whole TOML value in the file, quotes included.
    pub span: Range<usize>,
    /// For each byte of `text` (and one past its end) the byte of the file it came from.
    pub map: Vec<usize>,
    /// Whether part of the text is a secret: `Debug` does not show it.
    pub is_hidden: bool,
}

impl fmt::Debug for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.is_hidden { "***" } else { &self.text };
        f.debug_struct("Located").field("text", &text).field("span", &self.span).finish_non_exhaustive()
    }
}

impl Located {
    /// A text without a position: a default.
    pub fn unplaced(text: &str) -> Located {
        Located { text: text.into(), map: vec![0; text.len() + 1], ..Located::default() }
    }

    /// Byte span in the file of a byte range of `text`.
    pub fn file_span(&self, range: Range<usize>) -> Range<usize> {
        let at = |byte: usize| self.map.get(byte).copied().unwrap_or(self.span.start);
        at(range.start)..at(range.end)
    }
}

/// Up to three names of `known` that are nearest to `name`, nearest first. Empty if all are too different.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let far = |known: &str| (wanted.chars().count().max(known.chars().count()) / 3).max(1);
    let mut found: Vec<(usize, &str)> = known
        .map(|known| (strsim::osa_distance(&wanted, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= far(known))
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(3).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = SourceText::new("p.toml", "a = 1\nüb = 2\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(6), (2, 1));
        assert_eq!(source.position(8), (2, 2));
        assert_eq!(source.position(99), (3, 1));
        let diagnostic = source.diagnostic(9..10, "wrong", "right it");
        assert_eq!(diagnostic.to_string(), "p.toml:2:3: wrong; right it");
    }
}
