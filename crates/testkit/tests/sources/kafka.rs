//! Kafka, with each client: on the embedded broker, and on Apache Kafka if `TIDEMILL_TEST_KAFKA=host:port` names one.

use crate::suite::{self, Fixture};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::{Duration, SystemTime};
use tidemill_broker::{Broker, BrokerConfig};
use tidemill_flow::ports::{Read, Watch};
use tidemill_kafka::{ClientChoice, KafkaOptions, KafkaReader, KafkaWatch, admin};
use tidemill_model::PartitionId;

const PARTITIONS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(30);

struct Kafka {
    options: KafkaOptions,
    topic: String,
    producer: BaseProducer,
    /// Kept while the test runs.
    _embedded: Option<(Broker, tempfile::TempDir)>,
}

impl Kafka {
    fn new(servers: String, client: ClientChoice, embedded: Option<(Broker, tempfile::TempDir)>) -> Kafka {
        let options = KafkaOptions { client, ..KafkaOptions::new(servers) };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let topic = format!("suite-{now}");
        admin::ensure_topic(&options, &topic, Some(PARTITIONS as i32)).unwrap();
        // One request at a time: a new topic may refuse the first of several.
        let producer = Kafka::config(&options).set("max.in.flight", "1").set("linger.ms", "1").create().unwrap();
        Kafka { options, topic, producer, _embedded: embedded }
    }

    fn config(options: &KafkaOptions) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &options.bootstrap_servers).set("message.max.bytes", "1000000");
        config
    }
}

fn send(producer: &BaseProducer, topic: &str, partition: u32, values: &[Option<Vec<u8>>]) {
    for value in values {
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition as i32);
        record.payload = value.as_deref();
        while let Err((_, unsent)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = unsent;
        }
    }
    producer.flush(PATIENCE).expect("acknowledged");
}

impl Fixture for Kafka {
    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    fn partition(&self, number: u32) -> PartitionId {
        PartitionId { source: 0, topic: self.topic.as_str().into(), partition: number as i32 }
    }

    fn append(&mut self, partition: u32, values: &[Option<Vec<u8>>]) {
        send(&self.producer, &self.topic, partition, values);
    }

    fn reader(&self) -> Box<dyn Read> {
        Box::new(KafkaReader::new(&self.options).unwrap().with_parts(suite::parts()))
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(KafkaWatch::new(&self.options, &self.topic).unwrap())
    }

    fn has_tombstones(&self) -> bool {
        true
    }

    fn leave_gap(&mut self, partition: u32) -> bool {
        let producer: BaseProducer =
            Kafka::config(&self.options).set("transactional.id", &self.topic).create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, &self.topic, partition, &[Some(b"aborted".to_vec()), Some(b"too".to_vec())]);
        producer.abort_transaction(PATIENCE).unwrap();
        true
    }

    fn remove_before(&mut self, partition: u32, offset: i64) -> bool {
        let admin: AdminClient<_> = Kafka::config(&self.options).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition as i32, rdkafka::Offset::Offset(offset)).unwrap();
        admin::wait(admin.delete_records(&list, &AdminOptions::new())).unwrap();
        true
    }
}

fn check(client: ClientChoice) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(BrokerConfig { dir: dir.path().to_owned(), ..BrokerConfig::default() }).unwrap();
    suite::check(&mut Kafka::new(broker.local_addr().to_string(), client, Some((broker, dir))));
    match std::env::var("TIDEMILL_TEST_KAFKA") {
        Ok(servers) => suite::check(&mut Kafka::new(servers, client, None)),
        Err(_) => eprintln!("skipped for Apache Kafka: TIDEMILL_TEST_KAFKA=host:port names none"),
    }
}

#[test]
fn kafka_read_by_the_native_client() {
    check(ClientChoice::Native);
}

#[test]
fn kafka_read_by_librdkafka() {
    check(ClientChoice::Librdkafka);
}
