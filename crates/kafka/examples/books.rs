//! `books BROKER FROM TO`: compares a topic with the one that it was written from, as a reader of committed records sees both.
//!
//! Each record of FROM, but for those whose offset ends with 3, must be in TO once: with the key `PARTITION/OFFSET` of its place
//! in FROM, and the same value. librdkafka reads, so that no code of the pipeline checks itself. Prints what is lost, there
//! twice or wrong, and fails if anything is. Costs some 60 bytes of memory a record.

use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// So many differences are printed.
const SHOWN: usize = 10;

/// The hash of an expected value, and how often it was found.
type Books = BTreeMap<(i32, i64), (u64, u32)>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, from, to] = &arguments[..] else { panic!("books BROKER FROM TO") };
    let (mut books, mut records) = (Books::new(), 0);
    each(broker, from, |message| {
        records += 1;
        if message.offset() % 10 != 3 {
            books.insert((message.partition(), message.offset()), (hash(message), 0));
        }
    });
    let mut wrong = Vec::new();
    each(broker, to, |message| match place(message).and_then(|place| books.get_mut(&place)) {
        Some((expected, count)) if *expected == hash(message) => *count += 1,
        _ => wrong.push(format!("partition {} offset {}", message.partition(), message.offset())),
    });
    let with = |wanted: fn(u32) -> bool| -> Vec<String> {
        let found = books.iter().filter(|(_, (_, count))| wanted(*count));
        found.map(|((partition, offset), _)| format!("partition {partition} offset {offset}")).collect()
    };
    let (lost, twice) = (with(|count| count == 0), with(|count| count > 1));
    println!("figure books_read {records} records");
    println!("figure books_expected {} records", books.len());
    for (name, found) in [("lost", &lost), ("twice", &twice), ("wrong", &wrong)] {
        println!("figure books_{name} {} records", found.len());
        found.iter().take(SHOWN).for_each(|place| eprintln!("{name}: {place}"));
    }
    assert!(!books.is_empty(), "{from} has no records");
    assert!(lost.is_empty() && twice.is_empty() && wrong.is_empty(), "{to} is not what the books say");
}

/// Calls `act` for each committed record of a topic, to the end that it has now.
fn each(broker: &str, topic: &str, mut act: impl FnMut(&BorrowedMessage<'_>)) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("group.id", "books").set("isolation.level", "read_committed");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
    let mut list = TopicPartitionList::new();
    let partitions = metadata.topics()[0].partitions();
    for partition in partitions {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("a new partition");
    }
    consumer.assign(&list).expect("assigned");
    let mut open = partitions.len();
    while open > 0 {
        match consumer.poll(PATIENCE).expect("a record or an end in time") {
            Ok(message) => act(&message),
            Err(KafkaError::PartitionEOF(_)) => open -= 1,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The place that a key names.
fn place(message: &BorrowedMessage<'_>) -> Option<(i32, i64)> {
    let (partition, offset) = std::str::from_utf8(message.key()?).ok()?.split_once('/')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

fn hash(message: &BorrowedMessage<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.payload().hash(&mut hasher);
    hasher.finish()
}
