//! The crash test. A pipeline runs once undisturbed; then once for each operation of its disk and its sinks, and each
//! way in which the operation can fail. After a restart every batch has the same rows and dead letters, the checkpoint
//! has the same state, and no unneeded file is left.
//!
//! It looks for a record that is relied on before it is durable, or removed while something needs it.
//! `tidemill_checkpoint` prevents that by its order: plan, sinks, state and commit, snapshot, clean-up, each durable
//! before the next. Parts of a snapshot are written here between the batches, by the committer: with a thread of its own
//! the order would vary.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tidemill_checkpoint::{CommitRecord, inspect};
use tidemill_driver::SnapshotWriter;
use tidemill_flow::state::State;
use tidemill_model::error::Domain;
use tidemill_model::{Error, Result};
use tidemill_testkit::{
    CrashImage, Fault, Harness, MemoryDeadLetters, MemorySink, Operation, SavedDeadLetter, SimDisk,
};

const AFTERMATHS: [CrashImage; 3] = [CrashImage::All, CrashImage::Synced, CrashImage::NamesFirst];

/// Long keys, so that the state outgrows its first snapshot and a second one is written.
const KEY_BYTES: usize = 3_000;

fn pipeline(query: &str, mode: &str) -> String {
    format!(
        r#"
[sources.t]
type = "kafka"
bootstrap_servers = "memory:9092"
topic = "topic"
schema = "s BIGINT, k STRING"
[sources.t.event_time]
column = "et"
expression = "CAST(s AS TIMESTAMP)"
watermark = "10 seconds"
[query]
sql = "{query}"
output_mode = "{mode}"
[sinks.screen]
type = "console"
"#
    )
}

const WINDOWS: &str = "SELECT CAST(window.start AS BIGINT) AS s, left(k, 2) AS k, count(*) AS n, sum(s) AS total, max(s) AS last FROM t GROUP BY window(et, '10 seconds', '5 seconds'), k";

/// The same groups from two sources that share the topic. A table has one watermark, so it moves as above.
const TWO_SOURCES: &str = "SELECT CAST(window.start AS BIGINT) AS s, left(k, 2) AS k, count(*) AS n, sum(s) AS total, max(s) AS last FROM (SELECT * FROM t WHERE s % 2 = 0 UNION ALL SELECT * FROM t WHERE s % 2 <> 0) GROUP BY window(et, '10 seconds', '5 seconds'), k";

/// The groups of [`WINDOWS`], summed over windows of their own that stay open longer.
const WINDOWS_OVER_WINDOWS: &str = "SELECT CAST(window(window_time(window), '20 seconds').start AS BIGINT) AS s, left(k, 2) AS k, sum(n) AS n, max(total) AS most FROM (SELECT window, k, count(*) AS n, sum(s) AS total FROM t GROUP BY window(et, '10 seconds', '5 seconds'), k) GROUP BY window(window_time(window), '20 seconds'), k";

/// Sessions that grow, and merge when a row comes between them.
const SESSIONS: &str = "SELECT CAST(session_window.start AS BIGINT) AS s, left(k, 2) AS k, count(*) AS n, sum(s) AS total, last(s) AS last FROM t GROUP BY session_window(et, '3 seconds'), k";

/// Seven batches: groups appear, are updated, close; some rows are late, some records broken, one batch is empty.
fn batches() -> Vec<Vec<String>> {
    let record = |(s, k): &(i64, u32)| format!("{{\"s\":{s},\"k\":\"k{k}{}\"}}", "x".repeat(KEY_BYTES));
    let batches: [&[(i64, u32)]; 7] = [
        &[(10, 1), (11, 2), (12, 3), (13, 1), (14, 4)],
        &[(16, 1), (17, 2), (18, 5), (19, 6), (10, 7), (15, 8)],
        &[(30, 1), (31, 3), (32, 2), (12, 2), (33, 5), (34, 10), (35, 11), (34, 12), (33, 13), (32, 14)],
        &[],
        &[(12, 1), (31, 9), (40, 1), (41, 2), (42, 3), (43, 4)],
        &[(5, 1), (60, 1), (61, 2), (55, 3), (56, 4), (57, 5)],
        &[(58, 1), (62, 2)],
    ];
    let broken = |batch: usize| [r#"{"s":"#, r#"{"s":"x","k":"k1"}"#].into_iter().take(batch % 3).map(str::to_owned);
    let batch = |(number, batch): (usize, &&[_])| batch.iter().map(record).chain(broken(number % 6)).collect();
    batches.iter().enumerate().map(batch).collect()
}

/// A pipeline whose checkpoint is on a disk that can fail.
struct CrashRun {
    harness: Harness,
    dead_letters: MemoryDeadLetters,
    disk: SimDisk,
}

/// For each sink the rows of each batch; last the dead letters.
type Rows = Vec<BTreeMap<u64, Vec<String>>>;

/// The final content of a checkpoint.
type FinalState = (CommitRecord, Vec<u8>);

impl CrashRun {
    fn new(query: &str, mode: &str) -> CrashRun {
        let disk = SimDisk::default();
        let mut harness = Harness::new(&pipeline(query, mode));
        harness.disk = Arc::new(disk.clone());
        harness.snapshot_bytes_min = 4 << 10;
        // A key of each shard at a time, so that batches come between the parts of a snapshot.
        harness.snapshot_part_bytes_min = 1;
        harness.further_sinks.push(MemorySink::default());
        batches().iter().for_each(|batch| harness.topic.put(batch));
        let machine = disk.clone();
        harness.before_write = Some(Arc::new(move |sink, batch| {
            let operation = format!("sink {sink} {batch}");
            machine.step(&operation).map_err(|error| Error::external(format!("{operation}: {error}")))
        }));
        let dead_letters = MemoryDeadLetters::default();
        let machine = disk.clone();
        dead_letters.before_commit(Box::new(move |batch| {
            let operation = format!("dead letters {batch}");
            machine.step(&operation).map_err(|error| Error::external(format!("{operation}: {error}")))
        }));
        harness.dead_letters = Some(dead_letters.clone());
        CrashRun { harness, dead_letters, disk }
    }

    /// Runs a driver until all is done or the fault happens.
    fn live(&mut self) -> Result<()> {
        self.harness.run().map(drop)
    }

    /// The last commit record, and the encoded state.
    fn left(&self) -> FinalState {
        let recovered = inspect(&self.disk).unwrap().recovered;
        assert_eq!(recovered.replay, [], "every plan is committed");
        let pipeline = tidemill_config::parse("test.toml", &self.harness.pipeline, &[]).unwrap();
        let query = tidemill_sql::plan(&pipeline).unwrap();
        let mut state = State::restore(&query, 1, recovered.snapshot, recovered.deltas).unwrap();
        // The learnt capacity is a measurement and varies.
        (CommitRecord { capacity: None, ..recovered.committed.unwrap() }, state.snapshot().concat())
    }

    fn rows(&self) -> Rows {
        let sinks = [&self.harness.sink].into_iter().chain(&self.harness.further_sinks).map(MemorySink::batches);
        let text = |(batch, dead_letters): (u64, Vec<SavedDeadLetter>)| {
            (batch, dead_letters.iter().map(|l| format!("{l:?}")).collect())
        };
        sinks.chain([self.dead_letters.batches().into_iter().map(text).collect()]).collect()
    }
}

/// The faults of an operation, each with what the disk holds afterwards.
fn faults((operation, _): &Operation) -> Vec<(Fault, CrashImage)> {
    let writes = ["create", "write", "sync", "rename", "make"].iter().any(|verb| operation.starts_with(verb));
    let mut faults: Vec<(Fault, CrashImage)> = AFTERMATHS.map(|after| (Fault::Death, after)).into();
    faults.push((Fault::Refusal(ErrorKind::Other), CrashImage::All));
    if writes {
        faults.push((Fault::Refusal(ErrorKind::StorageFull), CrashImage::All));
    }
    if operation.starts_with("write") || operation.starts_with("sync") {
        faults.extend(AFTERMATHS.map(|after| (Fault::DeathHalfway, after)));
    }
    faults
}

/// The error names the file and says what to do.
fn check_refusal(error: &Error, operation: &Operation) {
    assert_eq!(error.domain, Domain::External, "{operation:?}: {error}");
    if !operation.0.starts_with("sink") && !operation.0.starts_with("dead letters") {
        let way_out = error.message().contains("`disk/") && error.message().contains("then start again");
        assert!(way_out, "{operation:?}: {error}");
    }
}

/// Every sink has the same batches, and each batch the same rows.
fn check_rows(rows: &Rows, expected: &Rows, what: &str) {
    for (rows, expected) in rows.iter().zip(expected) {
        for (batch, expected) in expected {
            assert_eq!(rows.get(batch), Some(expected), "batch {batch} after {what}");
        }
        assert_eq!(rows.len(), expected.len(), "batches after {what}");
    }
}

/// After `starts` starts the checkpoint has the expected content and no unneeded file.
fn check_left(run: &CrashRun, expected: &FinalState, starts: usize, what: &str) {
    assert!(run.left() == *expected, "the checkpoint's state after {what}");
    let files = run.disk.files();
    let count = |start: &str| files.iter().filter(|file| file.starts_with(start)).count();
    assert!(count("snapshots/") <= 1 && !files.iter().any(|file| file.ends_with(".tmp")), "{files:?} after {what}");
    // Each start begins a segment, and so does a snapshot that was completed.
    assert!(count("log/") <= 2 * starts, "{files:?} after {what}");
}

/// The result of an undisturbed run: rows, checkpoint, operations.
fn undisturbed(query: &str, mode: &str) -> (Rows, FinalState, Vec<Operation>) {
    let mut run = CrashRun::new(query, mode);
    run.live().unwrap();
    let operations = run.disk.operations();
    (run.rows(), run.left(), operations)
}

fn crash_everywhere(query: &str, mode: &str) {
    let (expected, left, operations) = undisturbed(query, mode);
    let crashes: usize = operations.iter().map(|operation| faults(operation).len()).sum();
    println!("{crashes} crashes");
    for operation in &operations {
        for (fault, image) in faults(operation) {
            let what = format!("{operation:?} {fault:?} {image:?}");
            let mut run = CrashRun::new(query, mode);
            run.disk.fail_at(operation.clone(), fault);
            match run.live() {
                Err(error) => {
                    assert!(run.disk.has_failed(), "{operation:?} was not reached: {error}");
                    if matches!(fault, Fault::Refusal(_)) {
                        check_refusal(&error, operation);
                    }
                    run.disk.restart(image);
                    run.live().unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                // One flush may cover two records, so the number of flushes varies.
                Ok(()) => assert!(!run.disk.has_failed() && operation.0 == "sync log", "{what} was not noticed"),
            }
            check_rows(&run.rows(), &expected, &what);
            check_left(&run, &left, 2, &what);
        }
    }
}

#[test]
fn r_update_mode_survives_every_crash() {
    crash_everywhere(WINDOWS, "update");
}

#[test]
fn r_two_sources_survive_every_crash() {
    assert_eq!(undisturbed(TWO_SOURCES, "update").0[0], undisturbed(WINDOWS, "update").0[0]);
    crash_everywhere(TWO_SOURCES, "update");
}

#[test]
fn r_append_mode_survives_every_crash() {
    crash_everywhere(WINDOWS, "append");
}

#[test]
fn r_complete_mode_survives_every_crash() {
    crash_everywhere("SELECT left(k, 2) AS k, count(*) AS n, max(s) AS last FROM t GROUP BY k", "complete");
}

#[test]
fn r_groups_by_the_event_time_itself_survive_every_crash() {
    crash_everywhere("SELECT et, left(k, 2) AS k, count(*) AS n FROM t GROUP BY et, k", "append");
}

#[test]
fn r_a_stateless_query_survives_every_crash() {
    crash_everywhere("SELECT s, left(k, 2) AS k FROM t WHERE s > 12", "append");
}

#[test]
fn r_sessions_survive_every_crash() {
    crash_everywhere(SESSIONS, "append");
}

#[test]
fn r_windows_over_windows_survive_every_crash() {
    crash_everywhere(WINDOWS_OVER_WINDOWS, "append");
}

/// The count of the rows that have gone out is part of the state.
#[test]
fn r_a_limit_over_all_batches_survives_every_crash() {
    crash_everywhere("SELECT s, left(k, 2) AS k FROM t LIMIT 13", "append");
}

#[test]
fn r_a_limit_over_groups_survives_every_crash() {
    crash_everywhere(&format!("{WINDOWS} LIMIT 5"), "append");
}

/// With seeds: each run has a query id of its own.
#[test]
fn r_random_values_survive_every_crash() {
    let query = "SELECT s, rand(7) AS r, uuid(7) AS u, monotonically_increasing_id() AS id FROM t WHERE rand(8) < 0.7";
    crash_everywhere(query, "append");
}

/// Without seeds a replay has the same values, whatever executes it.
#[test]
fn r_random_values_without_a_seed_are_the_same_in_a_replay() {
    let query = "SELECT s, rand() AS r, randn() AS n, uuid() AS u, randstr(9) AS t, uniform(0, 1000000) AS f FROM t";
    let mut harness = Harness::new(&pipeline(query, "append"));
    harness.further_sinks.push(MemorySink::default());
    batches().iter().for_each(|batch| harness.topic.put(batch));
    harness.before_write = Some(Arc::new(|sink, batch| match (sink, batch) {
        (1, 2) => Err(Error::external("the second sink is away")),
        _ => Ok(()),
    }));
    harness.run().unwrap_err();
    let first = harness.sink.batches();
    assert_eq!(first.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    harness.before_write = None;
    harness.executors = 3;
    harness.run().unwrap();
    let then = harness.sink.batches();
    assert_eq!(then.len(), 7);
    first.iter().for_each(|(batch, rows)| assert_eq!(then.get(batch), Some(rows), "batch {batch}"));
    let rows: Vec<&String> = then.values().flatten().collect();
    let value = |row: &String| row.split("\"r\":").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let distinct: std::collections::BTreeSet<String> = rows.iter().map(|row| value(row)).collect();
    assert_eq!(distinct.len(), rows.len(), "{rows:?}");
}

/// The second crash is in the recovery from the first: a sample of pairs.
#[test]
fn r_a_crash_while_recovering() {
    let (expected, left, operations) = undisturbed(WINDOWS, "update");
    for (at, first) in operations.iter().enumerate().step_by(11) {
        for (number, second) in operations.iter().enumerate().skip(at % 5).step_by(5) {
            let mut run = CrashRun::new(WINDOWS, "update");
            run.disk.fail_at(first.clone(), Fault::Death);
            assert_eq!(run.live().is_err(), run.disk.has_failed());
            run.disk.restart(AFTERMATHS[(at + number) % 3]);
            run.disk.fail_at(second.clone(), Fault::Death);
            // What was done before the first crash is not done again.
            let died = run.live().is_err();
            assert_eq!(died, run.disk.has_failed());
            run.disk.restart(AFTERMATHS[number % 3]);
            run.live().unwrap_or_else(|error| panic!("{first:?}, {second:?}: {error}"));
            check_rows(&run.rows(), &expected, &format!("{first:?}, {second:?}"));
            check_left(&run, &left, 3, &format!("{first:?}, {second:?}"));
        }
    }
}

/// Number of snapshots with parts from several batches.
fn snapshots_over_batches(operations: &[Operation]) -> usize {
    let mut began = None;
    let mut count = 0;
    for (operation, _) in operations {
        match operation.split_once(' ') {
            Some(("create", name)) if name.starts_with("snapshots/") => began = Some(false),
            Some(("write", what)) if what.starts_with("log delta") => began = began.map(|_| true),
            Some(("rename", name)) if name.starts_with("snapshots/") => {
                count += usize::from(began.take() == Some(true))
            }
            _ => {}
        }
    }
    count
}

/// The undisturbed run has snapshots and deltas, no-data batches, late and evicted groups.
#[test]
fn the_undisturbed_run_has_it_all() {
    let (rows, _, operations) = undisturbed(WINDOWS, "update");
    let count = |what: &str| operations.iter().filter(|(operation, _)| operation.starts_with(what)).count();
    assert!(count("rename snapshots/") >= 2, "{operations:?}");
    assert_eq!(snapshots_over_batches(&operations), 1, "{operations:?}");
    assert!(count("write log delta") >= 3, "{operations:?}");
    assert!(count("remove snapshots/") >= 1 && count("remove log/") >= 2, "{operations:?}");
    assert_eq!(rows[0].len(), 8, "seven batches, and one without data");
    assert_eq!(rows[0], rows[1]);
    let reasons = ["Malformed", "WrongType", "NullEventTime", "Late"];
    let dead_letters: Vec<&String> = rows[2].values().flatten().collect();
    assert!(reasons.iter().all(|reason| dead_letters.iter().any(|letter| letter.contains(reason))), "{dead_letters:?}");
}

/// A snapshot that cannot be written ends the run with the reason, also if a thread of its own writes it. What was
/// committed stays.
#[test]
fn r_a_snapshot_that_fails_beside_the_batches_ends_the_run() {
    let (expected, left, operations) = undisturbed(WINDOWS, "update");
    let of_snapshot = |(operation, _): &&Operation| operation.contains("snapshots/0") || operation == "sync snapshots/";
    for operation in operations.iter().filter(of_snapshot) {
        let mut run = CrashRun::new(WINDOWS, "update");
        run.harness.snapshot_writer = SnapshotWriter::Thread;
        run.disk.fail_at(operation.clone(), Fault::Refusal(ErrorKind::StorageFull));
        match run.live() {
            Err(error) => check_refusal(&error, operation),
            // How many parts there are varies.
            Ok(()) => assert!(!run.disk.has_failed(), "{operation:?} was not noticed"),
        }
        run.disk.restart(CrashImage::All);
        run.live().unwrap_or_else(|error| panic!("{operation:?}: {error}"));
        check_rows(&run.rows(), &expected, &format!("{operation:?}"));
        assert!(run.left() == left, "the checkpoint's state after {operation:?}");
    }
}

/// The simulated disk loses unsynced bytes and unsynced names.
#[test]
fn the_disk_forgets_what_was_not_synced() {
    use tidemill_checkpoint::disk::Disk;
    let check = |sync_file: bool, sync_folder: bool, image, expected: Option<&str>| {
        let disk = SimDisk::default();
        let write = || -> io::Result<()> {
            let file = disk.create("new")?;
            file.append(b"12345678")?;
            if sync_file {
                file.sync()?;
            }
            disk.rename("new", "name")?;
            if sync_folder {
                disk.sync_folder("")?;
            }
            Ok(())
        };
        write().unwrap();
        disk.restart(image);
        assert_eq!(disk.read("name").unwrap().as_deref(), expected.map(str::as_bytes));
    };
    check(false, false, CrashImage::All, Some("12345678"));
    check(true, true, CrashImage::Synced, Some("12345678"));
    check(true, false, CrashImage::Synced, None);
    check(false, true, CrashImage::Synced, Some(""));
    check(false, true, CrashImage::NamesFirst, Some("1234"));
    check(true, false, CrashImage::NamesFirst, Some("12345678"));
}
