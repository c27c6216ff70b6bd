//! The pipeline file: TOML → [`Pipeline`], with file, line and column of every value.
//!
//! ```text
//!  text ──document──► tree with positions ──build, reader──► Pipeline, or every mistake with its position
//! ```
//! Unknown keys are mistakes. DDL, SQL, expressions and the time zone stay text
//! ([`Located`](tidemill_model::diagnostic::Located)); the crate `sql` parses them. Knows no SQL and no engine.

#![forbid(unsafe_code)]

mod build;
mod document;
mod kafka_source;
mod positions;
mod reader;

pub use document::{Lookup, Reference, substituted};

use tidemill_model::{Diagnostics, Pipeline};

/// Reads a pipeline file; each `(key, value)` of `set` replaces the value of a dotted key.
///
/// # Errors
/// Every mistake that was found, each at its place.
pub fn parse(file_name: &str, text: &str, set: &[(String, String)]) -> Result<Pipeline, Diagnostics> {
    build::parse(file_name, text, set, None)
}

/// As [`parse`], and replaces `${ENV:NAME}` and `${FILE:PATH}` inside strings by what `lookup` returns. No message
/// about the file shows these values.
///
/// # Errors
/// As [`parse`]; also a reference that `lookup` does not know.
pub fn parse_with(
    file_name: &str,
    text: &str,
    set: &[(String, String)],
    lookup: Lookup,
) -> Result<Pipeline, Diagnostics> {
    build::parse(file_name, text, set, Some(lookup))
}
