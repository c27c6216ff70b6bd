//! Requests to a cluster for topics and offsets, through either client.

use crate::choice;
use crate::librdkafka;
use crate::native;
use crate::options::KafkaOptions;
use std::collections::BTreeMap;
use std::time::Duration;
pub(crate) use tidemill_client::At;
use tidemill_flow::ports::Extent;
use tidemill_model::{Error, PartitionId, Result};

/// Requests to a cluster. A transient error means that no broker answered within `patience`. Otherwise a broker
/// refused.
pub(crate) trait Ask: Send {
    /// The partitions of a topic, ascending; `None` if the topic does not exist.
    fn partitions(&mut self, topic: &str, patience: Duration) -> Result<Option<Vec<i32>>>;

    /// All topics that the user may see, with their partitions, ascending. Kafka's own topics are left out.
    fn all_topics(&mut self, patience: Duration) -> Result<BTreeMap<String, Vec<i32>>>;

    /// The offsets that `at` means, in the order of `partitions`. `None` if no record is so late. Costs one round trip
    /// per broker.
    fn offsets(&mut self, partitions: &[PartitionId], at: At, patience: Duration) -> Result<Vec<Option<i64>>>;

    /// Creates a topic. An existing topic is not an error. `None` means the cluster's default number of partitions.
    fn create_topic(&mut self, topic: &str, partitions: Option<i32>, patience: Duration) -> Result<()>;

    /// Deletes a topic with all its records. A missing topic is not an error.
    fn delete_topic(&mut self, topic: &str, patience: Duration) -> Result<()>;

    /// The first offsets, or the last stable ones.
    fn bounds(&mut self, partitions: &[PartitionId], at: At, patience: Duration) -> Result<Vec<i64>> {
        let found = self.offsets(partitions, at, patience)?;
        let offset = |(id, offset): (&PartitionId, Option<i64>)| {
            offset.ok_or_else(|| Error::transient(format!("{id} has no offsets now; the request is repeated")))
        };
        partitions.iter().zip(found).map(offset).collect()
    }

    /// First offset and last stable offset of these partitions, in order.
    fn extents(&mut self, partitions: &[PartitionId], patience: Duration) -> Result<Vec<Extent>> {
        let starts = self.bounds(partitions, At::Earliest, patience)?;
        let ends = self.bounds(partitions, At::Latest, patience)?;
        Ok(starts.into_iter().zip(ends).map(|(start, end)| Extent { start, end }).collect())
    }
}

/// A client for these requests. It connects on the first one.
///
/// # Errors
/// User: a wrong option.
pub(crate) fn open(options: &KafkaOptions) -> Result<Box<dyn Ask>> {
    Ok(match choice::chosen(options).is_native {
        true => Box::new(native::ask(options)?),
        false => librdkafka::ask(options)?,
    })
}
