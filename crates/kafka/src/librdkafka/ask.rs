//! Requests for topics and offsets through librdkafka.

use super::client::{ErrorContext, Handle};
use super::wait;
use crate::ask::{Ask, At};
use crate::options::KafkaOptions;
use rdkafka::Offset;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::RDKafkaErrorCode;
use std::collections::BTreeMap;
use std::time::Duration;
use tidemill_model::{Error, PartitionId, Result};

impl Ask for Handle {
    fn partitions(&mut self, topic: &str, patience: Duration) -> Result<Option<Vec<i32>>> {
        Handle::partitions(self, topic, patience)
    }

    fn all_topics(&mut self, patience: Duration) -> Result<BTreeMap<String, Vec<i32>>> {
        Handle::all_topics(self, patience)
    }

    fn offsets(&mut self, partitions: &[PartitionId], at: At, patience: Duration) -> Result<Vec<Option<i64>>> {
        let at = match at {
            At::Earliest => Offset::Beginning,
            At::Latest => Offset::End,
            At::Timestamp(ms) => Offset::Offset(ms),
        };
        self.list(partitions, at, patience)
    }

    fn create_topic(&mut self, topic: &str, partitions: Option<i32>, patience: Duration) -> Result<()> {
        create(self.options(), topic, partitions, patience)
    }

    fn delete_topic(&mut self, topic: &str, patience: Duration) -> Result<()> {
        delete(self.options(), topic, patience)
    }
}

fn create(options: &KafkaOptions, topic: &str, partitions: Option<i32>, patience: Duration) -> Result<()> {
    let config = options.config(&[], &[("allow.auto.create.topics", "false")]);
    let admin = options.created(AdminClient::from_config_and_context(&config, ErrorContext::default()))?;
    // −1: the cluster's default.
    let wanted = NewTopic::new(topic, partitions.unwrap_or(-1), TopicReplication::Fixed(-1));
    let bounds = AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience));
    let refused = |reason: String| {
        Error::external(format!(
            "Kafka at {} did not create topic `{topic}`: {reason}; create it by hand or choose another name",
            options.bootstrap_servers
        ))
    };
    let results = wait(admin.create_topics([&wanted], &bounds)).map_err(|error| refused(error.to_string()))?;
    match results.into_iter().next() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(refused(code.to_string())),
        None => Err(refused("it gave no answer".into())),
    }
}

fn delete(options: &KafkaOptions, topic: &str, patience: Duration) -> Result<()> {
    let admin =
        options.created(AdminClient::from_config_and_context(&options.config(&[], &[]), ErrorContext::default()))?;
    let bounds = AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience));
    let refused = |reason: String| {
        Error::external(format!(
            "Kafka at {} did not delete topic `{topic}`: {reason}; delete it by hand",
            options.bootstrap_servers
        ))
    };
    let results = wait(admin.delete_topics(&[topic], &bounds)).map_err(|error| refused(error.to_string()))?;
    match results.into_iter().next() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))) => Ok(()),
        Some(Err((_, code))) => Err(refused(code.to_string())),
        None => Err(refused("it gave no answer".into())),
    }
}
