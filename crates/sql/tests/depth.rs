//! Types nested thousands deep are refused with their place, and the deepest that are taken fit the stack.
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

/// As a type: of a column, of a cast, in the schema of `from_json`.
const TYPES: &[Nested] = &[
    ("ARRAY<", "INT", ">"),
    ("MAP<STRING, ", "INT", ">"),
    ("STRUCT<a: ", "INT", ">"),
    ("STRUCT<a INT, b: ARRAY<", "INT", ">>"),
    ("ARRAY<STRUCT<a: MAP<STRING, ", "INT", ">>>"),
];

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
