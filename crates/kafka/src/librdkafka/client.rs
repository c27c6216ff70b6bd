//! A librdkafka client of consumer type: metadata requests, and the native handle that the rest of the crate uses.

use crate::options::KafkaOptions;
use rdkafka::ClientContext;
use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::{RDKafkaRespErr, RDKafkaType};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidemill_model::{Error, PartitionId, Result};

/// A client context that prints nothing and keeps librdkafka's last error message.
#[derive(Clone, Debug, Default)]
pub struct ErrorContext {
    last: Arc<Mutex<Option<String>>>,
}

impl ErrorContext {
    /// Takes the last error message.
    pub fn take_reason(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for ErrorContext {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // "All brokers down" follows each failure and says less than the failure itself.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for ErrorContext {
    type DeliveryOpaque = ();
    fn delivery(&self, _: &DeliveryResult<'_>, _: ()) {}
}

/// A client of consumer type without a group. Its background threads end when it is dropped.
pub struct Handle {
    options: KafkaOptions,
    client: Client<ErrorContext>,
    /// Queue of the client's own events: log lines and errors.
    events: *mut native::rd_kafka_queue_t,
}

// SAFETY: librdkafka's handles and queues may be used from any thread.
unsafe impl Send for Handle {}

impl Handle {
    /// Creates a client. It connects in the background.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions, defaults: &[(&str, &str)], must: &[(&str, &str)]) -> Result<Handle> {
        let config = options.config(defaults, &[must, &[("allow.auto.create.topics", "false")]].concat());
        let native_config = options.created(config.create_native_config())?;
        // SAFETY: the configuration is valid. Errors are delivered as events instead of through callbacks.
        unsafe { native::rd_kafka_conf_set_events(native_config.ptr(), native::RD_KAFKA_EVENT_ERROR) };
        let client = Client::new(&config, native_config, RDKafkaType::RD_KAFKA_CONSUMER, ErrorContext::default());
        let client = options.created(client)?;
        // SAFETY: the client is valid; `drop` releases the queue's reference.
        let events = unsafe { native::rd_kafka_queue_get_main(client.native_ptr()) };
        Ok(Handle { options: options.clone(), client, events })
    }

    /// The options of this client.
    pub fn options(&self) -> &KafkaOptions {
        &self.options
    }

    /// The native handle; valid as long as `self`.
    pub fn native(&self) -> *mut native::rd_kafka_t {
        self.client.native_ptr()
    }

    /// The partitions of a topic, ascending; `None` if the topic does not exist.
    ///
    /// # Errors
    /// Transient: no broker answers within `timeout`. Otherwise the broker refused.
    pub fn partitions(&self, topic: &str, timeout: Duration) -> Result<Option<Vec<i32>>> {
        self.drain_events();
        let metadata = match self.client.fetch_metadata(Some(topic), timeout) {
            Ok(metadata) => metadata,
            Err(error) => return Err(self.failed("a request for metadata", error.rdkafka_error_code())),
        };
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        match found.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
            Some(code) => return Err(self.failed(&format!("a request for topic `{topic}`"), Some(code))),
        }
        let partitions = numbers(found);
        Ok((!partitions.is_empty()).then_some(partitions))
    }

    /// All topics with their partitions, ascending, but Kafka's own. librdkafka does not tell which these are.
    ///
    /// # Errors
    /// As [`Handle::partitions`].
    pub fn all_topics(&self, timeout: Duration) -> Result<BTreeMap<String, Vec<i32>>> {
        self.drain_events();
        let metadata = self.client.fetch_metadata(None, timeout);
        let metadata = metadata.map_err(|error| self.failed("a request for metadata", error.rdkafka_error_code()))?;
        let is_own = |name: &str| OWN_TOPICS.contains(&name);
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none() && !is_own(topic.name()));
        Ok(topics.map(|topic| (topic.name().to_owned(), numbers(topic))).collect())
    }

    /// Sends ListOffsets; `at` is the timestamp in the request.
    pub fn list(&self, partitions: &[PartitionId], at: Offset, timeout: Duration) -> Result<Vec<Option<i64>>> {
        let what = listing(partitions);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for id in partitions {
            list.add_partition_offset(&id.topic, id.partition, at).expect("beginning, end and times are offsets");
        }
        // SAFETY: client and list are valid; the call writes offsets and errors into the list. The logical offsets are
        // the numbers that ListOffsets takes as timestamps for "earliest" and "latest".
        let code = unsafe {
            native::rd_kafka_offsets_for_times(self.native(), list.ptr(), timeout.as_millis().min(60_000) as i32)
        };
        if let Some(code) = failure(code) {
            return Err(self.failed(&what, Some(code)));
        }
        let offset = |element: &TopicPartitionListElem<'_>| match (element.error(), element.offset()) {
            (Ok(()), Offset::Offset(offset)) => Ok(Some(offset)),
            (Ok(()), _) => Ok(None),
            (Err(error), _) => Err(self.failed(&what, error.rdkafka_error_code())),
        };
        list.elements().iter().map(offset).collect()
    }

    /// The error of a failed request: transient if a retry can help.
    pub fn failed(&self, what: &str, code: Option<RDKafkaErrorCode>) -> Error {
        use RDKafkaErrorCode as Code;
        self.drain_events();
        let servers = &self.options.bootstrap_servers;
        match code {
            None
            | Some(Code::BrokerTransportFailure | Code::OperationTimedOut | Code::AllBrokersDown | Code::Resolve) => {
                self.options.unreachable(what, self.client.context().take_reason())
            }
            Some(
                code @ (Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::InvalidTopic
                | Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::UnsupportedFeature),
            ) => Error::external(format!(
                "Kafka at {servers} refuses {what}: {code}; correct the topic, the options or the rights"
            )),
            Some(code) => Error::transient(format!(
                "Kafka at {servers} cannot answer {what} now: {code}; the request is repeated"
            )),
        }
    }

    /// Drains librdkafka's events, so that they do not pile up.
    pub fn drain_events(&self) {
        loop {
            // SAFETY: the queue is valid as long as `self`; the event is destroyed below.
            let event = unsafe { native::rd_kafka_queue_poll(self.events, 0) };
            if event.is_null() {
                return;
            }
            // SAFETY: the event is valid until destroyed, its text until then; the text is copied.
            unsafe {
                if native::rd_kafka_event_type(event) == native::RD_KAFKA_EVENT_ERROR {
                    let code = native::rd_kafka_event_error(event);
                    let text = std::ffi::CStr::from_ptr(native::rd_kafka_event_error_string(event));
                    self.client.context().error(KafkaError::Global(code.into()), text.to_string_lossy().trim());
                }
                native::rd_kafka_event_destroy(event);
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: releases the reference taken in `new`; the client itself is dropped after.
        unsafe { native::rd_kafka_queue_destroy(self.events) };
    }
}

/// Kafka's own topics.
const OWN_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// The partitions of a topic, ascending.
fn numbers(topic: &MetadataTopic) -> Vec<i32> {
    let mut numbers: Vec<i32> = topic.partitions().iter().map(|partition| partition.id()).collect();
    numbers.sort_unstable();
    numbers
}

fn listing(partitions: &[PartitionId]) -> String {
    let mut topics: Vec<String> = partitions.iter().map(|id| format!("`{}`", id.topic)).collect();
    topics.dedup();
    format!("a request for the offsets of {}", topics.join(", "))
}

/// librdkafka's code, `None` for success.
pub fn failure(code: RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}
