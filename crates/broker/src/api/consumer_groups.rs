//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup, ListGroups, DescribeGroups and DeleteGroups. ConsumerGroupHeartbeat is
//! refused.

use super::{Call, code_of, once, text};
use crate::groups::JoinAnswer;
use crate::groups::member::{Join, Member};
use crate::groups::state::Group;
use crate::refusal::start_of;
use crate::wire::Answer;
use bytes::Bytes;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, DeleteGroupsRequest, DeleteGroupsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::time::Duration;
use tidemill_wire::STRING_BYTES_MAX;

const SESSION_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// Apache Kafka's limit for the instance id of a static member.
const INSTANCE_BYTES_MAX: usize = 249;
/// A member id begins with at most this many bytes of the client id.
const NAME_BYTES_MAX: usize = 249;
const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(1800);

/// Joins a group. Answers when the rebalance is over.
pub(super) fn join_group(call: &Call<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    // The answer does not repeat an id that is too long for it.
    let told = |code| {
        (code, Some(request.member_id.to_string()).filter(|id| id.len() <= STRING_BYTES_MAX).unwrap_or_default())
    };
    let joined = check_join(&request).map_err(told);
    match joined.and_then(|()| call.shared.groups.join(&request.group_id, join_of(call, &request))) {
        Ok(answer) => encode_join(call, answer),
        Err((code, member_id)) => JoinGroupResponse::default()
            .with_error_code(code.code())
            .with_generation_id(-1)
            .with_protocol_name((call.version < 7).then(StrBytes::new))
            .with_member_id(StrBytes::from_string(member_id)),
    }
}

/// Refuses the group protocol of KIP-848, as an Apache Kafka does that is set to offer the classic one alone. Without an
/// answer to this request, librdkafka would try for ever and say nothing.
pub(super) fn consumer_group_heartbeat(
    _: &Call<'_>,
    _: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let why = "this broker does not offer the new group protocol (KIP-848); set group.protocol=classic";
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(Code::UnsupportedVersion.code())
        .with_error_message(Some(text(why)))
}

fn check_join(request: &JoinGroupRequest) -> Result<(), Code> {
    let session = Duration::from_millis(request.session_timeout_ms.max(0) as u64);
    let names = request.protocols.iter().map(|protocol| protocol.name.len());
    let lengths = [request.group_id.len(), request.member_id.len(), request.protocol_type.len()];
    let is_too_long = |length| length > STRING_BYTES_MAX;
    if request.group_id.is_empty() || is_too_long(request.group_id.len()) {
        Err(Code::InvalidGroupId)
    } else if lengths.into_iter().chain(names).any(is_too_long)
        || request.group_instance_id.as_ref().is_some_and(|instance| instance.len() > INSTANCE_BYTES_MAX)
    {
        Err(Code::InvalidRequest)
    } else if !(SESSION_TIMEOUT_MIN..=SESSION_TIMEOUT_MAX).contains(&session) {
        Err(Code::InvalidSessionTimeout)
    } else {
        Ok(())
    }
}

fn join_of(call: &Call<'_>, request: &JoinGroupRequest) -> Join {
    let millis = |millis: i32| Duration::from_millis(millis.max(0) as u64);
    let session_timeout = millis(request.session_timeout_ms);
    let name = request.group_instance_id.as_deref().unwrap_or(&call.client_id);
    Join {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_deref().map(str::to_owned),
        client_id: call.client_id.clone(),
        client_host: format!("/{}", call.client.peer.ip()),
        session_timeout,
        // Version 0 has one timeout for both.
        rebalance_timeout: if call.version == 0 { session_timeout } else { millis(request.rebalance_timeout_ms) },
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.iter().map(|p| (p.name.to_string(), own(&p.metadata))).collect(),
        fresh_id: format!("{}-{}", start_of(name, NAME_BYTES_MAX), uuid::Uuid::new_v4()),
        id_required: call.version >= 4,
    }
}

/// Copies bytes, so that they do not keep the whole frame in memory.
fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn encode_join(call: &Call<'_>, answer: JoinAnswer) -> JoinGroupResponse {
    // Older clients cannot be told to skip the assignment. They are not told that they are the leader.
    let hide = answer.skip_assignment && call.version < 9;
    let member = |(id, instance, metadata): (String, Option<String>, Bytes)| {
        JoinGroupResponseMember::default()
            .with_member_id(StrBytes::from_string(id))
            .with_group_instance_id(instance.filter(|_| call.version >= 5).map(StrBytes::from_string))
            .with_metadata(metadata)
    };
    JoinGroupResponse::default()
        .with_generation_id(answer.generation)
        .with_protocol_type(Some(StrBytes::from_string(answer.protocol_type)).filter(|_| call.version >= 7))
        .with_protocol_name(Some(StrBytes::from_string(answer.protocol)))
        .with_leader(if hide { StrBytes::new() } else { StrBytes::from_string(answer.leader) })
        .with_skip_assignment(answer.skip_assignment && !hide)
        .with_member_id(StrBytes::from_string(answer.member_id))
        .with_members(if hide { Vec::new() } else { answer.members.into_iter().map(member).collect() })
}

/// Takes the leader's assignments. Waits for the member's own.
pub(super) fn sync_group(call: &Call<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let assignments = request.assignments.iter().map(|a| (a.member_id.to_string(), own(&a.assignment))).collect();
    let member = (request.member_id.as_str(), request.group_instance_id.as_deref());
    match call.shared.groups.sync(&request.group_id, member, request.generation_id, assignments) {
        Ok((assignment, protocol_type, protocol)) => {
            let named = |name: String| Some(StrBytes::from_string(name)).filter(|_| call.version >= 5);
            SyncGroupResponse::default()
                .with_assignment(assignment)
                .with_protocol_type(named(protocol_type))
                .with_protocol_name(named(protocol))
        }
        Err(code) => SyncGroupResponse::default().with_error_code(code.code()),
    }
}

/// Takes a heartbeat.
pub(super) fn heartbeat(call: &Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let alive = call.shared.groups.with(&request.group_id, |group, now| {
        group.check_instance(&request.member_id, request.group_instance_id.as_deref())?;
        group.heartbeat(&request.member_id, request.generation_id, now)
    });
    HeartbeatResponse::default().with_error_code(code_of(&alive))
}

/// Removes one member, or several (version 3 and later).
pub(super) fn leave_group(call: &Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let leave = |member_id: &str, instance: Option<&str>| {
        let left = call.shared.groups.with(&request.group_id, |group, now| group.leave(member_id, instance, now));
        code_of(&left)
    };
    if call.version < 3 {
        return LeaveGroupResponse::default().with_error_code(leave(&request.member_id, None));
    }
    let each = |member: &MemberIdentity| {
        MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(leave(&member.member_id, member.group_instance_id.as_deref()))
    };
    LeaveGroupResponse::default().with_members(request.members.iter().map(each).collect())
}

/// All groups, or those in the requested states.
pub(super) fn list_groups(call: &Call<'_>, request: ListGroupsRequest) -> Answer {
    let describe = |name: String| {
        let group = call.shared.groups.with(&name, |group, now| {
            group.tick(now);
            Ok((group.protocol_type.clone(), group.phase.name()))
        });
        let kept = || call.shared.groups.offsets().protocol_type(&name).unwrap_or_default().to_owned();
        let (protocol_type, state) = group.unwrap_or_else(|_| (kept(), "Empty"));
        let wanted = request.states_filter.is_empty() || request.states_filter.iter().any(|s| s.as_str() == state);
        let listed = ListedGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(name)))
            .with_protocol_type(StrBytes::from_string(protocol_type));
        wanted.then(|| if call.version >= 4 { listed.with_group_state(text(state)) } else { listed })
    };
    let groups: Vec<ListedGroup> = call.shared.groups.names().into_iter().filter_map(describe).collect();
    call.listed((&ListGroupsResponse::default(), 0), groups.into_iter())
}

/// Members and assignments of each group.
pub(super) fn describe_groups(call: &Call<'_>, request: DescribeGroupsRequest) -> Answer {
    let describe = |id: &GroupId| {
        let described = call.shared.groups.with(id, |group, now| {
            group.tick(now);
            Ok(encode_group(call, group))
        });
        let absent = || match call.shared.groups.offsets().protocol_type(id) {
            Some(kept) => DescribedGroup::default().with_group_state(text("Empty")).with_protocol_type(text(kept)),
            None => DescribedGroup::default().with_group_state(text("Dead")),
        };
        described.unwrap_or_else(|_| absent()).with_group_id(id.clone())
    };
    let groups = once(request.groups.iter(), |id| id.as_str()).map(describe);
    call.listed((&DescribeGroupsResponse::default(), 0), groups)
}

fn encode_group(call: &Call<'_>, group: &Group) -> DescribedGroup {
    let protocol = group.protocol.as_deref();
    let member = |(id, member): (&String, &Member)| {
        DescribedGroupMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(member.instance.as_deref().filter(|_| call.version >= 4).map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(member.metadata(protocol))
            .with_member_assignment(member.assignment.clone())
    };
    DescribedGroup::default()
        .with_group_state(text(group.phase.name()))
        .with_protocol_type(text(&group.protocol_type))
        .with_protocol_data(text(protocol.unwrap_or_default()))
        .with_members(group.members.iter().map(member).collect())
}

/// Deletes groups without members.
pub(super) fn delete_groups(call: &Call<'_>, request: DeleteGroupsRequest) -> Answer {
    let delete = |id: GroupId| {
        let deleted = call.shared.groups.delete(&id);
        DeletableGroupResult::default().with_group_id(id).with_error_code(code_of(&deleted))
    };
    call.listed((&DeleteGroupsResponse::default(), 0), request.groups_names.into_iter().map(delete))
}
