//! The alarm on the native client: one fetch per broker waits at the ends of all its partitions.

use crate::alarm::Alarm;
use crate::choice::settings;
use crate::options::KafkaOptions;
use std::time::Duration;
use tidemill_client::Fetcher;
use tidemill_flow::ports::Extents;
use tidemill_model::Result;

/// Longest wait of a fetch for a record.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer. The records are thrown away, so one batch is enough.
const BYTES_MAX: u32 = 1_024;

/// Wakes at an append to any of some partitions.
pub(crate) struct NativeAlarm {
    fetcher: Fetcher,
    slots: Vec<usize>,
}

impl NativeAlarm {
    /// # Errors
    /// User: a wrong option.
    pub(crate) fn new(options: &KafkaOptions) -> Result<NativeAlarm> {
        let mut settings = settings(options)?;
        settings.fetch.wait_max = WAIT_MAX;
        settings.fetch.bytes_min = 1;
        settings.fetch.bytes_max = BYTES_MAX;
        settings.fetch.partition_bytes_max = BYTES_MAX;
        Ok(NativeAlarm { fetcher: Fetcher::new(settings)?, slots: Vec::new() })
    }
}

impl Alarm for NativeAlarm {
    fn set(&mut self, seen: &Extents) {
        self.disarm();
        let slot = |(id, there): (&tidemill_model::PartitionId, &tidemill_flow::ports::Extent)| {
            self.fetcher.add(&id.topic, id.partition, there.end, i64::MAX)
        };
        self.slots = seen.iter().map(slot).collect();
    }

    fn advance(&mut self, seen: &Extents) {
        for (id, there) in seen {
            // If the fetched records end before the seen end, move there. If they end after it, nobody has seen them
            // yet: leave the partition as it is.
            match self.fetcher.slot(&id.topic, id.partition) {
                Some(slot) if self.fetcher.position(slot) < there.end => {
                    self.fetcher.add(&id.topic, id.partition, there.end, i64::MAX);
                }
                _ => {}
            }
        }
    }

    fn wait(&mut self, wait: Duration) -> Result<bool> {
        self.fetcher.poll(wait)?;
        let woken = self.fetcher.held_bytes() > 0;
        self.fetcher.drop_held();
        Ok(woken)
    }

    fn is_set(&self) -> bool {
        !self.slots.is_empty() && self.fetcher.is_waiting()
    }

    fn disarm(&mut self) {
        for slot in std::mem::take(&mut self.slots) {
            self.fetcher.forget(slot);
        }
    }
}
