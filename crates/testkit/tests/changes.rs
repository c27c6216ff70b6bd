//! The changes of a query that a checkpoint survives: those that Spark's guide allows ("Recovery semantics after
//! changes in a streaming query"). Changes that the guide forbids are refused, with the lines that differ.

use std::sync::Arc;
use tidemill_checkpoint::inspect;
use tidemill_model::Error;
use tidemill_testkit::Harness;

const PIPELINE: &str = r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "s BIGINT, k STRING, v BIGINT"
[sources.t.event_time]
column = "et"
expression = "CAST(s AS TIMESTAMP)"
watermark = "10 seconds"
[query]
sql = "SELECT k, count(*) AS n, sum(v) AS total FROM t WHERE v > 0 GROUP BY window(et, '10 seconds'), k"
output_mode = "update"
trigger = "as soon as possible"
[sinks.screen]
type = "console"
"#;

const STATELESS: &str = "SELECT k, v FROM t WHERE v > 0";

/// A pipeline that has run.
fn ran(pipeline: String) -> Harness {
    let harness = Harness::new(&pipeline);
    harness.topic.put(&[r#"{"s":21,"k":"a","v":1}"#, r#"{"s":22,"k":"b","v":2}"#]);
    harness.run().unwrap();
    harness
}

/// Replaces texts of a pipeline and continues.
fn go_on(mut harness: Harness, change: &[(&str, &str)]) -> tidemill_model::Result<Vec<String>> {
    for (from, to) in change {
        assert!(harness.pipeline.contains(from), "{from}");
        harness.pipeline = harness.pipeline.replace(from, to);
    }
    harness.topic.put(&[r#"{"s":23,"k":"a","v":-4}"#, r#"{"s":24,"k":"a","v":8}"#]);
    let batches = harness.run()?;
    Ok(batches.iter().flat_map(|batch| batch.rows.clone()).collect())
}

/// An allowed change → the rows of the next batch.
fn allowed(change: (&str, &str), expected: &[&str]) {
    let rows = go_on(ran(PIPELINE.into()), &[change]).unwrap_or_else(|error| panic!("{change:?}: {error}"));
    assert_eq!(rows, expected, "{change:?}");
}

/// A refused change → the lines in the message.
fn refused(change: (&str, &str), lines: &[&str]) {
    let error = go_on(ran(PIPELINE.into()), &[change]).expect_err(&format!("{change:?} was accepted"));
    assert_eq!(error.exit_code(), 2, "{error}");
    let named: Vec<&str> = error.message().lines().map(str::trim).filter(|line| line.starts_with(['-', '+'])).collect();
    assert_eq!(named, lines, "{change:?}");
}

#[test]
fn r_changes_that_a_state_survives() {
    allowed(("v > 0", "v > 0"), &[r#"{"k":"a","n":2,"total":9}"#]);
    allowed(("v > 0", "v > -9"), &[r#"{"k":"a","n":3,"total":5}"#]);
    allowed(("WHERE v > 0", ""), &[r#"{"k":"a","n":3,"total":5}"#]);
    allowed(("v > 0", "v > 0 AND s < 24"), &[]);
    allowed(("v > 0", "v > 0 AND et > TIMESTAMP '1970-01-01 00:00:00'"), &[r#"{"k":"a","n":2,"total":9}"#]);
    allowed(("sum(v) AS total", "sum(v) + 1 AS more"), &[r#"{"k":"a","n":2,"more":10}"#]);
    allowed(("SELECT k,", "SELECT"), &[r#"{"n":2,"total":9}"#]);
    allowed(("'10 seconds'), k", "'10 seconds'), k HAVING count(*) > 2"), &[]);
    allowed(("watermark = \"10 seconds\"", "watermark = \"1 minute\""), &[r#"{"k":"a","n":2,"total":9}"#]);
    allowed(("watermark = \"10 seconds\"", ""), &[r#"{"k":"a","n":2,"total":9}"#]);
    allowed(("topic = ", "max_offsets_per_trigger = 1\ntopic = "), &[r#"{"k":"a","n":2,"total":9}"#]);
    allowed(("as soon as possible", "5 seconds"), &[r#"{"k":"a","n":2,"total":9}"#]);
    allowed(("type = \"console\"", "type = \"console\"\njson = true"), &[r#"{"k":"a","n":2,"total":9}"#]);
    allowed(("schema = \"", "schema = \"unused INT, "), &[r#"{"k":"a","n":2,"total":9}"#]);
    allowed(("[sources.t]", "session_time_zone = \"Europe/Paris\"\n[sources.t]"), &[r#"{"k":"a","n":2,"total":9}"#]);
}

#[test]
fn r_changes_that_a_state_does_not_survive() {
    refused(
        ("'10 seconds'), k", "'20 seconds'), k"),
        &["- window       et, 10 s wide, every 10 s, from 0 µs", "+ window       et, 20 s wide, every 20 s, from 0 µs"],
    );
    refused(("'10 seconds'), k", "'10 seconds'), k, v"), &["+ key          v BIGINT = v"]);
    refused(("k STRING", "k INT"), &["- key          k STRING = k", "+ key          k INT = k"]);
    refused(("sum(v)", "max(v)"), &["- aggregate    sum(v): BIGINT", "+ aggregate    max(v): BIGINT"]);
    refused(("sum(v) AS total", "sum(v) AS total, min(v) AS least"), &["+ aggregate    min(v): BIGINT"]);
    refused((", sum(v) AS total", ""), &["- aggregate    sum(v): BIGINT"]);
    refused(("v BIGINT", "v DOUBLE"), &["- aggregate    sum(v): BIGINT", "+ aggregate    sum(v): DOUBLE"]);
    refused(
        ("count(*) AS n, sum(v) AS total", "sum(v) AS total, count(*) AS n"),
        &[
            "- aggregate    count(*): BIGINT",
            "- aggregate    sum(v): BIGINT",
            "+ aggregate    sum(v): BIGINT",
            "+ aggregate    count(*): BIGINT",
        ],
    );
    refused(("\"update\"", "\"complete\""), &["- mode         update", "+ mode         complete"]);
}

/// The type of what an aggregate compares or hashes is part of its state, even if its result does not show it.
#[test]
fn r_the_type_of_what_is_compared_or_hashed_may_not_change() {
    let check = |call: &str, name: &str| {
        let pipeline = PIPELINE.replace("sum(v)", call);
        let error = go_on(ran(pipeline), &[("v BIGINT", "v INT")]).expect_err(call);
        let lines = [format!("- aggregate    {name} of BIGINT"), format!("+ aggregate    {name} of INT")];
        assert!(lines.iter().all(|line| error.message().contains(line)), "{error}");
    };
    check("max_by(k, v)", "max_by(k, v): STRING");
    check("approx_count_distinct(v)", "approx_count_distinct(v) in 2^9 registers: BIGINT");
}

/// Days differ between zones.
#[test]
fn r_the_zone_may_not_change_under_keys_of_its_clock() {
    let pipeline = || PIPELINE.replace("'10 seconds'), k", "'10 seconds'), k, to_date(et)");
    let zone = ("[sources.t]", "session_time_zone = \"Europe/Paris\"\n[sources.t]");
    let error = go_on(ran(pipeline()), &[zone]).expect_err("the zone has changed");
    let lines = [
        "- key          key DATE = CAST(et AS DATE)",
        "+ key          key DATE = CAST(et AS DATE) by the clock of Europe/Paris",
    ];
    let named: Vec<&str> = error.message().lines().map(str::trim).filter(|line| line.contains("DATE")).collect();
    assert_eq!(named, lines);
}

#[test]
fn r_changes_of_the_input() {
    let mut harness = ran(PIPELINE.into());
    harness.description = "Topic[another]".into();
    let error = go_on(harness, &[]).unwrap_err();
    assert!(error.message().contains("- input        Topic\n  + input        Topic[another]"), "{error}");
}

/// A start that failed before its first batch, on a wrong directory perhaps, binds the checkpoint to nothing.
#[test]
fn before_its_first_batch_a_checkpoint_takes_any_query() {
    let mut harness = Harness::new(PIPELINE);
    harness.description = "Topic[misspelt]".into();
    assert!(harness.run().unwrap().is_empty());
    harness.description = "Topic".into();
    let rows = go_on(harness, &[("'10 seconds'), k", "'20 seconds'), k, v")]).unwrap();
    assert_eq!(rows, [r#"{"k":"a","n":1,"total":8}"#]);
}

#[test]
fn r_a_stateless_query_may_change_but_not_get_a_state() {
    let pipeline = || PIPELINE.replace(sql(PIPELINE), STATELESS);
    let rows = go_on(ran(pipeline()), &[("k, v", "v * 2 AS w"), ("\"update\"", "\"append\"")]).unwrap();
    assert_eq!(rows, [r#"{"w":16}"#]);
    let error = go_on(ran(pipeline()), &[(STATELESS, sql(PIPELINE))]).unwrap_err();
    assert!(error.message().contains("+ aggregate    count(*): BIGINT"), "{error}");
    let error = go_on(ran(PIPELINE.into()), &[(sql(PIPELINE), STATELESS)]).unwrap_err();
    assert!(error.message().contains("- aggregate    count(*): BIGINT"), "{error}");
}

/// Two plans are logged and not committed when the delay changes: they keep their watermarks.
#[test]
fn m3_a_replay_has_the_watermark_that_was_logged() {
    let mut harness = Harness::new(PIPELINE);
    let disk = harness.disk.clone();
    let logged = move || inspect(&*disk).is_ok_and(|found| found.recovered.replay.len() == 2);
    harness.before_write = Some(Arc::new(move |_, batch| match batch {
        0 => Ok(()),
        _ => {
            while !logged() {
                std::thread::yield_now();
            }
            Err(Error::external("the sink is full; free some space"))
        }
    }));
    for second in [21, 50, 70] {
        harness.topic.put(&[format!("{{\"s\":{second},\"k\":\"a\",\"v\":1}}")]);
    }
    assert!(harness.run().unwrap_err().message().contains("the sink is full"));
    harness.before_write = None;
    harness.pipeline = harness.pipeline.replace("\"10 seconds\"", "\"1 minute\"");
    let batches = harness.run().unwrap();
    let watermarks: Vec<&str> = batches.iter().map(|batch| batch.progress.event_time["watermark"].as_str()).collect();
    assert_eq!(watermarks, ["1970-01-01T00:00:11.000Z", "1970-01-01T00:00:40.000Z"]);
    assert_eq!(batches[1].progress.state_operators[0].num_rows_removed, 1);
}

fn sql(pipeline: &str) -> &str {
    let line = pipeline.lines().find(|line| line.starts_with("sql")).expect("a query");
    line.trim_start_matches("sql = ").trim_matches('"')
}

/// A batch that takes the state beyond its limit is not committed; with a higher limit it runs again.
#[test]
fn a_state_beyond_its_bound_is_refused() {
    let mut harness = Harness::new(&format!("{PIPELINE}[state]\nmemory_max = \"1 KB\"\n"));
    let records: Vec<String> = (0..40).map(|key| format!(r#"{{"s":21,"k":"{key}","v":1}}"#)).collect();
    harness.topic.put(&records.iter().map(String::as_str).collect::<Vec<_>>());
    let error = harness.run().unwrap_err();
    let message = " MB for 40 groups, and `memory_max` of [state] allows 0.001: give the query a watermark";
    assert!(error.message().contains(message), "{error}");
    harness.pipeline = harness.pipeline.replace("1 KB", "1 MB");
    let batches = harness.run().unwrap();
    assert_eq!(batches[0].rows.len(), 40);
    assert!(batches[0].progress.tidemill.replayed);
}
