//! The transaction coordinator: which producer owns a transactional id, what its transaction holds, and how it ends.
//!
//! ```text
//!   InitProducerId ──► owner, epoch ┐
//!   AddPartitions, AddOffsets ──────┤ state (pure) ──► store: DIR/transactions ──► markers in the partitions' logs
//!   Produce, TxnOffsetCommit: check │                                         └──► pending offsets of the groups
//!   EndTxn, timeout ────────────────┘
//! ```
//! - A change is written to the store before it takes effect. Once the end of a transaction is written (`Prepare`), it
//!   is carried out: usually at once, by [`Transactions::maintain`] after a full disk, or by [`Transactions::recover`]
//!   after a crash, before the first client is served.
//! - Each id has a lock. It is held while its producer appends a batch, so that no record follows the marker of its
//!   transaction. Lock order: the id, then partition or offsets or store.
//! - [`Transactions::maintain`] aborts a transaction that is open for longer than its timeout, and fences its producer.
//! - A power loss can lose the change that began a transaction, but keep its records. The next start aborts it.
//!
//! Knows nothing of the protocol's messages.

pub(crate) mod state;
mod store;
#[cfg(test)]
mod tests;

use crate::catalog::{Catalog, storage_error};
use crate::groups::Groups;
use crate::log::transactions::Outcome;
use crate::stderr::{ThrottledLog, log_line};
use kafka_protocol::ResponseError as Code;
use state::{Change, Init, PartitionKey, Phase, Producer, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use store::Store;

/// Apache Kafka's `transactional.id.expiration.ms`.
const ID_EXPIRATION_MS: i64 = 7 * 24 * 3600 * 1000;

/// All transactional ids.
#[derive(Debug)]
pub(crate) struct Transactions {
    entries: Mutex<BTreeMap<String, Arc<Mutex<Entry>>>>,
    store: Mutex<Store>,
}

#[derive(Debug)]
struct Entry {
    state: Transaction,
    /// The entry is no longer in the table. A thread that waited for its lock must look it up again.
    is_gone: bool,
}

/// What transactions write to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Participants<'a> {
    pub catalog: &'a Catalog,
    pub groups: &'a Groups,
}

impl Transactions {
    /// Reads or creates the file. With `sync` each change is on the disk before it takes effect.
    pub fn open(path: PathBuf, sync: bool) -> io::Result<Transactions> {
        let store = Store::open(path, sync)?;
        let entry = |state: &Transaction| Arc::new(Mutex::new(Entry { state: state.clone(), is_gone: false }));
        let entries = store.states().iter().map(|(id, state)| (id.clone(), entry(state))).collect();
        Ok(Transactions { entries: Mutex::new(entries), store: Mutex::new(store) })
    }

    /// Carries out the ends that were decided before a crash, and aborts transactions that no id knows. Call before
    /// clients are served.
    pub fn recover(&self, participants: Participants<'_>, now_ms: i64) {
        self.finish_all(participants, now_ms);
        let entries: Vec<_> = self.entries().values().cloned().collect();
        let unfinished = |state: &Transaction| matches!(state.phase, Phase::Ongoing | Phase::Prepared(_));
        let known: BTreeSet<i64> = entries
            .iter()
            .map(|entry| lock(entry))
            .filter(|entry| unfinished(&entry.state))
            .map(|entry| entry.state.producer_id)
            .collect();
        for topic in participants.catalog.all() {
            for partition in topic.partitions() {
                let open = partition.with_log(|log| log.open_producers());
                for (producer_id, epoch) in open.into_iter().filter(|(id, _)| !known.contains(id)) {
                    log_line(&format!("{}: an unknown transaction of producer {producer_id} is aborted", topic.name));
                    if let Some(Err(error)) = partition.append_marker(producer_id, epoch, Outcome::Abort) {
                        storage_error(error);
                    }
                }
            }
        }
        let mut offsets = participants.groups.offsets();
        for producer_id in offsets.pending_producers().into_iter().filter(|id| !known.contains(id)) {
            if let Err(error) = offsets.settle(producer_id, false) {
                storage_error(error);
            }
        }
    }

    /// Gives the id to a producer: the producer that `claimed` continues, or a new one that fences all earlier ones.
    /// Aborts an open transaction.
    pub fn init(
        &self,
        participants: Participants<'_>,
        id: &str,
        claimed: Option<Producer>,
        timeout_ms: i32,
        now_ms: i64,
        fresh_id: impl Fn() -> io::Result<i64>,
    ) -> Result<Producer, Code> {
        self.with_new(id, now_ms, |entry| {
            let mut aborted = false;
            loop {
                let state = &mut entry.state;
                match state.init(claimed, timeout_ms, || fresh_id().map_err(unavailable))? {
                    Init::Repeated(producer) => return Ok(producer),
                    Init::Change(change) => {
                        self.record(id, state, now_ms, &change)?;
                        return Ok((state.producer_id, state.epoch));
                    }
                    Init::Abort(epoch) => {
                        assert!(!aborted, "an aborted transaction is not open");
                        self.record(id, state, now_ms, &Change::Prepare { outcome: Outcome::Abort, epoch })?;
                        self.finish(participants, id, state, now_ms).map_err(unavailable)?;
                        aborted = true;
                    }
                }
            }
        })
    }

    /// Adds partitions and groups to a producer's transaction. Begins the transaction if none is open.
    pub fn add(
        &self,
        id: &str,
        producer: Producer,
        partitions: Vec<(PartitionKey, String)>,
        groups: Vec<String>,
        now_ms: i64,
    ) -> Result<(), Code> {
        self.with(id, |entry| {
            let state = &mut entry.state;
            state.check_add(producer)?;
            let is_known = state.phase == Phase::Ongoing
                && partitions.iter().all(|(place, _)| state.partitions.contains_key(place))
                && groups.iter().all(|group| state.groups.contains(group));
            if is_known { Ok(()) } else { self.record(id, state, now_ms, &Change::Add { partitions, groups }) }
        })
    }

    /// Ends a producer's transaction. When this returns, readers see the end. If the disk is full, the end is only
    /// decided, and [`Transactions::maintain`] carries it out later.
    pub fn end(
        &self,
        participants: Participants<'_>,
        id: &str,
        producer: Producer,
        outcome: Outcome,
        now_ms: i64,
    ) -> Result<(), Code> {
        self.with(id, |entry| {
            let state = &mut entry.state;
            if let Some(change) = state.end(producer, outcome)? {
                self.record(id, state, now_ms, &change)?;
                if let Err(error) = self.finish(participants, id, state, now_ms) {
                    storage_error(error);
                }
            }
            Ok(())
        })
    }

    /// Appends to a partition in a producer's open transaction. The transaction cannot end meanwhile.
    pub fn append<T>(
        &self,
        id: &str,
        producer: Producer,
        place: PartitionKey,
        append: impl FnOnce() -> T,
    ) -> Result<T, Code> {
        self.with(id, |entry| {
            entry.state.check_write(producer)?;
            let is_added = entry.state.partitions.contains_key(&place);
            if is_added { Ok(append()) } else { Err(Code::TransactionAbortable) }
        })
    }

    /// Commits offsets of a group in a producer's open transaction. The transaction cannot end meanwhile.
    pub fn commit_offsets<T>(
        &self,
        id: &str,
        producer: Producer,
        group: &str,
        commit: impl FnOnce() -> T,
    ) -> Result<T, Code> {
        self.with(id, |entry| {
            entry.state.check_write(producer)?;
            if entry.state.groups.contains(group) { Ok(commit()) } else { Err(Code::TransactionAbortable) }
        })
    }

    /// Aborts overdue transactions, tries again to carry out decided ends, and forgets ids that were unused for a week.
    pub fn maintain(&self, participants: Participants<'_>, now_ms: i64) {
        self.finish_all(participants, now_ms);
        for (id, entry) in self.all() {
            let mut entry = lock(&entry);
            let state = &mut entry.state;
            if state.is_overdue(now_ms) {
                static OVERDUE: ThrottledLog = ThrottledLog::new();
                let timeout_ms = state.timeout_ms;
                OVERDUE.log_line(|| {
                    format!("the transaction of {id:?} exceeded its timeout of {timeout_ms} ms and is aborted")
                });
                let prepare = Change::Prepare { outcome: Outcome::Abort, epoch: state.fencing_epoch() };
                if self.record(&id, state, now_ms, &prepare).is_ok()
                    && let Err(error) = self.finish(participants, &id, state, now_ms)
                {
                    storage_error(error);
                }
            }
        }
        self.forget_unused(now_ms - ID_EXPIRATION_MS, now_ms);
    }

    /// The state of one id.
    pub fn get(&self, id: &str) -> Option<Transaction> {
        self.with(id, |entry| Ok(entry.state.clone())).ok()
    }

    /// Passes the state of every id to `each`.
    pub fn for_each(&self, mut each: impl FnMut(&str, &Transaction)) {
        for (id, entry) in self.all() {
            let entry = lock(&entry);
            if !entry.is_gone {
                each(&id, &entry.state);
            }
        }
    }

    fn finish_all(&self, participants: Participants<'_>, now_ms: i64) {
        for (id, entry) in self.all() {
            if let Err(error) = self.finish(participants, &id, &mut lock(&entry).state, now_ms) {
                storage_error(error);
            }
        }
    }

    /// Carries out a decided end: writes a marker in each partition, then settles the groups' offsets. A second call
    /// does not repeat what is done. After a crash it may write a marker again, which changes nothing.
    fn finish(&self, to: Participants<'_>, id: &str, state: &mut Transaction, now_ms: i64) -> io::Result<()> {
        let Phase::Prepared(outcome) = state.phase else { return Ok(()) };
        while let Some(((topic_id, index), name)) = state.partitions.first_key_value() {
            let topic = to.catalog.get(name).filter(|topic| topic.id == *topic_id);
            if let Some(partition) = topic.and_then(|topic| topic.partition(*index)) {
                // `None` means that the partition is deleted.
                partition.append_marker(state.producer_id, state.epoch, outcome).transpose()?;
            }
            state.partitions.pop_first();
        }
        to.groups.offsets().settle(state.producer_id, outcome == Outcome::Commit)?;
        self.store().append(now_ms, id, &Change::Complete)?;
        state.apply(now_ms, &Change::Complete);
        Ok(())
    }

    fn forget_unused(&self, before_ms: i64, now_ms: i64) {
        for (id, entry) in self.all() {
            let mut entry = lock(&entry);
            let is_open = matches!(entry.state.phase, Phase::Ongoing | Phase::Prepared(_));
            if is_open || entry.is_gone || entry.state.changed_ms >= before_ms {
                continue;
            }
            if self.store().append(now_ms, &id, &Change::Forget).is_ok() {
                entry.is_gone = true;
                drop(entry);
                self.entries().remove(&id);
            }
        }
    }

    /// Writes a change to the store, then applies it.
    fn record(&self, id: &str, state: &mut Transaction, now_ms: i64, change: &Change) -> Result<(), Code> {
        self.store().append(now_ms, id, change).map_err(unavailable)?;
        state.apply(now_ms, change);
        Ok(())
    }

    /// Runs `act` on an id that has a producer.
    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Entry) -> Result<T, Code>) -> Result<T, Code> {
        let entry = self.entries().get(id).cloned().ok_or(Code::InvalidProducerIdMapping)?;
        let mut entry = lock(&entry);
        if entry.is_gone { Err(Code::InvalidProducerIdMapping) } else { act(&mut entry) }
    }

    /// Runs `act` on an id that may be new. Forgets a new id if it gets no producer.
    fn with_new<T>(&self, id: &str, now_ms: i64, act: impl FnOnce(&mut Entry) -> Result<T, Code>) -> Result<T, Code> {
        loop {
            let fresh = || Arc::new(Mutex::new(Entry { state: Transaction::new(now_ms), is_gone: false }));
            let shared = Arc::clone(self.entries().entry(id.to_owned()).or_insert_with(fresh));
            let mut entry = lock(&shared);
            if entry.is_gone {
                continue;
            }
            let done = act(&mut entry);
            if entry.state.producer_id == state::NONE {
                entry.is_gone = true;
                drop(entry);
                self.entries().remove(id);
            }
            return done;
        }
    }

    fn all(&self) -> Vec<(String, Arc<Mutex<Entry>>)> {
        self.entries().iter().map(|(id, entry)| (id.clone(), Arc::clone(entry))).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mutex<Entry>>>> {
        self.entries.lock().expect("no panic under this lock")
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no panic under this lock")
    }
}

/// The error code for a failed write of the coordinator. Clients try again.
fn unavailable(error: io::Error) -> Code {
    storage_error(error);
    Code::CoordinatorNotAvailable
}

fn lock(entry: &Mutex<Entry>) -> MutexGuard<'_, Entry> {
    entry.lock().expect("no panic under this lock")
}
