//! A topic in memory: partitions of records, and the ends of batches.
//!
//! Every [`Topic::put`] is one batch: the topic's admission ends a batch there, like a source that takes one file per
//! batch. What is put into several topics together ([`Topic::put_together`]) is one batch for a driver that reads them
//! all.

use crate::dead_letters::die;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use tidemill_flow::ports::{Admission, Chunk, Extent, Extents, Read, RecordMetadata, Timeline, Watch};
use tidemill_model::{Error, OffsetRange, Offsets, PartitionId, Result};
use tidemill_os::clock;

/// The topic's name in offsets.
pub const TOPIC: &str = "topic";

/// One record to put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Partition number.
    pub partition: i32,
    /// Kafka timestamp, ms.
    pub timestamp_ms: i64,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// Names and values of the headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// How a put that exceeds a batch is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// By the records' timestamps.
    Timestamps,
    /// In proportion to each partition's backlog, as Spark does.
    Share,
    /// Up to this many offsets from each partition.
    Equal(i64),
}

/// A topic. Clones share the records.
#[derive(Clone)]
pub struct Topic {
    shared: Arc<Shared>,
    cut: Cut,
    source: u32,
    /// A put is no batch.
    flows: bool,
}

struct Shared {
    log: Mutex<Log>,
    grown: Condvar,
    questions: AtomicUsize,
    unanswered: AtomicUsize,
    /// How long a lookup that fails takes.
    unanswered_for: Mutex<Duration>,
    away: AtomicBool,
    readers: AtomicUsize,
    /// Records that kill their readers, and how many more times.
    deadly: Mutex<BTreeMap<(i32, i64), u32>>,
}

struct Log {
    /// Each partition's offsets; some hold no record.
    partitions: Vec<Vec<Option<Record>>>,
    puts: Vec<Put>,
}

struct Put {
    /// The partitions' ends after this put.
    ends: Vec<i64>,
    /// Ends of other topics that a driver must have seen before it takes this put.
    with: Vec<(PartitionId, i64)>,
}

impl Topic {
    /// An empty topic.
    pub fn new(partitions: usize) -> Topic {
        let log = Log { partitions: vec![Vec::new(); partitions], puts: Vec::new() };
        let shared = Shared {
            log: Mutex::new(log),
            grown: Condvar::new(),
            questions: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            unanswered_for: Mutex::default(),
            away: AtomicBool::new(false),
            readers: AtomicUsize::new(0),
            deadly: Mutex::default(),
        };
        Topic { shared: Arc::new(shared), cut: Cut::Timestamps, source: 0, flows: false }
    }

    /// The topic for a driver that cuts in this way.
    #[must_use]
    pub fn cut_by(self, cut: Cut) -> Topic {
        Topic { cut, ..self }
    }

    /// The topic for a driver that takes all there is, as from Kafka: a put is no batch.
    #[must_use]
    pub fn flowing(self) -> Topic {
        Topic { flows: true, ..self }
    }

    /// The topic as the source of this number.
    #[must_use]
    pub fn of_source(self, source: u32) -> Topic {
        Topic { source, ..self }
    }

    /// Number of timestamp lookups.
    pub fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::Relaxed)
    }

    /// Puts values into partition 0; their timestamps are 0, 1, 2 … ms after the epoch.
    pub fn put<V: AsRef<[u8]>>(&self, values: &[V]) {
        self.put_records(records(values));
    }

    /// Puts values into partition 0 of several topics. A driver that reads them all takes them in one batch. One topic
    /// may be read as several sources.
    pub fn put_together(batch: &[(Topic, &[String])]) {
        // An empty put also takes an offset.
        let end = |(topic, lines): &(Topic, &[String])| {
            let end = topic.log().partitions[0].len() + lines.len().max(1);
            (topic.partition(0), end as i64)
        };
        let with: Vec<(PartitionId, i64)> = batch.iter().map(end).collect();
        for (at, (topic, lines)) in batch.iter().enumerate() {
            if !batch[..at].iter().any(|(other, _)| Arc::ptr_eq(&topic.shared, &other.shared)) {
                topic.push(records(lines), with.clone());
            }
        }
    }

    /// Puts records. Without records it takes an offset that holds none: an empty input is also a batch (rule O7).
    pub fn put_records(&self, records: Vec<Record>) {
        self.push(records, Vec::new());
    }

    fn push(&self, records: Vec<Record>, with: Vec<(PartitionId, i64)>) {
        let mut log = self.log();
        if records.is_empty() {
            log.partitions[0].push(None);
        }
        for record in records {
            log.partitions[record.partition as usize].push(Some(record));
        }
        let ends = log.partitions.iter().map(|partition| partition.len() as i64).collect();
        log.puts.push(Put { ends, with });
        self.shared.grown.notify_all();
    }

    /// The end of every partition.
    pub fn ends(&self) -> Offsets {
        let extents = self.extents(&self.log());
        Offsets(extents.into_iter().map(|(partition, extent)| (partition, extent.end)).collect())
    }

    /// Makes the next lookups fail with a transient error, each after some time.
    pub fn leave_unanswered(&self, questions: usize, each_for: Duration) {
        *self.shared.unanswered_for.lock().expect("no holder panics") = each_for;
        self.shared.unanswered.store(questions, Ordering::Relaxed);
    }

    /// From now on the topic cannot be reached, or can be again.
    pub fn set_away(&self, away: bool) {
        self.shared.away.store(away, Ordering::SeqCst);
        self.shared.grown.notify_all();
    }

    fn reach(&self) -> Result<()> {
        match self.shared.away.load(Ordering::SeqCst) {
            true => Err(Error::transient("the topic in memory cannot be reached")),
            false => Ok(()),
        }
    }

    /// Makes a record kill the next `times` executors that read it.
    pub fn kill_at(&self, partition: i32, offset: i64, times: u32) {
        self.deadly().insert((partition, offset), times);
    }

    /// Number of current readers: one per core of each executor.
    pub fn readers(&self) -> usize {
        self.shared.readers.load(Ordering::SeqCst)
    }

    /// The driver's side.
    pub fn watch(&self) -> Box<dyn Watch> {
        Box::new(self.clone())
    }

    /// The executor's side. It delivers these parts of each record.
    pub fn reader(&self, parts: RecordMetadata) -> Box<dyn Read> {
        self.shared.readers.fetch_add(1, Ordering::SeqCst);
        Box::new(TopicReader { topic: self.clone(), parts, range: None })
    }

    fn deadly(&self) -> MutexGuard<'_, BTreeMap<(i32, i64), u32>> {
        self.shared.deadly.lock().expect("no holder panics")
    }

    /// Whether a range holds a record that kills its reader now.
    fn kills(&self, range: &OffsetRange) -> bool {
        let mut deadly = self.deadly();
        let of_range = (range.partition.partition, range.start)..(range.partition.partition, range.end);
        let left = deadly.range_mut(of_range).map(|(_, left)| left).find(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().expect("no holder panics")
    }

    fn partition(&self, number: usize) -> PartitionId {
        PartitionId { source: self.source, topic: TOPIC.into(), partition: number as i32 }
    }

    fn extents(&self, log: &Log) -> Extents {
        let extent = |(number, records): (usize, &Vec<_>)| {
            (self.partition(number), Extent { start: 0, end: records.len() as i64 })
        };
        log.partitions.iter().enumerate().map(extent).collect()
    }

    /// The first put that was not read.
    fn next_put<'a>(&self, log: &'a Log, positions: &Offsets) -> Option<&'a Put> {
        let position = |number| positions.0.get(&self.partition(number)).copied().unwrap_or_default();
        log.puts.iter().find(|put| put.ends.iter().enumerate().any(|(number, end)| *end > position(number)))
    }
}

fn records<V: AsRef<[u8]>>(values: &[V]) -> Vec<Record> {
    let record = |(at, value): (usize, &V)| Record {
        partition: 0,
        timestamp_ms: at as i64,
        value: Some(value.as_ref().to_vec()),
        ..Record::default()
    };
    values.iter().enumerate().map(record).collect()
}

impl Watch for Topic {
    fn name(&self) -> String {
        "the topic in memory".into()
    }

    fn admission(&self) -> Option<Admission> {
        let topic = self.clone();
        let admission: Admission = Box::new(move |positions, extents| {
            let log = topic.log();
            let Some(put) = topic.next_put(&log, positions) else { return };
            let seen = |(id, end): &(PartitionId, i64)| extents.get(id).is_some_and(|extent| extent.end >= *end);
            let whole = put.with.iter().all(seen);
            for (id, extent) in extents.iter_mut().filter(|(id, _)| id.source == topic.source) {
                extent.end = extent.end.min(put.ends[id.partition as usize]);
                if !whole {
                    extent.end = positions.0.get(id).copied().unwrap_or(extent.start);
                }
                if let Cut::Equal(share) = topic.cut {
                    let position = positions.0.get(id).copied().unwrap_or(extent.start);
                    extent.end = extent.end.min(position + share);
                }
            }
        });
        (!self.flows).then_some(admission)
    }

    fn timeline(&self) -> Option<Timeline> {
        let topic = self.clone();
        let timeline: Timeline = Box::new(move |partitions, timestamp| {
            topic.shared.questions.fetch_add(1, Ordering::Relaxed);
            let fewer = |left: usize| left.checked_sub(1);
            if topic.shared.unanswered.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok() {
                let each_for = *topic.shared.unanswered_for.lock().expect("no holder panics");
                clock::sleep(each_for);
                return Err(Error::transient("the topic in memory does not answer"));
            }
            topic.reach()?;
            let log = topic.log();
            let first = |id: &PartitionId| {
                let mut records = log.partitions[id.partition as usize].iter();
                let new = |record: &Option<Record>| record.as_ref().is_some_and(|r| r.timestamp_ms >= timestamp);
                records.position(new).map(|offset| offset as i64)
            };
            Ok(partitions.iter().map(first).collect())
        });
        (self.cut == Cut::Timestamps).then_some(timeline)
    }

    fn watch(&mut self, known: &Extents, timeout: Duration) -> Result<Extents> {
        self.reach()?;
        if clock::is_virtual() {
            let changed = || self.reach().is_err() || self.extents(&self.log()) != *known;
            clock::wait_until(Some(clock::now() + timeout), &mut { changed });
            return self.reach().map(|()| self.extents(&self.log()));
        }
        let same = |log: &mut Log| self.extents(log) == *known;
        let (log, _) = self.shared.grown.wait_timeout_while(self.log(), timeout, same).expect("no holder panics");
        Ok(self.extents(&log))
    }
}

struct TopicReader {
    topic: Topic,
    parts: RecordMetadata,
    range: Option<OffsetRange>,
}

impl Drop for TopicReader {
    fn drop(&mut self) {
        self.topic.shared.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Read for TopicReader {
    fn open(&mut self, range: &OffsetRange) -> Result<()> {
        if self.topic.kills(range) {
            die();
        }
        self.range = Some(range.clone());
        Ok(())
    }

    fn append(&mut self, chunk: &mut Chunk, records_max: usize) -> Result<bool> {
        let before = chunk.len();
        self.topic.reach()?;
        let range = self.range.as_mut().expect("opened before it is read");
        let log = self.topic.log();
        let records = &log.partitions[range.partition.partition as usize];
        while !range.is_empty() && chunk.has_room(records_max) {
            if let Some(record) = &records[range.start as usize] {
                chunk.push(range.start, record.timestamp_ms, record.value.as_deref());
                push_parts(self.parts, chunk, record);
            }
            range.start += 1;
        }
        Ok(chunk.len() > before)
    }

    fn waited(&mut self) -> Duration {
        Duration::ZERO
    }
}

/// Appends what a reader delivers beside value, offset and timestamp. The producer sets all timestamps.
fn push_parts(parts: RecordMetadata, chunk: &mut Chunk, record: &Record) {
    if parts.keys {
        chunk.keys.push(record.key.as_deref());
    }
    if parts.timestamp_types {
        chunk.timestamp_types.push(0);
    }
    if parts.headers {
        for (name, value) in &record.headers {
            chunk.header_names.push(Some(name.as_bytes()));
            chunk.header_values.push(value.as_deref());
        }
        chunk.header_ends.push(chunk.header_names.len());
    }
}
