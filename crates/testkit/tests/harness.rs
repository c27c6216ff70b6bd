//! Shows the harness: the tables of rule O5, drained, as a backlog, and across restarts.

use tidemill_testkit::{Batch, Harness};

/// Counts by window of 5 s, with a delay of 10 s. Rows are event times in seconds.
fn harness(mode: &str) -> Harness {
    Harness::new(&format!(
        r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "s BIGINT"
[sources.t.event_time]
column = "et"
expression = "CAST(s AS TIMESTAMP)"
watermark = "10 seconds"
[query]
sql = "SELECT CAST(window.start AS BIGINT) AS s, count(*) AS n FROM t GROUP BY window(et, '5 seconds')"
output_mode = "{mode}"
[sinks.screen]
type = "console"
"#
    ))
}

fn put(harness: &Harness, seconds: &[i64]) {
    let values: Vec<String> = seconds.iter().map(|s| format!("{{\"s\":{s}}}")).collect();
    harness.topic.put(&values);
}

fn rows(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(|batch| batch.rows.clone()).collect()
}

fn state_rows(batches: &[Batch]) -> u64 {
    batches.last().expect("a batch was committed").progress.state_operators[0].num_rows_total
}

#[test]
fn o5_append_drained() {
    let harness = harness("append");
    let mut running = harness.start().unwrap();
    put(&harness, &[10, 11, 12, 13, 14, 15]);
    assert_eq!(rows(&running.settle().unwrap()), [""; 0]);
    put(&harness, &[25]);
    let batches = running.settle().unwrap();
    assert_eq!(rows(&batches), [r#"{"s":10,"n":5}"#]);
    assert_eq!(state_rows(&batches), 2);
    put(&harness, &[10]);
    assert_eq!(rows(&running.settle().unwrap()), [""; 0]);
    assert_eq!(running.stop().unwrap().batches, 5);
}

#[test]
fn o5_append_backlog() {
    let harness = harness("append");
    for seconds in [&[10, 11, 12, 13, 14, 15][..], &[25], &[10]] {
        put(&harness, seconds);
    }
    let batches = harness.run().unwrap();
    assert_eq!(batches.iter().map(|batch| batch.rows.len()).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(rows(&batches), [r#"{"s":10,"n":6}"#]);
}

#[test]
fn o5_append_restart() {
    let harness = harness("append");
    for (seconds, expected) in [
        (&[10, 11, 12, 13, 14, 15][..], &[][..]),
        (&[25], &[r#"{"s":10,"n":5}"#]),
        (&[10, 27, 30], &[r#"{"s":15,"n":1}"#]),
        (&[17], &[]),
        (&[40], &[r#"{"s":25,"n":2}"#]),
    ] {
        let mut running = harness.start().unwrap();
        put(&harness, seconds);
        assert_eq!(rows(&running.settle().unwrap()), expected, "{seconds:?}");
        running.stop().unwrap();
    }
    assert_eq!(harness.sink.replays(), [0; 0]);
}
