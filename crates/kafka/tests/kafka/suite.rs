//! Kafka passes the suite of the sources, with each client, on each broker.

use crate::support::{Cluster, clusters, delete_before, topic};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::Duration;
use tidemill_flow::ports::{Read, Watch};
use tidemill_kafka::{KafkaReader, KafkaWatch, admin};
use tidemill_model::PartitionId;
use tidemill_testkit::source_suite::{self, SourceUnderTest};

const PARTITIONS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic of a cluster.
struct Kafka(Cluster, String);

impl SourceUnderTest for Kafka {
    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    fn partition(&self, number: u32) -> PartitionId {
        PartitionId { source: 0, topic: self.1.as_str().into(), partition: number as i32 }
    }

    fn append(&mut self, partition: u32, values: &[Option<Vec<u8>>]) {
        self.0.append(&self.1, partition as i32, &[values.to_vec()]);
    }

    fn reader(&self) -> Box<dyn Read> {
        Box::new(KafkaReader::new(&self.0.options).expect("a reader"))
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(KafkaWatch::new(&self.0.options, &self.1).expect("a watch"))
    }

    fn has_tombstones(&self) -> bool {
        true
    }

    /// An aborted record and its marker.
    fn leave_gap(&mut self) {
        let config = self.0.options.config(&[], &[("transactional.id", &self.1)]);
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(PATIENCE).expect("a producer id");
        producer.begin_transaction().expect("begun");
        let record = BaseRecord::<(), str>::to(&self.1).partition(0).payload("aborted");
        assert!(producer.send(record).is_ok());
        producer.flush(PATIENCE).expect("acknowledged");
        producer.abort_transaction(PATIENCE).expect("aborted");
    }

    fn remove_before(&mut self, offset: i64) -> bool {
        delete_before(&self.0, &self.1, offset);
        true
    }
}

#[test]
fn the_suite_of_the_sources() {
    for cluster in clusters() {
        let topic = topic("suite");
        admin::ensure_topic(&cluster.options, &topic, Some(PARTITIONS as i32)).expect("a topic");
        source_suite::check(&mut Kafka(cluster, topic));
    }
}
