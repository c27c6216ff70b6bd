//! The topic in memory: other tests stand on it.

use crate::suite::{self, Fixture};
use tidemill_flow::ports::{Read, Watch};
use tidemill_model::PartitionId;
use tidemill_testkit::{Record, Topic};

struct Memory(Topic);

impl Fixture for Memory {
    fn partitions(&self) -> u32 {
        3
    }

    fn partition(&self, number: u32) -> PartitionId {
        PartitionId { source: 0, topic: tidemill_testkit::TOPIC.into(), partition: number as i32 }
    }

    fn append(&mut self, partition: u32, values: &[Option<Vec<u8>>]) {
        let record =
            |value: &Option<Vec<u8>>| Record { partition: partition as i32, value: value.clone(), ..Record::default() };
        self.0.put_records(values.iter().map(record).collect());
    }

    fn reader(&self) -> Box<dyn Read> {
        self.0.reader(suite::parts())
    }

    fn watch(&self) -> Box<dyn Watch> {
        self.0.watch()
    }

    fn has_tombstones(&self) -> bool {
        true
    }

    fn leave_gap(&mut self, _: u32) -> bool {
        self.0.put_records(Vec::new());
        true
    }

    fn remove_before(&mut self, _: u32, _: i64) -> bool {
        false
    }
}

#[test]
fn a_topic_in_memory() {
    suite::check(&mut Memory(Topic::new(3)));
}
