//! Wall time and CPU-seconds of child processes.

use std::time::{Duration, Instant};

use crate::sh::Outcome;

/// Cost of a run: that of the processes that it started and waited for, and of their children.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Wall time.
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
}

/// Runs a function. Returns its text and the cost of all child processes that ended in the meantime.
pub fn measure(run: impl FnOnce() -> Outcome<String>) -> Outcome<(String, Cost)> {
    let (start, cpu) = (Instant::now(), children_cpu());
    let text = run()?;
    Ok((text, Cost { wall: start.elapsed(), cpu: children_cpu() - cpu }))
}

/// CPU time of all children that have ended, and of their children.
#[cfg(unix)]
fn children_cpu() -> Duration {
    // SAFETY: an all-zero `rusage` is valid, and `getrusage` writes only to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage), 0, "RUSAGE_CHILDREN is always there");
        usage
    };
    let time =
        |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Without `getrusage`, CPU time is not measured.
#[cfg(not(unix))]
fn children_cpu() -> Duration {
    Duration::ZERO
}
