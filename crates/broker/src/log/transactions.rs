//! The transactions in one partition's log: which are open, and which were aborted.
//!
//! ```text
//!   offset   0    1    2    3    4    5    6
//!            a    b    a   A:a   c   C:b   c        a, b, c: records of three producers; A, C: their markers
//!                                4 = stable end: the outcome of everything before it is known
//! ```
//! A reader of committed records gets the records before the stable end, and a list of the aborted transactions among
//! them. It skips the records of those. The state is rebuilt from headers and markers when the broker starts.

use super::batch::{self, BatchHeader, HEADER_BYTES};
use super::records::varint;
use super::unpack::Source;
use std::collections::{BTreeMap, HashMap};
use std::io;
use tidemill_wire::batch::{CONTROL, TRANSACTIONAL};

/// How a transaction ended. The number is the one in the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Abort = 0,
    Commit = 1,
}

/// An aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its marker.
    pub marker_offset: i64,
    /// The stable end after the marker. Transactions that end later begin there or after.
    stable_end: i64,
}

/// The transactions of one partition.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// The producer of each open transaction by its first offset, and the first offset by producer.
    open: BTreeMap<i64, i64>,
    first_offsets: HashMap<i64, i64>,
    /// In the order of their markers.
    aborted: Vec<Aborted>,
}

impl Transactions {
    /// Records a batch of the log. `outcome` is given if the batch is a marker.
    pub fn note(&mut self, header: &BatchHeader, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else {
            if header.is_transactional() && !self.first_offsets.contains_key(&header.producer_id) {
                self.first_offsets.insert(header.producer_id, header.base_offset);
                self.open.insert(header.base_offset, header.producer_id);
            }
            return;
        };
        let Some(first_offset) = self.first_offsets.remove(&header.producer_id) else { return };
        self.open.remove(&first_offset);
        if outcome == Outcome::Abort {
            let marker_offset = header.last_offset();
            let stable_end = self.stable_end(marker_offset + 1);
            let producer_id = header.producer_id;
            self.aborted.push(Aborted { producer_id, first_offset, marker_offset, stable_end });
        }
    }

    /// The stable end of a log that ends at `end`.
    pub fn stable_end(&self, end: i64) -> i64 {
        self.open.first_key_value().map_or(end, |(first_offset, _)| *first_offset)
    }

    /// The aborted transactions that have records or a marker in `[from, to)`.
    pub fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        let mut found = Vec::new();
        let first = self.aborted.partition_point(|aborted| aborted.marker_offset < from);
        for aborted in &self.aborted[first..] {
            if aborted.first_offset < to {
                found.push(*aborted);
            }
            if aborted.stable_end >= to {
                break;
            }
        }
        found
    }

    /// The aborted transactions of each producer, in order.
    pub fn aborted_by_producer(&self) -> HashMap<i64, Vec<Aborted>> {
        let mut aborted: HashMap<i64, Vec<Aborted>> = HashMap::new();
        self.aborted.iter().for_each(|found| aborted.entry(found.producer_id).or_default().push(*found));
        aborted
    }

    /// First offset of a producer's open transaction.
    pub fn first_offset(&self, producer_id: i64) -> Option<i64> {
        self.first_offsets.get(&producer_id).copied()
    }

    /// Producers with an open transaction.
    pub fn open_producers(&self) -> Vec<i64> {
        self.open.values().copied().collect()
    }

    /// Forgets transactions that were aborted before an offset, before which the log has none of their records.
    pub fn forget_before(&mut self, start: i64) {
        let gone = self.aborted.partition_point(|aborted| aborted.marker_offset < start);
        self.aborted.drain(..gone);
    }
}

/// A batch that holds one marker, with its checksum set.
pub(crate) fn marker(producer_id: i64, epoch: i16, outcome: Outcome, now_ms: i64) -> Vec<u8> {
    // The key is a version and the outcome. The value is a version and the coordinator's epoch. Lengths are zigzag.
    let record = [&[0, 0, 0, 8, 0, 0, 0, outcome as u8, 12][..], &[0; 6], &[0]].concat();
    let mut batch = vec![0; batch::MAGIC_AT];
    batch.extend([2, 0, 0, 0, 0]);
    batch.extend((TRANSACTIONAL | CONTROL).to_be_bytes());
    batch.extend(0i32.to_be_bytes());
    batch.extend(now_ms.to_be_bytes());
    batch.extend(now_ms.to_be_bytes());
    batch.extend(producer_id.to_be_bytes());
    batch.extend(epoch.to_be_bytes());
    batch.extend((-1i32).to_be_bytes());
    batch.extend(1i32.to_be_bytes());
    batch.push(2 * record.len() as u8);
    batch.extend(record);
    batch::seal(&mut batch);
    batch
}

/// The outcome in a control batch. `None` if the batch is not a transaction marker.
pub(crate) fn outcome(batch: &[u8]) -> Option<Outcome> {
    let mut record = batch.get(HEADER_BYTES..)?;
    let head = |record: &mut &[u8]| -> io::Result<()> {
        varint(record)?;
        record.skip(1)?;
        // The two deltas, and the length of the key.
        (0..3).try_for_each(|_| varint(record).map(drop))
    };
    head(&mut record).ok()?;
    // The key: a version and the outcome.
    match record.get(..4)? {
        [0, 0, 0, 0] => Some(Outcome::Abort),
        [0, 0, 0, 1] => Some(Outcome::Commit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::sample::Sample;
    use super::*;

    #[test]
    fn a_marker_says_how_its_transaction_ended() {
        for wanted in [Outcome::Abort, Outcome::Commit] {
            let batch = marker(7, 3, wanted, 1000);
            let header = BatchHeader::parse(&batch).unwrap();
            assert!(header.is_control() && header.is_transactional() && header.crc_is_right(&batch));
            assert_eq!((header.producer_id, header.producer_epoch, header.record_count), (7, 3, 1));
            assert_eq!((header.total_bytes, outcome(&batch)), (batch.len(), Some(wanted)));
        }
    }

    /// Builds a log from a script. Each letter is one offset: a small letter is a record of that producer, a capital is
    /// a commit. `!` before a capital makes it an abort and takes no offset.
    fn log(script: &str) -> (Transactions, i64) {
        let (mut transactions, mut offset, mut abort) = (Transactions::default(), 0, false);
        for letter in script.chars() {
            if letter == '!' {
                abort = true;
                continue;
            }
            let producer_id = i64::from(letter.to_ascii_lowercase() as u8 - b'a');
            let attributes = TRANSACTIONAL;
            let batch = Sample { producer: (producer_id, 0, 0), attributes, ..Sample::default() }.build();
            let header = BatchHeader { base_offset: offset, ..BatchHeader::parse(&batch).unwrap() };
            let outcome = if abort { Outcome::Abort } else { Outcome::Commit };
            transactions.note(&header, letter.is_ascii_uppercase().then_some(outcome));
            (offset, abort) = (offset + 1, false);
        }
        (transactions, offset)
    }

    #[test]
    fn the_stable_end_is_before_the_first_open_transaction() {
        let check = |script: &str, expected: i64| {
            let (transactions, end) = log(script);
            assert_eq!(transactions.stable_end(end), expected, "{script}");
        };
        check("", 0);
        check("a", 0);
        check("aA", 2);
        check("ab!A", 1);
        check("aba!AcBc", 4);
        check("abBA", 4);
        check("A", 1);
    }

    #[test]
    fn aborted_transactions_are_listed_where_they_matter() {
        let check = |script: &str, (from, to): (i64, i64), expected: &[(i64, i64)]| {
            let (mut transactions, _) = log(script);
            for start in 0..=from {
                transactions.forget_before(start);
                let found = transactions.aborted(from, to);
                let found: Vec<(i64, i64)> =
                    found.iter().map(|found| (found.producer_id, found.first_offset)).collect();
                assert_eq!(found, expected, "{script}, {from} to {to}, deleted before {start}");
            }
        };
        check("a!A", (0, 2), &[(0, 0)]);
        check("aA", (0, 2), &[]);
        check("a!Aa!A", (0, 2), &[(0, 0)]);
        check("a!Aa!A", (2, 4), &[(0, 2)]);
        check("a!Aa!A", (1, 3), &[(0, 0), (0, 2)]);
        check("ab!Bc!C!A", (0, 1), &[(0, 0)]);
        check("ab!Bc!C!A", (0, 6), &[(1, 1), (2, 3), (0, 0)]);
        check("ab!Bc!C!A", (3, 4), &[(2, 3), (0, 0)]);
    }
}
