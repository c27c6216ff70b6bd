//! `spark-goldens` and `differential`: real Spark as the reference, from PyPI, in a separate environment. Needs Java
//! 17.

use crate::embedded::EmbeddedBroker;
use crate::sh::{self, Outcome, cargo, command};
use crate::{kafka, venv};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Names a Python environment with the right pyspark. If not set, one is created in `target/references/spark-venv`.
const OWN_VENV: &str = "TIDEMILL_SPARK_VENV";

/// The file that pins the version of pyspark.
const PINS: &str = "xtask/reference/spark.txt";

/// The script that needs a broker.
const OF_KAFKA: &str = "progress";

/// Cases that `differential` runs by default.
const CASES: u64 = 50;

/// So often may Spark die while it is asked; what it said before is kept.
const DEATHS_MAX: usize = 5;

/// Number of streaming queries that Spark runs at once. Each mostly waits for its driver.
const THREADS: &str = "6";

/// Runs all scripts of tests/spark, or the given ones. They write Spark's answers into the golden files.
pub fn goldens(names: &[&str]) -> Outcome {
    let scripts = scripts()?;
    if let Some(unknown) = names.iter().find(|name| !scripts.iter().any(|script| script == *name)) {
        return Err(format!("`{unknown}` is no script of tests/spark; there are {}", scripts.join(", ")));
    }
    let python = python()?;
    for script in scripts.iter().filter(|script| names.is_empty() || names.contains(&script.as_str())) {
        let file = format!("tests/spark/{script}.py");
        match script.as_str() {
            OF_KAFKA => with_kafka(&python, &file)?,
            _ => sh::run(&mut command(&python, &[&file]))?,
        }
    }
    Ok(())
}

/// Runs a script with a broker and Spark's Kafka connector.
fn with_kafka(python: &Path, script: &str) -> Outcome {
    let pins = sh::read_file(&sh::root().join(PINS))?;
    let version = pins.trim().strip_prefix("pyspark==").ok_or_else(|| format!("{PINS} does not pin pyspark alone"))?;
    let jars = kafka::spark_connector(version)?;
    sh::run(&mut cargo(&["build", "--release"]))?;
    let dir = sh::target().join("spark-broker");
    let _ = std::fs::remove_dir_all(&dir);
    let broker = EmbeddedBroker::start(&dir)?;
    sh::run(&mut command(python, &[script, &jars.to_string_lossy(), broker.address()]))
}

/// Generates scenarios, runs them on Spark and on the real driver, and fails if the results differ.
pub fn differential(args: &[&str]) -> Outcome {
    let (mut cases, mut seed, mut tables) = (CASES, None, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == "--tables" {
            tables = true;
            continue;
        }
        let number = args.next().and_then(|text| text.parse::<u64>().ok());
        match (*arg, number) {
            ("--cases", Some(number)) => cases = number,
            ("--seed", Some(number)) => seed = Some(number),
            _ => return Err("say `differential [--tables] [--cases N] [--seed S]`".into()),
        }
    }
    let kind = if tables { "tables" } else { "generate" };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    let seed = seed.unwrap_or(now.as_secs());
    let python = python()?;
    sh::run(&mut cargo(&["build", "--release", "--package", "tidemill-testkit", "--example", "differential"]))?;
    let tool = sh::target().join("release/examples/differential");
    let home = sh::target().join("differential");
    let scenarios = home.join(format!("{kind}-{seed}"));
    // What Spark said of a case is kept beside, so that a run that was broken off goes on where it was.
    let _ = std::fs::remove_dir_all(&scenarios);
    std::fs::create_dir_all(&scenarios).map_err(|error| format!("cannot make {}: {error}", scenarios.display()))?;
    let [scenarios, said] = [scenarios, home.join("spark")].map(|path| path.to_string_lossy().into_owned());
    sh::run(&mut command(&tool, &[kind, &scenarios, &cases.to_string(), &seed.to_string()]))?;
    let ask = || {
        sh::run(&mut command(
            &python,
            &["tests/spark/scenarios.py", "--cache", &said, "--threads", THREADS, &scenarios],
        ))
    };
    // Some queries end Spark itself, and not each time.
    let asked = (0..DEATHS_MAX).find_map(|_| ask().ok());
    asked.map_or_else(ask, Ok)?;
    println!("seed {seed}");
    sh::run(&mut command(&tool, &["compare", &scenarios]))
}

/// Runs the examples of Spark's function documentation and counts those with Spark's answer, which the golden file
/// holds.
pub fn function_examples(kinds: &[&str]) -> Outcome {
    sh::run(&mut cargo(&["build", "--release", "--package", "tidemill-testkit", "--example", "function_examples"]))?;
    sh::run(&mut command(sh::target().join("release/examples/function_examples"), kinds))
}

fn scripts() -> Outcome<Vec<String>> {
    let folder = sh::root().join("tests/spark");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".py")?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

/// Spark's folder, and its version.
pub fn home() -> Outcome<(PathBuf, String)> {
    let python = python()?;
    let script = "import os, pyspark; print(os.path.dirname(pyspark.__file__)); print(pyspark.__version__)";
    let said = sh::read(&mut command(&python, &["-c", script]))?;
    match said.lines().collect::<Vec<_>>()[..] {
        [home, version] => Ok((PathBuf::from(home), version.to_owned())),
        _ => Err(format!("{} has no pyspark", python.display())),
    }
}

/// The Python that has pyspark.
fn python() -> Outcome<PathBuf> {
    if !sh::has("java", "-version") {
        return Err("there is no java; real Spark needs Java 17 on the path".into());
    }
    match std::env::var_os(OWN_VENV) {
        Some(dir) => Ok(venv::python_of(&PathBuf::from(dir))),
        None => venv::made("spark-venv", PINS),
    }
}
