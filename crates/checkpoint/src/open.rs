//! Opens a checkpoint: reads, checks and cleans up what is there, then begins a new segment.

use crate::changes::{Change, another_query, changes};
use crate::disk::{Disk, refused};
use crate::log::{CommitLog, Log, LogStart, PlanLog, RECORDS_BYTES, batches, list, obsolete, remove};
use crate::record::Base;
use crate::recover::{Found, Recovered, check_plans, damaged, read_segments, state_chain};
use crate::{segment, snapshot};
use bytes::Bytes;
use std::sync::Arc;
use tidemill_model::{Error, Fingerprint, Result};

/// The query that a checkpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Identity of the query, the same in all its runs.
    pub id: String,
    /// The typed plan as text, one property per line.
    pub text: String,
    /// What of it must not change.
    pub fingerprint: Fingerprint,
}

/// An opened checkpoint: its logs, usable from two threads, and where to go on.
pub struct Checkpoint {
    /// The query. Its `id` is the stored one, if there was one.
    pub query: Query,
    /// What has changed in the query since the last start. All of it is allowed.
    pub changes: Vec<Change>,
    /// Writes plan records.
    pub plans: PlanLog,
    /// Writes state changes and commit records.
    pub commits: CommitLog,
    /// What was found.
    pub recovered: Recovered,
}

impl Checkpoint {
    /// Opens a checkpoint, or begins one for `query`. For `snapshot_bytes_min` see [`crate::SNAPSHOT_BYTES_MIN`].
    ///
    /// # Errors
    /// User: the checkpoint has batches of another query (the message shows the difference) or another format version.
    /// External: damage, disk.
    pub fn open(disk: Arc<dyn Disk>, query: Query, snapshot_bytes_min: u64) -> Result<Checkpoint> {
        make_folders(&*disk)?;
        let mut found = find(&*disk)?;
        let snapshots = batches(&list(&*disk, snapshot::FOLDER)?);
        let (query, changes) = identify(&mut found.base, query)?;
        let (snapshot, deltas) = state(&*disk, &mut found, &snapshots)?;
        let Found { base, newest, mut segments, .. } = found;
        let recovered = Recovered {
            start: base.start.clone(),
            committed: base.committed.clone(),
            snapshot,
            deltas,
            replay: base.plans.clone(),
        };
        let covered = recovered.snapshot.as_ref().map(|(batch, _)| *batch);
        segments.drain(..obsolete(&segments, covered));
        let base = Base {
            id: query.id.clone(),
            query: query.text.clone(),
            fingerprint: query.fingerprint.clone(),
            previous: newest,
            ..base
        };
        let number = newest.map_or(0, |(number, _)| number + 1);
        let kept: Vec<u64> = segments.iter().map(|(number, _)| *number).chain([number]).collect();
        let since_snapshot = recovered.deltas.iter().map(|(_, delta)| RECORDS_BYTES + delta.len() as u64).sum();
        let snapshot_bytes = recovered.snapshot_bytes();
        let beginning = LogStart { base, segment: number, older: segments, since_snapshot, snapshot_bytes };
        let log = Log::begin(disk.clone(), beginning)?;
        tidy_up(&*disk, &kept, covered)?;
        let log = Arc::new(log);
        let commits = CommitLog { log: log.clone(), snapshot_bytes_min };
        Ok(Checkpoint { query, changes, plans: PlanLog(log), commits, recovered })
    }
}

/// What a checkpoint holds, for display.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The query.
    pub query: Query,
    /// Where the query goes on from.
    pub recovered: Recovered,
    /// Segments of the log: number and bytes.
    pub segments: Vec<(u64, u64)>,
}

/// Reads a checkpoint without changing it.
///
/// # Errors
/// As [`Checkpoint::open`]. User: there is no checkpoint.
pub fn inspect(disk: &dyn Disk) -> Result<Inspection> {
    let files = read_files(disk)?;
    let mut found = read_segments(&files)?;
    if found.newest.is_none() {
        let message = format!("`{}` holds no checkpoint; name the directory of one", disk.place(""));
        return Err(Error::user(message));
    }
    let (snapshot, deltas) = state(disk, &mut found, &batches(&list(disk, snapshot::FOLDER)?))?;
    let Base { id, query, fingerprint, start, committed, plans, .. } = found.base;
    Ok(Inspection {
        query: Query { id, text: query, fingerprint },
        recovered: Recovered { start, committed, snapshot, deltas, replay: plans },
        segments: files.iter().map(|(number, bytes)| (*number, bytes.len() as u64)).collect(),
    })
}

fn make_folders(disk: &dyn Disk) -> Result<()> {
    for folder in [segment::FOLDER, snapshot::FOLDER] {
        disk.make_folder(folder).map_err(|error| refused("make the directory", &disk.place(folder), &error))?;
    }
    disk.sync_folder("").map_err(|error| refused("sync", &disk.place(""), &error))
}

fn find(disk: &dyn Disk) -> Result<Found> {
    let found = read_segments(&read_files(disk)?)?;
    if found.newest.is_none() && !batches(&list(disk, snapshot::FOLDER)?).is_empty() {
        return Err(damaged("there are snapshots, but no log"));
    }
    Ok(found)
}

fn read_files(disk: &dyn Disk) -> Result<Vec<(u64, Bytes)>> {
    let read = |number: u64| -> Result<(u64, Bytes)> { Ok((number, read(disk, &segment::name(number))?)) };
    batches(&list(disk, segment::FOLDER)?).into_iter().map(read).collect()
}

fn read(disk: &dyn Disk, name: &str) -> Result<Bytes> {
    let bytes = disk.read(name).map_err(|error| refused("read", &disk.place(name), &error))?;
    bytes.map(Bytes::from).ok_or_else(|| {
        Error::external(format!(
            "checkpoint file `{name}` vanished while it was read; does another program delete files in the directory?"
        ))
    })
}

/// The parts of a snapshot, and the batch of the first one.
type Snapshot = Option<(u64, Vec<Bytes>)>;

/// The committed state: a snapshot and the changes of all batches since.
fn state(disk: &dyn Disk, found: &mut Found, snapshots: &[u64]) -> Result<(Snapshot, Vec<(u64, Bytes)>)> {
    let committed = found.base.committed.as_ref().map(|record| record.batch_id);
    check_plans(committed, &found.base.plans)?;
    let (snapshot, chain) = state_chain(committed, snapshots, &found.deltas)?;
    let open = |batch: u64| -> Result<(u64, Vec<Bytes>)> {
        let name = snapshot::name(batch);
        Ok((batch, snapshot::open(&name, &read(disk, &name)?)?))
    };
    let snapshot = snapshot.map(open).transpose()?;
    let take = |batch: u64| (batch, found.deltas.remove(&batch).expect("the chain was checked"));
    Ok((snapshot, chain.into_iter().map(take).collect()))
}

/// The query that the checkpoint belongs to from now on, and what has changed in it. Before its first plan a checkpoint
/// takes any query: a first start that failed, on a wrong directory perhaps, binds it to nothing.
fn identify(base: &mut Base, query: Query) -> Result<(Query, Vec<Change>)> {
    if base.id.is_empty() {
        return Ok((query, Vec::new()));
    }
    if base.fingerprint != query.fingerprint {
        if base.committed.is_none() && base.plans.is_empty() {
            base.start = None;
            return Ok((Query { id: base.id.clone(), ..query }, Vec::new()));
        }
        return Err(another_query(&changes(&base.fingerprint.lines(), &query.fingerprint.lines())));
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
    let allowed = changes(&lines(&base.query), &lines(&query.text));
    Ok((Query { id: base.id.clone(), ..query }, allowed))
}

/// Removes what a crash left behind: unfinished files and files that nothing needs.
fn tidy_up(disk: &dyn Disk, segments: &[u64], snapshot: Option<u64>) -> Result<()> {
    for name in list(disk, segment::FOLDER)? {
        if name.parse().is_ok_and(|number: u64| !segments.contains(&number)) {
            remove(disk, &format!("{}/{name}", segment::FOLDER))?;
        }
    }
    for name in list(disk, snapshot::FOLDER)? {
        let other = name.parse().is_ok_and(|batch: u64| Some(batch) != snapshot);
        if other || name.ends_with(snapshot::TEMPORARY) {
            remove(disk, &format!("{}/{name}", snapshot::FOLDER))?;
        }
    }
    Ok(())
}
