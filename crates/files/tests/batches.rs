//! A directory of batches, with crashes, replays and disks that fail.

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemill_files::{FilesSink, FormatWriter, Roll, read_batches};
use tidemill_flow::ports::{Sink, SinkCommitter, SinkWriter};
use tidemill_model::pipeline::SinkFormat;
use tidemill_model::{Domain, Error};
use tidemill_sql::zone::Zone;

const BATCH_7: &str = "batch-00000000000000000007.json";

fn rows(values: &[i64]) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    RecordBatch::try_from_iter([("v", column)]).unwrap()
}

fn opened(dir: &Path, format: SinkFormat, roll: Option<Roll>) -> Sink {
    let committer = FilesSink::new(dir, format).unwrap().rolling(roll);
    Sink::new(FormatWriter::new(format, Zone::UTC, roll.is_some()), committer)
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
    let mut sink = opened(&dir.path().join("out"), SinkFormat::Json, None);
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
    opened(dir.path(), SinkFormat::Json, None).write(7, &rows(&[1, 2]), false).unwrap();
    let before = bytes();
    opened(dir.path(), SinkFormat::Json, None).write(7, &rows(&[1, 2]), true).unwrap();
    assert_eq!(bytes(), before);
}

/// Tasks with so many rows that they stage them, between others.
#[test]
fn a_batch_of_large_tasks_has_several_files() {
    let dir = tempfile::tempdir().unwrap();
    let writer = |format| FormatWriter::new(format, Zone::UTC, false).staged_in(dir.path());
    for (batch_id, format) in [(7, SinkFormat::Json), (8, SinkFormat::Csv), (9, SinkFormat::Parquet)] {
        let many: Vec<i64> = (0..800_000).map(|n| n * 1_000_003).collect();
        let mut writer = writer(format);
        let mut part = |values: &[i64]| {
            if !values.is_empty() {
                writer.write(&rows(values)).unwrap();
            }
            writer.finish()
        };
        let parts = [part(&[1]), part(&[]), part(&[2, 3]), part(&many), part(&[4]), part(&many)];
        let is_staged = parts.each_ref().map(|part| part.staged.is_some());
        assert_eq!(is_staged, [false, false, false, true, false, true], "{format:?}");
        let mut sink = FilesSink::new(dir.path(), format).unwrap();
        for replayed in [false, true] {
            sink.commit(batch_id, &parts, replayed).unwrap();
        }
        let files: Vec<String> =
            (0..4).map(|number| format!("batch-{batch_id:020}.{number:04}.{}", format.name())).collect();
        let manifest = fs::read_to_string(dir.path().join("_manifest.jsonl")).unwrap();
        let names = files.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
        assert!(manifest.contains(&format!("\"rows\":1600004,\"files\":[{names}]")), "{manifest}");
        if format == SinkFormat::Csv {
            let texts = files.iter().map(|name| fs::read_to_string(dir.path().join(name)).unwrap());
            let numbers: Vec<i64> = texts.collect::<String>().lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(numbers, [&[1, 2, 3][..], &many, &[4], &many].concat());
        }
    }
    let one = writer(SinkFormat::Csv);
    let mut sink = Sink::new(one, FilesSink::new(dir.path(), SinkFormat::Csv).unwrap());
    sink.write(10, &rows(&vec![1_234_567; 800_000]), false).unwrap();
    assert!(names(dir.path()).contains(&"batch-00000000000000000010.csv".to_owned()), "a batch that is one file");
    // What a killed task has left.
    let left = writer(SinkFormat::Csv);
    let mut left = Sink::new(left, FilesSink::new(dir.path(), SinkFormat::Csv).unwrap());
    assert!(left.part(&rows(&vec![1_234_567; 800_000])).unwrap().staged.is_some());
    assert!(names(dir.path()).iter().any(|name| name.starts_with(".batch-part-")));
    left.committer.publish(true).unwrap();
    assert!(!names(dir.path()).iter().any(|name| name.starts_with('.')));
}

/// A batch that was cut into several files runs again as one: before its line is in the manifest, and after.
#[test]
fn a_replay_in_other_files_leaves_no_row_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = FormatWriter::new(SinkFormat::Csv, Zone::UTC, false).staged_in(dir.path());
    let many = vec![1_234_567; 200_000];
    let mut part = |values: &[i64]| {
        writer.write(&rows(values)).unwrap();
        writer.finish()
    };
    let open = || FilesSink::new(dir.path(), SinkFormat::Csv).unwrap();
    let manifest = dir.path().join("_manifest.jsonl");
    drop(open());
    let empty = fs::read(&manifest).unwrap();
    let several = [part(&many), part(&[5])];
    open().commit(7, &several, false).unwrap();
    assert_eq!(names(dir.path()).len(), 3);
    fs::write(&manifest, empty).unwrap();
    open().commit(7, &[part(&[5])], true).unwrap();
    let visible = "batch-00000000000000000007.csv";
    assert_eq!(names(dir.path()), ["_manifest.jsonl", visible]);
    let several = [part(&many), part(&[5])];
    open().commit(7, &several, true).unwrap();
    assert_eq!(names(dir.path()), ["_manifest.jsonl", visible]);
    assert_eq!(fs::read_to_string(dir.path().join(visible)).unwrap(), "5\n");
}

/// What a crash can leave: a temporary file, a complete file without its line, a cut line. None of it counts as a
/// batch.
#[test]
fn what_a_crash_leaves_is_not_read_and_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let open = || {
        let mut sink = opened(dir.path(), SinkFormat::Json, None);
        sink.committer.begin("query").unwrap();
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
    let mut sink = opened(dir.path(), SinkFormat::Json, None);
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
    let open = || opened(dir.path(), SinkFormat::Json, None);
    let begin = |query: &str| open().committer.begin(query);
    // A run that wrote nothing has claimed nothing. Of two runs that begin, the first to write owns the directory.
    let (mut one, mut two) = (open(), open());
    two.committer.begin("two").unwrap();
    one.committer.begin("one").unwrap();
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
        opened(dir.path(), SinkFormat::Json, None).write(7, &rows(&[1, 2]), false).unwrap();
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

fn rolling(dir: &Path, format: SinkFormat, roll: Roll) -> Sink {
    let mut sink = opened(dir, format, Some(roll));
    sink.committer.begin("query").unwrap();
    sink
}

/// Never by itself.
const AT_THE_END: Roll = Roll { size: None, interval: None };

#[test]
fn batches_are_gathered_until_they_are_large() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = rolling(dir.path(), SinkFormat::Json, Roll { size: Some(20), interval: None });
    for (id, values) in [(2, &[1, 2][..]), (3, &[]), (4, &[3])] {
        assert!(read(dir.path()).is_empty(), "batch {id} comes, and nothing is visible");
        sink.write(id, &rows(values), false).unwrap();
        assert_eq!(sink.committer.publish(false).unwrap(), None);
    }
    let file = "batch-00000000000000000002-00000000000000000004.json";
    assert_eq!(read(dir.path()), [(4, vec![json!({"v": 1}), json!({"v": 2}), json!({"v": 3})])]);
    sink.write(5, &rows(&[4]), false).unwrap();
    assert_eq!(sink.committer.publish(false).unwrap(), None);
    assert_eq!(names(dir.path()), ["_gathered.json", "_manifest.jsonl", "_owner", file]);
    sink.committer.publish(true).unwrap();
    assert_eq!(read(dir.path())[1], (5, vec![json!({"v": 4})]));
    let manifest = fs::read_to_string(dir.path().join("_manifest.jsonl")).unwrap();
    let lines: Vec<&str> = manifest.lines().skip(1).collect();
    let first = format!("{{\"first_batch_id\":2,\"batch_id\":4,\"rows\":3,\"files\":[\"{file}\"]}}");
    assert_eq!(lines, [first.as_str(), r#"{"batch_id":5,"rows":1,"files":["batch-00000000000000000005.json"]}"#]);
    assert_eq!(fs::read(dir.path().join("_gathered.json")).unwrap(), b"");
}

#[test]
fn gathered_rows_wait_for_their_moment() {
    let dir = tempfile::tempdir().unwrap();
    let long = Roll { size: None, interval: Some(Duration::from_secs(3600)) };
    let mut sink = rolling(dir.path(), SinkFormat::Csv, long);
    assert_eq!(sink.committer.publish(false).unwrap(), None, "nothing waits");
    let before = Instant::now();
    sink.write(0, &rows(&[1]), false).unwrap();
    let first = sink.committer.publish(false).unwrap().expect("a row waits");
    assert!(first >= before + Duration::from_secs(3600));
    sink.write(1, &rows(&[2]), false).unwrap();
    assert_eq!(sink.committer.publish(false).unwrap(), Some(first), "the first row decides");
    drop(sink);
    let mut sink = rolling(dir.path(), SinkFormat::Csv, Roll { size: None, interval: Some(Duration::ZERO) });
    let file = |first: u64, last: u64| dir.path().join(format!("batch-{first:020}-{last:020}.csv"));
    assert_eq!(fs::read_to_string(file(0, 1)).unwrap(), "1\n2\n", "the next run publishes what was left");
    sink.write(2, &rows(&[3]), false).unwrap();
    assert_eq!(sink.committer.publish(false).unwrap(), None);
    assert_eq!(fs::read_to_string(dir.path().join("batch-00000000000000000002.csv")).unwrap(), "3\n");
}

/// The format may change between two runs.
#[test]
fn gathered_parquet_is_one_row_group() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let dir = tempfile::tempdir().unwrap();
    let mut sink = rolling(dir.path(), SinkFormat::Parquet, AT_THE_END);
    (0..3).for_each(|id| sink.write(id, &rows(&[id as i64, 7]), false).unwrap());
    drop(sink);
    opened(dir.path(), SinkFormat::Json, None).committer.begin("query").unwrap();
    let path = dir.path().join("batch-00000000000000000000-00000000000000000002.parquet");
    let file = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    assert_eq!((file.num_row_groups(), file.metadata().file_metadata().num_rows()), (1, 6));
}

proptest! {
    /// Batches, publishing, and crashes that cut off what was not synced and run the last batch again: at the end every
    /// batch is there once, in order.
    #[test]
    fn no_crash_loses_or_repeats_a_gathered_batch(steps in proptest::collection::vec((0..4u8, 0..3usize, any::<u16>()), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let open = || rolling(dir.path(), SinkFormat::Json, AT_THE_END);
        let content = |id: u64, count: usize| (0..count as i64).map(|at| 10 * id as i64 + at).collect::<Vec<_>>();
        let (mut sink, mut expected) = (open(), Vec::new());
        for (step, count, cut) in steps {
            let id = expected.len() as u64;
            match step {
                0 | 1 => {
                    sink.write(id, &rows(&content(id, count)), false).unwrap();
                    expected.push(content(id, count));
                }
                2 => drop(sink.committer.publish(true).unwrap()),
                _ => {
                    // The batch after the last one was being written; then the last one was not committed.
                    drop(sink);
                    let (path, torn) = (dir.path().join("_gathered.json"), [7; 64]);
                    let mut bytes = fs::read(&path).unwrap_or_default();
                    bytes.extend(&torn[..usize::from(cut) % 64]);
                    fs::write(&path, bytes).unwrap();
                    sink = open();
                    if let Some(last) = expected.last() {
                        sink.write(id - 1, &rows(last), true).unwrap();
                    }
                }
            }
        }
        sink.committer.publish(true).unwrap();
        let found: Vec<Value> = read(dir.path()).into_iter().flat_map(|(_, rows)| rows).collect();
        let expected: Vec<Value> = expected.into_iter().flatten().map(|v| json!({ "v": v })).collect();
        prop_assert_eq!(found, expected);
    }
}

/// A crash between the file and its line, and between the line and the end of what was gathered.
#[test]
fn a_crash_while_publishing_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut sink = rolling(dir.path(), SinkFormat::Json, AT_THE_END);
    (0..2).for_each(|id| sink.write(id, &rows(&[id as i64]), false).unwrap());
    let gathered = fs::read(at("_gathered.json")).unwrap();
    let manifest = fs::read(at("_manifest.jsonl")).unwrap();
    sink.committer.publish(true).unwrap();
    let published = fs::read(at("_manifest.jsonl")).unwrap();
    drop(sink);
    for before in [&manifest, &published] {
        fs::write(at("_gathered.json"), &gathered).unwrap();
        fs::write(at("_manifest.jsonl"), before).unwrap();
        let mut sink = rolling(dir.path(), SinkFormat::Json, AT_THE_END);
        sink.write(1, &rows(&[1]), true).unwrap();
        sink.committer.publish(true).unwrap();
        assert_eq!(read(dir.path()), [(1, vec![json!({"v": 0}), json!({"v": 1})])]);
        assert_eq!(fs::read(at("_manifest.jsonl")).unwrap(), published);
    }
}
