//! Loads into the embedded broker: what arrives is what the generator gives, at any number of producers.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tidemill_broker::{Broker, BrokerConfig};
use tidemill_kafka::{ClientChoice, KafkaOptions, scan};
use tidemill_load::produce::{Options, run};
use tidemill_load::records::Generator;
use tidemill_load::{Rate, records};
use tidemill_model::{Domain, Micros};

const START: Micros = Micros(1_700_000_000_000_000);

/// The clients that write.
const CLIENTS: [ClientChoice; 2] = [ClientChoice::Native, ClientChoice::Librdkafka];

fn broker_for(client: ClientChoice) -> (Broker, TempDir, KafkaOptions) {
    let (broker, dir, kafka) = broker();
    (broker, dir, KafkaOptions { client, ..kafka })
}

fn broker() -> (Broker, TempDir, KafkaOptions) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(BrokerConfig { dir: dir.path().to_owned(), ..BrokerConfig::default() }).unwrap();
    let kafka = KafkaOptions::new(broker.local_addr().to_string());
    (broker, dir, kafka)
}

fn options(kafka: &KafkaOptions, count: Option<u64>, producers: usize) -> Options {
    let records = records::Options { late: 0.1, malformed: 0.1, ..records::Options::default() };
    Options { count, producers, records, seed: 9, start_time: Some(START), ..Options::new(kafka.clone(), "t") }
}

/// Values by partition, in their order.
fn values(kafka: &KafkaOptions) -> Vec<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    let extents = scan(kafka, "t", |partition, _, timestamp, key, value| {
        assert!(timestamp > 0 && key.is_none());
        values.resize(values.len().max(partition as usize + 1), Vec::new());
        values[partition as usize].push(value.expect("a value").to_vec());
        ControlFlow::Continue(())
    });
    assert_eq!(extents.unwrap().len(), values.len(), "records in every partition");
    values
}

#[test]
fn what_arrives_is_what_the_generator_says() {
    let loads = CLIENTS.into_iter().flat_map(|client| [(client, 1, 30_001), (client, 3, 20_000)]);
    for (client, producers, count) in loads {
        let (broker, _dir, kafka) = broker_for(client);
        let options = Options { partitions: Some(3), ..options(&kafka, Some(count), producers) };
        let summary = run(&options, &options.control(), |_| {}).unwrap();
        assert_eq!((summary.sent, summary.acknowledged, summary.failed), (count, count, 0));
        let mut found: Vec<_> = values(&kafka).into_iter().flatten().collect();
        let mut expected = Vec::new();
        for producer in 0..producers as u64 {
            let generator = Generator::new(9, producer, &options.records);
            // A count is divided evenly. Without a rate, 100,000 records make a second of event time.
            for index in 0..(count - producer).div_ceil(producers as u64) {
                let mut bytes = Vec::new();
                let turn = index * producers as u64 + producer;
                generator.write(index, Micros(START.0 + turn as i64 * 10), &mut bytes);
                expected.push(bytes);
            }
        }
        found.sort_unstable();
        expected.sort_unstable();
        assert!(found == expected, "{} and {} records", found.len(), expected.len());
        broker.shutdown();
    }
}

#[test]
fn partitions_get_their_turns() {
    let (_broker, _dir, kafka) = broker();
    let options = options(&kafka, Some(1_000), 1);
    assert_eq!(run(&options, &options.control(), |_| {}).unwrap().partitions, 4);
    assert!(values(&kafka).iter().all(|values| values.len() == 250));
}

#[test]
fn a_load_is_steered_while_it_runs() {
    CLIENTS.into_iter().for_each(check_steered);
}

fn check_steered(client: ClientChoice) {
    let (_broker, _dir, kafka) = broker_for(client);
    let options = Options { rate: Rate::PerSecond(0.0), ..options(&kafka, None, 1) };
    let control = options.control();
    let sent_at = Mutex::new(Vec::new());
    let summary = thread::scope(|scope| {
        let load = scope.spawn(|| run(&options, &control, |progress| sent_at.lock().unwrap().push(progress.counters)));
        let await_sent = |records: u64| {
            while control.counters().sent < records && !load.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
        };
        thread::sleep(Duration::from_millis(100));
        assert_eq!(control.counters().sent, 0, "paused at rate 0");
        control.set_rate(Rate::PerSecond(20_000.0));
        await_sent(500);
        control.set_producers(3);
        control.set_rate(Rate::Max);
        await_sent(200_000);
        control.set_rate(Rate::PerSecond(100.0));
        await_sent(control.counters().sent + 3);
        control.stop();
        load.join().unwrap().unwrap()
    });
    assert!(summary.sent > 200_000 && summary.failed == 0, "{summary:?}");
    assert_eq!((summary.acknowledged, summary.sent), (control.counters().acknowledged, summary.acknowledged));
    assert_eq!(values(&kafka).iter().map(Vec::len).sum::<usize>() as u64, summary.sent);
    assert!(sent_at.into_inner().unwrap().is_sorted_by_key(|counters| counters.acknowledged));
}

#[test]
fn a_load_ends_after_its_time() {
    let (_broker, _dir, kafka) = broker();
    let duration = Some(Duration::from_millis(300));
    let options = Options { rate: Rate::PerSecond(1_000.0), duration, ..options(&kafka, None, 2) };
    let summary = run(&options, &options.control(), |_| {}).unwrap();
    assert_eq!((summary.sent, summary.acknowledged), (300, 300));
}

#[test]
fn wrong_options_are_the_users() {
    let (_broker, _dir, kafka) = broker();
    let first = options(&kafka, Some(1), 1);
    run(&first, &first.control(), |_| {}).unwrap();
    for (wrong, words) in [
        (Options { producers: 0, ..first.clone() }, "`producers` is 0"),
        (Options { partitions: Some(0), ..first.clone() }, "`partitions` is less than 1"),
        (Options { partitions: Some(9), ..first.clone() }, "topic `t` has 4 partitions already, not 9"),
    ] {
        let error = run(&wrong, &wrong.control(), |_| {}).unwrap_err();
        assert!(error.domain == Domain::User && error.message().starts_with(words), "{error}");
    }
}
