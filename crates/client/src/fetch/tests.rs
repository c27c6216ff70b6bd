//! What moves the position of a partition, answer by answer.

use super::*;
use crate::settings::Settings;

/// A part of an answer about the only partition.
enum Part {
    /// No records, and the end of the log.
    Empty(i64),
    /// Batches, each from its first to its last offset, and the end of the log.
    Batches(&'static [(i64, i64)], i64),
}
use Part::{Batches, Empty};

/// The header of a batch without records, as compaction leaves it.
fn batch((first, last): (i64, i64)) -> Vec<u8> {
    let mut bytes = vec![0; 61];
    bytes[..8].copy_from_slice(&first.to_be_bytes());
    bytes[8..12].copy_from_slice(&49i32.to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&((last - first) as i32).to_be_bytes());
    bytes
}

/// Asks from offset 0 on and takes the parts. Compares the position after each.
fn check(parts: &[(Part, i64)]) {
    let mut fetcher = Fetcher::new(Settings::new("localhost:1")).expect("a fetcher");
    let slot = fetcher.add("t", 0, 0, i64::MAX);
    for (number, (part, expected)) in parts.iter().enumerate() {
        let (batches, end) = match part {
            Empty(end) => (&[][..], *end),
            Batches(batches, end) => (*batches, *end),
        };
        let bytes: Vec<u8> = batches.iter().copied().flat_map(batch).collect();
        let records = 0..bytes.len();
        fetcher.frame = Arc::new(bytes);
        let part =
            PartitionAnswer { partition: 0, code: 0, high_watermark: end, last_stable: end, log_start: 0, records };
        let asked = Some(fetcher.position(slot));
        assert!(fetcher.take_part(slot, part, Aborted::new(&[]), asked, 0).expect("taken"));
        assert_eq!(fetcher.position(slot), *expected, "after answer {number}");
        assert_eq!(fetcher.extent(slot), Some((0, end)));
    }
}

#[test]
fn only_batches_move_the_position() {
    check(&[(Batches(&[(0, 4), (5, 9)], 20), 10), (Batches(&[(10, 19)], 20), 20), (Empty(20), 20)]);
    // Offsets between batches are compacted away, and so are all records of the last batch.
    check(&[(Batches(&[(3, 4), (9, 9)], 20), 10), (Batches(&[(15, 19)], 20), 20)]);
    // The broker has no records to give for now: a quota, remote storage, an end that it does not know yet.
    check(&[(Empty(5), 0), (Empty(5), 0), (Empty(5), 0), (Batches(&[(0, 4)], 5), 5)]);
    // A batch from before the position, as a fetch from its middle gets it.
    check(&[(Batches(&[(0, 4)], 9), 5), (Batches(&[(2, 8)], 9), 9)]);
}

#[test]
fn an_answer_to_an_earlier_request_does_not_count() {
    let mut fetcher = Fetcher::new(Settings::new("localhost:1")).expect("a fetcher");
    let slot = fetcher.add("t", 0, 7, i64::MAX);
    let part =
        PartitionAnswer { partition: 0, code: 1, high_watermark: -1, last_stable: -1, log_start: -1, records: 0..0 };
    for asked in [None, Some(3)] {
        assert!(fetcher.take_part(slot, part.clone(), Aborted::new(&[]), asked, 0).expect("taken"));
        assert!(!fetcher.is_out_of_range(slot));
    }
    assert!(fetcher.take_part(slot, part, Aborted::new(&[]), Some(7), 0).expect("taken"));
    assert!(fetcher.is_out_of_range(slot));
}
