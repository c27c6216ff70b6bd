//! Waiting in a backlog makes no record late: an hour of records in 4 partitions filled at different speeds, drained in
//! bounded batches while the number of executors changes. No record is late in its own partition, so every dropped
//! record is the fault of the cut.
//!
//! `cargo test --release -p tidemill-testkit --test backlog -- --nocapture` prints what each cut drops.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tidemill_model::Error;
use tidemill_model::random::Random;
use tidemill_model::status::Command;
use tidemill_testkit::{BeforeWrite, Cut, Harness, Record, Topic};

const PIPELINE: &str = r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "ms BIGINT, p INT"
[sources.t.event_time]
column = "et"
expression = "timestamp_millis(ms)"
watermark = "1 minute"
[query]
sql = "SELECT unix_millis(window.start) AS s, p, count(*) AS n FROM t GROUP BY window(et, '10 seconds'), p"
output_mode = "append"
[autoscale]
executor_cores = 1
[sinks.screen]
type = "console"
"#;

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
const HOUR_MS: i64 = 3_600_000;
const DELAY_MS: i64 = 60_000;
const WINDOW_MS: i64 = 10_000;
/// Gives 37 batches or more from 18,420 records.
const BUDGET: u64 = 512;
/// Greatest lateness of a record in its partition; less than the delay.
const DISORDER_MS: i64 = 55_000;
/// Executors that do not start or end within this time hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// When each partition's records are due, ms after the start: a flood for half of the hour and a tenth of it after; few
/// records; bursts every five minutes; a steady rate.
fn due() -> [Vec<i64>; 4] {
    let even = |count: i64, from: i64, until: i64| (0..count).map(move |i| from + i * (until - from) / count);
    let flood = even(9_000, 0, HOUR_MS / 2).chain(even(900, HOUR_MS / 2, HOUR_MS));
    let bursts = (0..12).flat_map(|burst| even(400, burst * 300_000 + 120_000, burst * 300_000 + 125_000));
    [flood.collect(), even(120, 0, HOUR_MS).collect(), bursts.collect(), even(3_600, 0, HOUR_MS).collect()]
}

/// The records, each at its time or up to [`DISORDER_MS`] before.
fn records() -> Vec<Record> {
    let mut random = Random::new(7);
    let mut records = Vec::new();
    for (partition, due) in due().into_iter().enumerate() {
        let mut newest = i64::MIN;
        for due in due {
            let ms = START_MS + due - random.between(0, DISORDER_MS - 1);
            assert!(ms >= newest.saturating_sub(DELAY_MS), "within the delay inside its partition");
            newest = newest.max(ms);
            let value = format!("{{\"ms\":{ms},\"p\":{partition}}}").into_bytes();
            records.push(Record {
                partition: partition as i32,
                timestamp_ms: ms,
                value: Some(value),
                ..Record::default()
            });
        }
    }
    records
}

/// Rows by window and partition.
type Counts = BTreeMap<(i64, i64), i64>;

fn expected(records: &[Record]) -> Counts {
    let mut counts = Counts::new();
    for record in records {
        let window = record.timestamp_ms.div_euclid(WINDOW_MS) * WINDOW_MS;
        *counts.entry((window, i64::from(record.partition))).or_default() += 1;
    }
    counts
}

struct Drained {
    counts: Counts,
    batches: usize,
    largest: u64,
    late: u64,
    dropped_groups: u64,
    questions: usize,
}

/// Before every twelfth batch is written, requests another number of executors and waits for it.
fn change_executors(topic: Topic, commands: Arc<OnceLock<Sender<Command>>>) -> BeforeWrite {
    Arc::new(move |_, batch| {
        if batch % 12 != 0 {
            return Ok(());
        }
        let wanted = 1 + (batch / 12 % 3) as u32;
        let commands = commands.get().expect("set before there are records");
        commands.send(Command::Pin(wanted)).expect("a driver that has a batch listens");
        let deadline = Instant::now() + PATIENCE;
        while topic.readers() != wanted as usize {
            if Instant::now() > deadline {
                return Err(Error::external(format!("{} executors instead of {wanted}", topic.readers())));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    })
}

/// Drains the records on 3, 1, 2, 3, 1 … executors, then closes every window.
fn drain(cut: Cut) -> Drained {
    let mut harness = Harness::new(PIPELINE);
    harness.topic = Topic::new(4).cut_by(cut);
    harness.executors = 3;
    harness.max_offsets_per_trigger = Some(BUDGET);
    let commands = Arc::new(OnceLock::new());
    harness.before_write = Some(change_executors(harness.topic.clone(), commands.clone()));
    let mut running = harness.start().unwrap();
    commands.set(running.commands()).expect("set once");
    harness.topic.put_records(records());
    let mut batches = running.settle().unwrap();
    let questions = harness.topic.questions();
    let last = START_MS + 2 * HOUR_MS;
    let value = format!("{{\"ms\":{last},\"p\":-1}}").into_bytes();
    harness.topic.put_records(vec![Record {
        partition: 0,
        timestamp_ms: last,
        value: Some(value),
        ..Record::default()
    }]);
    batches.extend(running.settle().unwrap());
    let late = running.stop().unwrap().faults.late;

    let mut counts = Counts::new();
    for row in batches.iter().flat_map(|batch| &batch.rows) {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let number = |name: &str| row[name].as_i64().unwrap();
        *counts.entry((number("s"), number("p"))).or_default() += number("n");
    }
    let with_data = batches.iter().map(|batch| batch.progress.num_input_rows).filter(|rows| *rows > 0);
    Drained {
        counts,
        batches: with_data.clone().count() - 1,
        largest: with_data.max().unwrap_or_default(),
        late,
        dropped_groups: batches
            .iter()
            .map(|batch| batch.progress.state_operators[0].num_rows_dropped_by_watermark)
            .sum(),
        questions,
    }
}

/// Drains with one cut, prints, and returns how many records are missing.
fn check(name: &str, cut: Cut) -> (i64, Drained) {
    let expected = expected(&records());
    let drained = drain(cut);
    let (all, counted): (i64, i64) = (expected.values().sum(), drained.counts.values().sum());
    let wrong = expected.iter().filter(|(group, count)| drained.counts.get(group) != Some(count)).count();
    println!(
        "{name:22} {:3} batches, largest {:5}: {:5} of {all} records dropped, {wrong:4} of {} results wrong, {} late, {} groups dropped; {} questions",
        drained.batches,
        drained.largest,
        all - counted,
        expected.len(),
        drained.late,
        drained.dropped_groups,
        drained.questions
    );
    (all - counted, drained)
}

#[test]
fn l4_a_backlog_is_not_lateness() {
    let (dropped, drained) = check("by timestamps", Cut::Timestamps);
    assert_eq!((dropped, drained.late, drained.dropped_groups), (0, 0, 0));
    assert_eq!(drained.counts, expected(&records()));
    assert!(drained.largest <= BUDGET, "a batch of {}", drained.largest);
    let again = drain(Cut::Timestamps);
    assert_eq!((again.counts, again.batches), (drained.counts, drained.batches));

    for (name, cut) in [("in proportion (Spark)", Cut::Share), ("equal shares", Cut::Equal(BUDGET as i64 / 4))] {
        let (dropped, drained) = check(name, cut);
        assert!(dropped > 0 && drained.dropped_groups > 0, "{name} loses records: that is what is shown here");
        assert_eq!(drained.questions, 0);
    }
}

/// A source that does not answer delays the batch; the batch is not cut in another way.
#[test]
fn l4_a_cut_waits_for_its_answer() {
    let mut harness = Harness::new(PIPELINE);
    harness.topic = Topic::new(4);
    harness.max_offsets_per_trigger = Some(BUDGET);
    harness.topic.leave_unanswered(2, Duration::ZERO);
    let mut running = harness.start().unwrap();
    harness.topic.put_records(records());
    let batches = running.settle().unwrap();
    assert!(harness.topic.questions() > 2);
    assert_eq!(batches.iter().map(|batch| batch.progress.num_input_rows).sum::<u64>(), records().len() as u64);
    let summary = running.stop().unwrap();
    assert_eq!((summary.records, summary.faults.late), (records().len() as u64, 0));
}

/// A source takes longer to fail than the half second before the next question: the run is asked to end all the same, long before the
/// source answers.
#[test]
fn a_run_whose_source_does_not_answer_ends_when_told() {
    let mut harness = Harness::new(PIPELINE);
    harness.topic = Topic::new(4);
    harness.max_offsets_per_trigger = Some(BUDGET);
    harness.topic.leave_unanswered(20, Duration::from_millis(600));
    let running = harness.start().unwrap();
    harness.topic.put_records(records());
    while harness.topic.questions() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(running.stop().unwrap().records, 0);
    assert!(harness.topic.questions() < 20);
}
