//! Dead letters in a directory: runs that are cut off, tasks that run again, directories of other queries.

use serde_json::Value;
use std::fs;
use std::path::Path;
use tidemill_files::{FilesDeadLetterCommitter, FilesDeadLetterWriter, FilesSink, read_batches};
use tidemill_flow::ports::{DeadLetter, DeadLetterCommitter, DeadLetterWriter, DriverDeadLetter, SinkCommitter};
use tidemill_model::pipeline::SinkFormat;
use tidemill_model::{DeadLetterFile, Error, OffsetRange, PartitionId, RecordFault};

fn range(start: i64, end: i64) -> OffsetRange {
    OffsetRange { partition: PartitionId { source: 0, topic: "t".into(), partition: 2 }, start, end }
}

/// A task with a dead letter at each of these offsets.
fn task(
    writer: &mut FilesDeadLetterWriter,
    batch_id: u64,
    range: &OffsetRange,
    offsets: &[i64],
) -> Option<DeadLetterFile> {
    writer.begin(batch_id, range);
    offsets.iter().for_each(|offset| writer.write(&letter(range, *offset)).unwrap());
    writer.finish().unwrap()
}

fn letter(range: &OffsetRange, offset: i64) -> DeadLetter<'_> {
    let at = Some((&range.partition, offset));
    DeadLetter {
        at,
        place: None,
        timestamp: None,
        fault: RecordFault::Late,
        detail: None,
        key: None,
        value: Some(b"x"),
        headers: &[],
    }
}

fn own(offset: i64) -> DriverDeadLetter {
    let at = Some((range(0, 1).partition, offset));
    DriverDeadLetter { at, fault: RecordFault::Malformed, detail: "it kills".into() }
}

fn committer(dir: &Path) -> FilesDeadLetterCommitter {
    let mut committer = FilesDeadLetterCommitter::new(dir).unwrap();
    committer.begin("query").unwrap();
    committer
}

/// Offsets of the dead letters that count, by batch.
fn read(dir: &Path) -> Vec<(u64, Vec<i64>)> {
    let offset = |letter: &Value| letter["offset"].as_i64().unwrap();
    let batches = read_batches(dir).unwrap().collect::<Result<Vec<_>, Error>>().unwrap();
    batches.into_iter().map(|(id, dead_letters)| (id, dead_letters.iter().map(offset).collect())).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('_')).collect();
    names.sort();
    names
}

#[test]
fn letters_count_when_their_batch_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut committer = committer(&dir.path().join("letters"));
    let dir = dir.path().join("letters");
    let mut writer = FilesDeadLetterWriter::new(&dir);
    let first = task(&mut writer, 7, &range(0, 10), &[1, 4]).unwrap();
    assert_eq!(task(&mut writer, 7, &range(10, 20), &[]), None);
    let last = task(&mut writer, 7, &range(20, 30), &[20]).unwrap();
    assert_eq!(first, DeadLetterFile { name: "batch-00000000000000000007-2-0-10.jsonl".into(), lines: 2 });
    assert_eq!(read(&dir), []);
    committer.commit(6, &[], &[]).unwrap();
    committer.commit(7, &[first.clone(), last.clone()], &[own(15)]).unwrap();
    committer.commit(8, &[], &[]).unwrap();
    assert_eq!(read(&dir), [(7, vec![1, 4, 20, 15])], "a batch without dead letters has no line");
    let files = [first.name, last.name, "batch-00000000000000000007-driver.jsonl".into()];
    assert_eq!(names(&dir), files);
    let text = fs::read_to_string(dir.join(&files[0])).unwrap();
    let line = r#"{"topic":"t","partition":2,"offset":1,"reason":"late","value":"x"}"#;
    assert_eq!(text.lines().next(), Some(line));
}

/// Two topics of one name on two clusters: same partition, same offsets.
#[test]
fn each_source_has_its_own_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut committer = committer(&dir.path().join("letters"));
    let dir = dir.path().join("letters");
    let mut writer = FilesDeadLetterWriter::new(&dir);
    let mut other = range(0, 10);
    other.partition.source = 1;
    let files = [&range(0, 10), &other].map(|range| task(&mut writer, 7, range, &[3]).unwrap());
    assert_eq!(files[1].name, "batch-00000000000000000007-s1-2-0-10.jsonl");
    committer.commit(7, &files, &[]).unwrap();
    assert_eq!(read(&dir), [(7, vec![3, 3])]);
    // Files that no batch names are removed; named files stay.
    task(&mut writer, 8, &other, &[4]);
    self::committer(&dir);
    assert_eq!(names(&dir).len(), 2);
}

#[test]
fn a_task_that_is_run_again_replaces_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut committer = committer(dir.path());
    let mut writer = FilesDeadLetterWriter::new(dir.path());
    // The first run of the task is cut off; the second ends, but the driver does not learn of it.
    writer.begin(3, &range(0, 10));
    writer.write(&letter(&range(0, 10), 1)).unwrap();
    task(&mut FilesDeadLetterWriter::new(dir.path()), 3, &range(0, 10), &[1, 4]).unwrap();
    let third = task(&mut writer, 3, &range(0, 10), &[1, 4]).unwrap();
    committer.commit(3, std::slice::from_ref(&third), &[]).unwrap();
    assert_eq!((read(dir.path()), names(dir.path())), (vec![(3, vec![1, 4])], vec![third.name]));
}

/// After a task is split, the file of the whole task is named by no batch and is removed when the next run begins.
#[test]
fn what_no_batch_names_does_not_count_and_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = FilesDeadLetterWriter::new(dir.path());
    let mut run = |batch: u64, ranges: &[(i64, i64)]| -> Vec<DeadLetterFile> {
        let task = |(start, end): &(i64, i64)| task(&mut writer, batch, &range(*start, *end), &[*start]).unwrap();
        ranges.iter().map(task).collect()
    };
    let mut first = committer(dir.path());
    run(0, &[(0, 4)]);
    let halves = run(0, &[(0, 2), (2, 4)]);
    first.commit(0, &halves, &[]).unwrap();
    let committed = run(1, &[(4, 8)]);
    first.commit(1, &committed, &[]).unwrap();
    let lost = run(2, &[(8, 9)]);
    fs::write(dir.path().join(".batch-2.0.tmp"), "{").unwrap();
    fs::write(dir.path().join("batch-notes.jsonl"), "").unwrap();
    drop(first);
    let mut second = committer(dir.path());
    let kept = [&halves[0].name, &halves[1].name, &committed[0].name].map(String::clone);
    assert_eq!(names(dir.path()), [&kept[..], &["batch-notes.jsonl".into()]].concat());

    // Batch 1 is replayed with one dead letter less, then with none; batch 2 has its own again.
    let fewer = run(1, &[(5, 8)]);
    second.commit(1, &fewer, &[]).unwrap();
    assert_eq!(read(dir.path()), [(0, vec![0, 2]), (1, vec![5])]);
    second.commit(1, &[], &[]).unwrap();
    assert_eq!(run(2, &[(8, 9)]), lost);
    second.commit(2, &lost, &[]).unwrap();
    assert_eq!(read(dir.path()), [(0, vec![0, 2]), (1, vec![]), (2, vec![8])]);

    fs::remove_file(dir.path().join("_manifest.jsonl")).unwrap();
    let before = names(dir.path());
    committer(dir.path());
    assert_eq!(names(dir.path()), before, "without a manifest nobody knows what counts: all of it stays");
}

#[test]
fn a_directory_is_of_one_query_and_one_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let dirs = ["letters", "rows"].map(|name| dir.path().join(name));
    let begin = |dir: &Path, query: &str| FilesDeadLetterCommitter::new(dir).unwrap().begin(query);
    let open = |dir: &Path| FilesSink::new(dir, SinkFormat::Json).unwrap();
    let sink = |dir: &Path| open(dir).begin("query");
    let mut dead_letters = FilesDeadLetterCommitter::new(&dirs[0]).unwrap();
    dead_letters.begin("query").unwrap();
    dead_letters.commit(0, &[], &[own(1)]).unwrap();
    begin(&dirs[0], "query").unwrap();
    let mut rows = open(&dirs[1]);
    rows.begin("query").unwrap();
    rows.commit(0, &[], false).unwrap();
    for refused in [begin(&dirs[0], "another"), sink(&dirs[0]), begin(&dirs[1], "query")] {
        let error = refused.unwrap_err();
        assert!(error.message().contains("holds the batches of another query"), "{error}");
    }
}

#[test]
fn a_directory_that_is_gone_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = FilesDeadLetterWriter::new(dir.path().join("gone"));
    writer.begin(0, &range(0, 1));
    let error = writer.write(&letter(&range(0, 1), 0)).unwrap_err();
    assert!(error.message().starts_with("cannot write to ") && error.message().contains("gone"), "{error}");
    assert!(error.message().ends_with("create the directory, or name another one") && !error.retry, "{error}");
    assert_eq!(writer.finish().unwrap(), None);
}

/// Many dead letters are streamed to disk, and an abandoned task leaves no file.
#[test]
fn a_flood_is_not_held_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = FilesDeadLetterWriter::new(dir.path());
    let range = range(0, 10_000);
    let value = vec![b'x'; 1_000];
    writer.begin(0, &range);
    for offset in 0..10_000 {
        writer.write(&DeadLetter { value: Some(&value), ..letter(&range, offset) }).unwrap();
    }
    let written = |names: &[String]| fs::metadata(dir.path().join(&names[0])).unwrap().len();
    assert!(written(&names(dir.path())) > 9_900_000, "all but a buffer is on the disk");
    writer.begin(0, &range);
    assert_eq!(names(dir.path()), [""; 0]);
}
