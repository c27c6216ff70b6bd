//! Expressions, queries and types nested thousands deep are refused with their place, and the deepest that are taken fit the stack.
//!
//! The frames of a build without optimisation are the largest: `cargo test -p tidemill-sql --test depth`.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{FieldRef, Schema};
use std::sync::Arc;
use tidemill_model::Millis;
use tidemill_sql::eval::{RowErrors, evaluate};
use tidemill_sql::plan::{Body, QueryPlan, Step};

/// So deep must everything be refused.
const TOO_DEEP: usize = 4_000;

/// A program plans on its main thread.
const STACK_BYTES: usize = 8 << 20;

/// Text in front, text inside, text behind; the outer two are repeated.
type Nested = (&'static str, &'static str, &'static str);

/// As a type: of a column, of a cast, in the schema of `from_json`.
const TYPES: &[Nested] = &[
    ("ARRAY<", "INT", ">"),
    ("MAP<STRING, ", "INT", ">"),
    ("STRUCT<a: ", "INT", ">"),
    ("STRUCT<a INT, b: ARRAY<", "INT", ">>"),
    ("ARRAY<STRUCT<a: MAP<STRING, ", "INT", ">>>"),
];

/// As an expression of the table: of a value, and of a condition.
const EXPRESSIONS: &[Nested] = &[
    ("(", "n", ")"),
    ("- ", "n", ""),
    ("~", "n", ""),
    ("n + ", "n", ""),
    ("n + (", "n", ")"),
    ("(n DIV ", "n", " & n)"),
    ("s || ", "s", ""),
    ("ts - (ts - ", "ts", ")"),
    ("", "n", "::INT"),
    ("CAST(", "n", " AS BIGINT)"),
    ("TRY_CAST(string(", "n", ") AS INT)"),
    ("abs(", "n", ")"),
    ("try_add(", "n", ", 1)"),
    ("coalesce(", "n", ", n)"),
    ("greatest(", "n", ", n)"),
    ("if(b, ", "n", ", 1)"),
    ("CASE WHEN b THEN ", "n", " ELSE 1 END"),
    ("CASE n WHEN ", "n", " THEN 1 END"),
    ("array(", "n", ")"),
    ("array(", "n", ")[0]"),
    ("map('a', ", "n", ")"),
    ("struct(", "n", ")"),
    ("(", "n", ", 1)"),
    ("named_struct('a', ", "n", ").a"),
    ("arr[", "n", "]"),
    ("transform(arr, x -> ", "n", ")"),
    ("aggregate(arr, 0, (x, y) -> ", "n", ")"),
    ("element_at(transform(arr, x -> x + ", "n", "), 1)"),
    ("from_json(to_json(struct(", "n", " AS a)), 'a INT').a"),
    ("regexp_replace(", "s", ", 'a', 'b')"),
    ("date_format(", "ts", ", 'yyyy')::TIMESTAMP"),
];

const CONDITIONS: &[Nested] = &[
    ("NOT ", "b", ""),
    ("b AND ", "b", ""),
    ("b OR (b AND ", "b", ")"),
    ("b = (", "b", ")"),
    ("(", "b", ") IS NOT TRUE"),
    ("n IN (1, CASE WHEN ", "b", " THEN n END)"),
    ("n BETWEEN 1 AND (CASE WHEN ", "b", " THEN 1 END)"),
    ("s LIKE ('a' || string(", "b", "))"),
    ("exists(arr, x -> ", "b", ")"),
];

/// As a query that gives the column `n`.
const QUERIES: &[Nested] = &[
    ("(", "SELECT n FROM t", ")"),
    ("SELECT * FROM (", "SELECT n FROM t", ")"),
    ("SELECT n + 1 AS n FROM (", "SELECT n FROM t", ") WHERE n > 1"),
    ("SELECT n FROM (SELECT n FROM t UNION ALL ", "SELECT n FROM t", ")"),
    ("WITH a AS (", "SELECT n FROM t", ") SELECT n FROM a"),
    ("SELECT explode(array(n, 1)) AS n FROM (", "SELECT n FROM t", ")"),
    ("SELECT c AS n FROM (", "SELECT n FROM t", ") LATERAL VIEW explode(array(n)) v AS c"),
    ("SELECT n FROM (", "SELECT n FROM t", ") JOIN VALUES (1) AS v(c) ON n = c"),
    ("SELECT n FROM (", "SELECT n, count(*) FROM t GROUP BY n", ") WHERE n > 1"),
    ("", "FROM t", " |> WHERE n > 1"),
    ("", "FROM t", " |> SELECT n + 1 AS n"),
];

/// As sets of keys.
const SETS: &[Nested] = &[("GROUPING SETS (", "n", ")"), ("GROUPING SETS (n, ROLLUP(n), ", "b", ")")];

const SCHEMA: &str =
    "b BOOLEAN, n INT, s STRING, dt DATE, ts TIMESTAMP, arr ARRAY<INT>, m MAP<STRING, INT>, st STRUCT<a: INT>";

fn written((before, inside, behind): Nested, depth: usize) -> String {
    format!("{}{inside}{}", before.repeat(depth), behind.repeat(depth))
}

/// Plans a query, sends it as executors get it and computes its rows; the first message where it is refused.
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
    let sent: QueryPlan = postcard::from_bytes(&postcard::to_stdvec(&plan).unwrap()).unwrap();
    assert_eq!(sent.describe(), plan.describe());
    compute(&plan);
    Ok(())
}

fn compute(plan: &QueryPlan) {
    let branch = &plan.branches[0];
    let (context, mut errors) = (plan.context(Millis(0)), RowErrors::default());
    let mut fields: Vec<FieldRef> = branch.row_schema.fields().iter().cloned().collect();
    for step in &branch.steps {
        let expr = match step {
            Step::Filter(filter) => filter,
            Step::Generate(generate) => &generate.array,
            Step::Window(window) => &window.time,
        };
        evaluate(expr, &one_row(&fields), &context, &mut errors);
        if let Step::Generate(generate) = step {
            fields.extend(generate.columns.iter().cloned());
        }
    }
    let rows = one_row(&fields);
    let outputs = match &branch.body {
        Body::Project(outputs) => outputs.clone(),
        Body::Aggregate(groups) => groups.keys.iter().map(|key| key.expr.clone()).collect(),
    };
    for output in branch.pushed_filters.iter().chain(&outputs) {
        evaluate(output, &rows, &context, &mut errors);
    }
    for (groups, _) in plan.aggregations() {
        let rows = one_row(groups.row_schema.fields());
        for output in groups.having.iter().chain(&groups.output) {
            evaluate(output, &rows, &context, &mut errors);
        }
    }
}

fn one_row(fields: &[FieldRef]) -> RecordBatch {
    let columns = fields.iter().map(|field| arrow_array::new_null_array(field.data_type(), 1)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.to_vec())), columns, &options).unwrap()
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

/// Short texts whose expressions would double with each level.
#[test]
fn what_doubles_is_refused_or_read_once() {
    let query = |before: &str, inside: &str, behind: &str, depth: usize| {
        run(SCHEMA, &format!("{}{inside}{}", before.repeat(depth), behind.repeat(depth)))
    };
    on_a_stack(move || {
        for (before, behind, depth) in [
            ("SELECT n + n AS n FROM (", ")", 20),
            ("SELECT CASE WHEN n > 1 THEN n ELSE -n END AS n FROM (", ")", 20),
            ("SELECT n FROM (SELECT nullif(n, 1) AS n FROM (", ") WHERE n BETWEEN 1 AND n)", 12),
        ] {
            assert_eq!(query(before, "SELECT n FROM t", behind, 3), Ok(()), "{before}");
            let refusal = query(before, "SELECT n FROM t", behind, depth).expect_err(before);
            assert!(refusal.contains("the expression is too large"), "{before}: {refusal}");
        }
        let nested = |before: &str, inside: &str, behind: &str| {
            let value = format!("{}{inside}{}", before.repeat(40), behind.repeat(40));
            run(SCHEMA, &format!("SELECT {value} AS x FROM t"))
        };
        assert_eq!(nested("abs(", "n", ")"), Ok(()));
        assert_eq!(nested("signum(", "n", ")"), Ok(()));
        assert_eq!(nested("width_bucket(", "n", ", 0, 1, 5)"), Ok(()));
        let refusal = nested("to_date(string(", "s", "), 'yyyy')").expect_err("it reads its argument twice");
        assert!(refusal.contains("the query is too large"), "{refusal}");
    });
}

#[test]
fn comments_inside_of_comments_are_read() {
    let comments = "/* ".repeat(TOO_DEEP) + &" */".repeat(TOO_DEEP);
    assert_eq!(run(SCHEMA, &format!("SELECT {comments} n FROM t")), Ok(()));
}

#[test]
fn expressions() {
    on_a_stack(|| {
        for nested in EXPRESSIONS.iter().chain(CONDITIONS) {
            let taken = check(*nested, |x| run(SCHEMA, &format!("SELECT {x} AS x FROM t")));
            assert!(taken >= 10, "{nested:?} only {taken} deep");
            check(*nested, |x| run(SCHEMA, &format!("SELECT 1 AS x FROM t WHERE ({x}) IS NOT NULL")));
            check(*nested, |x| run(SCHEMA, &format!("SELECT count(*) AS x FROM t GROUP BY {x}")));
            check(*nested, |x| run(SCHEMA, &format!("SELECT max(string({x})) AS x FROM t HAVING first({x}) IS NULL")));
        }
    });
}

/// The deepest tree of a text without subqueries: each row of operators is as long as it may be where it stands.
#[test]
fn rows_of_operators_inside_of_rows() {
    let rows = |depth: usize, operator: &str| {
        let longest = |depth: usize| (500 / (depth * depth)).max(10);
        (1..=depth).rev().fold("n".to_string(), |inner, depth| {
            format!("({inner}){}", format!(" {operator} n").repeat(longest(depth)))
        })
    };
    on_a_stack(move || {
        for operator in ["+", "DIV", "&"] {
            let taken = |depth: usize| run(SCHEMA, &format!("SELECT {} AS x FROM t", rows(depth, operator)));
            let refusal = taken(101).expect_err("101 rows are too many");
            assert!(refusal.contains("nested too deeply"), "{operator}: {refusal}");
            assert_eq!(taken(99), Ok(()), "{operator}");
        }
    });
}

#[test]
fn queries() {
    on_a_stack(|| {
        for nested in QUERIES {
            let taken = check(*nested, |query| run(SCHEMA, query));
            assert!(taken >= 4, "{nested:?} only {taken} deep");
        }
        for nested in SETS {
            check(*nested, |sets| run(SCHEMA, &format!("SELECT count(*) AS x FROM t GROUP BY {sets}")));
        }
    });
}

/// A column of a subquery stands for its expression, and where a generator makes it, it has the type of one.
#[test]
fn expressions_through_queries() {
    let through = |nested: Nested, depth: usize, items: &str| {
        let layer = items.replace("{x}", &written(nested, 60));
        let query = format!("{}SELECT n FROM t{}", layer.repeat(depth), ")".repeat(depth));
        run(SCHEMA, &query)
    };
    on_a_stack(move || {
        for nested in EXPRESSIONS.iter().filter(|nested| nested.1 == "n") {
            for items in ["SELECT {x} AS n FROM (", "SELECT explode(array({x})) AS n FROM ("] {
                let (mut taken, mut refused) = (0, 33);
                while taken + 1 < refused {
                    let middle = usize::midpoint(taken, refused);
                    match through(*nested, middle, items) {
                        Ok(()) => taken = middle,
                        Err(_) => refused = middle,
                    }
                }
                let refusal = through(*nested, refused, items).expect_err("33 queries are too many");
                assert!(refusal.starts_with("p.toml:"), "{nested:?}: {refusal}");
            }
        }
    });
}

/// A type would double with each query, though the expression is a column.
#[test]
fn types_that_double_are_refused() {
    on_a_stack(|| {
        let query = |depth: usize| {
            let layer = "SELECT explode(array(struct(n, n))) AS n FROM (";
            run(SCHEMA, &format!("{}SELECT n FROM t{}", layer.repeat(depth), ")".repeat(depth)))
        };
        assert_eq!(query(5), Ok(()));
        let refusal = query(25).expect_err("a type of 2^25 parts");
        assert!(refusal.contains("the type of the expression is nested too deeply or too large"), "{refusal}");
    });
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
