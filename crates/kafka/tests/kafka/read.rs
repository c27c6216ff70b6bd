//! Ranges in any order and of any size hold exactly the records that a simple scan finds.

use crate::support::{CLIENTS, Cluster, Record, clusters, delete_before, flush, range, read, send, topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Chunk, Read, RecordMetadata};
use tidemill_kafka::{KafkaReader, admin, scan};
use tidemill_model::{Domain, OffsetRange, Secret, batch::cut_tasks};

/// The records of each partition, from a simple scan.
type Expected = BTreeMap<i32, Vec<Record>>;

fn expected(cluster: &Cluster, topic: &str) -> Expected {
    let mut expected = Expected::new();
    let extents = scan(&cluster.options, topic, |partition, offset, timestamp, _, value| {
        expected.entry(partition).or_default().push((offset, timestamp, value.map(<[u8]>::to_vec)));
        ControlFlow::Continue(())
    })
    .expect("scanned");
    for (id, there) in extents {
        let found = expected.get(&id.partition).map_or(0, Vec::len) as i64;
        assert_eq!(found, there.end - there.start, "without transactions each offset is a record");
    }
    expected
}

/// Reads `ranges` with one reader and compares them with the scan.
fn check(cluster: &Cluster, expected: &Expected, ranges: &[OffsetRange], records_max: usize) {
    let mut reader = KafkaReader::new(&cluster.options).expect("a reader");
    for range in ranges {
        let there = expected.get(&range.partition.partition).map_or(&[][..], Vec::as_slice);
        let expected = there.iter().filter(|(offset, ..)| (range.start..range.end).contains(offset));
        let found = read(&mut reader, range, records_max);
        assert!(found.iter().eq(expected), "{range:?} on {}", cluster.name);
    }
}

/// `count` values of different lengths, including tombstones and empty values.
fn values(count: usize) -> Vec<Option<Vec<u8>>> {
    let value = |n: usize| match n % 50 {
        7 => None,
        8 => Some(Vec::new()),
        _ => Some(format!("{n}-").repeat(n % 37 + 1).into_bytes()),
    };
    (0..count).map(value).collect()
}

#[test]
fn keys_headers_and_timestamp_types_are_delivered_on_request() {
    for cluster in clusters() {
        let topic = topic("parts");
        assert_eq!(admin::ensure_topic(&cluster.options, &topic, Some(2)).unwrap(), 2);
        let producer = cluster.producer(&[]);
        let headers = OwnedHeaders::new().insert(Header { key: "h", value: Some("v") });
        let headers = headers.insert(Header { key: "h", value: None::<&str> });
        let record = BaseRecord::to(&topic).partition(0).key("k").payload("1").headers(headers);
        producer.send(record).expect("sent");
        flush(&producer);
        producer.send(BaseRecord::<(), str>::to(&topic).partition(1).payload("2")).expect("sent");
        flush(&producer);
        let ranges = [range(&topic, 0, 0, 1), range(&topic, 1, 0, 1)];
        for together in [false, true] {
            let all = RecordMetadata { keys: true, timestamp_types: true, headers: true };
            let headers = vec![(b"h".to_vec(), Some(b"v".to_vec())), (b"h".to_vec(), None)];
            let expected = [(Some(b"k".to_vec()), vec![0], vec![2], headers), (None, vec![0], vec![0], Vec::new())];
            assert_eq!(read_parts(&cluster, &ranges, together, all), expected, "{}", cluster.name);
            let none = (None, Vec::new(), Vec::new(), Vec::new());
            assert_eq!(
                read_parts(&cluster, &ranges, together, RecordMetadata::default()),
                [none.clone(), none],
                "{}",
                cluster.name
            );
        }
    }
}

/// A record's key, its chunk's timestamp types and ends of headers, and the headers.
type RecordParts = (Option<Vec<u8>>, Vec<i32>, Vec<usize>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// Reads the ranges, one record per chunk. Fetches them together as one task, or one by one.
fn read_parts(cluster: &Cluster, ranges: &[OffsetRange], together: bool, parts: RecordMetadata) -> Vec<RecordParts> {
    let mut reader = KafkaReader::new(&cluster.options).expect("a reader").with_parts(parts);
    let (mut chunk, mut records) = (Chunk::default(), Vec::new());
    if together {
        reader.expect(ranges);
    }
    for range in ranges {
        reader.open(range).expect("opened");
        while reader.next(&mut chunk, 1).expect("read") {
            let key = if chunk.keys.is_empty() { None } else { chunk.keys.get(0).map(<[u8]>::to_vec) };
            let name = |at| chunk.header_names.get(at).expect("a name").to_vec();
            let header = |at| (name(at), chunk.header_values.get(at).map(<[u8]>::to_vec));
            let headers = (0..chunk.header_names.len()).map(header).collect();
            records.push((key, chunk.timestamp_types.clone(), chunk.header_ends.clone(), headers));
        }
    }
    records
}

#[test]
fn ranges_hold_what_is_there_once_and_in_order() {
    for cluster in clusters() {
        let topic = topic("ranges");
        assert_eq!(admin::ensure_topic(&cluster.options, &topic, Some(3)).unwrap(), 3);
        cluster.append(&topic, 0, &[values(20_000)]);
        cluster.append(&topic, 1, &[values(10), values(1), values(500)]);
        let expected = expected(&cluster, &topic);
        let whole = [range(&topic, 0, 0, 20_000), range(&topic, 1, 0, 511), range(&topic, 2, 0, 0)];
        check(&cluster, &expected, &whole, 8_192);
        check(&cluster, &expected, &whole, 1);
        // One after the other, as in a reader that has the partition to itself.
        check(&cluster, &expected, &cut_tasks(&whole, 700).concat(), 100);
        check(&cluster, &expected, &cut_tasks(&whole[1..], 1).concat(), 100);
        // Every other piece, as in one of two readers. Then backwards, and alternating between partitions.
        let pieces = cut_tasks(&whole, 3_000).concat();
        check(&cluster, &expected, &pieces.iter().step_by(2).cloned().collect::<Vec<_>>(), 1_000);
        check(&cluster, &expected, &pieces.iter().rev().cloned().collect::<Vec<_>>(), 1_000);
        let swing = |k: i64| range(&topic, (k % 2) as i32, k * 13, k * 13 + 26);
        check(&cluster, &expected, &(0..30).map(swing).collect::<Vec<_>>(), 10);
    }
}

/// A batch that is larger than the limit of a partition is sent nevertheless, alone.
#[test]
fn records_above_the_limit_of_a_fetch_are_read() {
    for mut cluster in clusters() {
        let topic = topic("large");
        assert_eq!(admin::ensure_topic(&cluster.options, &topic, Some(2)).unwrap(), 2);
        let large = |letter: u8| vec![Some(vec![letter; 900_000])];
        for partition in 0..2 {
            cluster.append(&topic, partition, &[large(b'a'), values(10), large(b'b')]);
        }
        let expected = expected(&cluster, &topic);
        cluster.options.client_options.push(("max.partition.fetch.bytes".to_owned(), Secret::new("1000")));
        let ranges = [range(&topic, 0, 0, 12), range(&topic, 1, 0, 12), range(&topic, 0, 11, 12)];
        check(&cluster, &expected, &ranges, 1_000);
    }
}

/// A task of small ranges of many partitions is fetched together and delivered in order, even if the values are too
/// large to be kept out of turn. A reader that is stopped in the middle of the task can read any other range next.
#[test]
fn ranges_of_many_partitions_are_read_together() {
    const PARTITIONS: i32 = 12;
    for cluster in clusters() {
        for (name, values) in [("gathered", values(300)), ("large", vec![Some(vec![b'x'; 400_000]); 8])] {
            let topic = topic(name);
            admin::ensure_topic(&cluster.options, &topic, Some(PARTITIONS)).unwrap();
            (0..PARTITIONS).for_each(|partition| cluster.append(&topic, partition, std::slice::from_ref(&values)));
            let expected = expected(&cluster, &topic);
            let end = values.len() as i64;
            let whole: Vec<_> = (0..PARTITIONS).map(|partition| range(&topic, partition, 1, end - 1)).collect();
            let mut reader = KafkaReader::new(&cluster.options).unwrap();
            for (ranges, read_up_to) in [(&whole[..], 12), (&whole[..], 2), (&whole[5..8], 3), (&whole[3..4], 1)] {
                reader.expect(ranges);
                for range in &ranges[..read_up_to] {
                    let there = &expected[&range.partition.partition];
                    let expected = there.iter().filter(|(offset, ..)| (range.start..range.end).contains(offset));
                    let found = read(&mut reader, range, 100);
                    assert!(found.iter().eq(expected), "{range:?} of {name} on {}", cluster.name);
                }
            }
            check(&cluster, &expected, &whole, 100);
        }
    }
}

/// librdkafka waits without end for a message that outlives its client.
#[test]
fn a_reader_ends_with_records_held_out_of_turn() {
    for cluster in clusters() {
        let topic = topic("held");
        admin::ensure_topic(&cluster.options, &topic, Some(2)).unwrap();
        let (ended, ends) = mpsc::channel();
        let options = cluster.options.clone();
        (0..2).for_each(|partition| cluster.append(&topic, partition, &[values(100)]));
        thread::spawn(move || {
            // Each is first in one of the readers, so in one of them the other's records come before its own.
            for first in 0..2 {
                let ranges = [first, 1 - first].map(|partition| range(&topic, partition, 0, 100));
                let mut reader = KafkaReader::new(&options).unwrap();
                reader.expect(&ranges);
                assert_eq!(read(&mut reader, &ranges[0], 100).len(), 100);
                drop(reader);
            }
            ended.send(()).unwrap();
        });
        ends.recv_timeout(Duration::from_secs(20)).expect("both readers end");
    }
}

#[test]
fn a_range_left_in_the_middle_is_dropped() {
    for cluster in clusters() {
        let topic = topic("left");
        admin::ensure_topic(&cluster.options, &topic, Some(1)).unwrap();
        cluster.append(&topic, 0, &[values(5_000)]);
        let mut reader = KafkaReader::new(&cluster.options).unwrap();
        let mut chunk = Chunk::default();
        for (start, expected) in [(0, 0), (2_000, 2_000), (2_010, 2_010), (1_990, 1_990)] {
            reader.open(&range(&topic, 0, start, 5_000)).unwrap();
            assert!(reader.next(&mut chunk, 10).unwrap());
            assert_eq!(chunk.offsets[0], expected);
        }
        reader.open(&range(&topic, 0, 3, 3)).unwrap();
        assert!(!reader.next(&mut chunk, 10).unwrap());
        assert_eq!(read(&mut reader, &range(&topic, 0, 4_990, 5_000), 100).len(), 10);
    }
}

#[test]
fn compressed_batches_are_entered_in_the_middle() {
    for cluster in clusters() {
        let topic = topic("codecs");
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
        admin::ensure_topic(&cluster.options, &topic, Some(codecs.len() as i32)).unwrap();
        for (partition, codec) in codecs.iter().enumerate() {
            let producer = cluster.producer(&[("compression.codec", codec), ("linger.ms", "50")]);
            for value in values(1_000) {
                send(&producer, &topic, partition as i32, value.as_deref());
            }
            flush(&producer);
        }
        let expected = expected(&cluster, &topic);
        let whole: Vec<_> = (0..codecs.len() as i32).map(|partition| range(&topic, partition, 0, 1_000)).collect();
        check(&cluster, &expected, &whole, 333);
        check(&cluster, &expected, &cut_tasks(&whole, 77).concat().into_iter().rev().collect::<Vec<_>>(), 50);
    }
}

#[test]
fn a_reader_outlives_a_restart_of_the_broker() {
    CLIENTS.into_iter().for_each(|client| outlives_a_restart(Cluster::embedded().read_by(client)));
}

fn outlives_a_restart(mut cluster: Cluster) {
    let topic = topic("restart");
    admin::ensure_topic(&cluster.options, &topic, Some(1)).unwrap();
    cluster.append(&topic, 0, &[values(60_000)]);
    let mut reader = KafkaReader::new(&cluster.options).unwrap();
    let mut chunk = Chunk::default();
    let mut offsets = Vec::new();
    reader.open(&range(&topic, 0, 0, 60_000)).unwrap();
    assert!(reader.next(&mut chunk, 100).unwrap());
    offsets.extend_from_slice(&chunk.offsets);
    cluster.restart(|| ());
    while reader.next(&mut chunk, 1_000).unwrap() {
        offsets.extend_from_slice(&chunk.offsets);
    }
    assert!(offsets.iter().copied().eq(0..60_000));
}

#[test]
fn a_broker_that_stays_away_is_a_transient_error() {
    CLIENTS.into_iter().for_each(|client| stays_away(Cluster::embedded().read_by(client)));
}

fn stays_away(mut cluster: Cluster) {
    let topic = topic("away");
    admin::ensure_topic(&cluster.options, &topic, Some(1)).unwrap();
    cluster.append(&topic, 0, &[values(10)]);
    let mut reader = KafkaReader::new(&cluster.options).unwrap().with_still_max(Duration::from_millis(600));
    assert_eq!(read(&mut reader, &range(&topic, 0, 0, 10), 100).len(), 10);
    let client = cluster.options.client;
    cluster.restart(|| {
        reader.open(&range(&topic, 0, 2, 10)).unwrap();
        let error = reader.next(&mut Chunk::default(), 100).unwrap_err();
        assert!(error.retry && error.domain == Domain::External, "{error}");
        assert!(error.message().contains("did not answer"), "{client:?}: {error}");
    });
    assert_eq!(read(&mut reader.with_still_max(Duration::from_secs(30)), &range(&topic, 0, 2, 10), 100).len(), 8);
}

#[test]
fn offsets_that_are_gone_are_named() {
    for cluster in clusters() {
        let topic = topic("gone");
        admin::ensure_topic(&cluster.options, &topic, Some(1)).unwrap();
        cluster.append(&topic, 0, &[values(100)]);
        if cluster.name == "apache" {
            delete_before(&cluster, &topic, 40);
        }
        let lost = if cluster.name == "apache" { (10, 60, "40 to 99") } else { (150, 160, "0 to 99") };
        let mut reader = KafkaReader::new(&cluster.options).unwrap();
        reader.open(&range(&topic, 0, lost.0, lost.1)).unwrap();
        let error = reader.next(&mut Chunk::default(), 100).unwrap_err();
        assert!(!error.retry && error.domain == Domain::External, "{error}");
        let words = format!("offsets {} to {} of {topic}-0 do not exist: the log holds {}", lost.0, lost.1 - 1, lost.2);
        assert!(error.message().starts_with(&words), "{error}");
        // The reader is still usable.
        assert_eq!(read(&mut reader, &range(&topic, 0, 50, 100), 100).len(), 50);
    }
}

/// Records whose keys come again, and tombstones, are removed. What is left leads across the gaps, whatever the range.
#[test]
fn ranges_of_a_compacted_topic_end_where_records_are_gone() {
    for cluster in clusters() {
        let topic = topic("compacted");
        make_compacted(&cluster, &topic);
        let producer = cluster.producer(&[]);
        let put = |key: &str, value: Option<&str>| {
            let mut record = BaseRecord::to(&topic).partition(0).key(key);
            record.payload = value;
            producer.send(record).expect("sent");
            flush(&producer);
        };
        // Keys 0 to 4 stay, 5 to 7 come again at 8 to 10, 8 and 9 come and are removed at 13 and 14.
        (0..8).for_each(|key| put(&format!("k{key}"), Some("a")));
        (5..8).for_each(|key| put(&format!("k{key}"), Some("b")));
        (8..10).for_each(|key| put(&format!("k{key}"), Some("a")));
        (8..10).for_each(|key| put(&format!("k{key}"), None));
        // A record begins a new segment, and only segments before the last one are compacted. The tombstones are removed by the
        // second compaction.
        let mut end = 15;
        let deadline = Instant::now() + Duration::from_secs(60);
        let left = loop {
            thread::sleep(Duration::from_millis(300));
            put("last", Some("c"));
            end += 1;
            let left = expected_there(&cluster, &topic);
            if left.iter().all(|(offset, ..)| !(5..8).contains(offset) && !(11..15).contains(offset)) {
                break left;
            }
            assert!(Instant::now() < deadline, "the topic is compacted: {left:?}");
        };
        assert!(left.len() >= 9, "{left:?}");
        let mut reader = KafkaReader::new(&cluster.options).unwrap();
        for (from, to) in (0..=16).flat_map(|from| (from..=16.min(end)).map(move |to| (from, to))) {
            let offsets = |records: &[Record]| records.iter().map(|(offset, ..)| *offset).collect::<Vec<_>>();
            let within: Vec<Record> =
                left.iter().filter(|(offset, ..)| (from..to).contains(offset) && *offset < 15).cloned().collect();
            let mut found = read(&mut reader, &range(&topic, 0, from, to), 10);
            // The record of the last key may have been removed meanwhile.
            found.retain(|(offset, ..)| *offset < 15);
            assert_eq!(
                offsets(&found),
                offsets(&within),
                "{} {:?}, offsets {from} to {to}",
                cluster.name,
                cluster.options.client
            );
        }
    }
}

/// The records of partition 0, from a simple scan.
fn expected_there(cluster: &Cluster, topic: &str) -> Vec<Record> {
    let mut there = Vec::new();
    let scanned = scan(&cluster.options, topic, |_, offset, timestamp, _, value| {
        there.push((offset, timestamp, value.map(<[u8]>::to_vec)));
        ControlFlow::Continue(())
    });
    scanned.expect("scanned");
    there
}

fn make_compacted(cluster: &Cluster, topic: &str) {
    let admin: AdminClient<_> = cluster.options.config(&[], &[]).create().unwrap();
    let wanted = NewTopic::new(topic, 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("segment.ms", "200")
        .set("min.cleanable.dirty.ratio", "0.001")
        .set("delete.retention.ms", "1");
    let made = admin::wait(admin.create_topics([&wanted], &AdminOptions::new())).expect("an answer");
    made.into_iter().for_each(|made| assert!(made.is_ok(), "{made:?}"));
}
