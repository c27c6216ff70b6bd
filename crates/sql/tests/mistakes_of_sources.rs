//! Bad queries over several sources and in FROM: each kind of mistake, with its exact message.

use tidemill_model::Pipeline;

/// A query over two sources and a third that nobody reads, and its messages; without any, only that of the third.
fn check_union(sql: &str, mode: &str, expected: &[&str]) {
    let source = |name: &str, schema: &str, time: &str| {
        format!(
            "[sources.{name}]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"{name}\"\nschema = \"{schema}\"\n{time}"
        )
    };
    let time = "event_time = { column = \"et\", expression = \"t\", watermark = \"10 seconds\" }\n";
    let text = format!(
        "[query]\nsql = \"{sql}\"\noutput_mode = \"{mode}\"\n{}{}{}[sinks.out]\ntype = \"console\"\n",
        source("a", "t TIMESTAMP, k STRING, v INT, st STRUCT<x: INT>", time),
        source("b", "t TIMESTAMP, k STRING, v DOUBLE, b BOOLEAN", ""),
        source("unread", "k STRING", ""),
    );
    let faults = tidemill_sql::plan(&Pipeline::parse("p.toml", &text, &[]).unwrap()).expect_err(sql).to_string();
    let unread = "p.toml:15:10: the query does not read the source `unread`; take the source away, or read it: SELECT … UNION ALL SELECT …";
    let expected = if expected.is_empty() { &[unread] } else { expected };
    assert_eq!(faults.lines().collect::<Vec<_>>(), expected, "{sql}");
}

#[test]
fn union_all() {
    let right = [
        "SELECT k FROM a UNION ALL SELECT k FROM b",
        "SELECT v FROM a UNION ALL SELECT v FROM b;",
        "(SELECT k FROM a) UNION ALL (SELECT k FROM b UNION ALL SELECT k FROM a)",
        "SELECT u.k, w FROM (SELECT k, v AS w FROM a x WHERE x.v > 1 UNION ALL SELECT * FROM (SELECT k, v FROM b)) AS u WHERE w < 5",
        "SELECT DISTINCT k FROM (SELECT k FROM a UNION ALL SELECT k FROM b)",
    ];
    right.iter().for_each(|sql| check_union(sql, "update", &[]));
    let wrong = |sql: &str, expected: &str| check_union(sql, "update", &[expected]);
    wrong(
        "SELECT k FROM a UNION SELECT k FROM b",
        "p.toml:2:24: UNION without ALL is not supported; write UNION ALL; SELECT DISTINCT … FROM (… UNION ALL …) makes equal rows one",
    );
    wrong(
        "SELECT k FROM a UNION ALL BY NAME SELECT k FROM b",
        "p.toml:2:34: BY NAME is not supported; leave BY NAME out, and select the columns in one order",
    );
    wrong(
        "SELECT k FROM a EXCEPT SELECT k FROM b",
        "p.toml:2:24: this combination of queries is not supported; UNION ALL is the one that streams have",
    );
    wrong(
        "(SELECT k FROM a) MINUS SELECT k FROM b",
        "p.toml:2:26: this combination of queries is not supported; UNION ALL is the one that streams have",
    );
    wrong(
        "SELECT k FROM a UNION ALL SELECT k FROM other",
        "p.toml:2:48: unknown table `other`; the sources of the pipeline are `a`, `b`, `unread`",
    );
    wrong(
        "SELECT k, v FROM a UNION ALL SELECT k FROM b",
        "p.toml:2:37: the branches of UNION ALL differ in their number of columns: 1 here, 2 in the first; columns meet by position: select as many in each",
    );
    wrong(
        "SELECT k, v FROM a UNION ALL SELECT k, v FROM b UNION ALL SELECT k, b FROM b",
        "p.toml:2:76: column 2 is BOOLEAN here, and DOUBLE in the branches before; make them one type with CAST",
    );
    wrong(
        "SELECT st, k FROM a UNION ALL SELECT named, k FROM b",
        "p.toml:2:45: unknown column `named`; the columns are `t`, `k`, `v`, `b`",
    );
    wrong(
        "SELECT k FROM (SELECT k FROM a UNION ALL",
        "p.toml:2:48: the query does not begin with SELECT; a pipeline's query is SELECT … FROM source [WHERE …] [GROUP BY …] [HAVING …]",
    );
    wrong("SELECT k FROM (SELECT k FROM a", "p.toml:2:38: the text ends too early; `)` is expected here");
}

#[test]
fn subqueries() {
    let wrong = |sql: &str, expected: &str| check_union(sql, "update", &[expected]);
    let one = "a query has one aggregation: SELECT … FROM (SELECT … UNION ALL SELECT …) GROUP BY …";
    wrong(
        "SELECT k FROM (SELECT k, count(*) AS n FROM a GROUP BY k)",
        &format!("p.toml:2:23: GROUP BY cannot stand in a subquery or a branch of UNION ALL; {one}"),
    );
    wrong(
        "SELECT k FROM a UNION ALL SELECT DISTINCT k FROM b",
        &format!("p.toml:2:41: DISTINCT cannot stand in a subquery or a branch of UNION ALL; {one}"),
    );
    wrong(
        "SELECT k FROM a UNION ALL SELECT k FROM b HAVING k > 'a'",
        &format!("p.toml:2:57: HAVING cannot stand in a subquery or a branch of UNION ALL; {one}"),
    );
    wrong(
        "SELECT sum(v) FROM a UNION ALL SELECT v FROM b",
        "p.toml:2:15: the aggregate function `sum` cannot stand in a subquery or a branch of UNION ALL; aggregate what it gives: SELECT … FROM (SELECT … UNION ALL SELECT …) GROUP BY …",
    );
    wrong(
        "SELECT w FROM (SELECT window(et, '5 seconds') AS w FROM a)",
        "p.toml:2:30: window(…) cannot stand in a subquery or a branch of UNION ALL; put it into GROUP BY",
    );
    wrong("SELECT v FROM (SELECT k FROM a)", "p.toml:2:15: unknown column `v`; did you mean `k`?");
    wrong("SELECT a.k FROM (SELECT k FROM a)", "p.toml:2:15: unknown column or table `a`; did you mean `k`?");
    wrong(
        "SELECT 1 FROM (SELECT k, upper(k) AS K FROM a) q WHERE 'a' < q.K",
        "p.toml:2:71: the subquery has several columns `K`; give each a name of its own with AS",
    );
    let deep = format!("{}SELECT k FROM a{}", "SELECT k FROM (".repeat(40), ")".repeat(40));
    wrong(&deep, "p.toml:2:503: the query is nested too deeply; take parentheses away");
    let counted = |from: &str| format!("SELECT count(*) FROM ({from}) GROUP BY window(et, '5 seconds')");
    check_union(
        &counted("SELECT t AS et FROM b UNION ALL SELECT et FROM a"),
        "append",
        &[
            "p.toml:3:15: append mode cannot tell when a group is final: the source of the first branch has no watermark; declare a watermark in [sources.NAME.event_time], or take output_mode = \"update\"",
        ],
    );
    check_union(
        &counted("SELECT t AS et FROM a UNION ALL SELECT t FROM b"),
        "append",
        &[
            "p.toml:3:15: append mode cannot tell when a group is final: neither the event time nor a window over it is a key; group by window(event time, …) or by the event time itself, or take output_mode = \"update\"",
        ],
    );
}

#[test]
fn all_columns_of_a_table() {
    check_union(
        "SELECT U.* FROM (SELECT t, k FROM a UNION ALL SELECT t, k FROM (SELECT b.* FROM b)) AS u",
        "update",
        &[],
    );
    let wrong = |sql: &str, expected: &str| check_union(sql, "update", &[expected]);
    wrong("SELECT b.* FROM a", "p.toml:2:15: unknown table `b`; the table is `a`");
    wrong("SELECT a.* FROM a AS x", "p.toml:2:15: unknown table `a`; the table is `x`");
    wrong("SELECT st.* FROM a", "p.toml:2:15: `st.*` of a column is not supported; name its fields one by one");
    wrong("SELECT a.* AS x FROM a", "p.toml:2:15: `*` takes no alias; leave the alias out");
    wrong(
        "SELECT u.* FROM (SELECT k FROM a)",
        "p.toml:2:15: unknown table `u`; write `*`, or give the subquery a name with AS",
    );
}

#[test]
fn nested_types_are_not_cast() {
    let select = |item: &str, expected: &str| check_union(&format!("SELECT {item} FROM a"), "update", &[expected]);
    select(
        "CAST(st AS STRUCT<x: STRING>)",
        "p.toml:2:20: STRUCT<x: INT> cannot be cast to STRUCT<x: STRING>; casts of nested types are not supported; take their parts: a.field, a[0], a['key']",
    );
    select(
        "coalesce(st, k)",
        "p.toml:2:28: `coalesce` cannot mix STRUCT<x: INT> and STRING; casts of nested types are not supported; give values of one type",
    );
}
