//! The plan log and the commit log: writing records in the order that makes any crash recoverable.

use crate::frame::{self, Kind};
use crate::recover::{Recovered, open_plans, state_chain};
use crate::store::Store;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidemill_model::{BatchPlan, Error, Millis, Offsets, Result};

/// Plan and commit records of so many batches are kept for people to look at, as Spark does by default.
const BATCHES_KEPT: u64 = 100;

/// A snapshot is due when the deltas since the last one outweigh it, but not for less than this many bytes.
const SNAPSHOT_BYTES_MIN: u64 = 64 << 10;

/// Whose checkpoint it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Identity of the query, the same in all its runs.
    pub id: String,
    /// The typed plan as text, one property a line.
    pub plan: String,
}

/// The commit record of a batch: the sinks have its rows, its state is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Number of the batch.
    pub batch_id: u64,
    /// wm(N), the late watermark of the next batch.
    pub watermark: Millis,
    /// wm(N+1), the watermark of the next batch (rule M3).
    pub next_watermark: Millis,
    /// Positions after the batch.
    pub end_offsets: Offsets,
    /// Records in all committed batches.
    pub records: u64,
    /// What the autoscaler has learned, as it wrote it.
    pub capacity: Option<serde_json::Value>,
}

/// What a batch leaves of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// The whole state after the batch.
    Snapshot(Vec<u8>),
    /// What the batch changed.
    Delta(Vec<u8>),
}

/// An opened checkpoint: its two logs, usable from two threads, and where to go on.
pub struct Checkpoint {
    /// Whose it is; `id` is the stored one where there was one.
    pub metadata: Metadata,
    /// Where to write plan records.
    pub plans: PlanLog,
    /// Where to write states and commit records.
    pub commits: CommitLog,
    /// What was found.
    pub recovered: Recovered,
}

/// The plan log.
pub struct PlanLog {
    store: Arc<dyn Store>,
}

/// The commit log, with the states.
pub struct CommitLog {
    store: Arc<dyn Store>,
    snapshot_bytes: u64,
    delta_bytes: u64,
    any_snapshot: bool,
    /// State files that exist, oldest first.
    state_files: Vec<String>,
}

impl Checkpoint {
    /// Opens a checkpoint, or begins one with `metadata`.
    ///
    /// # Errors
    /// User: it belongs to another query (the message shows the difference), or to a newer program. External: damage, disk.
    pub fn open(store: Arc<dyn Store>, metadata: Metadata) -> Result<Checkpoint> {
        let metadata = match read_json::<Metadata>(&*store, Kind::Metadata, "metadata")? {
            None => {
                write_json(&*store, Kind::Metadata, "metadata", &metadata)?;
                metadata
            }
            Some(found) if found.plan == metadata.plan => found,
            Some(found) => return Err(another_query(&found.plan, &metadata.plan)),
        };
        let commits = batches(&store.list("commits")?, "");
        let committed = commits.last().copied();
        let files = store.list("state")?;
        let chain = state_chain(committed, &batches(&files, ".snapshot"), &batches(&files, ".delta"))?;
        let mut log = CommitLog {
            store: store.clone(),
            snapshot_bytes: 0,
            delta_bytes: 0,
            any_snapshot: chain.is_some(),
            state_files: Vec::new(),
        };
        let mut recovered = Recovered::default();
        if let Some(batch) = committed {
            recovered.committed = Some(must_read_json(&*store, Kind::Commit, &format!("commits/{batch:020}"))?);
        }
        if let Some((snapshot, deltas)) = chain {
            let name = format!("state/{snapshot:020}.snapshot");
            let bytes = must_read(&*store, Kind::Snapshot, &name)?;
            log.snapshot_bytes = bytes.len() as u64;
            recovered.state.push((snapshot, bytes));
            log.state_files.push(name);
            for delta in deltas {
                let name = format!("state/{delta:020}.delta");
                let bytes = must_read(&*store, Kind::Delta, &name)?;
                log.delta_bytes += bytes.len() as u64;
                recovered.state.push((delta, bytes));
                log.state_files.push(name);
            }
        }
        recovered.start = read_json(&*store, Kind::Start, "start")?;
        for batch in open_plans(committed, &batches(&store.list("plans")?, ""))? {
            recovered.replay.push(must_read_json(&*store, Kind::Plan, &format!("plans/{batch:020}"))?);
        }
        Ok(Checkpoint { metadata, plans: PlanLog { store }, commits: log, recovered })
    }
}

impl PlanLog {
    /// Writes where the query begins, before its first plan: `latest` must mean the same after a crash.
    ///
    /// # Errors
    /// External: the disk.
    pub fn write_start(&mut self, positions: &Offsets) -> Result<()> {
        write_json(&*self.store, Kind::Start, "start", positions)
    }

    /// Writes a plan record; durable on return. The batch may be dispatched from then on.
    ///
    /// # Errors
    /// External: the disk.
    pub fn write(&mut self, plan: &BatchPlan) -> Result<()> {
        write_json(&*self.store, Kind::Plan, &format!("plans/{:020}", plan.batch_id), plan)
    }
}

impl CommitLog {
    /// Whether the next state should be a snapshot.
    pub fn wants_snapshot(&self) -> bool {
        !self.any_snapshot || self.delta_bytes > self.snapshot_bytes.max(SNAPSHOT_BYTES_MIN)
    }

    /// Writes the state of a batch, then its commit record, then removes what is no longer needed; durable on return.
    ///
    /// # Errors
    /// External: the disk. The batch is then not committed and will be replayed.
    pub fn commit(&mut self, record: &CommitRecord, state: &StateChange) -> Result<()> {
        let batch = record.batch_id;
        let obsolete = match state {
            StateChange::Snapshot(bytes) => {
                let name = format!("state/{batch:020}.snapshot");
                self.store.put(&name, &frame::seal(Kind::Snapshot, bytes))?;
                (self.snapshot_bytes, self.delta_bytes, self.any_snapshot) = (bytes.len() as u64, 0, true);
                std::mem::replace(&mut self.state_files, vec![name])
            }
            StateChange::Delta(bytes) => {
                assert!(self.any_snapshot, "the first state of a checkpoint is a snapshot");
                let name = format!("state/{batch:020}.delta");
                self.store.put(&name, &frame::seal(Kind::Delta, bytes))?;
                self.delta_bytes += bytes.len() as u64;
                self.state_files.push(name);
                Vec::new()
            }
        };
        write_json(&*self.store, Kind::Commit, &format!("commits/{batch:020}"), record)?;
        for name in obsolete.iter().filter(|name| !self.state_files.contains(name)) {
            self.store.remove(name)?;
        }
        if let Some(old) = batch.checked_sub(BATCHES_KEPT) {
            self.store.remove(&format!("commits/{old:020}"))?;
            self.store.remove(&format!("plans/{old:020}"))?;
        }
        Ok(())
    }
}

/// Batch numbers of the names that end in `suffix`, ascending.
fn batches(names: &[String], suffix: &str) -> Vec<u64> {
    let mut batches: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(suffix)?.parse().ok()).collect();
    batches.sort_unstable();
    batches
}

fn write_json<T: Serialize>(store: &dyn Store, kind: Kind, name: &str, value: &T) -> Result<()> {
    let json = serde_json::to_vec(value).expect("records serialise");
    store.put(name, &frame::seal(kind, &json))
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
    let bytes = store.get(name)?.ok_or_else(|| vanished(name))?;
    Ok(frame::open(kind, name, &bytes)?.to_vec())
}

fn vanished(name: &str) -> Error {
    Error::external(format!(
        "checkpoint file `{name}` vanished while it was read; is something else cleaning the directory?"
    ))
}

/// The lines in which two plans differ.
fn another_query(old: &str, new: &str) -> Error {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("  - {}", line.trim()));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("  + {}", line.trim()));
    let lines: Vec<String> = gone.chain(come).collect();
    Error::user(format!(
        "the checkpoint belongs to another query:\n{}\nundo the change, or give the changed query a --checkpoint of its own",
        lines.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;

    fn metadata(plan: &str) -> Metadata {
        Metadata { id: "query-1".into(), plan: plan.into() }
    }

    fn plan(batch_id: u64) -> BatchPlan {
        BatchPlan {
            batch_id,
            ranges: vec![],
            tasks: vec![],
            watermark: Millis(0),
            late_watermark: Millis(0),
            timestamp: Millis(batch_id as i64),
            start_offsets: Offsets::default(),
            end_offsets: Offsets::default(),
        }
    }

    fn record(batch_id: u64) -> CommitRecord {
        CommitRecord { batch_id, ..CommitRecord::default() }
    }

    fn open(store: &MemoryStore) -> Checkpoint {
        Checkpoint::open(Arc::new(store.clone()), metadata("q")).unwrap()
    }

    #[test]
    fn goes_on_where_it_was() {
        let store = MemoryStore::default();
        let mut checkpoint = open(&store);
        assert_eq!(checkpoint.recovered, Recovered::default());
        assert!(checkpoint.commits.wants_snapshot());
        checkpoint.plans.write(&plan(0)).unwrap();
        assert_eq!(open(&store).recovered.replay, [plan(0)]);
        assert_eq!(open(&store).recovered.start, None);
        checkpoint.plans.write_start(&Offsets::default()).unwrap();
        assert_eq!(open(&store).recovered.start, Some(Offsets::default()));
        checkpoint.commits.commit(&record(0), &StateChange::Snapshot(b"s0".into())).unwrap();
        assert!(!checkpoint.commits.wants_snapshot());
        checkpoint.plans.write(&plan(1)).unwrap();
        checkpoint.plans.write(&plan(2)).unwrap();
        checkpoint.commits.commit(&record(1), &StateChange::Delta(b"d1".into())).unwrap();
        let recovered = open(&store).recovered;
        assert_eq!(recovered.committed, Some(record(1)));
        assert_eq!(recovered.state, [(0, b"s0".to_vec()), (1, b"d1".to_vec())]);
        assert_eq!(recovered.replay, [plan(2)]);
    }

    #[test]
    fn keeps_no_more_than_it_needs() {
        let store = MemoryStore::default();
        let mut checkpoint = open(&store);
        for batch in 0..250 {
            checkpoint.plans.write(&plan(batch)).unwrap();
            let state = if checkpoint.commits.wants_snapshot() {
                StateChange::Snapshot(vec![0; 1_000])
            } else {
                StateChange::Delta(vec![0; 2_000])
            };
            checkpoint.commits.commit(&record(batch), &state).unwrap();
        }
        assert_eq!(store.list("plans").unwrap().len(), 100);
        assert_eq!(store.list("commits").unwrap().len(), 100);
        assert!(store.list("state").unwrap().len() <= 34, "{:?}", store.list("state"));
        assert_eq!(open(&store).recovered.committed, Some(record(249)));
    }

    #[test]
    fn another_query_is_refused_with_the_difference() {
        let store = MemoryStore::default();
        Checkpoint::open(Arc::new(store.clone()), metadata("table t\nwindow 10s")).unwrap();
        let Err(error) = Checkpoint::open(Arc::new(store), metadata("table t\nwindow 20s")) else { panic!("accepted") };
        assert_eq!(error.exit_code(), 2);
        assert!(error.message().contains("- window 10s\n  + window 20s"), "{error}");
    }
}
