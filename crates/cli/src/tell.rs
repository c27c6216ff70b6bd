//! Words for people on stdout and stderr. Who reads them may go away at any time: that ends no run.

use std::io::Write;

/// A line on stdout.
pub(crate) fn out(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on stderr.
pub(crate) fn err(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
