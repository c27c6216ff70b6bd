//! A simple scan of a topic with rdkafka's consumer.

use super::client::ErrorContext;
use crate::options::KafkaOptions;
use crate::scan::{OnRecord, STILL_MAX};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};
use tidemill_flow::ports::Extents;
use tidemill_model::{Error, Result};

impl ConsumerContext for ErrorContext {}

/// As [`crate::scan()`], within the extents.
///
/// # Errors
/// As [`crate::scan()`].
pub(crate) fn scan(options: &KafkaOptions, topic: &str, extents: &Extents, record: OnRecord<'_>) -> Result<()> {
    let mut open: Vec<(i32, i64)> = Vec::new();
    let mut list = TopicPartitionList::new();
    for (id, there) in extents.iter().filter(|(_, there)| there.start < there.end) {
        open.push((id.partition, there.end));
        list.add_partition_offset(topic, id.partition, Offset::Offset(there.start)).expect("an explicit offset");
    }
    // librdkafka's assignment needs a group id, although nothing is committed.
    let must = [("group.id", "tidemill-scan"), ("enable.auto.commit", "false"), ("enable.partition.eof", "true")];
    let config = options.config(&[("isolation.level", "read_committed"), ("auto.offset.reset", "error")], &must);
    let consumer = options.created(BaseConsumer::from_config_and_context(&config, ErrorContext::default()))?;
    let unreadable = |error: KafkaError| Error::external(format!("topic `{topic}` cannot be read: {error}; try again"));
    consumer.assign(&list).map_err(unreadable)?;
    let mut moved = Instant::now();
    while !open.is_empty() {
        let mut reached = None;
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                if open.iter().any(|(id, end)| *id == partition && offset < *end) {
                    let timestamp = message.timestamp().to_millis().unwrap_or(-1);
                    if record(partition, offset, timestamp, message.key(), message.payload()).is_break() {
                        return Ok(());
                    }
                }
                reached = Some((partition, offset + 1));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => reached = Some((partition, i64::MAX)),
            Some(Err(error)) if moved.elapsed() > STILL_MAX => return Err(unreadable(error)),
            None if moved.elapsed() > STILL_MAX => {
                return Err(options.unreachable("a scan", consumer.context().take_reason()));
            }
            Some(Err(_)) | None => {}
        }
        if let Some((partition, offset)) = reached {
            open.retain(|(id, end)| *id != partition || offset < *end);
            moved = Instant::now();
        }
    }
    Ok(())
}
