//! The Kafka sink: which records rows become, and that readers of committed records see each row once whatever is
//! killed.

use crate::support::{CLIENTS, Cluster, clusters, topic};
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int32Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tidemill_client::produce::NewRecord;
use tidemill_flow::ports::{Chunk, Read as _, RecordMetadata, Sink, SinkCommitter as _};
use tidemill_kafka::sink::{BatchWriter, Target};
use tidemill_kafka::{KafkaOptions, KafkaReader, KafkaSink, RecordsWriter, admin, scan};
use tidemill_model::diagnostic::Located;
use tidemill_model::pipeline::{Delivery, KafkaFormat, NewTopic};
use tidemill_model::{Result, Secret};
use tidemill_sql::zone::Zone;

const PARTITIONS: i32 = 3;
const ROWS: i32 = 4;

fn target(options: &KafkaOptions, delivery: Delivery) -> Target {
    let new_topic = Some(NewTopic { partitions: PARTITIONS, options: Vec::new() });
    Target { name: "out".into(), options: options.clone(), new_topic, delivery }
}

/// A sink of a query in its run.
fn begun(options: &KafkaOptions, query: &str, topic: &str, delivery: Delivery) -> Sink {
    let format = KafkaFormat::Json { key_column: None };
    let mut sink = sink(target(options, delivery), Some(topic), &format, &rows(0));
    sink.committer.begin(query).expect("begun");
    sink
}

/// Both halves of a sink for such rows.
fn sink(target: Target, topic: Option<&str>, format: &KafkaFormat, rows: &RecordBatch) -> Sink {
    let writer = RecordsWriter::new(format, topic, rows.schema_ref(), Zone::UTC);
    let writer = writer.unwrap_or_else(|unfit| panic!("{unfit:?}"));
    Sink::new(writer, KafkaSink::new(target, topic.map(str::to_owned)))
}

/// The rows of a batch: `{"n": 10 * batch_id + 0 ..}`.
fn rows(batch_id: u64) -> RecordBatch {
    let numbers = Int32Array::from_iter_values((0..ROWS).map(|row| 10 * batch_id as i32 + row));
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).expect("one column")
}

/// Checks what readers of committed records see: each row of these batches once, and nothing else.
fn check(options: &KafkaOptions, topic: &str, batches: u64, context: &str) {
    let expected = (0..batches).flat_map(|batch_id| (0..ROWS).map(move |row| 10 * batch_id as i32 + row));
    let mut expected: Vec<String> = expected.map(|number| format!("{{\"n\":{number}}}")).collect();
    expected.sort();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut found = Vec::new();
        let scanned = scan(options, topic, |_, _, _, _, value| {
            found.push(String::from_utf8(value.expect("a value").to_vec()).expect("text"));
            ControlFlow::Continue(())
        });
        scanned.expect("scanned");
        found.sort();
        // Apache Kafka answers a commit before it writes the markers that make the records visible.
        if found == expected || found.len() >= expected.len() || Instant::now() > deadline {
            assert_eq!(found, expected, "{context}");
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn written_by_native() -> Vec<Cluster> {
    clusters().into_iter().filter(|cluster| cluster.options.client == CLIENTS[0]).collect()
}

#[test]
fn a_batch_that_is_replayed_after_a_crash_is_there_once() {
    for cluster in written_by_native() {
        let topic = topic("replayed");
        let query = topic.clone();
        let mut sink = begun(&cluster.options, &query, &topic, Delivery::ExactlyOnce);
        sink.write(0, &rows(0), false).expect("written");
        sink.write(1, &rows(1), false).expect("written");
        // A crash before batch 1 is in the checkpoint.
        drop(sink);
        let mut sink = begun(&cluster.options, &query, &topic, Delivery::ExactlyOnce);
        sink.write(1, &rows(1), true).expect("written");
        sink.write(2, &rows(2), false).expect("written");
        check(&cluster.options, &topic, 3, cluster.name);
        // Another query has batches of its own.
        let mut other = begun(&cluster.options, &format!("{query}-other"), &topic, Delivery::ExactlyOnce);
        other.write(3, &rows(3), true).expect("written");
        check(&cluster.options, &topic, 4, cluster.name);
    }
}

#[test]
fn at_least_once_writes_a_replayed_batch_again() {
    for cluster in written_by_native() {
        let topic = topic("again");
        let mut sink = begun(&cluster.options, "q", &topic, Delivery::AtLeastOnce);
        sink.write(0, &rows(0), false).expect("written");
        check(&cluster.options, &topic, 1, cluster.name);
        let mut sink = begun(&cluster.options, "q", &topic, Delivery::AtLeastOnce);
        sink.write(0, &rows(0), true).expect("written");
        let ends: i64 =
            admin::extents(&cluster.options, &topic).expect("extents").values().map(|there| there.end).sum();
        assert_eq!(ends, 2 * i64::from(ROWS));
    }
}

#[test]
fn an_old_driver_is_fenced() {
    for cluster in written_by_native() {
        let topic = topic("fenced");
        let mut old = begun(&cluster.options, &topic, &topic, Delivery::ExactlyOnce);
        old.write(0, &rows(0), false).expect("written");
        let mut new = begun(&cluster.options, &topic, &topic, Delivery::ExactlyOnce);
        for attempt in 0..2 {
            let error = old.write(1, &rows(1), attempt > 0).expect_err("fenced");
            assert!(!error.retry && error.message().contains("another producer has taken over"), "{error}");
        }
        new.write(1, &rows(1), true).expect("written");
        check(&cluster.options, &topic, 2, cluster.name);
    }
}

#[test]
fn a_batch_that_fails_is_not_seen() {
    for cluster in written_by_native() {
        let topic = topic("aborted");
        let mut writer = BatchWriter::new(&target(&cluster.options, Delivery::ExactlyOnce), &topic).expect("a writer");
        writer.begin(Some(&topic)).expect("begun");
        let put = |writer: &mut BatchWriter, partition: i32| {
            writer.put(&topic, Some(partition), &NewRecord { value: Some(b"{\"n\":0}"), ..NewRecord::default() })
        };
        let mut fill = |writer: &mut BatchWriter| (0..=PARTITIONS).try_for_each(|partition| put(writer, partition));
        let error = writer.write(0, &topic, &mut fill).expect_err("there is no such partition");
        assert!(error.message().contains("names partition 3 of topic"), "{error}");
        check(&cluster.options, &topic, 0, cluster.name);
        let mut sink = begun(&cluster.options, &topic, &topic, Delivery::ExactlyOnce);
        sink.write(0, &rows(0), true).expect("written");
        check(&cluster.options, &topic, 1, cluster.name);
    }
}

/// A driver is killed while records of a batch are in the log already.
#[test]
fn an_open_transaction_is_aborted_by_the_next_run() {
    for cluster in written_by_native() {
        let topic = topic("open");
        let mut options = cluster.options.clone();
        // The producer sends as soon as the next record comes.
        for property in ["buffer.memory", "batch.size"] {
            options.client_options.push((property.into(), Secret::new("200")));
        }
        let mut writer = BatchWriter::new(&target(&options, Delivery::ExactlyOnce), &topic).expect("a writer");
        writer.begin(Some(&topic)).expect("begun");
        let (is_open, name) = (Arc::new(AtomicBool::new(false)), topic.clone());
        let told = Arc::clone(&is_open);
        thread::spawn(move || {
            writer.write(0, &name, &mut |writer| {
                for _ in 0..50 {
                    writer.put(&name, None, &NewRecord { value: Some(&[b'x'; 100]), ..NewRecord::default() })?;
                }
                told.store(true, Ordering::Relaxed);
                loop {
                    thread::park();
                }
            })
        });
        while !is_open.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        let mut sink = begun(&cluster.options, &topic, &topic, Delivery::ExactlyOnce);
        sink.write(0, &rows(0), true).expect("written");
        check(&cluster.options, &topic, 1, cluster.name);
        let ends: i64 =
            admin::extents(&cluster.options, &topic).expect("extents").values().map(|there| there.end).sum();
        assert!(ends > 40, "the aborted records are in the log: {ends}");
    }
}

/// Where a driver loses its connections for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// Its request does not arrive.
    Before,
    /// Its request arrives, the answer is lost.
    After,
}

/// Passes requests on, until the old driver has sent so many.
struct Proxy {
    /// The name of the old driver's client. Others that begin with `old` were killed before.
    name: String,
    kill: Kill,
    at: usize,
    /// Requests of the old driver.
    requests: AtomicUsize,
    is_dead: AtomicBool,
}

impl Proxy {
    fn serve(listener: &TcpListener, broker: SocketAddr, current: &dyn Fn() -> Arc<Proxy>) {
        for client in listener.incoming().map_while(std::result::Result::ok) {
            let (proxy, Ok(broker)) = (current(), TcpStream::connect(broker)) else { continue };
            let mute = Arc::new(AtomicBool::new(false));
            let (answers, to) = (broker.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
            let (shared, muted) = (Arc::clone(&proxy), Arc::clone(&mute));
            thread::spawn(move || shared.answers(answers, to, &muted));
            thread::spawn(move || proxy.requests(client, broker, &mute));
        }
    }

    fn requests(&self, mut client: TcpStream, mut broker: TcpStream, mute: &AtomicBool) {
        while let Some(frame) = frame(&mut client) {
            // Length, key, version, correlation id, then the client's name.
            let name = frame.get(14..21).unwrap_or_default();
            if name.starts_with(b"old") {
                if name != self.name.as_bytes() {
                    break;
                }
                let number = self.requests.fetch_add(1, Ordering::SeqCst);
                if number > self.at || number == self.at && self.kill == Kill::Before {
                    self.is_dead.store(true, Ordering::SeqCst);
                    break;
                }
                mute.store(number == self.at, Ordering::SeqCst);
            }
            if broker.write_all(&frame).is_err() {
                break;
            }
        }
        let _ = (client.shutdown(Shutdown::Both), broker.shutdown(Shutdown::Both));
    }

    fn answers(&self, mut broker: TcpStream, mut client: TcpStream, mute: &AtomicBool) {
        while let Some(frame) = frame(&mut broker) {
            if mute.load(Ordering::SeqCst) {
                self.is_dead.store(true, Ordering::SeqCst);
                break;
            }
            if client.write_all(&frame).is_err() {
                break;
            }
        }
        let _ = (client.shutdown(Shutdown::Both), broker.shutdown(Shutdown::Both));
    }
}

fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).ok()?;
    let length = u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize;
    frame.resize(4 + length, 0);
    from.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

#[test]
fn a_driver_that_is_killed_at_any_request_leaves_each_row_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut cluster = Cluster::embedded_behind(address);
    let new = |kill, at| {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("old{:04}", NEXT.fetch_add(1, Ordering::Relaxed));
        Arc::new(Proxy { name, kill, at, requests: AtomicUsize::new(0), is_dead: AtomicBool::new(false) })
    };
    let current = Arc::new(std::sync::Mutex::new(new(Kill::Before, usize::MAX)));
    let (broker, shared) = (cluster.address(), Arc::clone(&current));
    thread::spawn(move || {
        Proxy::serve(&listener, broker, &|| Arc::clone(&shared.lock().expect("no panic")));
    });
    cluster.options.bootstrap_servers = address.to_string();
    cluster.options.client = CLIENTS[0];
    for kill in [Kill::Before, Kill::After] {
        for at in 0.. {
            let proxy = new(kill, at);
            *current.lock().expect("no panic") = Arc::clone(&proxy);
            let topic = topic("killed");
            let mut options = cluster.options.clone();
            options.client_options.push(("client.id".into(), Secret::new(proxy.name.clone())));
            let (name, acknowledged) = (topic.clone(), Arc::new(AtomicUsize::new(0)));
            let told = Arc::clone(&acknowledged);
            let driver = thread::spawn(move || -> Result<()> {
                let mut sink = begun(&options, &name, &name, Delivery::ExactlyOnce);
                for batch_id in 0..2 {
                    sink.write(batch_id, &rows(batch_id), false)?;
                    told.store(batch_id as usize + 1, Ordering::SeqCst);
                }
                Ok(())
            });
            while !driver.is_finished() && !proxy.is_dead.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_micros(200));
            }
            let acknowledged = acknowledged.load(Ordering::SeqCst) as u64;
            // The checkpoint may lack the last batch that was written.
            let mut sink = begun(&cluster.options, &topic, &topic, Delivery::ExactlyOnce);
            for batch_id in acknowledged.saturating_sub(at as u64 % 2)..3 {
                sink.write(batch_id, &rows(batch_id), true).expect("written");
            }
            check(&cluster.options, &topic, 3, &format!("killed {kill:?} request {at}"));
            if !proxy.is_dead.load(Ordering::SeqCst) {
                assert!(at > 15, "two batches take more than {at} requests");
                break;
            }
        }
    }
}

#[test]
fn rows_with_sparks_columns_become_whole_records() {
    for cluster in written_by_native() {
        let (one, two) = (topic("one"), topic("two"));
        let format = KafkaFormat::Raw;
        let members = StructArray::from(vec![
            (
                Arc::new(Field::new("key", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("value", DataType::Binary, true)),
                Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x01"), None])) as ArrayRef,
            ),
        ]);
        let item = Arc::new(Field::new("item", members.data_type().clone(), true));
        let headers = ListArray::new(item, OffsetBuffer::from_lengths([2, 0, 0]), Arc::new(members), None);
        let columns: [(&str, ArrayRef); 6] = [
            ("Value", Arc::new(StringArray::from(vec![Some("v0"), None, Some("v2")]))),
            ("key", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"k0"), Some(b"k1"), None]))),
            ("headers", Arc::new(headers)),
            ("topic", Arc::new(StringArray::from(vec![one.as_str(), &one, &two]))),
            (
                "partition",
                Arc::new([Some(2), Some(2), None].into_iter().collect::<arrow_array::PrimitiveArray<Int32Type>>()),
            ),
            ("more", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ];
        let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
        let rows = rows.expect("six columns");
        let mut sink = sink(target(&cluster.options, Delivery::ExactlyOnce), None, &format, &rows);
        sink.committer.begin(&one).expect("begun");
        sink.write(0, &rows, false).expect("written");
        let parts = RecordMetadata { keys: true, timestamp_types: false, headers: true };
        let mut reader = KafkaReader::new(&cluster.options).expect("a reader").with_parts(parts);
        reader.open(&crate::support::range(&one, 2, 0, 2)).expect("opened");
        let mut chunk = Chunk::default();
        assert!(reader.next(&mut chunk, 10).expect("read"));
        assert_eq!((chunk.value(0), chunk.value(1)), (Some(&b"v0"[..]), None));
        assert_eq!((chunk.keys.get(0), chunk.keys.get(1)), (Some(&b"k0"[..]), Some(&b"k1"[..])));
        assert_eq!(chunk.header_ends, [2, 2]);
        assert_eq!([0, 1].map(|at| chunk.header_names.get(at)), [Some(&b"a"[..]), Some(b"b")]);
        assert_eq!([0, 1].map(|at| chunk.header_values.get(at)), [Some(&b"\x01"[..]), None]);
        reader.open(&crate::support::range(&two, 0, 0, 1)).expect("opened");
        assert!(reader.next(&mut chunk, 10).expect("read"), "{}", cluster.name);
        assert_eq!((chunk.value(0), chunk.keys.get(0)), (Some(&b"v2"[..]), None));
    }
}

/// A key goes where Java's producer sends it: `murmur2("abc")` is 479470107.
#[test]
fn a_column_becomes_the_key_of_rows_as_json() {
    for cluster in written_by_native() {
        let topic = topic("keyed");
        let key = Located::unplaced("name");
        let format = KafkaFormat::Json { key_column: Some(key) };
        let mut target = target(&cluster.options, Delivery::ExactlyOnce);
        target.new_topic = Some(NewTopic { partitions: 5, options: vec![("cleanup.policy".into(), "delete".into())] });
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None]));
        let rows = RecordBatch::try_from_iter_with_nullable([("name", names, true)]).expect("one column");
        let mut sink = sink(target, Some(&topic), &format, &rows);
        sink.committer.begin(&topic).expect("begun");
        sink.write(0, &rows, false).expect("written");
        let mut found = Vec::new();
        while found.len() < 2 {
            found.clear();
            let scanned = scan(&cluster.options, &topic, |partition, _, timestamp, key, value| {
                assert!(timestamp > 1_700_000_000_000);
                found.push((partition, key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec)));
                ControlFlow::Continue(())
            });
            scanned.expect("scanned");
        }
        found.sort();
        let expected = [
            (0, None, Some(b"{}".to_vec())),
            (479_470_107 % 5, Some(b"abc".to_vec()), Some(b"{\"name\":\"abc\"}".to_vec())),
        ];
        assert_eq!(found, expected, "{}", cluster.name);
    }
}

#[test]
fn a_missing_topic_is_the_users_to_make() {
    let cluster = Cluster::embedded().read_by(CLIENTS[0]);
    let target = Target { new_topic: None, ..target(&cluster.options, Delivery::ExactlyOnce) };
    let mut sink = KafkaSink::new(target, Some("none".into()));
    let error = sink.begin("q").expect_err("no topic");
    assert!(error.message().contains("topic `none` does not exist; create it, or write partitions = 4"), "{error}");
}
