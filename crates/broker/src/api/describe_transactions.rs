//! DescribeTransactions, ListTransactions and DescribeProducers: who writes, and which transactions are open.

use super::{Call, once, text};
use crate::log::transactions::Outcome;
use crate::partition::Partition;
use crate::transactions::state::{Phase, Transaction};
use crate::wire::Answer;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    ListTransactionsRequest, ListTransactionsResponse, ProducerId, TopicName, TransactionalId,
    list_transactions_response,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use tidemill_os::clock::wall_ms;

/// The protocol's names of phases. The last two never occur here.
const PHASES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

fn name_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Empty => PHASES[0],
        Phase::Ongoing => PHASES[1],
        Phase::Prepared(Outcome::Commit) => PHASES[2],
        Phase::Prepared(Outcome::Abort) => PHASES[3],
        Phase::Completed(Outcome::Commit) => PHASES[4],
        Phase::Completed(Outcome::Abort) => PHASES[5],
    }
}

/// Describes each transactional id.
pub(super) fn describe_transactions(call: &Call<'_>, request: DescribeTransactionsRequest) -> Answer {
    let describe = |id: &TransactionalId| {
        let described = TransactionState::default().with_transactional_id(id.clone());
        let found = if id.is_empty() {
            Err(Code::InvalidRequest)
        } else {
            call.shared.transactions.get(id).ok_or(Code::TransactionalIdNotFound)
        };
        match found {
            Ok(state) => described
                .with_transaction_state(text(name_of(state.phase)))
                .with_transaction_timeout_ms(state.timeout_ms)
                .with_transaction_start_time_ms(state.start_ms)
                .with_producer_id(ProducerId(state.producer_id))
                .with_producer_epoch(state.epoch)
                .with_topics(topics(&state)),
            Err(code) => described.with_error_code(code.code()),
        }
    };
    let ids = once(request.transactional_ids.iter(), |id| id.as_str());
    call.listed((&DescribeTransactionsResponse::default(), 0), ids.map(describe))
}

fn topics(state: &Transaction) -> Vec<TopicData> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    state.partitions.iter().for_each(|((_, index), name)| topics.entry(name).or_default().push(*index));
    let encode = |(name, partitions): (&str, Vec<i32>)| {
        TopicData::default().with_topic(TopicName(text(name))).with_partitions(partitions)
    };
    topics.into_iter().map(encode).collect()
}

/// Lists the transactional ids that pass the filters by phase, producer and time since the transaction began.
pub(super) fn list_transactions(call: &Call<'_>, request: ListTransactionsRequest) -> Answer {
    let (phases, producers) = (&request.state_filters, &request.producer_id_filters);
    // Version 0 does not filter by time.
    let open_ms = if call.version >= 1 { request.duration_filter } else { -1 };
    let now_ms = wall_ms();
    let mut found: Vec<(String, i64, &'static str)> = Vec::new();
    call.shared.transactions.for_each(|id, state| {
        let phase = name_of(state.phase);
        let is_wanted = (phases.is_empty() || phases.iter().any(|wanted| wanted.as_str() == phase))
            && (producers.is_empty() || producers.iter().any(|wanted| wanted.0 == state.producer_id))
            && (open_ms < 0 || now_ms - state.start_ms > open_ms);
        if is_wanted {
            found.push((id.to_owned(), state.producer_id, phase));
        }
    });
    let unknown = once(phases.iter(), |phase| phase.as_str()).filter(|phase| !PHASES.contains(&phase.as_str()));
    let unknown = unknown.cloned().collect::<Vec<StrBytes>>();
    let encode = |(id, producer_id, phase): (String, i64, &'static str)| {
        list_transactions_response::TransactionState::default()
            .with_transactional_id(TransactionalId(StrBytes::from_string(id)))
            .with_producer_id(ProducerId(producer_id))
            .with_transaction_state(text(phase))
    };
    let body = ListTransactionsResponse::default().with_unknown_state_filters(unknown);
    call.listed((&body, 0), found.into_iter().map(encode))
}

/// Describes the producers that each partition knows.
pub(super) fn describe_producers(call: &Call<'_>, request: DescribeProducersRequest) -> Answer {
    let describe = |topic: &TopicRequest| {
        let found = call.shared.catalog.get(&topic.name);
        let describe = |index: &i32| {
            let response = PartitionResponse::default().with_partition_index(*index);
            match found.as_ref().and_then(|topic| topic.partition(*index)) {
                Some(partition) => response.with_active_producers(producers(&partition)),
                None => response.with_error_code(Code::UnknownTopicOrPartition.code()),
            }
        };
        let partitions = once(topic.partition_indexes.iter(), |index| *index).map(describe).collect();
        TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions)
    };
    let topics = once(request.topics.iter(), |topic| topic.name.as_str());
    call.listed((&DescribeProducersResponse::default(), 0), topics.map(describe))
}

fn producers(partition: &Partition) -> Vec<ProducerState> {
    let encode = |(producer_id, known): (i64, crate::log::KnownProducer)| {
        ProducerState::default()
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(known.epoch.into())
            .with_last_sequence(known.last_sequence)
            .with_last_timestamp(known.time_ms)
            .with_coordinator_epoch(-1)
            .with_current_txn_start_offset(known.first_offset.unwrap_or(-1))
    };
    partition.with_log(|log| log.known_producers()).into_iter().map(encode).collect()
}
