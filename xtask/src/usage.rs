//! Wall time and CPU-seconds of child processes.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::sh::Outcome;

/// What a run of a program cost, with all processes that it waited for.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Wall time.
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
}

/// Runs a program to its end and returns its standard output and its cost.
pub fn measure(command: &mut Command) -> Outcome<(String, Cost)> {
    let (start, cpu) = (Instant::now(), children_cpu());
    let text = crate::sh::read(command)?;
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
