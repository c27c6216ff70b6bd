//! Tests a broker with rskafka: check ADDRESS
//!
//! Prints a line `CAPABILITY ok: DETAIL` for each thing that works, and ends with an error at the first that does not.
//! rskafka has no groups and no transactions. The broker's topics must be new.

use chrono::{TimeZone, Utc};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

const TOPIC: &str = "rskafka";
const RECORDS: i64 = 1000;
const PARTITIONS: i32 = 4;
const TIMEOUT_MS: i32 = 5000;
const PATIENCE: Duration = Duration::from_secs(60);
/// Without zstd, whose C library takes longer to build than all the rest.
const CODECS: [Compression; 4] = [Compression::NoCompression, Compression::Gzip, Compression::Lz4, Compression::Snappy];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: check ADDRESS")?;
    let client = ClientBuilder::new(vec![address]).build().await?;
    administer(&client).await?;
    let partition = client.partition_client(TOPIC, 0, UnknownTopicHandling::Retry).await?;
    // An hour ago: older records are soon beyond the retention.
    let start_ms = Utc::now().timestamp_millis() - 3_600_000;
    produce(&partition, start_ms).await?;
    consume(&partition).await?;
    let end = partition.get_offset(OffsetAt::Latest).await?;
    let start = partition.get_offset(OffsetAt::Earliest).await?;
    let by_time = partition.get_offset(OffsetAt::Timestamp(Utc.timestamp_millis_opt(start_ms + 500).unwrap())).await?;
    assert_eq!((start, by_time, end), (0, 500, RECORDS));
    println!("offsets ok: by time, first and last");
    println!("groups none: rskafka has none");
    println!("transactions none: rskafka has none");
    Ok(())
}

async fn administer(client: &Client) -> Result<(), Box<dyn Error>> {
    let controller = client.controller_client()?;
    for topic in [TOPIC, "rskafka-gone"] {
        controller.create_topic(topic, PARTITIONS, 1, TIMEOUT_MS).await?;
    }
    assert!(controller.create_topic(TOPIC, PARTITIONS, 1, TIMEOUT_MS).await.is_err(), "a topic can be created twice");
    controller.delete_topic("rskafka-gone", TIMEOUT_MS).await?;
    // Apache Kafka's brokers learn of a change a little later.
    let end = Instant::now() + PATIENCE;
    loop {
        let topics = client.list_topics().await?;
        let partitions = topics.iter().find(|topic| topic.name == TOPIC).map_or(0, |topic| topic.partitions.len());
        if partitions == PARTITIONS as usize && topics.iter().all(|topic| topic.name != "rskafka-gone") {
            break;
        }
        assert!(Instant::now() < end, "the topics are not as they were made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("admin ok: topics are created, listed, deleted");
    Ok(())
}

/// Each batch under another codec.
async fn produce(partition: &PartitionClient, start_ms: i64) -> Result<(), Box<dyn Error>> {
    let mut next = 0;
    for batch in 0..10 {
        let record = |number: i64| Record {
            key: Some(b"k".to_vec()),
            value: Some(number.to_string().into_bytes()),
            headers: BTreeMap::new(),
            timestamp: Utc.timestamp_millis_opt(start_ms + number).unwrap(),
        };
        let records = (next..next + RECORDS / 10).map(record).collect();
        let offsets = partition.produce(records, CODECS[batch % CODECS.len()]).await?;
        assert!(offsets.into_iter().eq(next..next + RECORDS / 10));
        next += RECORDS / 10;
    }
    println!("produce ok: {RECORDS} records");
    Ok(())
}

async fn consume(partition: &PartitionClient) -> Result<(), Box<dyn Error>> {
    let mut next = 0;
    while next < RECORDS {
        let (records, _) = partition.fetch_records(next, 1..1_000_000, TIMEOUT_MS).await?;
        for found in records {
            assert_eq!((found.offset, found.record.value), (next, Some(next.to_string().into_bytes())));
            next += 1;
        }
    }
    println!("consume ok: {RECORDS} records");
    Ok(())
}
