//! `conformance BROKER`: tests a broker with this client, as the programs in `crates/broker/tests/clients` do with others.
//!
//! Prints a line `CAPABILITY ok: DETAIL` for each thing that works, and fails at the first that does not. The client joins
//! no groups. The broker's topics must be new.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tidemill_client::produce::{Codec, NewRecord, Producer, Transactional};
use tidemill_client::{At, Cluster, Fetcher, Settings, Transactions};
use tidemill_model::Result;

const TOPIC: &str = "tidemill";
const GONE: &str = "tidemill-gone";
const GROUP: &str = "tidemill-reader";
const PARTITIONS: i32 = 4;
const RECORDS: i64 = 1_000;
const TRANSACTIONS: i64 = 10;
/// The partition that has the records of transactions.
const TRANSACTED: i32 = 2;
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let broker = std::env::args().nth(1).expect("conformance BROKER");
    let settings = Settings::new(broker);
    // An hour ago: older records are soon beyond the retention.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let start_ms = now.as_millis() as i64 - 3_600_000;
    let mut cluster = Cluster::new(settings.clone()).expect("a cluster");
    administer(&mut cluster).expect("admin");
    produce(&settings, start_ms).expect("produce");
    consume(&settings).expect("consume");
    println!("groups none: the driver says who reads what");
    offsets(&mut cluster, &settings, start_ms).expect("offsets");
    transact(&settings, start_ms).expect("transactions");
}

fn administer(cluster: &mut Cluster) -> Result<()> {
    let policy = [("cleanup.policy".to_owned(), "compact,delete".to_owned())];
    // A topic that is there already is no error.
    for topic in [TOPIC, TOPIC, GONE] {
        cluster.create_topic(topic, Some(PARTITIONS), &policy, PATIENCE)?;
    }
    cluster.delete_topic(GONE, PATIENCE)?;
    // Apache Kafka's brokers learn of a change a little later.
    let end = Instant::now() + PATIENCE;
    while cluster.partitions(TOPIC, PATIENCE)? != Some((0..PARTITIONS).collect())
        || cluster.all_topics(PATIENCE)?.contains_key(GONE)
    {
        assert!(Instant::now() < end, "the topics are not as they were made");
        thread::sleep(Duration::from_millis(20));
    }
    println!("admin ok: topics are created, listed, deleted");
    Ok(())
}

/// Each batch under another codec.
fn produce(settings: &Settings, start_ms: i64) -> Result<()> {
    for (codec, first) in CODECS.into_iter().zip((0..).step_by(RECORDS as usize / CODECS.len())) {
        let mut settings = settings.clone();
        settings.produce.codec = codec;
        let mut producer = Producer::new(settings, TOPIC, PARTITIONS)?;
        for number in first..first + RECORDS / CODECS.len() as i64 {
            append(&mut producer, 0, start_ms + number, number.to_string().as_bytes())?;
        }
        flush(&mut producer)?;
    }
    println!("produce ok: {RECORDS} records");
    Ok(())
}

fn append(producer: &mut Producer, partition: i32, timestamp: i64, value: &[u8]) -> Result<()> {
    let record = NewRecord { timestamp, key: Some(b"k"), value: Some(value), headers: &[("h", Some(value))] };
    assert!(producer.append(partition, &record, Instant::now())?, "the producer is full");
    Ok(())
}

fn flush(producer: &mut Producer) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while producer.pending() > 0 {
        assert!(Instant::now() < end, "{} records are not acknowledged: {:?}", producer.pending(), producer.trouble());
        producer.flush(Duration::from_millis(100))?;
    }
    assert_eq!(producer.counts().failed, 0, "records were given up: {:?}", producer.trouble());
    Ok(())
}

/// Offset and value of a partition's first records.
fn read(settings: &Settings, partition: i32, count: usize) -> Result<Vec<(i64, String)>> {
    let mut fetcher = Fetcher::new(settings.clone())?;
    let slot = fetcher.add(TOPIC, partition, 0, i64::MAX);
    let (end, mut found) = (Instant::now() + PATIENCE, Vec::new());
    while found.len() < count {
        assert!(Instant::now() < end, "only {} of {count} records come: {:?}", found.len(), fetcher.trouble());
        fetcher.poll(Duration::from_millis(100))?;
        while fetcher.next_batch(slot)? {
            fetcher.each_record(i64::MAX, |record| {
                let value = String::from_utf8_lossy(record.value.expect("a value")).into_owned();
                let mut headers = Vec::new();
                record.each_header(|name, value| headers.push((name, value))).expect("sound headers");
                assert_eq!(headers, [(&b"h"[..], Some(value.as_bytes()))]);
                found.push((record.offset, value));
                true
            })?;
        }
    }
    Ok(found)
}

fn consume(settings: &Settings) -> Result<()> {
    let expected = (0..RECORDS).map(|number| (number, number.to_string()));
    assert!(read(settings, 0, RECORDS as usize)?.into_iter().eq(expected), "records are read otherwise than written");
    println!("consume ok: {RECORDS} records");
    Ok(())
}

fn offsets(cluster: &mut Cluster, settings: &Settings, start_ms: i64) -> Result<()> {
    cluster.commit_offsets(GROUP, &[(TOPIC, 0, 7), (TOPIC, 1, 8)], PATIENCE)?;
    let stored = Transactions::new(settings.clone(), TOPIC)?.stored_offset(GROUP, TOPIC, PATIENCE)?;
    assert_eq!(stored, Some(7), "the committed position");
    for (at, expected) in [
        (At::Earliest, Some(0)),
        (At::Timestamp(start_ms + 500), Some(500)),
        (At::Timestamp(start_ms + RECORDS), None),
        (At::Latest, Some(RECORDS)),
    ] {
        assert_eq!(cluster.offsets(TOPIC, &[0], at, PATIENCE)?, [expected], "{at:?}");
    }
    println!("offsets ok: committed, by time, first and last");
    Ok(())
}

/// Commits and aborts. Each transaction also stores an offset of a group. Then a second producer with the same id fences the
/// first.
fn transact(settings: &Settings, start_ms: i64) -> Result<()> {
    let mut first = Transactions::new(settings.clone(), TOPIC)?;
    let mut identity = first.take_over(PATIENCE)?;
    let transactional = Transactional { id: TOPIC.into(), identity, adds_by_writing: first.adds_by_writing() };
    let mut producer = Producer::transactional(settings.clone(), (TOPIC, PARTITIONS), transactional)?;
    let mut write = |transactions: &mut Transactions, identity, value: &str| {
        producer.begin_transaction(identity);
        transactions.add_partitions(&BTreeMap::from([(TOPIC.to_owned(), vec![TRANSACTED])]), PATIENCE)?;
        append(&mut producer, TRANSACTED, start_ms, value.as_bytes())?;
        flush(&mut producer)
    };
    let mut committed = Vec::new();
    for number in 0..TRANSACTIONS {
        write(&mut first, identity, &number.to_string())?;
        first.add_offset(GROUP, TOPIC, number, PATIENCE)?;
        let commit = number % 3 != 0;
        if commit {
            committed.push(number.to_string());
        }
        identity = first.end(commit, PATIENCE)?;
    }
    let seen: Vec<String> = read(settings, TRANSACTED, committed.len())?.into_iter().map(|(_, value)| value).collect();
    assert_eq!(seen, committed);
    assert_eq!(first.stored_offset(GROUP, TOPIC, PATIENCE)?, Some(TRANSACTIONS - 2), "the group's position");
    write(&mut first, identity, "lost")?;
    Transactions::new(settings.clone(), TOPIC)?.take_over(PATIENCE)?;
    let fenced = first.end(true, PATIENCE).expect_err("the first of two producers is fenced");
    assert!(!fenced.retry, "{fenced}");
    let (seen, all) = (seen.len(), TRANSACTIONS);
    println!("transactions ok: {seen} of {all} are committed and read, and the first of two producers is fenced");
    Ok(())
}
