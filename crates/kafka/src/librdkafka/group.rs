//! Sets a group's offsets through librdkafka.

use super::client::ErrorContext;
use crate::group::{self, SetOffsets};
use crate::options::KafkaOptions;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tidemill_model::{Error, Result};

/// A consumer of one group, which subscribes to nothing.
pub(crate) struct LibrdkafkaGroup {
    consumer: BaseConsumer<ErrorContext>,
    options: KafkaOptions,
}

impl LibrdkafkaGroup {
    /// # Errors
    /// User: a wrong option.
    pub(crate) fn new(options: &KafkaOptions, name: &str) -> Result<LibrdkafkaGroup> {
        let config = options.config(&[], &[("group.id", name), ("enable.auto.commit", "false")]);
        let consumer = BaseConsumer::from_config_and_context(&config, ErrorContext::default());
        Ok(LibrdkafkaGroup { consumer: options.created(consumer)?, options: options.clone() })
    }
}

impl SetOffsets for LibrdkafkaGroup {
    fn set(&mut self, group: &str, offsets: &[group::Offset<'_>]) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for (topic, partition, offset) in offsets {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("an explicit offset");
        }
        self.consumer.commit(&list, CommitMode::Sync).map_err(|error| {
            let servers = &self.options.bootstrap_servers;
            let error = self.options.hidden(&error.to_string());
            Error::transient(format!(
                "Kafka at {servers} does not set the offsets of group `{group}`: {error}; see that the group has no members \
                 and that the user has the right (ACL) READ on it"
            ))
        })
    }
}
