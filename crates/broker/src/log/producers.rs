//! Idempotence: the latest batches that a partition has from each producer.
//!
//! As in Apache Kafka, a partition remembers the last five batches of each producer. It acknowledges a repeat of one of
//! them with the old offset and does not write it again. It refuses a gap in the sequence. An unknown producer may
//! begin with any sequence number. The table is rebuilt from the batch headers when the broker starts. It forgets
//! producers that were silent for a day (`producer.id.expiration.ms`).

use super::batch::BatchHeader;
use kafka_protocol::ResponseError as Code;
use std::collections::{HashMap, VecDeque};

const REMEMBERED_BATCHES: usize = 5;

/// The producers of one partition.
#[derive(Debug, Default)]
pub(crate) struct Producers(HashMap<i64, Producer>);

#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// When it last wrote, in ms since 1970.
    time_ms: i64,
    recent: VecDeque<Recent>,
}

#[derive(Debug)]
struct Recent {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

/// The last batch that a partition has of a producer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastBatch {
    pub epoch: i16,
    /// `None` if the partition knows only markers of this epoch.
    pub base_offset: Option<i64>,
}

/// What to do with a produced batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Write it.
    New,
    /// An earlier attempt already wrote it, at this base offset.
    Duplicate { base_offset: i64 },
}

impl Producers {
    /// Checks a batch before it is written.
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, Code> {
        if header.producer_id < 0 {
            return Ok(Verdict::New);
        }
        let Some(producer) = self.0.get(&header.producer_id) else { return Ok(Verdict::New) };
        if header.producer_epoch < producer.epoch {
            return Err(Code::InvalidProducerEpoch);
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 { Ok(Verdict::New) } else { Err(Code::OutOfOrderSequenceNumber) };
        }
        let (first, last) = (header.base_sequence, last_sequence(header));
        let same = |recent: &&Recent| recent.first_sequence == first && recent.last_sequence == last;
        if let Some(recent) = producer.recent.iter().find(same) {
            return Ok(Verdict::Duplicate { base_offset: recent.base_offset });
        }
        // A producer that is known only by a marker may begin with any number, like an unknown one.
        let is_next = producer.recent.back().is_none_or(|newest| first == following(newest.last_sequence, 1));
        if is_next { Ok(Verdict::New) } else { Err(Code::OutOfOrderSequenceNumber) }
    }

    /// Remembers a batch that was written. A marker has no sequence number. A marker with a later epoch fences the
    /// earlier epochs.
    pub fn note(&mut self, header: &BatchHeader, time_ms: i64) {
        if header.producer_id < 0 {
            return;
        }
        let fresh =
            || Producer { epoch: header.producer_epoch, time_ms, recent: VecDeque::with_capacity(REMEMBERED_BATCHES) };
        let producer = self.0.entry(header.producer_id).or_insert_with(fresh);
        if producer.epoch != header.producer_epoch {
            *producer = fresh();
        }
        producer.time_ms = time_ms;
        if header.is_control() {
            return;
        }
        if producer.recent.len() == REMEMBERED_BATCHES {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Recent {
            first_sequence: header.base_sequence,
            last_sequence: last_sequence(header),
            base_offset: header.base_offset,
        });
    }

    /// For every producer: id, epoch, last sequence number, and time of the last batch. In no particular order.
    pub fn all(&self) -> impl Iterator<Item = (i64, i16, i32, i64)> {
        let last = |producer: &Producer| producer.recent.back().map_or(-1, |recent| recent.last_sequence);
        self.0.iter().map(move |(id, producer)| (*id, producer.epoch, last(producer), producer.time_ms))
    }

    /// The last batch of each producer.
    pub fn last_batches(&self) -> HashMap<i64, LastBatch> {
        let last = |producer: &Producer| LastBatch {
            epoch: producer.epoch,
            base_offset: producer.recent.back().map(|recent| recent.base_offset),
        };
        self.0.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    /// The epoch of a known producer.
    pub fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.0.get(&producer_id).map(|producer| producer.epoch)
    }

    /// Forgets producers that have written nothing since `before_ms`.
    pub fn forget(&mut self, before_ms: i64) {
        self.0.retain(|_, producer| producer.time_ms >= before_ms);
    }
}

fn last_sequence(header: &BatchHeader) -> i32 {
    following(header.base_sequence, header.last_offset_delta)
}

/// The sequence number `count` after `sequence`; 0 follows `i32::MAX`.
fn following(sequence: i32, count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) % (1 << 31)) as i32
}

#[cfg(test)]
mod tests {
    use super::super::batch::sample::Sample;
    use super::*;

    fn header(producer: (i64, i16, i32), records: usize, base_offset: i64) -> BatchHeader {
        let batch = Sample { timestamps: &vec![1; records], producer, ..Sample::default() }.build();
        BatchHeader { base_offset, ..BatchHeader::parse(&batch).unwrap() }
    }

    /// Writes the batches `before`, then checks `next`. A batch is (id, epoch, first sequence, records).
    fn check(before: &[(i64, i16, i32, usize)], next: (i64, i16, i32, usize), expected: Result<Verdict, Code>) {
        let mut producers = Producers::default();
        let mut offset = 0;
        for (id, epoch, sequence, records) in before {
            let header = header((*id, *epoch, *sequence), *records, offset);
            assert_eq!(producers.check(&header), Ok(Verdict::New));
            producers.note(&header, 0);
            offset += *records as i64;
        }
        let header = header((next.0, next.1, next.2), next.3, offset);
        assert_eq!(producers.check(&header), expected, "{next:?} after {before:?}");
    }

    #[test]
    fn repeats_are_found_and_gaps_refused() {
        let gap = Err(Code::OutOfOrderSequenceNumber);
        let duplicate = |base_offset| Ok(Verdict::Duplicate { base_offset });
        check(&[], (-1, -1, -1, 3), Ok(Verdict::New));
        check(&[], (7, 0, 42, 3), Ok(Verdict::New));
        check(&[(7, 0, 0, 3)], (7, 0, 3, 1), Ok(Verdict::New));
        check(&[(7, 0, 0, 3)], (7, 0, 4, 1), gap);
        check(&[(7, 0, 0, 3)], (7, 0, 0, 3), duplicate(0));
        check(&[(7, 0, 0, 3)], (7, 0, 0, 2), gap);
        check(&[(7, 0, 0, 3), (7, 0, 3, 2), (8, 0, 0, 1)], (7, 0, 3, 2), duplicate(3));
        check(&[(7, 0, 0, 1), (7, 0, 1, 1), (7, 0, 2, 1), (7, 0, 3, 1), (7, 0, 4, 1)], (7, 0, 0, 1), duplicate(0));
        check(&[(7, 0, 0, 1), (7, 0, 1, 1), (7, 0, 2, 1), (7, 0, 3, 1), (7, 0, 4, 1), (7, 0, 5, 1)], (7, 0, 0, 1), gap);
        check(&[(7, 1, 0, 3)], (7, 0, 3, 1), Err(Code::InvalidProducerEpoch));
        check(&[(7, 1, 0, 3)], (7, 2, 3, 1), gap);
        check(&[(7, 1, 0, 3)], (7, 2, 0, 1), Ok(Verdict::New));
        check(&[(7, 0, i32::MAX - 1, 2)], (7, 0, 0, 1), Ok(Verdict::New));
        check(&[(7, 0, i32::MAX - 1, 4)], (7, 0, 2, 1), Ok(Verdict::New));
    }

    #[test]
    fn a_producer_that_is_silent_for_long_is_forgotten() {
        let mut producers = Producers::default();
        producers.note(&header((7, 0, 0), 3, 0), 1000);
        producers.forget(1000);
        assert_eq!(producers.check(&header((7, 0, 9), 1, 3)), Err(Code::OutOfOrderSequenceNumber));
        producers.forget(1001);
        assert_eq!(producers.check(&header((7, 0, 9), 1, 3)), Ok(Verdict::New));
    }
}
