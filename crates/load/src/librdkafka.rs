//! The outlet by librdkafka: many records in one call. A call per record costs three times as much.

use crate::outlet::{Block, Outlet};
use rdkafka::bindings as native;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, bindings::rd_kafka_message_t};
use std::ffi::CString;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tidemill_kafka::{ErrorContext, KafkaOptions};
use tidemill_model::{Error, Result};

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
pub struct LibrdkafkaOutlet {
    topic: *mut native::rd_kafka_topic_t,
    producer: BaseProducer<DeliveryContext>,
    partitions: u64,
    /// Messages to hand over, by partition.
    waiting: Vec<Vec<rd_kafka_message_t>>,
}

// SAFETY: librdkafka's handles may be used from any thread. The messages in `waiting` point into the block of the last
// `begin`, and only `push` reads them, which takes that block again.
unsafe impl Send for LibrdkafkaOutlet {}

impl LibrdkafkaOutlet {
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions, topic: &str, partitions: i32) -> Result<LibrdkafkaOutlet> {
        let producer = connect(options)?;
        let name = CString::new(topic).expect("Kafka has accepted the topic's name");
        // SAFETY: the client lives as long as `self`; a null configuration is the default.
        let topic = unsafe { native::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), null_mut()) };
        assert!(!topic.is_null(), "a topic handle needs a valid name only");
        let waiting = (0..partitions).map(|_| Vec::new()).collect();
        Ok(LibrdkafkaOutlet { topic, producer, partitions: partitions as u64, waiting })
    }
}

impl Outlet for LibrdkafkaOutlet {
    fn begin(&mut self, block: &Block, first: u64) {
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

    fn push(&mut self, _block: &Block) -> Result<(u64, bool)> {
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
                    let code: RDKafkaErrorCode = refused.err.into();
                    return Err(Error::external(format!(
                        "librdkafka accepts no more records: {code}; look at the broker's log"
                    )));
                }
                all = false;
            }
            messages.drain(..count as usize);
        }
        Ok((taken, all))
    }

    fn abandon(&mut self) {
        self.waiting.iter_mut().for_each(Vec::clear);
    }

    fn work(&mut self, wait: Duration) -> Result<()> {
        self.producer.poll(wait);
        Ok(())
    }

    fn flush(&mut self, wait: Duration) -> Result<()> {
        // An error means that records are still in flight, which the counts also tell.
        let _ = self.producer.flush(wait);
        Ok(())
    }

    fn failed(&self) -> u64 {
        self.producer.context().failed.load(Relaxed)
    }

    fn on_their_way(&self) -> u64 {
        self.producer.in_flight_count().max(0) as u64
    }
}

impl Drop for LibrdkafkaOutlet {
    fn drop(&mut self) {
        // SAFETY: made in `new`; the client, a field, is dropped after.
        unsafe { native::rd_kafka_topic_destroy(self.topic) };
    }
}

fn connect(options: &KafkaOptions) -> Result<BaseProducer<DeliveryContext>> {
    let config = options.config(
        &[
            ("linger.ms", "5"),
            ("message.timeout.ms", "120000"),
            ("queue.buffering.max.kbytes", "65536"),
            ("queue.buffering.max.messages", "200000"),
            ("allow.auto.create.topics", "false"),
        ],
        &[
            ("enable.idempotence", "true"),
            // A new topic may refuse the first request and accept the second, with later sequence numbers. It then takes
            // the first for a duplicate when it is sent again, and its records are lost.
            ("max.in.flight", "1"),
            // Success follows from the queue's length: a report per record would cost as much as making the record.
            ("delivery.report.only.error", "true"),
        ],
    );
    options.created(BaseProducer::from_config_and_context(&config, DeliveryContext::default()))
}
