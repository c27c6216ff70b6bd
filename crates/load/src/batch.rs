//! Hands records to librdkafka, many in one call. A call per record costs three times as much.

use rdkafka::bindings as native;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, bindings::rd_kafka_message_t};
use std::ffi::CString;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tidemill_kafka::ErrorContext;

/// Records in one buffer.
#[derive(Default)]
pub struct Block {
    pub bytes: Vec<u8>,
    /// End of each record.
    pub ends: Vec<usize>,
}

impl Block {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Counts records that could not be delivered. Success is not reported; it follows from the length of the queue.
#[derive(Default)]
pub struct DeliveryContext {
    pub errors: ErrorContext,
    pub failed: AtomicU64,
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
        self.errors.log(level, facility, text);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        self.errors.error(error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Relaxed);
        }
    }
}

/// A topic's native handle, and buffers for the messages of a call.
pub struct NativeTopic {
    topic: *mut native::rd_kafka_topic_t,
    producer: BaseProducer<DeliveryContext>,
    partitions: u64,
    /// Messages to hand over, by partition.
    waiting: Vec<Vec<rd_kafka_message_t>>,
}

// SAFETY: librdkafka's handles may be used from any thread. The messages in `waiting` point into the block of the last
// `begin`, and only `push` reads them, which takes that block again.
unsafe impl Send for NativeTopic {}

impl NativeTopic {
    pub fn new(producer: BaseProducer<DeliveryContext>, topic: &str, partitions: i32) -> NativeTopic {
        let name = CString::new(topic).expect("Kafka has accepted the topic's name");
        // SAFETY: the client lives as long as `self`; a null configuration is the default.
        let topic = unsafe { native::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), null_mut()) };
        assert!(!topic.is_null(), "a topic handle needs a valid name only");
        let waiting = (0..partitions).map(|_| Vec::new()).collect();
        NativeTopic { topic, producer, partitions: partitions as u64, waiting }
    }

    pub fn producer(&self) -> &BaseProducer<DeliveryContext> {
        &self.producer
    }

    /// Distributes a block's records over the partitions in turn, starting at number `first`.
    pub fn begin(&mut self, block: &Block, first: u64) {
        let mut start = 0;
        for (record, &end) in block.ends.iter().enumerate() {
            let partition = (first + record as u64) % self.partitions;
            self.waiting[partition as usize].push(rd_kafka_message_t {
                err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: null_mut(),
                partition: 0,
                payload: block.bytes[start..end].as_ptr().cast_mut().cast(),
                len: end - start,
                key: null_mut(),
                key_len: 0,
                offset: 0,
                _private: null_mut(),
            });
            start = end;
        }
    }

    /// Hands over the messages that `begin` made of this block, as many as the queue takes. Returns how many, and
    /// whether that is all.
    ///
    /// # Errors
    /// librdkafka's code if it refuses for a reason other than a full queue.
    pub fn push(&mut self, _block: &Block) -> Result<(u64, bool), RDKafkaErrorCode> {
        let mut taken = 0;
        let mut all = true;
        for (partition, messages) in self.waiting.iter_mut().enumerate() {
            if messages.is_empty() {
                continue;
            }
            // SAFETY: the messages point into `_block`, whose bytes are copied before the call returns.
            let count = unsafe {
                native::rd_kafka_produce_batch(
                    self.topic,
                    partition as i32,
                    native::RD_KAFKA_MSG_F_COPY,
                    messages.as_mut_ptr(),
                    messages.len() as i32,
                )
            };
            taken += count as u64;
            // A full queue refuses the remaining messages, never one in the middle.
            if let Some(refused) = messages.get(count as usize) {
                if refused.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL {
                    return Err(refused.err.into());
                }
                all = false;
            }
            messages.drain(..count as usize);
        }
        Ok((taken, all))
    }

    /// Drops the messages that were not handed over.
    pub fn abandon(&mut self) {
        self.waiting.iter_mut().for_each(Vec::clear);
    }
}

impl Drop for NativeTopic {
    fn drop(&mut self) {
        // SAFETY: made in `new`; the client, a field, is dropped after.
        unsafe { native::rd_kafka_topic_destroy(self.topic) };
    }
}
