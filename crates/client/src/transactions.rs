//! A transactional producer's side of transactions: its coordinator, its identity, and what belongs to a transaction.
//!
//! ```text
//!  take_over ─► InitProducerId: fences the producer before us and ends what it left open
//!  add_partitions ─► records through `Producer::transactional` ─► add_offset ─► end(commit | abort)
//! ```
//! Each call retries what passes by itself: a coordinator that moves or loads, a transaction before that is not
//! complete. A fenced producer gets an error, at whatever call it notices.
//!
//! A cluster with version 2 of the protocol (KIP-890, the default of Apache Kafka 4) adds partitions and groups to the
//! transaction by itself when they are written, and gives out a new epoch with every end. That saves two round trips a
//! transaction, and no late request of one transaction can get into the next. In version 1 (KIP-98), which every broker from
//! 2.7 on speaks, partitions and groups are named first.

use crate::cluster::{Address, Cluster};
use crate::connection::{Connection, check};
use crate::fault::Fault;
use crate::produce::{CONCURRENT_PAUSE, Identity};
use crate::settings::Settings;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, GroupId,
    InitProducerIdRequest, OffsetFetchRequest, ProducerId, TopicName, TransactionalId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, Instant};
use tidemill_model::Result;
use tidemill_wire::Bounds;

const FIND: VersionRange = VersionRange { min: 1, max: 3 };
const INIT: VersionRange = VersionRange { min: 3, max: 4 };
const ADD: VersionRange = VersionRange { min: 0, max: 3 };
const END: VersionRange = VersionRange { min: 0, max: 3 };
const COMMIT_OFFSET: VersionRange = VersionRange { min: 3, max: 3 };
/// The same requests in version 2 of the protocol.
const END_2: VersionRange = VersionRange { min: 5, max: 5 };
const COMMIT_OFFSET_2: VersionRange = VersionRange { min: 5, max: 5 };
const FETCH_OFFSET: VersionRange = VersionRange { min: 7, max: 7 };

/// The transactions of one transactional id.
pub struct Transactions {
    cluster: Cluster,
    id: String,
    identity: Option<Identity>,
    /// The cluster has version 2 of the protocol.
    is_v2: bool,
    coordinators: HashMap<(Key, String), Address>,
}

/// What a coordinator coordinates, as FindCoordinator numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Group = 0,
    Transaction = 1,
}

impl Transactions {
    /// Transactions under this id. Connects on the first call.
    ///
    /// # Errors
    /// User: a setting is wrong.
    pub fn new(settings: Settings, id: &str) -> Result<Transactions> {
        Ok(Transactions {
            cluster: Cluster::new(settings)?,
            id: id.to_owned(),
            identity: None,
            is_v2: false,
            coordinators: HashMap::new(),
        })
    }

    /// The cluster, for other requests.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Gets an identity. The first call fences every producer that had this id before, and aborts what it left open.
    /// Later calls abort what we left open, and fail if somebody else has taken over meanwhile.
    ///
    /// # Errors
    /// External: fenced, or no right. Transient: no answer within `patience`.
    pub fn take_over(&mut self, patience: Duration) -> Result<Identity> {
        let (producer_id, epoch) = self.identity.unwrap_or((-1, -1));
        let timeout = self.cluster.settings().produce.transaction_max;
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.transactional_id()))
            .with_transaction_timeout_ms(timeout.as_millis() as i32)
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(epoch);
        let what = format!("a producer id for the transactional id `{}`", self.id);
        let (answer, version) = self.ask(Key::Transaction, None, patience, |connection| {
            let answer = connection.call(INIT, &request, Bounds::NAMES)?;
            connection.throttle(answer.throttle_time_ms);
            check(&what, answer.error_code, None)?;
            Ok((answer, connection.transaction_version()))
        })?;
        let identity = (answer.producer_id.0, answer.producer_epoch);
        (self.identity, self.is_v2) = (Some(identity), version >= 2);
        Ok(identity)
    }

    /// Whether writing to a partition adds it to the transaction: version 2 of the protocol. Known once we have taken over.
    pub fn adds_by_writing(&self) -> bool {
        self.is_v2
    }

    /// Adds partitions to the transaction, and begins it if it has not begun. Needed before records are sent to them, unless
    /// writing adds them.
    ///
    /// # Errors
    /// As [`Transactions::take_over`].
    pub fn add_partitions(&mut self, partitions: &BTreeMap<String, Vec<i32>>, patience: Duration) -> Result<()> {
        if self.is_v2 {
            return Ok(());
        }
        let topic = |(name, partitions): (&String, &Vec<i32>)| {
            AddPartitionsToTxnTopic::default().with_name(topic_name(name)).with_partitions(partitions.clone())
        };
        let (producer_id, epoch) = self.identity();
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id())
            .with_v3_and_below_producer_id(producer_id)
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(partitions.iter().map(topic).collect());
        self.ask(Key::Transaction, None, patience, |connection| {
            let answer = connection.call(ADD, &request, Bounds::PARTITIONS)?;
            connection.throttle(answer.throttle_time_ms);
            for topic in &answer.results_by_topic_v3_and_below {
                let what = format!("to write to topic `{}` in a transaction", topic.name.as_str());
                // The reason stands at one partition. The others say that nothing was done because of it.
                let codes = topic.results_by_partition.iter().map(|partition| partition.partition_error_code);
                let attempted = Code::OperationNotAttempted.code();
                let code = codes.clone().find(|code| *code != 0 && *code != attempted);
                check(&what, code.or(codes.clone().find(|code| *code != 0)).unwrap_or_default(), None)?;
            }
            Ok(())
        })
    }

    /// Stores an offset of partition 0 of a topic for a group, as part of the transaction.
    ///
    /// # Errors
    /// As [`Transactions::take_over`].
    pub fn add_offset(&mut self, group: &str, topic: &str, offset: i64, patience: Duration) -> Result<()> {
        let (producer_id, epoch) = self.identity();
        let what = format!("to store an offset of topic `{topic}` for group `{group}`");
        if !self.is_v2 {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(self.transactional_id())
                .with_producer_id(producer_id)
                .with_producer_epoch(epoch)
                .with_group_id(group_id(group));
            self.ask(Key::Transaction, None, patience, |connection| {
                let answer = connection.call(ADD, &request, Bounds::NAMES)?;
                connection.throttle(answer.throttle_time_ms);
                check(&what, answer.error_code, None)
            })?;
        }
        let versions = if self.is_v2 { COMMIT_OFFSET_2 } else { COMMIT_OFFSET };
        let partition =
            TxnOffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
        let topic =
            TxnOffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_group_id(group_id(group))
            .with_producer_id(producer_id)
            .with_producer_epoch(epoch)
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        self.ask(Key::Group, Some(group), patience, |connection| {
            let answer = connection.call(versions, &request, Bounds::PARTITIONS)?;
            connection.throttle(answer.throttle_time_ms);
            let mut codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code);
            check(&what, codes.find(|code| *code != 0).unwrap_or_default(), None)
        })
    }

    /// Commits or aborts the transaction. On return its end is decided and will be written, whatever happens. Returns the
    /// identity for the next transaction.
    ///
    /// # Errors
    /// As [`Transactions::take_over`]. After a transient error the end is unknown: take over again, and look.
    pub fn end(&mut self, commit: bool, patience: Duration) -> Result<Identity> {
        let (producer_id, epoch) = self.identity();
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(producer_id)
            .with_producer_epoch(epoch)
            .with_committed(commit);
        let what = if commit { "to commit a transaction" } else { "to abort a transaction" };
        let versions = if self.is_v2 { END_2 } else { END };
        let next = self.ask(Key::Transaction, None, patience, |connection| {
            let answer = connection.call(versions, &request, Bounds::NAMES)?;
            connection.throttle(answer.throttle_time_ms);
            check(what, answer.error_code, None)?;
            Ok((answer.producer_id.0, answer.producer_epoch))
        })?;
        let identity = if self.is_v2 { next } else { (producer_id.0, epoch) };
        self.identity = Some(identity);
        Ok(identity)
    }

    /// The offset of partition 0 of a topic that a group has stored, in a transaction that is complete.
    ///
    /// # Errors
    /// As [`Transactions::take_over`].
    pub fn stored_offset(&mut self, group: &str, topic: &str, patience: Duration) -> Result<Option<i64>> {
        let topics = OffsetFetchRequestTopic::default().with_name(topic_name(topic)).with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(group_id(group))
            .with_topics(Some(vec![topics]))
            .with_require_stable(true);
        let what = format!("the offset that group `{group}` has stored");
        self.ask(Key::Group, Some(group), patience, |connection| {
            let answer = connection.call(FETCH_OFFSET, &request, Bounds::PARTITIONS)?;
            connection.throttle(answer.throttle_time_ms);
            check(&what, answer.error_code, None)?;
            let missing = || Fault::Malformed(format!("the answer lacks {what}"));
            let found = answer.topics.first().and_then(|topic| topic.partitions.first()).ok_or_else(missing)?;
            match Code::try_from_code(found.error_code) {
                // The topic was deleted: whatever was stored for it is gone.
                Some(Code::UnknownTopicOrPartition) => return Ok(None),
                _ => check(&what, found.error_code, None)?,
            }
            Ok(Some(found.committed_offset).filter(|offset| *offset >= 0))
        })
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.id.clone()))
    }

    fn identity(&self) -> (ProducerId, i16) {
        let (id, epoch) = self.identity.expect("`take_over` comes before the first transaction");
        (ProducerId(id), epoch)
    }

    /// Asks the coordinator of our transactional id, or of a group, until it answers or `patience` is over.
    fn ask<T>(
        &mut self,
        key: Key,
        group: Option<&str>,
        patience: Duration,
        mut ask: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        let name = group.unwrap_or(&self.id).to_owned();
        let mut failures = 0;
        loop {
            let asked = self.coordinator(key, &name).and_then(|address| self.cluster.on(&address, &mut ask));
            let fault = match asked {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let pause = match &fault {
                Fault::Code { code: Code::ConcurrentTransactions | Code::UnstableOffsetCommit, .. } => CONCURRENT_PAUSE,
                _ => {
                    self.coordinators.remove(&(key, name.clone()));
                    failures += 1;
                    self.cluster.settings().backoff.pause_after(failures)
                }
            };
            if !fault.is_transient() || Instant::now() + pause >= deadline {
                return Err(self.cluster.error(fault));
            }
            thread::sleep(pause);
        }
    }

    fn coordinator(&mut self, key: Key, name: &str) -> Result<Address, Fault> {
        if let Some(address) = self.coordinators.get(&(key, name.to_owned())) {
            return Ok(address.clone());
        }
        let request =
            FindCoordinatorRequest::default().with_key(StrBytes::from_string(name.to_owned())).with_key_type(key as i8);
        let answer = self.cluster.any(|connection| connection.call(FIND, &request, Bounds::NAMES))?;
        let what = match key {
            Key::Group => format!("the coordinator of group `{name}`"),
            Key::Transaction => format!("the coordinator of the transactional id `{name}`"),
        };
        check(&what, answer.error_code, None)?;
        let port = u16::try_from(answer.port);
        let port = port.map_err(|_| Fault::Malformed(format!("{what} has port {}", answer.port)))?;
        let address = (answer.host.to_string(), port);
        self.coordinators.insert((key, name.to_owned()), address.clone());
        Ok(address)
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn group_id(name: &str) -> GroupId {
    GroupId(StrBytes::from_string(name.to_owned()))
}
