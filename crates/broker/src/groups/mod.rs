//! Consumer groups: their members ([`state`], pure) and their committed offsets ([`offsets`], on disk).
//!
//! A join or sync waits on its connection's thread until the group changes. Every access to a group first advances the
//! group's time, so there is no timer. Membership is kept only in memory: clients join again after a restart.

pub(crate) mod member;
pub(crate) mod offsets;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use kafka_protocol::ResponseError as Code;
use member::{Join, Joined, Member, Phase};
use offsets::Offsets;
use state::Group;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tidemill_os::clock::wall_ms;

/// How long a waiter sleeps if the group has no deadline.
const LONG: Duration = Duration::from_secs(3600);

/// All groups of the broker.
#[derive(Debug)]
pub(crate) struct Groups {
    entries: Mutex<BTreeMap<String, Arc<GroupEntry>>>,
    offsets: Mutex<Offsets>,
    stopping: AtomicBool,
}

/// A group, and a signal for the threads that wait for its next change.
#[derive(Debug)]
pub(crate) struct GroupEntry {
    group: Mutex<Group>,
    changed: Condvar,
}

/// The answer to a member after the rebalance.
#[derive(Debug)]
pub(crate) struct JoinAnswer {
    pub member_id: String,
    pub generation: i32,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    /// A static leader came back. The assignment is still valid, so the leader need not make one.
    pub skip_assignment: bool,
    /// Members with instance and metadata. Only the leader gets them.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

impl Groups {
    /// Opens the committed offsets.
    pub fn open(path: PathBuf, sync: bool) -> io::Result<Groups> {
        let offsets = Mutex::new(Offsets::open(path, sync, wall_ms())?);
        Ok(Groups { entries: Mutex::default(), offsets, stopping: AtomicBool::new(false) })
    }

    /// The committed offsets.
    pub fn offsets(&self) -> MutexGuard<'_, Offsets> {
        self.offsets.lock().expect("no panic under this lock")
    }

    /// Joins and waits for the rebalance to complete.
    pub fn join(&self, group: &str, join: Join) -> Result<JoinAnswer, (Code, String)> {
        let entry = self.entry(group);
        let mut state = entry.lock();
        let given_id = join.member_id.clone();
        let joined = state.join(join, Instant::now());
        entry.changed.notify_all();
        let joined = match joined {
            Ok(joined) => joined,
            Err(code) => {
                let idle = state.is_idle();
                drop(state);
                if idle {
                    self.forget_idle(group);
                }
                return Err((code, given_id));
            }
        };
        match joined {
            Joined::IdRequired(id) => Err((Code::MemberIdRequired, id)),
            Joined::Wait(id) => {
                let mut state = self.wait(&entry, state, |group| match group.join_is_done(&id) {
                    Ok(false) => None,
                    Ok(true) => Some(Ok(())),
                    Err(code) => Some(Err(code)),
                });
                match &mut state {
                    (Ok(()), group) => Ok(answer(group, id)),
                    (Err(code), _) => Err((*code, id)),
                }
            }
        }
    }

    /// Takes the leader's assignments. Waits for the member's own.
    pub fn sync(
        &self,
        group: &str,
        member: (&str, Option<&str>),
        generation: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<(Bytes, String, String), Code> {
        let entry = self.existing(group).ok_or(Code::UnknownMemberId)?;
        let mut state = entry.lock();
        state.check_instance(member.0, member.1)?;
        state.sync(member.0, generation, assignments, Instant::now())?;
        entry.changed.notify_all();
        let (assignment, group) =
            self.wait(&entry, state, |group| group.assignment(member.0, generation, Instant::now()).transpose());
        Ok((assignment?, group.protocol_type.clone(), group.protocol.clone().unwrap_or_default()))
    }

    /// Runs `act` on an existing group and wakes the waiters.
    pub fn with<T>(&self, group: &str, act: impl FnOnce(&mut Group, Instant) -> Result<T, Code>) -> Result<T, Code> {
        let entry = self.existing(group).ok_or(Code::UnknownMemberId)?;
        let result = act(&mut entry.lock(), Instant::now());
        entry.changed.notify_all();
        result
    }

    /// Whether the group has had a member since the broker started.
    pub fn exists(&self, group: &str) -> bool {
        self.existing(group).is_some()
    }

    /// Names of all groups with members or offsets.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.offsets().groups().cloned().collect();
        names.extend(self.entries().keys().cloned());
        names.sort();
        names.dedup();
        names
    }

    /// Removes groups without members. Removes their offsets if these are older than `retention` at `now_ms`.
    pub fn expire(&self, now_ms: i64, retention: Duration) {
        self.forget_all_idle();
        let alive: BTreeSet<String> = self.entries().keys().cloned().collect();
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        self.offsets().expire(now_ms, retention_ms, |group| alive.contains(group));
    }

    fn forget_all_idle(&self) {
        self.entries().retain(|_, entry| {
            let mut group = entry.lock();
            group.tick(Instant::now());
            Arc::strong_count(entry) > 1 || !group.is_idle()
        });
    }

    fn forget_idle(&self, name: &str) {
        let mut entries = self.entries();
        // Two references: the table's and ours.
        if entries.get(name).is_some_and(|entry| Arc::strong_count(entry) <= 2 && entry.lock().is_idle()) {
            entries.remove(name);
        }
    }

    /// Deletes a group without members, and its offsets.
    pub fn delete(&self, group: &str) -> Result<(), Code> {
        if let Some(entry) = self.existing(group) {
            let mut state = entry.lock();
            state.tick(Instant::now());
            if !state.members.is_empty() {
                return Err(Code::NonEmptyGroup);
            }
        } else if self.offsets().of_group(group).next().is_none() {
            return Err(Code::GroupIdNotFound);
        }
        self.entries().remove(group);
        self.offsets().delete_group(group).map_err(crate::catalog::storage_error)
    }

    /// Ends all waits.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for entry in self.entries().values() {
            let _held = entry.lock();
            entry.changed.notify_all();
        }
    }

    /// Waits until `done` returns a result; advances the group's time meanwhile.
    fn wait<'a, T>(
        &self,
        entry: &'a GroupEntry,
        mut group: MutexGuard<'a, Group>,
        mut done: impl FnMut(&mut Group) -> Option<Result<T, Code>>,
    ) -> (Result<T, Code>, MutexGuard<'a, Group>) {
        loop {
            let now = Instant::now();
            let before = (group.phase, group.generation);
            group.tick(now);
            if before != (group.phase, group.generation) {
                entry.changed.notify_all();
            }
            if let Some(result) = done(&mut group) {
                return (result, group);
            }
            if self.stopping.load(Ordering::SeqCst) {
                return (Err(Code::CoordinatorNotAvailable), group);
            }
            let due = group.next_tick().map_or(LONG, |due| due.saturating_duration_since(now));
            group = entry.changed.wait_timeout(group, due).expect("no panic under this lock").0;
        }
    }

    fn entry(&self, group: &str) -> Arc<GroupEntry> {
        let fresh = || Arc::new(GroupEntry { group: Mutex::new(Group::new()), changed: Condvar::new() });
        Arc::clone(self.entries().entry(group.to_owned()).or_insert_with(fresh))
    }

    fn existing(&self, group: &str) -> Option<Arc<GroupEntry>> {
        self.entries().get(group).cloned()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Arc<GroupEntry>>> {
        self.entries.lock().expect("no panic under this lock")
    }
}

impl GroupEntry {
    fn lock(&self) -> MutexGuard<'_, Group> {
        self.group.lock().expect("no panic under this lock")
    }
}

fn answer(group: &Group, member_id: String) -> JoinAnswer {
    let leader = group.leader.clone().unwrap_or_default();
    let describe = |(id, member): (&String, &Member)| {
        (id.clone(), member.instance.clone(), member.metadata(group.protocol.as_deref()))
    };
    let is_leader = leader == member_id;
    JoinAnswer {
        generation: group.generation,
        protocol_type: group.protocol_type.clone(),
        protocol: group.protocol.clone().unwrap_or_default(),
        skip_assignment: is_leader && group.phase == Phase::Stable,
        members: if is_leader { group.members.iter().map(describe).collect() } else { Vec::new() },
        leader,
        member_id,
    }
}
