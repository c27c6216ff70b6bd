//! The reference must find every kind of wrong result, or its zeros mean nothing.

use super::*;
use serde_json::json;
use tidemill_model::progress::SourceProgress;

const NOW: i64 = 1_700_000_000;

/// Two partitions with three and two records, read in two batches.
fn topic() -> Topic {
    let mut topic = Topic::default();
    let record = |seconds: i64, lines: i64| {
        json!({"timestamp": NOW + seconds, "course": "C", "activity": "coding", "lines_of_code": lines, "cpu_usage_pct": 50.0})
            .to_string()
    };
    for (partition, offset, value) in [
        (0, 0, record(1, 10)),
        (0, 1, "not json".into()),
        (0, 2, record(7, 20)),
        (1, 0, record(2, 5)),
        (1, 1, record(3, 6)),
    ] {
        topic.add(partition, offset, Some(value.as_bytes()));
    }
    topic
}

fn progress(batch_id: u64, start: [i64; 2], end: [i64; 2]) -> Progress {
    let side = |at: [i64; 2]| {
        BTreeMap::from([("t".to_owned(), BTreeMap::from([("0".to_owned(), at[0]), ("1".to_owned(), at[1])]))])
    };
    let source = SourceProgress { start_offset: side(start), end_offset: side(end), ..SourceProgress::default() };
    Progress { batch_id, sources: vec![source], ..Progress::default() }
}

fn row(start: i64, events: u64, lines: i64) -> Value {
    json!({"start": iso_millis(Millis((NOW + start) * 1_000)), "course": "C", "activity": "coding",
           "events": events, "total_loc": lines, "avg_cpu": 50.0})
}

/// The batches as the pipeline should write them.
fn right() -> [Vec<Value>; 2] {
    [vec![row(-5, 2, 15), row(0, 2, 15)], vec![row(-5, 3, 21), row(0, 4, 41), row(5, 1, 20)]]
}

fn check(written: &[Vec<Value>; 2], progress: &[Progress]) -> Verdict {
    verify(&topic(), written.iter().cloned().enumerate().map(|(id, rows)| (id as u64, rows)).collect(), progress)
}

fn both() -> [Progress; 2] {
    [progress(0, [0, 0], [2, 1]), progress(1, [2, 1], [3, 2])]
}

#[test]
fn right_results_are_right() {
    let verdict = check(&right(), &both());
    assert_eq!((verdict.produced, verdict.counted, verdict.set_aside), (5, 4, 1));
    assert_eq!(
        (verdict.lost, verdict.duplicated, verdict.rows_checked, verdict.rows_wrong),
        (0, 0, 5, 0),
        "{verdict:?}"
    );
}

#[test]
fn a_progress_record_that_a_kill_swallowed_is_filled_in() {
    let verdict = check(&right(), &both()[1..]);
    assert_eq!(verdict.rows_wrong, 0, "{verdict:?}");
}

#[test]
fn every_kind_of_wrong_is_seen() {
    let wrong = |change: &dyn Fn(&mut [Vec<Value>; 2])| {
        let mut written = right();
        change(&mut written);
        check(&written, &both())
    };
    let lost = wrong(&|written| written[1][1] = row(0, 3, 41));
    assert_eq!((lost.rows_wrong, lost.lost, lost.duplicated), (1, 1, 0));
    let twice = wrong(&|written| written[1][1] = row(0, 5, 41));
    assert_eq!((twice.rows_wrong, twice.lost, twice.duplicated), (1, 0, 1));
    let sum = wrong(&|written| written[1][1] = row(0, 4, 42));
    assert_eq!((sum.rows_wrong, sum.lost, sum.duplicated), (1, 0, 0));
    let missing = wrong(&|written| drop(written[0].remove(0)));
    assert_eq!(missing.rows_wrong, 1);
    let extra = wrong(&|written| written[0].push(row(5, 1, 20)));
    assert_eq!(extra.rows_wrong, 1);
}

#[test]
fn records_outside_every_batch_or_in_two_are_seen() {
    let verdict = check(&right(), &[progress(0, [0, 0], [2, 1]), progress(1, [2, 2], [3, 2])]);
    assert_eq!(verdict.lost, 1);
    let verdict = check(&right(), &[progress(0, [0, 0], [2, 1]), progress(1, [1, 0], [3, 2])]);
    assert_eq!(verdict.duplicated, 2);
}
