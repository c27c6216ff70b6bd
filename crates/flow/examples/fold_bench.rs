//! Benchmark of filter and fold on one core: `cargo run --release -p tidemill-flow --example fold_bench [SECONDS]`.
//!
//! Prints rows per CPU-second for the reference query, and for the aggregates that cost more than a sum.

use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use std::fs;
use std::sync::Arc;
use tidemill_flow::fold::Fold;
use tidemill_model::Millis;
use tidemill_model::pipeline::OnError;
use tidemill_model::random::Random;
use tidemill_sql::eval::EvalContext;
use tidemill_sql::plan::BranchPlan;
use tidemill_sql::zone::Zone;

const PIPELINE: &str = include_str!("../../config/tests/reference.toml");
/// As many rows as the executor's chunks have.
const CHUNK_ROWS: usize = 2_048;
const CHUNKS: usize = 16;

fn main() {
    let seconds: f64 = std::env::args().nth(1).map_or(2.0, |text| text.parse().expect("seconds, such as 2.5"));
    let variants = [
        ("reference", "sum(lines_of_code) AS a, avg(cpu_usage_pct) AS b, count(*) AS c"),
        ("min, max", "min(lines_of_code) AS a, max(cpu_usage_pct) AS b"),
        ("stddev", "stddev(cpu_usage_pct) AS a"),
        ("first, last", "first(student_id) AS a, last(student_id) AS b"),
        ("max_by", "max_by(student_id, lines_of_code) AS a"),
        ("approx_count_distinct", "approx_count_distinct(student_id) AS a"),
    ];
    for (name, aggregates) in variants {
        let old = "sum(lines_of_code) AS total_loc, avg(cpu_usage_pct) AS avg_cpu";
        let pipeline =
            tidemill_config::parse("p.toml", &PIPELINE.replacen(old, aggregates, 1), &[]).expect("a pipeline");
        let Ok(plan) = tidemill_sql::plan(&pipeline) else { continue };
        let rate = measure(&plan.branches[0], seconds);
        println!("{name:24} {:6.2} M rows per CPU-second", rate / 1e6);
        println!(
            "figure fold_{}_rows_per_cpu_second {rate:.0} rows/s",
            name.replace([',', ' '], "_").replace("__", "_")
        );
    }
}

/// Rows per CPU-second.
fn measure(plan: &Arc<BranchPlan>, seconds: f64) -> f64 {
    let chunks: Vec<RecordBatch> = (0..CHUNKS).map(|chunk| rows(plan, chunk)).collect();
    let context = EvalContext { timestamp: Millis(1_700_000_000_000), zone: Zone::UTC, seed: 0 };
    let timestamps = vec![context.timestamp.0; CHUNK_ROWS];
    let mut rows = 0;
    let start = cpu_seconds();
    while cpu_seconds() - start < seconds {
        let mut fold = Fold::new(plan.clone(), OnError::Drop, context, 0);
        for chunk in &chunks {
            fold.push(chunk, &[], &timestamps).expect("no row fails");
            rows += chunk.num_rows();
        }
        assert!(!fold.finish().groups.0.is_empty());
    }
    rows as f64 / (cpu_seconds() - start)
}

/// CPU time of this thread, in seconds, from the kernel.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux, with scheduler statistics");
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("nanoseconds first") / 1e9
}

/// A chunk of the columns that the plan decodes, one record per millisecond.
fn rows(plan: &BranchPlan, chunk: usize) -> RecordBatch {
    let mut random = Random::new(chunk as u64 + 1);
    let courses = ["Operating Systems", "Data Structures", "Web Engineering", "Linear Algebra"];
    let activities = ["coding", "debugging", "reading_docs", "committing_code", "running_tests"];
    let mut column = |name: &str| -> ArrayRef {
        let mut each = |f: &mut dyn FnMut(&mut Random) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values((0..CHUNK_ROWS).map(|_| f(&mut random))))
        };
        match name {
            "timestamp" => {
                let at = |row| 1_700_000_000.0 + (chunk * CHUNK_ROWS + row) as f64 / 1e3;
                Arc::new(Float64Array::from_iter_values((0..CHUNK_ROWS).map(at)))
            }
            "course" => each(&mut |random| random.one(&courses).into()),
            "activity" => each(&mut |random| random.one(&activities).into()),
            "student_id" => each(&mut |random| format!("CS-{}", 2_021_000 + random.between(0, 4_999))),
            "lines_of_code" => {
                Arc::new(Int32Array::from_iter_values((0..CHUNK_ROWS).map(|_| random.between(0, 149) as i32)))
            }
            "cpu_usage_pct" => Arc::new(Float64Array::from_iter_values(
                (0..CHUNK_ROWS).map(|_| random.between(0, 9_999) as f64 / 100.0),
            )),
            other => panic!("the queries above use no {other}"),
        }
    };
    let columns = plan.decode_schema.fields().iter().map(|field| column(field.name())).collect();
    RecordBatch::try_new(plan.decode_schema.clone(), columns).expect("columns of the schema's types")
}
