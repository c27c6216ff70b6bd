//! ListOffsets: the first offset, the next offset, or an offset by timestamp. OffsetForLeaderEpoch: the end of the only
//! epoch.

use super::Call;
use super::fetch::READ_COMMITTED;
use crate::catalog::{Topic, storage_error};
use crate::log::Isolation;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};
use std::sync::Arc;

/// Timestamps in a request that mean the next and the first offset.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// Timestamp in a request that means the record with the largest timestamp (version 7 and later).
const MAX_TIMESTAMP: i64 = -3;
/// The first version with leader epochs.
const FIRST_VERSION_WITH_EPOCH: i16 = 4;

/// Answers for every requested partition.
pub(super) fn list_offsets(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation =
        if request.isolation_level == READ_COMMITTED { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let list = |topic: &ListOffsetsTopic| {
        let found = call.shared.catalog.get(&topic.name);
        let list = |asked: &ListOffsetsPartition| {
            let response = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            match find(found.as_ref(), asked, isolation) {
                // No record is that late. The answer has no offset, which is not an error.
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

/// Timestamp and offset. Finds only visible records.
fn find(
    topic: Option<&Arc<Topic>>,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<(i64, i64)>, Code> {
    let partition = topic.and_then(|topic| topic.partition(asked.partition_index));
    let partition = partition.ok_or(Code::UnknownTopicOrPartition)?;
    partition.with_log(|log| {
        let end = log.visible_end(isolation);
        let found = match asked.timestamp {
            LATEST => return Ok(Some((-1, end))),
            EARLIEST => return Ok(Some((-1, log.start_offset()))),
            MAX_TIMESTAMP => log.max_timestamp(),
            timestamp if timestamp >= 0 => log.offset_for_timestamp(timestamp),
            _ => return Err(Code::UnsupportedVersion),
        };
        Ok(found.map_err(storage_error)?.filter(|(_, offset)| *offset < end))
    })
}

/// The epoch of every leader.
const EPOCH: i32 = 0;

/// Answers where the epoch that a client last read in ends. The only epoch ends at the end of the log.
pub(super) fn offset_for_leader_epoch(
    call: &Call<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let end = |topic: &OffsetForLeaderTopic| {
        let found = call.shared.catalog.get(&topic.topic);
        let end = |asked: &OffsetForLeaderPartition| {
            let response = EpochEndOffset::default().with_partition(asked.partition);
            match found.as_ref().and_then(|topic| topic.partition(asked.partition)) {
                None => response.with_error_code(Code::UnknownTopicOrPartition.code()),
                Some(_) if asked.current_leader_epoch > EPOCH => {
                    response.with_error_code(Code::UnknownLeaderEpoch.code())
                }
                Some(partition) if asked.leader_epoch == EPOCH => {
                    let end = partition.with_log(|log| log.end_offset());
                    response.with_leader_epoch(EPOCH).with_end_offset(end)
                }
                Some(_) => response,
            }
        };
        let partitions = topic.partitions.iter().map(end).collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone()).with_partitions(partitions)
    };
    OffsetForLeaderEpochResponse::default().with_topics(request.topics.iter().map(end).collect())
}
