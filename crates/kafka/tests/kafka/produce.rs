//! The native client's producer writes every record once and in order, whatever happens to its connections.

use crate::support::{CLIENTS, Cluster, clusters, topic};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tidemill_kafka::produce::{NewRecord, Producer, producer};
use tidemill_kafka::{KafkaOptions, admin, scan};
use tidemill_model::Secret;

const PARTITIONS: i32 = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// Appends records `from` to `to` in turn, each with its number.
fn append(producer: &mut Producer, from: u64, to: u64) {
    for number in from..to {
        let value = number.to_string();
        let record = NewRecord { timestamp: number as i64, value: Some(value.as_bytes()), ..NewRecord::default() };
        let partition = (number % PARTITIONS as u64) as i32;
        while !producer.append(partition, &record, Instant::now()).expect("taken") {
            producer.poll(Duration::from_millis(5)).expect("polled");
        }
    }
}

fn settle(producer: &mut Producer) {
    let deadline = Instant::now() + PATIENCE;
    while producer.pending() > 0 {
        producer.flush(Duration::from_millis(50)).expect("flushed");
        assert!(Instant::now() < deadline, "{:?} because of {:?}", producer.counts(), producer.trouble());
    }
}

/// Checks that every record up to `end` is stored once, in order.
fn check(options: &KafkaOptions, topic: &str, end: u64) {
    let mut found: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    let scanned = scan(options, topic, |partition, _, timestamp, _, value| {
        let number = std::str::from_utf8(value.expect("a value")).expect("text").parse().expect("a number");
        assert_eq!(timestamp, number as i64);
        found.entry(partition).or_default().push(number);
        ControlFlow::Continue(())
    });
    scanned.expect("scanned");
    for (partition, numbers) in found {
        let expected = (partition as u64..end).step_by(PARTITIONS as usize);
        assert!(numbers.iter().copied().eq(expected), "partition {partition}: {numbers:?}");
    }
}

#[test]
fn records_arrive_once_and_in_order_with_every_codec() {
    for cluster in clusters().into_iter().filter(|cluster| cluster.options.client == CLIENTS[0]) {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let topic = topic(codec);
            admin::ensure_topic(&cluster.options, &topic, Some(PARTITIONS)).expect("a topic");
            let mut options = cluster.options.clone();
            // Small batches, so that each partition gets many in a row.
            for (name, value) in [("compression.type", codec), ("batch.size", "3000")] {
                options.client_options.push((name.into(), Secret::new(value)));
            }
            let mut producer = producer(&options, &topic, PARTITIONS).expect("a producer");
            append(&mut producer, 0, 20_000);
            settle(&mut producer);
            assert_eq!((producer.counts().acknowledged, producer.counts().failed), (20_000, 0));
            check(&cluster.options, &topic, 20_000);
        }
    }
}

/// Forwards bytes in both directions. A cut loses the broker's latest answer.
fn proxy(listener: TcpListener, to: SocketAddr, cuts: Arc<AtomicBool>) {
    let answers = Arc::new(AtomicU32::new(0));
    for client in listener.incoming().map_while(Result::ok) {
        let Ok(broker) = TcpStream::connect(to) else { continue };
        let (cuts, answers) = (Arc::clone(&cuts), Arc::clone(&answers));
        let pass = |mut from: TcpStream, mut to: TcpStream, may_pass: Box<dyn Fn() -> bool + Send>| {
            thread::spawn(move || {
                let mut buffer = [0; 65_536];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    if !may_pass() || to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        };
        let may_pass = move || !(cuts.load(Ordering::Relaxed) && answers.fetch_add(1, Ordering::Relaxed) % 5 == 4);
        let twin = |stream: &TcpStream| stream.try_clone().expect("a second handle");
        pass(twin(&client), twin(&broker), Box::new(|| true));
        pass(broker, client, Box::new(may_pass));
    }
}

#[test]
fn what_was_written_and_not_acknowledged_is_not_written_twice() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address");
    let mut cluster = Cluster::embedded_behind(at);
    let cuts = Arc::new(AtomicBool::new(false));
    let (broker, shared) = (cluster.address(), Arc::clone(&cuts));
    thread::spawn(move || proxy(listener, broker, shared));
    cluster.options.bootstrap_servers = at.to_string();
    let topic = topic("cut");
    admin::ensure_topic(&cluster.options, &topic, Some(PARTITIONS)).expect("a topic");
    cuts.store(true, Ordering::Relaxed);
    let mut producer = producer(&cluster.options, &topic, PARTITIONS).expect("a producer");
    for turn in 0..40 {
        append(&mut producer, turn * 30, (turn + 1) * 30);
        settle(&mut producer);
    }
    assert_eq!((producer.counts().acknowledged, producer.counts().failed), (1_200, 0));
    cuts.store(false, Ordering::Relaxed);
    check(&cluster.options, &topic, 1_200);
}

#[test]
fn a_producer_outlives_a_restart_of_the_broker() {
    let mut cluster = Cluster::embedded();
    let topic = topic("outlives");
    admin::ensure_topic(&cluster.options, &topic, Some(PARTITIONS)).expect("a topic");
    let mut producer = producer(&cluster.options, &topic, PARTITIONS).expect("a producer");
    append(&mut producer, 0, 1_000);
    settle(&mut producer);
    cluster.restart(|| {
        append(&mut producer, 1_000, 2_000);
        producer.flush(Duration::from_millis(300)).expect("waited out");
        assert_eq!(producer.pending(), 1_000);
        assert!(producer.trouble().is_some_and(|error| error.retry), "the producer tells what it waits for");
    });
    settle(&mut producer);
    check(&cluster.options, &topic, 2_000);
}

#[test]
fn what_is_not_acknowledged_in_time_is_given_up_and_the_rest_goes_on() {
    let mut cluster = Cluster::embedded();
    let topic = topic("given-up");
    admin::ensure_topic(&cluster.options, &topic, Some(PARTITIONS)).expect("a topic");
    let mut options = cluster.options.clone();
    options.client_options.push(("delivery.timeout.ms".into(), Secret::new("5000")));
    let mut producer = producer(&options, &topic, PARTITIONS).expect("a producer");
    append(&mut producer, 0, 300);
    settle(&mut producer);
    cluster.restart(|| {
        append(&mut producer, 300, 360);
        settle(&mut producer);
    });
    assert_eq!((producer.counts().acknowledged, producer.counts().failed), (300, 60));
    append(&mut producer, 300, 600);
    settle(&mut producer);
    check(&cluster.options, &topic, 600);
}
