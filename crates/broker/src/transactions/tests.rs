//! Runs several producers in random order, with fencing, timeouts, and crashes at every stage. A simple model keeps
//! lists. After every step, and from every offset, the committed records and offsets are those of the model.

use super::*;
use crate::config::BrokerConfig;
use crate::groups::offsets::Committed;
use crate::log::batch::sample::Sample;
use crate::log::batch::{BatchHeader, HEADER_BYTES, Rules, check_produced};
use crate::log::{Isolation, read_exact_at};
use crate::partition::Partition;
use crate::producer_ids::ProducerIds;
use crate::settings::Settings;
use std::collections::HashMap;
use std::path::Path;
use tempfile::TempDir;
use tidemill_wire::batch::TRANSACTIONAL;

const IDS: [&str; 3] = ["a", "b", "c"];
const PARTITIONS: i32 = 3;
const TIMEOUT_MS: i32 = 1000;

/// A random number generator. The same seed gives the same numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// The parts of a broker that transactions need.
struct TestBroker {
    catalog: Catalog,
    groups: Groups,
    ids: ProducerIds,
    transactions: Transactions,
}

impl TestBroker {
    fn open(dir: &Path, now_ms: i64) -> TestBroker {
        let config = BrokerConfig { dir: dir.to_owned(), retention_age: None, ..BrokerConfig::default() };
        let parts = TestBroker {
            catalog: Catalog::open(&config, None).unwrap(),
            groups: Groups::open(dir.join("offsets"), false).unwrap(),
            ids: ProducerIds::open(dir.join("producer-ids")).unwrap(),
            transactions: Transactions::open(dir.join("transactions"), false).unwrap(),
        };
        parts.transactions.recover(parts.to(), now_ms);
        parts
    }

    fn to(&self) -> Participants<'_> {
        Participants { catalog: &self.catalog, groups: &self.groups }
    }

    fn place(&self, index: i32) -> (PartitionKey, String) {
        ((self.catalog.get("t").unwrap().id, index), "t".to_owned())
    }

    fn partition(&self, index: i32) -> Arc<Partition> {
        self.catalog.get("t").unwrap().partition(index).unwrap()
    }

    fn init(&self, id: &str, claimed: Option<Producer>, now_ms: i64) -> Result<Producer, Code> {
        self.transactions.init(self.to(), id, claimed, TIMEOUT_MS, now_ms, || self.ids.next())
    }
}

/// One started producer. It may have been fenced since.
#[derive(Clone)]
struct Incarnation {
    id: usize,
    producer: Producer,
    /// The next number in each partition.
    sequences: [i32; PARTITIONS as usize],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Open,
    Ended(Outcome),
}

/// What the broker should hold.
#[derive(Default)]
struct Model {
    /// For each partition, the value and the transaction at each offset. A marker has no value.
    logs: [Vec<(Option<i64>, Option<usize>)>; PARTITIONS as usize],
    fates: Vec<Fate>,
    /// For each id, the producer that may write.
    owners: [Option<Producer>; IDS.len()],
    /// For each id, the producer that was fenced by a timeout. It may continue with the next epoch.
    timed_out: [Option<Producer>; IDS.len()],
    current: [Option<OpenTransaction>; IDS.len()],
    last: [Option<Outcome>; IDS.len()],
    positions: HashMap<String, i64>,
}

#[derive(Clone)]
struct OpenTransaction {
    number: usize,
    begin_ms: i64,
    partitions: BTreeSet<i32>,
    positions: HashMap<String, i64>,
}

impl Model {
    fn end(&mut self, id: usize, outcome: Outcome) {
        let Some(open) = self.current[id].take() else { return };
        self.fates[open.number] = Fate::Ended(outcome);
        self.last[id] = Some(outcome);
        open.partitions.iter().for_each(|index| self.logs[*index as usize].push((None, None)));
        if outcome == Outcome::Commit {
            self.positions.extend(open.positions);
        }
    }

    fn open(&mut self, id: usize, now_ms: i64) -> &mut OpenTransaction {
        self.current[id].get_or_insert_with(|| {
            self.fates.push(Fate::Open);
            let number = self.fates.len() - 1;
            OpenTransaction { number, begin_ms: now_ms, partitions: BTreeSet::new(), positions: HashMap::new() }
        })
    }

    /// What a reader of committed records sees from an offset on: offsets and values, and the offset where it ends.
    fn committed(&self, index: i32, from: usize) -> (Vec<(i64, i64)>, i64) {
        let log = &self.logs[index as usize];
        let fate = |transaction: Option<usize>| transaction.map(|number| self.fates[number]);
        let end = log.iter().position(|(_, transaction)| fate(*transaction) == Some(Fate::Open)).unwrap_or(log.len());
        let seen = (from..end).filter_map(|offset| {
            let (value, transaction) = log[offset];
            let counts = fate(transaction) != Some(Fate::Ended(Outcome::Abort));
            value.filter(|_| counts).map(|value| (offset as i64, value))
        });
        (seen.collect(), end as i64)
    }
}

struct World {
    dir: TempDir,
    parts: TestBroker,
    model: Model,
    producers: Vec<Incarnation>,
    random: Random,
    now_ms: i64,
    next_value: i64,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let parts = TestBroker::open(dir.path(), 0);
        let mut settings = Settings::default();
        settings.set("segment.bytes", "1024").unwrap();
        parts.catalog.create("t", PARTITIONS, settings).unwrap();
        let (model, random) = (Model::default(), Random(seed));
        let mut world = World { dir, parts, model, producers: vec![], random, now_ms: 1, next_value: 1, trace: vec![] };
        (0..IDS.len()).for_each(|id| world.init(id, false));
        world
    }

    fn step(&mut self) {
        self.now_ms += self.random.below(50) as i64;
        let id = self.random.below(IDS.len());
        // Usually the last producer of an id, which may write.
        let last = |producers: &[Incarnation]| producers.iter().rposition(|producer| producer.id == id);
        let any = self.random.below(self.producers.len());
        let who = if self.random.below(8) == 0 { any } else { last(&self.producers).expect("each id has one") };
        let outcome = if self.random.below(2) == 0 { Outcome::Commit } else { Outcome::Abort };
        match self.random.below(100) {
            0..45 => self.write(who),
            45..60 => self.write_plainly(),
            60..68 => self.commit_position(who),
            68..84 => self.end(who, outcome),
            84..88 => self.init(id, false),
            88..90 => self.init(id, true),
            90..94 => self.wait(),
            94..97 => self.crash(),
            _ => self.crash_while_ending(who, outcome),
        }
    }

    fn is_owner(&self, who: usize) -> bool {
        let producer = &self.producers[who];
        self.model.owners[producer.id] == Some(producer.producer)
    }

    fn init(&mut self, id: usize, continues: bool) {
        let last = self.producers.iter().rev().find(|producer| producer.id == id);
        let claimed = last.filter(|_| continues).map(|last| last.producer);
        let given = self.parts.init(IDS[id], claimed, self.now_ms);
        self.trace.push(format!("init {id} {claimed:?} = {given:?}"));
        let was_open = self.model.current[id].is_some();
        self.model.end(id, Outcome::Abort);
        let producer = given.unwrap();
        if let Some(claimed) = claimed {
            assert!(claimed == self.model.owners[id].or(self.model.timed_out[id]).unwrap());
            assert_eq!(producer, (claimed.0, claimed.1 + 1));
        }
        let keeps_phase = claimed.is_some() && (was_open || self.model.timed_out[id].is_some());
        self.model.owners[id] = Some(producer);
        if !keeps_phase {
            self.model.last[id] = None;
        }
        self.model.timed_out[id] = None;
        self.producers.push(Incarnation { id, producer, sequences: [0; PARTITIONS as usize] });
    }

    fn write(&mut self, who: usize) {
        let (index, now_ms) = (self.random.below(PARTITIONS as usize) as i32, self.now_ms);
        let Incarnation { id, producer, sequences } = self.producers[who].clone();
        let place = self.parts.place(index);
        self.trace.push(format!("write {who} in {index}"));
        let added = self.parts.transactions.add(IDS[id], producer, vec![place.clone()], vec![], now_ms);
        let sequence = sequences[index as usize];
        let timestamps = [self.next_value, self.next_value + 1];
        let batch = Sample {
            timestamps: &timestamps,
            producer: (producer.0, producer.1, sequence),
            attributes: TRANSACTIONAL,
            ..Sample::default()
        };
        let append = || append(&self.parts.partition(index), &batch);
        let appended = self.parts.transactions.append(IDS[id], producer, place.0, append);
        if !self.is_owner(who) {
            let id_is_other = self.parts.transactions.get(IDS[id]).unwrap().producer_id != producer.0;
            let expected = if id_is_other { Code::InvalidProducerIdMapping } else { Code::ProducerFenced };
            assert_eq!(added, Err(expected));
            assert!(appended.is_err(), "a fenced producer writes nothing");
            return;
        }
        added.unwrap();
        appended.unwrap();
        self.producers[who].sequences[index as usize] += 2;
        let open = self.model.open(id, now_ms);
        open.partitions.insert(index);
        let number = open.number;
        self.model.logs[index as usize].extend(timestamps.map(|value| (Some(value), Some(number))));
        self.next_value += 2;
    }

    fn write_plainly(&mut self) {
        let index = self.random.below(PARTITIONS as usize);
        append(&self.parts.partition(index as i32), &Sample { timestamps: &[self.next_value], ..Sample::default() });
        self.trace.push(format!("write plainly in {index}"));
        self.model.logs[index].push((Some(self.next_value), None));
        self.next_value += 1;
    }

    fn commit_position(&mut self, who: usize) {
        let Incarnation { id, producer, .. } = self.producers[who];
        let (group, offset) = (format!("g{}", self.random.below(3)), self.next_value);
        self.trace.push(format!("position {offset} of {group} by {who}"));
        let added = self.parts.transactions.add(IDS[id], producer, vec![], vec![group.clone()], self.now_ms);
        let committed = Committed { offset, leader_epoch: 0, metadata: String::new(), time_ms: self.now_ms };
        let stored = self.parts.transactions.commit_offsets(IDS[id], producer, &group, || {
            let positions = vec![(("t".to_owned(), 0), committed)];
            self.parts.groups.offsets().commit_pending(producer.0, &group, "", positions).unwrap();
        });
        assert_eq!((added.is_ok(), stored.is_ok()), (self.is_owner(who), self.is_owner(who)));
        if self.is_owner(who) {
            self.model.open(id, self.now_ms).positions.insert(group, offset);
        }
        self.next_value += 1;
    }

    fn end(&mut self, who: usize, outcome: Outcome) {
        let Incarnation { id, producer, .. } = self.producers[who];
        self.trace.push(format!("end {who} {outcome:?}"));
        let ended = self.parts.transactions.end(self.parts.to(), IDS[id], producer, outcome, self.now_ms);
        let is_owner = self.is_owner(who);
        match (is_owner, self.model.current[id].is_some()) {
            (false, _) => assert!(matches!(ended, Err(Code::ProducerFenced | Code::InvalidProducerIdMapping))),
            (true, true) => ended.unwrap(),
            (true, false) if self.model.last[id] == Some(outcome) => ended.unwrap(),
            (true, false) => assert_eq!(ended, Err(Code::InvalidTxnState)),
        }
        if is_owner {
            self.model.end(id, outcome);
        }
    }

    /// Advances the time, sometimes beyond a transaction's timeout.
    fn wait(&mut self) {
        self.now_ms += self.random.below(2 * TIMEOUT_MS as usize) as i64;
        self.parts.transactions.maintain(self.parts.to(), self.now_ms);
        self.trace.push(format!("{} ms", self.now_ms));
        for id in 0..IDS.len() {
            let begin_ms = self.model.current[id].as_ref().map(|open| open.begin_ms);
            if begin_ms.is_some_and(|begin_ms| self.now_ms - begin_ms > i64::from(TIMEOUT_MS)) {
                self.model.end(id, Outcome::Abort);
                self.model.timed_out[id] = self.model.owners[id].take();
            }
        }
    }

    /// Crashes: everything in memory is lost.
    fn crash(&mut self) {
        self.parts = TestBroker::open(self.dir.path(), self.now_ms);
        self.trace.push("crash".into());
    }

    /// Crashes after an end is decided, and perhaps partly carried out.
    fn crash_while_ending(&mut self, who: usize, outcome: Outcome) {
        let Incarnation { id, producer, .. } = self.producers[who];
        if !self.is_owner(who) || self.model.current[id].is_none() {
            return self.crash();
        }
        self.trace.push(format!("crash while {who} ends with {outcome:?}"));
        let prepare = Change::Prepare { outcome, epoch: producer.1 };
        self.parts
            .transactions
            .with(IDS[id], |entry| self.parts.transactions.record(IDS[id], &mut entry.state, self.now_ms, &prepare))
            .unwrap();
        // A marker that is written twice takes two offsets.
        let partitions = self.model.current[id].as_ref().expect("open").partitions.clone();
        for index in partitions.into_iter().take(self.random.below(PARTITIONS as usize)) {
            self.parts.partition(index).append_marker(producer.0, producer.1, outcome).unwrap().unwrap();
            self.model.logs[index as usize].push((None, None));
        }
        if self.random.below(2) == 0 {
            self.parts.groups.offsets().settle(producer.0, outcome == Outcome::Commit).unwrap();
        }
        self.crash();
        self.model.end(id, outcome);
    }

    fn compare(&mut self) {
        for index in 0..PARTITIONS {
            let end = self.model.logs[index as usize].len();
            let from = self.random.below(end + 1);
            for from in [0, from] {
                let (expected, stable_end) = self.model.committed(index, from);
                let seen =
                    read_committed(&self.parts.partition(index), from as i64, 1 + self.random.below(1000) as u64);
                assert_eq!(seen, (expected, stable_end.max(from as i64)), "partition {index} from {from}");
            }
            let ends = self.parts.partition(index).with_log(|log| log.end_offset());
            assert_eq!(ends, end as i64, "partition {index}");
        }
        let offsets = self.parts.groups.offsets();
        for group in ["g0", "g1", "g2"] {
            let position = offsets.get(group, "t", 0).map(|committed| committed.offset);
            assert_eq!(position, self.model.positions.get(group).copied(), "{group}");
            let mut open = self.model.current.iter().flatten();
            assert_eq!(
                offsets.is_pending(group, "t", 0),
                open.any(|open| open.positions.contains_key(group)),
                "{group}"
            );
        }
    }
}

fn append(partition: &Partition, sample: &Sample<'_>) {
    let batch = sample.build();
    let header = check_produced(&batch, Rules { max_bytes: 1 << 20, now_ms: i64::MAX, keyed: false }).unwrap();
    partition.append(&batch, &header).expect("the topic is there").unwrap();
}

/// Reads like a client of committed records, in small fetches. Returns offsets and values, and where the read ends.
fn read_committed(partition: &Partition, from: i64, max_bytes: u64) -> (Vec<(i64, i64)>, i64) {
    let (mut next, mut seen) = (from, Vec::new());
    loop {
        let (slice, mut aborted) = partition.with_log(|log| {
            let slice = log.slice(next, Isolation::ReadCommitted, max_bytes, true).unwrap().expect("within the log");
            let aborted = log.aborted(next, slice.end_offset);
            (slice, aborted)
        });
        if slice.bytes == 0 {
            return (seen, next);
        }
        aborted.sort_by_key(|aborted| aborted.first_offset);
        let mut bytes = vec![0; slice.bytes];
        read_exact_at(&slice.file, &mut bytes, slice.position).unwrap();
        let (mut rest, mut skipped) = (&bytes[..], BTreeSet::new());
        while let Some(header) = BatchHeader::parse(rest) {
            let begun = aborted.iter().take_while(|aborted| aborted.first_offset <= header.last_offset()).count();
            skipped.extend(aborted.drain(..begun).map(|aborted| aborted.producer_id));
            if header.is_control() {
                skipped.remove(&header.producer_id);
            } else if !(header.is_transactional() && skipped.contains(&header.producer_id)) {
                let value = |offset: i64| header.base_timestamp + offset - header.base_offset;
                seen.extend((header.base_offset..=header.last_offset()).filter(|o| *o >= from).map(|o| (o, value(o))));
            }
            next = header.last_offset() + 1;
            rest = &rest[header.total_bytes..];
        }
        assert!(rest.len() < HEADER_BYTES, "a slice holds complete batches");
    }
}

#[test]
fn random_producers_and_crashes_leave_what_the_model_has() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for step in 0..250 {
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                world.step();
                world.compare();
            }));
            if checked.is_err() {
                panic!("seed {seed}, step {step}: {:#?}", &world.trace[world.trace.len().saturating_sub(20)..]);
            }
        }
    }
}

#[test]
fn what_no_id_knows_is_aborted_at_the_start() {
    let mut world = World::new(1);
    world.write(0);
    world.commit_position(0);
    std::fs::remove_file(world.dir.path().join("transactions")).unwrap();
    world.crash();
    world.model.end(0, Outcome::Abort);
    world.compare();
}

#[test]
fn an_unused_id_is_forgotten_after_a_week_and_an_open_one_is_not() {
    let mut world = World::new(1);
    world.write(0);
    let week_ms = ID_EXPIRATION_MS;
    let known = |world: &World| IDS.map(|id| world.parts.transactions.get(id).is_some());
    world.parts.transactions.forget_unused(world.now_ms + 1, week_ms);
    assert_eq!(known(&world), [true, false, false]);
    world.crash();
    assert_eq!(known(&world), [true, false, false], "after a restart");
    world.init(1, false);
    assert_eq!(known(&world), [true, true, false]);
}

#[test]
fn the_file_of_changes_stays_small() {
    let world = World::new(1);
    let producer = world.producers[0].producer;
    for _ in 0..20_000 {
        let transactions = &world.parts.transactions;
        transactions.add("a", producer, vec![world.parts.place(0)], vec![], 1).unwrap();
        transactions.record("a", &mut lock(&transactions.entries()["a"]).state, 1, &Change::Complete).unwrap();
    }
    let bytes = std::fs::metadata(world.dir.path().join("transactions")).unwrap().len();
    assert!(bytes < 2 << 20, "{bytes} bytes");
}
