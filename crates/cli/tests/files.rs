//! From files to files through the real program: every format, restarts with more files, a killed driver.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

const PIPELINE: &str = r#"
[sources.t]
type = "files"
path = "in"
max_files_per_trigger = 1
schema = "ts TIMESTAMP, k STRING, v INT"

[query]
sql = "SELECT window.start, k, count(*) AS n, sum(v) AS total FROM t GROUP BY window(ts, '10 seconds'), k"
output_mode = "update"

[sinks.json]
type = "files"
path = "out-json"

[sinks.csv]
type = "files"
path = "out-csv"
format = "csv"

[sinks.parquet]
type = "files"
path = "out-parquet"
format = "parquet"

[checkpoint]
path = "checkpoint"
"#;

/// A directory with a pipeline and some input files; later files are newer.
struct TestDir(tempfile::TempDir);

impl TestDir {
    fn new(files: usize) -> TestDir {
        let place = TestDir(tempfile::tempdir().unwrap());
        fs::write(place.0.path().join("p.toml"), PIPELINE).unwrap();
        fs::create_dir(place.0.path().join("in")).unwrap();
        (0..files).for_each(|file| place.put(file));
        place
    }

    fn put(&self, file: usize) {
        let record =
            |n: usize| format!("{{\"ts\":\"2026-01-01T00:00:{:02}Z\",\"k\":\"k{}\",\"v\":{n}}}\n", n * 7 % 60, n % 3);
        let text: String = (0..20 * file).map(record).collect();
        let aside = self.0.path().join("aside");
        fs::write(&aside, text).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(file as u64);
        fs::File::options().write(true).open(&aside).unwrap().set_modified(time).unwrap();
        // The order of names is opposite to the order of times.
        fs::rename(aside, self.0.path().join(format!("in/{:03}.jsonl", 999 - file))).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(self.0.path()).args(["run", "p.toml", "--available-now"]);
        command
    }

    fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    fn run_well(&self) {
        let output = self.run();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The files in the sinks' directories, by name, without the owner mark.
    fn output(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for dir in ["out-json", "out-csv", "out-parquet"] {
            for entry in fs::read_dir(self.0.path().join(dir)).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{dir}/{}", path.file_name().unwrap().to_string_lossy());
                if !name.ends_with("/_owner") {
                    files.insert(name, fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

fn text(output: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(output[name].clone()).unwrap()
}

#[test]
fn r_a_restart_goes_on_with_the_files_that_came() {
    let (at_once, in_three) = (TestDir::new(4), TestDir::new(2));
    at_once.run_well();
    in_three.run_well();
    (2..4).for_each(|file| in_three.put(file));
    in_three.run_well();
    in_three.run_well();
    let output = at_once.output();
    assert_eq!(in_three.output(), output);
    // One file per batch, the oldest first. The first file is empty and still is a batch (rule O7).
    let manifest = text(&output, "out-csv/_manifest.jsonl");
    assert_eq!(manifest.lines().count(), 5, "{manifest}");
    assert_eq!(manifest.lines().nth(1), Some("{\"batch_id\":0,\"rows\":0,\"files\":[]}"));
    let json = text(&output, "out-json/batch-00000000000000000001.json");
    assert_eq!(json.lines().next(), Some(r#"{"start":"2026-01-01T00:00:00.000Z","k":"k0","n":3,"total":27}"#));
    let csv = text(&output, "out-csv/batch-00000000000000000001.csv");
    assert_eq!(csv.lines().next(), Some("2026-01-01T00:00:00.000Z,k0,3,27"));
    assert!(output["out-parquet/batch-00000000000000000001.parquet"].ends_with(b"PAR1"));
}

#[test]
fn r_a_killed_driver_leaves_what_an_uninterrupted_one_leaves() {
    let (whole, killed) = (TestDir::new(30), TestDir::new(30));
    whole.run_well();
    for batches in [3, 8, 9, 20] {
        let mut driver = killed.command().spawn().unwrap();
        let manifest = killed.0.path().join("out-json/_manifest.jsonl");
        let written = |path: &Path| fs::read_to_string(path).map_or(0, |text| text.lines().count());
        while written(&manifest) < batches && driver.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        driver.kill().unwrap();
        driver.wait().unwrap();
    }
    killed.run_well();
    assert_eq!(killed.output(), whole.output());
}

/// The tasks of a query without an aggregate stage so many rows in files. The driver is killed at any moment, and its
/// executors with it.
#[test]
fn rows_that_executors_stage_are_there_once() {
    const LINES: usize = 30_000;
    let place = TestDir::new(0);
    for file in 0..3 {
        let line = |n: usize| format!("{{\"k\":\"{:01000}\",\"v\":{n}}}\n", n * 7_919);
        let text: String = (file * LINES..(file + 1) * LINES).map(line).collect();
        fs::write(place.0.path().join(format!("in/{file}.jsonl")), text).unwrap();
    }
    let command = || {
        let mut command = place.command();
        command.args(["--set", "query.sql=SELECT v, k FROM t WHERE v % 9 <> 4", "--set", "query.output_mode=append"]);
        command
    };
    for kill in 0..12 {
        let mut driver = command().stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(20 + 17 * kill));
        driver.kill().unwrap();
        driver.wait().unwrap();
    }
    let output = command().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = place.output();
    let visible = |dir: &str| {
        let manifest = text(&files, &format!("{dir}/_manifest.jsonl"));
        let lines = manifest.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (line["batch_id"].as_u64().unwrap(), line["files"].clone())).collect::<BTreeMap<_, _>>()
    };
    let names = visible("out-json").into_values().flat_map(|names| names.as_array().unwrap().clone());
    let names: Vec<String> = names.map(|name| format!("out-json/{}", name.as_str().unwrap())).collect();
    assert!(names.iter().any(|name| name.ends_with(".0001.json")), "tasks have files of their own: {names:?}");
    let rows = names.iter().map(|name| text(&files, name)).collect::<String>();
    let found: Vec<usize> =
        rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()["v"].as_u64().unwrap() as usize).collect();
    let expected: Vec<usize> = (0..3 * LINES).filter(|v| v % 9 != 4).collect();
    assert!(found == expected, "{} rows, {} expected", found.len(), expected.len());
    let hidden: Vec<&String> = files.keys().filter(|name| name.contains("/.")).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn a_checkpoint_shows_what_it_holds() {
    let place = TestDir::new(3);
    place.run_well();
    let show = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(place.0.path()).args(["checkpoint", "show"]).args(args).output().unwrap()
    };
    let json = String::from_utf8(show(&["checkpoint", "--json"]).stdout).unwrap();
    let words = [
        r#""batchId":2,"endOffsets":{"in-0":63},"nextWatermark":"1970-01-01T00:00:00.000Z","records":60,"#,
        r#""uncommitted":[]"#,
        r#""changes":3,"snapshotBatchId":null"#,
        r#""aggregations":[{"rows":18,"windows":[{"end":"2026-01-01T00:01:00.000Z","rows":3,"start":"2026-01-01T00:00:50.000Z"},"#,
        r#""keys":[{"data_type":"STRING","name":"k","value":"k"}]"#,
    ];
    words.iter().for_each(|words| assert!(json.contains(words), "{words} is not in {json}"));
    let text = String::from_utf8(show(&["checkpoint"]).stdout).unwrap();
    let lines = [
        "committed    batch 2, 60 records in all",
        "read up to   in-0: 63",
        "state rows   18\n  2026-01-01T00:00:50.000Z to 2026-01-01T00:01:00.000Z: 3 rows\n",
        "log          1 segment, ",
    ];
    lines.iter().for_each(|line| assert!(text.contains(line), "{line} is not in {text}"));
    let refused = show(&["in"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("is not a checkpoint; name an empty directory"),
        "{refused:?}"
    );
}

/// The zone reaches the executors, which read times, and the sinks, which write them.
#[test]
fn s1_times_by_the_sessions_clock() {
    let place = TestDir::new(0);
    let records = "{\"ts\":\"2024-03-31 02:30:00\",\"v\":1}\n{\"ts\":\"2024-10-27T01:30:00Z\",\"v\":2}\n{\"ts\":\"1800-01-01\"}\n";
    fs::write(place.0.path().join("in/a.jsonl"), records).unwrap();
    let sql =
        "query.sql=SELECT window.start, to_date(ts) AS day, v FROM t GROUP BY window(ts, '1 hour'), to_date(ts), v";
    let output = place.command().args(["--set", "session_time_zone=Europe/Paris", "--set", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = place.output();
    let json = text(&output, "out-json/batch-00000000000000000000.json");
    let expected = [
        r#"{"start":"1799-12-31T23:09:21.000+00:09:21","day":"1800-01-01"}"#,
        r#"{"start":"2024-03-31T03:00:00.000+02:00","day":"2024-03-31","v":1}"#,
        r#"{"start":"2024-10-27T02:00:00.000+01:00","day":"2024-10-27","v":2}"#,
    ];
    assert_eq!(json.lines().collect::<Vec<_>>(), expected);
    let csv = text(&output, "out-csv/batch-00000000000000000000.csv");
    assert_eq!(csv.lines().nth(1), Some("2024-03-31T03:00:00.000+02:00,2024-03-31,1"));
}

#[test]
fn a_dead_letter_names_the_file_and_the_line() {
    let place = TestDir::new(3);
    let broken = "{\"ts\":\"2026-01-01T00:00:00Z\",\"k\":\"a\"}\r\n\n{\r\nno JSON\n";
    fs::write(place.0.path().join("in/z.jsonl"), broken).unwrap();
    let dead_letters = ["--set", "dead_letter.type=files", "--set", "dead_letter.path=letters"];
    assert!(place.command().args(dead_letters).status().unwrap().success());
    let batches = tidemill_files::read_batches(&place.0.path().join("letters")).unwrap();
    let (batch, dead_letters) = batches.map(Result::unwrap).next().unwrap();
    let shown: Vec<_> = dead_letters
        .iter()
        .map(|letter| {
            assert_eq!((letter["topic"].as_str(), letter["partition"].as_i64()), (Some("in"), Some(0)));
            assert_eq!(letter["file"], "in/z.jsonl");
            (letter["line"].as_i64().unwrap(), letter["reason"].as_str().unwrap(), letter["value"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        (batch, shown),
        (3, vec![(2, "null_event_time", ""), (3, "malformed", "{"), (4, "malformed", "no JSON")])
    );
}

#[test]
fn what_cannot_be_is_said() {
    let check = |from: &str, to: &str, messages: &[&str]| {
        let place = TestDir::new(1);
        assert!(PIPELINE.contains(from), "{from}");
        fs::write(place.0.path().join("p.toml"), PIPELINE.replacen(from, to, 1)).unwrap();
        let output = place.run();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        messages.iter().for_each(|message| assert!(said.contains(message), "{said}"));
    };
    check("\"in\"", "\"nowhere\"", &["directory `nowhere` does not exist; create it, or correct its name"]);
    check("window.start,", "window,", &["p.toml:19:10: csv cannot store `window`", "write format = \"json\""]);
    check("AS total", "AS N", &["p.toml:9:7: two columns of the result are called `n`"]);
    let csv = "\"in\"\nformat = \"csv\"";
    check(
        "\"in\"\nmax_files_per_trigger = 1\nschema = \"",
        &format!("{csv}\nschema = \"a ARRAY<INT>, "),
        &["which CSV cannot store"],
    );
}

#[test]
fn a_directory_that_did_not_exist_can_be_corrected() {
    let place = TestDir::new(1);
    fs::write(place.0.path().join("p.toml"), PIPELINE.replacen("\"in\"", "\"nowhere\"", 1)).unwrap();
    assert_eq!(place.run().status.code(), Some(2));
    fs::write(place.0.path().join("p.toml"), PIPELINE).unwrap();
    let output = place.run();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_pattern_that_no_file_matches_is_named() {
    let stderr = |pattern: &str| {
        let place = TestDir::new(1);
        let output = place.command().args(["--set", &format!("sources.t.path={pattern}")]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    };
    let warning = "warning: no file matches `in/*.jsonll` yet; if files are there, correct the pattern";
    let said = stderr("in/*.jsonll");
    assert_eq!(said.matches(warning).count(), 1, "{said}");
    for pattern in ["in/*.jsonl", "in"] {
        let said = stderr(pattern);
        assert!(!said.contains("no file matches"), "{pattern}: {said}");
    }
}
