//! Plans of whole pipelines, as `tidemill check` prints them.

use tidemill_sql::plan::{Body, QueryPlan};

const REFERENCE: &str = include_str!("../../config/tests/reference.toml");

fn plan(set: &[(&str, &str)]) -> QueryPlan {
    let set: Vec<_> = set.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let pipeline = tidemill_config::parse("p.toml", REFERENCE, &set).unwrap();
    tidemill_sql::plan(&pipeline).unwrap_or_else(|faults| panic!("{faults}"))
}

fn query(sql: &str) -> QueryPlan {
    plan(&[("query.sql", sql)])
}

#[test]
fn the_reference_pipeline() {
    let expected = "\
source       cs_student_logs
decode       timestamp DOUBLE, course STRING, activity STRING, lines_of_code INT, cpu_usage_pct DOUBLE
where        (course IS NOT NULL)
event time   event_time = CAST(timestamp AS TIMESTAMP)
watermark    1 min behind event_time
window       event_time, 10 s wide, every 5 s, from 0 µs
key          course STRING = course
key          activity STRING = activity
aggregate    sum(lines_of_code): BIGINT
aggregate    avg(cpu_usage_pct): DOUBLE
output       start TIMESTAMP = window.start
output       end TIMESTAMP = window.end
output       course STRING = course
output       activity STRING = activity
output       total_loc BIGINT = sum(lines_of_code)
output       avg_cpu DOUBLE = avg(cpu_usage_pct)
groups       dropped and evicted by the watermark
mode         update
";
    assert_eq!(plan(&[]).describe(), expected);
}

/// A zone stands in the text where it is not UTC: beside what its clock decides in the state, and once for all the rest.
#[test]
fn a_zone_is_part_of_the_plan() {
    let sql = "SELECT to_date(event_time), max(hour(event_time)), max(course || 'x') FROM cs_student_logs \
               WHERE event_time > '2024-07-01' GROUP BY to_date(event_time), date_add(DATE '2024-01-01', lines_of_code), \
               event_time + INTERVAL 1 DAY";
    let check = |zone: &str, expected: &[&str]| {
        let text = plan(&[("session_time_zone", zone), ("query.sql", sql)]).describe();
        let wanted = |line: &&str| {
            ["time zone", "then where", "key", "aggregate"].iter().any(|label| line[..12].trim_end() == *label)
        };
        assert_eq!(text.lines().filter(wanted).map(|line| line[12..].trim_start()).collect::<Vec<_>>(), expected);
    };
    check(
        "UTC",
        &[
            "(event_time > TIMESTAMP '2024-07-01 00:00:00')",
            "`to_date(event_time)` DATE = CAST(event_time AS DATE)",
            "key DATE = date_add(DATE '2024-01-01', lines_of_code)",
            "key TIMESTAMP = + interval(event_time, 0L, 86400000000L)",
            "max(hour(event_time)): INT",
            "max(concat(course, 'x')): STRING",
        ],
    );
    check(
        "IST",
        &[
            "Asia/Kolkata",
            "(event_time > TIMESTAMP '2024-06-30 18:30:00')",
            "`to_date(event_time)` DATE = CAST(event_time AS DATE) by the clock of Asia/Kolkata",
            "key DATE = date_add(DATE '2024-01-01', lines_of_code)",
            "key TIMESTAMP = + interval(event_time, 0L, 86400000000L) by the clock of Asia/Kolkata",
            "max(hour(event_time)): INT by the clock of Asia/Kolkata",
            "max(concat(course, 'x')): STRING",
        ],
    );
}

/// Lines of the plan of a query over the reference source that begin with one of these labels.
fn check(sql: &str, labels: &[&str], expected: &[&str]) {
    let text = query(sql).describe();
    let wanted = |line: &&str| labels.iter().any(|label| line[..12].trim_end() == *label);
    let lines: Vec<String> =
        text.lines().filter(wanted).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, expected, "{sql}");
}

#[test]
fn m1_what_is_pushed_below_the_watermark() {
    let filters = |condition: &str, expected: &[&str]| {
        let sql = format!("SELECT count(*) FROM cs_student_logs WHERE {condition} GROUP BY course");
        check(&sql, &["where", "then where"], expected);
    };
    filters("course = 'a'", &["where (course = 'a')"]);
    filters("event_time < TIMESTAMP '2024-01-01'", &["then where (event_time < TIMESTAMP '2024-01-01 00:00:00')"]);
    filters("course = 'a' OR event_time IS NULL", &["then where ((course = 'a') OR (event_time IS NULL))"]);
    filters(
        "course = 'a' AND event_time IS NOT NULL",
        &["where (course = 'a')", "then where (event_time IS NOT NULL)"],
    );
    filters("timestamp > 5", &["where (timestamp > 5.0D)"]);
    filters("event_time < current_timestamp()", &["then where (event_time < current_timestamp())"]);
    filters(
        "timestamp < CAST(current_timestamp() AS DOUBLE)",
        &["where (timestamp IS NOT NULL)", "then where (timestamp < CAST(current_timestamp() AS DOUBLE))"],
    );
    filters(
        "(course = 'a' AND event_time IS NULL) OR (course = 'a' AND activity = 'b')",
        &["where (course = 'a')", "then where ((event_time IS NULL) OR (activity = 'b'))"],
    );
}

#[test]
fn an_event_time_that_is_bound_is_computed_though_nobody_reads_it() {
    let lines = |set: &[(&str, &str)]| {
        let sql = ("query.sql", "\"SELECT course FROM cs_student_logs\"");
        let append = ("query.output_mode", "append");
        let text = plan(&[&[sql, append], set].concat()).describe();
        let wanted = |line: &&str| ["decode", "event time", "refused"].iter().any(|label| line.starts_with(label));
        text.lines().filter(wanted).map(str::to_owned).collect::<Vec<_>>()
    };
    let of = |key: &'static str, value: &'static str| [(key, value)];
    let ahead = of("sources.cs_student_logs.event_time.max_event_time_ahead", "90 minutes");
    let expected = [
        "decode       timestamp DOUBLE, course STRING",
        "event time   event_time = CAST(timestamp AS TIMESTAMP)",
        "refused      event_time more than 90 min ahead of the record's timestamp",
    ];
    assert_eq!(lines(&ahead), expected);
    assert_eq!(lines(&[]), expected[..2]);
}

#[test]
fn m1_having_on_plain_keys_is_pushed_too() {
    let labels = ["where", "then where", "having"];
    let group = "SELECT course AS c, count(*) AS n FROM cs_student_logs GROUP BY course HAVING";
    check(&format!("{group} c = 'a' AND n > 1"), &labels, &["where (course = 'a')", "having (count(*) > 1L)"]);
    check(&format!("{group} max(activity) = 'x'"), &labels, &["having (max(activity) = 'x')"]);
    check(
        "SELECT count(*) FROM cs_student_logs GROUP BY event_time HAVING event_time IS NOT NULL",
        &labels,
        &["then where (event_time IS NOT NULL)"],
    );
    check("SELECT count(*) FROM cs_student_logs HAVING 1 > 2", &labels, &["having false"]);
    check("SELECT count(*) FROM STREAM cs_student_logs GROUP BY course HAVING 1 > 2", &labels, &["having false"]);
}

#[test]
fn o7_names_and_keys() {
    let names = |sql: &str, expected: &[&str]| {
        let plan = query(sql);
        let found: Vec<_> = plan.output_schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(found, expected, "{sql}");
    };
    names(
        "SELECT window.start, window.end, window, Course, sum(Lines_Of_Code), count(*), count(1), AVG(cpu_usage_pct) FROM cs_student_logs GROUP BY window(event_time, '5 seconds'), course",
        &["start", "end", "window", "Course", "sum(Lines_Of_Code)", "count(1)", "count(1)", "avg(cpu_usage_pct)"],
    );
    names(
        "SELECT CASE WHEN lines_of_code > 5 THEN 'big' ELSE 'small' END, lines_of_code + 1, upper(course), t.course FROM cs_student_logs t",
        &["CASE WHEN (lines_of_code > 5) THEN big ELSE small END", "(lines_of_code + 1)", "upper(course)", "course"],
    );
    let keys = |sql: &str, expected: &[&str]| check(sql, &["key", "window"], expected);
    keys("SELECT course, count(*) FROM cs_student_logs GROUP BY 1", &["key course STRING = course"]);
    keys("SELECT upper(course) AS u, count(*) FROM cs_student_logs GROUP BY u", &["key u STRING = upper(course)"]);
    keys(
        "SELECT course, activity, count(*) FROM cs_student_logs GROUP BY ALL",
        &["key course STRING = course", "key activity STRING = activity"],
    );
    keys("SELECT DISTINCT course FROM cs_student_logs", &["key course STRING = course"]);
    keys("SELECT count(*) FROM cs_student_logs", &[]);
    keys("SELECT count(*) FROM cs_student_logs GROUP BY course, COURSE", &["key course STRING = course"]);
    keys(
        "SELECT count(*) FROM cs_student_logs GROUP BY window(event_time, '5 seconds'), window(event_time, '5 seconds')",
        &["window event_time, 5 s wide, every 5 s, from 0 µs"],
    );
}

#[test]
fn items_may_name_items_before_them() {
    check(
        "SELECT course, lines_of_code + 1 AS l1, l1 * 2 AS l2 FROM cs_student_logs",
        &["output"],
        &[
            "output course STRING = course",
            "output l1 INT = (lines_of_code + 1): INT",
            "output l2 INT = ((lines_of_code + 1): INT * 2): INT",
        ],
    );
}

#[test]
fn all_columns_of_a_table_are_those_of_the_query() {
    let columns = |sql: &str| query(sql).output_schema.fields().iter().map(|field| field.name().clone()).collect();
    let wanted: Vec<String> = columns("SELECT course AS c, * FROM cs_student_logs");
    assert!(wanted.len() > 5);
    assert_eq!(columns("SELECT course AS c, cs_student_logs.* FROM cs_student_logs"), wanted);
    assert_eq!(columns("SELECT course AS c, L.* FROM cs_student_logs AS l"), wanted);
}

#[test]
fn aggregates_are_computed_once() {
    let plan = query(
        "SELECT sum(lines_of_code), SUM(Lines_of_code) + 1, avg(lines_of_code) FROM cs_student_logs GROUP BY course",
    );
    let Body::Aggregate(aggregate) = plan.body() else { panic!("an aggregation") };
    assert_eq!(aggregate.aggregates.len(), 2);
}

#[test]
fn t2_what_an_aggregate_is_told() {
    let aggregates = |calls: &str, expected: &[&str]| {
        check(&format!("SELECT {calls} FROM cs_student_logs"), &["aggregate"], expected);
    };
    aggregates(
        "first(course) IGNORE NULLS, last_value(course), any_value(course), first(course, false)",
        &[
            "aggregate first(course) IGNORE NULLS: STRING",
            "aggregate last(course): STRING",
            "aggregate first(course): STRING",
        ],
    );
    aggregates(
        "approx_count_distinct(course), approx_count_distinct(course, 0.01)",
        &[
            "aggregate approx_count_distinct(course) in 2^9 registers: BIGINT of STRING",
            "aggregate approx_count_distinct(course) in 2^14 registers: BIGINT of STRING",
        ],
    );
    aggregates(
        "std(lines_of_code), every(lines_of_code > 1), max_by(course, lines_of_code), try_sum(lines_of_code)",
        &[
            "aggregate stddev_samp(CAST(lines_of_code AS DOUBLE)): DOUBLE",
            "aggregate min((lines_of_code > 1)): BOOLEAN",
            "aggregate max_by(course, lines_of_code): STRING of INT",
            "aggregate try_sum(lines_of_code): BIGINT",
        ],
    );
    aggregates(
        "first(course) FILTER (WHERE lines_of_code > 1), count(*) FILTER (WHERE lines_of_code > 1)",
        &["aggregate first(course, (lines_of_code > 1)): STRING", "aggregate count_if((lines_of_code > 1)): BIGINT"],
    );
}

#[test]
fn only_what_is_used_is_decoded() {
    let decoded = |sql: &str| {
        query(sql).branches[0].decode_schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    assert_eq!(decoded("SELECT course FROM cs_student_logs"), ["timestamp", "course"]);
    assert_eq!(decoded("SELECT count(*) FROM cs_student_logs WHERE tool_used = 'Vim'"), ["timestamp", "tool_used"]);
}

/// A query over the sources `a` and `b`, as text.
fn two_sources(sql: &str) -> String {
    let source = |name: &str, schema: &str, time: &str| {
        format!(
            "[sources.{name}]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"{name}\"\nschema = \"{schema}\"\n{time}"
        )
    };
    let time = |column: &str, delay: &str| {
        format!("event_time = {{ column = \"{column}\", expression = \"t\", watermark = \"{delay}\" }}\n")
    };
    let text = format!(
        "[query]\nsql = \"{sql}\"\noutput_mode = \"update\"\n{}{}[sinks.out]\ntype = \"console\"\n",
        source("a", "t TIMESTAMP, k STRING, v INT", &time("et", "10 seconds")),
        source("b", "t TIMESTAMP, name STRING, x DOUBLE", &time("at", "5 seconds")),
    );
    tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).unwrap()).unwrap().describe()
}

#[test]
fn m1_a_union_is_described_branch_by_branch() {
    let sql = "SELECT k, sum(v) AS v FROM (SELECT et, k, v FROM a WHERE v > 1 UNION ALL SELECT at, upper(name), x FROM b) u \
               WHERE k <> 'z' AND et < TIMESTAMP '2030-01-01' GROUP BY window(et, '10 seconds'), k HAVING sum(v) > 3";
    let expected = "\
branch       1 of 2
source       a
decode       t TIMESTAMP, k STRING, v INT
where        (v > 1)
where        (k <> 'z')
event time   et = t
watermark    10 s behind et
then where   (et < TIMESTAMP '2030-01-01 00:00:00')
window       et, 10 s wide, every 10 s, from 0 µs
key          k STRING = k
aggregate    sum(CAST(v AS DOUBLE)): DOUBLE
branch       2 of 2
source       b
decode       t TIMESTAMP, name STRING, x DOUBLE
where        (upper(name) <> 'z')
event time   at = t
watermark    5 s behind at
then where   (at < TIMESTAMP '2030-01-01 00:00:00')
window       at, 10 s wide, every 10 s, from 0 µs
key          k STRING = upper(name)
aggregate    sum(x): DOUBLE
union all    2 branches
having       (sum(CAST(v AS DOUBLE)) > 3.0D)
output       k STRING = k
output       v DOUBLE = sum(CAST(v AS DOUBLE))
groups       dropped and evicted by the watermark
mode         update
";
    assert_eq!(two_sources(sql), expected);
    let expected = "\
branch       1 of 2
source       a
decode       k STRING
output       k STRING = k
branch       2 of 2
source       b
decode       name STRING
output       k STRING = name
union all    2 branches
mode         update
";
    let plain = two_sources("SELECT k FROM a UNION ALL SELECT name FROM b");
    let without_time = |line: &&str| !["event time", "watermark"].iter().any(|label| line.starts_with(label));
    let lines: Vec<&str> = plain.lines().filter(without_time).collect();
    assert_eq!(lines.join("\n").replace("t TIMESTAMP, ", "") + "\n", expected);
}

/// The first lines of a plan over a Kafka source with these keys.
fn kafka_source(keys: &str, sql: &str, lines: usize) -> Vec<String> {
    let text = format!(
        "[query]\nsql = \"{sql}\"\n[sinks.out]\ntype = \"console\"\n[sources.t]\ntype = \"kafka\"\n\
         bootstrap_servers = \"h:1\"\ntopic = \"t\"\n{keys}"
    );
    let plan = tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).unwrap()).unwrap();
    plan.describe().lines().take(lines).map(str::to_owned).collect()
}

#[test]
fn kafka_columns_that_are_used() {
    let time = "event_time = { column = \"et\", expression = \"timestamp\", watermark = \"1 minute\" }";
    assert_eq!(
        kafka_source(time, "SELECT CAST(key AS STRING) AS k FROM t WHERE partition = 1", 4),
        [
            "source       t",
            "kafka        key BINARY, partition INT, timestamp TIMESTAMP",
            "where        (partition = 1)",
            "event time   et = timestamp"
        ]
    );
    let beside = "schema = \"a INT, b INT\"\nmetadata_column = \"kafka\"";
    assert_eq!(
        kafka_source(beside, "SELECT b, kafka.timestamp AS ts FROM t", 5)[..3],
        ["source       t", "decode       b INT", "kafka        kafka.timestamp TIMESTAMP"]
    );
    assert_eq!(kafka_source(beside, "SELECT b FROM t", 2), ["source       t", "decode       b INT"]);
}

const PARSED: &str = "from_json(CAST(value AS STRING), 'ts TIMESTAMP, course STRING, n INT')";

const PARSED_TIME: &str = "event_time = { column = \"et\", expression = \"from_json(CAST(value AS STRING), 'ts TIMESTAMP').ts\", \
                           watermark = \"1 minute\" }";

#[test]
fn a_text_is_parsed_once() {
    let nested =
        format!("SELECT d.course, d.n + 1 AS n, upper(d.course) AS u FROM (SELECT {PARSED} AS d FROM t) WHERE d.n > 1");
    assert_eq!(
        kafka_source("", &nested, 7),
        [
            "source       t",
            "kafka        value BINARY",
            "parse        json = from_json(value, 'STRUCT<n: INT, course: STRING>')",
            "where        (json.n > 1)",
            "output       course STRING = json.course",
            "output       n INT = (json.n + 1): INT",
            "output       u STRING = upper(json.course)",
        ]
    );
    // As a whole; beside the same schema with options; and where it may fail, in place.
    let lines = kafka_source("", &format!("SELECT {PARSED} AS d, {PARSED}.n AS n FROM t"), 5);
    assert_eq!(lines[2], "parse        json = from_json(value, 'STRUCT<ts: TIMESTAMP, course: STRING, n: INT>')");
    assert_eq!(lines[4], "output       n INT = json.n");
    let failing = "SELECT from_json(CAST(value AS STRING), 'n INT', map('mode', 'FAILFAST')).n AS n FROM t";
    assert_eq!(
        kafka_source("", failing, 3)[2],
        "output       n INT = from_json(CAST(value AS STRING), 'STRUCT<n: INT>', 'mode', 'FAILFAST').n"
    );
}

#[test]
fn the_event_time_that_a_query_parses_itself() {
    let grouped = |time: &str| {
        format!(
            "SELECT window.start, d.course, count(*) AS c FROM (SELECT {PARSED} AS d FROM t) GROUP BY window({time}, '1 minute'), d.course"
        )
    };
    let lines = kafka_source(PARSED_TIME, &grouped("d.ts"), 20);
    assert_eq!(lines[2], "parse        json = from_json(value, 'STRUCT<ts: TIMESTAMP, course: STRING>')");
    assert!(lines.contains(&"event time   et = json.ts".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"groups       dropped and evicted by the watermark".to_owned()), "{lines:#?}");
    // The star, and a condition on the time: it is above the watermark, as in Spark.
    let star = format!(
        "SELECT window.start, course, count(*) AS c FROM (SELECT d.* FROM (SELECT {PARSED} AS d FROM t)) \
         WHERE ts > TIMESTAMP '2026-01-01 00:00:00' GROUP BY window(ts, '1 minute'), course"
    );
    let lines = kafka_source(PARSED_TIME, &star, 20);
    assert!(lines.iter().any(|line| line.starts_with("then where   (et > ")), "{lines:#?}");
    assert!(lines.contains(&"groups       dropped and evicted by the watermark".to_owned()), "{lines:#?}");
    // Directly over the table, and another field of that name.
    let direct = format!("SELECT window.start, count(*) AS c FROM t GROUP BY window({PARSED}.ts, '1 minute')");
    let lines = kafka_source(PARSED_TIME, &direct, 20);
    assert!(lines.contains(&"groups       dropped and evicted by the watermark".to_owned()), "{lines:#?}");
    let other = "SELECT window.start, count(*) AS c FROM t \
                 GROUP BY window(from_json(CAST(key AS STRING), 'ts TIMESTAMP').ts, '1 minute')";
    let in_update_mode = format!("{other}\"\noutput_mode = \"update");
    let lines = kafka_source(PARSED_TIME, &in_update_mode, 20);
    assert!(lines.contains(&"groups       kept for good".to_owned()), "{lines:#?}");
}
