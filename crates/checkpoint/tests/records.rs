//! A checkpoint as a driver uses it: records and states are written, found again, and tidied up; damage is noticed.

use std::sync::Arc;
use tidemill_checkpoint::memory::MemoryStore;
use tidemill_checkpoint::store::Store;
use tidemill_checkpoint::{Checkpoint, CommitRecord, Metadata, Recovered, StateChange};
use tidemill_model::{BatchPlan, Millis, Offsets, Result};

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

fn open(store: &MemoryStore) -> Checkpoint {
    try_open(store).unwrap()
}

fn try_open(store: &MemoryStore) -> Result<Checkpoint> {
    let metadata = Metadata { id: "query-1".into(), plan: "q".into() };
    Checkpoint::open(Arc::new(store.clone()), metadata, &|plan| vec![plan.to_owned()])
}

#[test]
fn goes_on_where_it_was() {
    let store = MemoryStore::default();
    let mut checkpoint = open(&store);
    assert_eq!(checkpoint.recovered, Recovered::default());
    assert!(checkpoint.commits.wants_snapshot());
    checkpoint.plans.write(&plan(0)).unwrap();
    assert_eq!(open(&store).recovered.replay, [plan(0)]);
    assert_eq!(open(&store).recovered.start, None);
    checkpoint.plans.write_start(&Offsets::default()).unwrap();
    assert_eq!(open(&store).recovered.start, Some(Offsets::default()));
    checkpoint.commits.commit(&record(0), &StateChange::Snapshot(b"s0".into())).unwrap();
    assert!(!checkpoint.commits.wants_snapshot());
    checkpoint.plans.write(&plan(1)).unwrap();
    checkpoint.plans.write(&plan(2)).unwrap();
    checkpoint.commits.commit(&record(1), &StateChange::Delta(b"d1".into())).unwrap();
    let recovered = open(&store).recovered;
    assert_eq!(recovered.committed, Some(record(1)));
    assert_eq!(recovered.state, [(0, b"s0".to_vec()), (1, b"d1".to_vec())]);
    assert_eq!(recovered.replay, [plan(2)]);
}

/// Batches whose deltas have so many bytes → state files at most, at any time.
fn check_files(batches: u64, delta_bytes: usize, state_files_max: usize) {
    let store = MemoryStore::default();
    let mut checkpoint = open(&store);
    for batch in 0..batches {
        checkpoint.plans.write(&plan(batch)).unwrap();
        let state = match checkpoint.commits.wants_snapshot() {
            true => StateChange::Snapshot(vec![0; 1_000]),
            false => StateChange::Delta(vec![0; delta_bytes]),
        };
        checkpoint.commits.commit(&record(batch), &state).unwrap();
        assert!(store.list("state").unwrap().len() <= state_files_max, "batch {batch}");
        assert!(store.list("plans").unwrap().len() <= 100 && store.list("commits").unwrap().len() <= 100);
    }
    assert_eq!(open(&store).recovered.committed, Some(record(batches - 1)));
}

#[test]
fn keeps_no_more_than_it_needs() {
    check_files(250, 2_000, 34);
    check_files(2_500, 0, 1_001);
}

/// After a crash of batch 3 while it was being committed: a snapshot of 0, deltas of 1 and 2, plans to 4.
fn crashed() -> MemoryStore {
    let store = MemoryStore::default();
    let mut checkpoint = open(&store);
    for batch in 0..4 {
        checkpoint.plans.write(&plan(batch)).unwrap();
        let bytes = format!("state {batch}").into();
        let state = if batch == 0 { StateChange::Snapshot(bytes) } else { StateChange::Delta(bytes) };
        checkpoint.commits.commit(&record(batch), &state).unwrap();
    }
    checkpoint.plans.write(&plan(4)).unwrap();
    store
}

fn file(folder: &str, batch: u64, suffix: &str) -> String {
    format!("{folder}/{batch:020}{suffix}")
}

/// A damage → the last committed batch and the batches to replay, or words of the error.
fn check_damage(damage: impl Fn(&MemoryStore), expected: Result<(u64, &[u64]), &str>) {
    let store = crashed();
    damage(&store);
    let found = try_open(&store).map(|checkpoint| {
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

/// Keeps the first bytes of a file.
fn cut(store: &MemoryStore, name: &str, bytes: usize) {
    let whole = store.get(name).unwrap().unwrap();
    store.put(name, &whole[..bytes.min(whole.len() - 1)]).unwrap();
}

fn flip(store: &MemoryStore, name: &str) {
    let mut bytes = store.get(name).unwrap().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    store.put(name, &bytes).unwrap();
}

#[test]
fn a_file_that_nobody_has_believed_may_be_cut_off() {
    check_damage(|_| {}, Ok((3, &[4])));
    for bytes in [0, 3, 20, 1_000] {
        check_damage(|store| cut(store, &file("plans", 4, ""), bytes), Ok((3, &[])));
        check_damage(|store| cut(store, &file("commits", 3, ""), bytes), Ok((2, &[3, 4])));
    }
    check_damage(|store| store.put(&file("state", 4, ".delta"), b"").unwrap(), Ok((3, &[4])));
    check_damage(|store| store.put(&file("state", 4, ".snapshot"), b"TDML").unwrap(), Ok((3, &[4])));
    check_damage(|store| store.put(&file("plans", 4, ".tmp"), b"").unwrap(), Ok((3, &[4])));
}

#[test]
fn damage_to_what_is_committed_is_named() {
    let check = |damage: fn(&MemoryStore, &str), name: &str| {
        check_damage(|store| damage(store, name), Err(&format!("`{name}`")));
    };
    for name in [file("state", 0, ".snapshot"), file("state", 1, ".delta"), file("state", 3, ".delta")] {
        check(|store, name| cut(store, name, 0), &name);
        check(|store, name| cut(store, name, 1_000), &name);
        check(flip, &name);
    }
    check(flip, &file("commits", 3, ""));
    check(flip, &file("plans", 4, ""));
    check(flip, "metadata");
    check(|store, name| cut(store, name, 9), "metadata");
    check_damage(
        |store| store.remove(&file("state", 2, ".delta")).unwrap(),
        Err("the state change of batch 2 is missing"),
    );
    check_damage(
        |store| store.remove(&file("state", 0, ".snapshot")).unwrap(),
        Err("no state snapshot at or before it"),
    );
    check_damage(
        |store| {
            cut(store, &file("commits", 3, ""), 0);
            store.remove(&file("plans", 3, "")).unwrap();
        },
        Err("the plan of batch 3 is missing"),
    );
    check_damage(
        |store| store.remove("metadata").unwrap(),
        Err("`metadata` is missing, and there is something in `commits`"),
    );
}

#[test]
fn what_a_crash_left_goes_at_the_next_start() {
    let store = crashed();
    for name in [file("state", 4, ".delta"), file("state", 9, ".snapshot")] {
        store.put(&name, b"left over").unwrap();
    }
    let mut checkpoint = open(&store);
    assert_eq!(store.list("state").unwrap().len(), 4);
    checkpoint.commits.commit(&record(4), &StateChange::Snapshot(b"all".into())).unwrap();
    // As if the machine had died between the commit and the tidying up.
    store.put(&file("state", 1, ".delta"), b"came back").unwrap();
    for batch in 5..250 {
        checkpoint.plans.write(&plan(batch)).unwrap();
        checkpoint.commits.commit(&record(batch), &StateChange::Delta(Vec::new())).unwrap();
    }
    for folder in ["plans", "commits"] {
        store.put(&file(folder, 7, ""), b"came back").unwrap();
    }
    drop(open(&store));
    assert_eq!(store.list("plans").unwrap().len(), 100);
    assert_eq!(store.list("commits").unwrap().len(), 100);
    assert!(!store.list("state").unwrap().contains(&format!("{:020}.delta", 1)));
}

/// Lines that begin with `!` are bound.
#[test]
fn a_bound_line_must_stay_the_others_may_change() {
    let open = |store: &MemoryStore, plan: &str, id: &str| {
        let metadata = Metadata { id: id.into(), plan: plan.into() };
        let bound = |plan: &str| plan.lines().filter(|line| line.starts_with('!')).map(str::to_owned).collect();
        Checkpoint::open(Arc::new(store.clone()), metadata, &bound)
    };
    let store = MemoryStore::default();
    assert!(open(&store, "!window 10s\nwhere a", "first").unwrap().changes.is_empty());
    let changed = open(&store, "!window 10s\nwhere b", "second").unwrap();
    assert_eq!(changed.metadata.id, "first");
    let shown: Vec<String> = changed.changes.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["- where a", "+ where b"]);
    assert!(open(&store, "!window 10s\nwhere b", "third").unwrap().changes.is_empty());
    let Err(error) = open(&store, "!window 20s\nwhere c", "fourth") else { panic!("accepted") };
    assert_eq!(error.exit_code(), 2);
    assert!(error.message().contains("- !window 10s\n  + !window 20s\nundo"), "{error}");
}
