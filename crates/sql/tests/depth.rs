//! Texts nested thousands deep are refused with their place, and the deepest that are taken fit the stack.
//!
//! The frames of a build without optimisation are the largest: `cargo test -p tidemill-sql --test depth`.

use arrow_array::{RecordBatch, RecordBatchOptions};
use tidemill_model::Millis;
use tidemill_sql::eval::{RowErrors, evaluate};
use tidemill_sql::plan::{Body, QueryPlan};

/// So deep must everything be refused.
const TOO_DEEP: usize = 4_000;

/// A program plans on its main thread.
const STACK_BYTES: usize = 8 << 20;

/// Text in front, text inside, text behind; the outer two are repeated.
type Nested = (&'static str, &'static str, &'static str);

/// As the item of a SELECT.
const EXPRESSIONS: &[Nested] = &[
    ("(", "1", ")"),
    ("NOT ", "b", ""),
    ("- ", "n", ""),
    ("+ ", "n", ""),
    ("~ ", "n", ""),
    ("", "n", " + n"),
    ("", "n", " * n"),
    ("", "s", " || s"),
    ("", "b", " AND b"),
    ("", "b", " OR b"),
    ("", "n", "::INT"),
    ("", "n", " & n"),
    ("", "st", ".a"),
    ("", "arr", "[0]"),
    ("", "b", " = b"),
    ("", "b", " IS NULL"),
    ("n + (", "n", ")"),
    ("n * (n + ", "n", ")"),
    ("b AND (b OR ", "b", ")"),
    ("b = (", "b", ")"),
    ("b IN (false, ", "b", ")"),
    ("b BETWEEN false AND (", "b", ")"),
    ("nullif(", "n", ", 7)"),
    ("nvl2(n, ", "n", ", 7)"),
    ("nullifzero(", "n", ")"),
    ("decode(", "n", ", 1, 2, 3, 4)"),
    ("(", "s", ") LIKE ANY ('a', s) || 'x'"),
    ("equal_null(b, ", "b", ")"),
    ("CASE ", "n", " WHEN 1 THEN 2 WHEN 2 THEN n END"),
    ("(", "b", ") BETWEEN false AND true"),
    ("s LIKE (s || ", "s", ")"),
    ("(", "b", " IS NULL)"),
    ("(", "b", ") IS DISTINCT FROM true"),
    ("CASE WHEN ", "b", " THEN b END"),
    ("CASE WHEN b THEN ", "n", " END"),
    ("CASE WHEN b THEN n ELSE ", "n", " END"),
    ("CASE ", "b", " WHEN b THEN b END"),
    ("CAST(", "n", " AS BIGINT)"),
    ("TRY_CAST(", "n", " AS STRING)"),
    ("int(", "n", ")"),
    ("abs(", "n", ")"),
    ("upper(", "s", ")"),
    ("try_add(n, ", "n", ")"),
    ("concat(s, ", "s", ")"),
    ("coalesce(n, ", "n", ")"),
    ("greatest(n, ", "n", ")"),
    ("if(b, n, ", "n", ")"),
    ("decode(n, 1, 2, ", "n", ")"),
    ("array(", "n", ")"),
    ("size(array(", "n", "))"),
    ("arr[", "0", "]"),
    ("element_at(array(n, ", "n", "), 1)"),
    ("map('a', ", "n", ")['a']"),
    ("map('a', ", "n", ")"),
    ("struct(", "n", ")"),
    ("named_struct('a', ", "n", ").a"),
    ("(n, ", "n", ")"),
    ("size(transform(arr, x -> ", "x", "))"),
    ("aggregate(arr, 0, (x, y) -> x + y, x -> ", "n", ")"),
    ("transform_values(m, (k, v) -> ", "n", ")"),
    ("date_add(dt, ", "n", ")"),
    ("EXTRACT(DAY FROM ts - make_interval(", "1", "))"),
    ("INTERVAL '1' DAY * (", "n", ")"),
    ("to_json(struct(", "n", "))"),
    ("from_json(s, 'a INT').a + (", "n", ")"),
    ("sum(", "n", ")"),
    ("max(n) FILTER (WHERE b AND ", "b", ")"),
    ("EXISTS(arr, x -> ", "b", ")"),
    ("substring(s FROM ", "1", ")"),
    ("trim(BOTH 'a' FROM ", "s", ")"),
    ("CAST(NULL AS ARRAY<", "INT", ">)"),
];

/// As a type: of a column, of a cast, in the schema of `from_json`.
const TYPES: &[Nested] = &[
    ("ARRAY<", "INT", ">"),
    ("MAP<STRING, ", "INT", ">"),
    ("STRUCT<a: ", "INT", ">"),
    ("STRUCT<a INT, b: ARRAY<", "INT", ">>"),
    ("ARRAY<STRUCT<a: MAP<STRING, ", "INT", ">>>"),
];

/// As the query.
const QUERIES: &[Nested] = &[
    ("SELECT n FROM (", "SELECT n FROM t", ")"),
    ("SELECT n FROM (", "SELECT n FROM t", ") AS q WHERE n > 0"),
    // A column of a subquery stands for its expression.
    ("SELECT n + n AS n FROM (", "SELECT n FROM t", ")"),
    ("SELECT n BETWEEN n AND n AS n FROM (", "SELECT true AS n FROM t", ")"),
    (
        "SELECT - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - n AS n FROM (",
        "SELECT n FROM t",
        ")",
    ),
    ("(", "SELECT n FROM t", ")"),
    ("", "SELECT n FROM t", " UNION ALL SELECT n FROM t"),
    ("(", "SELECT n FROM t", " UNION ALL SELECT n FROM t)"),
    ("SELECT n FROM t UNION ALL (", "SELECT n FROM t", ")"),
    ("WITH q AS (", "SELECT n FROM t", ") SELECT n FROM q"),
    ("FROM (", "FROM t", ")"),
    ("", "FROM t", " |> WHERE n > 0"),
    ("", "FROM t", " |> EXTEND n + 1 AS m |> DROP m"),
    ("SELECT n FROM (VALUES (", "1", ")) AS v(n)"),
    ("SELECT n FROM t JOIN (", "SELECT n FROM t", ") USING (n)"),
    ("SELECT n FROM t WHERE n IN (", "SELECT n FROM t", ")"),
    ("SELECT n, (", "SELECT n FROM t", ") FROM t"),
    ("", "SELECT e0 FROM t LATERAL VIEW explode(arr) v AS e0", " LATERAL VIEW explode(arr) v AS e"),
    ("SELECT count(*) FROM t GROUP BY n, (", "n", ")"),
];

/// As the keys of a GROUP BY.
const KEYS: &[Nested] = &[
    ("(", "n", ")"),
    ("GROUPING SETS (", "n", ")"),
    ("ROLLUP (", "n", ")"),
    ("CUBE (n, ", "n", ")"),
    ("GROUPING SETS ((n), ", "(n)", ")"),
];

const SCHEMA: &str =
    "b BOOLEAN, n INT, s STRING, dt DATE, ts TIMESTAMP, arr ARRAY<INT>, m MAP<STRING, INT>, st STRUCT<a: INT>";

fn written((before, inside, behind): Nested, depth: usize) -> String {
    format!("{}{inside}{}", before.repeat(depth), behind.repeat(depth))
}

/// Plans a query, hashes its text and computes its rows; the first message where it is refused.
fn run(schema: &str, query: &str) -> Result<(), String> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let text = format!(
        "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\nschema = {}\n[query]\nsql = {}\n\
         output_mode = \"update\"\n[sinks.out]\ntype = \"console\"\n",
        quoted(schema),
        quoted(query)
    );
    let pipeline = tidemill_config::parse("p.toml", &text, &[]).map_err(|faults| faults.to_string())?;
    let plan = tidemill_sql::plan(&pipeline).map_err(|faults| faults.to_string())?;
    plan.hash();
    let _ = format!("{plan:?}");
    compute(&plan);
    Ok(())
}

fn compute(plan: &QueryPlan) {
    let branch = &plan.branches[0];
    let columns = branch.row_schema.fields().iter().map(|field| arrow_array::new_null_array(field.data_type(), 1));
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let rows = RecordBatch::try_new_with_options(branch.row_schema.clone(), columns.collect(), &one_row).unwrap();
    let outputs = match &branch.body {
        Body::Project(outputs) => outputs.clone(),
        Body::Aggregate(groups) => groups.keys.iter().map(|key| key.expr.clone()).collect(),
    };
    for output in branch.pushed_filters.iter().chain(&outputs) {
        evaluate(output, &rows, &plan.context(Millis(0)), &mut RowErrors::default());
    }
}

/// Refused where it is too deep, with a place; the deepest that is taken runs. That depth.
fn check(nested: Nested, run: impl Fn(&str) -> Result<(), String>) -> usize {
    let refusal = run(&written(nested, TOO_DEEP)).expect_err(&format!("{nested:?} {TOO_DEEP} deep is taken"));
    assert!(refusal.starts_with("p.toml:"), "{nested:?}: {}", refusal.chars().take(200).collect::<String>());
    let (mut taken, mut refused) = (0, TOO_DEEP);
    while taken + 1 < refused {
        let middle = if taken == 0 { refused.div_ceil(2).min(512) } else { taken.midpoint(refused) };
        match run(&written(nested, middle)) {
            Ok(()) => taken = middle,
            Err(_) => refused = middle,
        }
    }
    taken
}

/// On a stack as the program has it.
fn on_a_stack(body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(body).unwrap().join().unwrap();
}

#[test]
fn expressions() {
    on_a_stack(|| {
        for nested in EXPRESSIONS {
            let taken = check(*nested, |x| run(SCHEMA, &format!("SELECT {x} AS x FROM t")));
            let deepest = written(*nested, taken);
            let _ = run(SCHEMA, &format!("SELECT n FROM t WHERE ({deepest}) IS NOT NULL"));
            let _ = run(SCHEMA, &format!("SELECT {deepest} AS x, count(*) FROM t GROUP BY 1"));
        }
    });
}

#[test]
fn comments_inside_of_comments_are_read() {
    let comments = "/* ".repeat(TOO_DEEP) + &" */".repeat(TOO_DEEP);
    assert_eq!(run(SCHEMA, &format!("SELECT {comments} n FROM t")), Ok(()));
}

#[test]
fn types() {
    on_a_stack(|| {
        for nested in TYPES {
            check(*nested, |t| run(&format!("n INT, x {t}"), "SELECT x FROM t"));
            check(*nested, |t| run(SCHEMA, &format!("SELECT CAST(NULL AS {t}) AS x FROM t")));
            check(*nested, |t| run(SCHEMA, &format!("SELECT from_json(s, 'x {t}') AS x FROM t")));
            check(*nested, |t| run(SCHEMA, &format!("SELECT to_json(from_json(s, 'x {t}')) AS x FROM t")));
        }
    });
}

#[test]
fn queries_and_keys() {
    on_a_stack(|| {
        for nested in QUERIES {
            check(*nested, |query| run(SCHEMA, query));
        }
        for nested in KEYS {
            check(*nested, |keys| run(SCHEMA, &format!("SELECT count(*) FROM t GROUP BY {keys}")));
        }
    });
}
