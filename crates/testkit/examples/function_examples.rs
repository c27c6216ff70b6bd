//! Counts how many examples of Spark's function documentation give Spark's answer here: `cargo xtask
//! function-examples`.
//!
//! With `same`, `names`, `different`, `refused` or `unlisted` (refused, and docs/sql.md does not say so) it also prints the examples
//! of that kind with the difference; with a function's name, that function's examples. It fails if an example is different or
//! unlisted.

use std::collections::BTreeMap;
use std::process::ExitCode;
use tidemill_testkit::function_examples::{Example, Verdict, run_all};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut total = [0; 2];
    for (example, verdict) in run_all() {
        let tabled = usize::from(example.table.is_some());
        total[tabled] += 1;
        let kind = match &verdict {
            Verdict::Same { names: true } => "same",
            Verdict::Same { names: false } => "names",
            Verdict::Different { .. } => "different",
            Verdict::OnPurpose => "on purpose",
            Verdict::Refused { listed: true, .. } => "refused",
            Verdict::Refused { listed: false, .. } => "unlisted",
        };
        counts.entry(kind).or_default()[tabled] += 1;
        let asked = |word: &String| word == kind || example.functions.contains(word);
        if wanted.iter().any(asked) {
            print(kind, &example, &verdict);
        }
    }
    let count = |kind: &str| counts.get(kind).copied().unwrap_or_default();
    let ([same, same_tabled], [named, named_tabled]) = (count("same"), count("names"));
    println!("{:<34} {:>9} {:>9}", "examples", "plain", "of tables");
    println!("{:<34} {:>9} {:>9}", "same", same + named, same_tabled + named_tabled);
    println!("{:<34} {named:>9} {named_tabled:>9}", "  of them with another column name");
    for (kind, shown) in [
        ("different", "different"),
        ("on purpose", "on purpose"),
        ("refused", "refused, as docs/sql.md says"),
        ("unlisted", "refused, and docs/sql.md is silent"),
    ] {
        let [plain, tabled] = count(kind);
        println!("{shown:<34} {plain:>9} {tabled:>9}");
    }
    println!("{:<34} {:>9} {:>9}", "all", total[0], total[1]);
    let is_clean = ["different", "unlisted"].iter().all(|kind| count(kind) == [0, 0]);
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(kind: &str, example: &Example, verdict: &Verdict) {
    println!("{kind:<9} {}: {}", example.functions.join(", "), example.sql);
    match verdict {
        Verdict::Different { ours, spark } => println!("    ours  {ours}\n    spark {spark}"),
        Verdict::Refused { message, .. } => println!("    {message}"),
        Verdict::Same { .. } | Verdict::OnPurpose => {}
    }
}
