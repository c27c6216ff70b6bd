//! Test brokers, and simple ways to write to them.

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, TopicPartitionList};
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use tidemill_broker::{Broker, BrokerConfig};
use tidemill_flow::ports::{Chunk, Read};
use tidemill_kafka::{ClientChoice, KafkaOptions, KafkaReader, admin};
use tidemill_model::{OffsetRange, PartitionId};

/// A cluster. It stops when dropped.
pub struct Cluster {
    pub name: &'static str,
    pub options: KafkaOptions,
    embedded: Option<(Broker, TempDir)>,
    /// The producer for [`Cluster::append`]. It is kept, since librdkafka takes most of a second to start an idempotent
    /// one.
    appender: OnceCell<TestProducer>,
}

/// A producer whose [`flush`] fails if a record could not be delivered.
pub type TestProducer = BaseProducer<Failures>;

/// The records that a producer could not deliver: the reasons.
#[derive(Default)]
pub struct Failures(Mutex<Vec<String>>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().expect("no test panics here").push(error.to_string());
        }
    }
}

/// A record: offset, Kafka timestamp, value.
pub type Record = (i64, i64, Option<Vec<u8>>);

/// All available clusters, each with both clients.
pub fn clusters() -> Vec<Cluster> {
    let with = |client: ClientChoice| {
        [Some(Cluster::embedded()), Cluster::apache()].map(|cluster| cluster.map(|cluster| cluster.read_by(client)))
    };
    CLIENTS.into_iter().flat_map(with).flatten().collect()
}

/// The clients that read.
pub const CLIENTS: [ClientChoice; 2] = [ClientChoice::Native, ClientChoice::Librdkafka];

impl Cluster {
    pub fn read_by(mut self, client: ClientChoice) -> Cluster {
        self.options.client = client;
        self
    }

    pub fn embedded() -> Cluster {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let broker = start(&dir, SocketAddr::from(([127, 0, 0, 1], 0)));
        Cluster::of(broker, dir)
    }

    /// An embedded broker that sends its clients to another address.
    pub fn embedded_behind(at: SocketAddr) -> Cluster {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let advertised = Some((at.ip().to_string(), at.port()));
        let config = BrokerConfig { advertised, dir: dir.path().to_owned(), ..BrokerConfig::default() };
        Cluster::of(Broker::start(config).expect("the embedded broker starts"), dir)
    }

    /// The address of the embedded broker.
    pub fn address(&self) -> SocketAddr {
        self.embedded.as_ref().expect("an embedded broker").0.local_addr()
    }

    fn of(broker: Broker, dir: TempDir) -> Cluster {
        let options = KafkaOptions::new(broker.local_addr().to_string());
        Cluster { name: "embedded", options, embedded: Some((broker, dir)), appender: OnceCell::new() }
    }

    /// Apache Kafka, if available.
    pub fn apache() -> Option<Cluster> {
        match std::env::var("TIDEMILL_TEST_KAFKA") {
            Ok(servers) => {
                let options = KafkaOptions::new(servers);
                Some(Cluster { name: "apache", options, embedded: None, appender: OnceCell::new() })
            }
            Err(_) => {
                eprintln!("skipped for Apache Kafka: TIDEMILL_TEST_KAFKA=host:port names none");
                None
            }
        }
    }

    /// Stops the embedded broker, runs `meanwhile`, and starts it again on the same port and directory.
    pub fn restart(&mut self, meanwhile: impl FnOnce()) {
        let (broker, dir) = self.embedded.take().expect("an embedded broker");
        let listen = broker.local_addr();
        broker.shutdown();
        meanwhile();
        self.embedded = Some((start(&dir, listen), dir));
    }

    pub fn producer(&self, extra: &[(&str, &str)]) -> TestProducer {
        // One request at a time: a new topic may refuse the first request and accept the second, with later sequence
        // numbers. It then takes the first for a duplicate when it is sent again, and its records are lost.
        let config = self.options.config(extra, &[("linger.ms", "1"), ("max.in.flight", "1")]);
        config.create_with_context(Failures::default()).expect("a producer")
    }

    /// Appends values to a partition, one batch after the other.
    pub fn append(&self, topic: &str, partition: i32, batches: &[Vec<Option<Vec<u8>>>]) {
        let producer = self.appender.get_or_init(|| self.producer(&[("enable.idempotence", "true")]));
        for batch in batches {
            for value in batch {
                send(producer, topic, partition, value.as_deref());
            }
            flush(producer);
        }
    }

    pub fn add_partitions(&mut self, topic: &str, partitions: usize) {
        // The producer caches the topic's metadata for minutes.
        self.appender.take();
        let admin: AdminClient<_> = self.options.config(&[], &[]).create().expect("an admin client");
        let results =
            admin::wait(admin.create_partitions([&NewPartitions::new(topic, partitions)], &AdminOptions::new()));
        results.expect("an answer").into_iter().next().expect("one topic").expect("more partitions");
    }
}

fn start(dir: &TempDir, listen: SocketAddr) -> Broker {
    let compaction_interval = Duration::from_millis(200);
    let config = BrokerConfig { listen, dir: dir.path().to_owned(), compaction_interval, ..BrokerConfig::default() };
    Broker::start(config).expect("the embedded broker starts")
}

pub fn send(producer: &TestProducer, topic: &str, partition: i32, value: Option<&[u8]>) {
    let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition);
    record.payload = value;
    while let Err((_, unsent)) = producer.send(record) {
        producer.poll(Duration::from_millis(10));
        record = unsent;
    }
}

/// Waits until everything is acknowledged, without the 100 ms steps of the client's own flush.
pub fn flush(producer: &TestProducer) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::ZERO);
        thread::sleep(Duration::from_micros(500));
        assert!(Instant::now() < deadline, "records are acknowledged");
    }
    let failures = producer.context().0.lock().expect("no test panics here");
    assert!(failures.is_empty(), "records were not delivered: {failures:?}");
}

/// A topic name that no other test or run has.
pub fn topic(test: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
    format!("{test}-{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn range(topic: &str, partition: i32, start: i64, end: i64) -> OffsetRange {
    OffsetRange { partition: PartitionId { source: 0, topic: topic.into(), partition }, start, end }
}

/// All records of a range, read in chunks of at most `records_max`.
pub fn read(reader: &mut KafkaReader, range: &OffsetRange, records_max: usize) -> Vec<Record> {
    let mut chunk = Chunk::default();
    let mut records = Vec::new();
    reader.open(range).expect("opened");
    while reader.next(&mut chunk, records_max).expect("read") {
        assert!((1..=records_max).contains(&chunk.len()));
        for record in 0..chunk.len() {
            records.push((chunk.offsets[record], chunk.timestamps[record], chunk.value(record).map(<[u8]>::to_vec)));
        }
    }
    assert!(!reader.next(&mut chunk, records_max).expect("read") && chunk.is_empty(), "the end stays the end");
    records
}

/// Removes the records of partition 0 before an offset.
pub fn delete_before(cluster: &Cluster, topic: &str, offset: i64) {
    let admin: AdminClient<_> = cluster.options.config(&[], &[]).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Offset(offset)).unwrap();
    admin::wait(admin.delete_records(&list, &AdminOptions::new())).unwrap();
}
