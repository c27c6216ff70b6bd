//! Faulty records never stop a pipeline. Each is counted by reason, and the sums stay right.

use crate::support::{TOPIC, Testbed, records};
use serde_json::Value;
use std::ops::ControlFlow;
use tidemill_model::FaultCounts;

/// A day in 2023, seconds.
const THEN: i64 = 1_700_000_000;

/// Faults over all batches so far.
fn faults(testbed: &Testbed) -> FaultCounts {
    let mut faults = FaultCounts::default();
    testbed.progress().iter().for_each(|batch| faults.merge(&batch.tidemill.faults));
    faults
}

#[test]
fn each_kind_is_counted_and_the_rest_adds_up() {
    let wrong = [
        "",
        "{",
        "no JSON",
        "[1]x",
        r#"{"timestamp": 1700000000, "course": "course 0", "lines_of_code": "many"}"#,
        r#"{"timestamp": 1700000001, "course": "course 1", "lines_of_code": 1.5}"#,
        r#"{"timestamp": null, "course": "course 2", "lines_of_code": 3}"#,
        r#"{"course": "course 2", "lines_of_code": 3}"#,
        r#"{"timestamp": 1700000002, "lines_of_code": 3}"#,
    ];
    let testbed = Testbed::holding(records(THEN, 200).chain(wrong.map(str::to_owned)));
    testbed.finish_exactly();
    let expected = FaultCounts { malformed: 3, wrong_type: 2, null_event_time: 2, ..FaultCounts::default() };
    assert_eq!(faults(&testbed), expected);

    // Two minutes later, then a late record: its windows are closed by a watermark that is already known.
    let before = testbed.rows();
    testbed.send(records(THEN + 120, 1));
    testbed.run_now(&[]);
    testbed.send(records(THEN, 3));
    testbed.run_now(&[]);
    assert_eq!(faults(&testbed), FaultCounts { late: 3, ..expected });
    assert_eq!(testbed.rows().len(), before.len() + 2);
    assert!(before.iter().all(|(group, row)| testbed.rows()[group] == *row), "a closed window does not change");
    assert_eq!(testbed.records_read(), 213);

    // A record from the far future closes everything before it: this is reported and counted, and the run goes on.
    testbed.send(records(THEN + 1_000_000_000, 1));
    let ended = testbed.run_now(&[]);
    for words in [
        "warning: a record",
        "s ahead of the clock moved the watermark to 2055",
        "max_event_time_ahead in [sources.logs.event_time]",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    testbed.send(records(THEN + 240, 5));
    testbed.run_now(&[]);
    assert_eq!(faults(&testbed), FaultCounts { late: 8, ..expected });
    assert_eq!(testbed.records_read(), 219);
}

#[test]
fn a_share_of_wrong_records_is_counted_as_the_topic_holds_it() {
    let testbed = Testbed::new();
    let args =
        ["--topic", TOPIC, "--count", "20000", "--rate", "max", "--start-time", "1700000000", "--malformed", "20%"];
    let produced = testbed.tidemill(&[&["produce", "--bootstrap-servers", testbed.address()], &args[..]].concat());
    assert_eq!(produced.code, Some(0), "{}", produced.stderr);
    testbed.finish_exactly();
    let mut expected = FaultCounts::default();
    tidemill_kafka::scan(&testbed.kafka(), TOPIC, |_, _, _, _, value| {
        match serde_json::from_slice::<Value>(value.unwrap()) {
            Ok(row) => {
                expected.wrong_type += u64::from(row["lines_of_code"].is_string());
                expected.null_event_time += u64::from(row["timestamp"].is_null());
            }
            Err(_) => expected.malformed += 1,
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(expected.malformed > 1_000 && expected.wrong_type > 500 && expected.null_event_time > 500, "{expected:?}");
    assert_eq!(faults(&testbed), expected);
}
