//! Compares a compacted log with what was written to it: after each pass, and after a crash at each step of a pass.

use super::super::batch::sample::{Sample, pack};
use super::super::batch::{self, BatchHeader, check_produced};
use super::super::transactions::{Outcome, outcome};
use super::super::{Isolation, Log, LogConfig, read_exact_at};
use super::rewrite::{unpacked, views};
use super::{DELETE_HORIZON, KEYS_MAX, Rules};
use crate::config::Durability;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use tempfile::TempDir;
use tidemill_model::random::Random;
use tidemill_wire::batch::TRANSACTIONAL;

type Hook = Box<dyn FnMut()>;

thread_local! {
    static HOOK: Cell<Option<Hook>> = const { Cell::new(None) };
}

/// Calls the test's hook, but not from within itself.
pub(super) fn step() {
    if let Some(mut hook) = HOOK.take() {
        hook();
        HOOK.set(Some(hook));
    }
}

const DELETE_RETENTION_MS: i64 = 1000;

fn config(segment_bytes: u64) -> LogConfig {
    LogConfig {
        segment_bytes,
        max_message_bytes: 1 << 20,
        retention_bytes: None,
        retention_age: None,
        delete: false,
        compact: Some(Rules {
            lag_ms: 0,
            lag_ms_max: i64::MAX,
            delete_retention_ms: DELETE_RETENTION_MS,
            dirty_ratio: 0.0,
        }),
        segment_ms: i64::MAX,
        durability: Durability::PageCache,
    }
}

/// Offset, key and value of a record.
type Record = (i64, String, Option<String>);

/// What was written.
#[derive(Clone, Default)]
struct Books {
    committed: BTreeMap<i64, (String, Option<String>)>,
    open: HashMap<i64, Vec<Record>>,
    /// The last batch of each producer, and its offset.
    last: HashMap<i64, (Vec<u8>, i64)>,
    end: i64,
    stable_end: i64,
}

impl Books {
    /// The last value of each key.
    fn table(&self) -> BTreeMap<String, String> {
        table(self.committed.iter().map(|(offset, (key, value))| (*offset, key.clone(), value.clone())))
    }
}

fn table(records: impl Iterator<Item = Record>) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for (_, key, value) in records {
        match value {
            Some(value) => table.insert(key, value),
            None => table.remove(&key),
        };
    }
    table
}

/// A log with its books.
struct Written {
    log: Log,
    books: Books,
    sequences: HashMap<i64, i32>,
}

impl Written {
    fn new(dir: &Path, segment_bytes: u64) -> Written {
        let log = Log::open(dir, config(segment_bytes)).unwrap();
        Written { log, books: Books::default(), sequences: HashMap::new() }
    }

    /// Appends a batch of a producer (−1: of none), perhaps in a transaction.
    fn append(&mut self, records: &[(&str, Option<&str>)], producer_id: i64, in_transaction: bool, codec: i16) {
        let timestamps: Vec<i64> = (0..records.len() as i64).map(|index| 5000 + index).collect();
        let sequence = self.sequences.entry(producer_id).or_default();
        let producer = if producer_id < 0 { (-1, -1, -1) } else { (producer_id, 0, *sequence) };
        *sequence += records.len() as i32;
        let attributes = if in_transaction { TRANSACTIONAL } else { 0 };
        let sample = Sample { timestamps: &timestamps, producer, attributes, keyed: records, ..Sample::default() };
        let batch = pack(&sample.build(), codec);
        let rules = batch::Rules { max_bytes: 1 << 20, now_ms: i64::MAX, keyed: true };
        let base = self.log.append(&batch, &check_produced(&batch, rules).unwrap()).unwrap();
        for (offset, (key, value)) in (base..).zip(records) {
            let (key, value) = ((*key).to_owned(), value.map(str::to_owned));
            if in_transaction {
                self.books.open.entry(producer_id).or_default().push((offset, key, value));
            } else {
                self.books.committed.insert(offset, (key, value));
            }
        }
        if producer_id >= 0 {
            self.books.last.insert(producer_id, (batch, base));
        }
        self.note_ends();
    }

    fn end_transaction(&mut self, producer_id: i64, outcome: Outcome) {
        self.log.append_marker(producer_id, 0, outcome).unwrap();
        let records = self.books.open.remove(&producer_id).unwrap_or_default();
        if outcome == Outcome::Commit {
            self.books.committed.extend(records.into_iter().map(|(offset, key, value)| (offset, (key, value))));
        }
        self.note_ends();
    }

    fn note_ends(&mut self) {
        let firsts = self.books.open.values().map(|records| records[0].0);
        self.books.end = self.log.end_offset();
        self.books.stable_end = firsts.min().unwrap_or(self.books.end);
    }

    /// Writes at random: with and without producers, in transactions, under every codec, with and without values.
    fn write_some(&mut self, random: &mut Random, batches: usize) {
        for _ in 0..batches {
            let producer_id = random.between(-1, 4);
            let in_transaction = producer_id >= 3;
            if in_transaction && self.books.open.contains_key(&producer_id) && random.chance(40) {
                let outcome = if random.chance(50) { Outcome::Commit } else { Outcome::Abort };
                self.end_transaction(producer_id, outcome);
                continue;
            }
            let keys: Vec<String> =
                (0..random.between(1, 4)).map(|_| format!("key-{}", random.between(0, 9))).collect();
            let value = format!("value after {} {}", self.books.end, "x".repeat(random.between(0, 40) as usize));
            let records: Vec<(&str, Option<&str>)> =
                keys.iter().map(|key| (key.as_str(), (!random.chance(20)).then_some(value.as_str()))).collect();
            self.append(&records, producer_id, in_transaction, random.between(0, 4) as i16);
        }
    }
}

/// A pass; `false` if none is due.
fn pass(log: &mut Log, now_ms: i64, keys_max: usize) -> bool {
    let Some(job) = log.compaction(now_ms) else { return false };
    let end = job.run(keys_max, &|| true, |new| log.replace(new)).unwrap().expect("nothing else changes the log");
    log.set_clean(end).unwrap();
    true
}

/// What a reader sees. It drops the records of aborted transactions as clients do.
fn read(log: &Log, isolation: Isolation) -> Vec<Record> {
    let (mut seen, mut offset, mut aborting) = (Vec::new(), log.start_offset(), HashSet::new());
    loop {
        let slice = log.slice(offset, isolation, 200, true).unwrap().expect("the offset is in range");
        if slice.bytes == 0 {
            return seen;
        }
        let mut aborted = log.aborted(offset, slice.end_offset);
        if isolation == Isolation::ReadUncommitted {
            aborted.clear();
        }
        aborted.sort_by_key(|aborted| aborted.first_offset);
        let mut bytes = vec![0; slice.bytes];
        read_exact_at(&slice.file, &mut bytes, slice.position).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).expect("whole batches");
            let (batch, after) = rest.split_at(header.total_bytes);
            assert!(header.crc_is_right(batch));
            rest = after;
            aborted.retain(|aborted| {
                let begun = aborted.first_offset <= header.last_offset();
                if begun {
                    aborting.insert(aborted.producer_id);
                }
                !begun
            });
            if header.is_control() {
                if outcome(batch) == Some(Outcome::Abort) {
                    aborting.remove(&header.producer_id);
                }
            } else if header.last_offset() >= offset
                && !(header.is_transactional() && aborting.contains(&header.producer_id))
            {
                seen.extend(decode(&header, batch).into_iter().filter(|(found, ..)| *found >= offset));
            }
            offset = offset.max(header.last_offset() + 1);
        }
    }
}

fn decode(header: &BatchHeader, batch: &[u8]) -> Vec<Record> {
    let (mut plain, text) = (Vec::new(), |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap());
    let records = unpacked(header, batch, &mut plain).unwrap();
    let decode = |view: std::io::Result<super::rewrite::View<'_>>| {
        let view = view.unwrap();
        let timestamp = header.base_timestamp + view.timestamp_delta;
        assert!((5000..5004).contains(&timestamp), "the timestamp is as it was written, not {timestamp}");
        (header.base_offset + view.offset_delta, text(view.key.unwrap()), view.value.map(text))
    };
    views(records, header).map(decode).collect()
}

/// What holds at any time, however often and wherever a pass was interrupted.
fn check(log: &mut Log, books: &Books) {
    assert_eq!((log.start_offset(), log.end_offset()), (0, books.end));
    assert_eq!(log.visible_end(Isolation::ReadCommitted), books.stable_end);
    let seen = read(log, Isolation::ReadCommitted);
    for (offset, key, value) in &seen {
        assert_eq!(books.committed.get(offset), Some(&(key.clone(), value.clone())), "at {offset}");
    }
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order");
    // Readers of committed records do not see yet what was committed after an open transaction began.
    let mut visible = books.clone();
    visible.committed.retain(|offset, _| *offset < books.stable_end);
    assert_eq!(table(seen.into_iter()), visible.table());
    for (producer_id, (batch, base)) in &books.last {
        let header = BatchHeader::parse(batch).unwrap();
        let again = log.append(batch, &header);
        assert!(matches!(again, Ok(offset) if offset == *base), "producer {producer_id} repeats {base}: {again:?}");
    }
}

/// Of the records that a pass has mapped, each key has only the last, and nothing is of an aborted transaction.
fn check_compacted(log: &Log, books: &Books) {
    let seen = read(log, Isolation::ReadUncommitted);
    let mapped: Vec<&Record> = seen.iter().filter(|(offset, ..)| *offset < log.clean).collect();
    for (index, (offset, key, _)) in mapped.iter().enumerate() {
        assert!(books.committed.contains_key(offset), "{offset} is of an aborted transaction");
        assert!(mapped[index + 1..].iter().all(|(_, later, _)| later != key), "{key} at {offset} has a later record");
    }
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// Offsets of the batches of control records and of batches with a horizon.
fn markers_and_horizons(log: &Log) -> (Vec<i64>, Vec<i64>) {
    let (mut markers, mut horizons) = (Vec::new(), Vec::new());
    for segment in &log.segments {
        let bytes = fs::read(segment.path()).unwrap();
        let mut rest = &bytes[..];
        while let Some(header) = BatchHeader::parse(rest) {
            if header.is_control() {
                markers.push(header.base_offset);
            }
            if header.attributes & DELETE_HORIZON != 0 {
                horizons.push(header.base_offset);
            }
            rest = &rest[header.total_bytes..];
        }
    }
    (markers, horizons)
}

#[test]
fn of_each_key_the_last_record_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = Written::new(dir.path(), 1);
    let records: [&[(&str, Option<&str>)]; 5] = [
        &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))],
        &[("a", Some("2"))],
        &[("b", None)],
        &[("d", Some("1"))],
        &[("a", Some("3"))],
    ];
    records.iter().for_each(|records| written.append(records, -1, false, 0));
    let offsets = |log: &Log| read(log, Isolation::ReadUncommitted).iter().map(|record| record.0).collect::<Vec<_>>();
    assert!(pass(&mut written.log, 10_000, KEYS_MAX));
    // The open segment has the last batch, which replaces nothing yet.
    assert_eq!(offsets(&written.log), [2, 3, 4, 5, 6]);
    assert!(!pass(&mut written.log, 20_000, KEYS_MAX), "nothing is dirty");
    written.append(&[("e", None)], -1, false, 0);
    assert!(pass(&mut written.log, 10_000 + DELETE_RETENTION_MS, KEYS_MAX));
    assert_eq!(offsets(&written.log), [2, 4, 5, 6, 7], "the tombstone stays to the end of its time");
    written.append(&[("f", Some("1"))], -1, false, 0);
    assert!(pass(&mut written.log, 10_001 + DELETE_RETENTION_MS, KEYS_MAX));
    assert_eq!(offsets(&written.log), [2, 5, 6, 7, 8], "b is gone");
    check(&mut written.log, &written.books);
    let read_from = |offset| {
        let slice = written.log.slice(offset, Isolation::ReadUncommitted, 1, true).unwrap().unwrap();
        slice.end_offset
    };
    assert_eq!([0, 1, 3, 4].map(read_from), [3, 3, 6, 6], "an offset in a gap reads on behind the gap");
}

#[test]
fn settings_say_when() {
    let check = |what: &str, change: &dyn Fn(&mut Rules), expected: bool| {
        let dir = tempfile::tempdir().unwrap();
        let mut written = Written::new(dir.path(), 1);
        for number in 0..4 {
            written.append(&[("a", Some(&number.to_string()))], -1, false, 0);
        }
        pass(&mut written.log, 6000, KEYS_MAX);
        written.append(&[("a", Some("4"))], -1, false, 0);
        let mut config = config(1);
        change(config.compact.as_mut().unwrap());
        written.log.set_config(config);
        assert_eq!(written.log.compaction(6000).is_some(), expected, "{what}");
    };
    check("at once", &|_| (), true);
    check("half of it is dirty", &|rules| rules.dirty_ratio = 0.5, false);
    check("less than half was asked for", &|rules| rules.dirty_ratio = 0.49, true);
    check("it waits for long", &|rules| (rules.dirty_ratio, rules.lag_ms_max) = (0.5, 999), true);
    check("it does not wait for long", &|rules| (rules.dirty_ratio, rules.lag_ms_max) = (0.5, 1000), false);
    check("it is young", &|rules| rules.lag_ms = 1001, false);
    check("it is old enough", &|rules| rules.lag_ms = 1000, true);
}

#[test]
fn a_segment_ends_after_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), LogConfig { segment_ms: 1000, ..config(1 << 20) }).unwrap();
    let mut append = |time: i64| {
        let batch = Sample { timestamps: &[time], ..Sample::default() }.build();
        log.append(&batch, &BatchHeader::parse(&batch).unwrap()).unwrap();
        log.segments.len()
    };
    assert_eq!([5000, 6000, 6001, 5000, 7001, 7002].map(&mut append), [1, 1, 2, 2, 2, 3]);
}

#[test]
fn aborted_records_and_old_markers_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = Written::new(dir.path(), 1);
    written.append(&[("a", Some("1"))], -1, false, 0);
    written.append(&[("a", Some("aborted"))], 3, true, 0);
    written.end_transaction(3, Outcome::Abort);
    written.append(&[("a", Some("committed"))], 3, true, 0);
    written.end_transaction(3, Outcome::Commit);
    written.append(&[("b", Some("open"))], 4, true, 0);
    written.append(&[("a", Some("behind"))], -1, false, 0);
    written.append(&[("a", Some("last"))], -1, false, 0);
    let now = |turn: i64| 10_000 + turn * 2 * DELETE_RETENTION_MS;
    assert!(pass(&mut written.log, now(0), KEYS_MAX));
    check(&mut written.log, &written.books);
    let seen = read(&written.log, Isolation::ReadUncommitted);
    assert_eq!(seen.iter().map(|record| record.0).collect::<Vec<_>>(), [3, 5, 6, 7], "up to the open transaction");
    assert_eq!(markers_and_horizons(&written.log), (vec![2, 4], vec![]));
    written.end_transaction(4, Outcome::Commit);
    // The next pass finds no records before the first marker, and sets its end.
    written.append(&[("c", Some("1"))], -1, false, 0);
    assert!(pass(&mut written.log, now(1), KEYS_MAX));
    check(&mut written.log, &written.books);
    assert_eq!(markers_and_horizons(&written.log), (vec![2, 4, 8], vec![2]));
    written.append(&[("c", Some("2"))], -1, false, 0);
    assert!(pass(&mut written.log, now(2), KEYS_MAX));
    check(&mut written.log, &written.books);
    // The batch at 3 has no records any more, and is still the last of its producer. So its marker stays.
    assert_eq!(markers_and_horizons(&written.log), (vec![4, 8], vec![]));
}

#[test]
fn a_pass_ends_where_the_log_has_changed_or_the_broker_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = Written::new(dir.path(), 1);
    for number in 0..6 {
        written.append(&[("a", Some(&number.to_string()))], -1, false, 0);
    }
    let job = written.log.compaction(0).unwrap();
    assert_eq!(job.run(KEYS_MAX, &|| false, |_| panic!("nothing is swapped")).unwrap(), None);
    let mut removed = false;
    let compacted = job.run(KEYS_MAX, &|| true, |new| {
        if !std::mem::replace(&mut removed, true) {
            written.log.delete_before(2).unwrap();
        }
        written.log.replace(new)
    });
    assert_eq!(compacted.unwrap(), None);
    assert_eq!(read(&written.log, Isolation::ReadUncommitted).len(), 4, "nothing but the deleted records is gone");
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let left = names.filter(|path| path.extension().is_some_and(|extension| extension == "compacting")).count();
    assert_eq!(left, 0, "no file is left over");
}

#[test]
fn a_damaged_batch_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = Written::new(dir.path(), 1);
    for codec in [0, 4, 0, 0] {
        written.append(&[("a", Some("a value of the key"))], -1, false, codec);
    }
    let path = written.log.segments[1].path().to_owned();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(pass(&mut written.log, 0, KEYS_MAX));
    let path = written.log.segments[1].path().to_owned();
    assert_eq!(fs::read(path).unwrap(), bytes, "the next segment is as it was");
    assert_eq!(written.log.segments[0].bytes, 0, "the first one is empty, and keeps the start of the log");
}

#[test]
fn a_crash_at_any_step_loses_nothing() {
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut written = Written::new(dir.path(), random.one(&[300, 800, 3000]));
        let mut now_ms = 10_000;
        for _ in 0..4 {
            written.write_some(&mut random, 12);
            let keys_max = random.one(&[12, KEYS_MAX]);
            let (books, from) = (Rc::new(written.books.clone()), dir.path().to_owned());
            let config = written.log.config().clone();
            HOOK.set(Some(Box::new(move || {
                let copied = copy(&from);
                let mut log = Log::open(copied.path(), config.clone()).unwrap();
                check(&mut log, &books);
                while pass(&mut log, now_ms, KEYS_MAX) {}
                check(&mut log, &books);
                check_compacted(&log, &books);
            })));
            while pass(&mut written.log, now_ms, keys_max) {}
            HOOK.set(None);
            check(&mut written.log, &written.books);
            check_compacted(&written.log, &written.books);
            // Each second round, tombstones and markers have had their time.
            now_ms += DELETE_RETENTION_MS * 6 / 10;
        }
    }
}

#[test]
fn an_empty_open_segment_keeps_the_one_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = Written::new(dir.path(), 1);
    for number in 0..4 {
        written.append(&[("a", Some(&number.to_string()))], -1, false, 0);
    }
    written.log.roll().unwrap();
    assert!(pass(&mut written.log, 0, KEYS_MAX));
    let seen = read(&written.log, Isolation::ReadUncommitted);
    assert_eq!(seen.iter().map(|record| record.0).collect::<Vec<_>>(), [2, 3]);
    let reopened = Log::open(dir.path(), config(1)).unwrap();
    assert_eq!(reopened.end_offset(), 4);
}
