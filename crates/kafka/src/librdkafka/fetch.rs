//! librdkafka's consumer without a group: partitions start at explicit offsets and deliver into one queue.
//!
//! The rest of the crate sees only [`Event`]s; all pointers to librdkafka's messages stay in this module. Messages are
//! taken from the queue by the hundred; one call per message would cost a third more CPU time.

use super::client::Handle;
use rdkafka::bindings as native;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use std::ffi::{CStr, CString, c_void};
use std::ptr::{null, null_mut};
use std::slice;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Chunk, RecordMetadata};

/// An event of a partition.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A record.
    Record { offset: i64, timestamp: i64, value: Option<&'a [u8]>, extras: Extras<'a> },
    /// Everything has been delivered; the next offset does not exist yet.
    End { offset: i64 },
    /// The partition cannot be read any further.
    Failed { code: RDKafkaErrorCode },
}

/// A message that was taken out of the queue, with its buffer.
pub struct Message(*mut native::rd_kafka_message_t);

// SAFETY: a message may be used and destroyed from any thread.
unsafe impl Send for Message {}

impl Message {
    pub fn event(&self) -> Event<'_> {
        // SAFETY: valid until destroyed in `drop`.
        unsafe { event(&*self.0) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: taken from the queue by `Fetch::take_out`, destroyed once.
        unsafe { native::rd_kafka_message_destroy(self.0) };
    }
}

/// The parts of a record beside its value. They are read only if a query uses them.
#[derive(Clone, Copy, Debug)]
pub struct Extras<'a>(&'a native::rd_kafka_message_t);

impl<'a> Extras<'a> {
    /// Appends the wanted parts to a chunk that the record was just added to.
    pub fn push_to(self, chunk: &mut Chunk, parts: RecordMetadata) {
        if parts.keys {
            chunk.keys.push(self.key());
        }
        if parts.timestamp_types {
            chunk.timestamp_types.push(self.timestamp_type());
        }
        if parts.headers {
            self.headers(|name, value| {
                chunk.header_names.push(Some(name));
                chunk.header_values.push(value);
            });
            chunk.header_ends.push(chunk.header_names.len());
        }
    }

    /// The key.
    fn key(self) -> Option<&'a [u8]> {
        // SAFETY: key and length describe the key, as long as the message lives.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    /// Kafka's number for who set the timestamp: 0 the producer, 1 the broker, −1 nobody.
    fn timestamp_type(self) -> i32 {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid, and so is the pointer to `kind`.
        unsafe { native::rd_kafka_message_timestamp(self.0, &mut kind) };
        match kind {
            native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => 0,
            native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => 1,
            native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => -1,
        }
    }

    /// Calls `header(name, value)` for each header, in order.
    fn headers(self, mut header: impl FnMut(&[u8], Option<&[u8]>)) {
        let mut list = null_mut();
        // SAFETY: the message is valid and owns the list, which is not changed here.
        if unsafe { native::rd_kafka_message_headers(self.0, &mut list) } != NO_ERROR {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut length) = (null(), null(), 0);
            // SAFETY: the list is valid as long as the message. The call writes pointers into the list.
            let found = unsafe { native::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut length) };
            if found != NO_ERROR {
                return;
            }
            // SAFETY: a found header has a name that ends with a zero byte, and `length` bytes at `value`.
            unsafe { header(CStr::from_ptr(name).to_bytes(), bytes(value, length)) };
        }
    }
}

const NO_ERROR: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;

/// Bytes from librdkafka. A null pointer is a null value.
///
/// # Safety
/// The pointer is null or valid for `length` bytes during `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), length) })
}

/// Messages taken from the queue at once.
const TAKE: usize = 512;

/// Partitions of one or more topics, delivering into one queue.
pub struct Fetch {
    /// Declared before `handle`, so that topics and queue are released before the client ends.
    topics: Vec<(String, Topic)>,
    queue: Queue,
    pub handle: Handle,
    started: Vec<(usize, i32)>,
    taken: Vec<*mut native::rd_kafka_message_t>,
    /// Index of the first message in `taken` that is not consumed. Earlier ones are destroyed.
    next: usize,
    /// Time spent waiting for messages.
    pub waited: Duration,
}

struct Topic(*mut native::rd_kafka_topic_t);
struct Queue(*mut native::rd_kafka_queue_t);

// SAFETY: librdkafka's handles and messages may be used from any thread; `&mut self` allows one user at a time.
unsafe impl Send for Fetch {}

impl Fetch {
    /// A queue on a client.
    pub fn new(handle: Handle) -> Fetch {
        // SAFETY: the client is valid; the queue is destroyed in `drop`.
        let queue = Queue(unsafe { native::rd_kafka_queue_new(handle.native()) });
        let taken = Vec::with_capacity(TAKE);
        Fetch { topics: Vec::new(), queue, handle, started: Vec::new(), taken, next: 0, waited: Duration::ZERO }
    }

    /// Starts to fetch a partition at an offset, in the background. The partition must not be started yet.
    pub fn start(&mut self, topic: &str, partition: i32, offset: i64) {
        assert!(offset >= 0 && partition >= 0, "only explicit offsets are read");
        let index = self.topic(topic);
        // SAFETY: topic and queue are valid as long as `self`.
        let result =
            unsafe { native::rd_kafka_consume_start_queue(self.topics[index].1.0, partition, offset, self.queue.0) };
        assert_eq!(result, 0, "a partition of a client without a group can be started");
        self.started.push((index, partition));
    }

    /// Stops all partitions and drops what they fetched. Waits until the client's threads have stopped (well below a
    /// millisecond).
    pub fn stop(&mut self) {
        for (topic, partition) in std::mem::take(&mut self.started) {
            // SAFETY: the topic is valid as long as `self`.
            unsafe { native::rd_kafka_consume_stop(self.topics[topic].1.0, partition) };
        }
        self.forget_taken();
    }

    /// Stops one partition and drops what it fetched, so that it can start again elsewhere.
    pub fn stop_one(&mut self, topic: &str, partition: i32) {
        let is_it = |(at, number): &(usize, i32)| *number == partition && self.topics[*at].0 == topic;
        if let Some(at) = self.started.iter().position(is_it) {
            let (topic, partition) = self.started.swap_remove(at);
            let topic = self.topics[topic].1.0;
            // SAFETY: the topic is valid as long as `self`.
            unsafe { native::rd_kafka_consume_stop(topic, partition) };
            self.forget_taken_of(topic, partition);
        }
    }

    /// Drops the messages of a stopped partition that were taken from the queue. librdkafka itself drops those that are
    /// still there.
    fn forget_taken_of(&mut self, topic: *mut native::rd_kafka_topic_t, partition: i32) {
        let mut index = 0;
        self.taken.retain(|message| {
            index += 1;
            if index <= self.next {
                return true;
            }
            // SAFETY: messages from `next` on are valid.
            let is_its = unsafe { (**message).rkt == topic && (**message).partition == partition };
            if is_its {
                // SAFETY: taken from the queue, destroyed once: `retain` removes it.
                unsafe { native::rd_kafka_message_destroy(*message) };
            }
            !is_its
        });
    }

    /// The partition of the event that `peek` returned.
    pub fn origin(&self) -> Option<(&str, i32)> {
        // SAFETY: messages from `next` on are valid.
        let message = unsafe { &**self.taken.get(self.next)? };
        let topic = self.topics.iter().find(|(_, topic)| topic.0 == message.rkt)?;
        Some((topic.0.as_str(), message.partition))
    }

    /// Consumes the event that `peek` returned, and keeps its message.
    pub fn take_out(&mut self) -> Message {
        self.next += 1;
        Message(self.taken[self.next - 1])
    }

    /// The number of events that are fetched and not consumed.
    pub fn ahead(&self) -> usize {
        // SAFETY: the queue is valid as long as `self`.
        self.taken.len() - self.next + unsafe { native::rd_kafka_queue_length(self.queue.0) }
    }

    /// The next event, without consuming it. Waits at most `timeout`.
    pub fn peek(&mut self, timeout: Duration) -> Option<Event<'_>> {
        if self.next == self.taken.len() && !self.take(timeout) {
            return None;
        }
        // SAFETY: messages from `next` on are valid until `consume` or `forget_taken` destroy them. Both need `&mut
        // self`, which ends the borrow of the event.
        Some(unsafe { event(&*self.taken[self.next]) })
    }

    /// Consumes the event that `peek` returned.
    pub fn consume(&mut self) {
        // SAFETY: the message was taken from the queue and is destroyed once: `next` passes it.
        unsafe { native::rd_kafka_message_destroy(self.taken[self.next]) };
        self.next += 1;
    }

    /// Takes all available messages from the queue. Waits only for the first.
    fn take(&mut self, timeout: Duration) -> bool {
        self.forget_taken();
        let mut take = |count: usize, timeout_ms: i32| {
            let at = self.taken.len();
            // SAFETY: `taken` has room for `count` more pointers; the call writes as many as it returns.
            unsafe {
                let room = self.taken.as_mut_ptr().add(at);
                let got = native::rd_kafka_consume_batch_queue(self.queue.0, timeout_ms, room, count);
                self.taken.set_len(at + got.max(0) as usize);
                got > 0
            }
        };
        // With a timeout the call waits for all messages it was asked for, so only one is requested.
        if take(TAKE, 0) || timeout.is_zero() {
            return !self.taken.is_empty();
        }
        let start = Instant::now();
        let taken = take(1, timeout.as_millis().clamp(1, 60_000) as i32);
        self.waited += start.elapsed();
        taken
    }

    fn forget_taken(&mut self) {
        for message in &self.taken[self.next..] {
            // SAFETY: taken from the queue and not destroyed yet.
            unsafe { native::rd_kafka_message_destroy(*message) };
        }
        self.taken.clear();
        self.next = 0;
    }

    fn topic(&mut self, name: &str) -> usize {
        if let Some(index) = self.topics.iter().position(|(known, _)| known == name) {
            return index;
        }
        let c_name = CString::new(name).expect("a topic name holds no zero byte");
        // SAFETY: the client is valid; the topic is destroyed in `drop`.
        let topic = unsafe { native::rd_kafka_topic_new(self.handle.native(), c_name.as_ptr(), null_mut()) };
        assert!(!topic.is_null(), "a topic handle needs only a valid name");
        self.topics.push((name.to_owned(), Topic(topic)));
        self.topics.len() - 1
    }
}

/// Reads a message.
///
/// # Safety
/// The message is valid for `'a`.
unsafe fn event(message: &native::rd_kafka_message_t) -> Event<'_> {
    match message.err {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
            // SAFETY: payload and length describe the value, as long as the message lives.
            let value = unsafe { bytes(message.payload, message.len) };
            // SAFETY: the message is valid; the kind of timestamp is not requested.
            let timestamp = unsafe { native::rd_kafka_message_timestamp(message, null_mut()) };
            Event::Record { offset: message.offset, timestamp, value, extras: Extras(message) }
        }
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Event::End { offset: message.offset },
        code => Event::Failed { code: code.into() },
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_topic_new`, destroyed once.
        unsafe { native::rd_kafka_topic_destroy(self.0) };
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_queue_new`, destroyed once.
        unsafe { native::rd_kafka_queue_destroy(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin;
    use crate::options::KafkaOptions;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    use tidemill_broker::{Broker, BrokerConfig};

    #[test]
    fn a_partition_that_starts_again_delivers_nothing_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let config = BrokerConfig { listen, dir: dir.path().to_owned(), ..BrokerConfig::default() };
        let broker = Broker::start(config).unwrap();
        let options = KafkaOptions::new(broker.local_addr().to_string());
        admin::ensure_topic(&options, "again", Some(1)).unwrap();
        let producer: BaseProducer = options.config(&[], &[]).create().unwrap();
        (0..100).for_each(|_| producer.send(BaseRecord::<(), str>::to("again").payload("x")).unwrap());
        producer.flush(Duration::from_secs(30)).unwrap();

        let mut fetch = Fetch::new(Handle::new(&options, &[], &[]).unwrap());
        fetch.start("again", 0, 0);
        for expected in 0..50 {
            let Some(Event::Record { offset, .. }) = fetch.peek(Duration::from_secs(30)) else { panic!("a record") };
            assert_eq!(offset, expected);
            fetch.consume();
        }
        fetch.stop_one("again", 0);
        fetch.start("again", 0, 7);
        let next = fetch.peek(Duration::from_secs(30));
        assert!(matches!(next, Some(Event::Record { offset: 7, .. })), "{next:?}");
    }
}
