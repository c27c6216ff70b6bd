//! Opening a checkpoint: what is there is read, checked and tidied up.
//!
//! A file of the store is whole or not there. Where a disk breaks that promise, the last file of a log may be cut off:
//! it was being written when the machine died, nobody has believed it, and it counts as not written. Any other damage
//! is an error that names the file.

use crate::changes::{Change, another_query, changes};
use crate::frame::{self, Kind};
use crate::log::{BATCHES_KEPT, CommitLog, PlanLog};
use crate::recover::{Recovered, damaged, open_plans, state_chain};
use crate::store::{Store, write_json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidemill_model::{Error, Result};

/// Whose checkpoint it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Identity of the query, the same in all its runs.
    pub id: String,
    /// The typed plan as text, one property a line, as of the last start.
    pub plan: String,
}

/// An opened checkpoint: its two logs, usable from two threads, and where to go on.
pub struct Checkpoint {
    /// Whose it is; `id` is the stored one where there was one.
    pub metadata: Metadata,
    /// What has changed in the query since the last start, all of it allowed.
    pub changes: Vec<Change>,
    /// Where to write plan records.
    pub plans: PlanLog,
    /// Where to write states and commit records.
    pub commits: CommitLog,
    /// What was found.
    pub recovered: Recovered,
}

impl Checkpoint {
    /// Opens a checkpoint, or begins one with `metadata`. `bound` picks the lines of a plan that the state depends on:
    /// they must be what they were.
    ///
    /// # Errors
    /// User: it belongs to another query (the message shows the difference), or to a newer program. External: damage, disk.
    pub fn open(store: Arc<dyn Store>, metadata: Metadata, bound: &dyn Fn(&str) -> Vec<String>) -> Result<Checkpoint> {
        let (metadata, changes) = identify(&*store, metadata, bound)?;
        let commits = whole(&*store, "commits", Kind::Commit, batches(&store.list("commits")?, ""))?;
        let committed = commits.last().copied();
        let mut recovered = Recovered::default();
        if let Some(batch) = committed {
            recovered.committed = Some(must_read_json(&*store, Kind::Commit, &name("commits", batch, ""))?);
        }
        let files = store.list("state")?;
        let chain = state_chain(committed, &batches(&files, ".snapshot"), &batches(&files, ".delta"))?;
        let commits = read_state(&store, chain, &mut recovered)?;
        recovered.start = read_json(&*store, Kind::Start, "start")?;
        let mut plans = batches(&store.list("plans")?, "");
        if plans.last().copied() > committed {
            plans = whole(&*store, "plans", Kind::Plan, plans)?;
        }
        for batch in open_plans(committed, &plans)? {
            recovered.replay.push(must_read_json(&*store, Kind::Plan, &name("plans", batch, ""))?);
        }
        tidy_up(&*store, committed, &commits.state_files)?;
        Ok(Checkpoint { metadata, changes, plans: PlanLog { store }, commits, recovered })
    }
}

/// Finds out whose checkpoint it is, and writes down who uses it from now on.
fn identify(
    store: &dyn Store,
    mut metadata: Metadata,
    bound: &dyn Fn(&str) -> Vec<String>,
) -> Result<(Metadata, Vec<Change>)> {
    let Some(found) = read_json::<Metadata>(store, Kind::Metadata, "metadata")? else {
        for folder in ["commits", "plans", "state"] {
            if !store.list(folder)?.is_empty() {
                return Err(damaged(&format!("`metadata` is missing, and there is something in `{folder}`")));
            }
        }
        write_json(store, Kind::Metadata, "metadata", &metadata)?;
        return Ok((metadata, Vec::new()));
    };
    if found.plan == metadata.plan {
        return Ok((found, Vec::new()));
    }
    let forbidden = changes(&bound(&found.plan), &bound(&metadata.plan));
    if !forbidden.is_empty() {
        return Err(another_query(&forbidden));
    }
    let lines = |plan: &str| plan.lines().map(str::to_owned).collect::<Vec<String>>();
    let allowed = changes(&lines(&found.plan), &lines(&metadata.plan));
    metadata.id = found.id;
    write_json(store, Kind::Metadata, "metadata", &metadata)?;
    Ok((metadata, allowed))
}

/// Reads a chain of state files, and makes the log that goes on from there.
fn read_state(store: &Arc<dyn Store>, chain: Option<(u64, Vec<u64>)>, recovered: &mut Recovered) -> Result<CommitLog> {
    let mut log = CommitLog {
        store: store.clone(),
        snapshot_bytes: 0,
        delta_bytes: 0,
        any_snapshot: chain.is_some(),
        state_files: Vec::new(),
    };
    let Some((snapshot, deltas)) = chain else { return Ok(log) };
    let snapshot = [(snapshot, Kind::Snapshot, ".snapshot")].into_iter();
    for (batch, kind, suffix) in snapshot.chain(deltas.into_iter().map(|batch| (batch, Kind::Delta, ".delta"))) {
        let name = name("state", batch, suffix);
        let bytes = must_read(&**store, kind, &name)?;
        match kind {
            Kind::Snapshot => log.snapshot_bytes = bytes.len() as u64,
            _ => log.delta_bytes += bytes.len() as u64,
        }
        recovered.state.push((batch, bytes));
        log.state_files.push(name);
    }
    Ok(log)
}

/// Removes what a crash left: states that no chain needs, and records that are too old.
fn tidy_up(store: &dyn Store, committed: Option<u64>, state_files: &[String]) -> Result<()> {
    for file in store.list("state")?.into_iter().map(|file| format!("state/{file}")) {
        if !state_files.contains(&file) {
            store.remove(&file)?;
        }
    }
    let Some(oldest) = committed.and_then(|batch| (batch + 1).checked_sub(BATCHES_KEPT)) else { return Ok(()) };
    for folder in ["commits", "plans"] {
        for batch in batches(&store.list(folder)?, "").into_iter().filter(|batch| *batch < oldest) {
            store.remove(&name(folder, batch, ""))?;
        }
    }
    Ok(())
}

/// The batches of a log without the last one, where that is cut off.
fn whole(store: &dyn Store, folder: &str, kind: Kind, mut batches: Vec<u64>) -> Result<Vec<u64>> {
    if let Some(last) = batches.last() {
        let bytes = store.get(&name(folder, *last, ""))?.unwrap_or_default();
        if frame::is_cut_off(kind, &bytes) {
            batches.pop();
        }
    }
    Ok(batches)
}

pub(crate) fn name(folder: &str, batch: u64, suffix: &str) -> String {
    format!("{folder}/{batch:020}{suffix}")
}

/// Batch numbers of the names that end in `suffix`, ascending.
fn batches(names: &[String], suffix: &str) -> Vec<u64> {
    let mut batches: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(suffix)?.parse().ok()).collect();
    batches.sort_unstable();
    batches
}

fn read_json<T: DeserializeOwned>(store: &dyn Store, kind: Kind, name: &str) -> Result<Option<T>> {
    let Some(bytes) = store.get(name)? else { return Ok(None) };
    let payload = frame::open(kind, name, &bytes)?;
    serde_json::from_slice(payload).map(Some).map_err(|error| {
        Error::external(format!("checkpoint file `{name}` does not read: {error}; restore it from a copy"))
    })
}

fn must_read_json<T: DeserializeOwned>(store: &dyn Store, kind: Kind, name: &str) -> Result<T> {
    read_json(store, kind, name)?.ok_or_else(|| vanished(name))
}

fn must_read(store: &dyn Store, kind: Kind, name: &str) -> Result<Vec<u8>> {
    let mut bytes = store.get(name)?.ok_or_else(|| vanished(name))?;
    let payload = frame::open(kind, name, &bytes)?.len();
    // In place: it may be a gigabyte.
    bytes.drain(..frame::HEADER);
    bytes.truncate(payload);
    Ok(bytes)
}

fn vanished(name: &str) -> Error {
    Error::external(format!(
        "checkpoint file `{name}` vanished while it was read; is something else cleaning the directory?"
    ))
}
