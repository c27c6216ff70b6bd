//! `packages`: compares the packages of the default binary with a golden file, so that each new one is a decision.
//!
//! The list is that of one platform on every machine, and of the lock file, not of the newest versions.

use crate::sh::{self, Outcome, cargo};
use std::collections::BTreeSet;

const GOLDEN: &str = "tests/goldens/package-count.txt";
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Compares with the golden file, or rewrites it.
pub fn run(bless: bool) -> Outcome {
    let text = report(&names()?);
    let path = sh::root().join(GOLDEN);
    if bless {
        return sh::write_file(&path, &text);
    }
    let golden = sh::read_file(&path)?;
    if golden == text {
        return Ok(());
    }
    Err(format!(
        "{}; if that is meant, `cargo xtask packages --bless` and say why in the commit",
        difference(&golden, &text)
    ))
}

/// Names of the packages, with build dependencies, without those of tests and our own.
fn names() -> Outcome<BTreeSet<String>> {
    let tree = sh::read(&mut cargo(&[
        "tree",
        "--locked",
        "--package",
        "tidemill-cli",
        "--edges",
        "normal,build",
        "--target",
        PLATFORM,
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    // Our packages have a path: `tidemill-sql v0.1.0 (/…/crates/sql)`. Procedural macros are marked in the same way.
    let theirs = tree.lines().filter(|line| !line.contains("(/") && !line.starts_with("tidemill-"));
    Ok(theirs.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect())
}

fn report(names: &BTreeSet<String>) -> String {
    let mut text = format!("{} packages\n", names.len());
    for name in names.iter().map(|name| name.split(' ').next().unwrap_or_default()) {
        text.push_str(name);
        text.push('\n');
    }
    text
}

fn difference(golden: &str, text: &str) -> String {
    // The first line is the count.
    let lines = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<BTreeSet<_>>();
    let (old, new) = (lines(golden), lines(text));
    let list = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join(", ");
    format!("the default binary's packages differ from {GOLDEN}: new: {}; gone: {}", list(&new, &old), list(&old, &new))
}
