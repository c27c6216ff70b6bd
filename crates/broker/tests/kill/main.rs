//! SIGKILLs the broker again and again while an idempotent producer writes. Afterwards every acknowledged record is at
//! its acknowledged offset, every record is stored once, and each partition is in order.
//!
//! This program has no test harness. With the argument `broker ADDR DIR` it is the broker that is killed.

mod compaction;
mod transactions;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidemill_broker::{Broker, BrokerConfig};

const KILLS: usize = 5;
const RECORDS_BETWEEN_KILLS: usize = 100_000;
const PARTITIONS: i32 = 4;
const LONG: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["broker", listen, dir] => be_the_broker(listen, dir),
        _ => {
            kill_and_compare();
            transactions::kill_and_compare();
            compaction::kill_and_compare();
        }
    }
}

fn be_the_broker(listen: &str, dir: &str) {
    let config = BrokerConfig {
        listen: listen.parse().unwrap(),
        dir: dir.into(),
        segment_bytes: 4 << 20,
        compaction_interval: Duration::from_millis(20),
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config).unwrap();
    println!("{}", broker.local_addr());
    // Run until this process is killed or its parent is gone.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn kill_and_compare() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, address) = spawn("127.0.0.1:0", dir.path());
    let acknowledged: Acknowledged = Arc::default();
    let producer: BaseProducer<Recorder> = ClientConfig::new()
        .set("bootstrap.servers", &address)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("reconnect.backoff.max.ms", "200")
        .create_with_context(Recorder(Arc::clone(&acknowledged)))
        .unwrap();
    let mut sent = 0;
    for kill in 0..=KILLS {
        let until = (kill + 1) * RECORDS_BETWEEN_KILLS;
        while acknowledged.lock().unwrap().len() < until {
            // Stay ahead of the acknowledgements, but not by more than half a round.
            if sent < until + RECORDS_BETWEEN_KILLS / 2 && send(&producer, sent) {
                sent += 1;
            } else {
                producer.poll(Duration::from_millis(1));
            }
        }
        if kill < KILLS {
            child.kill().unwrap();
            child.wait().unwrap();
            child = spawn(&address, dir.path()).0;
        }
    }
    producer.flush(LONG).unwrap();
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    assert_eq!(acknowledged.len(), sent, "everything is acknowledged in the end");
    compare(&address, sent, acknowledged);
    child.kill().unwrap();
    child.wait().unwrap();
    println!("{KILLS} kills, {sent} records: each is stored once, in order, at its acknowledged offset");
}

fn spawn(listen: &str, dir: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["broker", listen, dir.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "the broker starts");
    (child, line.trim().to_owned())
}

/// Sends a number to its partition; `false` if the producer's queue is full.
fn send(producer: &BaseProducer<Recorder>, number: usize) -> bool {
    let payload = format!("{number:0100}");
    let partition = number as i32 % PARTITIONS;
    let record = BaseRecord::<(), str, usize>::with_opaque_to("t", number).partition(partition).payload(&payload);
    producer.send(record).is_ok()
}

fn compare(address: &str, sent: usize, acknowledged: Vec<(usize, i32, i64)>) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", address).set("group.id", "g").create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("t", partition, Offset::Offset(0)).unwrap();
        assert_eq!(consumer.fetch_watermarks("t", partition, LONG).unwrap().0, 0);
    }
    consumer.assign(&list).unwrap();
    let mut logs = vec![Vec::new(); PARTITIONS as usize];
    for _ in 0..sent {
        let message = consumer.poll(LONG).expect("as many records as were sent").unwrap();
        let log = &mut logs[message.partition() as usize];
        assert_eq!(message.offset(), log.len() as i64, "offsets have no gaps");
        log.push(std::str::from_utf8(message.payload().unwrap()).unwrap().parse::<usize>().unwrap());
    }
    for (partition, log) in logs.iter().enumerate() {
        assert!(log.iter().enumerate().all(|(index, number)| *number == index * PARTITIONS as usize + partition));
        let end = consumer.fetch_watermarks("t", partition as i32, LONG).unwrap().1;
        assert_eq!(end, log.len() as i64, "none twice");
    }
    for (number, partition, offset) in acknowledged {
        assert_eq!(logs[partition as usize][offset as usize], number, "at the offset that was acknowledged");
    }
}

type Acknowledged = Arc<Mutex<Vec<(usize, i32, i64)>>>;

/// Collects number, partition and offset of everything acknowledged.
struct Recorder(Acknowledged);

impl ClientContext for Recorder {
    /// Refused connections are expected while the broker is dead.
    fn error(&self, _: rdkafka::error::KafkaError, _: &str) {}
}

impl ProducerContext for Recorder {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let message = result.as_ref().expect("the producer tries until it is stored");
        self.0.lock().unwrap().push((number, message.partition(), message.offset()));
    }
}
