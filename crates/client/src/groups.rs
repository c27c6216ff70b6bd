//! Sets the offsets of a consumer group from outside, for tools that show a group's lag. Nobody joins the group.

use crate::cluster::{Cluster, PARTITIONS};
use crate::connection::{Connection, check};
use crate::fault::Fault;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{ApiKey, FindCoordinatorRequest, GroupId, OffsetCommitRequest, TopicName};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use std::time::Duration;
use tidemill_model::Result;
use tidemill_wire::Bounds;

const FIND: VersionRange = VersionRange { min: 1, max: 4 };
/// Version 8 is the last one that names topics; version 5 the first without a retention time.
const COMMIT: VersionRange = VersionRange { min: 5, max: 8 };
/// The type of a key that names a group.
const GROUP: i8 = 0;

impl Cluster {
    /// Sets the group's offsets of these partitions: the next offset to read of each. Partitions of a topic stand together.
    ///
    /// # Errors
    /// Transient: no broker answers within `patience`. External: the broker refuses, for instance because the group has
    /// members.
    pub fn commit_offsets(&mut self, group: &str, offsets: &[(&str, i32, i64)], patience: Duration) -> Result<()> {
        let request = request(group, offsets);
        self.asking(patience, |cluster| {
            let coordinator = cluster.any(|connection| find(connection, group))?;
            if cluster.address(coordinator).is_err() {
                cluster.refresh(Some(&[]))?;
            }
            let answer = cluster.broker(coordinator, |connection| connection.call(COMMIT, &request, PARTITIONS))?;
            for topic in &answer.topics {
                for partition in &topic.partitions {
                    let what = format!(
                        "to set the offset of group `{group}` for partition {} of topic `{}`",
                        partition.partition_index, *topic.name
                    );
                    check(&what, partition.error_code, None)?;
                }
            }
            Ok(())
        })
    }
}

fn request(group: &str, offsets: &[(&str, i32, i64)]) -> OffsetCommitRequest {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let partition = |(_, number, offset): &(&str, i32, i64)| {
        OffsetCommitRequestPartition::default().with_partition_index(*number).with_committed_offset(*offset)
    };
    let topic = |of_topic: &[(&str, i32, i64)]| {
        OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(of_topic[0].0)))
            .with_partitions(of_topic.iter().map(partition).collect())
    };
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        // Not a member.
        .with_generation_id_or_member_epoch(-1)
        .with_topics(offsets.chunk_by(|a, b| a.0 == b.0).map(topic).collect())
}

/// The broker that keeps the group's offsets.
fn find(connection: &mut Connection, group: &str) -> Result<i32, Fault> {
    let key = StrBytes::from_string(group.to_owned());
    let request = FindCoordinatorRequest::default().with_key_type(GROUP);
    let request = match connection.version(ApiKey::FindCoordinator, FIND)? {
        4.. => request.with_coordinator_keys(vec![key]),
        _ => request.with_key(key),
    };
    let answer = connection.call(FIND, &request, Bounds::NAMES)?;
    let what = format!("a request for the coordinator of group `{group}`");
    match answer.coordinators.first() {
        Some(found) => {
            check(&what, found.error_code, found.error_message.as_deref())?;
            Ok(found.node_id.0)
        }
        None => {
            check(&what, answer.error_code, answer.error_message.as_deref())?;
            Ok(answer.node_id.0)
        }
    }
}
