//! Benchmark with librdkafka: records per second in and out, and the broker's own CPU time: `throughput [RECORDS]`.
//!
//! The broker is a separate process (this program with the argument `broker DIR`), so that its CPU time is separate
//! from the clients'. An idempotent producer writes records of 250 bytes, uncompressed, to four partitions.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidemill_broker::{Broker, BrokerConfig};

const PARTITIONS: i32 = 4;
const RECORD_BYTES: usize = 250;
const LONG: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["broker", dir] => {
            let broker = Broker::start(BrokerConfig { dir: dir.into(), ..BrokerConfig::default() }).unwrap();
            println!("{}", broker.local_addr());
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        ["--help"] => println!("throughput [RECORDS]"),
        [] => measure(4_000_000),
        [count, ..] => measure(count.parse().expect("a number of records")),
    }
}

fn measure(count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["broker", dir.path().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let phase = |name: &str, run: &dyn Fn()| {
        let (begin, cpu) = (Instant::now(), cpu_seconds(child.id()));
        run();
        let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds(child.id()) - cpu);
        let millions = count as f64 / 1e6;
        println!("figure {name}_records_per_s {:.0} records/s", count as f64 / wall);
        println!("figure {name}_bytes_per_s {:.1} MB/s", millions * RECORD_BYTES as f64 / wall);
        println!("figure {name}_cpu_per_million {:.3} CPU-s of the broker", cpu / millions);
    };
    phase("in", &|| produce(address.trim(), count));
    phase("out", &|| consume(address.trim(), count));
    let before = cpu_seconds(child.id());
    std::thread::sleep(Duration::from_secs(5));
    println!("figure idle {:.3} CPU-s in 5 s", cpu_seconds(child.id()) - before);
    drop(child.stdin.take());
    child.wait().unwrap();
}

fn produce(address: &str, count: usize) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("batch.num.messages", "10000")
        .create()
        .unwrap();
    let payload = [b'x'; RECORD_BYTES];
    for number in 0..count {
        let mut record = BaseRecord::<(), [u8]>::to("t").partition(number as i32 % PARTITIONS).payload(&payload);
        while let Err((_, back)) = producer.send(record) {
            record = back;
            producer.poll(Duration::from_millis(5));
        }
        if number % 10_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(LONG).unwrap();
}

fn consume(address: &str, count: usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("t", partition, Offset::Offset(0)).unwrap();
    }
    consumer.assign(&list).unwrap();
    for _ in 0..count {
        let message = consumer.poll(LONG).expect("a record").unwrap();
        assert_eq!(message.payload().map(<[u8]>::len), Some(RECORD_BYTES));
    }
}

/// User and system time of a process (Linux; 0 elsewhere).
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    // A tick is 10 ms on every Linux.
    ticks / 100.0
}
