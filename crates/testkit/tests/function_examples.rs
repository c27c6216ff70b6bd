//! Every example of Spark's function documentation gives Spark's answer, or is refused and listed as such.
//!
//! `TIDEMILL_BLESS=1` rewrites `goldens/function_examples_refused.txt`.

use std::path::Path;
use tidemill_testkit::function_examples::{Verdict, run_all};

#[test]
fn no_example_has_another_answer_than_sparks_and_the_refused_ones_are_those_listed() {
    let results = run_all();
    assert!(results.len() > 1_000, "only {} examples", results.len());
    let mut different = Vec::new();
    let mut refused = Vec::new();
    for (example, verdict) in results {
        match verdict {
            Verdict::Same { .. } => {}
            Verdict::Different { ours, spark } => {
                different.push(format!("{}\n   ours  {ours}\n   spark {spark}", example.sql));
            }
            Verdict::Refused(_) => {
                refused.push(format!("{}: {}", example.functions.join(", "), one_line(&example.sql)))
            }
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    refused.sort();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/function_examples_refused.txt");
    let found = refused.join("\n") + "\n";
    if std::env::var_os("TIDEMILL_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let listed = std::fs::read_to_string(&path).unwrap();
    let missing: Vec<&str> = listed.lines().filter(|line| !refused.iter().any(|found| found == line)).collect();
    let fresh: Vec<&String> = refused.iter().filter(|found| !listed.lines().any(|line| line == *found)).collect();
    assert!(
        missing.is_empty() && fresh.is_empty(),
        "no longer refused: {missing:#?}\nrefused and not listed: {fresh:#?}"
    );
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
