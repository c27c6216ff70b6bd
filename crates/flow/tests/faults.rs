//! Each fault of a record as its task reports it for the dead letters, and how each record is counted: decode and fold
//! of one chunk.

use tidemill_flow::fold::{FaultyRow, Fold};
use tidemill_flow::ports::Chunk;
use tidemill_flow::records::Records;
use tidemill_model::pipeline::OnError;
use tidemill_model::{FaultCounts, Millis, Partial, RecordFault};

const WINDOWED: &str = "SELECT k, sum(10 DIV v) AS q FROM t GROUP BY window(et, '10 seconds', '5 seconds'), k";
const BY_TIME: &str = "SELECT et, count(*) AS n FROM t GROUP BY et";
const ROWS: &str = "SELECT k, 10 DIV v AS q FROM t";

const PARTS: &str = "SELECT window.end AS e, sum(10 DIV v) AS q, max(window.end) AS m FROM t WHERE k <> 'x' GROUP BY window(et, '10 seconds', '5 seconds')";
const REPEATED: &str =
    "SELECT k, 10 DIV v AS q FROM t WHERE window(et, '10 seconds', '5 seconds').start >= CAST(190 AS TIMESTAMP)";

/// The batch's timestamp.
const NOW: Millis = Millis(2_000_000);

/// The watermark of late rows, ms.
const LATE: i64 = 100_000;

/// Folds records given as `(timestamp, value)`. Returns fault counts, rows at the watermark, and the reported faults.
fn fold(sql: &str, format: &str, records: &[(i64, &str)], noting: bool) -> (FaultCounts, u64, Vec<FaultyRow>) {
    let (partial, noted) = partial(sql, format, records, noting);
    (partial.faults, partial.event_time.count, noted)
}

fn partial(sql: &str, format: &str, records: &[(i64, &str)], noting: bool) -> (Partial, Vec<FaultyRow>) {
    let text = format!(
        "[sources.t]\ntype = \"files\"\npath = \"in\"\nformat = \"{format}\"\nschema = \"s BIGINT, k STRING, v INT\"\n\
         [sources.t.event_time]\ncolumn = \"et\"\nexpression = \"CAST(s AS TIMESTAMP)\"\nwatermark = \"10 seconds\"\n\
         max_event_time_ahead = \"1 minute\"\n\
         [query]\nsql = \"{sql}\"\noutput_mode = \"update\"\n[sinks.out]\ntype = \"console\"\n",
    );
    let plan = tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).unwrap()).unwrap().branches[0].clone();
    let mut chunk = Chunk::default();
    for (offset, (timestamp, value)) in (0..).zip(records) {
        chunk.push(offset, *timestamp, Some(value.as_bytes()));
    }
    let mut fold = Fold::new(plan.clone(), OnError::Drop, plan.context(NOW), LATE);
    if noting {
        fold.note_faults();
    }
    let decoded = Records::new(&plan).decode(&chunk);
    fold.push(&decoded.batch, &decoded.faults, &chunk.timestamps).unwrap();
    let mut noted = fold.take_faulty();
    for (row, fault) in decoded.faults.iter().enumerate() {
        let unfit: Vec<&str> = decoded.unfit_columns(row).map(|field| field.name().as_str()).collect();
        noted.extend(fault.map(|fault| FaultyRow { row, fault, detail: Some(unfit.join(" ")) }));
    }
    noted.sort_by_key(|faulty| (faulty.row, faulty.fault));
    let mut partial = fold.finish();
    (partial.faults.malformed, partial.faults.wrong_type) = (decoded.malformed, decoded.wrong_type);
    assert!(partial.is_balanced(), "{sql}: {partial:?}");
    (partial, noted)
}

/// Records of a query → the reported faults as `(row, reason, detail)`, and the number of rows at the watermark.
fn check(sql: &str, format: &str, records: &[(i64, &str)], expected: &[(usize, RecordFault, &str)], timed: u64) {
    let (counts, rows, noted) = fold(sql, format, records, true);
    let shown: Vec<_> = noted.iter().map(|f| (f.row, f.fault, f.detail.clone().unwrap_or_default())).collect();
    let expected: Vec<_> = expected.iter().map(|(row, fault, detail)| (*row, *fault, (*detail).to_owned())).collect();
    assert_eq!(shown, expected, "{sql}");
    let mut sum = FaultCounts::default();
    noted.iter().for_each(|faulty| sum.add(faulty.fault, 1));
    assert_eq!((sum, rows), (counts, timed), "{sql}: what is noted is what is counted");
    let (unnoted, _, none) = fold(sql, format, records, false);
    let decoded = |fault: &RecordFault| matches!(fault, RecordFault::Malformed | RecordFault::WrongType);
    assert_eq!(unnoted, counts, "{sql}: counted alike where nobody wants notes");
    assert!(none.iter().all(|faulty| decoded(&faulty.fault)), "{none:?}");
}

use RecordFault::{AnsiError, EventTimeAhead, Late, Malformed, NullEventTime, WrongType};

/// A record with several rows is counted once: late if all its windows are, failed if one row is, filtered if no row is
/// left.
#[test]
fn a_record_of_several_rows_is_counted_once() {
    let records = [
        r#"{"s":200,"k":"a","v":1}"#,
        r#"{"s":200,"k":"a","v":0}"#,
        r#"{"s":94,"k":"a","v":1}"#,
        r#"{"s":95,"k":"a","v":1}"#,
        r#"{"k":"a","v":1}"#,
        r#"{"s":192,"k":"x","v":1}"#,
        r#"{"s":192,"k":"b","v":1}"#,
        "{",
    ]
    .map(|value| (200_000, value));
    let places = |sql: &str| {
        let (partial, _) = partial(sql, "json", &records, true);
        let left = &partial.left_out;
        (partial.rows, partial.filtered, left.ansi_error, left.late, left.null_event_time, left.malformed)
    };
    // The malformed record has no `k`.
    assert_eq!(places(PARTS), (3, 2, 1, 1, 1, 0));
    // At 192 s the window of 185 s is filtered and that of 190 s is not; at 94 s and 95 s both are.
    assert_eq!(places(REPEATED), (3, 2, 1, 0, 1, 1));
}

#[test]
fn a_record_has_each_fault_that_it_has() {
    let records = [
        r#"{"s":200,"k":"a","v":1}"#,
        "{",
        r#"{"s":200,"k":"a","v":"x"}"#,
        r#"{"k":"a","v":1}"#,
        r#"{"s":"x","k":"a","v":"y"}"#,
        r#"{"s":94,"k":"a","v":1}"#,
        r#"{"s":95,"k":"a","v":1}"#,
        r#"{"s":200,"k":"a","v":0}"#,
        r#"{"s":1,"k":"a","v":"x"}"#,
    ]
    .map(|value| (200_000, value));
    let divided = "[DIVIDE_BY_ZERO] division by zero; use nullif(divisor, 0) to get NULL instead";
    let late = |s: &str| format!("event time 1970-01-01T00:{s}.000Z, watermark 1970-01-01T00:01:40.000Z");
    check(
        WINDOWED,
        "json",
        &records,
        &[
            (1, Malformed, ""),
            (2, WrongType, "v"),
            (3, NullEventTime, ""),
            (4, WrongType, "s v"),
            (4, NullEventTime, ""),
            // Both windows of 94 s end by the watermark of 100 s; one of 95 s is still open.
            (5, Late, &late("01:34")),
            (7, AnsiError, divided),
            (8, WrongType, "v"),
            (8, Late, &late("00:01")),
        ],
        9,
    );
}

#[test]
fn l1_raw_times_are_late_at_the_watermark() {
    let records = [(100_000, r#"{"s":100}"#), (100_000, r#"{"s":101}"#), (100_000, "{}")];
    let late = "event time 1970-01-01T00:01:40.000Z, watermark 1970-01-01T00:01:40.000Z";
    check(BY_TIME, "json", &records, &[(0, Late, late)], 3);
}

#[test]
fn an_event_time_is_held_against_the_records_timestamp_or_the_batchs() {
    let ahead =
        |s: &str, written: &str| format!("event time 1970-01-01T00:{s}.000Z, written 1970-01-01T00:{written}.000Z");
    let records = [
        (240_000, r#"{"s":300,"k":"a","v":1}"#),
        (239_999, r#"{"s":300,"k":"a","v":0}"#),
        (-1, r#"{"s":2060,"k":"a","v":1}"#),
        (-1, r#"{"s":2061,"k":"a","v":1}"#),
        (0, r#"{"k":"a","v":1}"#),
    ];
    let first = "event time 1970-01-01T00:05:00.000Z, written 1970-01-01T00:03:59.999Z";
    let second = ahead("34:21", "33:20");
    let expected = [(1, EventTimeAhead, first), (3, EventTimeAhead, second.as_str())];
    // A query that does not use the time also refuses them, and expressions on them do not fail.
    check(ROWS, "json", &records, &expected, 3);
    check(WINDOWED, "json", &records, &[&expected[..], &[(4, NullEventTime, "")]].concat(), 3);
}

/// Each query over the same ten records: how many reach a group or the output, how many are filtered, and why the
/// others are left out.
#[test]
fn every_record_is_accounted_for() {
    let good = r#"{"s":200,"k":"a","v":1}"#;
    let records: Vec<(i64, &str)> = [
        good,
        "{",
        r#"{"k":"a","v":1}"#,
        r#"{"k":"b","v":1}"#,
        r#"{"k":"b","v":0}"#,
        r#"{"s":1,"k":"a","v":1}"#,
        r#"{"s":300,"k":"a","v":1}"#,
        r#"{"s":200,"k":"a","v":0}"#,
        r#"{"s":200,"k":"b","v":1}"#,
        r#"{"s":9223372036854,"k":"a","v":1}"#,
    ]
    .map(|value| (200_000, value))
    .to_vec();
    // A column other than the watermark's: "the window's time is not NULL" becomes a filter below the watermark.
    const SAME_TIME: &str = "FROM t WHERE v >= 0 GROUP BY window(CAST(s AS TIMESTAMP), '10 seconds')";
    for (sql, rows, filtered, left_out) in [
        ("SELECT k, v FROM t", 8, 0, vec![(EventTimeAhead, 2)]),
        ("SELECT k, v FROM t WHERE k = 'a'", 4, 4, vec![(EventTimeAhead, 2)]),
        ("SELECT k, 1 DIV v AS q FROM t", 6, 0, vec![(AnsiError, 2), (EventTimeAhead, 2)]),
        ("SELECT k, count(*) AS n FROM t GROUP BY k", 8, 0, vec![(EventTimeAhead, 2)]),
        (
            "SELECT k, sum(1 DIV v) AS q FROM t GROUP BY window(et, '10 seconds'), k",
            2,
            0,
            vec![(Malformed, 1), (NullEventTime, 3), (Late, 1), (AnsiError, 1), (EventTimeAhead, 2)],
        ),
        (
            "SELECT k, count(*) AS n FROM t WHERE k = 'a' GROUP BY window(et, '10 seconds', '3 seconds'), k",
            2,
            4,
            vec![(NullEventTime, 1), (Late, 1), (EventTimeAhead, 2)],
        ),
        (&format!("SELECT count(*) AS n {SAME_TIME}"), 4, 1, vec![(NullEventTime, 3), (EventTimeAhead, 2)]),
        (&format!("SELECT count(*) AS n {}", SAME_TIME.replace("v >= 0", "k = 'b'")), 1, 7, vec![(NullEventTime, 2)]),
        (
            &format!("SELECT count(*) AS n {}", SAME_TIME.replace("v >= 0", "1 DIV v > 0")),
            3,
            1,
            vec![(NullEventTime, 2), (AnsiError, 2), (EventTimeAhead, 2)],
        ),
        (
            &format!("SELECT count(*) AS n {}", SAME_TIME.replace("v >= 0", "s IS NOT NULL")),
            4,
            4,
            vec![(EventTimeAhead, 2)],
        ),
        (
            "SELECT k, sum(1 DIV v) AS q FROM t GROUP BY window(et, '10 seconds'), k HAVING window.start < '1970-01-01'",
            2,
            1,
            vec![(Malformed, 1), (NullEventTime, 3), (Late, 1), (EventTimeAhead, 2)],
        ),
        ("SELECT et, sum(1 DIV v) AS q FROM t GROUP BY et", 5, 0, vec![(Late, 1), (AnsiError, 2), (EventTimeAhead, 2)]),
    ] {
        let mut expected = FaultCounts::default();
        left_out.into_iter().for_each(|(fault, count)| expected.add(fault, count));
        let (partial, noted) = partial(sql, "json", &records, true);
        assert_eq!((partial.rows, partial.filtered, partial.left_out), (rows, filtered, expected), "{sql}");
        for fault in [NullEventTime, Late, AnsiError, EventTimeAhead] {
            let notes = noted.iter().filter(|faulty| faulty.fault == fault).count() as u64;
            assert_eq!(notes, expected.get(fault), "{sql}: {}", fault.name());
        }
    }
}

/// Two valid records of one chunk whose times are as far apart as possible.
#[test]
fn w6_times_at_both_ends_share_a_chunk() {
    let ends = ["-9000000000000", "9000000000000", "200", "-9223372036854", "9223372036854"];
    let records: Vec<String> = ends.iter().map(|s| format!(r#"{{"s":{s},"k":"a","v":1}}"#)).collect();
    let records: Vec<(i64, &str)> = records.iter().map(|record| (i64::MAX, record.as_str())).collect();
    // The last two are in no window: its bounds exceed the 64-bit range.
    for (width, slide) in [("10 seconds", "5 seconds"), ("10 seconds", "3 seconds"), ("1 day", "1 day")] {
        let sql = format!("SELECT count(*) AS n FROM t GROUP BY window(et, '{width}', '{slide}')");
        let (partial, _) = partial(&sql, "json", &records, false);
        assert_eq!((partial.rows, partial.left_out.late, partial.left_out.ansi_error), (2, 1, 2), "{sql}");
    }
}

#[test]
fn values_of_csv_that_do_not_suit() {
    let records = [(200_000, "200,a,1"), (200_000, "200,a,x"), (200_000, "x,a"), (200_000, "200,a,,more")];
    let expected = [(1, WrongType, "v"), (2, WrongType, "s v"), (2, NullEventTime, "")];
    check(WINDOWED, "csv", &records, &expected, 4);
}
