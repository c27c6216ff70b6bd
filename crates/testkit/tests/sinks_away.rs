//! Sinks that do not take batches for a while, in virtual time: another system is waited for as long as the run lasts, and
//! nothing is lost; a disk ends the run after a minute.

use std::sync::Arc;
use std::time::Duration;
use tidemill_model::{Error, Result};
use tidemill_os::clock;
use tidemill_testkit::{COUNT_BY_KEY, Harness, Timeline, Transcript};

/// What a run did whose sink was away.
struct Told {
    /// How it ended.
    end: Result<u64>,
    /// Virtual seconds from its start to its end.
    seconds: u64,
    notes: Vec<String>,
    harness: Harness,
}

/// Runs a driver on two batches. Its sink takes none for so many seconds. It is stopped after `stop_s`.
fn run(is_remote: bool, away_s: u64, stop_s: u64) -> Told {
    let transcript = Transcript::default();
    let seen = transcript.clone();
    let (end, seconds, harness) = Timeline::default().run(move || {
        let mut harness = Harness::new(COUNT_BY_KEY);
        (harness.remote_sinks, harness.transcript) = (is_remote, Some(seen));
        let start = clock::now();
        let away = Duration::from_secs(away_s);
        harness.before_write = Some(Arc::new(move |_, _| match clock::since(start) < away {
            true => Err(Error::transient("the lights are off")),
            false => Ok(()),
        }));
        harness.topic.put(&["{\"k\":1}", "{\"k\":2}"]);
        let driver = harness.start().expect("a right pipeline");
        clock::sleep(Duration::from_secs(5));
        harness.topic.put(&["{\"k\":1}"]);
        while clock::since(start) < Duration::from_secs(stop_s) && !driver.has_ended() {
            clock::sleep(Duration::from_millis(500));
        }
        let end = driver.stop().map(|summary| summary.batches);
        (end, clock::since(start).as_secs(), harness)
    });
    let notes = transcript.text().lines().filter_map(|line| Some(line.strip_prefix("note ")?.to_owned())).collect();
    Told { end, seconds, notes, harness }
}

fn rows(harness: &Harness) -> Vec<String> {
    harness.sink.batches().into_values().flatten().collect()
}

const ROWS: [&str; 3] = [r#"{"k":1,"n":1}"#, r#"{"k":2,"n":1}"#, r#"{"k":1,"n":2}"#];
const WAITS: &str = "sink MemorySink: the lights are off; waiting for it to come back";

#[test]
fn another_system_is_waited_for_with_one_line() {
    let told = run(true, 300, 320);
    assert_eq!(told.end.expect("it goes on"), 2);
    assert_eq!(rows(&told.harness), ROWS);
    assert_eq!(told.notes, [WAITS, "the batch was taken; the run goes on"]);
}

#[test]
fn trouble_that_passes_at_once_is_not_told() {
    let told = run(true, 1, 20);
    assert_eq!((told.end.expect("it goes on"), told.notes.len()), (2, 0), "{:?}", told.notes);
}

#[test]
fn a_run_that_waits_ends_when_told_and_the_next_one_writes_the_batch() {
    let told = run(true, 300, 100);
    assert_eq!(told.end.expect("told to end"), 0);
    assert!((100..105).contains(&told.seconds), "{} s", told.seconds);
    assert_eq!(told.notes[0], WAITS);
    assert!(told.notes.iter().any(|note| note == "batch 0 is not committed; the next start writes it again"));
    let mut harness = told.harness;
    (harness.before_write, harness.transcript) = (None, None);
    harness.run().expect("the sink is back");
    assert_eq!(rows(&harness), ROWS);
}

#[test]
fn a_disk_is_waited_for_a_minute() {
    let told = run(false, 300, 320);
    let error = told.end.expect_err("given up").to_string();
    assert_eq!(error, "sink MemorySink: the lights are off");
    assert!((60..65).contains(&told.seconds), "{} s", told.seconds);
}

/// A run that reads what is there and ends must not wait for ever either.
#[test]
fn a_run_that_ends_by_itself_waits_a_minute() {
    let seconds = Timeline::default().run(|| {
        let mut harness = Harness::new(COUNT_BY_KEY);
        harness.remote_sinks = true;
        harness.before_write = Some(Arc::new(|_, _| Err(Error::transient("the lights are off"))));
        harness.topic.put(&["{\"k\":1}"]);
        let start = clock::now();
        let driver = harness.start_bounded().expect("a right pipeline");
        while !driver.has_ended() && clock::since(start) < Duration::from_secs(200) {
            clock::sleep(Duration::from_millis(500));
        }
        driver.stop().expect_err("given up");
        clock::since(start).as_secs()
    });
    assert!((60..65).contains(&seconds), "{seconds} s");
}
