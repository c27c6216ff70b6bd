//! Limits of an executor by cgroup v2, where this process may make groups: cores, and memory. Elsewhere its threads alone
//! hold it, and a sentence says so.
//!
//! ```text
//! /sys/fs/cgroup/OWN/                     the group that the driver was started in, if it may be written
//!   tidemill-PID-driver/                  the driver, where OWN cannot hand on controllers while it has processes itself
//!   tidemill-PID-executor-N/              cpu.max, memory.max, and the executor
//! ```

use std::fs;
use std::path::{Path, PathBuf};

/// The length of the kernel's accounting period, µs: its own default.
const PERIOD_US: u64 = 100_000;

/// Where cgroup v2 is mounted on every system that has it alone.
const MOUNT: &str = "/sys/fs/cgroup";

/// What an executor may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) cores: u32,
    pub(crate) memory_bytes: Option<u64>,
}

/// Makes groups for executors.
#[derive(Debug)]
pub(crate) struct Groups {
    /// The group that they are made in.
    parent: PathBuf,
    limits: Limits,
    made: u64,
}

/// An executor's group, which goes when dropped.
pub(crate) struct Group(PathBuf);

impl Groups {
    /// Groups below that of this process; or why there are none.
    pub(crate) fn new(limits: Limits) -> Result<Groups, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|_| "this system has no cgroups".to_owned())?;
        Groups::below(&parent(Path::new(MOUNT), &own)?, limits)
    }

    fn below(parent: &Path, limits: Limits) -> Result<Groups, String> {
        let controllers = fs::read_to_string(parent.join("cgroup.controllers"))
            .map_err(|_| format!("{} is no cgroup v2", parent.display()))?;
        let wanted: Vec<&str> =
            ["cpu", "memory"].into_iter().filter(|name| *name == "cpu" || limits.memory_bytes.is_some()).collect();
        if let Some(missing) = wanted.iter().find(|name| !controllers.split_whitespace().any(|has| has == **name)) {
            return Err(format!("{} has no {missing} controller", parent.display()));
        }
        let hand_on = || -> std::io::Result<()> {
            wanted.iter().try_for_each(|name| fs::write(parent.join("cgroup.subtree_control"), format!("+{name}")))
        };
        if hand_on().is_err() {
            // A group with processes of its own hands on nothing: the driver goes into one beside the executors'.
            let leaf = parent.join(format!("tidemill-{}-driver", std::process::id()));
            let go = |to: &Path| fs::write(to.join("cgroup.procs"), std::process::id().to_string());
            let moved = fs::create_dir(&leaf).and_then(|()| go(&leaf));
            if let Err(error) = moved.and_then(|()| hand_on()) {
                let _ = go(parent);
                let _ = fs::remove_dir(&leaf);
                return Err(format!("{} cannot be written ({error})", parent.display()));
            }
        }
        Ok(Groups { parent: parent.to_owned(), limits, made: 0 })
    }

    /// A group with the limits, and the process in it.
    pub(crate) fn hold(&mut self, pid: u32) -> Result<Group, String> {
        self.made += 1;
        let path = self.parent.join(format!("tidemill-{}-executor-{}", std::process::id(), self.made));
        let cannot = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::create_dir(&path).map_err(cannot)?;
        let group = Group(path.clone());
        let quota_us = u64::from(self.limits.cores) * PERIOD_US;
        fs::write(path.join("cpu.max"), format!("{quota_us} {PERIOD_US}")).map_err(cannot)?;
        if let Some(bytes) = self.limits.memory_bytes {
            fs::write(path.join("memory.max"), bytes.to_string()).map_err(cannot)?;
        }
        fs::write(path.join("cgroup.procs"), pid.to_string()).map_err(cannot)?;
        Ok(group)
    }
}

impl Drop for Group {
    /// The kernel takes the group's files along.
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// What limits an executor, as a sentence.
pub(crate) fn sentence(groups: &Result<Groups, String>, limits: Limits) -> String {
    let cores = limits.cores;
    let memory = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    match (groups, limits.memory_bytes) {
        (Ok(_), Some(bytes)) => format!("cgroup v2: {cores} cores and {} each", memory(bytes)),
        (Ok(_), None) => format!("cgroup v2: {cores} cores each"),
        (Err(why), Some(_)) => format!("threads only, {cores} each; executor_memory has no effect: {why}"),
        (Err(why), None) => format!("threads only, {cores} each: {why}"),
    }
}

/// The group of this process below a mount; `own` is its `/proc/self/cgroup`.
fn parent(mount: &Path, own: &str) -> Result<PathBuf, String> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("this system has no cgroup v2")?;
    Ok(mount.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { cores: 2, memory_bytes: Some(1_500_000_000) };

    #[test]
    fn an_executor_gets_a_group_with_its_limits() {
        let mount = tempfile::tempdir().expect("a directory");
        let own = "1:name=systemd:/x\n0::/user/run\n";
        let path = parent(mount.path(), own).expect("a v2 group");
        fs::create_dir_all(&path).expect("a group");
        fs::write(path.join("cgroup.controllers"), "cpuset cpu io memory\n").expect("a file");
        let mut groups = Groups::below(&path, LIMITS);
        assert_eq!(sentence(&groups, LIMITS), "cgroup v2: 2 cores and 1.5 GB each");
        let group = groups.as_mut().expect("it can be written").hold(77).expect("a group");
        let read = |name: &str| fs::read_to_string(group.0.join(name)).expect("it was written");
        assert_eq!([read("cpu.max"), read("memory.max"), read("cgroup.procs")], ["200000 100000", "1500000000", "77"]);
        assert_eq!(group.0.parent(), Some(path.as_path()));
    }

    #[test]
    fn where_there_are_no_groups_threads_hold_alone() {
        assert_eq!(parent(Path::new("/m"), "4:memory:/x\n"), Err("this system has no cgroup v2".into()));
        let mount = tempfile::tempdir().expect("a directory");
        let groups = Groups::below(mount.path(), LIMITS);
        let path = mount.path().display();
        let expected = format!("threads only, 2 each; executor_memory has no effect: {path} is no cgroup v2");
        assert_eq!(sentence(&groups, LIMITS), expected);
        fs::write(mount.path().join("cgroup.controllers"), "cpuset io\n").expect("a file");
        let limits = Limits { memory_bytes: None, ..LIMITS };
        let groups = Groups::below(mount.path(), limits);
        assert_eq!(sentence(&groups, limits), format!("threads only, 2 each: {path} has no cpu controller"));
    }
}
