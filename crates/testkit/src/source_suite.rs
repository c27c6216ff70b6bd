//! What the engine relies on in a source: its two sides, [`Read`] and [`Watch`], against what was written to it.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;
use tidemill_flow::ports::{CHUNK_BYTES, Chunk, Extents, Read, Watch};
use tidemill_model::{Domain, OffsetRange, PartitionId};

/// A source that the suite writes to and reads from.
pub trait SourceUnderTest {
    /// Number of its partitions.
    fn partitions(&self) -> u32;
    /// The partition of a number.
    fn partition(&self, number: u32) -> PartitionId;
    /// Appends values to a partition. `None` is a tombstone.
    fn append(&mut self, partition: u32, values: &[Option<Vec<u8>>]);
    /// A new reader.
    fn reader(&self) -> Box<dyn Read>;
    /// A new watch, as after a restart.
    fn watch(&self) -> Box<dyn Watch>;
    /// Whether values may be absent or empty.
    fn has_tombstones(&self) -> bool;
    /// Appends offsets without records to partition 0.
    fn leave_gap(&mut self);
    /// Removes the records of partition 0 before an offset; `false` if the source keeps all.
    fn remove_before(&mut self, _offset: i64) -> bool {
        false
    }
}

/// Longest wait for news of the source. Only a source that never wakes takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A record: offset and value.
type Record = (i64, Option<Vec<u8>>);

/// A source, and what it must hold.
struct Source<'a> {
    fixture: &'a mut dyn SourceUnderTest,
    /// Kept open: it must see everything that is appended.
    watch: Box<dyn Watch>,
    seen: Extents,
    expected: BTreeMap<u32, Vec<Record>>,
}

/// Runs the whole suite.
pub fn check(fixture: &mut dyn SourceUnderTest) {
    let watch = fixture.watch();
    let mut source = Source { fixture, watch, seen: Extents::new(), expected: BTreeMap::new() };
    source.exactly_the_range();
    source.one_range_after_the_other();
    source.expected_ranges();
    source.gaps();
    source.bounded_chunks();
    source.wakes();
    source.restart();
    source.retention();
}

/// Values of many lengths, with tombstones and empty ones if the source has them.
fn values(count: usize, with_tombstones: bool) -> Vec<Option<Vec<u8>>> {
    let value = |n: usize| match n % 20 {
        7 if with_tombstones => None,
        8 if with_tombstones => Some(Vec::new()),
        _ => Some(format!("{n}-").repeat(n % 37 + 1).into_bytes()),
    };
    (0..count).map(value).collect()
}

impl Source<'_> {
    /// Looks until the ends of all partitions are what `reached` wants.
    fn look(&mut self, reached: impl Fn(&Extents) -> bool) {
        while !reached(&self.seen) {
            let seen = self.watch.watch(&self.seen, PATIENCE).expect("the source is there");
            assert_ne!(seen, self.seen, "{} does not wake", self.watch.name());
            self.seen = seen;
        }
    }

    fn end(&self, partition: u32) -> i64 {
        self.seen.get(&self.fixture.partition(partition)).map_or(0, |extent| extent.end)
    }

    /// Appends values, and notes the offsets that they must have: one after the other from the end.
    fn append(&mut self, partition: u32, values: &[Option<Vec<u8>>]) {
        let (id, start) = (self.fixture.partition(partition), self.end(partition));
        self.fixture.append(partition, values);
        let end = start + values.len() as i64;
        self.look(|seen| seen.get(&id).is_some_and(|extent| extent.end >= end));
        self.expected.entry(partition).or_default().extend((start..).zip(values.iter().cloned()));
    }

    fn range(&self, partition: u32, start: i64, end: i64) -> OffsetRange {
        OffsetRange { partition: self.fixture.partition(partition), start, end }
    }

    /// Reads an open range to its end and compares it with what was written.
    fn compare(&self, reader: &mut dyn Read, partition: u32, range: &OffsetRange, records_max: usize) {
        let there = self.expected.get(&partition).map_or(&[][..], Vec::as_slice);
        let mut expected = there.iter().filter(|(offset, _)| (range.start..range.end).contains(offset));
        let mut chunk = Chunk::default();
        while reader.next(&mut chunk, records_max).expect("read") {
            assert!((1..=records_max).contains(&chunk.len()), "{} records in a chunk of {records_max}", chunk.len());
            for record in 0..chunk.len() {
                let (offset, value) = expected.next().expect("no record beyond the range");
                assert_eq!((chunk.offsets[record], chunk.value(record)), (*offset, value.as_deref()), "{range:?}");
            }
        }
        assert_eq!(expected.next(), None, "{range:?} lacks a record");
        assert!(!reader.next(&mut chunk, records_max).expect("read") && chunk.is_empty(), "the end stays the end");
    }

    fn read(&self, reader: &mut dyn Read, partition: u32, range: &OffsetRange, records_max: usize) {
        reader.open(range).expect("opened");
        self.compare(reader, partition, range, records_max);
    }

    /// Any range has exactly its records, in order, in chunks of any size.
    fn exactly_the_range(&mut self) {
        let values = values(300, self.fixture.has_tombstones());
        for partition in 0..self.fixture.partitions() {
            self.append(partition, &values[..100 + 50 * partition as usize % 200]);
            self.append(partition, &values[..1]);
        }
        for partition in 0..self.fixture.partitions() {
            let end = self.end(partition);
            for (start, end) in [(0, end), (0, 1), (end - 1, end), (7, 7), (13, 14), (20, 90)] {
                for records_max in [1, 7, 1_000] {
                    let mut reader = self.fixture.reader();
                    self.read(reader.as_mut(), partition, &self.range(partition, start, end), records_max);
                }
            }
        }
    }

    /// One reader takes ranges in any order, and leaves some in the middle.
    fn one_range_after_the_other(&mut self) {
        let mut reader = self.fixture.reader();
        let mut chunk = Chunk::default();
        for step in (0..12_i64).chain((0..12).rev()) {
            let partition = step as u32 % self.fixture.partitions();
            let range = self.range(partition, step * 8, step * 8 + 8);
            self.read(reader.as_mut(), partition, &range, 3);
            reader.open(&self.range(partition, 0, 60)).expect("opened");
            assert!(reader.next(&mut chunk, 2).expect("read"));
        }
    }

    /// Ranges that are announced before they are opened.
    fn expected_ranges(&mut self) {
        let mut reader = self.fixture.reader();
        for (start, end) in [(0, 40), (30, 31), (5, 100)] {
            let ranges: Vec<OffsetRange> =
                (0..self.fixture.partitions()).map(|partition| self.range(partition, start, end)).collect();
            reader.expect(&ranges);
            for (partition, range) in (0..).zip(&ranges) {
                self.read(reader.as_mut(), partition, range, 1_000);
            }
            // What was expected is forgotten.
            reader.expect(&ranges);
            self.read(reader.as_mut(), 0, &ranges[0], 1_000);
        }
    }

    /// Offsets without a record are passed over; a range of nothing else is empty.
    fn gaps(&mut self) {
        let (id, before) = (self.fixture.partition(0), self.end(0));
        self.fixture.leave_gap();
        self.look(|seen| seen[&id].end > before);
        let after = self.end(0);
        self.append(0, &values(5, false));
        let mut reader = self.fixture.reader();
        for (start, end) in [(before, after), (before - 3, after), (before - 3, self.end(0)), (before, self.end(0))] {
            self.read(reader.as_mut(), 0, &self.range(0, start, end), 1_000);
        }
    }

    /// A chunk takes no record beyond its bytes, however many are asked for.
    fn bounded_chunks(&mut self) {
        const LARGE: usize = 900_000;
        let start = self.end(0);
        let large: Vec<_> = (0..20).map(|n| Some(vec![b'a' + n; LARGE])).collect();
        self.append(0, &large);
        let range = self.range(0, start, start + large.len() as i64);
        let mut reader = self.fixture.reader();
        self.read(reader.as_mut(), 0, &range, 1_000);
        reader.open(&range).expect("opened");
        let mut chunk = Chunk::default();
        while reader.next(&mut chunk, 1_000).expect("read") {
            assert!(chunk.byte_size() < CHUNK_BYTES + LARGE, "{} bytes in a chunk", chunk.byte_size());
        }
    }

    /// A watch that waits is woken by an append, long before its time is over.
    fn wakes(&mut self) {
        let id = self.fixture.partition(0);
        let known = self.seen.clone();
        let (watch, fixture) = (&mut self.watch, &mut self.fixture);
        let seen = thread::scope(|scope| {
            let waiting = scope.spawn(|| watch.watch(&known, PATIENCE * 10).expect("the source is there"));
            fixture.append(0, &values(1, false));
            waiting.join().expect("the watch does not panic")
        });
        assert!(seen[&id].end > known[&id].end, "it ended without news");
        self.seen = seen;
        let start = known[&id].end;
        self.expected.entry(0).or_default().push((start, values(1, false).remove(0)));
    }

    /// After a restart the source holds the same, at the same offsets.
    fn restart(&mut self) {
        self.watch = self.fixture.watch();
        let seen = std::mem::take(&mut self.seen);
        self.look(|again| !again.is_empty());
        assert_eq!(self.seen, seen);
        for partition in 0..self.fixture.partitions() {
            let range = self.range(partition, 0, self.end(partition));
            self.read(self.fixture.reader().as_mut(), partition, &range, 1_000);
        }
    }

    /// What was removed is an error that names the offsets, and the rest can be read.
    fn retention(&mut self) {
        if !self.fixture.remove_before(10) {
            return;
        }
        let id = self.fixture.partition(0);
        self.watch = self.fixture.watch();
        self.seen = Extents::new();
        self.look(|seen| seen.get(&id).is_some_and(|extent| extent.start == 10));
        let mut reader = self.fixture.reader();
        let mut chunk = Chunk::default();
        let lost = reader.open(&self.range(0, 5, 20)).and_then(|()| reader.next(&mut chunk, 1_000)).unwrap_err();
        assert!(lost.domain == Domain::External && !lost.retry, "{lost}");
        assert!(lost.message().contains(&*id.topic) && lost.message().contains('5'), "{lost}");
        self.read(reader.as_mut(), 0, &self.range(0, 10, 20), 1_000);
    }
}
