//! `fuzz`: feeds every decoder of outside bytes with mutations of its corpus for a limited time.
//!
//! Each target runs in a separate process, so that its peak memory can be measured. The targets are in `fuzz/`.

use crate::sh::{self, Outcome, cargo, command};

const SECONDS: &str = "10";
const SEED: &str = "1";

/// Fuzzes the named targets, or all.
pub fn run(args: &[&str]) -> Outcome {
    sh::run(&mut cargo(&["build", "--release", "--quiet", "--package", "tidemill-fuzz"]))?;
    let program = sh::target().join("release/tidemill-fuzz");
    let root = sh::root().to_string_lossy().into_owned();
    if args == ["--list"] {
        return sh::run(&mut command(program, &["--list"]));
    }
    if let [name, "--input", file] = args {
        return sh::run(&mut command(program, &[name, "--input", file]));
    }
    let (mut names, mut seconds, mut seed) = (Vec::new(), SECONDS, SEED);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--seconds" => seconds = args.next().ok_or("--seconds wants a number")?,
            "--seed" => seed = args.next().ok_or("--seed wants a number")?,
            name => names.push(name.to_owned()),
        }
    }
    if names.is_empty() {
        let list = sh::read(&mut command(&program, &["--list"]))?;
        names = list.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    }
    for name in names {
        sh::run(&mut command(&program, &[&name, "--seconds", seconds, "--seed", seed, &root]))?;
    }
    Ok(())
}
