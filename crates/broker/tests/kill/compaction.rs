//! SIGKILLs the broker at arbitrary moments while it compacts a topic and a producer commits and aborts transactions.
//! Afterwards a reader of committed records sees the last committed value of every key, and nothing aborted.

use super::transactions::{IgnoreErrors, config, persist};
use super::{LONG, PARTITIONS, spawn};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const KILLS: usize = 20;
const TRANSACTIONS_BETWEEN_KILLS: usize = 20;
const RECORDS: usize = 100;
const KEYS: usize = 150;
/// Long values make a pass take some milliseconds.
const VALUE_BYTES: usize = 2_000;
/// A pass begins every 20 ms if there is enough to do.
const PASS_MAX: Duration = Duration::from_millis(100);

/// The last committed value of each key, and the number of committed records.
type Books = (BTreeMap<String, String>, usize);

pub fn kill_and_compare() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, address) = spawn("127.0.0.1:0", dir.path());
    create(&address);
    let (ended, mut in_a_pass) = (AtomicUsize::new(0), 0);
    let (table, committed) = thread::scope(|scope| {
        let writer = scope.spawn(|| write(&address, &ended));
        for kill in 1..=KILLS {
            while ended.load(Ordering::SeqCst) < kill * TRANSACTIONS_BETWEEN_KILLS && !writer.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            wait_for_a_pass(dir.path());
            child.kill().unwrap();
            child.wait().unwrap();
            in_a_pass += usize::from(is_half_compacted(dir.path()));
            child = spawn(&address, dir.path()).0;
        }
        writer.join().unwrap()
    });
    let seen = compare(&address, &table);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen < committed / 2, "{seen} of {committed} records are left: nothing was compacted");
    assert!(in_a_pass > 0, "no kill came in the middle of a pass");
    println!(
        "{KILLS} kills, {in_a_pass} of them in the middle of a pass, {seen} of {committed} committed records are left: the last \
         one of each key is among them"
    );
}

/// Waits until a segment is being rewritten, but not for long: none may be due.
fn wait_for_a_pass(dir: &Path) {
    let start = Instant::now();
    while !is_half_compacted(dir) && start.elapsed() < PASS_MAX {
        thread::yield_now();
    }
}

/// Whether a segment is being rewritten, or was when the broker was killed.
fn is_half_compacted(dir: &Path) -> bool {
    // What vanishes while we look is not there.
    let under = |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let partitions = under(dir.join("data")).flat_map(under);
    let mut files = partitions.filter(|path| path.is_dir()).flat_map(under);
    files.any(|file| file.extension().is_some_and(|extension| extension == "compacting"))
}

fn create(address: &str) {
    let admin: AdminClient<_> = config(address).create().unwrap();
    let settings = [("cleanup.policy", "compact"), ("segment.bytes", "200000"), ("min.cleanable.dirty.ratio", "0.1")];
    let topic = NewTopic::new("c", PARTITIONS, TopicReplication::Fixed(1));
    let topic = settings.into_iter().fold(topic, |topic, (name, value)| topic.set(name, value));
    // Nothing here runs futures, so the answer is not awaited. The list of all topics creates none.
    drop(admin.create_topics([&topic], &AdminOptions::new()));
    let is_there =
        || admin.inner().fetch_metadata(None, LONG).unwrap().topics().iter().any(|topic| topic.name() == "c");
    while !is_there() {
        thread::sleep(Duration::from_millis(10));
    }
}

fn write(address: &str, ended: &AtomicUsize) -> Books {
    let producer: ThreadedProducer<IgnoreErrors> =
        config(address).set("transactional.id", "c").set("linger.ms", "1").create_with_context(IgnoreErrors).unwrap();
    persist(|| producer.init_transactions(LONG)).unwrap();
    let (mut table, mut committed) = (BTreeMap::new(), 0);
    for number in 0..(KILLS + 1) * TRANSACTIONS_BETWEEN_KILLS {
        producer.begin_transaction().unwrap();
        let mut written = Vec::new();
        for index in 0..RECORDS {
            let key = (number * 37 + index) % KEYS;
            let (partition, key, value) =
                (key as i32 % PARTITIONS, format!("key {key}"), format!("{number} {index:0VALUE_BYTES$}"));
            let record = BaseRecord::to("c").partition(partition).key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            written.push((key, value));
        }
        let outcome =
            if number % 3 == 0 { Err(KafkaError::Canceled) } else { persist(|| producer.commit_transaction(LONG)) };
        if outcome.is_ok() {
            committed += written.len();
            table.extend(written);
        } else {
            persist(|| producer.abort_transaction(LONG)).unwrap();
        }
        ended.fetch_add(1, Ordering::SeqCst);
    }
    (table, committed)
}

/// Returns how many records there are.
fn compare(address: &str, table: &BTreeMap<String, String>) -> usize {
    let consumer: BaseConsumer<IgnoreErrors> = config(address).create_with_context(IgnoreErrors).unwrap();
    let (mut seen, mut count) = (BTreeMap::new(), 0);
    for partition in 0..PARTITIONS {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("c", partition, Offset::Offset(0)).unwrap();
        consumer.assign(&list).unwrap();
        loop {
            match consumer.poll(LONG).expect("a record or the end in time") {
                Ok(message) => {
                    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                    seen.insert(text(message.key()), text(message.payload()));
                    count += 1;
                }
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    let differs = seen.iter().zip(table).find(|(seen, expected)| seen != expected);
    assert_eq!((differs, seen.len()), (None, table.len()));
    count
}
