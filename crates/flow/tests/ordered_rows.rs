//! ORDER BY, LIMIT and pipes: rows in the order in which real Spark 4.1.1 gives them.

use std::sync::Arc;
use tidemill_flow::alone;
use tidemill_model::Millis;
use tidemill_sql::eval::EvalContext;
use tidemill_sql::text::show;
use tidemill_sql::zone::{WallClock, Zone};

const RECORDS: [&str; 8] = [
    r#"{"k":"a","v":1}"#,
    r#"{"k":"b","v":5}"#,
    r#"{"v":3}"#,
    r#"{"k":"c"}"#,
    r#"{"k":"a","v":2}"#,
    r#"{"k":"d","v":NaN}"#,
    r#"{"k":"e","v":-0.0}"#,
    r#"{"k":"f","v":0}"#,
];

/// `value value | value value`
fn check(sql: &str, expected: &str) {
    let text = format!(
        "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\nschema = \"k STRING, v DOUBLE\"\n\
         [query]\nsql = \"{sql}\"\noutput_mode = \"complete\"\n[sinks.out]\ntype = \"console\"\n"
    );
    let pipeline = tidemill_config::parse("p.toml", &text, &[]).expect("a right pipeline");
    let plan = tidemill_sql::plan(&pipeline).unwrap_or_else(|faults| panic!("{sql}: {faults:?}"));
    let context = EvalContext { timestamp: Millis(0), zone: Zone::UTC, seed: 0 };
    let records = RECORDS.map(String::from);
    let rows = alone::run(&Arc::new(plan), &records, &context).expect("no row fails");
    let shown = show::result_rows(&rows, usize::MAX, &WallClock::utc()).rows;
    let shown: Vec<String> = shown.into_iter().map(|row| row.join(" ")).collect();
    assert_eq!(shown.join(" | "), expected, "{sql}");
}

#[test]
fn o7_order_by_and_limit() {
    let sums = "SELECT k, sum(v) AS s FROM t GROUP BY k ORDER BY";
    let check = |order: &str, expected| check(&format!("{sums} {order}"), expected);
    check("s DESC, k", "d NaN | b 5.0 | NULL 3.0 | a 3.0 | e 0.0 | f 0.0 | c NULL");
    check("k", "NULL 3.0 | a 3.0 | b 5.0 | c NULL | d NaN | e 0.0 | f 0.0");
    check("k DESC", "f 0.0 | e 0.0 | d NaN | c NULL | b 5.0 | a 3.0 | NULL 3.0");
    check("k NULLS LAST", "a 3.0 | b 5.0 | c NULL | d NaN | e 0.0 | f 0.0 | NULL 3.0");
    check("s NULLS LAST, k DESC LIMIT 4", "f 0.0 | e 0.0 | a 3.0 | NULL 3.0");
    check("s DESC NULLS FIRST, k DESC NULLS FIRST LIMIT 2 + 2", "c NULL | d NaN | b 5.0 | NULL 3.0");
    check("count(*) DESC, 1", "a 3.0 | NULL 3.0 | b 5.0 | c NULL | d NaN | e 0.0 | f 0.0");
    check("struct(s, k)", "c NULL | e 0.0 | f 0.0 | NULL 3.0 | a 3.0 | b 5.0 | d NaN");
    check("k LIMIT 0", "");
}

#[test]
fn o7_order_by_over_groups_and_sets() {
    check(
        "SELECT s, k FROM (SELECT k, sum(v) AS s FROM t GROUP BY k) WHERE s > 0 ORDER BY ALL DESC",
        "NaN d | 5.0 b | 3.0 a | 3.0 NULL",
    );
    check(
        "SELECT k, grouping(k) AS g, count(*) AS n FROM t GROUP BY ROLLUP(k) ORDER BY grouping(k) DESC, n DESC, k LIMIT 4",
        "NULL 1 8 | a 0 2 | NULL 0 1 | b 0 1",
    );
}

#[test]
fn pipes_and_from_first() {
    check("FROM t SELECT k, sum(v) AS s GROUP BY k ORDER BY s, k LIMIT 2", "c NULL | e 0.0");
    check(
        "FROM t |> WHERE v > 0 |> EXTEND v * 2 AS w |> AGGREGATE sum(w) AS s, count(*) GROUP BY k |> WHERE s > 2 \
         |> ORDER BY s DESC, k DESC |> LIMIT 3",
        "d NaN 1 | b 10.0 1 | a 6.0 2",
    );
    check(
        "FROM t |> AGGREGATE max(v) AS m GROUP BY upper(k) AS u |> SELECT u, m + 1 |> ORDER BY u",
        "NULL 4.0 | A 3.0 | B 6.0 | C NULL | D NaN | E 1.0 | F 1.0",
    );
    check(
        "SELECT k, v FROM t |> WHERE v > 2 |> DROP v |> AS x |> SELECT x.k |> AGGREGATE count(*) GROUP BY k |> ORDER BY k",
        "NULL 1 | b 1 | d 1",
    );
    check("FROM t |> AGGREGATE count(*) AS n, sum(v) AS s |> ORDER BY n", "8 NaN");
    check("FROM t |> WHERE t.v > 1 |> SELECT DISTINCT k |> ORDER BY k", "NULL | a | b | d");
}
