//! The topic or the broker does not exist yet, or goes away: the run says so, waits, and loses nothing.

use crate::support::{Testbed, records, until};

const THEN: i64 = 1_700_000_000;

/// Slow enough that a run is still working when something happens to it.
const SLOW: [&str; 4] =
    ["--set", "sources.logs.max_offsets_per_trigger=400", "--set", "autoscale.max_records_per_second_per_core=500"];

/// The clients; `auto` is the native one here.
const CLIENTS: [&str; 2] = ["sources.logs.client=auto", "sources.logs.client=librdkafka"];

#[test]
fn a_missing_topic_is_an_error_for_available_now() {
    let ended = Testbed::new().tidemill(&["run", "p.toml", "--available-now"]);
    let words = "topic `logs` does not exist; create it, or correct its name in the pipeline file";
    assert_eq!((ended.code, ended.stderr.lines().last()), (Some(2), Some(words)));
}

/// What appears after the start is read from its beginning, also with `latest`.
#[test]
fn a_missing_topic_is_waited_for() {
    for (offsets, client) in
        ["earliest", "latest"].into_iter().flat_map(|offsets| CLIENTS.map(|client| (offsets, client)))
    {
        let testbed = Testbed::new();
        let offsets = format!("sources.logs.starting_offsets={offsets}");
        let run = testbed.start_run(&["--set", &offsets, "--set", client]);
        run.says("does not exist yet; waiting for it");
        testbed.send(records(THEN, 300));
        until("all records", || (testbed.records_read() == 300).then_some(()));
        run.signal("TERM");
        assert_eq!(run.end().code, Some(0));
        assert_eq!(testbed.rows(), testbed.expected(), "{offsets} {client}");
    }
}

#[test]
fn latest_leaves_out_what_was_there_and_means_the_same_after_a_restart() {
    let testbed = Testbed::holding(records(THEN, 300));
    let args = ["--set", "sources.logs.starting_offsets=latest"];
    testbed.run_now(&args);
    assert_eq!(testbed.records_read(), 0);
    testbed.send(records(THEN, 20));
    testbed.run_now(&args);
    assert_eq!(testbed.records_read(), 20);
}

#[test]
fn a_broker_that_is_not_there_is_waited_for() {
    for client in CLIENTS {
        let mut testbed = Testbed::without_broker();
        let run = testbed.start_run(&["--set", client]);
        let line = run.says("waiting for it to come back");
        assert!(
            line.contains(testbed.address()) && line.contains("start it, or correct `bootstrap_servers`"),
            "{line}"
        );
        testbed.start_broker();
        run.says("the source is back");
        testbed.send(records(THEN, 300));
        until("all records", || (testbed.records_read() == 300).then_some(()));
        run.signal("INT");
        assert_eq!(run.end().code, Some(0));
        assert_eq!(testbed.rows(), testbed.expected());
    }
}

#[test]
fn a_broker_killed_in_the_middle_of_a_run_costs_nothing() {
    for client in CLIENTS {
        let mut testbed = Testbed::holding(records(THEN, 8_000));
        let run = testbed.start_run(&[&SLOW[..], &["--set", client]].concat());
        for round in 1..=2 {
            until("batches", || (testbed.progress().len() >= 3 * round).then_some(()));
            testbed.kill_broker();
            run.says("waiting for it to come back");
            testbed.start_broker();
        }
        testbed.send(records(THEN + 400, 100));
        until("all records", || (testbed.records_read() == 8_100).then_some(()));
        run.signal("INT");
        assert_eq!(run.end().code, Some(0));
        assert_eq!(testbed.rows(), testbed.expected());
    }
}

/// A run that was asked to end does not wait for a broker that does not come back.
#[test]
fn a_run_without_its_broker_ends_when_told() {
    for client in CLIENTS {
        let mut testbed = Testbed::holding(records(THEN, 8_000));
        let run = testbed.start_run(&[&SLOW[..], &["--set", client]].concat());
        until("a batch", || (!testbed.progress().is_empty()).then_some(()));
        testbed.kill_broker();
        run.says("waiting for it to come back");
        run.signal("INT");
        let ended = run.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        testbed.start_broker();
        testbed.finish_exactly();
        assert_eq!(testbed.records_read(), 8_000);
    }
}

/// It takes connections and says nothing, as one that is overloaded or behind a dead network does.
#[test]
fn a_broker_that_does_not_answer_is_waited_for() {
    for client in CLIENTS {
        let testbed = Testbed::holding(records(THEN, 300));
        let run = testbed.start_run(&["--set", client]);
        until("all records", || (testbed.records_read() == 300).then_some(()));
        testbed.signal_broker("STOP");
        run.says("waiting for it to come back");
        testbed.signal_broker("CONT");
        run.says("the source is back");
        testbed.send(records(THEN + 30, 100));
        until("all records", || (testbed.records_read() == 400).then_some(()));
        run.signal("INT");
        assert_eq!(run.end().code, Some(0));
        assert_eq!(testbed.rows(), testbed.expected());
    }
}
