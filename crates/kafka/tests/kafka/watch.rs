//! The watch reports topics, partitions and records as they are added.

use crate::support::{CLIENTS, Cluster, clusters, flush, topic};
use rdkafka::producer::BaseRecord;
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Extents, Watch};
use tidemill_kafka::{ClientChoice, KafkaOptions, KafkaWatch, admin};
use tidemill_model::{Domain, PartitionId};

const PATIENCE: Duration = Duration::from_secs(60);

fn ends(extents: &Extents) -> Vec<i64> {
    extents.values().map(|extent| extent.end).collect()
}

/// Watches until the ends are `expected`. Every earlier answer must be new.
fn await_ends(watch: &mut KafkaWatch, known: &mut Extents, expected: &[i64]) {
    let deadline = Instant::now() + PATIENCE;
    while ends(known) != expected {
        let found = watch.watch(known, PATIENCE).expect("watched");
        assert!(found != *known || Instant::now() > deadline, "an answer before the timeout is news");
        assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", ends(&found));
        *known = found;
    }
}

#[test]
fn topics_partitions_and_records_are_seen_as_they_come() {
    for mut cluster in clusters() {
        let topic = topic("watch");
        let mut watch = KafkaWatch::new(&cluster.options, &topic).unwrap();
        let mut known = watch.watch(&Extents::new(), PATIENCE).unwrap();
        assert!(known.is_empty(), "a missing topic holds nothing, and the watch does not create it");
        assert_eq!(admin::partition_count(&cluster.options, &topic).unwrap(), None);
        admin::ensure_topic(&cluster.options, &topic, Some(2)).unwrap();
        while known.is_empty() {
            known = watch.watch(&Extents::new(), PATIENCE).unwrap();
        }
        await_ends(&mut watch, &mut known, &[0, 0]);
        let one = || Some(b"x".to_vec());
        for n in 1..=5 {
            cluster.append(&topic, 1, &[vec![one()]]);
            await_ends(&mut watch, &mut known, &[0, n]);
        }
        cluster.append(&topic, 0, &vec![vec![one(); 5_000]; 3]);
        await_ends(&mut watch, &mut known, &[15_000, 5]);
        cluster.append(&topic, 1, &[vec![one()]]);
        await_ends(&mut watch, &mut known, &[15_000, 6]);
        cluster.add_partitions(&topic, 3);
        cluster.append(&topic, 2, &[vec![one()]]);
        await_ends(&mut watch, &mut known, &[15_000, 6, 1]);
        assert_eq!(watch.watch(&known, Duration::from_millis(300)).unwrap(), known, "nothing new until the timeout");
        assert!(known.values().all(|extent| extent.start == 0));
    }
}

#[test]
fn a_time_begins_at_the_first_record_that_is_not_older() {
    for cluster in clusters() {
        let topic = topic("timeline");
        admin::ensure_topic(&cluster.options, &topic, Some(3)).unwrap();
        let watch = KafkaWatch::new(&cluster.options, &topic).unwrap();
        let producer = cluster.producer(&[]);
        for (partition, timestamp) in [(0, 1_000), (0, 3_000), (0, 2_000), (0, 4_000), (1, 2_500)] {
            let record = BaseRecord::<(), [u8]>::to(&topic).partition(partition).payload(b"x").timestamp(timestamp);
            producer.send(record).expect("queued");
        }
        flush(&producer);
        let mut timeline = watch.timeline().expect("Kafka's records have timestamps");
        let partitions: Vec<PartitionId> =
            [2, 0, 1].map(|partition| PartitionId { source: 0, topic: topic.as_str().into(), partition }).into();
        for (timestamp, expected) in [
            (0, [None, Some(0), Some(0)]),
            (1_001, [None, Some(1), Some(0)]),
            (3_000, [None, Some(1), None]),
            (3_001, [None, Some(3), None]),
            (4_001, [None, None, None]),
        ] {
            assert_eq!(timeline(&partitions, timestamp).unwrap(), expected, "at {timestamp} on {}", cluster.name);
        }
    }
}

#[test]
fn many_small_appends_are_all_seen() {
    for cluster in clusters() {
        let topic = topic("trickle");
        admin::ensure_topic(&cluster.options, &topic, Some(4)).unwrap();
        let mut watch = KafkaWatch::new(&cluster.options, &topic).unwrap();
        let mut known = watch.watch(&Extents::new(), PATIENCE).unwrap();
        let producer = cluster.producer(&[]);
        for n in 0..400 {
            crate::support::send(&producer, &topic, n % 4, Some(b"x"));
            if n % 7 == 0 {
                flush(&producer);
                known = watch.watch(&known, PATIENCE).unwrap();
            }
        }
        flush(&producer);
        await_ends(&mut watch, &mut known, &[100; 4]);
    }
}

#[test]
fn a_broker_that_is_not_there_is_a_transient_error() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (client, what) in [(ClientChoice::Librdkafka, "did not answer"), (ClientChoice::Native, "cannot be reached")] {
        let options = KafkaOptions { client, ..KafkaOptions::new(format!("127.0.0.1:{port}")) };
        let mut watch = KafkaWatch::new(&options, "t").unwrap();
        let error = watch.watch(&Extents::new(), Duration::from_secs(1)).unwrap_err();
        assert!(error.retry && error.domain == Domain::External, "{error}");
        let words = [what, "Connection refused", &format!("127.0.0.1:{port}"), "start it"];
        assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
    }
}

#[test]
fn a_restart_of_the_broker_is_an_error_and_then_forgotten() {
    CLIENTS.into_iter().for_each(check_restart);
}

fn check_restart(client: ClientChoice) {
    let mut cluster = Cluster::embedded().read_by(client);
    let topic = topic("restart");
    admin::ensure_topic(&cluster.options, &topic, Some(1)).unwrap();
    cluster.append(&topic, 0, &[vec![Some(b"x".to_vec())]]);
    let mut watch = KafkaWatch::new(&cluster.options, &topic).unwrap();
    let mut known = watch.watch(&Extents::new(), PATIENCE).unwrap();
    assert_eq!(watch.watch(&known, Duration::from_millis(200)).unwrap(), known);
    cluster.restart(|| {
        let error = watch.watch(&known, PATIENCE).unwrap_err();
        assert!(error.retry, "{error}");
    });
    let deadline = Instant::now() + PATIENCE;
    let back = loop {
        match watch.watch(&known, Duration::from_millis(100)) {
            Ok(found) => break found,
            Err(error) => assert!(error.retry && Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(back, known);
    cluster.append(&topic, 0, &[vec![Some(b"x".to_vec())]]);
    await_ends(&mut watch, &mut known, &[2]);
}
