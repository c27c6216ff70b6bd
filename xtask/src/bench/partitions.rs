//! `partitions`: the reference query over 500 partitions and over 4, in one run.

use super::bench_dir::{BenchDir, TOPIC};
use super::job;
use crate::sh::Outcome;

const RECORDS: u64 = 8_000_000;

/// The figures.
pub fn run() -> Outcome<String> {
    let mut figures = String::new();
    let mut rates = Vec::new();
    for (name, partitions) in [("partitions_4", 4), ("partitions_500", 500)] {
        let bench_dir = BenchDir::new(name)?;
        bench_dir.produce_to(TOPIC, partitions, RECORDS, 1)?;
        let cost = job::measure(bench_dir.run("run", false)?, &job::NO_ROWS)?;
        figures += &cost.figures(name, RECORDS);
        rates.push(cost.rate(RECORDS));
    }
    Ok(figures + &format!("figure partitions_500_to_4 {} of the rate with 4\n", rates[1] / rates[0]))
}
