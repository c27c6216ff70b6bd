//! `stateless`: five columns of every record, without aggregation, to Parquet and JSON files, with 1, 2 and 4 executors.

use super::bench_dir::{BenchDir, TOPIC};
use super::job;
use crate::sh::Outcome;

const RECORDS: u64 = 2_000_000;

const QUERY: &str = "query.sql=SELECT student_id, course, activity, lines_of_code, cpu_usage_pct FROM cs_student_logs";

/// The figures.
pub fn run() -> Outcome<String> {
    let bench_dir = BenchDir::new("stateless")?;
    bench_dir.produce(TOPIC, RECORDS, 1)?;
    let mut figures = String::new();
    for format in ["parquet", "json"] {
        for executors in [1, 2, 4] {
            let name = format!("{format}_{executors}");
            let settings = [
                QUERY.to_owned(),
                "query.output_mode=append".into(),
                "sinks.screen.type=files".into(),
                format!("sinks.screen.format={format}"),
                format!("sinks.screen.path={}", bench_dir.file(&format!("rows-{name}")).display()),
                format!("autoscale.min_executors={executors}"),
                format!("autoscale.max_executors={executors}"),
            ];
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            figures += &job::measure(bench_dir.run(&name, false)?, &settings)?.figures(&name, RECORDS);
        }
    }
    Ok(figures)
}
