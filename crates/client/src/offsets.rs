//! ListOffsets: the first and the last offset of partitions, and the offset of a timestamp.

use crate::cluster::{Cluster, PARTITIONS, check_partition};
use crate::connection::Connection;
use crate::fault::Fault;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use std::collections::HashMap;
use std::time::Duration;
use tidemill_model::Result;

const VERSIONS: VersionRange = VersionRange { min: 2, max: 7 };

/// Which offset to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The first offset.
    Earliest,
    /// One past the last offset that may be read.
    Latest,
    /// The offset of the first record with this timestamp (ms, not negative) or a later one.
    Timestamp(i64),
}

impl Cluster {
    /// The offsets that `at` means, in the order of `partitions`. `None` if no record is so late. Costs one round trip
    /// per broker.
    ///
    /// # Errors
    /// Transient: no broker answers within `patience`. Otherwise a broker refused.
    pub fn offsets(&mut self, topic: &str, partitions: &[i32], at: At, patience: Duration) -> Result<Vec<Option<i64>>> {
        self.asking(patience, |cluster| {
            let mut found: HashMap<i32, Option<i64>> = HashMap::new();
            for (broker, partitions) in cluster.by_leader(topic, partitions)? {
                let numbers: Vec<(i32, i32)> =
                    partitions.iter().map(|(number, leader)| (*number, leader.epoch)).collect();
                let request = request(topic, &numbers, at, cluster.settings().fetch.committed_only);
                found.extend(cluster.broker(broker, |connection| ask(connection, topic, &request))?);
            }
            let offset = |partition: &i32| {
                let missing =
                    || Fault::Malformed(format!("the answer lacks the offset of partition {partition} of `{topic}`"));
                found.get(partition).copied().ok_or_else(missing)
            };
            partitions.iter().map(offset).collect()
        })
    }
}

fn request(topic: &str, partitions: &[(i32, i32)], at: At, committed_only: bool) -> ListOffsetsRequest {
    let timestamp = match at {
        At::Earliest => -2,
        At::Latest => -1,
        At::Timestamp(ms) => ms,
    };
    let partition = |(number, epoch): &(i32, i32)| {
        ListOffsetsPartition::default()
            .with_partition_index(*number)
            .with_current_leader_epoch(*epoch)
            .with_timestamp(timestamp)
    };
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partitions(partitions.iter().map(partition).collect());
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(committed_only.into())
        .with_topics(vec![topic])
}

fn ask(
    connection: &mut Connection,
    name: &str,
    request: &ListOffsetsRequest,
) -> Result<Vec<(i32, Option<i64>)>, Fault> {
    let answer = connection.call(VERSIONS, request, PARTITIONS)?;
    connection.throttle(answer.throttle_time_ms);
    let mut found = Vec::new();
    for partition in
        answer.topics.iter().filter(|topic| topic.name.as_str() == name).flat_map(|topic| &topic.partitions)
    {
        check_partition("the offsets", name, partition.partition_index, partition.error_code)?;
        found.push((partition.partition_index, Some(partition.offset).filter(|offset| *offset >= 0)));
    }
    Ok(found)
}
