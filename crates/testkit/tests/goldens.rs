//! Checkpoints that older programs wrote: `crates/checkpoint/tests/goldens/v1` is as the first one left it.
//!
//! It holds a snapshot, two deltas, and the plans of two batches that were not committed. A golden is written once, when the
//! format changes, and never again: it is what users have on their disks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemill_checkpoint::frame::VERSION;
use tidemill_checkpoint::fs::FsStore;
use tidemill_model::Error;
use tidemill_testkit::Stage;

const PIPELINE: &str = r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "s BIGINT, k STRING, v BIGINT, x DOUBLE"
[sources.t.event_time]
column = "et"
expression = "CAST(s AS TIMESTAMP)"
watermark = "10 seconds"
[query]
sql = """SELECT CAST(window.start AS BIGINT) AS s, k, count(*) AS n, sum(v) AS total, avg(x) AS mean, max(v) AS most
         FROM t GROUP BY window(et, '10 seconds', '5 seconds'), k"""
output_mode = "append"
[sinks.screen]
type = "console"
"#;

/// Seconds and keys of each batch.
const BATCHES: [&[(i64, &str)]; 4] = [
    &[(10, "a"), (12, "b"), (14, "ü")],
    &[(16, "a"), (18, "b")],
    &[(30, "a"), (13, "b")],
    &[(33, "a"), (44, "b"), (15, "b")],
];

fn golden(version: u8) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../checkpoint/tests/goldens/v{version}"))
}

fn stage(dir: &Path, puts: usize) -> Stage {
    let mut stage = Stage::new(PIPELINE);
    stage.store = Arc::new(FsStore::open(dir).unwrap());
    for batch in &BATCHES[..puts] {
        let record = |(s, k): &(i64, &str)| format!(r#"{{"s":{s},"k":"{k}","v":{s},"x":{s}.5}}"#);
        stage.topic.put(&batch.iter().map(record).collect::<Vec<_>>());
    }
    stage
}

/// Writes the golden: batches 0 to 2 are committed, 3 is planned, and so may be the one after it.
#[test]
#[ignore = "run once, when the format's version has changed: a golden is not rewritten"]
fn write_golden() {
    let dir = golden(VERSION);
    assert!(!dir.exists(), "{} is there already", dir.display());
    let mut stage = stage(&dir, BATCHES.len());
    stage.before_write = Some(Arc::new(|_, batch| match batch {
        3 => Err(Error::external("the machine is switched off")),
        _ => Ok(()),
    }));
    stage.run().unwrap_err();
    std::fs::remove_file(dir.join("lock")).unwrap();
}

/// Its state is of a form that is no longer read: the run says so, and changes nothing.
#[test]
fn r_a_checkpoint_of_version_1_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in files(&golden(1)) {
        let to = dir.path().join(&name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(golden(1).join(&name), to).unwrap();
    }
    let error = stage(dir.path(), BATCHES.len()).run().unwrap_err();
    assert!(error.message().contains("state was written by another version of this program"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let state = |dir: &Path| files(dir).into_iter().filter(|name| name.starts_with("state/")).collect::<Vec<_>>();
    assert_eq!(state(dir.path()), state(&golden(1)));
}

/// Files under a directory, relative to it.
fn files(dir: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(self::files(&entry.path()).iter().map(|file| format!("{name}/{file}")));
        } else {
            files.push(name);
        }
    }
    files
}
