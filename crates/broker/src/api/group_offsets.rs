//! OffsetCommit, OffsetFetch and OffsetDelete.

use super::{Call, code_of, once};
use crate::catalog::storage_error;
use crate::groups::offsets::Committed;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeSet;
use tidemill_os::clock::wall_ms;

/// Most bytes of text that a client may store with an offset.
const METADATA_BYTES_MAX: usize = 4096;
/// First version whose requests may name several groups.
const FIRST_VERSION_WITH_GROUPS: i16 = 8;

/// The offsets that a request commits. They are checked one by one and then stored together.
pub(super) struct Commit<'a> {
    call: &'a Call<'a>,
    /// The protocol type of the group's members, or why the whole commit is refused.
    checked: Result<String, Code>,
    time_ms: i64,
    positions: Vec<((String, i32), Committed)>,
}

impl<'a> Commit<'a> {
    pub fn new(call: &'a Call<'a>, checked: Result<String, Code>) -> Commit<'a> {
        Commit { call, checked, time_ms: wall_ms(), positions: Vec::new() }
    }

    /// Checks and adds the (offset, leader epoch) of one partition.
    pub fn take(
        &mut self,
        topic: &TopicName,
        index: i32,
        (offset, leader_epoch): (i64, i32),
        metadata: Option<&str>,
    ) -> Result<(), Code> {
        self.checked.as_ref().map_err(|code| *code)?;
        let known = self.call.shared.catalog.get(topic).and_then(|topic| topic.partition(index));
        known.ok_or(Code::UnknownTopicOrPartition)?;
        let metadata = metadata.unwrap_or_default().to_owned();
        if metadata.len() > METADATA_BYTES_MAX {
            return Err(Code::OffsetMetadataTooLarge);
        }
        let committed = Committed { offset, leader_epoch, metadata, time_ms: self.time_ms };
        self.positions.push(((topic.to_string(), index), committed));
        Ok(())
    }

    /// Passes the protocol type and the accepted offsets to `store`.
    pub fn store(
        self,
        store: impl FnOnce(&str, Vec<((String, i32), Committed)>) -> Result<(), Code>,
    ) -> Result<(), Code> {
        match self.checked {
            Ok(protocol_type) if !self.positions.is_empty() => store(&protocol_type, self.positions),
            _ => Ok(()),
        }
    }
}

/// Commits a group's offsets. Each partition gets its own error code.
pub(super) fn offset_commit(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut commit = Commit::new(call, check(call, &request));
    let mut topics: Vec<OffsetCommitResponseTopic> = Vec::new();
    for OffsetCommitRequestTopic { name, partitions, .. } in &request.topics {
        let mut answer = |partition: &OffsetCommitRequestPartition| {
            let at = (partition.committed_offset, partition.committed_leader_epoch);
            let taken = commit.take(name, partition.partition_index, at, partition.committed_metadata.as_deref());
            let response = OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index);
            response.with_error_code(code_of(&taken))
        };
        let partitions = partitions.iter().map(&mut answer).collect();
        topics.push(OffsetCommitResponseTopic::default().with_name(name.clone()).with_partitions(partitions));
    }
    let stored = commit.store(|protocol_type, positions| {
        let mut offsets = call.shared.groups.offsets();
        offsets.commit(&request.group_id, protocol_type, positions).map_err(storage_error)
    });
    if let Err(code) = stored {
        let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.filter(|partition| partition.error_code == 0).for_each(|p| p.error_code = code.code());
    }
    OffsetCommitResponse::default().with_topics(topics)
}

/// Checks that the commit is allowed. Returns the protocol type of the group's members, empty if it has none.
fn check(call: &Call<'_>, request: &OffsetCommitRequest) -> Result<String, Code> {
    let generation = request.generation_id_or_member_epoch;
    if generation < 0 && !call.shared.groups.exists(&request.group_id) {
        // Nobody has joined the group. A client without a membership sets its offsets.
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

/// Like [`check`], for a commit in a transaction. A producer that names no member (id, instance, generation) may always
/// commit. One that names a member may also commit while the group rebalances.
pub(super) fn check_transactional(
    call: &Call<'_>,
    group: &str,
    (id, instance, generation): (&str, Option<&str>, i32),
) -> Result<String, Code> {
    if group.is_empty() {
        return Err(Code::InvalidGroupId);
    }
    let names_member = generation >= 0 || !id.is_empty() || instance.is_some();
    if !call.shared.groups.exists(group) {
        return if generation < 0 { Ok(String::new()) } else { Err(Code::IllegalGeneration) };
    }
    call.shared.groups.with(group, |group, now| {
        if names_member {
            group.check_instance(id, instance)?;
            group.check_member(id, generation, now)?;
        }
        Ok(group.protocol_type.clone())
    })
}

/// Deletes a group's offsets, except those of topics that its members are subscribed to.
pub(super) fn offset_delete(call: &Call<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let groups = &call.shared.groups;
    let group = &request.group_id;
    let subscribed = if group.is_empty() {
        Err(Code::InvalidGroupId)
    } else if groups.exists(group) {
        groups.with(group, |group, now| {
            group.tick(now);
            group.subscribed()
        })
    } else if groups.offsets().of_group(group).next().is_some() {
        Ok(Some(BTreeSet::new()))
    } else {
        Err(Code::GroupIdNotFound)
    };
    let subscribed = match subscribed {
        Ok(subscribed) => subscribed,
        Err(code) => return OffsetDeleteResponse::default().with_error_code(code.code()),
    };
    let mut goes = Vec::new();
    let mut delete = |topic: &OffsetDeleteRequestTopic| {
        let found = call.shared.catalog.get(&topic.name);
        let mut delete = |index: i32| {
            found.as_ref().and_then(|topic| topic.partition(index)).ok_or(Code::UnknownTopicOrPartition)?;
            if subscribed.as_ref().is_none_or(|topics| topics.contains(topic.name.as_str())) {
                return Err(Code::GroupSubscribedToTopic);
            }
            goes.push((topic.name.to_string(), index));
            Ok(())
        };
        let asked = once(topic.partitions.iter(), |asked| asked.partition_index);
        let answered = asked.map(|asked| {
            let response = OffsetDeleteResponsePartition::default().with_partition_index(asked.partition_index);
            response.with_error_code(code_of(&delete(asked.partition_index)))
        });
        OffsetDeleteResponseTopic::default().with_name(topic.name.clone()).with_partitions(answered.collect())
    };
    let topics = once(request.topics.iter(), |topic| topic.name.as_str()).map(&mut delete).collect();
    let deleted = groups.offsets().delete_positions(group, goes).map_err(storage_error);
    OffsetDeleteResponse::default().with_error_code(code_of(&deleted)).with_topics(topics)
}

/// A group's committed offsets; −1 for none.
pub(super) fn offset_fetch(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version >= FIRST_VERSION_WITH_GROUPS {
        let answer = |group: &OffsetFetchRequestGroup| {
            let topics = group.topics.as_ref();
            let wanted =
                topics.map(|topics| topics.iter().map(|t| (t.name.clone(), t.partition_indexes.clone())).collect());
            let stable = (group.group_id.as_str(), request.require_stable);
            let found = positions(call, stable, wanted).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, committed)| {
                    let (code, (offset, epoch, metadata)) = (code_of(&committed), fields(committed));
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_error_code(code)
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
    let stable = (request.group_id.as_str(), request.require_stable);
    let found = positions(call, stable, wanted).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, committed)| {
            let (code, (offset, epoch, metadata)) = (code_of(&committed), fields(committed));
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(if call.version >= 5 { epoch } else { -1 })
                .with_metadata(Some(metadata))
        });
        OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(found.collect())
}

type Position = Result<Option<Committed>, Code>;
type Positions = Vec<(TopicName, Vec<(i32, Position)>)>;

/// The requested offsets, or all of the group. If the client wants only stable offsets, one that an open transaction
/// commits is an error.
fn positions(
    call: &Call<'_>,
    (group, is_stable): (&str, bool),
    wanted: Option<Vec<(TopicName, Vec<i32>)>>,
) -> Positions {
    let offsets = call.shared.groups.offsets();
    let stable = |topic: &str, index: i32, committed: Option<&Committed>| {
        let is_pending = is_stable && offsets.is_pending(group, topic, index);
        if is_pending { Err(Code::UnstableOffsetCommit) } else { Ok(committed.cloned()) }
    };
    if let Some(wanted) = wanted {
        let find = |(name, partitions): (TopicName, Vec<i32>)| {
            let find = |index| (index, stable(&name, index, offsets.get(group, &name, index)));
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
        let position = stable(topic, *partition, Some(committed));
        all.last_mut().expect("just pushed").1.push((*partition, position));
    }
    all
}

fn fields(committed: Position) -> (i64, i32, StrBytes) {
    match committed {
        Ok(Some(committed)) => (committed.offset, committed.leader_epoch, StrBytes::from_string(committed.metadata)),
        Ok(None) | Err(_) => (-1, -1, StrBytes::new()),
    }
}
