//! The offsets of a consumer group, set after each batch. Tools that show a group's lag read them; Tidemill does not.

use crate::choice;
use crate::client::ErrorContext;
use crate::native;
use crate::options::KafkaOptions;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;
use tidemill_client::Cluster;
use tidemill_model::kafka_source::PerPartition;
use tidemill_model::{Error, Result};

/// Longest wait for an answer of the cluster.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A consumer group without members.
pub struct Group {
    name: String,
    client: Client,
}

enum Client {
    Native(Box<Cluster>),
    Librdkafka(Box<BaseConsumer<ErrorContext>>, KafkaOptions),
}

impl Group {
    /// A client for the group, which connects on first use.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions, name: &str) -> Result<Group> {
        let client = match choice::chosen(options).is_native {
            true => Client::Native(Box::new(native::ask(options)?)),
            false => {
                let config = options.config(&[], &[("group.id", name), ("enable.auto.commit", "false")]);
                let consumer = BaseConsumer::from_config_and_context(&config, ErrorContext::default());
                Client::Librdkafka(Box::new(options.created(consumer)?), options.clone())
            }
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
        match &mut self.client {
            Client::Native(cluster) => cluster.commit_offsets(&self.name, &each.collect::<Vec<_>>(), ANSWER_MAX),
            Client::Librdkafka(consumer, options) => {
                let mut list = TopicPartitionList::new();
                for (topic, partition, offset) in each {
                    list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an explicit offset");
                }
                consumer.commit(&list, CommitMode::Sync).map_err(|error| {
                    let servers = &options.bootstrap_servers;
                    let (name, error) = (&self.name, options.hidden(&error.to_string()));
                    Error::transient(format!(
                        "Kafka at {servers} does not set the offsets of group `{name}`: {error}; see that the group has no \
                         members and that the user has the right (ACL) READ on it"
                    ))
                })
            }
        }
    }
}
