//! `check` and `fix`. Quick checks run first, so that a typo is reported before clippy builds anything.

use crate::sh::{self, Outcome, cargo};
use crate::{licences, packages, tidy};

/// Runs everything that must pass before a commit, except tests.
pub fn check() -> Outcome {
    tidy::run()?;
    sh::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    packages::run(false)?;
    licences::run()?;
    sh::run(&mut cargo(&[&CLIPPY[..], &["--", "-D", "warnings"]].concat()))
}

/// Formats the code and applies clippy's suggestions.
pub fn fix() -> Outcome {
    sh::run(&mut cargo(&[&CLIPPY[..], &["--fix", "--allow-dirty", "--allow-staged"]].concat()))?;
    sh::run(&mut cargo(&["fmt", "--all"]))
}

/// Uses the release profile like all builds here, so that build scripts and procedural macros are built once.
const CLIPPY: [&str; 5] = ["clippy", "--release", "--workspace", "--all-targets", "--quiet"];
