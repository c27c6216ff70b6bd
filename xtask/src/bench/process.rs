//! CPU time, memory and children of a process, from `/proc`. Linux only.

use crate::sh::Outcome;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// Longest wait for a condition.
const LONGEST: Duration = Duration::from_secs(300);

/// CPU-seconds, with a resolution of 0.01 s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// Of the process.
    pub own: f64,
    /// Of its children that have ended and were waited for, and of theirs.
    pub children: f64,
}

/// Memory, MB of 10⁶ bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Pages in memory.
    pub resident: f64,
    /// The same, pages shared with other processes divided among them.
    pub proportional: f64,
}

/// CPU time so far.
pub fn cpu(pid: u32) -> Outcome<Cpu> {
    cpu_of(&stat(pid)?).ok_or_else(|| format!("/proc/{pid}/stat has another form than expected"))
}

/// Memory now.
pub fn memory(pid: u32) -> Outcome<Memory> {
    let text = read(&format!("/proc/{pid}/smaps_rollup"))?;
    let megabytes = |field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        let kibibytes: Option<f64> = line.split_whitespace().next().and_then(|word| word.parse().ok());
        kibibytes
            .map(|kibibytes| kibibytes * 1024.0 / 1e6)
            .ok_or_else(|| format!("/proc/{pid}/smaps_rollup has no {field}"))
    };
    Ok(Memory { resident: megabytes("Rss:")?, proportional: megabytes("Pss:")? })
}

/// The living children.
pub fn children(pid: u32) -> Outcome<Vec<u32>> {
    let entries = Path::new("/proc").read_dir().map_err(|error| format!("cannot read /proc: {error}"))?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process that has ended in the meantime is skipped.
    let parent = |pid: u32| {
        let stat = stat(pid).ok()?;
        let fields = fields(&stat)?;
        (fields[0] != "Z").then(|| fields[1].parse().ok())?
    };
    Ok(pids.filter(|child| parent(*child) == Some(pid)).collect())
}

/// Whether a child runs: it has neither ended nor been waited for.
pub fn is_alive(pid: u32) -> Outcome<bool> {
    let stat = stat(pid)?;
    Ok(fields(&stat).is_some_and(|fields| fields[0] != "Z"))
}

/// Waits for a child's end without reaping it. Returns the CPU time of it and its children.
pub fn end(pid: u32, longest: Duration) -> Outcome<Cpu> {
    let start = Instant::now();
    while start.elapsed() < longest {
        let stat = stat(pid)?;
        if fields(&stat).is_some_and(|fields| fields[0] == "Z") {
            return cpu_of(&stat).ok_or_else(|| format!("/proc/{pid}/stat has another form than expected"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(format!("process {pid} did not end within {} s", longest.as_secs()))
}

/// A process that is killed when dropped, unless it has ended.
pub struct KillOnDrop(pub Child);

impl KillOnDrop {
    /// SIGKILL, and waits for the end.
    pub fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for a condition.
///
/// # Errors
/// The condition does not come in time, or cannot be checked.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> Outcome<bool>) -> Outcome {
    let start = Instant::now();
    while !is_so()? {
        if start.elapsed() > LONGEST {
            return Err(format!("waited {} s in vain until {what}", LONGEST.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn stat(pid: u32) -> Outcome<String> {
    read(&format!("/proc/{pid}/stat"))
}

fn read(path: &str) -> Outcome<String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {path}: {error}; this is measured on Linux only"))
}

/// The fields after the program's name, which may contain spaces: state, parent …
fn fields(stat: &str) -> Option<Vec<&str>> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    (fields.len() > 14).then_some(fields)
}

fn cpu_of(stat: &str) -> Option<Cpu> {
    let fields = fields(stat)?;
    // A tick is a hundredth of a second on every Linux.
    let seconds = |at: usize| fields[at].parse::<f64>().map(|ticks| ticks / 100.0).ok();
    Some(Cpu { own: seconds(11)? + seconds(12)?, children: seconds(13)? + seconds(14)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line() {
        let line = "12 (a b) c) Z 7 1 1 0 -1 4 1 2 3 4 150 50 20 5 20 0 1 0 99";
        assert_eq!(cpu_of(line), Some(Cpu { own: 2.0, children: 0.25 }));
        assert_eq!(fields(line).map(|fields| fields[1].to_owned()), Some("7".into()));
        assert_eq!(cpu_of("12 (a) S 7"), None);
    }
}
