//! The state of one transactional id, its decisions, and the changes that the store records.
//!
//! ```text
//!            init              add                prepare              complete
//!   (none) ────────► Empty ────────► Ongoing ────────────► Prepared ────────────► Completed ──► add, or init again
//!                      ▲ init again: increments the epoch, fences earlier producers    │
//!                      └────────────────────────────────────────────────────────────────┘
//! ```
//! In `Prepared` the outcome is decided: after a crash the markers are written again. Pure: reads no clock, writes no
//! file. The rules are those of Apache Kafka with `transaction.version` 0 or 1: each init increments the epoch, but a
//! transaction does not.

use crate::log::transactions::Outcome;
use kafka_protocol::ResponseError as Code;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// No producer id, no epoch.
pub(crate) const NONE: i64 = -1;
pub(crate) const NO_EPOCH: i16 = -1;
/// The last epoch that a client gets. The next one only fences that client. After it the id gets another producer id.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// A producer: id and epoch.
pub(crate) type Producer = (i64, i16);

/// A partition: the topic's id and the index. A topic that is deleted and created again has another id.
pub(crate) type PartitionKey = (Uuid, i32);

/// The phase of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    Ongoing,
    Prepared(Outcome),
    Completed(Outcome),
}

/// One transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// The current producer; [`NONE`] before the first init.
    pub producer_id: i64,
    pub epoch: i16,
    /// The producer that the last init named as its predecessor. It identifies a repeated init.
    pub previous: Producer,
    pub timeout_ms: i32,
    pub phase: Phase,
    /// When it began (−1 if no transaction has begun), and when the state last changed, in ms since 1970.
    pub start_ms: i64,
    pub changed_ms: i64,
    /// The partitions that the transaction writes to, with the topics' names.
    pub partitions: BTreeMap<PartitionKey, String>,
    /// The groups whose offsets it commits.
    pub groups: BTreeSet<String>,
}

/// A change of the state, as the store records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A producer takes over the id.
    Init { producer: Producer, previous: Producer, timeout_ms: i32 },
    /// The transaction begins or grows.
    Add { partitions: Vec<(PartitionKey, String)>, groups: Vec<String> },
    /// The outcome is decided. The epoch is the producer's, or one more to fence it.
    Prepare { outcome: Outcome, epoch: i16 },
    /// The markers are written.
    Complete,
    /// The id is forgotten.
    Forget,
}

/// The decision about an init.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Init {
    /// The request is a repeat and gets the answer of the first.
    Repeated(Producer),
    /// The open transaction must be aborted first, with this epoch.
    Abort(i16),
    Change(Change),
}

impl Transaction {
    /// An id that no producer has used yet.
    pub fn new(now_ms: i64) -> Transaction {
        Transaction {
            producer_id: NONE,
            epoch: NO_EPOCH,
            previous: (NONE, NO_EPOCH),
            timeout_ms: 0,
            phase: Phase::Empty,
            start_ms: -1,
            changed_ms: now_ms,
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
        }
    }

    /// Decides about a producer that takes over the id. `claimed` is its earlier id and epoch, if it names one: it then
    /// continues only if no other producer came in between. `fresh_id` supplies another producer id if one is needed.
    pub fn init(
        &self,
        claimed: Option<Producer>,
        timeout_ms: i32,
        fresh_id: impl FnOnce() -> Result<i64, Code>,
    ) -> Result<Init, Code> {
        let is_new = self.epoch == NO_EPOCH;
        let may_continue =
            |(id, epoch): Producer| is_new || id == self.producer_id || (id == self.previous.0 && epoch >= LAST_EPOCH);
        if claimed.is_some_and(|claimed| !may_continue(claimed)) {
            return Err(Code::ProducerFenced);
        }
        match self.phase {
            Phase::Prepared(_) => return Err(Code::ConcurrentTransactions),
            Phase::Ongoing => return Ok(Init::Abort(self.fencing_epoch())),
            Phase::Empty | Phase::Completed(_) => {}
        }
        let current = (self.producer_id, self.epoch);
        // One that was fenced with the very last epoch continues with another id.
        let continues =
            |(_, epoch): Producer| epoch == self.epoch || (self.epoch > LAST_EPOCH && epoch == self.previous.1);
        if is_new || (self.epoch >= LAST_EPOCH && claimed.is_none_or(continues)) {
            let previous = claimed.filter(|_| !is_new).unwrap_or((NONE, NO_EPOCH));
            return Ok(Init::Change(Change::Init { producer: (fresh_id()?, 0), previous, timeout_ms }));
        }
        let next = (self.producer_id, self.epoch.saturating_add(1));
        match claimed {
            None => Ok(Init::Change(Change::Init { producer: next, previous: (NONE, NO_EPOCH), timeout_ms })),
            Some((_, epoch)) if epoch == self.epoch => {
                Ok(Init::Change(Change::Init { producer: next, previous: current, timeout_ms }))
            }
            Some(claimed) if claimed.1 == self.previous.1 => Ok(Init::Repeated(current)),
            Some(_) => Err(Code::ProducerFenced),
        }
    }

    /// Checks a request of a producer that adds to its transaction.
    pub fn check_add(&self, (id, epoch): Producer) -> Result<(), Code> {
        self.check_producer((id, epoch))?;
        match self.phase {
            Phase::Prepared(_) => Err(Code::ConcurrentTransactions),
            _ => Ok(()),
        }
    }

    /// Decides about the end that a producer asks for. `None` if the transaction has already ended this way.
    pub fn end(&self, producer: Producer, outcome: Outcome) -> Result<Option<Change>, Code> {
        self.check_producer(producer)?;
        match self.phase {
            Phase::Ongoing => Ok(Some(Change::Prepare { outcome, epoch: self.epoch })),
            Phase::Completed(before) if before == outcome => Ok(None),
            Phase::Prepared(before) if before == outcome => Err(Code::ConcurrentTransactions),
            _ => Err(Code::InvalidTxnState),
        }
    }

    /// Checks that a producer may write in its open transaction.
    pub fn check_write(&self, (id, epoch): Producer) -> Result<(), Code> {
        self.check_producer((id, epoch)).map_err(|code| match code {
            Code::ProducerFenced => Code::InvalidProducerEpoch,
            code => code,
        })?;
        match self.phase {
            Phase::Ongoing => Ok(()),
            // All clients try again after this code. Older clients do not after every other code.
            Phase::Prepared(_) => Err(Code::NotEnoughReplicas),
            _ => Err(Code::TransactionAbortable),
        }
    }

    fn check_producer(&self, (id, epoch): Producer) -> Result<(), Code> {
        if id != self.producer_id || self.epoch == NO_EPOCH {
            return Err(Code::InvalidProducerIdMapping);
        }
        if epoch == self.epoch { Ok(()) } else { Err(Code::ProducerFenced) }
    }

    /// Whether the transaction is open for longer than its timeout.
    pub fn is_overdue(&self, now_ms: i64) -> bool {
        self.phase == Phase::Ongoing && now_ms - self.start_ms > i64::from(self.timeout_ms)
    }

    /// The epoch of an abort that the producer did not ask for.
    pub fn fencing_epoch(&self) -> i16 {
        self.epoch.saturating_add(1)
    }

    /// Applies a change.
    pub fn apply(&mut self, now_ms: i64, change: &Change) {
        self.changed_ms = now_ms;
        match change {
            Change::Init { producer, previous, timeout_ms } => {
                ((self.producer_id, self.epoch), self.previous) = (*producer, *previous);
                (self.timeout_ms, self.phase, self.start_ms) = (*timeout_ms, Phase::Empty, -1);
            }
            Change::Add { partitions, groups } => {
                if self.phase != Phase::Ongoing {
                    (self.phase, self.start_ms) = (Phase::Ongoing, now_ms);
                }
                self.partitions.extend(partitions.iter().cloned());
                self.groups.extend(groups.iter().cloned());
            }
            Change::Prepare { outcome, epoch } => {
                if *epoch != self.epoch {
                    // The producer may continue with this epoch unless another producer comes first.
                    (self.epoch, self.previous) = (*epoch, (self.producer_id, self.epoch));
                }
                self.phase = Phase::Prepared(*outcome);
            }
            Change::Complete => {
                if let Phase::Prepared(outcome) = self.phase {
                    self.phase = Phase::Completed(outcome);
                }
                self.partitions.clear();
                self.groups.clear();
            }
            Change::Forget => *self = Transaction::new(now_ms),
        }
    }

    /// The shortest list of changes that leads to this state, each with its time.
    pub fn history(&self) -> Vec<(i64, Change)> {
        let (producer, previous) = ((self.producer_id, self.epoch), self.previous);
        let mut changes = vec![(self.changed_ms, Change::Init { producer, previous, timeout_ms: self.timeout_ms })];
        let partitions = self.partitions.iter().map(|(place, name)| (*place, name.clone())).collect();
        let add = Change::Add { partitions, groups: self.groups.iter().cloned().collect() };
        let epoch = self.epoch;
        match self.phase {
            Phase::Empty => {}
            Phase::Ongoing => changes.push((self.start_ms, add)),
            Phase::Prepared(outcome) => {
                changes.extend([(self.start_ms, add), (self.changed_ms, Change::Prepare { outcome, epoch })]);
            }
            Phase::Completed(outcome) => {
                changes.extend([
                    (self.changed_ms, Change::Prepare { outcome, epoch }),
                    (self.changed_ms, Change::Complete),
                ]);
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add() -> Change {
        Change::Add { partitions: vec![((Uuid::nil(), 0), "t".to_owned())], groups: vec!["g".to_owned()] }
    }

    fn begun(epoch: i16) -> Transaction {
        let mut transaction = Transaction::new(0);
        transaction.apply(1, &Change::Init { producer: (7, epoch), previous: (NONE, NO_EPOCH), timeout_ms: 100 });
        transaction
    }

    fn init(transaction: &Transaction, claimed: Option<Producer>) -> Result<Init, Code> {
        transaction.init(claimed, 100, || Ok(8))
    }

    fn becomes(producer: Producer, previous: Producer) -> Result<Init, Code> {
        Ok(Init::Change(Change::Init { producer, previous, timeout_ms: 100 }))
    }

    #[test]
    fn each_init_fences_the_producers_before_it() {
        let no = (NONE, NO_EPOCH);
        assert_eq!(init(&Transaction::new(0), None), becomes((8, 0), no));
        assert_eq!(init(&Transaction::new(0), Some((3, 4))), becomes((8, 0), no));
        let transaction = begun(5);
        assert_eq!(init(&transaction, None), becomes((7, 6), no));
        assert_eq!(init(&transaction, Some((7, 5))), becomes((7, 6), (7, 5)));
        assert_eq!(init(&transaction, Some((7, 4))), Err(Code::ProducerFenced));
        assert_eq!(init(&transaction, Some((9, 5))), Err(Code::ProducerFenced));
        let mut continued = transaction;
        continued.apply(2, &Change::Init { producer: (7, 6), previous: (7, 5), timeout_ms: 100 });
        assert_eq!(init(&continued, Some((7, 5))), Ok(Init::Repeated((7, 6))));
        assert_eq!(init(&begun(LAST_EPOCH), None), becomes((8, 0), no));
        assert_eq!(init(&begun(LAST_EPOCH), Some((7, LAST_EPOCH))), becomes((8, 0), (7, LAST_EPOCH)));
        let mut last = begun(LAST_EPOCH);
        last.apply(2, &add());
        assert_eq!(init(&last, None), Ok(Init::Abort(i16::MAX)));
        last.apply(3, &Change::Prepare { outcome: Outcome::Abort, epoch: i16::MAX });
        last.apply(4, &Change::Complete);
        assert_eq!(init(&last, None), becomes((8, 0), no));
        assert_eq!(init(&last, Some((7, LAST_EPOCH))), becomes((8, 0), (7, LAST_EPOCH)));
        assert_eq!(init(&last, Some((7, 5))), Err(Code::ProducerFenced));
        last.apply(5, &Change::Init { producer: (8, 0), previous: (7, LAST_EPOCH), timeout_ms: 100 });
        assert_eq!(init(&last, Some((7, LAST_EPOCH))), Ok(Init::Repeated((8, 0))));
        let mut open = begun(5);
        open.apply(2, &add());
        assert_eq!(init(&open, None), Ok(Init::Abort(6)));
        open.apply(3, &Change::Prepare { outcome: Outcome::Abort, epoch: 6 });
        assert_eq!(init(&open, None), Err(Code::ConcurrentTransactions));
        open.apply(4, &Change::Complete);
        assert_eq!(init(&open, None), becomes((7, 7), no));
        assert_eq!(init(&open, Some((7, 5))), Ok(Init::Repeated((7, 6))), "it was timed out, and continues");
        open.apply(5, &Change::Init { producer: (7, 7), previous: no, timeout_ms: 100 });
        assert_eq!(init(&open, Some((7, 5))), Err(Code::ProducerFenced), "another one came first");
    }

    #[test]
    fn a_transaction_ends_once() {
        use Outcome::{Abort, Commit};
        let me = (7, 5);
        let mut transaction = begun(5);
        let check = |transaction: &Transaction, outcome, expected: Result<bool, Code>| {
            assert_eq!(
                transaction.end(me, outcome).map(|change| change.is_some()),
                expected,
                "{:?}",
                transaction.phase
            );
        };
        check(&transaction, Commit, Err(Code::InvalidTxnState));
        assert_eq!(transaction.check_write(me), Err(Code::TransactionAbortable));
        transaction.apply(2, &add());
        check(&transaction, Commit, Ok(true));
        assert_eq!(transaction.check_write(me), Ok(()));
        assert_eq!(transaction.check_write((7, 4)), Err(Code::InvalidProducerEpoch));
        assert_eq!(transaction.end((7, 4), Commit), Err(Code::ProducerFenced));
        assert_eq!(transaction.end((8, 5), Commit), Err(Code::InvalidProducerIdMapping));
        transaction.apply(3, &Change::Prepare { outcome: Commit, epoch: 5 });
        check(&transaction, Commit, Err(Code::ConcurrentTransactions));
        check(&transaction, Abort, Err(Code::InvalidTxnState));
        assert_eq!(transaction.check_add(me), Err(Code::ConcurrentTransactions));
        transaction.apply(4, &Change::Complete);
        check(&transaction, Commit, Ok(false));
        check(&transaction, Abort, Err(Code::InvalidTxnState));
        assert_eq!(transaction.check_add(me), Ok(()));
    }

    #[test]
    fn it_is_overdue_from_its_begin_on() {
        let mut transaction = begun(5);
        assert!(!transaction.is_overdue(1_000_000));
        transaction.apply(50, &add());
        transaction.apply(120, &add());
        assert!(!transaction.is_overdue(150) && transaction.is_overdue(151));
    }

    #[test]
    fn its_history_leads_to_the_same_state() {
        let mut transaction = begun(5);
        let prepare = Change::Prepare { outcome: Outcome::Abort, epoch: 6 };
        for change in [add(), add(), prepare, Change::Complete] {
            transaction.apply(transaction.changed_ms + 10, &change);
            let mut again = Transaction::new(0);
            transaction.history().iter().for_each(|(now_ms, change)| again.apply(*now_ms, change));
            let expected =
                Transaction { start_ms: again.start_ms, changed_ms: again.changed_ms, ..transaction.clone() };
            assert_eq!(again, expected);
            assert!(transaction.phase != Phase::Ongoing || again.start_ms == transaction.start_ms);
        }
    }
}
