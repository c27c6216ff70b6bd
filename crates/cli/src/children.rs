//! Executors as child processes: this very program, spoken to over its stdin and stdout.

use crate::cgroup::{self, Group, Groups, Limits};
use std::process::{Child, Command, Stdio};
use tidemill_driver::{Handle, Spawn, Spawned};
use tidemill_model::pipeline::Autoscale;
use tidemill_model::{Error, Result};
use tidemill_os::output;

/// Starts this very program as an executor, held to its limits where the system can; and a sentence about what holds it.
///
/// # Errors
/// External: the program's own path cannot be found out.
pub(crate) fn spawn(autoscale: &Autoscale) -> Result<(Spawn, String)> {
    let limits = Limits { cores: autoscale.executor_cores, memory_bytes: autoscale.executor_memory_bytes };
    let mut groups = Groups::new(limits);
    let sentence = cgroup::sentence(&groups, limits);
    let program = std::env::current_exe().map_err(|error| {
        Error::external(format!("cannot find this program's own file to start executors from: {error}"))
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
            output::error_line(&format!("an executor is held by its threads alone: {why}"));
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
        // It refuses only for a child that is gone.
        let _ = self.child.kill();
    }

    fn wait(&mut self) -> String {
        let end = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        self.group = None;
        end
    }
}

/// A terminal sends Ctrl-C to its whole process group: executors are in one of their own, so that only the driver gets
/// it and drains them. A driver that dies takes them along all the same: their pipe closes.
#[cfg(unix)]
fn apart_from_the_terminal(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(windows)]
fn apart_from_the_terminal(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
}
