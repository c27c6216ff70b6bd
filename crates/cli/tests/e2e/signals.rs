//! The driver is asked to end, or is killed: what was committed stays, and the next run does exactly the rest.

use crate::support::{self, Dashboard, Testbed, WITH_DASHBOARD, records, until};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tidemill_kafka::admin;

const THEN: i64 = 1_700_000_000;
const SLOW: [&str; 4] =
    ["--set", "sources.logs.max_offsets_per_trigger=400", "--set", "autoscale.max_records_per_second_per_core=500"];

#[test]
fn the_first_signal_finishes_the_batch_commits_and_ends_every_child() {
    for signal in ["INT", "TERM"] {
        let testbed = Testbed::holding(records(THEN, 6_000));
        for round in 1..=2 {
            let run = testbed.start_run(&[&SLOW[..], &WITH_DASHBOARD].concat());
            let dashboard = Dashboard::of(&run);
            until("batches", || (testbed.progress().len() >= 2 * round).then_some(()));
            // A system that shuts down signals every process: executors leave it to their driver.
            let executor = dashboard.executor("a running task", |executor| executor.tasks_running > 0);
            assert!(support::signal(executor.pid, signal));
            run.signal(signal);
            let ended = run.end();
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            assert!(ended.stderr.lines().last().is_some_and(|line| line.starts_with("ended: ")), "{}", ended.stderr);
        }
        assert!(testbed.records_read() < 6_000);
        testbed.finish_exactly();
        assert_eq!(testbed.records_read(), 6_000, "each record in one batch");
        assert!(testbed.progress().iter().all(|batch| batch.tidemill.tasks_retried == 0), "{signal}");
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    let testbed = Testbed::holding(records(THEN, 1_000));
    // A task takes 25 s: the first signal alone would not end the run soon.
    let slow = ["--set", "autoscale.max_records_per_second_per_core=10"];
    let mut run = testbed.start_run(&[&slow[..], &WITH_DASHBOARD].concat());
    Dashboard::of(&run).executor("a running task", |executor| executor.tasks_running > 0);
    until("the end", || (!run.try_signal("INT")).then_some(()));
    assert_eq!(run.end().code, Some(130));
    testbed.finish_exactly();
    assert_eq!(testbed.records_read(), 1_000);
}

#[test]
fn a_killed_driver_takes_its_executors_along_and_goes_on_exactly() {
    let testbed = Testbed::holding(records(THEN, 6_000));
    for round in 1..=4 {
        let run = testbed.start_run(&[&SLOW[..], &WITH_DASHBOARD].concat());
        let dashboard = Dashboard::of(&run);
        until("batches", || (testbed.progress().len() >= 2 * round).then_some(()));
        dashboard.executor("a running task", |executor| executor.tasks_running > 0);
        let ended = run.kill();
        assert_eq!(ended.code, None, "{}", ended.stderr);
    }
    testbed.finish_exactly();
}

/// Everything acknowledged is there after a restart, and no client keeps the broker from ending.
#[test]
fn a_broker_with_many_clients_and_topics_ends_and_keeps_all() {
    const TOPICS: usize = 500;
    const CLIENTS: usize = 200;
    let testbed = Testbed::without_broker();
    let start = || {
        let args = ["broker", "--listen", testbed.address(), "--dir", "broker", "--partitions", "1"];
        let broker = testbed.start(&args);
        broker.says("broker on");
        broker
    };
    let broker = start();
    let producer: BaseProducer = testbed.kafka().config(&[], &[]).create().expect("a producer");
    for topic in 0..TOPICS {
        let name = format!("topic-{topic}");
        producer.send(BaseRecord::<(), str>::to(&name).payload("x")).map_err(|(error, _)| error).expect("a place");
    }
    producer.flush(Duration::from_secs(120)).expect("the broker acknowledges");
    drop(producer);
    let mut clients: Vec<TcpStream> =
        (0..CLIENTS).map(|_| TcpStream::connect(testbed.address()).expect("a connection")).collect();
    for client in &mut clients {
        // ApiVersions 0 without a client's name; the answer shows that the broker serves the connection.
        client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]).expect("it is sent");
        client.read_exact(&mut [0; 4]).expect("an answer");
    }
    broker.signal("TERM");
    let ended = broker.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("broker ended after"), "{}", ended.stdout);
    println!("{CLIENTS} clients, {TOPICS} topics: {}", ended.stdout.lines().last().unwrap_or_default());
    clients.iter_mut().for_each(|client| drop(client.read_to_end(&mut Vec::new())));
    let broker = start();
    for topic in 0..TOPICS {
        let extents = admin::extents(&testbed.kafka(), &format!("topic-{topic}")).expect("the topic is there");
        assert_eq!(extents.values().map(|extent| extent.end).collect::<Vec<_>>(), [1], "topic {topic}");
    }
    broker.signal("TERM");
    assert_eq!(broker.end().code, Some(0));
}
