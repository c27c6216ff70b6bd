//! Measures the memory of compaction: `compaction [KEYS]`, 1,000,000 by default, more than a pass takes.
//!
//! librdkafka, whose memory does not count, writes the keys to a compacted topic, each once. Then the broker is started again and
//! compacts. The peak of what it allocates is that of its buffers and of the map from each key to its last offset.

use peak_alloc::PeakAlloc;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tidemill_broker::{Broker, BrokerConfig};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let keys = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().expect("a number of keys"));
    let dir = tempfile::tempdir().unwrap();
    let config = |interval| BrokerConfig {
        dir: dir.path().to_owned(),
        compaction_interval: interval,
        segment_bytes: 4 << 20,
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config(PATIENCE * 100)).unwrap();
    write(&broker.local_addr().to_string(), keys);
    drop(broker);
    let broker = Broker::start(config(Duration::from_millis(500))).unwrap();
    let before = MEMORY.current_usage_as_mb();
    MEMORY.reset_peak_usage();
    let start = Instant::now();
    while !is_compacted(dir.path()) {
        assert!(start.elapsed() < PATIENCE, "nothing is compacted");
        thread::sleep(Duration::from_millis(20));
    }
    println!("figure keys {keys} keys");
    println!("figure before {before:.2} MiB");
    println!("figure peak {:.2} MiB", MEMORY.peak_usage_as_mb());
    println!("figure pass {:.2} MiB", MEMORY.peak_usage_as_mb() - before);
    drop(broker);
}

fn write(address: &str, keys: u32) {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", address).set("enable.idempotence", "true").set("linger.ms", "20");
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let topic = NewTopic::new("t", 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    let made = wait(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let producer: BaseProducer = client.create().unwrap();
    for number in 0..keys {
        let key = format!("customer-{number:012}");
        loop {
            match producer.send(BaseRecord::to("t").key(&key).payload("0123456789")) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Whether a pass has ended: the broker has noted how far it came.
fn is_compacted(dir: &Path) -> bool {
    let topics = std::fs::read_dir(dir.join("data")).unwrap();
    topics.map(|topic| topic.unwrap().path().join("0/compacted")).any(|file| file.exists())
}

/// librdkafka's own thread does the work.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
