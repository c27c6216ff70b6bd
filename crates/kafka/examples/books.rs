//! `books BROKER FROM TO copy|windows`: compares a topic with the one that it was written from, as a reader of committed records
//! sees both.
//!
//! - `copy`: each record of FROM, but for those whose offset ends with 3, must be in TO once: with the key `PARTITION/OFFSET` of its
//!   place in FROM, and the same value.
//! - `windows`: a key of TO is `WINDOW'S START/PARTITION/OFFSET % 50`, for windows of 20 s every 10 s; a value is `COUNT/SUM OF THE
//!   OFFSETS/SUM OF THE BYTES`. The last row of a key must be what the records of FROM say. Each row of a key must count more records
//!   than the one before: a row that is there twice does not.
//!
//! librdkafka reads, so that no code of the pipeline checks itself. Prints what is lost, there twice or wrong, and fails if
//! anything is. Costs some 60 bytes of memory a record or a group.

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

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, from, to, query] = &arguments[..] else { panic!("books BROKER FROM TO copy|windows") };
    let found = match &query[..] {
        "copy" => copy(broker, from, to),
        "windows" => windows(broker, from, to),
        other => panic!("`{other}` is neither copy nor windows"),
    };
    found.print();
    assert!(found.expected > 0, "{from} has no records");
    assert!(
        found.lost.is_empty() && found.twice.is_empty() && found.wrong.is_empty(),
        "{to} is not what the books say"
    );
}

/// What the comparison found.
struct Found {
    /// Records of FROM.
    read: u64,
    /// Rows that must be in TO: records, or groups.
    expected: usize,
    /// Rows of TO.
    rows: u64,
    lost: Vec<String>,
    twice: Vec<String>,
    wrong: Vec<String>,
}

impl Found {
    fn print(&self) {
        println!("figure books_read {} records", self.read);
        println!("figure books_expected {} rows", self.expected);
        println!("figure books_rows {} rows", self.rows);
        for (name, found) in [("lost", &self.lost), ("twice", &self.twice), ("wrong", &self.wrong)] {
            println!("figure books_{name} {} rows", found.len());
            found.iter().take(SHOWN).for_each(|place| eprintln!("{name}: {place}"));
        }
    }
}

fn copy(broker: &str, from: &str, to: &str) -> Found {
    /// The hash of an expected value, and how often it was found.
    type Books = BTreeMap<(i32, i64), (u64, u32)>;
    let (mut books, mut read, mut rows) = (Books::new(), 0, 0);
    each(broker, from, |message| {
        read += 1;
        if message.offset() % 10 != 3 {
            books.insert((message.partition(), message.offset()), (hash(message), 0));
        }
    });
    let mut wrong = Vec::new();
    each(broker, to, |message| {
        rows += 1;
        match place(message).and_then(|place| books.get_mut(&place)) {
            Some((expected, count)) if *expected == hash(message) => *count += 1,
            _ => wrong.push(format!("partition {} offset {}", message.partition(), message.offset())),
        }
    });
    let with = |wanted: fn(u32) -> bool| -> Vec<String> {
        let found = books.iter().filter(|(_, (_, count))| wanted(*count));
        found.map(|((partition, offset), _)| format!("partition {partition} offset {offset}")).collect()
    };
    Found { read, expected: books.len(), rows, lost: with(|count| count == 0), twice: with(|count| count > 1), wrong }
}

/// Start of a window in ms, partition, offset % 50.
type Group = (i64, i32, i64);
/// Records, sum of their offsets, sum of their bytes.
type Totals = (u64, i64, u64);

const SLIDE_MS: i64 = 10_000;
/// Windows that a record is in.
const WINDOWS: i64 = 2;
const GROUPS: i64 = 50;

fn windows(broker: &str, from: &str, to: &str) -> Found {
    let (mut books, mut read) = (BTreeMap::<Group, Totals>::new(), 0);
    each(broker, from, |message| {
        read += 1;
        let timestamp = message.timestamp().to_millis().expect("a timestamp");
        let last = timestamp - timestamp.rem_euclid(SLIDE_MS);
        for start in (0..WINDOWS).map(|back| last - back * SLIDE_MS) {
            let totals = books.entry((start, message.partition(), message.offset() % GROUPS)).or_default();
            totals.0 += 1;
            totals.1 += message.offset();
            totals.2 += message.payload_len() as u64;
        }
    });
    let (mut latest, mut rows) = (BTreeMap::<Group, Totals>::new(), 0);
    let (mut twice, mut wrong) = (Vec::new(), Vec::new());
    each(broker, to, |message| {
        rows += 1;
        let here = || format!("partition {} offset {}", message.partition(), message.offset());
        let Some((group, totals)) = row(message) else { return wrong.push(here()) };
        // The rows of a key are in one partition, in the order in which they were written.
        if latest.insert(group, totals).is_some_and(|before| before.0 >= totals.0) {
            twice.push(format!("{group:?} at {}", here()));
        }
    });
    let lost = books.keys().filter(|group| !latest.contains_key(group)).map(|group| format!("{group:?}")).collect();
    let differ = latest.iter().filter(|(group, totals)| books.get(group) != Some(totals));
    wrong.extend(differ.map(|(group, totals)| format!("{group:?} is {totals:?}, not {:?}", books.get(group))));
    Found { read, expected: books.len(), rows, lost, twice, wrong }
}

/// A row of the query with windows.
fn row(message: &BorrowedMessage<'_>) -> Option<(Group, Totals)> {
    let text = |bytes: Option<&'_ [u8]>| std::str::from_utf8(bytes?).ok().map(str::to_owned);
    let (key, value) = (text(message.key())?, text(message.payload())?);
    let (mut key, mut value) = (key.split('/'), value.split('/'));
    let group = (key.next()?.parse().ok()?, key.next()?.parse().ok()?, key.next()?.parse().ok()?);
    Some((group, (value.next()?.parse().ok()?, value.next()?.parse().ok()?, value.next()?.parse().ok()?)))
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
