//! SIGKILLs the broker at arbitrary moments while a producer commits and aborts transactions. Afterwards a reader of
//! committed records sees each record of each committed transaction once, in order, and no record of an aborted one. A
//! group's committed offset is that of the last committed transaction.

use super::{LONG, PARTITIONS, spawn};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const KILLS: usize = 12;
const TRANSACTIONS_BETWEEN_KILLS: usize = 40;
const RECORDS: usize = 100;

/// The numbers of the transactions, by outcome.
#[derive(Default)]
struct Books {
    committed: Vec<usize>,
    aborted: usize,
}

pub fn kill_and_compare() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, address) = spawn("127.0.0.1:0", dir.path());
    let ended = AtomicUsize::new(0);
    let books = thread::scope(|scope| {
        let writer = scope.spawn(|| write(&address, &ended));
        for kill in 1..=KILLS {
            while ended.load(Ordering::SeqCst) < kill * TRANSACTIONS_BETWEEN_KILLS && !writer.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            // Kill at whatever step the writer is.
            thread::sleep(Duration::from_micros(1_700 * kill as u64));
            child.kill().unwrap();
            child.wait().unwrap();
            child = spawn(&address, dir.path()).0;
        }
        writer.join().unwrap()
    });
    compare(&address, &books);
    child.kill().unwrap();
    child.wait().unwrap();
    let (committed, aborted) = (books.committed.len(), books.aborted);
    println!(
        "{KILLS} kills, {committed} transactions committed, {aborted} aborted: only committed records are visible"
    );
}

fn write(address: &str, ended: &AtomicUsize) -> Books {
    let client: BaseConsumer<IgnoreErrors> = config(address).create_with_context(IgnoreErrors).unwrap();
    let group = client.group_metadata().unwrap();
    let producer: ThreadedProducer<IgnoreErrors> = config(address)
        .set("transactional.id", "x")
        .set("linger.ms", "1")
        .set("transaction.timeout.ms", "60000")
        .create_with_context(IgnoreErrors)
        .unwrap();
    persist(|| producer.init_transactions(LONG)).unwrap();
    let mut books = Books::default();
    for number in 0..(KILLS + 1) * TRANSACTIONS_BETWEEN_KILLS {
        producer.begin_transaction().unwrap();
        for index in 0..RECORDS {
            let (payload, partition) = (format!("{number} {index}"), index as i32 % PARTITIONS);
            let record = BaseRecord::<(), str>::to("x").partition(partition).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        let mut position = TopicPartitionList::new();
        position.add_partition_offset("x", 0, Offset::Offset(number as i64 + 1)).unwrap();
        let sent = persist(|| producer.send_offsets_to_transaction(&position, &group, LONG));
        let wants_abort = number % 3 == 0;
        let committed = match sent {
            Ok(()) if !wants_abort => persist(|| producer.commit_transaction(LONG)),
            sent => sent.and(Err(KafkaError::Canceled)),
        };
        if committed.is_ok() {
            books.committed.push(number);
        } else {
            persist(|| producer.abort_transaction(LONG)).unwrap();
            books.aborted += 1;
        }
        ended.fetch_add(1, Ordering::SeqCst);
    }
    books
}

/// Tries again while the client says that the error is retriable.
pub fn persist(mut act: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    loop {
        match act() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            done => return done,
        }
    }
}

fn compare(address: &str, books: &Books) {
    let consumer: BaseConsumer<IgnoreErrors> = config(address).create_with_context(IgnoreErrors).unwrap();
    for partition in 0..PARTITIONS {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("x", partition, Offset::Offset(0)).unwrap();
        consumer.assign(&list).unwrap();
        let indexes = || (0..RECORDS).filter(|index| *index as i32 % PARTITIONS == partition);
        let expected =
            books.committed.iter().flat_map(|number| indexes().map(move |index| format!("{number} {index}")));
        let mut seen = Vec::new();
        loop {
            match consumer.poll(LONG).expect("a record or the end in time") {
                Ok(message) => seen.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap()),
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let expected: Vec<String> = expected.collect();
        let differs = seen.iter().zip(&expected).find(|(seen, expected)| seen != expected);
        assert_eq!((differs, seen.len()), (None, expected.len()), "partition {partition}");
    }
    let mut list = TopicPartitionList::new();
    list.add_partition("x", 0);
    let position = consumer.committed_offsets(list, LONG).unwrap().elements()[0].offset();
    assert_eq!(position, Offset::Offset(*books.committed.last().unwrap() as i64 + 1));
}

pub fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("group.id", "x")
        .set("reconnect.backoff.max.ms", "200")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed");
    config
}

/// Refused connections are expected while the broker is dead.
pub struct IgnoreErrors;

impl ClientContext for IgnoreErrors {
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for IgnoreErrors {}

impl ProducerContext for IgnoreErrors {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::message::DeliveryResult<'_>, (): ()) {}
}
