//! Requests for topics and offsets through the native client.

use crate::ask::{Ask, At};
use crate::choice::settings;
use crate::options::KafkaOptions;
use std::collections::BTreeMap;
use std::time::Duration;
use tidemill_client::Cluster;
use tidemill_model::{PartitionId, Result};

/// Longest wait for an answer, unless the user sets less. It is short, so that the caller can report what it waits for.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A client for these requests.
///
/// # Errors
/// User: a wrong option.
pub(crate) fn ask(options: &KafkaOptions) -> Result<Cluster> {
    let mut settings = settings(options)?;
    settings.answer_max = settings.answer_max.min(ANSWER_MAX);
    settings.connect_max = settings.connect_max.min(ANSWER_MAX);
    Cluster::new(settings)
}

impl Ask for Cluster {
    fn partitions(&mut self, topic: &str, patience: Duration) -> Result<Option<Vec<i32>>> {
        Cluster::partitions(self, topic, patience)
    }

    fn all_topics(&mut self, patience: Duration) -> Result<BTreeMap<String, Vec<i32>>> {
        Cluster::all_topics(self, patience)
    }

    fn offsets(&mut self, partitions: &[PartitionId], at: At, patience: Duration) -> Result<Vec<Option<i64>>> {
        let partitions: Vec<(&str, i32)> = partitions.iter().map(|id| (&*id.topic, id.partition)).collect();
        self.offsets_of(&partitions, at, patience)
    }

    fn create_topic(&mut self, topic: &str, partitions: Option<i32>, patience: Duration) -> Result<()> {
        Cluster::create_topic(self, topic, partitions, &[], patience)
    }

    fn delete_topic(&mut self, topic: &str, patience: Duration) -> Result<()> {
        Cluster::delete_topic(self, topic, patience)
    }
}
