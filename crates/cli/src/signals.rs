//! Ctrl-C and SIGTERM: the first signal asks for a clean end, the second ends the process.

use std::sync::atomic::{AtomicU32, Ordering};
use tidemill_model::{Error, Result};

/// Exit code after a second Ctrl-C, as shells define it.
const INTERRUPTED: i32 = 130;

/// Ignores Ctrl-C and SIGTERM: the driver drains this process.
///
/// # Errors
/// Internal: a handler is already set.
pub(crate) fn ignore() -> Result<()> {
    ctrlc::set_handler(|| {}).map_err(|error| Error::internal(format!("cannot handle Ctrl-C: {error}")))
}

/// Calls `first` at the first signal. The second one ends the process at once; its executors end with their pipes.
///
/// # Errors
/// Internal: a handler is already set.
pub(crate) fn on_interrupt(first: impl Fn() + Send + 'static) -> Result<()> {
    let count = AtomicU32::new(0);
    ctrlc::set_handler(move || {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            first();
        } else {
            crate::view::restore_terminal();
            #[expect(clippy::disallowed_methods, reason = "who presses Ctrl-C twice wants no destructors")]
            std::process::exit(INTERRUPTED);
        }
    })
    .map_err(|error| Error::internal(format!("cannot handle Ctrl-C: {error}")))
}
