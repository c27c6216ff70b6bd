//! Produce: checks and stores batches. A transactional batch is stored only while its transaction is open.

use super::transactions::abortable_or;
use super::{Call, Malformed};
use crate::catalog::{Topic, storage_error};
use crate::log::AppendError;
use crate::log::batch::{self, Rules};
use crate::refusal::Refusal;
use crate::wire::Answer;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use std::sync::Arc;
use tidemill_os::clock::wall_ms;

/// First version whose answer says why a batch was refused.
const FIRST_VERSION_WITH_TEXT: i16 = 8;
/// First version whose clients know the error TRANSACTION_ABORTABLE.
const FIRST_VERSION_WITH_ABORTABLE: i16 = 11;

/// Stores each partition's batch. There is no answer if the client wants none (`acks` 0).
pub(super) fn produce(call: &Call<'_>, request: ProduceRequest) -> Result<Option<Answer>, Malformed> {
    let acks_are_known = (-1..=1).contains(&request.acks);
    let refused = (!acks_are_known).then(|| Refusal::new(Code::InvalidRequiredAcks, "acks must be 0, 1 or all"));
    let id = request.transactional_id.as_ref().map(|id| id.as_str());
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let found = call.shared.catalog.get(&topic.name);
        let store = |data: &PartitionProduceData| {
            let stored = refused.clone().map_or_else(|| store(call, found.as_ref(), data, id), Err);
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
        // The client waits for no answer. Closing the connection is the only way to report the error. The client
        // reconnects and reads the metadata again.
        let failed = responses.iter().flat_map(|topic| &topic.partition_responses).any(|p| p.error_code != 0);
        return if failed { Err(Malformed) } else { Ok(None) };
    }
    let response = ProduceResponse::default().with_responses(responses);
    Ok(Some(Answer::of(&response, call.correlation_id, call.version)))
}

/// Stores a batch. Returns its base offset and the start of the log.
fn store(
    call: &Call<'_>,
    topic: Option<&Arc<Topic>>,
    data: &PartitionProduceData,
    id: Option<&str>,
) -> Result<(i64, i64), Refusal> {
    let topic = topic.ok_or(Code::UnknownTopicOrPartition)?;
    let partition = topic.partition(data.index).ok_or(Code::UnknownTopicOrPartition)?;
    let records = data.records.as_deref().unwrap_or_default();
    let (max_bytes, keyed) = partition.with_log(|log| (log.config().max_message_bytes, log.config().compact.is_some()));
    let header = batch::check_produced(records, Rules { max_bytes, now_ms: wall_ms(), keyed })?;
    let records = batch::with_max_timestamp(records, &header);
    let append = || partition.append(&records, &header);
    let appended = if header.is_transactional() {
        let no_id = || Refusal::new(Code::TransactionalIdAuthorizationFailed, "the request has no transactional id");
        let (id, producer) = (id.ok_or_else(no_id)?, (header.producer_id, header.producer_epoch));
        let appended = call.shared.transactions.append(id, producer, (topic.id, data.index), append);
        let is_known = call.version >= FIRST_VERSION_WITH_ABORTABLE;
        appended.map_err(|code| refused_write(abortable_or(code, is_known)))?
    } else {
        append()
    };
    match appended {
        Some(Ok(stored)) => Ok(stored),
        Some(Err(AppendError::Refused(code))) => Err(code.into()),
        Some(Err(AppendError::Disk(error))) => Err(storage_error(error).into()),
        None => Err(Code::UnknownTopicOrPartition.into()),
    }
}

fn refused_write(code: Code) -> Refusal {
    match code {
        Code::InvalidTxnState | Code::TransactionAbortable => {
            Refusal::new(code, "the partition was not added to an open transaction of this producer")
        }
        code => code.into(),
    }
}
