//! The engine's half of the differential test: generates scenarios, and compares their results with Spark's.
//!
//! ```text
//! differential generate DIRECTORY CASES SEED     writes CASES scenarios
//! differential tables DIRECTORY CASES SEED       the same of those of all functions, as queries over a table
//! differential compare DIRECTORY                 runs them all, prints where they differ; exit code 1 when any does
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tidemill_testkit::scenario::{Comparison, Scenario};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
    let done = match args.as_slice() {
        ["generate", directory, cases, seed] => {
            number(cases).and_then(|cases| generate(Path::new(directory), cases, number(seed)?, Scenario::generate))
        }
        ["tables", directory, cases, seed] => number(cases)
            .and_then(|cases| generate(Path::new(directory), cases, number(seed)?, Scenario::generate_table)),
        ["compare", directory] => compare(Path::new(directory)),
        _ => Err("say `generate|tables DIRECTORY CASES SEED` or `compare DIRECTORY`".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("differential: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(directory: &Path, cases: u64, seed: u64, made: fn(u64, u64) -> Scenario) -> Result<bool, String> {
    for case in 0..cases {
        let text = serde_json::to_string(&made(seed, case)).expect("a scenario serialises");
        let path = directory.join(format!("{case:06}.json"));
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(true)
}

fn compare(directory: &Path) -> Result<bool, String> {
    let unreadable = |error| format!("{}: {error}", directory.display());
    let entries = std::fs::read_dir(directory).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect::<Result<_, String>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let (mut total, mut differences, mut refused, mut failed) = (Comparison::default(), 0, 0, 0);
    for path in &paths {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let scenario = Scenario::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let spark = scenario.spark.as_ref();
        refused += u64::from(spark.is_some_and(|spark| spark.refused.is_some()));
        failed += u64::from(spark.is_some_and(|spark| spark.error.is_some()));
        match scenario.check() {
            Ok(compared) => {
                total.batches += compared.batches;
                total.rows += compared.rows;
            }
            Err(difference) => {
                differences += 1;
                println!("{}: {}\n  {difference}", path.display(), scenario.sql);
            }
        }
    }
    println!(
        "{} cases ({refused} that Spark refuses, {failed} that end in an error), {} batches, {} rows compared, {differences} disagreements",
        paths.len(),
        total.batches,
        total.rows
    );
    Ok(differences == 0)
}
