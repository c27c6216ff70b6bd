//! The autoscaler's Workers, and what is left of them.

use crate::support::{signal, spark};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tidemill_spark::server::spark_home;

/// Where the demo finds the Kafka connector, if it has been fetched.
fn root_with_connector(folder: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let jars = spark_home(folder).unwrap().join("jars");
    let has = |name: &str| {
        fs::read_dir(root.join("target/kafka")).into_iter().flatten().flatten().any(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .strip_prefix("spark-")
                .is_some_and(|version| name.ends_with(&format!("-{version}.jar")))
        })
    };
    let mut names = fs::read_dir(jars).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    match names.any(|name| name.starts_with("spark-core_") && has(&name)) {
        true => Some(root),
        false => {
            eprintln!("skipped: no Kafka connector in target/kafka; cargo xtask spark start fetches it");
            None
        }
    }
}

/// What is left in a folder for temporary files, and of processes that name it.
fn left_in(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let ours = files.filter(|name| name.starts_with("tidemill-spark-") || name.starts_with("tidemill-workers-"));
    let list = Command::new("ps").args(["-ww", "-eo", "args"]).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let processes = list.lines().filter(|line| line.contains(&*folder.to_string_lossy())).map(str::to_owned);
    ours.chain(processes).collect()
}

/// Kills a Java process that has its files in a folder.
fn kill(folder: &Path, class: &str) {
    let list = Command::new("ps").args(["-ww", "-eo", "pid,args"]).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let is_it = |line: &&str| {
        let program = line.split_whitespace().nth(1).unwrap_or_default();
        program.ends_with("java") && line.contains(class) && line.contains(&*folder.to_string_lossy())
    };
    let pid = list.lines().find(is_it).and_then(|line| line.split_whitespace().next()).expect(class);
    signal("-KILL", pid);
}

#[test]
fn workers_follow_the_load_and_nothing_stays() {
    let Some(folder) = spark() else { return };
    let Some(root) = root_with_connector(&folder) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let report = temporary.path().join("report.json");
    let demo = |duration: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(&root).env("TMPDIR", temporary.path());
        command.args(["demo", "--engine", "spark", "--spark-local", &folder, "--headless", "--duration", duration]);
        command
    };
    // A client that is killed takes its Spark along, executors and files included.
    let mut killed = demo("60s").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).find(|line| line.contains("executors 0 -> 1 ready"));
    assert!(ready.is_some(), "no Worker got an executor");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let began = Instant::now();
    while !left_in(temporary.path()).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", left_in(temporary.path()));
        thread::sleep(Duration::from_millis(200));
    }

    // The server dies, then a Worker.
    let mut demo = demo("60s").arg("--report").arg(&report).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut wait_for = |what: &str, is_it: &dyn Fn(&str) -> bool| {
        let found = lines.by_ref().inspect(|line| println!("{line}")).find(|line| is_it(line));
        assert!(found.is_some(), "{what}");
    };
    let has_executor = |line: &str| line.contains(" ready") && !line.contains("-> 0 ready");
    wait_for("an executor", &has_executor);
    kill(temporary.path(), "SparkConnectServer");
    wait_for("its end", &|line| line.contains("starting it again"));
    wait_for("another server", &|line| line.contains("answers after"));
    wait_for("its executor", &has_executor);
    kill(temporary.path(), "deploy.worker.Worker");
    lines.for_each(|line| println!("{line}"));
    assert!(demo.wait().unwrap().success());
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    assert_eq!([number("lost"), number("duplicated"), number("rows_wrong")], [0.0; 3], "{report}");
    assert!(number("max_executors_seen") > 1.0 && number("min_executors_seen") == 0.0, "{report}");
    assert!(number("executor_seconds") > 0.0 && number("cold_start_ms") > 0.0, "{report}");
    let last = report["decisions"].as_array().unwrap().last().unwrap();
    assert_eq!(last["to"], 0, "{report}");
    assert_eq!(left_in(temporary.path()), [""; 0]);
}
