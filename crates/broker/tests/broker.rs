//! Tests the broker with librdkafka: records, groups, administration, restarts, misbehaving clients.

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tidemill_broker::{Broker, BrokerConfig, StartError};

const LONG: Duration = Duration::from_secs(30);

fn start(dir: &Path) -> Broker {
    Broker::start(BrokerConfig { dir: dir.to_owned(), ..BrokerConfig::default() }).unwrap()
}

fn fresh() -> (Broker, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (start(dir.path()), dir)
}

fn client(broker: &Broker, options: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.local_addr().to_string());
    options.iter().for_each(|(key, value)| {
        config.set(*key, *value);
    });
    config
}

/// Sends `0`, `1`, … to partition 0 with timestamps 1000, 2000, …
fn produce(broker: &Broker, topic: &str, numbers: std::ops::Range<i64>, options: &[(&str, &str)]) {
    let producer: BaseProducer = client(broker, options).create().unwrap();
    for number in numbers {
        let payload = number.to_string();
        let record = BaseRecord::<(), _>::to(topic).partition(0).payload(&payload).timestamp((number + 1) * 1000);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LONG).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

fn assign(broker: &Broker, topic: &str, offset: i64, options: &[(&str, &str)]) -> BaseConsumer {
    let mut config = client(broker, options);
    config.set("group.id", "none").set("enable.auto.commit", "false").set("auto.offset.reset", "error");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

/// Reads `count` records of partition 0 and checks that the value of each is its offset.
fn consume(broker: &Broker, topic: &str, from: i64, count: i64, options: &[(&str, &str)]) {
    let consumer = assign(broker, topic, from, options);
    for offset in from..from + count {
        let message = consumer.poll(LONG).expect("a record in time").unwrap();
        assert_eq!((message.offset(), message.payload()), (offset, Some(offset.to_string().as_bytes())));
    }
}

fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    client(broker, &[]).create().unwrap()
}

/// Runs a future that librdkafka's own thread completes.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct ThreadWaker(std::thread::Thread);
    impl std::task::Wake for ThreadWaker {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(ThreadWaker(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn records_come_back_in_order_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0;
    for options in
        [&[("enable.idempotence", "true")][..], &[("compression.codec", "zstd")], &[("compression.codec", "gzip")]]
    {
        let broker = start(dir.path());
        produce(&broker, "t", written..written + 10_000, options);
        written += 10_000;
        consume(&broker, "t", 0, written, &[]);
        broker.shutdown();
    }
    let broker = start(dir.path());
    // From the middle of batches, and in pieces smaller than a batch.
    for from in [1, 777, 9_999, 10_000, 29_999] {
        consume(&broker, "t", from, (written - from).min(500), &[("fetch.message.max.bytes", "1000")]);
    }
}

#[test]
fn a_waiting_fetch_gets_what_is_appended() {
    let (broker, _dir) = fresh();
    produce(&broker, "t", 0..1, &[]);
    let consumer = assign(&broker, "t", 1, &[("fetch.wait.max.ms", "20000"), ("socket.timeout.ms", "40000")]);
    assert!(consumer.poll(Duration::from_millis(500)).is_none(), "nothing is there yet");
    produce(&broker, "t", 1..2, &[]);
    // If the fetch slept, this would take 20 seconds.
    let message = consumer.poll(Duration::from_secs(10)).expect("a record").unwrap();
    assert_eq!(message.offset(), 1);
}

#[test]
fn offsets_are_listed_for_all_partitions_and_by_time() {
    let (broker, _dir) = fresh();
    produce(&broker, "t", 0..1000, &[("batch.num.messages", "100")]);
    let consumer: BaseConsumer = client(&broker, &[("group.id", "g")]).create().unwrap();
    assert_eq!(consumer.fetch_watermarks("t", 0, LONG).unwrap(), (0, 1000));
    assert_eq!(consumer.fetch_watermarks("t", 3, LONG).unwrap(), (0, 0));
    let check = |time, expected| {
        let mut list = TopicPartitionList::new();
        for partition in 0..4 {
            list.add_partition_offset("t", partition, Offset::Offset(time)).unwrap();
        }
        let found = consumer.offsets_for_times(list, LONG).unwrap();
        assert_eq!(found.find_partition("t", 0).unwrap().offset(), expected, "at {time}");
        assert_eq!(found.find_partition("t", 3).unwrap().offset(), Offset::End);
    };
    check(0, Offset::Offset(0));
    check(1000, Offset::Offset(0));
    check(1001, Offset::Offset(1));
    check(555_000, Offset::Offset(554));
    check(1_000_001, Offset::End);
}

#[test]
fn a_group_shares_the_partitions_and_keeps_its_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path());
    let options = [("group.id", "g"), ("auto.offset.reset", "earliest"), ("session.timeout.ms", "6000")];
    let producer: BaseProducer = client(&broker, &[]).create().unwrap();
    for number in 0..400 {
        let record = BaseRecord::<(), str>::to("t").partition(number % 4).payload("x");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LONG).unwrap();
    let members: Vec<BaseConsumer> = (0..2).map(|_| client(&broker, &options).create().unwrap()).collect();
    members.iter().for_each(|member| member.subscribe(&["t"]).unwrap());
    let mut seen: BTreeMap<(i32, i64), usize> = BTreeMap::new();
    let shared = || members.iter().all(|member| member.assignment().is_ok_and(|list| list.count() == 2));
    while seen.len() < 400 || !shared() {
        for member in &members {
            if let Some(message) = member.poll(Duration::from_millis(20)) {
                let message = message.unwrap();
                *seen.entry((message.partition(), message.offset())).or_default() += 1;
            }
        }
    }
    let names = members[0].fetch_group_list(Some("g"), LONG).unwrap();
    assert_eq!(names.groups()[0].members().len(), 2);
    // Closing commits what was read.
    drop(members);
    broker.shutdown();
    let broker = start(dir.path());
    let member: BaseConsumer = client(&broker, &options).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range("t", 0, 3);
    let committed = member.committed_offsets(list, LONG).unwrap();
    assert!(committed.elements().iter().all(|element| element.offset() == Offset::Offset(100)), "{committed:?}");
    drop(member);
    let deleted = wait(admin(&broker).delete_groups(&["g"], &AdminOptions::new())).unwrap();
    assert_eq!(deleted, [Ok("g".to_owned())]);
}

#[test]
fn topics_are_made_described_grown_deleted_and_made_anew() {
    let (broker, _dir) = fresh();
    let admin = admin(&broker);
    let options = AdminOptions::new();
    let create = |name: &str, partitions, replicas, setting: Option<(&str, &str)>| {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        if let Some((key, value)) = setting {
            topic = topic.set(key, value);
        }
        wait(admin.create_topics([&topic], &options)).unwrap().remove(0).map_err(|(_, code)| code)
    };
    let partitions = |name: &str| {
        let metadata = admin.inner().fetch_metadata(Some(name), LONG).unwrap();
        metadata.topics()[0].partitions().len()
    };
    assert_eq!(create("a", 3, 1, Some(("retention.bytes", "1000000"))), Ok("a".to_owned()));
    assert_eq!(create("a", 3, 1, None), Err(RDKafkaErrorCode::TopicAlreadyExists));
    assert_eq!(create("a/b", 3, 1, None), Err(RDKafkaErrorCode::InvalidTopic));
    assert_eq!(create("b", 3, 2, None), Err(RDKafkaErrorCode::InvalidReplicationFactor));
    assert_eq!(create("b", 3, 1, Some(("cleanup.policy", "shred"))), Err(RDKafkaErrorCode::InvalidConfig));
    assert_eq!(partitions("a"), 3);
    let described =
        wait(admin.describe_configs([&ResourceSpecifier::Topic("a")], &options)).unwrap().remove(0).unwrap();
    assert_eq!(described.get("retention.bytes").unwrap().value.as_deref(), Some("1000000"));
    let grown = wait(admin.create_partitions([&NewPartitions::new("a", 5)], &options)).unwrap();
    assert_eq!(grown, [Ok("a".to_owned())]);
    assert_eq!(partitions("a"), 5);
    let shrunk = wait(admin.create_partitions([&NewPartitions::new("a", 2)], &options)).unwrap();
    assert_eq!(shrunk, [Err(("a".to_owned(), RDKafkaErrorCode::InvalidPartitions))]);

    produce(&broker, "a", 0..10, &[]);
    assert_eq!(wait(admin.delete_topics(&["a"], &options)).unwrap(), [Ok("a".to_owned())]);
    assert_eq!(create("a", 1, 1, None), Ok("a".to_owned()));
    let consumer: BaseConsumer = client(&broker, &[("group.id", "g")]).create().unwrap();
    assert_eq!(consumer.fetch_watermarks("a", 0, LONG).unwrap(), (0, 0));
}

/// A directory in the place of the list makes the write fail, as a full disk does.
#[test]
fn a_topic_is_deleted_although_the_list_of_topics_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path());
    let options = AdminOptions::new();
    produce(&broker, "kept", 0..10, &[]);
    produce(&broker, "gone", 0..10, &[]);
    let list = dir.path().join("topics");
    let before = std::fs::read(&list).unwrap();
    std::fs::remove_file(&list).unwrap();
    std::fs::create_dir_all(list.join("in the way")).unwrap();
    assert_eq!(wait(admin(&broker).delete_topics(&["gone"], &options)).unwrap(), [Ok("gone".to_owned())]);
    consume(&broker, "kept", 0, 10, &[]);
    broker.shutdown();
    // Restore the old list, as after a crash. The topic stays deleted.
    std::fs::remove_dir_all(&list).unwrap();
    std::fs::write(&list, before).unwrap();
    let broker = start(dir.path());
    let metadata = admin(&broker).inner().fetch_metadata(None, LONG).unwrap();
    assert_eq!(metadata.topics().iter().map(|topic| topic.name()).collect::<Vec<_>>(), ["kept"]);
}

fn transactional(broker: &Broker, options: &[(&str, &str)]) -> BaseProducer {
    let producer: BaseProducer = client(broker, &[&[("transactional.id", "x")], options].concat()).create().unwrap();
    producer.init_transactions(LONG).unwrap();
    producer
}

/// Sends values to partition 0 and waits until they are stored.
fn send(producer: &BaseProducer, values: &[&str]) {
    for value in values {
        producer.send(BaseRecord::<(), _>::to("t").partition(0).payload(*value)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LONG).unwrap();
}

/// Values of partition 0, up to the end that is visible with this isolation.
fn values(broker: &Broker, isolation: &str) -> Vec<String> {
    let options = [("isolation.level", isolation), ("enable.partition.eof", "true")];
    let (consumer, mut seen) = (assign(broker, "t", 0, &options), Vec::new());
    loop {
        match consumer.poll(LONG).expect("a record or the end in time") {
            Ok(message) => seen.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap()),
            Err(KafkaError::PartitionEOF(_)) => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn committed_transactions_are_seen_and_aborted_ones_are_not() {
    let (broker, dir) = fresh();
    let producer = transactional(&broker, &[]);
    let mut written = Vec::new();
    for (value, commit) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", true)] {
        producer.begin_transaction().unwrap();
        send(&producer, &[value, value]);
        if commit {
            producer.commit_transaction(LONG).unwrap()
        } else {
            producer.abort_transaction(LONG).unwrap()
        }
        written.extend([value, value]);
        assert_eq!(values(&broker, "read_uncommitted"), written);
        assert_eq!(
            values(&broker, "read_committed"),
            written.iter().copied().filter(|v| !["b", "d"].contains(v)).collect::<Vec<_>>()
        );
    }
    producer.begin_transaction().unwrap();
    send(&producer, &["f"]);
    produce(&broker, "t", 0..1, &[]);
    let committed = ["a", "a", "c", "c", "e", "e"];
    assert_eq!(values(&broker, "read_committed"), committed, "records after an open transaction are not visible");
    broker.shutdown();
    let broker = start(dir.path());
    assert_eq!(values(&broker, "read_committed"), committed, "after a restart");
    // The next producer with the same id aborts the transaction that the earlier one left open.
    let next = transactional(&broker, &[]);
    assert_eq!(values(&broker, "read_committed"), ["a", "a", "c", "c", "e", "e", "0"]);
    next.begin_transaction().unwrap();
    send(&next, &["g"]);
    next.commit_transaction(LONG).unwrap();
    assert_eq!(values(&broker, "read_committed"), ["a", "a", "c", "c", "e", "e", "0", "g"]);
}

#[test]
fn the_positions_of_a_transaction_count_when_it_is_committed() {
    let (broker, _dir) = fresh();
    produce(&broker, "t", 0..10, &[]);
    let consumer = assign(&broker, "t", 0, &[]);
    let metadata = consumer.group_metadata().unwrap();
    let committed = || {
        let mut list = TopicPartitionList::new();
        list.add_partition("t", 0);
        consumer.committed_offsets(list, LONG).unwrap().elements()[0].offset()
    };
    let producer = transactional(&broker, &[]);
    for (position, commit, expected) in [
        (3, false, Offset::Invalid),
        (4, true, Offset::Offset(4)),
        (5, false, Offset::Offset(4)),
        (6, true, Offset::Offset(6)),
    ] {
        producer.begin_transaction().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(position)).unwrap();
        producer.send_offsets_to_transaction(&list, &metadata, LONG).unwrap();
        if commit {
            producer.commit_transaction(LONG).unwrap()
        } else {
            producer.abort_transaction(LONG).unwrap()
        }
        assert_eq!(committed(), expected);
    }
}

#[test]
fn the_second_producer_of_a_name_fences_the_first() {
    let (broker, _dir) = fresh();
    let first = transactional(&broker, &[]);
    first.begin_transaction().unwrap();
    send(&first, &["lost"]);
    let second = transactional(&broker, &[]);
    second.begin_transaction().unwrap();
    send(&second, &["kept"]);
    second.commit_transaction(LONG).unwrap();
    let Err(KafkaError::Transaction(error)) = first.commit_transaction(LONG) else { panic!("it is fenced") };
    assert!(error.is_fatal(), "{error}");
    assert_eq!(values(&broker, "read_committed"), ["kept"]);
}

#[test]
fn a_transaction_that_is_left_open_is_aborted_after_its_timeout() {
    let (broker, _dir) = fresh();
    let producer = transactional(&broker, &[("transaction.timeout.ms", "1000")]);
    producer.begin_transaction().unwrap();
    send(&producer, &["left"]);
    produce(&broker, "t", 0..1, &[]);
    // The abort wakes a reader that waits.
    let consumer = assign(&broker, "t", 0, &[("isolation.level", "read_committed")]);
    let message = consumer.poll(LONG).expect("a record in time").unwrap();
    assert_eq!((message.payload(), message.offset()), (Some(&b"0"[..]), 1));
    assert!(matches!(producer.commit_transaction(LONG), Err(KafkaError::Transaction(_))));
}

#[test]
fn a_second_broker_is_refused_the_directory_and_the_port() {
    let (broker, dir) = fresh();
    let config = BrokerConfig { dir: dir.path().to_owned(), ..BrokerConfig::default() };
    assert!(matches!(Broker::start(config), Err(StartError::DirTaken(_))));
    let other = tempfile::tempdir().unwrap();
    let config = BrokerConfig { dir: other.path().to_owned(), listen: broker.local_addr(), ..BrokerConfig::default() };
    assert!(matches!(Broker::start(config), Err(StartError::PortTaken(_))));
    broker.shutdown();
    start(dir.path());
}

#[test]
fn a_client_that_misbehaves_hurts_itself_alone() {
    let (broker, _dir) = fresh();
    produce(&broker, "t", 0..10, &[]);
    let send = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(broker.local_addr()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(bytes).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // A reset also counts as an end.
        let _ = stream.read_to_end(&mut answer);
        answer
    };
    let frame = |body: &[u8]| [&(body.len() as i32).to_be_bytes()[..], body].concat();
    let check = |what: &str, bytes: &[u8]| assert_eq!(send(bytes), b"", "{what}");
    check("half a length", &[0, 0]);
    check("a negative length", &[0xff; 4]);
    check("an oversize frame", &[0x7f, 0xff, 0xff, 0xff, 1, 2, 3]);
    check("half a frame", &[0, 0, 0, 100, 1, 2, 3]);
    check("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    check("an empty frame", &frame(&[]));
    check("an unknown request", &frame(&[0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff]));
    check("an unserved request", &frame(&[0, 38, 0, 0, 0, 0, 0, 1, 0xff, 0xff]));
    check("an unknown version", &frame(&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff]));
    check("a list of two billion topics", &frame(&[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]));
    let newest = send(&frame(&[0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff]));
    assert_eq!(newest[4..10], [0, 0, 0, 7, 0, 35], "ApiVersions of an unknown version gets the supported versions");
    // Every request in every version, with each kind of garbage as body.
    for key in 0..70u8 {
        for version in 0..14u8 {
            for filler in [0u8, 1, 0x7f, 0xff] {
                let body = [&[0, key, 0, version, 0, 0, 0, 1, 0xff, 0xff][..], &[filler; 40]].concat();
                send(&frame(&body));
            }
        }
    }
    consume(&broker, "t", 0, 10, &[]);
}

/// librdkafka would wait for ever if the broker did not offer the request at all.
#[test]
fn a_consumer_of_the_new_group_protocol_is_told_that_it_is_refused() {
    let (broker, _dir) = fresh();
    produce(&broker, "t", 0..1, &[]);
    let options = [("group.id", "g"), ("group.protocol", "consumer"), ("auto.offset.reset", "earliest")];
    let consumer: BaseConsumer = client(&broker, &options).create().unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let told = consumer.poll(LONG).expect("an error in time").expect_err("no record");
    assert!(told.to_string().contains("UnsupportedVersion"), "{told}");
}

#[test]
fn connections_beyond_the_limit_are_closed_and_others_get_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let config = BrokerConfig { dir: dir.path().to_owned(), max_connections: 3, ..BrokerConfig::default() };
    let broker = Broker::start(config).unwrap();
    // ApiVersions 0 without a client id.
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let asks = |stream: &mut TcpStream| {
        let mut length = [0; 4];
        stream.write_all(&request).and_then(|()| stream.read_exact(&mut length)).is_ok()
    };
    let connect = || {
        let stream = TcpStream::connect(broker.local_addr()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    };
    let mut clients: Vec<TcpStream> = (0..3).map(|_| connect()).collect();
    assert!(clients.iter_mut().all(asks), "as many as may connect are served");
    assert!(!asks(&mut connect()), "one more is not");
    drop(clients.pop());
    let start = std::time::Instant::now();
    while !asks(&mut connect()) {
        assert!(start.elapsed() < LONG, "the place of one that left is free");
        std::thread::sleep(Duration::from_millis(10));
    }
}
