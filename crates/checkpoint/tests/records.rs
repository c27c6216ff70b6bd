//! A checkpoint as a driver uses it: records and states are written, found again and cleaned up; damage is detected.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tidemill_checkpoint::disk::OsDisk;
use tidemill_checkpoint::{Checkpoint, CommitRecord, Query, Recovered, SNAPSHOT_BYTES_MIN, inspect};
use tidemill_model::{BatchPlan, Fingerprint, Millis, Offsets, Result};

fn plan(batch_id: u64) -> BatchPlan {
    BatchPlan {
        batch_id,
        ranges: vec![],
        tasks: vec![],
        watermark: Millis(0),
        late_watermark: Millis(0),
        timestamp: Millis(batch_id as i64),
        start_offsets: Offsets::default(),
        end_offsets: Offsets::default(),
    }
}

fn record(batch_id: u64) -> CommitRecord {
    CommitRecord { batch_id, ..CommitRecord::default() }
}

fn open(dir: &Path) -> Checkpoint {
    try_open(dir).unwrap()
}

fn try_open(dir: &Path) -> Result<Checkpoint> {
    open_as(dir, "query-1", "q", 64 << 10)
}

/// Lines of the text that begin with `!` are in the fingerprint. A text of one line always is.
fn query(id: &str, text: &str) -> Query {
    let lines: Vec<&str> = text.lines().collect();
    let bound = lines.iter().filter(|line| lines.len() == 1 || line.starts_with('!'));
    let fingerprint = Fingerprint { sources: bound.map(|line| line.to_string()).collect(), operators: Vec::new() };
    Query { id: id.into(), text: text.into(), fingerprint }
}

fn open_as(dir: &Path, id: &str, text: &str, snapshot_bytes_min: u64) -> Result<Checkpoint> {
    Checkpoint::open(Arc::new(OsDisk::open(dir)?), query(id, text), snapshot_bytes_min)
}

/// Writes a snapshot in two parts.
fn snapshot(checkpoint: &mut Checkpoint, batch: u64, state: &[u8]) {
    let mut writer = checkpoint.commits.begin_snapshot(batch).unwrap();
    state.chunks(state.len().div_ceil(2).max(1)).for_each(|part| writer.append(part).unwrap());
    writer.finish().unwrap();
}

fn names(dir: &Path, folder: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_start_matches('0').to_owned())
        .collect();
    names.sort();
    names
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("log/{number:020}"))
}

#[test]
fn goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let reopen = || open(dir.path());
    let mut checkpoint = reopen();
    assert_eq!(checkpoint.recovered, Recovered::default());
    assert!(!checkpoint.commits.wants_snapshot());
    checkpoint.plans.write(&plan(0)).unwrap();
    drop(checkpoint);
    let mut checkpoint = reopen();
    assert_eq!(checkpoint.recovered.replay, [plan(0)]);
    assert_eq!(checkpoint.recovered.start, None);
    checkpoint.plans.write_start(&Offsets::default()).unwrap();
    drop(checkpoint);
    let mut checkpoint = reopen();
    assert_eq!(checkpoint.recovered.start, Some(Offsets::default()));
    checkpoint.commits.commit(&record(0), b"d0").unwrap();
    snapshot(&mut checkpoint, 0, b"s0");
    checkpoint.plans.write(&plan(1)).unwrap();
    checkpoint.plans.write(&plan(2)).unwrap();
    checkpoint.commits.commit(&record(1), b"d1").unwrap();
    drop(checkpoint);
    for _ in 0..2 {
        let recovered = reopen().recovered;
        assert_eq!(recovered.committed, Some(record(1)));
        assert_eq!(recovered.snapshot, Some((0, vec!["s".into(), "0".into()])));
        assert_eq!(recovered.deltas, [(1, "d1".into())]);
        assert_eq!(recovered.replay, [plan(2)]);
        assert_eq!(recovered.start, Some(Offsets::default()));
    }
}

/// Batches of a growing state → the most snapshots and segments at any time.
fn check_files(batches: u64, delta_bytes: usize, snapshot_bytes: usize, starts: bool) {
    let dir = tempfile::tempdir().unwrap();
    let mut checkpoint = open(dir.path());
    let mut snapshots = 0;
    for batch in 0..batches {
        if starts && batch % 7 == 0 {
            drop(checkpoint);
            checkpoint = open(dir.path());
        }
        checkpoint.plans.write(&plan(batch)).unwrap();
        let wanted = checkpoint.commits.wants_snapshot();
        checkpoint.commits.commit(&record(batch), &vec![0; delta_bytes]).unwrap();
        if wanted {
            snapshot(&mut checkpoint, batch, &vec![0; snapshot_bytes]);
            assert_eq!(names(dir.path(), "log").len(), 1, "batch {batch}");
            snapshots += 1;
        }
        assert!(names(dir.path(), "snapshots").len() <= 1);
        let bytes: u64 =
            fs::read_dir(dir.path().join("log")).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        let bound = (64 << 10) + snapshot_bytes as u64 + 2 * delta_bytes as u64 + 4_000;
        assert!(bytes <= bound, "batch {batch}: the log has {bytes} bytes of {bound}");
    }
    assert!(snapshots > 1);
    drop(checkpoint);
    assert_eq!(open(dir.path()).recovered.committed, Some(record(batches - 1)));
}

#[test]
fn keeps_no_more_than_it_needs() {
    check_files(200, 2_000, 1_000, false);
    check_files(200, 2_000, 150_000, true);
    check_files(600, 0, 0, false);
}

#[test]
fn many_starts_without_a_batch_leave_one_segment() {
    let dir = tempfile::tempdir().unwrap();
    (0..10).for_each(|_| drop(open(dir.path())));
    assert_eq!(names(dir.path(), "log"), ["9"]);
}

/// A snapshot of batch 0, changes of batches 1 to 3, plans up to 4, all in segment 1. Also returns where each record
/// ends.
fn crashed() -> (TempDir, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let mut checkpoint = open(dir.path());
    let mut ends = Vec::new();
    for batch in 0..4 {
        checkpoint.plans.write(&plan(batch)).unwrap();
        checkpoint.commits.commit(&record(batch), format!("state {batch}").as_bytes()).unwrap();
        checkpoint.commits.make_durable().unwrap();
        if batch == 0 {
            snapshot(&mut checkpoint, 0, b"state 0");
        }
        ends.push(fs::read(segment(dir.path(), 1)).unwrap_or_default().len());
    }
    checkpoint.plans.write(&plan(4)).unwrap();
    drop(checkpoint);
    assert_eq!(names(dir.path(), "log"), ["1"]);
    (dir, ends)
}

/// Damage → the last committed batch and the batches to replay, or part of the error.
fn check_damage(damage: impl Fn(&Path, &[usize]), expected: Result<(u64, &[u64]), &str>) {
    let (dir, ends) = crashed();
    damage(dir.path(), &ends);
    let found = try_open(dir.path()).map(|checkpoint| {
        let replay: Vec<u64> = checkpoint.recovered.replay.iter().map(|plan| plan.batch_id).collect();
        (checkpoint.recovered.committed.expect("committed").batch_id, replay)
    });
    match (found, expected) {
        (Ok((committed, replay)), Ok(expected)) => assert_eq!((committed, &replay[..]), expected),
        (Err(error), Err(words)) => {
            assert_eq!(error.exit_code(), 1);
            assert!(error.message().contains(words) && error.message().contains("restore"), "{error}");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

fn cut(path: &Path, bytes: usize) {
    let whole = fs::read(path).unwrap();
    fs::write(path, &whole[..bytes]).unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_end_of_the_log_may_be_broken() {
    check_damage(|_, _| {}, Ok((3, &[4])));
    check_damage(|dir, ends| cut(&segment(dir, 1), ends[3]), Ok((3, &[])));
    check_damage(|dir, ends| cut(&segment(dir, 1), ends[3] + 5), Ok((3, &[])));
    check_damage(|dir, ends| flip(&segment(dir, 1), ends[3] + 30), Ok((3, &[])));
    // The commit record is cut off; the plan is complete.
    check_damage(|dir, ends| cut(&segment(dir, 1), ends[3] - 1), Ok((2, &[3])));
    check_damage(|dir, _| fs::write(segment(dir, 2), b"").unwrap(), Ok((3, &[4])));
    check_damage(|dir, _| fs::write(segment(dir, 2), b"TIDEM").unwrap(), Ok((3, &[4])));
    check_damage(|dir, _| fs::write(dir.join("snapshots/00000000000000000003.tmp"), b"x").unwrap(), Ok((3, &[4])));
}

#[test]
fn damage_to_what_is_committed_is_named() {
    check_damage(|dir, ends| flip(&segment(dir, 1), ends[1] - 9), Err("fails its checksum at byte"));
    check_damage(|dir, _| flip(&segment(dir, 1), 20), Err("log/00000000000000000001` fails its checksum at byte 9"));
    check_damage(|dir, _| flip(&segment(dir, 1), 3), Err("is no segment of a log"));
    let snapshot = |dir: &Path| dir.join("snapshots/00000000000000000000");
    check_damage(|dir, _| flip(&snapshot(dir), 18), Err("snapshots/00000000000000000000` fails its checksum"));
    check_damage(|dir, _| cut(&snapshot(dir), 4), Err("or is cut off"));
    check_damage(|dir, _| cut(&snapshot(dir), 22), Err("is cut off"));
    check_damage(|dir, _| fs::remove_file(snapshot(dir)).unwrap(), Err("the state change of batch 0 is missing"));
    check_damage(|dir, _| fs::remove_file(segment(dir, 1)).unwrap(), Err("there are snapshots, but no log"));
}

/// A sealed segment that is missing, or shorter than the next one states, is damage.
#[test]
fn every_segment_that_is_needed_must_be_there() {
    let damaged = |damage: fn(&Path), words: &str| {
        let (dir, _) = crashed();
        drop(open(dir.path()));
        drop(open(dir.path()));
        assert_eq!(names(dir.path(), "log"), ["1", "2", "3"]);
        damage(dir.path());
        let Err(error) = try_open(dir.path()) else { panic!("{words}: accepted") };
        assert!(error.message().contains(words), "{error}");
    };
    damaged(|dir| fs::remove_file(segment(dir, 2)).unwrap(), "`log/00000000000000000002` is missing");
    damaged(|dir| fs::remove_file(segment(dir, 1)).unwrap(), "the state change of batch 1 is missing");
    damaged(|dir| cut(&segment(dir, 1), 50), "`log/00000000000000000001` is cut off");
}

#[test]
fn what_a_crash_left_goes_at_the_next_start() {
    let (dir, _) = crashed();
    for name in ["snapshots/00000000000000000009", "log/00000000000000000002"] {
        fs::write(dir.path().join(name), b"").unwrap();
    }
    let mut checkpoint = open(dir.path());
    assert_eq!(
        (names(dir.path(), "log"), names(dir.path(), "snapshots")),
        (vec!["1".into(), "2".into()], vec!["".into()])
    );
    checkpoint.commits.commit(&record(4), b"d4").unwrap();
    snapshot(&mut checkpoint, 4, b"all");
    assert_eq!((names(dir.path(), "log"), names(dir.path(), "snapshots")), (vec!["3".into()], vec!["4".into()]));
}

#[test]
fn with_a_plan_the_fingerprint_must_stay_the_rest_may_change() {
    let dir = tempfile::tempdir().unwrap();
    let open = |text: &str, id: &str| open_as(dir.path(), id, text, SNAPSHOT_BYTES_MIN);
    let mut first = open("!window 10s\nwhere a", "first").unwrap();
    assert!(first.changes.is_empty());
    first.plans.write(&plan(0)).unwrap();
    drop(first);
    let changed = open("!window 10s\nwhere b", "second").unwrap();
    assert_eq!(changed.query.id, "first");
    let shown: Vec<String> = changed.changes.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["- where a", "+ where b"]);
    drop(changed);
    let mut same = open("!window 10s\nwhere b", "third").unwrap();
    assert!(same.changes.is_empty());
    same.commits.commit(&record(0), b"d0").unwrap();
    drop(same);
    let Err(error) = open("!window 20s\nwhere c", "fourth") else { panic!("accepted") };
    assert_eq!(error.exit_code(), 2);
    assert!(error.message().contains("- input        !window 10s\n  + input        !window 20s\nundo"), "{error}");
}

#[test]
fn without_a_plan_any_query_may_come() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = open_as(dir.path(), "first", "!window 10s", SNAPSHOT_BYTES_MIN).unwrap();
    first.plans.write_start(&Offsets::default()).unwrap();
    drop(first);
    let mut other = open_as(dir.path(), "second", "!window 20s", SNAPSHOT_BYTES_MIN).unwrap();
    // The sinks know the id. Where another query began is of no use.
    assert_eq!((other.query.id.as_str(), &other.recovered), ("first", &Recovered::default()));
    assert!(other.changes.is_empty());
    other.plans.write(&plan(0)).unwrap();
    drop(other);
    assert!(open_as(dir.path(), "third", "!window 10s", SNAPSHOT_BYTES_MIN).is_err());
}

#[test]
fn a_checkpoint_can_be_looked_at_while_it_is_used() {
    let (dir, _) = crashed();
    let before = fs::read(segment(dir.path(), 1)).unwrap();
    let in_use = open(dir.path());
    let inspection = inspect(&OsDisk::to_look_at(dir.path()).unwrap()).unwrap();
    assert_eq!(inspection.query, query("query-1", "q"));
    assert_eq!(inspection.recovered, in_use.recovered);
    assert_eq!(inspection.segments[0], (1, before.len() as u64));
    assert_eq!(inspection.recovered.snapshot_bytes(), 7);
    let empty = tempfile::tempdir().unwrap();
    let error = inspect(&OsDisk::to_look_at(empty.path()).unwrap()).unwrap_err();
    assert!(error.exit_code() == 2 && error.message().contains("holds no checkpoint"), "{error}");
}
