//! Bad queries over several sources and in FROM: each kind of mistake, with its exact message.

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
    let faults = tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).unwrap()).expect_err(sql).to_string();
    let unread = "p.toml:15:10: the query does not read the source `unread`; remove the source, or read it: SELECT … UNION ALL SELECT …";
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
        "SELECT k FROM a UNION ALL SELECT k FROM b UNION DISTINCT SELECT k FROM a",
        "WITH x AS (SELECT k FROM a), y AS (SELECT * FROM x UNION ALL SELECT k FROM b) SELECT y.k FROM y",
        "SELECT n FROM (SELECT k, count(*) AS n FROM (SELECT k FROM a UNION ALL SELECT k FROM b) GROUP BY k) WHERE n > 1",
    ];
    right.iter().for_each(|sql| check_union(sql, "update", &[]));
    let wrong = |sql: &str, expected: &str| check_union(sql, "update", &[expected]);
    wrong(
        "SELECT k FROM a UNION SELECT k FROM b UNION ALL SELECT k FROM b",
        "p.toml:2:46: UNION before another UNION is not supported; write UNION ALL first, and UNION once, at the end",
    );
    wrong(
        "SELECT k FROM a UNION ALL BY NAME SELECT k FROM b",
        "p.toml:2:34: BY NAME is not supported; leave BY NAME out, and select the columns in one order",
    );
    wrong(
        "SELECT k FROM a EXCEPT SELECT k FROM b",
        "p.toml:2:24: this combination of queries is not supported; streams have only UNION ALL",
    );
    wrong(
        "(SELECT k FROM a) MINUS SELECT k FROM b",
        "p.toml:2:26: this combination of queries is not supported; streams have only UNION ALL",
    );
    wrong(
        "SELECT k FROM a UNION ALL SELECT k FROM other",
        "p.toml:2:48: unknown table `other`; the sources of the pipeline are `a`, `b`, `unread`",
    );
    wrong(
        "SELECT k, v FROM a UNION ALL SELECT k FROM b",
        "p.toml:2:37: the branches of UNION ALL differ in their number of columns: 1 here, 2 in the first; columns are matched by position: select the same number in each",
    );
    wrong(
        "SELECT k, v FROM a UNION ALL SELECT k, v FROM b UNION ALL SELECT k, b FROM b",
        "p.toml:2:76: column 2 is BOOLEAN here, but DOUBLE in the branches before; make them one type with CAST",
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
    let one = "aggregate the rows of all branches: SELECT … FROM (SELECT … UNION ALL SELECT …) GROUP BY …";
    wrong(
        "SELECT k FROM (SELECT k, count(*) AS n FROM a GROUP BY k) UNION ALL SELECT k FROM b",
        &format!("p.toml:2:23: GROUP BY is not allowed in a subquery or a branch of UNION ALL; {one}"),
    );
    wrong(
        "SELECT k FROM a UNION ALL SELECT DISTINCT k FROM b",
        &format!("p.toml:2:41: DISTINCT is not allowed in a subquery or a branch of UNION ALL; {one}"),
    );
    wrong(
        "SELECT k FROM a UNION ALL SELECT k FROM b HAVING k > 'a'",
        &format!("p.toml:2:57: HAVING is not allowed in a subquery or a branch of UNION ALL; {one}"),
    );
    wrong(
        "SELECT sum(v) FROM a UNION ALL SELECT v FROM b",
        "p.toml:2:15: the aggregate function `sum` is not allowed in a subquery or a branch of UNION ALL; aggregate what it gives: SELECT … FROM (SELECT … UNION ALL SELECT …) GROUP BY …",
    );
    wrong(
        "SELECT window(w.start, '5 seconds') FROM (SELECT window(et, '5 seconds') AS w FROM a)",
        "p.toml:2:8: WHERE or a subquery has a window(…) already; give it a name in one subquery, SELECT … FROM (SELECT *, window(…) AS w FROM …), and use the name",
    );
    wrong(
        "SELECT sum(n) FROM (SELECT k, count(*) AS n FROM a GROUP BY k)",
        "p.toml:3:15: an aggregation over the rows of another needs append mode: only closed groups are final; take output_mode = \"append\", or aggregate once",
    );
    let appended = |sql: &str, expected: &str| check_union(sql, "append", &[expected]);
    let grouped = "SELECT window, k, count(*) AS n FROM a GROUP BY window(et, '1 minute'), k";
    let no_time = "append mode cannot tell when a group is final: the rows of the subquery have no event time; select the window of the subquery, or window_time(window), and group by a window over it";
    appended(
        &format!("SELECT k, sum(n) FROM (SELECT k, n FROM ({grouped})) GROUP BY k"),
        &format!("p.toml:3:15: {no_time}"),
    );
    appended(
        &format!("SELECT window, k FROM ({grouped}) GROUP BY window"),
        "p.toml:2:23: the column `k` is neither in GROUP BY nor inside an aggregate function; add it to GROUP BY, or write for instance max(k)",
    );
    appended(
        &format!("SELECT window, rand() FROM (SELECT * FROM ({grouped})) WHERE rand() > 0.5 GROUP BY window"),
        "p.toml:2:8: a random value or an id of a row is not allowed over the rows of an aggregation; call it in the subquery, over its groups",
    );
    let above = |below: &str| format!("SELECT window, count(*) AS n FROM ({below}) GROUP BY window");
    let five = above(&above(&above(&above(grouped))));
    appended(&five, "p.toml:2:8: more than 4 aggregations stand over one another; aggregate in fewer steps");
    wrong(
        "SELECT n FROM (SELECT v, count(*) AS n FROM a GROUP BY k)",
        "p.toml:2:30: the column `v` is neither in GROUP BY nor inside an aggregate function; add it to GROUP BY, or write for instance max(v)",
    );
    wrong("SELECT a.k FROM a AS x", "p.toml:2:15: unknown table `a`; the table is called `x` here");
    wrong("SELECT a.k FROM (SELECT k FROM a) AS x", "p.toml:2:15: unknown table `a`; the table is `x`");
    wrong("SELECT a.* FROM a AS x", "p.toml:2:15: unknown table `a`; the table is called `x` here");
    wrong("SELECT * EXCEPT (q) FROM a", "p.toml:2:25: unknown column `q`; did you mean `k`, `t`, `v`?");
    wrong(
        "WITH RECURSIVE x AS (SELECT k FROM a) SELECT k FROM x",
        "p.toml:2:13: WITH RECURSIVE is not supported on streams; leave RECURSIVE out",
    );
    let doubled = (1..40).map(|n| format!(", t{n} AS (SELECT k FROM t{0} UNION ALL SELECT k FROM t{0})", n - 1));
    let doubled = format!("WITH t0 AS (SELECT k FROM a){} SELECT k FROM t39", doubled.collect::<String>());
    let fault = "the query has more than 256 SELECTs; a query that WITH names counts as often as it is read: read it less often";
    wrong(&doubled, &format!("p.toml:2:324: {fault}"));
    wrong(
        "SELECT x FROM (SELECT k, v FROM a) AS t(x)",
        "p.toml:2:48: 1 of the query's columns are named, and it has 2; give each column one name",
    );
    wrong(
        "WITH t(x, y) AS (SELECT k FROM a) SELECT x FROM t",
        "p.toml:2:15: 2 of the query's columns are named, and it has 1; give each column one name",
    );
    wrong(
        "SELECT k COLLATE UTF8_LCASE FROM a",
        "p.toml:2:17: COLLATE is not supported; STRINGs compare by their UTF-8 bytes, Spark's default; compare lower(text) where case does not matter",
    );
    wrong(
        "SELECT TIME '12:00' FROM a",
        "p.toml:2:15: the type TIME is not supported; keep the time of day as text or as seconds: hour(t) * 3600 + minute(t) * 60 + second(t)",
    );
    wrong(
        "SELECT upper(text => k) FROM a",
        "p.toml:2:21: `upper` has no parameter of the name `text`; give the arguments by position",
    );
    wrong("SELECT x '1g' FROM a", "p.toml:2:15: this is not a binary constant; write hexadecimal digits: X'1F'");
    wrong("SELECT v FROM (SELECT k FROM a)", "p.toml:2:15: unknown column `v`; did you mean `k`?");
    wrong(
        "SELECT a.k FROM (SELECT k FROM a)",
        "p.toml:2:15: unknown table `a`; leave it out, or give the subquery a name with AS",
    );
    wrong(
        "SELECT 1 FROM (SELECT k, upper(k) AS K FROM a) q WHERE 'a' < q.K",
        "p.toml:2:71: the subquery has several columns `K`; give them different names with AS",
    );
    wrong(
        "SELECT v.c FROM (SELECT k AS c FROM a) q LATERAL VIEW explode(array(1)) v AS c LATERAL VIEW explode(array(c)) w AS x",
        "p.toml:2:114: there are several columns `c`; give them different names with AS",
    );
    let deep = format!("{}SELECT k FROM a{}", "SELECT k FROM (".repeat(40), ")".repeat(40));
    wrong(&deep, "p.toml:2:503: the query is nested too deeply; take parentheses away");
    // Each step is a query around those before it, at every level.
    let piped = format!("{}FROM a{}", "FROM (".repeat(15), " |> AS x |> WHERE k > '' |> AS y)".repeat(15));
    wrong(&piped, "p.toml:2:400: the query is nested too deeply; put some steps of the pipe together");
    wrong(
        &format!("FROM a{}", " |> AS x".repeat(33)),
        "p.toml:2:278: the query is nested too deeply; put some steps of the pipe together",
    );
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
    wrong("SELECT a.* FROM a AS x", "p.toml:2:15: unknown table `a`; the table is called `x` here");
    wrong("SELECT k.* FROM a", "p.toml:2:15: `.*` stands behind a table or a STRUCT, not STRING; leave it out");
    wrong(
        "SELECT * EXCEPT k FROM a",
        "p.toml:2:17: EXCEPT behind `*` takes names in parentheses; write * EXCEPT (a, b)",
    );
    wrong("SELECT * EXCLUDE (k) FROM a", "p.toml:2:17: `* EXCLUDE` is not SQL of Spark; write * EXCEPT (a, b)");
    wrong("SELECT a.* AS x FROM a", "p.toml:2:15: `*` takes no alias; leave the alias out");
    wrong(
        "SELECT u.* FROM (SELECT k FROM a)",
        "p.toml:2:15: unknown table `u`; leave it out, or give the subquery a name with AS",
    );
}

#[test]
fn nested_types_lambdas_and_intervals() {
    let select = |item: &str, expected: &str| {
        let (start, rest) = expected.split_once(':').unwrap();
        let expected = format!("p.toml:2:{start}:{rest}");
        check_union(&format!("SELECT {item} FROM a"), "update", &[&expected]);
    };
    for (item, expected) in [
        (
            "CAST(st AS STRUCT<x: INT, y: INT>)",
            "20: STRUCT<x: INT> cannot be cast to STRUCT<x: INT, y: INT>; cast to a type of the same shape, to STRING, or take its parts: a.field, a[0], a['key']",
        ),
        (
            "coalesce(st, k)",
            "28: `coalesce` cannot mix STRUCT<x: INT> and STRING; CAST one of them to the type of the other",
        ),
        ("transform(k, x -> x)", "25: `transform` takes an ARRAY as argument 1, not STRING; give it an array"),
        (
            "transform(array(1), (x, y, z) -> x)",
            "35: the lambda of `transform` takes 1 or 2 parameters, not 3; change its parameters",
        ),
        (
            "zip_with(array(1), array(2), (x, x) -> x)",
            "48: the lambda has two parameters `x`; give them different names",
        ),
        (
            "filter(array(1), x -> x)",
            "37: the lambda of `filter` is a condition, not a value of type INT; compare it with something",
        ),
        (
            "upper(x -> x)",
            "21: a lambda is no value; transform, filter, exists, forall, aggregate and the like take one",
        ),
        (
            "aggregate(array(1), 0, (acc, x) -> acc + 1L)",
            "15: the start of `aggregate` is of type INT, what its lambda gives of type BIGINT; CAST the start: CAST(… AS BIGINT)",
        ),
        (
            "transform(array(1), x -> sum(x))",
            "40: the aggregate function `sum` is not allowed in a lambda; aggregate in a subquery, and call the lambda on its columns",
        ),
        ("map(1, 2, 3)", "15: `map` takes pairs of a key and a value, not 3 arguments; write map(key, value, …)"),
        (
            "array_append(array(1), k)",
            "38: `array_append` takes a value of the array's element type, INT, as argument 2, not STRING; give it another argument",
        ),
        (
            "INTERVAL '1 month 2 days'",
            "15: one INTERVAL cannot have years or months and days or smaller units; add two, one after the other: time + INTERVAL '1 month' + INTERVAL '2 days'",
        ),
        ("INTERVAL '25' DAY TO HOUR", "15: '25' is no INTERVAL DAY TO HOUR; correct the constant"),
        (
            "INTERVAL '1' DAY + INTERVAL '1' MONTH",
            "15: INTERVAL DAY and INTERVAL MONTH have no sum; add two to a time, one after the other: time + INTERVAL '1 month' + INTERVAL '2 days'",
        ),
        (
            "timestampadd(FORTNIGHT, 1, now())",
            "28: argument 1 of `timestampadd` is a unit; write one of YEAR, QUARTER, MONTH, WEEK, DAY, DAYOFYEAR, HOUR, MINUTE, SECOND, MILLISECOND, MICROSECOND",
        ),
        (
            "CAST(1 AS INTERVAL)",
            "25: the type INTERVAL without fields is not supported; name its fields, for instance INTERVAL DAY TO SECOND or INTERVAL YEAR TO MONTH",
        ),
        ("rand('x')", "20: the seed is a constant INT or BIGINT; write a number, or no seed"),
        ("randstr(-1)", "23: the length of `randstr` is a number from 0 to 1048576; write for instance randstr(10)"),
        ("uniform(k, 1)", "23: the bounds of `uniform` are constant numbers; write for instance uniform(0, 100)"),
        ("shuffle(k)", "23: `shuffle` takes an ARRAY, not STRING; give it an array"),
        (
            "sum(rand())",
            "15: `sum` of a random value is not allowed: Spark takes only deterministic arguments; compute it in a subquery: SELECT … FROM (SELECT *, rand() AS r FROM …) GROUP BY …",
        ),
        (
            "transform(array(1), x -> x + rand())",
            "44: `rand` is not allowed in a lambda; make rows of the array with explode, and call it on these",
        ),
        (
            "explode(array(1)) AS x, monotonically_increasing_id()",
            "8: `monotonically_increasing_id` numbers records, and these are rows made of them; call it in a subquery below the generator or window(…), beside pos of posexplode: SELECT id, pos, x FROM (SELECT *, monotonically_increasing_id() AS id FROM …) LATERAL VIEW …",
        ),
    ] {
        select(item, expected);
    }
}

#[test]
fn the_column_of_corrupt_records() {
    let faults = |option: &str, schema: &str, sql: &str| {
        let text = format!(
            "[sources.t]\ntype = \"files\"\npath = \"in\"\n{option}schema = \"{schema}\"\n[query]\nsql = \"{sql}\"\n[sinks.s]\ntype = \"none\"\n"
        );
        let pipeline = tidemill_config::parse("p.toml", &text, &[]).unwrap();
        tidemill_sql::plan(&pipeline).err().map(|faults| faults.to_string())
    };
    assert_eq!(faults("", "a INT, _corrupt_record STRING", "SELECT _corrupt_record FROM t WHERE a > 1"), None);
    assert_eq!(faults("", "a INT, _Corrupt_Record INT", "SELECT _corrupt_record FROM t"), None);
    assert_eq!(
        faults("", "a INT, _corrupt_record INT", "SELECT a FROM t").unwrap(),
        "p.toml:4:11: the column of corrupt records `_corrupt_record` is INT; declare it STRING, or set \
         column_name_of_corrupt_record to another name"
    );
    assert_eq!(
        faults("column_name_of_corrupt_record = \"bad\"\n", "a INT, bad STRING", "SELECT bad FROM t").unwrap(),
        "p.toml:7:7: the query reads nothing of `t` but the column of corrupt records; read another column too: which \
         records are corrupt depends on the columns that are read"
    );
}

/// A Kafka source with these keys, read by `SELECT 1`; its messages.
fn check_source(keys: &str, expected: &str) {
    let text = format!(
        "[query]\nsql = \"SELECT 1 AS one FROM t\"\n[sinks.out]\ntype = \"console\"\n[sources.t]\ntype = \"kafka\"\n\
         bootstrap_servers = \"h:1\"\ntopic = \"t\"\n{keys}"
    );
    let plan = tidemill_config::parse("p.toml", &text, &[]).and_then(|pipeline| tidemill_sql::plan(&pipeline));
    assert_eq!(plan.expect_err(keys).to_string().trim_end(), expected, "{keys}");
}

#[test]
fn kafka_columns() {
    check_source(
        "schema = \"a INT, Kafka STRING\"\nmetadata_column = \"kafka\"",
        "p.toml:10:20: the source has a column `kafka` already; give `metadata_column` another name",
    );
    check_source(
        "schema = \"a TIMESTAMP\"\nmetadata_column = \"et\"\nevent_time = { column = \"et\", expression = \"a\" }",
        "p.toml:10:20: the source has a column `et` already; give `metadata_column` another name",
    );
    check_source(
        "metadata_column = \"kafka\"",
        "p.toml:9:19: `metadata_column` stands beside the columns of a schema, and there is none; leave it out: without a \
         schema, Kafka's columns are the source's",
    );
    check_source(
        "format = \"json\"",
        "p.toml:9:10: `format` says how to read the columns of a schema, and there is none; add a schema, for instance \
         schema = \"timestamp DOUBLE, course STRING\", or leave this out",
    );
    check_source(
        "format = \"csv\"",
        "p.toml:9:10: `format` says how to read the columns of a schema, and there is none; add a schema, for instance \
         schema = \"timestamp DOUBLE, course STRING\", or leave this out",
    );
    for format in ["text", "raw"] {
        check_source(
            &format!("schema = \"a INT\"\nformat = \"{format}\""),
            "p.toml:9:10: `schema` is for values of format = \"json\" and \"csv\"; leave it out: the columns are Kafka's own, \
             such as key, value and topic; or write another format",
        );
    }
    check_source(
        "schema = \"a INT\"\nsep = \";\"",
        "p.toml:10:7: `sep` applies to format = \"csv\" only; leave it out, or write format = \"csv\"",
    );
    // Nothing about a schema, which it may go without.
    check_source(
        "subscribe_pattern = \"x\"",
        "p.toml:9:21: a source has `topic` or `subscribe_pattern`, not both; leave one of them out",
    );
    check_source(
        "format = \"avro\"",
        "p.toml:9:10: `format` is \"avro\"; choose \"json\" or \"csv\" or \"text\" or \"raw\"",
    );
    check_source(
        "schema = \"a ARRAY<INT>\"\nformat = \"csv\"",
        "p.toml:9:11: the column `a` is ARRAY<INT>, which CSV cannot store; declare it STRING, or read JSON",
    );
    check_source(
        "column_name_of_corrupt_record = \"bad\"",
        "p.toml:9:33: `column_name_of_corrupt_record` names a column of the schema, and there is none; add a schema, for \
         instance schema = \"timestamp DOUBLE, course STRING\", or leave this out",
    );
    check_source(
        "schema = \"a INT\"\ninclude_headers = true",
        "p.toml:10:19: `include_headers` has no column to go to; add metadata_column = \"kafka\", or leave out \
         `include_headers`",
    );
    check_source(
        "event_time = { column = \"et\", expression = \"timestampp\" }",
        "p.toml:9:45: unknown column `timestampp`; did you mean `timestamp`, `timestampType`?",
    );
}
