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
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|_| "this system has no cgroups".to_owned())?;
        Groups::below(&parent(&mounts, &own)?, limits)
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
            // A group that holds processes cannot pass controllers on, so the driver moves into a group beside the executors'.
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

/// The group of this process. `mounts` is its `/proc/self/mounts`, `own` its `/proc/self/cgroup`. A system that has both
/// versions mounts version 2 beside version 1.
fn parent(mounts: &str, own: &str) -> Result<PathBuf, String> {
    let none = "this system has no cgroup v2";
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(path)
    });
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
    Ok(Path::new(mount.ok_or(none)?).join(path.ok_or(none)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { cores: 2, memory_bytes: Some(1_500_000_000) };

    #[test]
    fn an_executor_gets_a_group_with_its_limits() {
        let mount = tempfile::tempdir().expect("a directory");
        let own = "1:name=systemd:/x\n0::/user/run\n";
        let mounts = format!("cgroup /c/cpu cgroup rw,cpu 0 0\ncgroup2 {} cgroup2 rw 0 0\n", mount.path().display());
        let path = parent(&mounts, own).expect("a v2 group");
        assert_eq!(path, mount.path().join("user/run"));
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
        let none = Err("this system has no cgroup v2".to_owned());
        assert_eq!(parent("cgroup2 /m cgroup2 rw 0 0\n", "4:memory:/x\n"), none);
        assert_eq!(parent("cgroup /m cgroup rw,cpu 0 0\n", "0::/x\n"), none);
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
