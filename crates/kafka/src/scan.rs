//! A simple scan of a topic, record by record, from its first record to its end at the start of the scan.
//!
//! It is the reference in checks, so it shares no code with [`crate::KafkaReader`] but the clients. Of librdkafka it uses
//! rdkafka's consumer; of the native client a fetcher of its own.

use crate::admin;
use crate::choice;
use crate::client::ErrorContext;
use crate::options::KafkaOptions;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tidemill_client::fetch::Slot;
use tidemill_client::{Fetcher, Step};
use tidemill_flow::ports::Extents;
use tidemill_model::{Error, Result};

impl ConsumerContext for ErrorContext {}

/// The scan may make no progress for this long. Then it is an error.
const STILL_MAX: Duration = Duration::from_secs(30);

/// Calls `record(partition, offset, timestamp_ms, key, value)` for every record that the topic holds at the start of
/// the call, in the order of each partition, until the callback breaks. A record without a timestamp has −1. Returns
/// the extents.
///
/// # Errors
/// Transient: no broker answers. External: the topic cannot be read.
pub fn scan(
    options: &KafkaOptions,
    topic: &str,
    mut record: impl FnMut(i32, i64, i64, Option<&[u8]>, Option<&[u8]>) -> ControlFlow<()>,
) -> Result<Extents> {
    let extents = admin::extents(options, topic)?;
    match choice::chosen(options).is_native {
        true => native(options, topic, &extents, &mut record)?,
        false => librdkafka(options, topic, &extents, &mut record)?,
    }
    Ok(extents)
}

/// [`scan`]'s callback.
type OnRecord<'a> = &'a mut dyn FnMut(i32, i64, i64, Option<&[u8]>, Option<&[u8]>) -> ControlFlow<()>;

fn native(options: &KafkaOptions, topic: &str, extents: &Extents, record: OnRecord<'_>) -> Result<()> {
    let mut fetcher = Fetcher::new(choice::settings(options)?)?;
    let there = extents.iter().filter(|(_, there)| there.start < there.end);
    let mut open: Vec<(i32, i64, Slot)> = there
        .map(|(id, there)| (id.partition, there.end, fetcher.add(topic, id.partition, there.start, there.end)))
        .collect();
    let mut moved = Instant::now();
    while !open.is_empty() {
        if fetcher.poll(Duration::from_millis(500))? {
            moved = Instant::now();
        }
        for (partition, end, slot) in &open {
            if fetcher.is_out_of_range(*slot) {
                return Err(Error::external(format!(
                    "topic `{topic}` cannot be read: records of partition {partition} are gone; try again"
                )));
            }
            while fetcher.next_batch(*slot)? {
                while let Step::Record(found) = fetcher.next_record(*end)? {
                    if record(*partition, found.offset, found.timestamp, found.key, found.value).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        open.retain(|(_, end, slot)| fetcher.position(*slot) < *end);
        if moved.elapsed() > STILL_MAX {
            return Err(fetcher.trouble().unwrap_or_else(|| options.unreachable("a scan", None)));
        }
    }
    Ok(())
}

fn librdkafka(options: &KafkaOptions, topic: &str, extents: &Extents, record: OnRecord<'_>) -> Result<()> {
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
