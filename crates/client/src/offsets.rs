//! ListOffsets: the first and the last offset of partitions, and the offset of a timestamp.

use crate::cluster::{Cluster, PARTITIONS, check_partition};
use crate::connection::Connection;
use crate::fault::Fault;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use std::collections::{BTreeMap, HashMap};
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
    /// The offsets that `at` means, in the order of `partitions`, which are those of one topic. `None` if no record is so
    /// late. Costs one round trip per broker.
    ///
    /// # Errors
    /// Transient: no broker answers within `patience`. Otherwise a broker refused.
    pub fn offsets(&mut self, topic: &str, partitions: &[i32], at: At, patience: Duration) -> Result<Vec<Option<i64>>> {
        let partitions: Vec<(&str, i32)> = partitions.iter().map(|number| (topic, *number)).collect();
        self.offsets_of(&partitions, at, patience)
    }

    /// As [`Cluster::offsets`], for partitions of several topics.
    ///
    /// # Errors
    /// As [`Cluster::offsets`].
    pub fn offsets_of(&mut self, partitions: &[(&str, i32)], at: At, patience: Duration) -> Result<Vec<Option<i64>>> {
        self.asking(patience, |cluster| {
            let mut by_broker: BTreeMap<i32, Vec<(&str, i32, i32)>> = BTreeMap::new();
            for (topic, number) in partitions {
                let leader = cluster.leader(topic, *number)?;
                by_broker.entry(leader.broker).or_default().push((topic, *number, leader.epoch));
            }
            let mut found: HashMap<(String, i32), Option<i64>> = HashMap::new();
            for (broker, partitions) in by_broker {
                let request = request(&partitions, at, cluster.settings().fetch.committed_only);
                found.extend(cluster.broker(broker, |connection| ask(connection, &request))?);
            }
            let offset = |(topic, number): &(&str, i32)| {
                let missing =
                    || Fault::Malformed(format!("the answer lacks the offset of partition {number} of `{topic}`"));
                found.get(&((*topic).to_owned(), *number)).copied().ok_or_else(missing)
            };
            partitions.iter().map(offset).collect()
        })
    }
}

/// A request for partitions with their leaders' epochs.
fn request(partitions: &[(&str, i32, i32)], at: At, committed_only: bool) -> ListOffsetsRequest {
    let timestamp = match at {
        At::Earliest => -2,
        At::Latest => -1,
        At::Timestamp(ms) => ms,
    };
    let partition = |(_, number, epoch): &(&str, i32, i32)| {
        ListOffsetsPartition::default()
            .with_partition_index(*number)
            .with_current_leader_epoch(*epoch)
            .with_timestamp(timestamp)
    };
    let topic = |of_topic: &[(&str, i32, i32)]| {
        ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_string(of_topic[0].0.to_owned())))
            .with_partitions(of_topic.iter().map(partition).collect())
    };
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(committed_only.into())
        .with_topics(partitions.chunk_by(|a, b| a.0 == b.0).map(topic).collect())
}

fn ask(connection: &mut Connection, request: &ListOffsetsRequest) -> Result<Vec<((String, i32), Option<i64>)>, Fault> {
    let answer = connection.call(VERSIONS, request, PARTITIONS)?;
    connection.throttle(answer.throttle_time_ms);
    let mut found = Vec::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            check_partition("the offsets", &topic.name, partition.partition_index, partition.error_code)?;
            let offset = Some(partition.offset).filter(|offset| *offset >= 0);
            found.push(((topic.name.to_string(), partition.partition_index), offset));
        }
    }
    Ok(found)
}
