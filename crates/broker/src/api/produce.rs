//! Produce and InitProducerId.

use super::{Call, Malformed};
use crate::catalog::{Topic, storage_error};
use crate::log::AppendError;
use crate::log::batch::{self, Rules};
use crate::refusal::{Refusal, start_of};
use crate::stderr::ThrottledLog;
use crate::wire::Answer;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use std::sync::Arc;
use tidemill_os::clock::wall_ms;

/// From this version on, an answer says why a batch was refused.
const FIRST_VERSION_WITH_TEXT: i16 = 8;
/// A longer transactional id is cut in the log line.
const SHOWN_ID_BYTES: usize = 200;

/// Stores each partition's batch. There is no answer if the client wants none (`acks` 0).
pub(super) fn produce(call: &Call<'_>, request: ProduceRequest) -> Result<Option<Answer>, Malformed> {
    let refused = if request.transactional_id.is_some() {
        Some(Refusal::new(Code::TransactionalIdAuthorizationFailed, "this broker has no transactions"))
    } else if (-1..=1).contains(&request.acks) {
        None
    } else {
        Some(Refusal::new(Code::InvalidRequiredAcks, "acks must be 0, 1 or all"))
    };
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let found = call.shared.catalog.get(&topic.name);
        let store = |data: &PartitionProduceData| {
            let stored = refused.clone().map_or_else(|| store(found.as_ref(), data), Err);
            let response = PartitionProduceResponse::default().with_index(data.index);
            match stored {
                Ok((base_offset, start)) => response.with_base_offset(base_offset).with_log_start_offset(start),
                Err(refusal) => {
                    let why = (call.version >= FIRST_VERSION_WITH_TEXT).then(|| refusal.text());
                    response.with_error_code(refusal.code.code()).with_base_offset(-1).with_error_message(why)
                }
            }
        };
        let partitions = topic.partition_data.iter().map(store).collect();
        let response = TopicProduceResponse::default().with_name(topic.name.clone());
        responses.push(response.with_partition_responses(partitions));
    }
    if request.acks == 0 {
        // Closing the connection is the only way to tell a client that waits for no answer. It reconnects and reads the
        // metadata anew.
        let failed = responses.iter().flat_map(|topic| &topic.partition_responses).any(|p| p.error_code != 0);
        return if failed { Err(Malformed) } else { Ok(None) };
    }
    let response = ProduceResponse::default().with_responses(responses);
    Ok(Some(Answer::of(&response, call.correlation_id, call.version)))
}

/// Base offset of the stored batch, and the start of the log.
fn store(topic: Option<&Arc<Topic>>, data: &PartitionProduceData) -> Result<(i64, i64), Refusal> {
    let partition = topic.and_then(|topic| topic.partition(data.index)).ok_or(Code::UnknownTopicOrPartition)?;
    let records = data.records.as_deref().unwrap_or_default();
    let max_bytes = partition.with_log(|log| log.config().max_message_bytes);
    let header = batch::check_produced(records, Rules { max_bytes, now_ms: wall_ms() })?;
    match partition.append(records, &header) {
        Some(Ok(stored)) => Ok(stored),
        Some(Err(AppendError::Refused(code))) => Err(code.into()),
        Some(Err(AppendError::Disk(error))) => Err(storage_error(error).into()),
        None => Err(Code::UnknownTopicOrPartition.into()),
    }
}

/// Gives an idempotent producer its id. Refuses transactions with a code that clients do not retry.
pub(super) fn init_producer_id(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = InitProducerIdResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
    if let Some(id) = &request.transactional_id {
        static ASKED: ThrottledLog = ThrottledLog::new();
        // The answer has no place for a text.
        ASKED.log_line(|| {
            let id = start_of(id, SHOWN_ID_BYTES);
            format!("refused transactional.id {id:?}: this broker has no transactions; remove the setting")
        });
        return refused.with_error_code(Code::TransactionalIdAuthorizationFailed.code());
    }
    match call.shared.producer_ids.next() {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(error) => refused.with_error_code(storage_error(error).code()),
    }
}
