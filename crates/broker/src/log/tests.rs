//! Tests of the whole log. What is written can be read: after a restart, after truncation at any byte, on a full disk,
//! and with retention.

use super::batch::sample::{Sample, pack};
use super::batch::{BatchHeader, Rules, check_produced};
use super::*;
use std::fs;
use tempfile::TempDir;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 20,
        max_message_bytes: 1 << 20,
        retention_bytes: None,
        retention_age: None,
        delete: true,
        compact: None,
        segment_ms: i64::MAX,
        durability: Durability::PageCache,
    }
}

fn append(log: &mut Log, sample: &Sample<'_>) -> Result<i64, AppendError> {
    let batch = sample.build();
    let rules = Rules { max_bytes: log.config().max_message_bytes, now_ms: i64::MAX, keyed: false };
    let header = check_produced(&batch, rules).unwrap();
    log.append(&batch, &header)
}

/// Appends `count` batches of two records each, with timestamps 10, 20, 30, …
fn fill(log: &mut Log, count: i64) {
    for _ in 0..count {
        let time = 10 * (log.end_offset() / 2 + 1);
        append(log, &Sample { timestamps: &[time, time + 5], value_bytes: 100, ..Sample::default() }).unwrap();
    }
}

/// Base offsets of the batches that a fetch returns. Verifies their checksums.
fn read(log: &Log, offset: i64, max_bytes: u64, at_least_one: bool) -> Option<Vec<i64>> {
    let slice = log.slice(offset, Isolation::ReadUncommitted, max_bytes, at_least_one).unwrap()?;
    let mut bytes = vec![0; slice.bytes];
    read_exact_at(&slice.file, &mut bytes, slice.position).unwrap();
    let (mut rest, mut offsets) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).expect("a slice holds complete batches");
        assert!(header.crc_is_right(&rest[..header.total_bytes]));
        offsets.push(header.base_offset);
        rest = &rest[header.total_bytes..];
    }
    Some(offsets)
}

fn all(log: &Log) -> Vec<i64> {
    let (mut offset, mut seen) = (log.start_offset(), Vec::new());
    while offset < log.end_offset() {
        seen.extend(read(log, offset, 1 << 20, true).unwrap());
        offset = seen.last().unwrap() + 2;
    }
    seen
}

fn files(dir: &TempDir) -> Vec<String> {
    let mut files: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

#[test]
fn a_fetch_gets_whole_batches_from_the_one_that_holds_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), config()).unwrap();
    fill(&mut log, 5);
    let batch_bytes = log.bytes() / 5;
    let check = |offset, max_bytes, at_least_one, expected: Option<&[i64]>| {
        let found = read(&log, offset, max_bytes, at_least_one);
        assert_eq!(found.as_deref(), expected, "offset {offset}, at most {max_bytes} bytes");
    };
    check(0, 1 << 20, true, Some(&[0, 2, 4, 6, 8]));
    check(3, 1 << 20, true, Some(&[2, 4, 6, 8]));
    check(4, 2 * batch_bytes, true, Some(&[4, 6]));
    check(4, 3 * batch_bytes - 1, true, Some(&[4, 6]));
    check(4, 1, true, Some(&[4]));
    check(4, 1, false, Some(&[]));
    check(10, 1 << 20, true, Some(&[]));
    check(11, 1 << 20, true, None);
    check(-1, 1 << 20, true, None);
}

#[test]
fn every_offset_and_time_is_found_through_a_long_index() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), LogConfig { segment_bytes: 200_000, ..config() }).unwrap();
    fill(&mut log, 3000);
    assert!(files(&dir).len() > 3, "several segments");
    for _ in 0..2 {
        assert_eq!(all(&log), (0..3000).map(|batch| 2 * batch).collect::<Vec<i64>>());
        for offset in (0..6000).step_by(7) {
            assert_eq!(read(&log, offset, 1, true), Some(vec![offset / 2 * 2]));
            let time = 10 * (offset / 2 + 1) + 5 * (offset % 2);
            assert_eq!(log.offset_for_timestamp(time).unwrap(), Some((time, offset)));
            assert_eq!(log.offset_for_timestamp(time - 1).unwrap(), Some((time, offset)));
        }
        assert_eq!(log.offset_for_timestamp(30_006).unwrap(), None);
        log = Log::open(dir.path(), log.config().clone()).unwrap();
    }
}

#[test]
fn a_time_inside_a_packed_batch_gives_the_record() {
    for codec in 0..=4 {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path(), config()).unwrap();
        for timestamps in [&[10, 30, 20][..], &[40, 50]] {
            let batch = pack(&Sample { timestamps, ..Sample::default() }.build(), codec);
            let header = BatchHeader::parse(&batch).unwrap();
            log.append(&batch, &header).unwrap();
        }
        let check = |time, expected| {
            assert_eq!(log.offset_for_timestamp(time).unwrap(), expected, "codec {codec}, at {time}");
        };
        check(5, Some((10, 0)));
        check(11, Some((30, 1)));
        check(31, Some((40, 3)));
        check(41, Some((50, 4)));
        check(51, None);
        assert_eq!(log.max_timestamp().unwrap(), Some((50, 4)));
    }
}

#[test]
fn the_largest_timestamp_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), LogConfig { segment_bytes: 1000, ..config() }).unwrap();
    assert_eq!(log.max_timestamp().unwrap(), None);
    for time in [10, 20, 900, 30, 900, 40, 50, 60, 70, 80, 90] {
        append(&mut log, &Sample { timestamps: &[time, time - 1], value_bytes: 100, ..Sample::default() }).unwrap();
    }
    assert!(files(&dir).len() > 2, "several segments");
    assert_eq!(log.max_timestamp().unwrap(), Some((900, 4)));
}

#[test]
#[cfg(target_os = "linux")]
fn closed_segments_keep_no_handle() {
    let open_here = |dir: &TempDir| {
        let handles = fs::read_dir("/proc/self/fd").unwrap().flatten();
        handles.filter(|entry| fs::read_link(entry.path()).is_ok_and(|path| path.starts_with(dir.path()))).count()
    };
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 1000, ..config() };
    let mut log = Log::open(dir.path(), config.clone()).unwrap();
    fill(&mut log, 100);
    assert!(files(&dir).len() > 20, "many segments");
    assert_eq!(open_here(&dir), 1);
    drop(log);
    let log = Log::open(dir.path(), config).unwrap();
    assert_eq!(open_here(&dir), 1, "reopened");
    assert_eq!(all(&log).len(), 100);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), config()).unwrap();
    fill(&mut log, 2);
    let path = dir.path().join(&files(&dir)[0]);
    let kept = fs::metadata(&path).unwrap().len() as usize;
    fill(&mut log, 1);
    let whole = fs::read(&path).unwrap();
    let check = |content: &[u8], expected: &[i64], what: &str| {
        fs::write(&path, content).unwrap();
        let mut log = Log::open(dir.path(), config()).unwrap();
        assert_eq!(all(&log), expected, "{what}");
        fill(&mut log, 1);
        assert_eq!(all(&log).len(), expected.len() + 1, "{what}");
        assert_eq!(all(&Log::open(dir.path(), config()).unwrap()).len(), expected.len() + 1, "{what}, reopened");
    };
    check(&whole, &[0, 2, 4], "nothing torn");
    for cut in kept..whole.len() {
        check(&whole[..cut], &[0, 2], &format!("cut at {cut}"));
        let mut zeros = whole[..cut].to_vec();
        zeros.resize(whole.len() + 100, 0);
        // The last byte of a record is its number of headers, 0. If only that byte is replaced by a zero, nothing is
        // lost.
        let lost = if cut < whole.len() - 1 { &[0, 2][..] } else { &[0, 2, 4] };
        check(&zeros, lost, &format!("zeros from {cut}"));
    }
}

#[test]
fn behind_a_torn_segment_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), LogConfig { segment_bytes: 1000, ..config() }).unwrap();
    fill(&mut log, 12);
    let names = files(&dir);
    assert!(names.len() >= 3);
    let path = dir.path().join(&names[1]);
    let bytes = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes - 1).unwrap();
    let log = Log::open(dir.path(), log.config().clone()).unwrap();
    assert_eq!(files(&dir), names[..2]);
    let kept = all(&log);
    assert_eq!(kept, (0..kept.len() as i64).map(|batch| 2 * batch).collect::<Vec<_>>());
}

#[test]
fn an_idempotent_producer_is_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), config()).unwrap();
    let batch = |sequence| Sample { timestamps: &[1, 2, 3], producer: (9, 0, sequence), ..Sample::default() };
    for sequence in [0, 3, 6] {
        append(&mut log, &batch(sequence)).unwrap();
    }
    let mut log = Log::open(dir.path(), config()).unwrap();
    assert_eq!(append(&mut log, &batch(3)).unwrap(), 3);
    assert!(matches!(append(&mut log, &batch(12)), Err(AppendError::Refused(Code::OutOfOrderSequenceNumber))));
    assert_eq!(append(&mut log, &batch(9)).unwrap(), 9);
    assert_eq!(log.end_offset(), 12);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_refuses_writes_and_serves_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), config()).unwrap();
    let batch = |sequence| Sample { producer: (9, 0, sequence), ..Sample::default() };
    append(&mut log, &batch(0)).unwrap();
    log.segments[0].break_disk();
    for _ in 0..3 {
        assert!(matches!(append(&mut log, &batch(1)), Err(AppendError::Disk(_))));
    }
    log.segments[0].mend_disk();
    assert_eq!(append(&mut log, &batch(1)).unwrap(), 1);
    assert_eq!(read(&log, 0, 1 << 20, true), Some(vec![0, 1]));
}

#[test]
fn retention_drops_whole_old_segments() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 1000, retention_bytes: Some(2500), ..config() };
    let mut log = Log::open(dir.path(), config).unwrap();
    fill(&mut log, 100);
    assert!((2500..=4500).contains(&log.bytes()), "{} bytes are kept", log.bytes());
    assert!(log.start_offset() > 0);
    assert_eq!(log.end_offset(), 200);
    assert_eq!(all(&log).first(), Some(&log.start_offset()));

    let (start, end) = (log.start_offset(), log.end_offset());
    let aged = LogConfig { retention_age: Some(Duration::from_secs(60)), ..log.config().clone() };
    let mut log = Log::open(dir.path(), aged).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (start, end));
    log.enforce_retention(SystemTime::now()).unwrap();
    assert_eq!(log.start_offset(), start);
    log.enforce_retention(SystemTime::now() + Duration::from_secs(61)).unwrap();
    assert_eq!((log.start_offset(), log.end_offset(), log.bytes()), (end, end, 0));
    fill(&mut log, 1);
    let log = Log::open(dir.path(), log.config().clone()).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (end, end + 2));
}

#[test]
fn with_disk_durability_the_same_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { durability: Durability::Disk, segment_bytes: 1000, ..config() };
    let mut log = Log::open(dir.path(), config).unwrap();
    fill(&mut log, 10);
    assert_eq!(all(&Log::open(dir.path(), log.config().clone()).unwrap()), all(&log));
}

#[test]
fn deleted_records_stay_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), LogConfig { segment_bytes: 1000, ..config() }).unwrap();
    fill(&mut log, 30);
    let segments = files(&dir).len();
    let check = |log: &mut Log, start: i64, first: i64| {
        log.delete_before(start).unwrap();
        for _ in 0..2 {
            assert_eq!((log.start_offset(), log.end_offset()), (start, 60));
            assert_eq!(read(log, start - 1, 1, true), None);
            assert_eq!(all(log), (first..60).step_by(2).collect::<Vec<_>>());
            let time = 10 * (start / 2 + 1) + 5 * (start % 2);
            assert_eq!(log.offset_for_timestamp(0).unwrap(), (start < 60).then_some((time, start)), "from {start} on");
            *log = Log::open(dir.path(), log.config().clone()).unwrap();
        }
    };
    check(&mut log, 1, 0);
    check(&mut log, 4, 4);
    check(&mut log, 33, 32);
    assert!(files(&dir).len() < segments, "whole segments are removed");
    log.delete_before(5).unwrap();
    check(&mut log, 33, 32);
    check(&mut log, 60, 60);
    fill(&mut log, 1);
    assert_eq!(all(&log), [60]);
}
