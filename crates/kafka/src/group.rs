//! The offsets of a consumer group, set after each batch. Tools that show a group's lag read them; Tidemill does not.

use crate::choice;
use crate::librdkafka;
use crate::native;
use crate::options::KafkaOptions;
use std::time::Duration;
use tidemill_client::Cluster;
use tidemill_model::Result;
use tidemill_model::kafka_source::PerPartition;

/// Longest wait for an answer of the cluster.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A topic, a partition and an offset.
pub(crate) type Offset<'a> = (&'a str, i32, i64);

/// A client that sets the offsets of groups.
pub(crate) trait SetOffsets: Send {
    /// Sets a group's next offset to read of each partition. Partitions of a topic stand together.
    fn set(&mut self, group: &str, offsets: &[Offset<'_>]) -> Result<()>;
}

impl SetOffsets for Cluster {
    fn set(&mut self, group: &str, offsets: &[Offset<'_>]) -> Result<()> {
        self.commit_offsets(group, offsets, ANSWER_MAX)
    }
}

/// A consumer group without members.
pub struct Group {
    name: String,
    client: Box<dyn SetOffsets>,
}

impl Group {
    /// A client for the group, which connects on first use.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions, name: &str) -> Result<Group> {
        let client = match choice::chosen(options).is_native {
            true => Box::new(native::ask(options)?),
            false => librdkafka::group(options, name)?,
        };
        Ok(Group { name: name.to_owned(), client })
    }

    /// Sets the next offset to read of each partition.
    ///
    /// # Errors
    /// Transient: the cluster does not answer. External: it refuses.
    pub fn commit(&mut self, offsets: &PerPartition) -> Result<()> {
        let each = offsets.iter().flat_map(|(topic, of_topic)| {
            of_topic.iter().map(move |(number, offset)| (topic.as_str(), *number, *offset))
        });
        self.client.set(&self.name, &each.collect::<Vec<_>>())
    }
}
