//! Dead letters through the real driver: whatever is killed, each fault of a record is there once, and the dead letters
//! of each batch match the faults of its progress record.

use std::collections::{BTreeMap, BTreeSet};
use tidemill_model::{FaultCounts, RecordFault};
use tidemill_testkit::{Batch, Harness, KillPoint, MemoryDeadLetters, Record, SavedDeadLetter};

const PARTITIONS: usize = 3;

const PIPELINE: &str = r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "s BIGINT, k STRING, v INT"
[sources.t.event_time]
column = "et"
expression = "CAST(s AS TIMESTAMP)"
watermark = "10 seconds"
max_event_time_ahead = "1 minute"
[query]
sql = "SELECT CAST(window.start AS BIGINT) AS s, k, count(*) AS n, sum(60 DIV v) AS q, 100 DIV (count(*) - 8) AS w FROM t GROUP BY window(et, '10 seconds'), k"
output_mode = "update"
[sinks.screen]
type = "console"
"#;

/// The records of one batch, `count` per partition; every eleventh is broken in some way.
fn records(batch: i64, count: i64) -> Vec<Record> {
    let now = 100 + batch * 100;
    let value = |number: i64| {
        let k = number % 5;
        match number % 77 {
            0 => Some("{".to_owned()),
            11 => Some(format!(r#"{{"s":{now},"k":"k{k}","v":"many"}}"#)),
            22 => Some(format!(r#"{{"k":"k{k}","v":1}}"#)),
            33 => Some(format!(r#"{{"s":{},"k":"k{k}","v":2}}"#, now - 290)),
            44 => Some(format!(r#"{{"s":{now},"k":"k{k}","v":0}}"#)),
            55 => Some(format!(r#"{{"s":{},"k":"k{k}","v":3}}"#, now + 1_000)),
            66 => None,
            _ => Some(format!(r#"{{"s":{},"k":"k{k}","v":{}}}"#, now + number % 10, 1 + number % 9)),
        }
    };
    let record = |number: i64| Record {
        partition: (number % PARTITIONS as i64) as i32,
        timestamp_ms: now * 1_000 + number,
        value: value(number).map(String::into_bytes),
        ..Record::default()
    };
    (0..count).map(record).collect()
}

/// A harness with four batches. The last is small enough for groups that fail on output.
fn harness(executors: u32) -> (Harness, MemoryDeadLetters) {
    let dead_letters = MemoryDeadLetters::default();
    let mut harness = Harness::new(PIPELINE);
    harness.topic = tidemill_testkit::Topic::new(PARTITIONS);
    harness.dead_letters = Some(dead_letters.clone());
    harness.executors = executors;
    for (batch, count) in [2_000, 3_000, 700, 49].into_iter().enumerate() {
        harness.topic.put_records(records(batch as i64, count));
    }
    (harness, dead_letters)
}

/// The result of a run: rows and dead letters of each batch.
type FinalState = (BTreeMap<u64, Vec<String>>, BTreeMap<u64, Vec<SavedDeadLetter>>);

fn left(harness: &Harness, dead_letters: &MemoryDeadLetters) -> FinalState {
    (harness.sink.batches(), dead_letters.batches())
}

/// The dead letters of each batch, counted by reason, equal its progress record's faults; none occurs twice.
fn check_counts(batches: &[Batch], dead_letters: &BTreeMap<u64, Vec<SavedDeadLetter>>) {
    for Batch { progress, .. } in batches {
        let mut counts = FaultCounts::default();
        let dead_letters = dead_letters.get(&progress.batch_id).map_or(&[][..], Vec::as_slice);
        dead_letters.iter().for_each(|letter| counts.add(letter.fault, 1));
        assert_eq!(counts, progress.tidemill.faults, "batch {}", progress.batch_id);
        let records = dead_letters.iter().filter(|letter| letter.at.is_some());
        let distinct: BTreeSet<_> = records.clone().map(|letter| (letter.at, letter.fault)).collect();
        assert_eq!(distinct.len(), records.count(), "batch {}", progress.batch_id);
    }
}

/// Runs to the end with `harm`. The result must equal that of an undisturbed run with one executor.
fn check(executors: u32, harm: impl Fn(&Harness, &MemoryDeadLetters)) -> Vec<Batch> {
    let (calm, calm_dead_letters) = harness(1);
    check_counts(&calm.run().unwrap(), &calm_dead_letters.batches());
    let (harness, dead_letters) = harness(executors);
    harm(&harness, &dead_letters);
    let batches = harness.run().unwrap();
    check_counts(&batches, &dead_letters.batches());
    let ((rows, dead_letters), (calm_rows, calm_dead_letters)) =
        (left(&harness, &dead_letters), left(&calm, &calm_dead_letters));
    assert_eq!(rows, calm_rows);
    assert_eq!(dead_letters.keys().collect::<Vec<_>>(), calm_dead_letters.keys().collect::<Vec<_>>());
    assert_eq!(dead_letters.values().flatten().count(), calm_dead_letters.values().flatten().count());
    for (letter, calm) in dead_letters.values().flatten().zip(calm_dead_letters.values().flatten()) {
        assert_eq!(letter, calm);
    }
    batches
}

#[test]
fn each_reason_is_among_them() {
    let (harness, dead_letters) = harness(1);
    harness.run().unwrap();
    let all: Vec<SavedDeadLetter> = dead_letters.batches().into_values().flatten().collect();
    let reasons: BTreeSet<RecordFault> = all.iter().map(|letter| letter.fault).collect();
    assert_eq!(reasons, RecordFault::ALL.into());
    let find = |fault: RecordFault, record: bool| {
        let found = all.iter().find(|letter| letter.fault == fault && letter.at.is_some() == record).unwrap();
        let value = found.value.as_ref().map(|value| String::from_utf8(value.clone()).unwrap());
        (found.detail.clone().unwrap_or_default(), value)
    };
    let tombstone = all.iter().find(|letter| letter.value.is_none() && letter.at.is_some()).unwrap();
    assert_eq!((tombstone.fault, tombstone.timestamp), (RecordFault::NullEventTime, Some(100_066)));
    assert_eq!(find(RecordFault::Malformed, true), (String::new(), Some("{".into())));
    let text = |value: &str| Some(value.to_owned());
    let wrong = text(r#"{"s":100,"k":"k0","v":"many"}"#);
    assert_eq!(find(RecordFault::WrongType, true), ("v does not suit INT".into(), wrong));
    let late = "event time 1969-12-31T23:56:50.000Z, watermark 1970-01-01T00:00:00.000Z";
    assert_eq!(find(RecordFault::Late, true).0, late);
    let ahead = "event time 1970-01-01T00:18:20.000Z, written 1970-01-01T00:01:40.132Z";
    let value = text(r#"{"s":1100,"k":"k2","v":3}"#);
    assert_eq!(find(RecordFault::EventTimeAhead, true), (ahead.into(), value));
    let failed = find(RecordFault::AnsiError, true);
    assert!(failed.0.starts_with("[DIVIDE_BY_ZERO]"), "{failed:?}");
    let group = find(RecordFault::AnsiError, false);
    assert!(group.0.starts_with("[DIVIDE_BY_ZERO]") && group.1.is_none(), "{group:?}");
    assert!(group.0.contains(r#"group {"window":{"start":""#) && group.0.ends_with("}"), "{group:?}");
}

#[test]
fn at_any_number_of_executors() {
    for executors in [1, 2, 4] {
        check(executors, |_, _| {});
    }
}

#[test]
fn executors_are_killed_while_they_read() {
    for executors in [1, 3] {
        let batches = check(executors, |harness, _| {
            for (partition, offset, times) in [(0, 3, 1), (1, 400, 2), (2, 900, 2), (0, 1_700, 1)] {
                harness.topic.kill_at(partition, offset, times);
            }
        });
        assert!(batches.iter().map(|batch| batch.progress.tidemill.tasks_retried).sum::<u64>() >= 6);
    }
}

#[test]
fn executors_are_killed_around_the_end_of_a_task() {
    for executors in [1, 3] {
        for death in [KillPoint::BeforeFinish, KillPoint::AfterFinish] {
            let batches = check(executors, |_, dead_letters| dead_letters.kill(death, 5));
            assert!(batches.iter().map(|batch| batch.progress.tidemill.tasks_retried).sum::<u64>() >= 5);
        }
    }
}

/// A task that kills executors is split after it wrote a file; only the files of the halves count.
#[test]
fn a_split_task_counts_once() {
    let tasks = |batches: &[Batch]| batches.iter().map(|batch| batch.progress.tidemill.tasks).sum::<u64>();
    let unsplit = tasks(&check(1, |_, _| {}));
    for executors in [1, 3] {
        let batches = check(executors, |_, dead_letters| dead_letters.kill(KillPoint::AfterFinish, 8));
        assert!(executors > 1 || tasks(&batches) > unsplit);
    }
}

#[test]
fn letters_that_cannot_be_written_are_written_later() {
    check(2, |_, dead_letters| dead_letters.refuse(3));
}

/// A record that kills every executor that decodes it, and then every one that reads it.
#[test]
fn a_poison_record_is_in_the_letters() {
    let poison = (1, 20);
    for (times, value) in [(10, Some(&br#"{"s":108,"k":"k1","v":4}"#[..])), (u32::MAX, None)] {
        let dead_letters = MemoryDeadLetters::default();
        let mut harness = Harness::new(PIPELINE);
        harness.topic = tidemill_testkit::Topic::new(2);
        harness.dead_letters = Some(dead_letters.clone());
        let record = |number: i64| Record {
            partition: (number / 64) as i32,
            timestamp_ms: 108_000,
            value: Some(format!(r#"{{"s":108,"k":"k1","v":{}}}"#, number % 9 + 1).into_bytes()),
            ..Record::default()
        };
        harness.topic.put_records((0..128).map(record).collect());
        harness.topic.kill_at(poison.0, poison.1, times);
        let batches = harness.run().unwrap();
        check_counts(&batches, &dead_letters.batches());
        let dead_letters = dead_letters.batches().remove(&0).unwrap();
        assert_eq!(dead_letters.len(), 1, "{dead_letters:?}");
        assert_eq!((dead_letters[0].at, dead_letters[0].fault), (Some(poison), RecordFault::Malformed));
        assert_eq!(dead_letters[0].value.as_deref().map(String::from_utf8_lossy), value.map(String::from_utf8_lossy));
        assert!(
            dead_letters[0].detail.as_ref().unwrap().starts_with("it killed every executor that"),
            "{dead_letters:?}"
        );
        assert_eq!(batches[0].progress.num_input_rows, 128);
        assert!(batches[0].rows[0].contains(r#""n":127"#), "{:?}", batches[0].rows);
    }
}
