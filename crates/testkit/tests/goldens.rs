//! A checkpoint of an older program can be continued: `crates/checkpoint/tests/goldens/v4` is as the first one was
//! left.
//!
//! It holds a snapshot of batch 1, the state change of batch 2, and the plans of two batches that were not committed. A
//! golden is written once, when the format changes, and never again: users have such checkpoints.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemill_checkpoint::disk::OsDisk;
use tidemill_checkpoint::segment::VERSION;
use tidemill_model::Error;
use tidemill_testkit::{Batch, Harness};

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

fn harness(dir: &Path, puts: usize) -> Harness {
    let mut harness = Harness::new(PIPELINE);
    harness.disk = Arc::new(OsDisk::open(dir).unwrap());
    // After two batches.
    harness.snapshot_bytes_min = 1_100;
    for batch in &BATCHES[..puts] {
        let record = |(s, k): &(i64, &str)| format!(r#"{{"s":{s},"k":"{k}","v":{s},"x":{s}.5}}"#);
        harness.topic.put(&batch.iter().map(record).collect::<Vec<_>>());
    }
    harness
}

/// Writes the golden: batches 0 to 2 are committed, 3 is planned, and perhaps the one after it.
#[test]
#[ignore = "run once, when the format's version has changed: a golden is not rewritten"]
fn write_golden() {
    let dir = golden(VERSION);
    assert!(!dir.exists(), "{} is there already", dir.display());
    let mut harness = harness(&dir, BATCHES.len());
    harness.before_write = Some(Arc::new(|_, batch| match batch {
        3 => Err(Error::external("the machine is switched off")),
        _ => Ok(()),
    }));
    harness.run().unwrap_err();
    std::fs::remove_file(dir.join("lock")).unwrap();
}

#[test]
fn r_a_checkpoint_of_version_4_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for name in files(&golden(4)) {
        let to = dir.path().join(&name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(golden(4).join(&name), to).unwrap();
    }
    let harness = harness(dir.path(), BATCHES.len());
    harness.sink.expect_from(3);
    let batches = harness.run().unwrap();
    assert_eq!(batches.iter().map(|batch| batch.progress.batch_id).collect::<Vec<_>>(), [3, 4]);
    assert!(batches[0].progress.tidemill.replayed);
    assert_eq!(
        rows(&batches[..1]),
        [
            r#"{"s":5,"k":"a","n":1,"total":10,"mean":10.5,"most":10}"#,
            r#"{"s":5,"k":"b","n":2,"total":25,"mean":13.0,"most":13}"#,
            r#"{"s":5,"k":"ü","n":1,"total":14,"mean":14.5,"most":14}"#,
            r#"{"s":10,"k":"a","n":2,"total":26,"mean":13.5,"most":16}"#,
            r#"{"s":10,"k":"b","n":4,"total":58,"mean":15.0,"most":18}"#,
            r#"{"s":10,"k":"ü","n":1,"total":14,"mean":14.5,"most":14}"#,
        ]
    );
    assert_eq!(
        rows(&batches[1..]),
        [
            r#"{"s":15,"k":"a","n":1,"total":16,"mean":16.5,"most":16}"#,
            r#"{"s":15,"k":"b","n":2,"total":33,"mean":17.0,"most":18}"#,
        ]
    );
}

fn rows(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(|batch| batch.rows.clone()).collect()
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
