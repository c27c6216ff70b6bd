//! Wall time and CPU-seconds of child processes.

use std::time::{Duration, Instant};

use crate::sh::Outcome;

/// What a run cost: of processes that it started and waited for, and of theirs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Wall time.
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
}

/// Runs something and returns what it says, and the cost of all processes that ended meanwhile.
pub fn measure(run: impl FnOnce() -> Outcome<String>) -> Outcome<(String, Cost)> {
    let (start, cpu) = (Instant::now(), children_cpu());
    let text = run()?;
    Ok((text, Cost { wall: start.elapsed(), cpu: children_cpu() - cpu }))
}

/// CPU time of all children that have ended, and of theirs.
#[cfg(unix)]
fn children_cpu() -> Duration {
    // SAFETY: an all-zero `rusage` is a valid one, and `getrusage` writes nothing but it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage), 0, "RUSAGE_CHILDREN is always there");
        usage
    };
    let time =
        |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Not measured where there is no `getrusage`.
#[cfg(not(unix))]
fn children_cpu() -> Duration {
    Duration::ZERO
}
