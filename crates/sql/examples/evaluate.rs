//! Benchmark of expressions: nanoseconds of one core per row, over batches of 8192 reference records.
//!
//! `cargo run --release -p tidemill-sql --example evaluate`

use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use tidemill_model::Millis;
use tidemill_sql::eval::{RowErrors, evaluate};
use tidemill_sql::plan::Body;

const ROWS: usize = 8_192;
const ROUNDS: usize = 500;

fn main() {
    for expression in [
        "course",
        "course IS NOT NULL",
        "CAST(timestamp AS TIMESTAMP)",
        "lines_of_code > 50",
        "lines_of_code + 1",
        "cpu_usage_pct * 2 < 100",
        "course = 'Web Engineering'",
        "course IN ('Web Engineering', 'Linear Algebra')",
        "course LIKE 'Web%'",
        "course RLIKE '^Web'",
        "CASE WHEN lines_of_code > 100 THEN 'big' ELSE 'small' END",
        "coalesce(course, 'none')",
        "upper(course)",
        "substring(course, 1, 3)",
        "date_trunc('hour', CAST(timestamp AS TIMESTAMP))",
        "CAST(lines_of_code AS STRING)",
        "hour(CAST(timestamp AS TIMESTAMP))",
        "CAST(CAST(timestamp AS TIMESTAMP) AS STRING)",
    ] {
        println!("figure {} {:.2} ns/row", expression.replace(' ', "_"), cost(expression, "UTC"));
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

/// Nanoseconds per row.
fn cost(expression: &str, zone: &str) -> f64 {
    let text = format!(
        "session_time_zone = \"{zone}\"\n[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\n\
         schema = \"timestamp DOUBLE, course STRING, lines_of_code INT, cpu_usage_pct DOUBLE\"\n\
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
    let context = plan.context(Millis(0));
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let mut errors = RowErrors::default();
        black_box(evaluate(&outputs[0], black_box(&rows), &context, &mut errors));
    }
    start.elapsed().as_nanos() as f64 / (ROWS * ROUNDS) as f64
}

fn records() -> RecordBatch {
    let courses =
        ["Operating Systems", "Data Structures", "Web Engineering", "Artificial Intelligence", "Linear Algebra"];
    let course = |row: usize| courses[row.wrapping_mul(2_654_435_761).rem_euclid(courses.len())];
    let number = |row: usize| row.wrapping_mul(40_503).rem_euclid(151);
    let columns: [(&str, ArrayRef); 4] = [
        ("timestamp", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| 1.7e9 + row as f64 * 0.001)))),
        ("course", Arc::new(StringArray::from_iter_values((0..ROWS).map(course)))),
        ("lines_of_code", Arc::new(Int32Array::from_iter_values((0..ROWS).map(|row| number(row) as i32)))),
        ("cpu_usage_pct", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| number(row) as f64 * 0.6)))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}
