//! The topic in memory passes the suite of the sources.

use tidemill_flow::ports::RecordMetadata;
use tidemill_flow::ports::{Read, Watch};
use tidemill_model::PartitionId;
use tidemill_testkit::source_suite::{self, SourceUnderTest};
use tidemill_testkit::{Record, TOPIC, Topic};

struct Memory(Topic);

impl SourceUnderTest for Memory {
    fn partitions(&self) -> u32 {
        3
    }

    fn partition(&self, number: u32) -> PartitionId {
        PartitionId { source: 0, topic: TOPIC.into(), partition: number as i32 }
    }

    fn append(&mut self, partition: u32, values: &[Option<Vec<u8>>]) {
        let record =
            |value: &Option<Vec<u8>>| Record { partition: partition as i32, value: value.clone(), ..Record::default() };
        self.0.put_records(values.iter().map(record).collect());
    }

    fn reader(&self) -> Box<dyn Read> {
        self.0.reader(RecordMetadata::default())
    }

    fn watch(&self) -> Box<dyn Watch> {
        self.0.watch()
    }

    fn has_tombstones(&self) -> bool {
        true
    }

    fn leave_gap(&mut self) {
        self.0.put_records(Vec::new());
    }
}

#[test]
fn a_topic_in_memory() {
    source_suite::check(&mut Memory(Topic::new(3)));
}
