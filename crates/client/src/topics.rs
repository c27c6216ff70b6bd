//! Creates and deletes topics.

use crate::cluster::Cluster;
use crate::fault::Fault;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use std::time::Duration;
use tidemill_model::Result;
use tidemill_wire::Bounds;

const CREATE: VersionRange = VersionRange { min: 4, max: 7 };
const DELETE: VersionRange = VersionRange { min: 3, max: 6 };
/// Longest time for a broker to create or delete a topic.
const TIME: Duration = Duration::from_secs(10);

impl Cluster {
    /// Creates a topic. An existing topic is not an error. `None` means the cluster's default number of partitions.
    ///
    /// # Errors
    /// Transient: no broker answers within `patience`. External: the broker refuses.
    pub fn create_topic(
        &mut self,
        topic: &str,
        partitions: Option<i32>,
        configs: &[(String, String)],
        patience: Duration,
    ) -> Result<()> {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value))));
        let wanted = CreatableTopic::default()
            .with_name(TopicName(text(topic)))
            .with_num_partitions(partitions.unwrap_or(-1))
            .with_replication_factor(-1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(TIME.as_millis() as i32);
        self.asking(patience, |cluster| {
            let answer =
                cluster.controller(|connection| connection.call_within(CREATE, &request, Bounds::NAMES, TIME))?;
            match answer.topics.first() {
                None => Err(Fault::Malformed(format!("the answer lacks topic `{topic}`, which was to be created"))),
                Some(made) => outcome(
                    "to create",
                    topic,
                    made.error_code,
                    made.error_message.as_deref(),
                    Code::TopicAlreadyExists,
                ),
            }
        })
    }

    /// Deletes a topic with all its records. A missing topic is not an error.
    ///
    /// # Errors
    /// As [`Cluster::create_topic`].
    pub fn delete_topic(&mut self, topic: &str, patience: Duration) -> Result<()> {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let state = DeleteTopicState::default().with_name(Some(name.clone()));
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![name])
            .with_topics(vec![state])
            .with_timeout_ms(TIME.as_millis() as i32);
        self.asking(patience, |cluster| {
            let answer = cluster.controller(|connection| {
                // From version 6 on a topic is a structure. Before that it is a name.
                let version = connection.version(kafka_protocol::messages::ApiKey::DeleteTopics, DELETE)?;
                let mut request = request.clone();
                if version < 6 {
                    request.topics.clear()
                } else {
                    request.topic_names.clear()
                }
                connection.call_within(DELETE, &request, Bounds::NAMES, TIME)
            })?;
            match answer.responses.first() {
                None => Err(Fault::Malformed(format!("the answer lacks topic `{topic}`, which was to be deleted"))),
                Some(gone) => outcome(
                    "to delete",
                    topic,
                    gone.error_code,
                    gone.error_message.as_deref(),
                    Code::UnknownTopicOrPartition,
                ),
            }
        })
    }
}

fn outcome(verb: &str, topic: &str, code: i16, message: Option<&str>, well: Code) -> Result<(), Fault> {
    match Code::try_from_code(code) {
        None => Ok(()),
        Some(code) if code == well => Ok(()),
        Some(code) => {
            Err(Fault::Code { what: format!("{verb} topic `{topic}`"), code, message: message.map(str::to_owned) })
        }
    }
}
