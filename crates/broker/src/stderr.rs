//! Log lines of the broker, on stderr. If stderr is closed, the line is lost and the broker goes on.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Least interval between two messages of the same [`ThrottledLog`].
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(5);

/// Writes one line.
pub(crate) fn log_line(line: &str) {
    tidemill_os::output::error_line(&format!("broker: {line}"));
}

/// Limits the rate of a message whose cause may occur a thousand times a second.
#[derive(Debug)]
pub(crate) struct ThrottledLog(Mutex<Option<Instant>>);

impl ThrottledLog {
    pub const fn new() -> ThrottledLog {
        ThrottledLog(Mutex::new(None))
    }

    /// Writes the line, unless this message was written a moment ago.
    pub fn log_line(&self, line: impl FnOnce() -> String) {
        let due = {
            let mut last = self.0.lock().expect("no panic under this lock");
            let due = last.is_none_or(|last| last.elapsed() >= COMPLAINT_INTERVAL);
            if due {
                *last = Some(Instant::now());
            }
            due
        };
        if due {
            log_line(&line());
        }
    }
}
