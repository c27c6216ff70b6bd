//! Processes of Spark that do not outlive this one.
//!
//! ```text
//!   this process ─ pipe ─► sh, which waits ─► java … and what that starts, in one process group
//! ```
//! A line in the pipe is a signal for the process. When the pipe closes, the shell ends the process, removes its folder and
//! kills what is left of the group; so nothing stays, however this process dies.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tidemill_model::{Error, Result};

/// Most characters of a line of the log that are shown: command lines of Java have thousands.
const LINE_MAX: usize = 300;

/// `$1` is the longest wait for a clean end, in fifths of a second; `$2` the folder that is removed.
const KEEPER: &str = r#"
exec 3<&0
patience=$1 folder=$2; shift 2
"$@" </dev/null 3<&- &
kept=$!
(
    while read -r signal <&3; do kill -s "$signal" "$kept" 2>/dev/null; done
    kill "$kept" 2>/dev/null
    while [ "$patience" -gt 0 ] && kill -0 "$kept" 2>/dev/null; do sleep 0.2; patience=$((patience - 1)); done
    rm -rf "$folder"
    kill -9 0
) &
exec 3<&-
wait "$kept"
"#;

/// A process with its keeper, and the folder that is its alone.
pub(crate) struct Kept {
    keeper: Child,
    folder: PathBuf,
    patience: Duration,
}

impl Kept {
    /// Starts a program in its folder, which exists. Its output goes to `log.txt` there. It is killed if it does not end
    /// within `patience`.
    ///
    /// # Errors
    /// External: the system starts no process.
    pub(crate) fn start(command: &Command, folder: &Path, patience: Duration) -> Result<Kept> {
        let output = File::create(folder.join("log.txt"))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER, "sh", &(patience.as_millis() / 200).to_string()]).arg(folder);
        shell.arg(command.get_program()).args(command.get_args()).current_dir(folder);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        // A Ctrl-C of the terminal is for this process; the others are asked to end when the run has.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        shell.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        let keeper = shell
            .spawn()
            .map_err(|error| Error::external(format!("cannot start Spark: {error}; a POSIX shell is needed")))?;
        Ok(Kept { keeper, folder: folder.to_owned(), patience })
    }

    /// Sends a signal, by its name without `SIG`. A process that has ended gets none.
    pub(crate) fn signal(&mut self, name: &str) {
        if let Some(pipe) = &mut self.keeper.stdin {
            let _ = writeln!(pipe, "{name}");
        }
    }

    /// Asks it to end; [`Kept::ended`] says when it has.
    pub(crate) fn ask_to_end(&mut self) {
        drop(self.keeper.stdin.take());
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.keeper.try_wait().ok()?
    }

    /// The process group of it and its keeper.
    pub(crate) fn process_group(&self) -> u32 {
        self.keeper.id()
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last lines of its output, each without what goes beyond a line, and without the frames of stacks.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("log.txt")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("\tat ")).collect();
        let newest = lines[lines.len().saturating_sub(15)..].iter();
        newest.map(|line| line.chars().take(LINE_MAX).collect::<String>()).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.ask_to_end();
        let since = Instant::now();
        while since.elapsed() < self.patience + Duration::from_secs(5) {
            if self.keeper.try_wait().map_or(true, |status| status.is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // The keeper removes it, too, after the end of the process.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
        let since = Instant::now();
        while !so() {
            assert!(since.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn signals_arrive_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("kept");
        fs::create_dir(&folder).unwrap();
        let seen = dir.path().join("seen");
        let mut command = Command::new("sh");
        // It starts a child that would outlive it.
        let script =
            r#"trap 'echo usr1 > "$SEEN"' USR1; sleep 300 & echo $! > "$SEEN.child"; while :; do sleep 0.05; done"#;
        command.args(["-c", script]).env("SEEN", &seen);
        let mut kept = Kept::start(&command, &folder, Duration::from_secs(5)).unwrap();
        let child = dir.path().join("seen.child");
        wait_for("the child's id", || fs::read_to_string(&child).is_ok_and(|text| text.ends_with('\n')));
        wait_for("the trap", || {
            kept.signal("USR1");
            seen.exists()
        });
        assert!(kept.ended().is_none());
        drop(kept);
        assert!(!folder.exists());
        let child = fs::read_to_string(child).unwrap();
        let is_there = || Command::new("kill").args(["-0", child.trim()]).stderr(Stdio::null()).status().unwrap();
        wait_for("the end of the child", || !is_there().success());
    }
}
