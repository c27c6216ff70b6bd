//! Which batches of a partition belong to aborted transactions.
//!
//! An answer lists the aborted transactions among its records: the producer and the first offset of each. A transaction
//! ends at its abort marker.

use crate::batch::{self, BatchHeader};
use std::collections::{HashSet, VecDeque};

/// The aborted transactions of one partition in one answer.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    /// Producer and first offset of the transactions that lie ahead, ascending by offset.
    ahead: VecDeque<(i64, i64)>,
    open: HashSet<i64>,
}

impl Aborted {
    pub(super) fn new(transactions: &[(i64, i64)]) -> Aborted {
        let mut ahead: Vec<(i64, i64)> = transactions.to_vec();
        ahead.sort_by_key(|(_, first)| *first);
        Aborted { ahead: ahead.into(), open: HashSet::new() }
    }

    /// Whether to skip the records of the next batch. `records` are the bytes after the header.
    pub(super) fn leaves_out(&mut self, header: &BatchHeader, records: &[u8]) -> bool {
        while let Some((producer, _)) = self.ahead.front().filter(|(_, first)| *first <= header.last_offset()) {
            self.open.insert(*producer);
            self.ahead.pop_front();
        }
        if header.is_control() {
            if batch::is_abort(header, records) {
                self.open.remove(&header.producer_id);
            }
            return true;
        }
        header.is_transactional() && self.open.contains(&header.producer_id)
    }
}
