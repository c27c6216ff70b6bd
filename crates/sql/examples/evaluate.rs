//! Benchmark of expressions: nanoseconds of one core per row, over batches of 2,048 reference records.
//!
//! `cargo run --release -p tidemill-sql --example evaluate`

use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemill_model::Millis;
use tidemill_sql::eval::{RowErrors, evaluate};
use tidemill_sql::plan::Body;

/// As many as the engine evaluates at once.
const ROWS: usize = 2_048;
/// The fastest of so many repetitions counts.
const REPEATS: usize = 5;
/// A repetition lasts so long at least.
const LEAST: Duration = Duration::from_millis(20);

fn main() {
    for expression in include_str!("expressions.txt").lines() {
        println!("figure {} {:.2} ns/row", expression.replace(' ', "_"), cost(&written_out(expression), "UTC"));
    }
    for expression in [
        "hour(CAST(timestamp AS TIMESTAMP))",
        "date_trunc('hour', CAST(timestamp AS TIMESTAMP))",
        "CAST(CAST(timestamp AS TIMESTAMP) AS STRING)",
    ] {
        let name = expression.replace(' ', "_");
        println!("figure {name}_in_Europe/Paris {:.2} ns/row", cost(expression, "Europe/Paris"));
    }
}

/// The lists that `tests/spark/expression_costs.py` writes, too.
fn written_out(expression: &str) -> String {
    let list = |form: &dyn Fn(usize) -> String| (0..2_000).map(form).collect::<Vec<_>>().join(", ");
    let texts = list(&|n| format!("'course {n}'"));
    let numbers = list(&|n| (n * 7).to_string());
    expression.replace("2,000 texts", &texts).replace("2,000 numbers", &numbers)
}

/// Nanoseconds per row.
fn cost(expression: &str, zone: &str) -> f64 {
    let text = format!(
        "session_time_zone = \"{zone}\"\n[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\n\
         schema = \"timestamp DOUBLE, course STRING, lines_of_code INT, cpu_usage_pct DOUBLE, text_time STRING, json STRING\"\n\
         [query]\nsql = \"SELECT {expression} FROM t\"\n[sinks.out]\ntype = \"console\"\n"
    );
    let pipeline = tidemill_config::parse("p.toml", &text, &[]).expect("a right pipeline");
    let plan = tidemill_sql::plan(&pipeline).expect("a right query");
    let Body::Project(outputs) = plan.body() else {
        panic!("no aggregate here");
    };
    let records = records();
    let columns: Vec<usize> = plan.branches[0]
        .decode_schema
        .fields()
        .iter()
        .map(|field| records.schema().index_of(field.name()).expect("a column of the records"))
        .collect();
    let rows = records.project(&columns).expect("columns of the records");
    let (context, branch) = (plan.context(Millis(0)), &plan.branches[0]);
    let round = || {
        let mut errors = RowErrors::default();
        // A text that is parsed is a column of its own.
        let parsed = branch.parsed.iter().map(|column| evaluate(&column.expr, black_box(&rows), &context, &mut errors));
        let columns = rows.columns().iter().cloned().chain(parsed).collect();
        let rows = RecordBatch::try_new(branch.row_schema.clone(), columns).expect("the columns of the plan");
        black_box(evaluate(&outputs[0], black_box(&rows), &context, &mut errors));
    };
    let repeat = || {
        let (start, before, mut rounds) = (Instant::now(), cpu_ns(), 0);
        while start.elapsed() < LEAST {
            round();
            rounds += 1;
        }
        (cpu_ns() - before) as f64 / (ROWS * rounds) as f64
    };
    round();
    (0..REPEATS).map(|_| repeat()).fold(f64::INFINITY, f64::min)
}

/// What this thread has taken of a core, ns.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's time");
    text.split(' ').next().and_then(|first| first.parse().ok()).expect("the time comes first")
}

fn records() -> RecordBatch {
    let courses =
        ["Operating Systems", "Data Structures", "Web Engineering", "Artificial Intelligence", "Linear Algebra"];
    let course = |row: usize| courses[row.wrapping_mul(2_654_435_761).rem_euclid(courses.len())];
    let number = |row: usize| row.wrapping_mul(40_503).rem_euclid(151);
    let time = |row: usize| format!("2024-02-09 {:02}:{:02}:{:02}", row % 24, row % 60, row % 59);
    let json = |row: usize| format!(r#"{{"a":{},"b":"{}","c":[1,2,3]}}"#, number(row), course(row));
    let columns: [(&str, ArrayRef); 6] = [
        ("timestamp", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| 1.7e9 + row as f64 * 0.001)))),
        ("course", Arc::new(StringArray::from_iter_values((0..ROWS).map(course)))),
        ("lines_of_code", Arc::new(Int32Array::from_iter_values((0..ROWS).map(|row| number(row) as i32)))),
        ("cpu_usage_pct", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| number(row) as f64 * 0.6)))),
        ("text_time", Arc::new(StringArray::from_iter_values((0..ROWS).map(time)))),
        ("json", Arc::new(StringArray::from_iter_values((0..ROWS).map(json)))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}
