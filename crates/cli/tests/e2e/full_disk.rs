//! A file system without space, under the broker and under a run: errors name the cause, and nothing is lost.
//!
//! Each test mounts a small file system in memory, which takes root; elsewhere it is skipped and says so.
#![cfg(target_os = "linux")]

use crate::support::{Process, Testbed, program, records};
use rdkafka::client::ClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidemill_kafka::admin;

const THEN: i64 = 1_700_000_000;

/// A separate file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts `kib` KiB at a path; `None` where that is not allowed.
    fn mount(path: PathBuf, kib: usize) -> Option<SmallDisk> {
        fs::create_dir_all(&path).expect("the directory takes another");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(path));
        }
        eprintln!("skipped: mounting a small file system takes root");
        None
    }

    /// Writes a file that leaves `kib` KiB.
    fn fill_up_to(&self, kib: usize) {
        let filler = self.0.join("filler");
        let zeros = vec![0; 4 << 10];
        let mut content = Vec::new();
        while fs::write(&filler, &content).is_ok() {
            content.extend_from_slice(&zeros);
        }
        content.truncate(content.len().saturating_sub(zeros.len() + (kib << 10)));
        fs::write(&filler, content).expect("it fitted before");
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test leaves may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The outcomes of deliveries: stored, or the code of the error.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<Vec<Option<RDKafkaErrorCode>>>>);

impl ClientContext for Outcomes {}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let code = result.as_ref().err().and_then(|(error, _)| error.rdkafka_error_code());
        self.0.lock().expect("no panic under this lock").push(code);
    }
}

/// Sends 64 records of 64 KiB to a topic, without retries. Returns the outcomes in order.
fn send_4_mib(testbed: &Testbed, topic: &str) -> Vec<Option<RDKafkaErrorCode>> {
    let outcomes = Outcomes::default();
    let options = [("retries", "0"), ("batch.num.messages", "1")];
    let producer: BaseProducer<Outcomes> =
        testbed.kafka().config(&options, &[]).create_with_context(outcomes.clone()).expect("a producer");
    let payload = vec![b'x'; 64 << 10];
    for _ in 0..64 {
        producer
            .send(BaseRecord::<(), [u8]>::to(topic).partition(0).payload(&payload))
            .map_err(|(error, _)| error)
            .expect("a place in the queue");
    }
    producer.flush(Duration::from_secs(60)).expect("every record has an outcome");
    std::mem::take(&mut *outcomes.0.lock().expect("no panic under this lock"))
}

fn start_broker(testbed: &Testbed) -> Process {
    let broker = testbed.start(&["broker", "--listen", testbed.address(), "--dir", "broker", "--partitions", "1"]);
    broker.says("broker on");
    broker
}

fn end(broker: Process) -> String {
    broker.signal("TERM");
    let ended = broker.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn a_topic_can_be_deleted_and_then_records_are_stored_again() {
    let testbed = Testbed::without_broker();
    let Some(_disk) = SmallDisk::mount(testbed.path("broker"), 3 << 10) else { return };
    let broker = start_broker(&testbed);
    admin::ensure_topic(&testbed.kafka(), "other", Some(1)).expect("a topic");
    admin::ensure_topic(&testbed.kafka(), "full", Some(1)).expect("a topic");
    let outcomes = send_4_mib(&testbed, "full");
    let stored = outcomes.iter().filter(|outcome| outcome.is_none()).count();
    let refused = outcomes.iter().filter(|outcome| **outcome == Some(RDKafkaErrorCode::KafkaStorageError)).count();
    assert!(stored > 10 && refused > 10, "{outcomes:?}");
    assert_eq!(stored + refused, 64, "{outcomes:?}");
    let stderr = end(broker);
    assert!(stderr.contains("writing to the disk failed: No space left on device"), "{stderr}");
    assert!(stderr.contains("free some space"), "{stderr}");
    // The broker starts on a full disk, and has what it acknowledged.
    let broker = start_broker(&testbed);
    let end_of = |topic| {
        admin::extents(&testbed.kafka(), topic).expect("an answer").values().map(|extent| extent.end).sum::<i64>()
    };
    assert_eq!(stored as i64, end_of("full"));
    admin::delete_topic(&testbed.kafka(), "full").expect("deleting takes no space");
    assert_eq!(admin::partition_count(&testbed.kafka(), "full").expect("an answer"), None);
    let outcomes = send_4_mib(&testbed, "other");
    let stored = outcomes.iter().filter(|outcome| outcome.is_none()).count();
    assert!(stored > 10, "{outcomes:?}");
    end(broker);
    let broker = start_broker(&testbed);
    assert_eq!(stored as i64, end_of("other"));
    assert_eq!(admin::partition_count(&testbed.kafka(), "full").expect("an answer"), None);
    end(broker);
}

/// Runs the pipeline with a directory on a full disk. Returns the exit code and stderr; then the disk has space again.
fn run_on_full(testbed: &Testbed, disk: &SmallDisk, kib: usize, args: &[&str]) -> (Option<i32>, String) {
    disk.fill_up_to(kib);
    let small = ["--set", "sources.logs.max_offsets_per_trigger=200", "--available-now"];
    let ended = Process::start(program(&testbed.path("")).args([&["run", "p.toml"], &small[..], args].concat())).end();
    disk.free();
    (ended.code, ended.stderr)
}

#[test]
fn a_run_whose_checkpoint_has_no_space_ends_and_goes_on_later() {
    let testbed = Testbed::holding(records(THEN, 200));
    let Some(disk) = SmallDisk::mount(testbed.path("checkpoint"), 1 << 10) else { return };
    testbed.run_now(&[]);
    // No space from the start, and space for some batches.
    for (round, kib) in [0, 16, 64].into_iter().enumerate() {
        testbed.send(records(THEN + 10 + 200 * round as i64, 4_000));
        let (code, stderr) = run_on_full(&testbed, &disk, kib, &[]);
        println!("{kib} KiB: {stderr}");
        assert_eq!(code, Some(1), "{kib} KiB: {stderr}");
        assert!(stderr.contains("checkpoint") && stderr.contains("No space left on device"), "{kib} KiB: {stderr}");
    }
    testbed.finish_exactly();
}

#[test]
fn a_run_whose_sink_has_no_space_ends_and_goes_on_later() {
    let testbed = Testbed::holding(records(THEN, 4_000));
    let Some(disk) = SmallDisk::mount(testbed.path("rows"), 1 << 10) else { return };
    let (code, stderr) = run_on_full(&testbed, &disk, 64, &[]);
    println!("{stderr}");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("rows") && stderr.contains("No space left on device"), "{stderr}");
    testbed.finish_exactly();
}

#[test]
fn a_run_goes_on_without_space_for_progress_records() {
    let testbed = Testbed::holding(records(THEN, 4_000));
    let Some(disk) = SmallDisk::mount(testbed.path("small"), 1 << 10) else { return };
    for kib in [0, 4] {
        let (code, stderr) = run_on_full(&testbed, &disk, kib, &["--progress", "small/progress.jsonl"]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(kib > 0 || stderr.matches("cannot write to `small/progress.jsonl`").count() == 1, "{stderr}");
    }
    assert_eq!(testbed.rows(), testbed.expected());
    assert!(Path::exists(&testbed.path("small/progress.jsonl")));
}
