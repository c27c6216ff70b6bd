//! ListOffsets: the first offset, the next offset, or an offset by timestamp.

use super::Call;
use crate::catalog::{Topic, storage_error};
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use std::sync::Arc;

/// Timestamps in a request that mean the next and the first offset.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// Timestamp in a request that means the record with the largest timestamp (version 7 and later).
const MAX_TIMESTAMP: i64 = -3;
/// The first version with leader epochs.
const FIRST_VERSION_WITH_EPOCH: i16 = 4;

/// Answers for every partition that is asked for.
pub(super) fn list_offsets(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let list = |topic: &ListOffsetsTopic| {
        let found = call.shared.catalog.get(&topic.name);
        let list = |asked: &ListOffsetsPartition| {
            let response = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            match find(found.as_ref(), asked) {
                // No record is that late: the answer has no offset, which is not an error.
                Ok(None) => response,
                Ok(Some((timestamp, offset))) => {
                    let epoch = if call.version >= FIRST_VERSION_WITH_EPOCH { 0 } else { -1 };
                    response.with_timestamp(timestamp).with_offset(offset).with_leader_epoch(epoch)
                }
                Err(code) => response.with_error_code(code.code()),
            }
        };
        let partitions = topic.partitions.iter().map(list).collect();
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions)
    };
    ListOffsetsResponse::default().with_topics(request.topics.iter().map(list).collect())
}

/// Timestamp and offset.
fn find(topic: Option<&Arc<Topic>>, asked: &ListOffsetsPartition) -> Result<Option<(i64, i64)>, Code> {
    let partition = topic.and_then(|topic| topic.partition(asked.partition_index));
    let partition = partition.ok_or(Code::UnknownTopicOrPartition)?;
    partition.with_log(|log| match asked.timestamp {
        LATEST => Ok(Some((-1, log.end_offset()))),
        EARLIEST => Ok(Some((-1, log.start_offset()))),
        MAX_TIMESTAMP => log.max_timestamp().map_err(storage_error),
        timestamp if timestamp >= 0 => log.offset_for_timestamp(timestamp).map_err(storage_error),
        _ => Err(Code::UnsupportedVersion),
    })
}
