//! What version 1 of the format looks like on a disk, and that it is read; `crates/testkit/tests/goldens.rs` goes on from
//! the same files with a driver.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use tidemill_checkpoint::memory::MemoryStore;
use tidemill_checkpoint::store::Store;
use tidemill_checkpoint::{Checkpoint, CommitRecord, Metadata};
use tidemill_model::{Millis, OffsetRange, Offsets, PartitionId, Result};

/// The golden's files; one of them may be of another version.
fn golden(newer: Option<&str>) -> MemoryStore {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/v1");
    let store = MemoryStore::default();
    for folder in ["", "plans/", "commits/", "state/"] {
        for entry in fs::read_dir(dir.join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                let name = format!("{folder}{}", entry.file_name().into_string().unwrap());
                let mut bytes = fs::read(entry.path()).unwrap();
                bytes[5] += u8::from(newer == Some(&name));
                store.put(&name, &bytes).unwrap();
            }
        }
    }
    store
}

fn open(store: &MemoryStore) -> Result<Checkpoint> {
    let metadata = Metadata { id: "another".into(), plan: "whatever".into() };
    Checkpoint::open(Arc::new(store.clone()), metadata, &|_| Vec::new())
}

fn offsets(end: i64) -> Offsets {
    Offsets([(PartitionId { source: 0, topic: "topic".into(), partition: 0 }, end)].into())
}

#[test]
fn version_1_is_read() {
    let checkpoint = open(&golden(None)).unwrap();
    assert_eq!(checkpoint.metadata.id, "40dc2a7f-982f-4c36-b562-b4dd3e3c9635");
    assert_eq!(checkpoint.changes[5].to_string(), "- window       et, 10 s wide, every 5 s, from 0 µs");
    let recovered = checkpoint.recovered;
    assert_eq!(recovered.start, Some(offsets(0)));
    let committed = CommitRecord {
        batch_id: 2,
        watermark: Millis(8_000),
        next_watermark: Millis(20_000),
        end_offsets: offsets(7),
        records: 7,
        capacity: recovered.committed.as_ref().unwrap().capacity.clone(),
    };
    assert_eq!(recovered.committed, Some(committed));
    assert_eq!(
        recovered.state.iter().map(|(batch, bytes)| (*batch, bytes.len())).collect::<Vec<_>>(),
        [(0, 211), (1, 151), (2, 151),]
    );
    let range =
        OffsetRange { partition: PartitionId { source: 0, topic: "topic".into(), partition: 0 }, start: 7, end: 10 };
    assert_eq!(recovered.replay.iter().map(|plan| plan.batch_id).collect::<Vec<_>>(), [3, 4]);
    let plan = &recovered.replay[0];
    assert_eq!((&plan.ranges, &plan.tasks), (&vec![range.clone()], &vec![range]));
    assert_eq!((plan.watermark, plan.late_watermark), (Millis(20_000), Millis(8_000)));
    assert_eq!((&plan.start_offsets, &plan.end_offsets), (&offsets(7), &offsets(10)));
}

#[test]
fn a_newer_version_is_refused() {
    for name in ["metadata", "commits/00000000000000000002", "state/00000000000000000001.delta"] {
        let Err(error) = open(&golden(Some(name))) else { panic!("{name} was accepted") };
        assert_eq!(error.exit_code(), 2);
        assert!(
            error
                .message()
                .contains(&format!("`{name}` has format version 2, this program knows up to 1; use the newer")),
            "{error}"
        );
    }
}
