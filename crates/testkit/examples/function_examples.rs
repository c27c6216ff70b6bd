//! Counts how many examples of Spark's function documentation give Spark's answer here: `cargo xtask
//! function-examples`.
//!
//! With `same`, `names`, `different` or `refused` it also prints the examples of that kind with the difference; with a
//! function's name, that function's examples.

use std::collections::BTreeMap;
use tidemill_testkit::function_examples::{Example, Verdict, run_all};

fn main() {
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
            Verdict::Refused(_) => "refused",
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
    for kind in ["different", "on purpose", "refused"] {
        let [plain, tabled] = count(kind);
        println!("{kind:<34} {plain:>9} {tabled:>9}");
    }
    println!("{:<34} {:>9} {:>9}", "all", total[0], total[1]);
}

fn print(kind: &str, example: &Example, verdict: &Verdict) {
    println!("{kind:<9} {}: {}", example.functions.join(", "), example.sql);
    match verdict {
        Verdict::Different { ours, spark } => println!("    ours  {ours}\n    spark {spark}"),
        Verdict::Refused(message) => println!("    {message}"),
        Verdict::Same { .. } | Verdict::OnPurpose => {}
    }
}
