//! `FILE:LINE:COLUMN: what is wrong; what to do`: mistakes in a pipeline file, at their place.

use crate::error::Error;
use std::fmt;
use std::ops::Range;

/// One mistake, at its place in a file.
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
#[derive(Clone, Debug)]
pub struct SourceText {
    /// The file, as the user named it.
    pub file: String,
    /// Its text.
    pub text: String,
}

impl SourceText {
    /// Line and column (both from 1, the column in characters) of a byte position.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
    }

    /// A diagnostic at the start of a byte span of the file.
    pub fn diagnostic(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        let (line, column) = self.position(span.start);
        Diagnostic { file: self.file.clone(), line, column, message: message.into(), help: help.into() }
    }
}

/// A piece of text inside a pipeline file (a TOML string's content) that knows where each of its bytes stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// The content, unescaped.
    pub text: String,
    /// Byte span of the whole TOML value in the file, quotes included; `0..0` for a value given by `--set`.
    pub span: Range<usize>,
    /// For each byte of `text` (and one past its end) the byte of the file it came from.
    pub map: Vec<usize>,
}

impl Located {
    /// Byte span in the file of a byte range of `text`.
    pub fn file_span(&self, range: Range<usize>) -> Range<usize> {
        let at = |byte: usize| self.map.get(byte).copied().unwrap_or(self.span.start);
        at(range.start)..at(range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = SourceText { file: "p.toml".into(), text: "a = 1\nüb = 2\n".into() };
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(6), (2, 1));
        assert_eq!(source.position(8), (2, 2));
        assert_eq!(source.position(99), (3, 1));
        let diagnostic = source.diagnostic(9..10, "wrong", "right it");
        assert_eq!(diagnostic.to_string(), "p.toml:2:3: wrong; right it");
    }
}
