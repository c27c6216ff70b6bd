//! The outlet by the native client, which works on the thread that calls it.

use crate::outlet::{Block, Outlet};
use std::time::{Duration, Instant, SystemTime};
use tidemill_kafka::KafkaOptions;
use tidemill_kafka::produce::{self, NewRecord, Producer};
use tidemill_model::Result;

/// A producer, and how far it has got with the block.
pub struct NativeOutlet {
    producer: Producer,
    partitions: u64,
    /// Number of the block's first record.
    first: u64,
    /// The next record of the block.
    next: usize,
    records: usize,
}

impl NativeOutlet {
    /// # Errors
    /// User: a wrong option.
    pub fn new(options: &KafkaOptions, topic: &str, partitions: i32) -> Result<NativeOutlet> {
        let producer = produce::producer(options, topic, partitions)?;
        Ok(NativeOutlet { producer, partitions: partitions as u64, first: 0, next: 0, records: 0 })
    }
}

impl Outlet for NativeOutlet {
    fn begin(&mut self, block: &Block, first: u64) {
        (self.first, self.next, self.records) = (first, 0, block.ends.len());
    }

    fn push(&mut self, block: &Block) -> Result<(u64, bool)> {
        let (before, now) = (self.next, Instant::now());
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let timestamp = since_epoch.expect("the clock is past 1970").as_millis() as i64;
        while self.next < self.records {
            let start = self.next.checked_sub(1).map_or(0, |last| block.ends[last]);
            let value = Some(&block.bytes[start..block.ends[self.next]]);
            let partition = (self.first + self.next as u64) % self.partitions;
            let record = NewRecord { timestamp, value, ..NewRecord::default() };
            if !self.producer.append(partition as i32, &record, now)? {
                break;
            }
            self.next += 1;
        }
        Ok(((self.next - before) as u64, self.next == self.records))
    }

    fn abandon(&mut self) {
        self.records = self.next;
    }

    fn work(&mut self, wait: Duration) -> Result<()> {
        self.producer.poll(wait)
    }

    fn flush(&mut self, wait: Duration) -> Result<()> {
        self.producer.flush(wait)
    }

    fn failed(&self) -> u64 {
        self.producer.counts().failed
    }

    fn on_their_way(&self) -> u64 {
        self.producer.pending()
    }
}
