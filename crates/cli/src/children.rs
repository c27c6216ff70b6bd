//! Executors as child processes: this program again, driven over its stdin and stdout.

use crate::cgroup::{self, Group, Groups, Limits};
use std::process::{Child, Command, Stdio};
use tidemill_driver::{Handle, Spawn, Spawned};
use tidemill_model::pipeline::Autoscale;
use tidemill_model::{Error, Result};
use tidemill_os::output;

/// Returns a function that starts this program as an executor, within its limits where the system supports that. Also
/// returns a sentence that describes the limits.
///
/// # Errors
/// External: the program's own path is unknown.
pub(crate) fn spawn(autoscale: &Autoscale) -> Result<(Spawn, String)> {
    let limits = Limits { cores: autoscale.executor_cores, memory_bytes: autoscale.executor_memory_bytes };
    let mut groups = Groups::new(limits);
    let sentence = cgroup::sentence(&groups, limits);
    let program = std::env::current_exe().map_err(|error| {
        Error::external(format!("cannot find this program's executable to start executors: {error}"))
    })?;
    let spawn: Spawn = Box::new(move || {
        let mut command = Command::new(&program);
        command.arg("executor").stdin(Stdio::piped()).stdout(Stdio::piped());
        apart_from_the_terminal(&mut command);
        let mut child = command.spawn().map_err(|error| {
            Error::external(format!(
                "cannot start an executor process: {error}; check the limits on processes and memory"
            ))
        })?;
        let input = Box::new(child.stdin.take().expect("piped above"));
        let output = Box::new(child.stdout.take().expect("piped above"));
        let group = groups.as_mut().ok().map(|groups| groups.hold(child.id())).transpose();
        let group = group.unwrap_or_else(|why| {
            output::error_line(&format!("an executor is limited only by its threads: {why}"));
            None
        });
        Ok(Spawned { input, output, handle: Box::new(Process { child, group }) })
    });
    Ok((spawn, sentence))
}

struct Process {
    child: Child,
    /// Goes when the process is gone.
    group: Option<Group>,
}

impl Handle for Process {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn kill(&mut self) {
        // Fails only if the child is gone.
        let _ = self.child.kill();
    }

    fn wait(&mut self) -> String {
        let end = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        self.group = None;
        end
    }
}

/// Puts executors into their own process group. A terminal sends Ctrl-C to the whole group of the driver; only the
/// driver should get it, and drain them. Executors of a dead driver end because their pipe closes.
#[cfg(unix)]
fn apart_from_the_terminal(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(windows)]
fn apart_from_the_terminal(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
}
