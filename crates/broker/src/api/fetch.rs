//! Fetch: finds batches, waits if there are too few bytes, and sends the bytes of segment files unchanged.

use super::Call;
use crate::catalog::storage_error;
use crate::log::transactions::Aborted;
use crate::log::{Isolation, Slice};
use crate::partition::{Partition, Signal};
use crate::wire::Answer;
use bytes::BufMut;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, ProducerId};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Longest wait. A client that would wait longer gets an empty answer and asks again.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Most bytes in an answer, unless its first batch is larger. Apache Kafka's `fetch.max.bytes`.
const ANSWER_BYTES_MAX: u64 = 55 << 20;
/// The protocol's number for this isolation level.
pub(super) const READ_COMMITTED: i8 = 1;
const FIRST_FLEXIBLE_VERSION: i16 = 12;
const FIRST_TOPIC_ID_VERSION: i16 = 13;

/// The data found for one partition.
struct Found {
    data: PartitionData,
    slice: Option<Slice>,
    /// The partition, if the fetch can wait for more of it.
    grows: Option<Arc<Partition>>,
}

/// Answers when there are `min_bytes`, when there is an error, or after `max_wait_ms`.
pub(super) fn fetch(call: &Call<'_>, request: &FetchRequest) -> Answer {
    let wait = Duration::from_millis(request.max_wait_ms.max(0) as u64).min(WAIT_MAX);
    let deadline = Instant::now() + wait;
    loop {
        let found = find_all(call, request);
        let bytes: usize = found.iter().flatten().filter_map(|f| f.slice.as_ref()).map(|slice| slice.bytes).sum();
        let failed = found.iter().flatten().any(|found| found.data.error_code != 0);
        let enough = failed || bytes as i64 >= i64::from(request.min_bytes);
        let stopping = call.client.stopping.load(Ordering::SeqCst);
        if enough || stopping || Instant::now() >= deadline || request.topics.is_empty() {
            return encode(call, request, found);
        }
        wait_for_growth(&found, isolation(request), &call.client.signal, deadline);
    }
}

fn isolation(request: &FetchRequest) -> Isolation {
    if request.isolation_level == READ_COMMITTED { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
}

fn wait_for_growth(found: &[Vec<Found>], isolation: Isolation, signal: &Arc<Signal>, deadline: Instant) {
    let visible_end = |data: &PartitionData| match isolation {
        Isolation::ReadUncommitted => data.high_watermark,
        Isolation::ReadCommitted => data.last_stable_offset,
    };
    let growing = || found.iter().flatten().filter_map(|found| Some((found.grows.as_ref()?, visible_end(&found.data))));
    growing().for_each(|(partition, end_offset)| partition.wake_on_growth(end_offset, isolation, signal));
    signal.wait_until(deadline);
    growing().for_each(|(partition, _)| partition.forget(signal));
}

/// Finds the data for each topic and partition of the request, in order. The first batch is sent however large it is,
/// so that a client always makes progress.
fn find_all(call: &Call<'_>, request: &FetchRequest) -> Vec<Vec<Found>> {
    let mut left = (request.max_bytes.max(0) as u64).min(ANSWER_BYTES_MAX);
    let mut empty = true;
    let mut find_topic = |topic: &FetchTopic| {
        let by_id = call.version >= FIRST_TOPIC_ID_VERSION;
        let catalog = &call.shared.catalog;
        let known = if by_id { catalog.get_by_id(topic.topic_id) } else { catalog.get(&topic.topic) };
        let unknown = if by_id { Code::UnknownTopicId } else { Code::UnknownTopicOrPartition };
        let mut find_partition = |asked: &FetchPartition| {
            let Some(topic) = &known else { return Found::error(asked, unknown) };
            let Some(partition) = topic.partition(asked.partition) else {
                return Found::error(asked, Code::UnknownTopicOrPartition);
            };
            let max_bytes = left.min(asked.partition_max_bytes.max(0) as u64);
            let found = find(partition, asked, isolation(request), max_bytes, empty);
            let bytes = found.slice.as_ref().map_or(0, |slice| slice.bytes as u64);
            left = left.saturating_sub(bytes);
            empty &= bytes == 0;
            found
        };
        topic.partitions.iter().map(&mut find_partition).collect()
    };
    request.topics.iter().map(&mut find_topic).collect()
}

fn find(
    partition: Arc<Partition>,
    asked: &FetchPartition,
    isolation: Isolation,
    max_bytes: u64,
    at_least_one: bool,
) -> Found {
    let (slice, data) = partition.with_log(|log| {
        let slice = log.slice(asked.fetch_offset, isolation, max_bytes, at_least_one);
        let aborted = match (&slice, isolation) {
            (Ok(Some(slice)), Isolation::ReadCommitted) => Some(log.aborted(asked.fetch_offset, slice.end_offset)),
            _ => None,
        };
        let data = empty_data(asked)
            .with_high_watermark(log.end_offset())
            .with_last_stable_offset(log.visible_end(Isolation::ReadCommitted))
            .with_log_start_offset(log.start_offset())
            .with_aborted_transactions(aborted.map(|aborted| aborted.iter().map(encode_aborted).collect()));
        (slice, data)
    });
    match slice {
        Ok(Some(slice)) => Found { data, slice: Some(slice).filter(|slice| slice.bytes > 0), grows: Some(partition) },
        Ok(None) => Found::error(asked, Code::OffsetOutOfRange),
        Err(error) => {
            let data = data.with_error_code(storage_error(error).code());
            Found { data, slice: None, grows: Some(partition) }
        }
    }
}

fn encode_aborted(aborted: &Aborted) -> AbortedTransaction {
    AbortedTransaction::default()
        .with_producer_id(ProducerId(aborted.producer_id))
        .with_first_offset(aborted.first_offset)
}

impl Found {
    fn error(asked: &FetchPartition, code: Code) -> Found {
        let data = empty_data(asked).with_error_code(code.code()).with_high_watermark(-1).with_last_stable_offset(-1);
        Found { data, slice: None, grows: None }
    }
}

fn empty_data(asked: &FetchPartition) -> PartitionData {
    PartitionData::default().with_partition_index(asked.partition).with_aborted_transactions(None)
}

/// Encodes the answer around the partitions by hand, so that the records are not copied into the encoder's memory.
fn encode(call: &Call<'_>, request: &FetchRequest, found: Vec<Vec<Found>>) -> Answer {
    let version = call.version;
    let flexible = version >= FIRST_FLEXIBLE_VERSION;
    let mut answer = Answer::begin::<FetchResponse>(call.correlation_id, version);
    answer.bytes().put_i32(0);
    if version >= 7 {
        // No error and no fetch session: clients name their partitions in each request.
        answer.bytes().put_i16(0);
        answer.bytes().put_i32(0);
    }
    answer.put_count(flexible, found.len());
    for (topic, partitions) in request.topics.iter().zip(found) {
        put_topic(&mut answer, version, &topic.topic, topic.topic_id);
        answer.put_count(flexible, partitions.len());
        for partition in partitions {
            put_partition(&mut answer, version, partition);
        }
        put_no_tags(&mut answer, flexible);
    }
    put_no_tags(&mut answer, flexible);
    answer
}

fn put_topic(answer: &mut Answer, version: i16, name: &str, id: Uuid) {
    if version >= FIRST_TOPIC_ID_VERSION {
        answer.bytes().put_slice(id.as_bytes());
    } else if version >= FIRST_FLEXIBLE_VERSION {
        answer.put_varint(name.len() as u32 + 1);
        answer.bytes().put_slice(name.as_bytes());
    } else {
        answer.bytes().put_i16(name.len() as i16);
        answer.bytes().put_slice(name.as_bytes());
    }
}

/// Encodes a partition without records, then replaces its last bytes, the empty length, by the real length and the
/// slice.
fn put_partition(answer: &mut Answer, version: i16, found: Found) {
    let flexible = version >= FIRST_FLEXIBLE_VERSION;
    answer.put(&found.data, version);
    let Some(slice) = found.slice else { return };
    let said_none = if flexible { [1, 0].as_slice() } else { [0; 4].as_slice() };
    let without = answer.bytes().len() - said_none.len();
    assert_eq!(&answer.bytes()[without..], said_none, "records are the last field of a partition");
    answer.bytes().truncate(without);
    if flexible {
        answer.put_varint(slice.bytes as u32 + 1);
    } else {
        answer.bytes().put_i32(slice.bytes as i32);
    }
    answer.put_slice(slice);
    put_no_tags(answer, flexible);
}

fn put_no_tags(answer: &mut Answer, flexible: bool) {
    if flexible {
        answer.put_varint(0);
    }
}
