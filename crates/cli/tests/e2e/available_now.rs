//! `run --available-now`: reads what is there once, in as many batches as needed, in each output mode.

use crate::support::{Groups, Process, Testbed, json_lines, program, records, until};
use std::io::{BufRead, BufReader};

/// The records cover 90 s of event time: none is later than the watermark's delay.
const THEN: i64 = 1_700_000_000;

/// Records in a later window, one per partition. In append mode they close the windows before.
fn closing() -> impl Iterator<Item = String> {
    records(THEN + 3_600, 4)
}

/// Runs over a topic, again without new records, and again with more. All rows must be those of the topic.
fn check(mode: &str) {
    let set = format!("query.output_mode={mode}");
    let args = ["--set", "sources.logs.max_offsets_per_trigger=300", "--set", &set, "--quiet"];
    let testbed = Testbed::holding(records(THEN, 1_000));
    testbed.run_now(&args);
    assert_eq!(testbed.records_read(), 1_000, "{mode}");
    let batches = testbed.progress().len();
    assert!(batches >= 4, "{mode}: {batches} batches");

    let ended = testbed.run_now(&args);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "{mode}: nothing new, nothing to say");
    assert_eq!(testbed.progress().len(), batches, "{mode}");

    testbed.send(records(THEN + 50, 800).chain(closing()));
    testbed.run_now(&args);
    assert_eq!(testbed.records_read(), 1_804, "{mode}");
    let mut expected = testbed.expected();
    if mode == "append" {
        // The last windows are still open; each of the others came out once.
        let open = |(start, _): &(String, String)| start.as_str() >= "2023-11-14T23:13:";
        expected.retain(|group, _| !open(group));
        let rows: u64 = testbed.progress().iter().map(|batch| batch.sink.num_output_rows).sum();
        assert_eq!(rows, expected.len() as u64);
    }
    assert_eq!(testbed.rows(), expected, "{mode}");
    if mode == "complete" {
        let last = testbed.progress().last().unwrap().sink.num_output_rows;
        assert_eq!(last, expected.len() as u64, "every batch has every group");
    }
}

#[test]
fn append() {
    check("append");
}

#[test]
fn update() {
    check("update");
}

#[test]
fn complete() {
    check("complete");
}

#[test]
fn json_rows_on_stdout_are_those_of_the_files() {
    let testbed = Testbed::holding(records(THEN, 1_000));
    let ended = testbed.run_now(&["--json"]);
    let rows: Groups = json_lines(&ended.stdout);
    assert_eq!(rows, testbed.expected());
    assert_eq!(rows, testbed.rows());
}

#[test]
fn a_reader_that_goes_away_ends_the_run_and_loses_nothing() {
    let testbed = Testbed::holding(records(THEN, 2_000));
    let mut run = program(&testbed.path(""));
    run.args(["run", "p.toml", "--json", "--progress", "progress.jsonl"]);
    run.args([
        "--set",
        "sources.logs.max_offsets_per_trigger=100",
        "--set",
        "autoscale.max_records_per_second_per_core=500",
    ]);
    let mut run = Process::start_unread(&mut run);
    let mut stdout = BufReader::new(run.take_stdout());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let read = testbed.records_read();
    assert!((100..2_000).contains(&read), "{read} records were read before the end was noticed");
    testbed.finish_exactly();
    assert_eq!(testbed.records_read(), 2_000);
}

#[test]
fn a_second_driver_on_one_checkpoint_is_refused_and_the_first_goes_on() {
    let testbed = Testbed::holding(records(THEN, 100));
    let first = testbed.start_run(&[]);
    first.says("100 records");
    // Like the next file of the first run, before it is complete.
    std::fs::write(testbed.path("rows/.batch-9.json.tmp"), "half").unwrap();
    for _ in 0..3 {
        let second = testbed.tidemill(&["run", "p.toml", "--available-now"]);
        let words = "another driver is using the checkpoint `checkpoint`; stop it first, or use another --checkpoint for this one";
        assert_eq!(second.stderr.lines().last(), Some(words));
        assert_eq!((second.code, second.stdout.as_str()), (Some(2), ""));
    }
    assert!(testbed.path("rows/.batch-9.json.tmp").exists(), "what the first one writes is not touched");
    testbed.send(records(THEN + 20, 70));
    until("the records sent later", || (testbed.records_read() == 170).then_some(()));
    first.signal("INT");
    assert_eq!(first.end().code, Some(0));
    assert_eq!(testbed.records_read(), 170);
    testbed.finish_exactly();
}
