//! Scenarios (tests/spark/scenarios.py says what those are) as pipeline files over files; both engines run each to the end of
//! its input.
//!
//! The cases are those of `TIDEMILL_SPARK_CASES`, folders separated by commas, or some of tests/scenarios. `cargo xtask spark
//! compare` runs many.

use crate::support::{FILE_MANAGER, batches, same, server, spark};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

/// Every so many-th scenario of tests/scenarios is run without `TIDEMILL_SPARK_CASES`.
const STEP: usize = 20;
#[test]
fn both_engines_give_the_same_rows() {
    let Some(folder) = spark() else { return };
    let conf = [
        ("spark.driver.memory", "1g"),
        ("spark.sql.shuffle.partitions", "1"),
        ("spark.sql.adaptive.enabled", "false"),
        ("spark.sql.codegen.wholeStage", "false"),
        ("spark.driver.extraJavaOptions", "-Xss4m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"),
        ("spark.sql.streaming.checkpointFileManagerClass", FILE_MANAGER),
    ];
    let server = server(&folder, &conf);
    let remote = server.remote().address_with_token();
    let (mut same, mut skipped, mut differ) = (0, 0, Vec::new());
    for file in cases() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        match compare(&file, &remote) {
            Ok(true) => same += 1,
            Ok(false) => skipped += 1,
            Err(difference) => {
                eprintln!("{name}: {difference}");
                differ.push(name);
            }
        }
        if (same + skipped + differ.len()).is_multiple_of(10) {
            eprintln!("{same} same, {} differ, {skipped} refused by the file's rules or by check", differ.len());
        }
    }
    eprintln!("{same} same, {} differ, {skipped} refused by the file's rules or by check", differ.len());
    assert!(differ.is_empty(), "{differ:?}");
    assert!(same > 0);
}

fn cases() -> Vec<PathBuf> {
    let own = std::env::var("TIDEMILL_SPARK_CASES").ok();
    let folders = own.clone().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios").into());
    let mut files: Vec<PathBuf> = folders
        .split(',')
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files.into_iter().step_by(if own.is_some() { 1 } else { STEP }).collect()
}

/// Whether a case gives the same on both engines; `false` where it is no pipeline of both.
fn compare(file: &Path, remote: &str) -> Result<bool, String> {
    let Ok(case) = serde_json::from_slice::<Value>(&fs::read(file).unwrap()) else { return Ok(false) };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    if !lay(&case, place.path()) {
        return Ok(false);
    }
    let tidemill = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_tidemill")).current_dir(place.path()).args(args).output().unwrap()
    };
    // Two files, since each engine has its own sink and checkpoint.
    if !tidemill(&["check", "local.toml"]).status.success() {
        return Ok(false);
    }
    let checked = tidemill(&["check", "spark.toml", "--engine", "spark"]);
    if !checked.status.success() {
        return Ok(false);
    }
    let local = tidemill(&["run", "local.toml", "--available-now"]);
    let spark = tidemill(&["run", "spark.toml", "--available-now", "--engine", "spark", "--spark-remote", remote]);
    match (local.status.success(), spark.status.success()) {
        (true, true) => {}
        (false, false) => return Ok(true),
        (is_local, _) => {
            let (who, failed) = if is_local { ("Spark", spark) } else { ("the local engine", local) };
            return Err(format!("only {who} fails: {}", said(&failed)));
        }
    }
    same(&batches(&at("out-local")), &batches(&at("out-spark")))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().rev().take(3).collect::<Vec<_>>().join(" | ")
}

/// Writes a case as pipeline files with its input; `false` if it cannot be written.
fn lay(case: &Value, place: &Path) -> bool {
    let single = vec![case.clone()];
    let sources = case["sources"].as_array().unwrap_or(&single);
    let mut text = String::from("name = \"case\"\non_error = \"fail\"\n");
    if let Some(zone) = case["zone"].as_str() {
        writeln!(text, "session_time_zone = {}", quoted(zone)).unwrap();
    }
    for source in sources {
        let name = source["name"].as_str().unwrap_or("events");
        let schema = quoted(source["schema"].as_str().unwrap_or_default());
        writeln!(text, "[sources.{name}]\ntype = \"files\"\npath = \"in-{name}\"\nmax_files_per_trigger = 1").unwrap();
        writeln!(text, "schema = {schema}").unwrap();
        if let Some(time) = source["event_time"].as_object() {
            let part = |key: &str| quoted(time[key].as_str().unwrap_or_default());
            writeln!(text, "[sources.{name}.event_time]\ncolumn = {}", part("column")).unwrap();
            writeln!(text, "expression = {}", part("expression")).unwrap();
            if let Some(delay) = source["watermark"].as_str() {
                writeln!(text, "watermark = {}", quoted(delay)).unwrap();
            }
        }
        fs::create_dir(place.join(format!("in-{name}"))).unwrap();
    }
    let mode = case["mode"].as_str().unwrap_or("append");
    writeln!(text, "[query]\nsql = {}\noutput_mode = \"{mode}\"", quoted(case["sql"].as_str().unwrap_or_default()))
        .unwrap();
    writeln!(text, "no_data_batches = {}", case["no_data_batches"].as_bool().unwrap_or(true)).unwrap();
    for engine in ["local", "spark"] {
        let ends = format!(
            "[sinks.out]\ntype = \"files\"\npath = \"out-{engine}\"\n[checkpoint]\npath = \"checkpoint-{engine}\"\n"
        );
        fs::write(place.join(format!("{engine}.toml")), format!("{text}{ends}")).unwrap();
    }
    for (number, batch) in case["batches"].as_array().into_iter().flatten().enumerate() {
        let single = serde_json::Map::from_iter([("events".to_owned(), batch.clone())]);
        for (name, lines) in batch.as_object().unwrap_or(&single) {
            let lines = lines.as_array().into_iter().flatten().filter_map(Value::as_str);
            let content: String = lines.flat_map(|line| [line, "\n"]).collect();
            let path = place.join(format!("in-{name}/{number:06}.txt"));
            fs::write(&path, content).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + number as u64);
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
    }
    true
}

/// A text as a string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => write!(out, "\\U{:08x}", u32::from(c)).unwrap(),
            c => out.push(c),
        }
    }
    out + "\""
}
