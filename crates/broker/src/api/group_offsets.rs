//! OffsetCommit and OffsetFetch.

use super::{Call, code_of, once};
use crate::catalog::storage_error;
use crate::groups::offsets::Committed;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tidemill_os::clock::wall_ms;

/// Most bytes of text that a client may store with an offset.
const METADATA_BYTES_MAX: usize = 4096;
/// From this version on, a request may name several groups.
const FIRST_VERSION_WITH_GROUPS: i16 = 8;

/// Stores a group's positions. Each position gets its own error code.
pub(super) fn offset_commit(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let checked = check(call, &request);
    let refused = checked.as_ref().err().copied();
    let protocol_type = checked.unwrap_or_default();
    let time_ms = wall_ms();
    let mut positions = Vec::new();
    let mut check = |topic: &TopicName, partition: &OffsetCommitRequestPartition| {
        if let Some(code) = refused {
            return Err(code);
        }
        let known = call.shared.catalog.get(topic).and_then(|topic| topic.partition(partition.partition_index));
        known.ok_or(Code::UnknownTopicOrPartition)?;
        let metadata = partition.committed_metadata.as_deref().unwrap_or_default().to_owned();
        if metadata.len() > METADATA_BYTES_MAX {
            return Err(Code::OffsetMetadataTooLarge);
        }
        let (offset, leader_epoch) = (partition.committed_offset, partition.committed_leader_epoch);
        let committed = Committed { offset, leader_epoch, metadata, time_ms };
        positions.push(((topic.to_string(), partition.partition_index), committed));
        Ok(())
    };
    let mut topics: Vec<OffsetCommitResponseTopic> = Vec::new();
    for OffsetCommitRequestTopic { name, partitions, .. } in &request.topics {
        let answered = partitions.iter().map(|partition| {
            let response = OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index);
            response.with_error_code(code_of(&check(name, partition)))
        });
        let partitions = answered.collect();
        topics.push(OffsetCommitResponseTopic::default().with_name(name.clone()).with_partitions(partitions));
    }
    if !positions.is_empty()
        && let Err(error) = call.shared.groups.offsets().commit(&request.group_id, &protocol_type, positions)
    {
        let code = storage_error(error).code();
        let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.filter(|partition| partition.error_code == 0).for_each(|partition| partition.error_code = code);
    }
    OffsetCommitResponse::default().with_topics(topics)
}

/// Checks that the commit is allowed. Returns the protocol type of the group's members, empty if it has none.
fn check(call: &Call<'_>, request: &OffsetCommitRequest) -> Result<String, Code> {
    let generation = request.generation_id_or_member_epoch;
    if generation < 0 && !call.shared.groups.exists(&request.group_id) {
        // A group that nobody has joined: its offsets are set from outside.
        return Ok(String::new());
    }
    if !call.shared.groups.exists(&request.group_id) {
        return Err(Code::IllegalGeneration);
    }
    call.shared.groups.with(&request.group_id, |group, now| {
        group.check_instance(&request.member_id, request.group_instance_id.as_deref())?;
        group.check_commit(&request.member_id, generation, now)?;
        Ok(group.protocol_type.clone())
    })
}

/// A group's positions; −1 for none.
pub(super) fn offset_fetch(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version >= FIRST_VERSION_WITH_GROUPS {
        let answer = |group: &OffsetFetchRequestGroup| {
            let topics = group.topics.as_ref();
            let wanted =
                topics.map(|topics| topics.iter().map(|t| (t.name.clone(), t.partition_indexes.clone())).collect());
            let found = positions(call, &group.group_id, wanted).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, committed)| {
                    let (offset, epoch, metadata) = fields(committed);
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_committed_offset(offset)
                        .with_committed_leader_epoch(epoch)
                        .with_metadata(Some(metadata))
                });
                OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.collect())
            });
            let topics = found.collect();
            OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone()).with_topics(topics)
        };
        let groups = once(request.groups.iter(), |group| &group.group_id).map(answer).collect();
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let wanted = request.topics.map(|topics| topics.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
    let found = positions(call, &request.group_id, wanted).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, committed)| {
            let (offset, epoch, metadata) = fields(committed);
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(if call.version >= 5 { epoch } else { -1 })
                .with_metadata(Some(metadata))
        });
        OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(found.collect())
}

type Positions = Vec<(TopicName, Vec<(i32, Option<Committed>)>)>;

/// The requested positions, or all of the group.
fn positions(call: &Call<'_>, group: &str, wanted: Option<Vec<(TopicName, Vec<i32>)>>) -> Positions {
    let offsets = call.shared.groups.offsets();
    if let Some(wanted) = wanted {
        let find = |(name, partitions): (TopicName, Vec<i32>)| {
            let find = |index| (index, offsets.get(group, &name, index).cloned());
            let found = partitions.into_iter().map(find).collect();
            (name, found)
        };
        return wanted.into_iter().map(find).collect();
    }
    let mut all: Positions = Vec::new();
    for ((topic, partition), committed) in offsets.of_group(group) {
        if all.last().is_none_or(|(name, _)| name.as_str() != topic) {
            all.push((TopicName(StrBytes::from_string(topic.clone())), Vec::new()));
        }
        all.last_mut().expect("just pushed").1.push((*partition, Some(committed.clone())));
    }
    all
}

fn fields(committed: Option<Committed>) -> (i64, i32, StrBytes) {
    match committed {
        Some(committed) => (committed.offset, committed.leader_epoch, StrBytes::from_string(committed.metadata)),
        None => (-1, -1, StrBytes::new()),
    }
}
