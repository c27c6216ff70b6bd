//! Topics: look them up, create and delete them.

use crate::client::{ErrorContext, Handle};
use crate::options::KafkaOptions;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::RDKafkaErrorCode;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
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
    let partitions = Handle::new(options, &[], &[])?.partitions(topic, ANSWER_MAX)?;
    Ok(partitions.map(|partitions| partitions.len() as i32))
}

/// What a topic holds now; empty if it does not exist.
///
/// # Errors
/// As [`partition_count`].
pub fn extents(options: &KafkaOptions, topic: &str) -> Result<Extents> {
    let handle = Handle::new(options, &[("isolation.level", "read_committed")], &[])?;
    let partitions = handle.partitions(topic, ANSWER_MAX)?.unwrap_or_default();
    if partitions.is_empty() {
        return Ok(Extents::new());
    }
    let found = handle.extents(topic, &partitions, ANSWER_MAX)?;
    let id = |partition: &i32| PartitionId { source: 0, topic: topic.into(), partition: *partition };
    Ok(partitions.iter().map(id).zip(found).collect())
}

/// Creates a topic if it does not exist, and returns its number of partitions. A new topic gets `partitions`, or the
/// cluster's default. An existing topic is not changed.
///
/// # Errors
/// Transient: no broker answers within 10 s. External: the cluster refuses to create it.
pub fn ensure_topic(options: &KafkaOptions, topic: &str, partitions: Option<i32>) -> Result<i32> {
    let handle = Handle::new(options, &[], &[])?;
    if let Some(found) = handle.partitions(topic, ANSWER_MAX)? {
        return Ok(found.len() as i32);
    }
    create(options, topic, partitions)?;
    let (made, mut looks) = (Instant::now(), 0);
    loop {
        if let Some(found) = handle.partitions(topic, ANSWER_MAX)? {
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

fn create(options: &KafkaOptions, topic: &str, partitions: Option<i32>) -> Result<()> {
    let config = options.config(&[], &[("allow.auto.create.topics", "false")]);
    let admin = options.created(AdminClient::from_config_and_context(&config, ErrorContext::default()))?;
    // −1: the cluster's default.
    let wanted = NewTopic::new(topic, partitions.unwrap_or(-1), TopicReplication::Fixed(-1));
    let patience = AdminOptions::new().request_timeout(Some(ANSWER_MAX)).operation_timeout(Some(ANSWER_MAX));
    let refused = |reason: String| {
        Error::external(format!(
            "Kafka at {} did not create topic `{topic}`: {reason}; create it by hand or choose another name",
            options.bootstrap_servers
        ))
    };
    let results = wait(admin.create_topics([&wanted], &patience)).map_err(|error| refused(error.to_string()))?;
    match results.into_iter().next() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(refused(code.to_string())),
        None => Err(refused("it gave no answer".into())),
    }
}

/// Deletes a topic with all its records. Succeeds if it does not exist.
///
/// # Errors
/// External: the cluster refuses.
pub fn delete_topic(options: &KafkaOptions, topic: &str) -> Result<()> {
    let admin =
        options.created(AdminClient::from_config_and_context(&options.config(&[], &[]), ErrorContext::default()))?;
    let patience = AdminOptions::new().request_timeout(Some(ANSWER_MAX)).operation_timeout(Some(ANSWER_MAX));
    let refused = |reason: String| {
        Error::external(format!(
            "Kafka at {} did not delete topic `{topic}`: {reason}; delete it by hand",
            options.bootstrap_servers
        ))
    };
    let results = wait(admin.delete_topics(&[topic], &patience)).map_err(|error| refused(error.to_string()))?;
    match results.into_iter().next() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))) => Ok(()),
        Some(Err((_, code))) => Err(refused(code.to_string())),
        None => Err(refused("it gave no answer".into())),
    }
}

/// Waits for one of rdkafka's futures on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    struct ThreadWaker(Thread);
    impl Wake for ThreadWaker {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
