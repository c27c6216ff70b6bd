//! The files source: which lines come in which order, across restarts; and files that have changed.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tidemill_files::{FilesOptions, FilesReader, FilesWatch};
use tidemill_flow::ports::{Chunk, Extents, Read, Watch};
use tidemill_model::{OffsetRange, Offsets, PartitionId, Result};
use tidemill_testkit::source_suite::{self, SourceUnderTest};

/// A source in its own directory, with its log beside it.
struct Fixture {
    dir: tempfile::TempDir,
    options: FilesOptions,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        let options = FilesOptions {
            source: 0,
            path: dir.path().join("in").to_str().unwrap().into(),
            csv: false,
            header: false,
            max_files_per_trigger: None,
            log_dir: dir.path().join("sources"),
        };
        Fixture { dir, options }
    }

    /// Adds a file as a writer should: complete, by renaming.
    fn put(&self, name: &str, modified_ms: u64, text: &str) {
        let aside = self.dir.path().join("aside");
        fs::write(&aside, text).unwrap();
        let time = UNIX_EPOCH + Duration::from_millis(modified_ms);
        File::options().write(true).open(&aside).unwrap().set_modified(time).unwrap();
        fs::rename(&aside, self.at(name)).unwrap();
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        Path::new(&self.options.path).join(name)
    }

    fn watch(&self) -> FilesWatch {
        FilesWatch::new(self.options.clone()).unwrap()
    }

    fn partition(&self) -> PartitionId {
        PartitionId { source: 0, topic: self.options.path.as_str().into(), partition: 0 }
    }

    fn end(&self, extents: &Extents) -> i64 {
        extents[&self.partition()].end
    }

    /// `offset:time:line` of a range, read in chunks of two.
    fn read(&self, start: i64, end: i64) -> Result<Vec<String>> {
        let mut reader =
            FilesReader::new(&self.options.log_dir, self.options.source, self.options.csv, self.options.header);
        reader.open(&OffsetRange { partition: self.partition(), start, end })?;
        let (mut chunk, mut lines) = (Chunk::default(), Vec::new());
        while reader.next(&mut chunk, 2)? {
            assert!(!chunk.is_empty() && chunk.len() <= 2);
            for record in 0..chunk.len() {
                let text = String::from_utf8_lossy(chunk.value(record).unwrap());
                lines.push(format!("{}:{}:{text}", chunk.offsets[record], chunk.timestamps[record]));
            }
        }
        Ok(lines)
    }
}

/// Each append is a file of its own.
impl SourceUnderTest for Fixture {
    fn partitions(&self) -> u32 {
        1
    }

    fn partition(&self, _: u32) -> PartitionId {
        self.partition()
    }

    fn append(&mut self, _: u32, values: &[Option<Vec<u8>>]) {
        let line =
            |value: &Option<Vec<u8>>| String::from_utf8(value.clone().expect("a line is there")).expect("text") + "\n";
        let number = fs::read_dir(&self.options.path).unwrap().count() as u64;
        self.put(&format!("{number:06}"), 1_000 * number, &values.iter().map(line).collect::<String>());
    }

    fn reader(&self) -> Box<dyn Read> {
        Box::new(FilesReader::new(&self.options.log_dir, self.options.source, self.options.csv, self.options.header))
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(self.watch())
    }

    fn has_tombstones(&self) -> bool {
        false
    }

    /// The end of an empty file takes an offset.
    fn leave_gap(&mut self) {
        self.append(0, &[]);
    }
}

#[test]
fn the_suite_of_the_sources() {
    source_suite::check(&mut Fixture::new());
}

fn look(watch: &mut FilesWatch) -> Extents {
    watch.watch(&Extents::new(), Duration::ZERO).unwrap()
}

#[test]
fn files_come_in_order_of_time_then_name() {
    let source = Fixture::new();
    source.put("c", 1_000, "c1\nc2\n");
    source.put("a", 3_000, "a1");
    source.put("b", 2_000, "");
    source.put("aa", 1_000, "aa1\r\naa2\raa3");
    source.put("_hidden", 500, "x");
    source.put(".hidden", 500, "x");
    fs::create_dir(source.at("inner")).unwrap();
    let extents = look(&mut source.watch());
    assert_eq!(source.end(&extents), 10);
    let all = ["0:1000:aa1", "1:1000:aa2", "2:1000:aa3", "4:1000:c1", "5:1000:c2", "8:3000:a1"];
    assert_eq!(source.read(0, 10).unwrap(), all);
    assert_eq!(source.read(2, 5).unwrap(), all[2..4]);
    assert_eq!(source.read(6, 8).unwrap(), [""; 0], "the ends of two files are something to read, without a record");
}

#[test]
fn what_comes_later_comes_behind_whatever_its_time() {
    let source = Fixture::new();
    source.put("b", 2_000, "b1\n");
    let mut watch = source.watch();
    let known = look(&mut watch);
    assert_eq!(watch.watch(&known, Duration::ZERO).unwrap(), known);
    source.put("a", 1_000, "a1\n");
    // The reader follows the log while the watch appends to it.
    let mut reader =
        FilesReader::new(&source.options.log_dir, source.options.source, source.options.csv, source.options.header);
    let mut chunk = Chunk::default();
    for (start, line) in [(0, "b1"), (2, "a1")] {
        reader.open(&OffsetRange { partition: source.partition(), start, end: start + 2 }).unwrap();
        assert!(reader.next(&mut chunk, 9).unwrap());
        assert_eq!(chunk.value(0), Some(line.as_bytes()));
        assert_eq!(source.end(&watch.watch(&known, Duration::ZERO).unwrap()), 4);
    }
    drop(watch);
    // A restart knows the files and their order. A file that was read may be removed.
    fs::remove_file(source.at("b")).unwrap();
    source.put("c", 500, "c1\n");
    assert_eq!(source.end(&look(&mut source.watch())), 6);
    assert_eq!(source.read(2, 6).unwrap(), ["2:1000:a1", "4:500:c1"]);
}

#[test]
fn a_log_that_lost_lines_is_damaged() {
    let source = Fixture::new();
    source.put("a", 1_000, "a1\na2\n");
    source.put("b", 2_000, "b1\n");
    assert_eq!(source.end(&look(&mut source.watch())), 5);
    let planned = |end: i64| Offsets([(source.partition(), end)].into());
    let mut whole = source.watch();
    assert!(whole.resume(&planned(5)).is_ok() && whole.resume(&Offsets::default()).is_ok());
    drop(whole);
    let log = source.options.log_dir.join("0.jsonl");
    let text = fs::read(&log).unwrap();
    fs::write(&log, &text[..text.len() - 1]).unwrap();
    let error = source.watch().resume(&planned(5)).unwrap_err();
    let expected = "0.jsonl: damaged (it ends at 3, and batches were planned up to 5: lines are missing); restore the";
    assert!(error.message().contains(expected), "{error}");
    fs::remove_file(&log).unwrap();
    assert!(source.watch().resume(&planned(5)).unwrap_err().message().contains("it ends at 0"));
}

#[test]
fn o7_a_batch_is_so_many_files_and_an_empty_file_is_one() {
    let mut source = Fixture::new();
    source.options.max_files_per_trigger = Some(2);
    for (time, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        source.put(name, time as u64, if name == "c" { "" } else { "1\n2\n" });
    }
    let mut watch = source.watch();
    let admission = watch.admission().unwrap();
    let all = look(&mut watch);
    let (mut position, mut batches) = (0, Vec::new());
    while position < source.end(&all) {
        let mut extents = all.clone();
        admission(&Offsets([(source.partition(), position)].into()), &mut extents);
        batches.push((position, source.end(&extents)));
        position = source.end(&extents);
    }
    assert_eq!(batches, [(0, 6), (6, 10), (10, 13)]);
}

#[test]
fn s2_csv_passes_over_blank_lines_and_headers() {
    let mut source = Fixture::new();
    (source.options.csv, source.options.header) = (true, true);
    source.put("a", 1, "\n \t\nh1,h2\nx\n\u{1}\n\u{a0}\n");
    source.put("b", 2, "h1,h2");
    source.put("c", 3, "h1,h2\r\ny\r\n");
    let end = source.end(&look(&mut source.watch()));
    let expected = ["3:1:x", "5:1:\u{a0}", "10:3:y"];
    assert_eq!(source.read(0, end).unwrap(), expected);
    // Wherever a task begins, the header is the same line.
    let apart = |cut: i64| [source.read(0, cut).unwrap(), source.read(cut, end).unwrap()].concat();
    (0..=end).for_each(|cut| assert_eq!(apart(cut), expected, "{cut}"));
}

#[test]
fn a_file_that_changed_is_named() {
    let check = |change: &dyn Fn(&Path), message: &str| {
        let source = Fixture::new();
        source.put("a", 1_000, "one\ntwo\n");
        look(&mut source.watch());
        change(&source.at("a"));
        match source.read(0, 3) {
            Ok(lines) => assert_eq!((lines.len(), message), (2, "")),
            Err(error) => {
                let named = error.message().contains("in/a has changed since it was planned: ");
                assert!(named && error.message().contains(message) && !error.retry, "{error}");
            }
        }
    };
    let append = |path: &Path, text: &str| fs::write(path, fs::read_to_string(path).unwrap() + text).unwrap();
    check(&|_| {}, "");
    check(&|path| fs::remove_file(path).unwrap(), "it is not there any more");
    check(&|path| fs::write(path, "one\n").unwrap(), "it had 8 bytes and has 4 now");
    check(&|path| fs::write(path, "uno\ndue\n").unwrap(), "it has been written again");
    check(&|path| fs::write(path, "one line in more bytes\n").unwrap(), "it ends before line 2");
    check(&|path| append(path, "three\n"), "");
}

#[test]
fn a_directory_that_is_not_there_is_no_source_yet() {
    let source = Fixture::new();
    fs::remove_dir(&source.options.path).unwrap();
    let mut watch = source.watch();
    assert_eq!(look(&mut watch), Extents::new());
    fs::create_dir(&source.options.path).unwrap();
    assert_eq!(source.end(&look(&mut watch)), 0);
    source.put("a.gz", 1, "");
    let error = watch.watch(&Extents::new(), Duration::ZERO).unwrap_err();
    assert!(error.message().contains("in/a.gz is compressed (.gz)"), "{error}");
}

#[test]
fn a_line_of_the_log_that_a_crash_tore_is_written_again() {
    let source = Fixture::new();
    source.put("a", 1, "a1\n");
    look(&mut source.watch());
    let log = source.options.log_dir.join("0.jsonl");
    let whole = fs::read_to_string(&log).unwrap();
    assert_eq!(whole.lines().next(), Some("{\"tidemill_files\":1}"));
    source.put("b", 2, "b1\n");
    look(&mut source.watch());
    let longer = fs::read_to_string(&log).unwrap();
    for torn in [whole.len() + 1, longer.len() - 1] {
        fs::write(&log, &longer[..torn]).unwrap();
        assert_eq!(source.end(&look(&mut source.watch())), 4);
        assert_eq!(fs::read_to_string(&log).unwrap(), longer);
    }
    let damaged = |text: String, message: &str| {
        fs::write(&log, text).unwrap();
        let error = FilesWatch::new(source.options.clone()).err().unwrap();
        assert!(error.message().contains(message) && error.message().contains("--checkpoint"), "{error}");
    };
    damaged(longer.replace("files\":1", "files\":2"), "a newer Tidemill");
    damaged(longer.replace("\"offset\":2", "\"offset\":3"), "begins at 3 instead of 2");
    damaged(longer.replace("\"offset\":2", "\"ofset\":2"), "0.jsonl:3: damaged");
}
