//! `session_window` in plans, and where it is refused (rule W7).

use tidemill_sql::plan::QueryPlan;

const REFERENCE: &str = include_str!("../../config/tests/reference.toml");

fn plan(sql: &str, mode: &str) -> Result<QueryPlan, String> {
    let set = [("query.sql", sql), ("query.output_mode", mode)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let pipeline = tidemill_config::parse("p.toml", REFERENCE, &set).unwrap();
    tidemill_sql::plan(&pipeline).map_err(|faults| faults.to_string())
}

#[test]
fn w7_the_plan_of_sessions() {
    let sql = "SELECT course, session_window.start, count(*) AS n FROM cs_student_logs WHERE activity = 'coding' \
               GROUP BY course, session_window(event_time, '5 minutes') HAVING session_window.start > '2024-01-01'";
    let expected = "\
source       cs_student_logs
decode       timestamp DOUBLE, course STRING, activity STRING
where        (activity = 'coding')
event time   event_time = CAST(timestamp AS TIMESTAMP)
watermark    1 min behind event_time
then where   (session window(event_time, '5 minutes').start > TIMESTAMP '2024-01-01 00:00:00')
session      event_time, until '5 minutes' without a row
key          course STRING = course
aggregate    count(*): BIGINT
output       course STRING = course
output       start TIMESTAMP = session_window.start
output       n BIGINT = count(*)
groups       dropped and evicted by the watermark
mode         append
";
    let planned = plan(sql, "append").unwrap();
    assert_eq!(planned.describe(), expected);
    let (groups, _) = planned.aggregations().next().unwrap();
    assert_eq!(groups.session.map(|session| (session.key, session.drops_late)), Some((1, true)));
    let complete = plan(sql, "complete").unwrap();
    let (groups, _) = complete.aggregations().next().unwrap();
    assert_eq!((groups.watermarked, groups.drops_late()), (false, true));
}

/// Each mistake is found where it stands.
#[test]
fn w7_what_is_refused() {
    let cases = [
        ("session_window(event_time, '5 minutes')", "append", "session_window(…) is the only key"),
        ("session_window(event_time, '5 minutes'), 'x'", "append", "session_window(…) is the only key"),
        ("session_window(event_time, '5 minutes'), course", "update", "Spark has no sessions in update mode"),
        ("session_window(event_time, '5 min'), course", "append", "`5 min` is not an interval"),
        ("session_window(event_time, '-5 minutes'), course", "append", "the gap is not above 0"),
        ("session_window(event_time, CAST(NULL AS STRING)), course", "append", "the gap is NULL"),
        ("session_window(event_time, INTERVAL 5 MINUTES), course", "append", "the gap of `session_window` is a text"),
        (
            "session_window(event_time, lines_of_code), course",
            "append",
            "the gap of `session_window` is a text, not INT",
        ),
        ("session_window(course, '5 minutes'), course", "append", "`session_window` takes a TIMESTAMP as argument 1"),
        ("session_window(event_time), course", "append", "`session_window` takes 2 arguments"),
        (
            "session_window(event_time, '5 minutes'), course, window(event_time, '5 minutes')",
            "append",
            "the query has a session_window(…) already",
        ),
        (
            "session_window(event_time, '5 minutes'), course, session_window(event_time, '6 minutes')",
            "append",
            "the query has another window(…) or session_window(…) already",
        ),
        ("session_window(event_time, '5 minutes'), event_time, course", "append", "only one of them can say when"),
        ("session_window(event_time, '5 minutes'), event_time, course", "complete", "only one of them can say when"),
        ("ROLLUP(session_window(event_time, '5 minutes'), course)", "append", "not allowed with ROLLUP"),
        ("session_window(event_time + INTERVAL 1 HOUR, '5 minutes'), course", "append", "append mode cannot tell"),
    ];
    for (keys, mode, expected) in cases {
        let sql = format!("SELECT count(*) AS n FROM cs_student_logs GROUP BY {keys}");
        let refused = plan(&sql, mode).expect_err(keys);
        assert!(refused.starts_with("--set query.") && refused.contains(expected), "{keys} in {mode} mode: {refused}");
    }
    for (item, expected) in [
        ("session_window.start", "there is no session_window in GROUP BY"),
        ("transform(array(1), x -> session_window(event_time, '1 day'))", "not allowed in a lambda"),
        ("window_time(session_window(event_time, '1 day'))", "takes the window of a subquery"),
    ] {
        let refused = plan(&format!("SELECT {item} AS x FROM cs_student_logs"), "append").expect_err(item);
        assert!(refused.starts_with("--set query.") && refused.contains(expected), "{item}: {refused}");
    }
}
