//! A directory of batches, with crashes, replays and disks that fail.

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tidemill_files::{FilesSink, read_batches};
use tidemill_flow::ports::Sink;
use tidemill_model::pipeline::SinkFormat;
use tidemill_model::{Domain, Error};
use tidemill_sql::zone::Zone;

const BATCH_7: &str = "batch-00000000000000000007.json";

fn rows(values: &[i64]) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    RecordBatch::try_from_iter([("v", column)]).unwrap()
}

fn read(dir: &Path) -> Vec<(u64, Vec<Value>)> {
    read_batches(dir).unwrap().collect::<Result<_, Error>>().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn s2_batches_come_back_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = FilesSink::new(dir.path().join("out"), SinkFormat::Json, Zone::UTC).unwrap();
    sink.write(7, &rows(&[1, 2]), false).unwrap();
    sink.write(8, &rows(&[]), false).unwrap();
    sink.write(9, &rows(&[3]), false).unwrap();
    let dir = dir.path().join("out");
    assert_eq!(read(&dir), [(7, vec![json!({"v": 1}), json!({"v": 2})]), (8, vec![]), (9, vec![json!({"v": 3})])]);
    assert_eq!(names(&dir), ["_manifest.jsonl", BATCH_7, "batch-00000000000000000009.json"]);
    assert_eq!(fs::read_to_string(dir.join(BATCH_7)).unwrap(), "{\"v\":1}\n{\"v\":2}\n");
}

#[test]
fn a_replay_leaves_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = || ["_manifest.jsonl", BATCH_7].map(|name| fs::read(dir.path().join(name)).unwrap());
    FilesSink::new(dir.path(), SinkFormat::Json, Zone::UTC).unwrap().write(7, &rows(&[1, 2]), false).unwrap();
    let before = bytes();
    FilesSink::new(dir.path(), SinkFormat::Json, Zone::UTC).unwrap().write(7, &rows(&[1, 2]), true).unwrap();
    assert_eq!(bytes(), before);
}

/// What a crash can leave: a temporary file, a complete file without its line, a cut line. None of it counts as a
/// batch.
#[test]
fn what_a_crash_leaves_is_not_read_and_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let open = || {
        let mut sink = FilesSink::new(dir.path(), SinkFormat::Json, Zone::UTC).unwrap();
        sink.begin("query").unwrap();
        sink
    };
    open().write(6, &rows(&[1]), false).unwrap();
    fs::write(at(&format!(".{BATCH_7}.tmp")), "{\"v\":2}\n{\"v").unwrap();
    fs::write(at(BATCH_7), "{\"v\":2}\n").unwrap();
    let whole = fs::read_to_string(at("_manifest.jsonl")).unwrap();
    fs::write(at("_manifest.jsonl"), format!("{whole}{{\"batch_id\":7,\"ro")).unwrap();
    assert_eq!(read(dir.path()), [(6, vec![json!({"v": 1})])]);

    let mut sink = open();
    assert_eq!(names(dir.path()), ["_manifest.jsonl", "_owner", "batch-00000000000000000006.json", BATCH_7]);
    sink.write(7, &rows(&[2, 3]), true).unwrap();
    assert_eq!(read(dir.path()), [(6, vec![json!({"v": 1})]), (7, vec![json!({"v": 2}), json!({"v": 3})])]);
}

#[test]
fn a_file_that_cannot_be_put_in_place_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = FilesSink::new(dir.path(), SinkFormat::Json, Zone::UTC).unwrap();
    fs::create_dir_all(dir.path().join(BATCH_7).join("in the way")).unwrap();
    let error = sink.write(7, &rows(&[1]), false).unwrap_err();
    assert!(error.message().starts_with("cannot write ") && error.message().contains(BATCH_7), "{error}");
    assert!(error.message().contains("start again"), "{error}");
    assert_eq!(names(dir.path()), ["_manifest.jsonl", BATCH_7]);
    assert_eq!(read(dir.path()), []);

    fs::remove_dir_all(dir.path().join(BATCH_7)).unwrap();
    sink.write(7, &rows(&[1]), false).unwrap();
    assert_eq!(read(dir.path()), [(7, vec![json!({"v": 1})])]);
}

#[test]
fn another_runs_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = || FilesSink::new(dir.path(), SinkFormat::Json, Zone::UTC).unwrap();
    let begin = |query: &str| open().begin(query);
    // A run that wrote nothing has claimed nothing. Of two runs that begin, the first to write owns the directory.
    let (mut one, mut two) = (open(), open());
    two.begin("two").unwrap();
    one.begin("one").unwrap();
    one.write(7, &rows(&[1]), false).unwrap();
    let refused = [two.write(7, &rows(&[2]), false), begin("two"), begin("two")];
    for error in refused.map(Result::unwrap_err) {
        assert!(error.message().contains("holds the batches of another query"), "{error}");
        assert_eq!(error.domain, Domain::User);
    }
    begin("one").unwrap();
    begin("two").unwrap_err();
    fs::remove_file(dir.path().join("_owner")).unwrap();
    begin("one").unwrap_err();
    assert_eq!(read(dir.path()), [(7, vec![json!({"v": 1})])]);
}

#[test]
fn damage_is_told_not_read_over() {
    let check = |name: &str, text: &str, message: &str| {
        let dir = tempfile::tempdir().unwrap();
        FilesSink::new(dir.path(), SinkFormat::Json, Zone::UTC).unwrap().write(7, &rows(&[1, 2]), false).unwrap();
        fs::write(dir.path().join(name), text).unwrap();
        let error = match read_batches(dir.path()) {
            Ok(mut batches) => batches.next().unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert!(error.message().contains(message), "{error}");
    };
    check(BATCH_7, "{\"v\":1}\n", "has 1 rows where 2 were written");
    check(BATCH_7, "{\"v\":1}\n{\"v\":", "line 2: ");
    check("_manifest.jsonl", "{\"tidemill_batches\":1}\nnonsense\n", "_manifest.jsonl:2: damaged");
    check("_manifest.jsonl", "{\"tidemill_batches\":2}\n", "a newer Tidemill");
    let empty = tempfile::tempdir().unwrap();
    let error = read_batches(empty.path()).err().unwrap();
    assert_eq!((error.domain, error.message().contains("holds no batches")), (Domain::User, true));
}
