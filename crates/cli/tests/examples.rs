//! The example pipelines that need no broker, run from a copy of `examples/`. The Kafka examples run in `tests/e2e`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// Runs one example in its own directory. Returns the directory and the program's stdout.
fn run(example: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    copy(&repository.join("examples"), &dir.path().join("examples"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    let output = command.current_dir(dir.path()).args(["run", &format!("examples/{example}.toml")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (dir, String::from_utf8(output.stdout).unwrap())
}

/// Copies a directory. All files get the same modification time, so that they are read in the order of their paths.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            let file = fs::File::options().write(true).open(&target).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_767_657_600)).unwrap();
        }
    }
}

/// The lines of the one file with this extension that a sink wrote.
fn lines(dir: &tempfile::TempDir, sink: &str, extension: &str) -> Vec<String> {
    let paths = fs::read_dir(dir.path().join(sink)).unwrap().map(|entry| entry.unwrap().path());
    let is_batch = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|e| e == extension)
            && !path.file_name().unwrap().to_string_lossy().starts_with('_')
    };
    let paths: Vec<_> = paths.filter(is_batch).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    fs::read_to_string(&paths[0]).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn every_example_has_a_test() {
    let tests = concat!(include_str!("examples.rs"), include_str!("e2e/examples.rs"));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let examples: BTreeSet<_> = files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    assert!(examples.len() >= 6, "{examples:?}");
    for example in examples {
        let name = example.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(tests.contains(&format!("\"{name}\"")), "no test runs examples/{name}.toml");
    }
}

#[test]
fn orders_to_parquet() {
    let (dir, _) = run("orders-to-parquet");
    let sink = dir.path().join("out/orders");
    let manifest = fs::read_to_string(sink.join("_manifest.jsonl")).unwrap();
    assert_eq!(
        manifest.lines().last(),
        Some(r#"{"batch_id":0,"rows":5,"files":["batch-00000000000000000000.parquet"]}"#)
    );
    assert!(fs::read(sink.join("batch-00000000000000000000.parquet")).unwrap().ends_with(b"PAR1"));
}

#[test]
fn sensors_by_hour() {
    let (dir, _) = run("sensors-by-hour");
    // The latest time is 11:30, so the watermark is 11:00: the window of 11:00 is still open.
    let rows = [
        "2026-01-05T08:00:00.000Z,hall,3,20.0",
        "2026-01-05T08:00:00.000Z,lab,1,17.0",
        "2026-01-05T09:00:00.000Z,hall,1,21.0",
        "2026-01-05T09:00:00.000Z,lab,1,18.0",
        "2026-01-05T10:00:00.000Z,hall,1,22.0",
    ];
    assert_eq!(lines(&dir, "out/sensors-by-hour", "csv"), rows);
}

#[test]
fn two_shops() {
    let (dir, _) = run("two-shops");
    let rows = [
        r#"{"minute":"2026-01-05T12:00:00.000Z","origin":"shop","sales":2,"revenue":10}"#,
        r#"{"minute":"2026-01-05T12:00:00.000Z","origin":"web","sales":1,"revenue":3}"#,
        r#"{"minute":"2026-01-05T12:01:00.000Z","origin":"shop","sales":1,"revenue":2}"#,
        r#"{"minute":"2026-01-05T12:02:00.000Z","origin":"web","sales":1,"revenue":4}"#,
    ];
    assert_eq!(lines(&dir, "out/two-shops", "json"), rows);
}

#[test]
fn visits() {
    let (dir, _) = run("visits");
    // The latest time is 10:55, so the watermark is 10:35: two visits of that time are still open.
    let rows = [
        r#"{"visitor":"ada","start":"2026-01-05T10:00:00.000Z","end":"2026-01-05T10:21:00.000Z","pages":3,"path":["/","/courses","/courses/rust"]}"#,
        r#"{"visitor":"bob","start":"2026-01-05T10:05:00.000Z","end":"2026-01-05T10:15:00.000Z","pages":1,"path":["/"]}"#,
    ];
    assert_eq!(lines(&dir, "out/visits", "json"), rows);
}

#[test]
fn dead_letters() {
    let (dir, _) = run("dead-letters");
    assert_eq!(lines(&dir, "out/sound-orders", "json").len(), 6);
    let broken = lines(&dir, "out/broken-orders", "jsonl");
    let members = |line: &String| {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        (letter["line"].as_u64().unwrap(), letter["reason"].as_str().unwrap().to_owned())
    };
    let expected = [(2, "wrong_type".to_owned()), (3, "malformed".to_owned())];
    assert_eq!(broken.iter().map(members).collect::<Vec<_>>(), expected);
}

#[test]
fn revenue_on_console() {
    let (_, printed) = run("revenue-on-console");
    let expected = "\
batch 0 · 3 rows
country  orders  revenue
───────  ──────  ───────
de            1     5.00
fr            2   139.90
it            1     0.00

batch 1 · 3 rows
country  orders  revenue
───────  ──────  ───────
de            2    12.25
fr            3   202.90
it            2    42.50
";
    assert_eq!(printed.trim_end(), expected.trim_end());
}
