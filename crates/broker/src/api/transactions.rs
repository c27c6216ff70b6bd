//! InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit and EndTxn.
//!
//! The versions are those before the second part of KIP-890. ApiVersions offers no `transaction.version`. So clients
//! add each partition before they write to it, and the epoch stays the same from one transaction to the next.

use super::group_offsets::{self, Commit};
use super::{Call, Shared, code_of};
use crate::catalog::storage_error;
use crate::log::transactions::Outcome;
use crate::transactions::Participants;
use crate::transactions::state::{NO_EPOCH, NONE};
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};
use std::collections::BTreeMap;
use tidemill_os::clock::wall_ms;

/// Apache Kafka's `transaction.max.timeout.ms`.
const TIMEOUT_MS_MAX: i32 = 900_000;

impl Shared {
    /// What transactions write to.
    pub(crate) fn participants(&self) -> Participants<'_> {
        Participants { catalog: &self.catalog, groups: &self.groups }
    }
}

/// Gives a producer its id and epoch.
pub(super) fn init_producer_id(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let response = InitProducerIdResponse::default();
    match init(call, &request) {
        Ok((id, epoch)) => response.with_producer_id(ProducerId(id)).with_producer_epoch(epoch),
        Err(code) => {
            let code = fenced_or(code, call.version >= 4);
            response.with_error_code(code.code()).with_producer_id(ProducerId(NONE)).with_producer_epoch(NO_EPOCH)
        }
    }
}

fn init(call: &Call<'_>, request: &InitProducerIdRequest) -> Result<(i64, i16), Code> {
    let shared = call.shared;
    // Earlier versions do not have these fields.
    let claimed = (call.version >= 3).then_some((request.producer_id.0, request.producer_epoch));
    let claimed = match claimed {
        None | Some((NONE, NO_EPOCH)) => None,
        Some((NONE, _) | (_, NO_EPOCH)) => return Err(Code::InvalidRequest),
        claimed => claimed,
    };
    let Some(id) = request.transactional_id.as_deref() else {
        return Ok((shared.producer_ids.next().map_err(storage_error)?, 0));
    };
    if id.is_empty() {
        return Err(Code::InvalidRequest);
    }
    let timeout_ms = request.transaction_timeout_ms;
    if !(1..=TIMEOUT_MS_MAX).contains(&timeout_ms) {
        return Err(Code::InvalidTransactionTimeout);
    }
    let fresh_id = || shared.producer_ids.next();
    shared.transactions.init(shared.participants(), id, claimed, timeout_ms, wall_ms(), fresh_id)
}

/// Adds partitions to a transaction: all of them, or none.
pub(super) fn add_partitions(call: &Call<'_>, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let topics = &request.v3_and_below_topics;
    // Each partition is added once, however often it is requested.
    let mut places = BTreeMap::new();
    let mut absent = Vec::new();
    for topic in topics {
        let found = call.shared.catalog.get(&topic.name);
        for index in &topic.partitions {
            let known = found.as_ref().filter(|found| found.partition(*index).is_some());
            absent.push(known.is_none());
            places.extend(known.map(|known| ((known.id, *index), known.name.clone())));
        }
    }
    let code = if absent.contains(&true) {
        Code::OperationNotAttempted.code()
    } else {
        let producer = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
        let id = &request.v3_and_below_transactional_id;
        let added = match id.is_empty() {
            true => Err(Code::InvalidRequest),
            false => call.shared.transactions.add(id, producer, places.into_iter().collect(), Vec::new(), wall_ms()),
        };
        code_of(&added.map_err(|code| fenced_or(code, call.version >= 2)))
    };
    let mut absent = absent.into_iter();
    let mut answer = |index: &i32| {
        let is_absent = absent.next().expect("one flag per partition");
        let code = if is_absent { Code::UnknownTopicOrPartition.code() } else { code };
        AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(code)
    };
    let mut answer = |topic: &AddPartitionsToTxnTopic| {
        let results = topic.partitions.iter().map(&mut answer).collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone()).with_results_by_partition(results)
    };
    let results = topics.iter().map(&mut answer).collect();
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results)
}

/// Adds a group to a transaction. TxnOffsetCommit then sends its offsets.
pub(super) fn add_offsets(call: &Call<'_>, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let producer = (request.producer_id.0, request.producer_epoch);
    let (id, group) = (&request.transactional_id, request.group_id.to_string());
    let added = match id.is_empty() {
        true => Err(Code::InvalidRequest),
        false => call.shared.transactions.add(id, producer, Vec::new(), vec![group], wall_ms()),
    };
    let code = code_of(&added.map_err(|code| fenced_or(code, call.version >= 2)));
    AddOffsetsToTxnResponse::default().with_error_code(code)
}

/// Stores offsets that take effect when the transaction is committed.
pub(super) fn txn_offset_commit(call: &Call<'_>, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let member = (request.member_id.as_str(), request.group_instance_id.as_deref(), request.generation_id);
    let mut commit = Commit::new(call, group_offsets::check_transactional(call, &request.group_id, member));
    let mut topics = Vec::new();
    for topic in &request.topics {
        let mut answer = |partition: &TxnOffsetCommitRequestPartition| {
            let at = (partition.committed_offset, partition.committed_leader_epoch);
            let taken =
                commit.take(&topic.name, partition.partition_index, at, partition.committed_metadata.as_deref());
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code_of(&taken))
        };
        let partitions = topic.partitions.iter().map(&mut answer).collect();
        topics.push(TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions));
    }
    let stored = commit.store(|protocol_type, positions| {
        let (producer, group) = ((request.producer_id.0, request.producer_epoch), &request.group_id);
        let stored = call.shared.transactions.commit_offsets(&request.transactional_id, producer, group, || {
            call.shared.groups.offsets().commit_pending(producer.0, group, protocol_type, positions)
        });
        stored.map_err(|code| abortable_or(code, call.version >= 4))?.map_err(storage_error)
    });
    if let Err(code) = stored {
        let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.filter(|partition| partition.error_code == 0).for_each(|p| p.error_code = code.code());
    }
    TxnOffsetCommitResponse::default().with_topics(topics)
}

/// Commits or aborts a transaction.
pub(super) fn end_txn(call: &Call<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let producer = (request.producer_id.0, request.producer_epoch);
    let outcome = if request.committed { Outcome::Commit } else { Outcome::Abort };
    let (shared, id) = (call.shared, &request.transactional_id);
    let ended = match id.is_empty() {
        true => Err(Code::InvalidRequest),
        false => shared.transactions.end(shared.participants(), id, producer, outcome, wall_ms()),
    };
    EndTxnResponse::default().with_error_code(code_of(&ended.map_err(|code| fenced_or(code, call.version >= 2))))
}

/// `code`, or what older clients know instead of PRODUCER_FENCED.
fn fenced_or(code: Code, is_known: bool) -> Code {
    if code == Code::ProducerFenced && !is_known { Code::InvalidProducerEpoch } else { code }
}

/// `code`, or what older clients know instead of TRANSACTION_ABORTABLE.
pub(super) fn abortable_or(code: Code, is_known: bool) -> Code {
    if code == Code::TransactionAbortable && !is_known { Code::InvalidTxnState } else { code }
}
