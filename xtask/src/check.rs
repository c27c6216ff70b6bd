//! `check` and `fix`: the quick ones first, so that a typo is told before clippy has built anything.

use crate::sh::{self, Outcome, cargo};
use crate::{licences, packages, tidy};

/// Everything that must hold before a commit, tests aside.
pub fn check() -> Outcome {
    tidy::run()?;
    sh::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    packages::run(false)?;
    licences::run()?;
    sh::run(&mut cargo(&[&CLIPPY[..], &["--", "-D", "warnings"]].concat()))
}

/// Formats, and lets clippy mend what it can.
pub fn fix() -> Outcome {
    sh::run(&mut cargo(&[&CLIPPY[..], &["--fix", "--allow-dirty", "--allow-staged"]].concat()))?;
    sh::run(&mut cargo(&["fmt", "--all"]))
}

/// In the one profile that there is, so that build scripts and procedural macros are not built twice.
const CLIPPY: [&str; 5] = ["clippy", "--release", "--workspace", "--all-targets", "--quiet"];
