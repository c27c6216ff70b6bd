//! A process that outlives the task that started it. A pid file identifies it.

use crate::sh::{self, Outcome};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const PID: &str = "pid";
const LOG: &str = "log.txt";

/// Starts it in the background; its output goes to `log.txt`. A Ctrl-C of the terminal does not reach it.
pub fn spawn(command: &mut Command, dir: &Path) -> Outcome<Child> {
    let cannot = |error: std::io::Error| format!("cannot start a process in {}: {error}", dir.display());
    let log = File::create(dir.join(LOG)).map_err(cannot)?;
    command.stdout(log.try_clone().map_err(cannot)?).stderr(log);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let child = command.spawn().map_err(cannot)?;
    sh::write_file(&dir.join(PID), &child.id().to_string())?;
    Ok(child)
}

/// The id of the process that was started in `dir`, if it runs and its command line contains both `dir` and `word`.
pub fn running(dir: &Path, word: &str) -> Option<u32> {
    let pid: u32 = fs::read_to_string(dir.join(PID)).ok()?.trim().parse().ok()?;
    let line = sh::read(&mut sh::command("ps", &["-ww", "-o", "args=", "-p", &pid.to_string()])).ok()?;
    (line.contains(word) && line.contains(&*dir.to_string_lossy())).then_some(pid)
}

/// Asks it to end, waits, and kills it if it does not end.
pub fn end(pid: u32, patience: Duration) -> Outcome {
    signal(pid, "-TERM")?;
    let start = Instant::now();
    while is_there(pid) {
        if start.elapsed() > patience {
            return signal(pid, "-KILL");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Kills it, and waits until it is gone.
pub fn kill(pid: u32) -> Outcome {
    signal(pid, "-KILL")?;
    while is_there(pid) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The last lines of its output.
pub fn log_tail(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join(LOG)).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

fn signal(pid: u32, signal: &str) -> Outcome {
    sh::read(&mut sh::command("kill", &[signal, &pid.to_string()])).map(drop)
}

/// A zombie has ended, too, unless threads of it are left (`l`): they hold its sockets.
fn is_there(pid: u32) -> bool {
    let state = sh::read(&mut sh::command("ps", &["-o", "stat=", "-p", &pid.to_string()]));
    state.is_ok_and(|state| !state.trim().starts_with('Z') || state.contains('l'))
}
