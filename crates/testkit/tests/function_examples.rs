//! Every example of Spark's function documentation gives Spark's answer, or is refused, which docs/sql.md says.
//!
//! `TIDEMILL_BLESS=1` rewrites `goldens/function_examples_refused.txt`.

use std::collections::BTreeSet;
use std::path::Path;
use tidemill_sql::reference::find;
use tidemill_testkit::function_examples::{Verdict, examples, one_line, run_all};

#[test]
fn no_example_has_another_answer_than_sparks_and_the_refused_ones_are_those_listed() {
    let results = run_all();
    assert!(results.len() > 1_000, "only {} examples", results.len());
    let mut different = Vec::new();
    let (mut refused, mut unlisted) = (Vec::new(), Vec::new());
    for (example, verdict) in results {
        match verdict {
            Verdict::Same { .. } | Verdict::OnPurpose => {}
            Verdict::Different { ours, spark } => {
                different.push(format!("{}\n   ours  {ours}\n   spark {spark}", example.sql));
            }
            Verdict::Refused { message, listed } => {
                refused.push(format!("{}: {}", example.functions.join(", "), one_line(&example.sql)));
                unlisted.extend((!listed).then(|| format!("{}\n   {message}", example.sql)));
            }
        }
    }
    assert!(unlisted.is_empty(), "refused, and docs/sql.md does not say so:\n{}", unlisted.join("\n"));
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

/// Operators and words of the syntax that Spark documents as functions.
const OPERATORS: &[&str] = &[
    "!", "!=", "%", "*", "+", "-", "/", "<", "<<", "<=", "<=>", "<>", "=", "==", ">", ">=", ">>", ">>>", "||", "and",
    "between", "case", "cast", "div", "in", "not", "or", "when",
];

#[test]
fn every_function_of_spark_is_there_or_refused_with_a_reason() {
    let names = examples().into_iter().flat_map(|example| example.functions);
    let unknown = |name: &String| find(name).is_empty() && !OPERATORS.contains(&name.as_str());
    let unknown: BTreeSet<String> = names.filter(unknown).collect();
    assert!(unknown.is_empty(), "neither in the tables nor refused: {unknown:?}");
}
