//! The alarm on librdkafka. Its fetches wait in its own threads.
//!
//! If a partition is started while a fetch waits, librdkafka adds it only to the next fetch, up to 5 s later. So the
//! alarm counts as set when every partition has answered once.

use super::client::Handle;
use super::fetch::Fetch;
use crate::alarm::Alarm;
use crate::options::KafkaOptions;
use std::time::Duration;
use tidemill_flow::ports::Extents;
use tidemill_model::{PartitionId, Result};

/// Wakes at an append to any of some partitions.
pub(crate) struct LibrdkafkaAlarm {
    fetch: Fetch,
    is_armed: bool,
    /// Partitions that no fetch has answered for yet. Perhaps no fetch waits for them.
    unanswered: Vec<PartitionId>,
}

impl LibrdkafkaAlarm {
    /// # Errors
    /// User: a wrong option.
    pub(crate) fn new(options: &KafkaOptions) -> Result<LibrdkafkaAlarm> {
        let defaults = [
            ("isolation.level", "read_committed"),
            ("fetch.wait.max.ms", "5000"),
            ("fetch.min.bytes", "1"),
            ("fetch.message.max.bytes", "1024"),
            ("queued.max.messages.kbytes", "256"),
            ("fetch.queue.backoff.ms", "50"),
        ];
        let must = [("enable.partition.eof", "true"), ("auto.offset.reset", "error")];
        let fetch = Fetch::new(Handle::new(options, &defaults, &must)?);
        Ok(LibrdkafkaAlarm { fetch, is_armed: false, unanswered: Vec::new() })
    }
}

impl Alarm for LibrdkafkaAlarm {
    /// Starts every partition at its last record, so that its first fetch is answered at once.
    fn set(&mut self, seen: &Extents) {
        self.disarm();
        for (id, extent) in seen {
            self.fetch.start(&id.topic, id.partition, extent.start.max(extent.end - 1));
        }
        self.unanswered = seen.keys().cloned().collect();
        self.is_armed = true;
    }

    /// Does nothing: librdkafka continues after what it has fetched.
    fn advance(&mut self, _: &Extents) {}

    fn wait(&mut self, mut wait: Duration) -> Result<bool> {
        let mut woken = false;
        while self.fetch.peek(wait).is_some() {
            if let Some((topic, answered)) = self.fetch.origin() {
                self.unanswered.retain(|id| id.partition != answered || *id.topic != *topic);
            }
            self.fetch.consume();
            woken = true;
            wait = Duration::ZERO;
        }
        self.fetch.handle.drain_events();
        Ok(woken)
    }

    fn is_set(&self) -> bool {
        self.is_armed && self.unanswered.is_empty()
    }

    fn disarm(&mut self) {
        self.fetch.stop();
        self.is_armed = false;
    }
}
