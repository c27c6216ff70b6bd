//! The pipeline file: TOML → [`Pipeline`], with file, line and column of every value.
//!
//! ```text
//!  text ──document──► tree with places ──build, by way of reader──► Pipeline, or every mistake at its place
//! ```
//! Refuses what it does not know. The texts inside (DDL, SQL, expressions, the time zone's name) stay texts, as
//! [`Located`](tidemill_model::diagnostic::Located); the crate `sql` gives them meaning. Knows no SQL and no engine.

#![forbid(unsafe_code)]

mod build;
mod document;
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

/// As [`parse`], with `${ENV:NAME}` and `${FILE:PATH}` inside strings replaced by what `lookup` says. No message about the
/// file shows what they stand for.
///
/// # Errors
/// As [`parse`]; a reference that `lookup` does not know is one.
pub fn parse_with(
    file_name: &str,
    text: &str,
    set: &[(String, String)],
    lookup: Lookup,
) -> Result<Pipeline, Diagnostics> {
    build::parse(file_name, text, set, Some(lookup))
}
