//! Twelve ways in which scaling to zero and back goes wrong in other systems, on the real driver and a real broker: the embedded one,
//! and Apache Kafka (`TIDEMILL_TEST_KAFKA=host:port`) for what only that has: transactions, deleted records, new partitions.
//!
//! Always asked: with nothing to do no executor is started, one record is enough to start one, and every row is right.

use crate::support::{Dashboard, Process, Testbed, WITH_DASHBOARD, records, until};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;
use tidemill_kafka::{KafkaOptions, admin};

/// A day in 2023, seconds.
const THEN: i64 = 1_700_000_000;

/// Statuses, four a second, over which nothing may change.
const STATUSES: u64 = 8;

/// Records are short-lived here, and so are executors.
const QUICK: [&str; 2] = ["--set", "autoscale.executor_idle_timeout=300 milliseconds"];

/// A run with a dashboard.
struct Run {
    process: Process,
    dashboard: Dashboard,
}

impl Run {
    fn start(testbed: &Testbed, args: &[&str]) -> Run {
        let process = testbed.start_run(&[&WITH_DASHBOARD[..], &QUICK, args].concat());
        let dashboard = Dashboard::of(&process);
        Run { process, dashboard }
    }

    /// So many records are in results, nothing waits, and no executor is left. None comes by itself either.
    fn rests_at_zero(&self, records: u64) {
        let status = self.dashboard.wait("no executor, and all records processed", |status| {
            status.records == records && status.executors.is_empty() && status.executors_target == 0
        });
        let after = self.dashboard.wait("some more statuses", |now| now.uptime_ms > status.uptime_ms + STATUSES * 250);
        assert_eq!((after.records, after.executors.len()), (records, 0), "{after:?}");
        assert_eq!(after.executor_seconds, status.executor_seconds, "an executor came for nothing");
    }

    fn stop(self) {
        self.process.signal("INT");
        assert_eq!(self.process.end().code, Some(0));
    }
}

/// The address of an Apache Kafka, if one is named.
fn apache() -> Option<String> {
    let address = std::env::var("TIDEMILL_TEST_KAFKA").ok();
    if address.is_none() {
        eprintln!("skipped: TIDEMILL_TEST_KAFKA=host:port names no Apache Kafka");
    }
    address
}

/// A topic of one partition on it, which goes at the end; and a run that reads it.
struct ApacheTopic {
    kafka: KafkaOptions,
    topic: String,
    set: Vec<String>,
}

impl ApacheTopic {
    fn new(address: &str, name: &str) -> ApacheTopic {
        let (kafka, topic) = (KafkaOptions::new(address), format!("zero-{name}-{}", std::process::id()));
        admin::ensure_topic(&kafka, &topic, Some(1)).expect("the topic is made");
        let set = [format!("sources.logs.bootstrap_servers={address}"), format!("sources.logs.topic={topic}")];
        ApacheTopic { kafka, topic, set: set.into_iter().flat_map(|value| ["--set".to_owned(), value]).collect() }
    }

    fn start(&self, testbed: &Testbed) -> Run {
        let args: Vec<&str> = self.set.iter().map(String::as_str).collect();
        Run::start(testbed, &args)
    }

    fn config(&self, more: &[(&str, &str)]) -> ClientConfig {
        self.kafka.config(more, &[])
    }

    fn send(&self, partition: i32, values: impl IntoIterator<Item = String>) {
        let producer: BaseProducer = self.config(&[]).create().expect("a producer");
        put(&producer, &self.topic, partition, values);
        producer.flush(Duration::from_secs(60)).expect("the broker acknowledges");
    }

    /// A producer in a transaction that is not committed yet.
    fn transaction(&self) -> BaseProducer {
        let producer: BaseProducer = self.config(&[("transactional.id", &self.topic)]).create().expect("a producer");
        producer.init_transactions(Duration::from_secs(60)).expect("a coordinator");
        producer.begin_transaction().expect("initialised above");
        producer
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config(&[]).create().expect("an admin client")
    }
}

impl Drop for ApacheTopic {
    fn drop(&mut self) {
        let _ = admin::delete_topic(&self.kafka, &self.topic);
    }
}

fn put(producer: &BaseProducer, topic: &str, partition: i32, values: impl IntoIterator<Item = String>) {
    for value in values {
        let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("room for a few records");
    }
}

#[test]
fn z1_transaction_markers_after_the_last_record() {
    let Some(address) = apache() else { return };
    let (testbed, topic) = (Testbed::without_broker(), ApacheTopic::new(&address, "markers"));
    let run = topic.start(&testbed);
    let producer = topic.transaction();
    put(&producer, &topic.topic, 0, records(THEN, 5));
    producer.commit_transaction(Duration::from_secs(60)).expect("committed");
    // The marker is an offset without a record: it is passed over, and nobody is kept for it.
    run.rests_at_zero(5);
    run.stop();
}

#[test]
fn z2_never_committed_group() {
    let testbed = Testbed::holding(records(THEN, 40));
    let run = Run::start(&testbed, &["--set", "sources.logs.starting_offsets=latest"]);
    run.rests_at_zero(0);
    testbed.send(records(THEN + 60, 3));
    run.rests_at_zero(3);
    run.stop();
}

#[test]
fn z3_retention_deleted_records() {
    let Some(address) = apache() else { return };
    let (testbed, topic) = (Testbed::without_broker(), ApacheTopic::new(&address, "deleted"));
    topic.send(0, records(THEN, 30));
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(&topic.topic, 0, Offset::Offset(30)).expect("an offset");
    admin::wait(topic.admin().delete_records(&all, &AdminOptions::new())).expect("deleted");
    let run = topic.start(&testbed);
    // Thirty offsets below the log's start are no backlog.
    run.rests_at_zero(0);
    topic.send(0, records(THEN, 2));
    run.rests_at_zero(2);
    run.stop();
}

#[test]
fn z4_unknown_offsets() {
    let mut testbed = Testbed::without_broker();
    let run = Run::start(&testbed, &[]);
    // Nobody knows what there is to do: nobody is started, and nothing ends.
    run.dashboard.wait("it waits for the source", |status| status.activity.starts_with("waiting"));
    run.rests_at_zero(0);
    testbed.start_broker();
    testbed.send(records(THEN, 10));
    run.rests_at_zero(10);
    run.stop();
    testbed.finish_exactly();
}

#[test]
fn z5_broker_down() {
    let mut testbed = Testbed::holding(records(THEN, 10));
    let run = Run::start(&testbed, &[]);
    run.rests_at_zero(10);
    testbed.kill_broker();
    run.dashboard.wait("the loss is noticed", |status| status.activity.starts_with("waiting"));
    run.rests_at_zero(10);
    testbed.start_broker();
    testbed.send(records(THEN + 5, 7));
    run.rests_at_zero(17);
    run.stop();
    testbed.finish_exactly();
}

#[test]
fn z6_new_partition() {
    let Some(address) = apache() else { return };
    let (testbed, topic) = (Testbed::without_broker(), ApacheTopic::new(&address, "partition"));
    topic.send(0, records(THEN, 3));
    let run = topic.start(&testbed);
    run.rests_at_zero(3);
    let more = NewPartitions::new(&topic.topic, 2);
    admin::wait(topic.admin().create_partitions([&more], &AdminOptions::new())).expect("made");
    until("the new partition", || (admin::partition_count(&topic.kafka, &topic.topic).ok()?? == 2).then_some(()));
    topic.send(1, records(THEN + 1, 4));
    run.rests_at_zero(7);
    run.stop();
}

#[test]
fn z7_poison_record() {
    let testbed = Testbed::holding(records(THEN, 5));
    let run = Run::start(&testbed, &[]);
    run.rests_at_zero(5);
    testbed.send(["{ no JSON".to_owned()]);
    // It is counted, and does not come again.
    run.rests_at_zero(6);
    assert_eq!(run.dashboard.status().expect("a status").faults.malformed, 1);
    run.stop();
    testbed.finish_exactly();
}

#[test]
fn z8_commit_at_the_last_stable_offset() {
    let Some(address) = apache() else { return };
    let (testbed, topic) = (Testbed::without_broker(), ApacheTopic::new(&address, "stable"));
    topic.send(0, records(THEN, 2));
    let run = topic.start(&testbed);
    run.rests_at_zero(2);
    let producer = topic.transaction();
    put(&producer, &topic.topic, 0, records(THEN + 1, 4));
    producer.flush(Duration::from_secs(60)).expect("written, not committed");
    // What is not committed is no work.
    run.rests_at_zero(2);
    producer.commit_transaction(Duration::from_secs(60)).expect("committed");
    run.rests_at_zero(6);
    run.stop();
}

#[test]
fn z9_window_timer_due() {
    let testbed = Testbed::holding(records(THEN, 5));
    let run = Run::start(&testbed, &["--set", "query.output_mode=append"]);
    run.rests_at_zero(5);
    assert!(testbed.rows().is_empty(), "no window is closed yet");
    // Its event time closes them; the batch that brings them out has no records, and needs no executor.
    testbed.send(records(THEN + 600, 1));
    until("the closed windows", || (!testbed.rows().is_empty()).then_some(()));
    run.rests_at_zero(6);
    let without_data: Vec<_> = testbed.progress().into_iter().filter(|batch| batch.num_input_rows == 0).collect();
    assert!(without_data.iter().any(|batch| batch.sink.num_output_rows > 0), "{without_data:?}");
    run.stop();
}

#[test]
fn z10_late_window() {
    let testbed = Testbed::holding(records(THEN + 600, 5));
    let run = Run::start(&testbed, &[]);
    run.rests_at_zero(5);
    let rows = testbed.rows();
    testbed.send(records(THEN, 3));
    run.rests_at_zero(8);
    assert_eq!(run.dashboard.status().expect("a status").faults.late, 3);
    assert_eq!(testbed.rows(), rows, "what is closed stays closed");
    run.stop();
}

#[test]
fn z11_restart_at_zero() {
    let testbed = Testbed::holding(records(THEN, 10));
    let run = Run::start(&testbed, &[]);
    run.rests_at_zero(10);
    run.stop();
    let run = Run::start(&testbed, &[]);
    run.rests_at_zero(10);
    assert_eq!(run.dashboard.status().expect("a status").executor_seconds, 0.0, "nobody is needed to begin");
    testbed.send(records(THEN + 1, 1));
    run.rests_at_zero(11);
    run.stop();
    testbed.finish_exactly();
}

#[test]
fn z12_topic_recreated() {
    let testbed = Testbed::holding(records(THEN, 40));
    let run = Run::start(&testbed, &[]);
    run.rests_at_zero(40);
    admin::delete_topic(&testbed.kafka(), crate::support::TOPIC).expect("deleted");
    testbed.send(records(THEN, 4));
    // Its positions mean nothing in the new topic: it says so and ends, instead of resting at zero for ever.
    let ended = run.process.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("was the topic deleted and created again?"), "{}", ended.stderr);
}
