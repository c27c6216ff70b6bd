//! Looks up, creates and deletes topics.

use crate::ask;
#[cfg(feature = "librdkafka")]
pub use crate::librdkafka::wait;
use crate::options::KafkaOptions;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_flow::ports::Extents;
use tidemill_model::{Error, PartitionId, Result};
use tidemill_os::retry::TOPIC;

/// Longest wait for an answer of the cluster.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The number of partitions of a topic; `None` if it does not exist.
///
/// # Errors
/// Transient: no broker answers within 10 s.
pub fn partition_count(options: &KafkaOptions, topic: &str) -> Result<Option<i32>> {
    let partitions = ask::open(options)?.partitions(topic, ANSWER_MAX)?;
    Ok(partitions.map(|partitions| partitions.len() as i32))
}

/// The extents of a topic's partitions now. Empty if the topic does not exist.
///
/// # Errors
/// As [`partition_count`].
pub fn extents(options: &KafkaOptions, topic: &str) -> Result<Extents> {
    let mut asks = ask::open(options)?;
    let partitions = asks.partitions(topic, ANSWER_MAX)?.unwrap_or_default();
    if partitions.is_empty() {
        return Ok(Extents::new());
    }
    let topic: Arc<str> = topic.into();
    let id = |partition: i32| PartitionId { source: 0, topic: topic.clone(), partition };
    let ids: Vec<PartitionId> = partitions.into_iter().map(id).collect();
    let found = asks.extents(&ids, ANSWER_MAX)?;
    Ok(ids.into_iter().zip(found).collect())
}

/// Creates a topic if it does not exist, and returns its number of partitions. A new topic gets `partitions`, or the
/// cluster's default. An existing topic is not changed.
///
/// # Errors
/// Transient: no broker answers within 10 s. External: the cluster refuses to create it.
pub fn ensure_topic(options: &KafkaOptions, topic: &str, partitions: Option<i32>) -> Result<i32> {
    let mut asks = ask::open(options)?;
    if let Some(found) = asks.partitions(topic, ANSWER_MAX)? {
        return Ok(found.len() as i32);
    }
    asks.create_topic(topic, partitions, ANSWER_MAX)?;
    let (made, mut looks) = (Instant::now(), 0);
    loop {
        if let Some(found) = asks.partitions(topic, ANSWER_MAX)? {
            return Ok(found.len() as i32);
        }
        looks += 1;
        match TOPIC.pause(looks, made.elapsed()) {
            Some(pause) => thread::sleep(pause),
            None => {
                return Err(Error::transient(format!(
                    "topic `{topic}` was created but is not in the metadata yet; try again"
                )));
            }
        }
    }
}

/// Deletes a topic with all its records. Succeeds if it does not exist.
///
/// # Errors
/// External: the cluster refuses.
pub fn delete_topic(options: &KafkaOptions, topic: &str) -> Result<()> {
    ask::open(options)?.delete_topic(topic, ANSWER_MAX)
}
