//! Fetching: many partitions from several brokers, each record borrowed from the answer that it came in.
//!
//! ```text
//!  poll ──► one answer of one broker ──► its batches: next_batch ──► its records: next_record
//!             └─ the next request to that broker is sent before the answer is looked at
//! ```
//! At most one request is under way to each broker. What the caller does not take of an answer is held, as long as it is not
//! taken: who reads one partition after the other asks for no more once too much is held. Each broker keeps a session (KIP-227), which is
//! told only what has changed: a thousand partitions cost hardly more than four. A broker without sessions is told all.
//!
//! Leaders that move, brokers that end and slow answers are no errors: they are asked again, with growing pauses, and
//! [`Fetcher::trouble`] says what is waited for. The caller decides for how long.

mod link;
mod transactions;
mod wire;

use crate::batch::{BatchHeader, Found, Record, Walk, find, walk_headers};
use crate::cluster::{Cluster, wants_metadata};
use crate::fault::{Fault, is_transient};
use crate::settings::Settings;
use crate::stream::{Readiness, wait};
use crate::unpack::Unpacker;
use kafka_protocol::ResponseError as Code;
use link::Link;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_model::{Error, Result};
use transactions::Aborted;
use uuid::Uuid;
use wire::{Part, TopicKey};

/// A partition that is fetched: the index that [`Fetcher::add`] has given it.
pub type Slot = usize;

/// Fetches partitions.
pub struct Fetcher {
    cluster: Cluster,
    topics: Vec<Topic>,
    slots: Vec<Partition>,
    links: BTreeMap<i32, Link>,
    /// The broker whose answer was taken last: the others are looked at first.
    last: i32,
    /// The last answer.
    frame: Arc<Vec<u8>>,
    /// What is not delivered yet of this answer and those before, in the order in which it came.
    pieces: VecDeque<Piece>,
    /// Bytes of them.
    held_bytes: usize,
    current: Option<Current>,
    unpacker: Unpacker,
    /// No look for leaders before.
    lead_not_before: Instant,
    lead_failures: u32,
    trouble: Option<Fault>,
    /// Time spent waiting for answers.
    waited: Duration,
}

struct Topic {
    name: String,
    id: Uuid,
    slots: HashMap<i32, Slot>,
}

struct Partition {
    topic: usize,
    number: i32,
    /// Who leads it: broker and epoch.
    leader: Option<(i32, i32)>,
    /// The next offset to be asked for.
    offset: i64,
    /// Nothing is asked for from here on.
    until: i64,
    bytes_max: u32,
    /// What the last answer said: first and last stable offset.
    extent: Option<(i64, i64)>,
    /// The offset is not in the log.
    is_out_of_range: bool,
    /// Answers in a row that held no record though there should be one.
    empty: u32,
}

/// Batches of one partition in an answer.
struct Piece {
    slot: Slot,
    frame: Arc<Vec<u8>>,
    records: Range<usize>,
    aborted: Aborted,
    /// Records before are not asked for: a batch may begin earlier.
    from: i64,
}

/// The batch at work.
struct Current {
    walk: Walk,
    /// The answer, and where the batch's records lie in it; `None`: in the unpacker.
    place: Option<(Arc<Vec<u8>>, Range<usize>)>,
    from: i64,
    slot: Slot,
    base_offset: i64,
}

/// What comes next in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A record.
    Record(Record<'a>),
    /// A record from the bound on, which is left for later.
    Beyond,
    /// The batch is at its end.
    End,
}

impl Fetcher {
    /// A fetcher with connections of its own; connects when it is first polled.
    ///
    /// # Errors
    /// A user error for settings that cannot be.
    pub fn new(settings: Settings) -> Result<Fetcher> {
        Ok(Fetcher {
            cluster: Cluster::new(settings)?,
            topics: Vec::new(),
            slots: Vec::new(),
            links: BTreeMap::new(),
            last: -1,
            frame: Arc::default(),
            pieces: VecDeque::new(),
            held_bytes: 0,
            current: None,
            unpacker: Unpacker::default(),
            lead_not_before: Instant::now(),
            lead_failures: 0,
            trouble: None,
            waited: Duration::ZERO,
        })
    }

    /// The cluster, to be asked for other things on a connection of its own.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Begins to fetch a partition at an offset, up to `until`; one that is fetched already goes on there.
    pub fn add(&mut self, topic: &str, partition: i32, offset: i64, until: i64) -> Slot {
        let index = self.topics.iter().position(|known| known.name == topic).unwrap_or_else(|| {
            self.topics.push(Topic { name: topic.to_owned(), id: Uuid::nil(), slots: HashMap::new() });
            self.topics.len() - 1
        });
        if let Some(slot) = self.topics[index].slots.get(&partition).copied() {
            self.seek(slot, offset, until);
            return slot;
        }
        let slot = self.slots.len();
        self.topics[index].slots.insert(partition, slot);
        self.slots.push(Partition {
            topic: index,
            number: partition,
            leader: None,
            offset,
            until,
            bytes_max: self.cluster.settings().fetch.partition_bytes_max,
            extent: None,
            is_out_of_range: false,
            empty: 0,
        });
        slot
    }

    /// The slot of a partition that was added.
    pub fn slot(&self, topic: &str, partition: i32) -> Option<Slot> {
        self.topics.iter().find(|known| known.name == topic)?.slots.get(&partition).copied()
    }

    /// Asks for no more of the partition; what was fetched of it is dropped.
    pub fn forget(&mut self, slot: Slot) {
        self.seek(slot, 0, 0);
    }

    /// Goes on at another offset; what was fetched of the partition is dropped.
    fn seek(&mut self, slot: Slot, offset: i64, until: i64) {
        let held_bytes = &mut self.held_bytes;
        self.pieces.retain(|piece| {
            let stays = piece.slot != slot;
            *held_bytes -= if stays { 0 } else { piece.records.len() };
            stays
        });
        self.current.take_if(|current| current.slot == slot);
        let partition = &mut self.slots[slot];
        (partition.offset, partition.until, partition.is_out_of_range, partition.empty) = (offset, until, false, 0);
    }

    /// Nothing is asked for from `until` on; what is fetched stays.
    pub fn bound(&mut self, slot: Slot, until: i64) {
        self.slots[slot].until = until;
    }

    /// How many bytes of the partition an answer holds at most; one larger batch comes nevertheless.
    pub fn limit(&mut self, slot: Slot, bytes_max: u32) {
        self.slots[slot].bytes_max = bytes_max;
    }

    /// The next offset to be asked for: all before are delivered, once the answer at work is used up.
    pub fn position(&self, slot: Slot) -> i64 {
        self.slots[slot].offset
    }

    /// Bytes that have come and are not delivered.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// First offset and last stable offset, as the last answer about the partition said.
    pub fn extent(&self, slot: Slot) -> Option<(i64, i64)> {
        self.slots[slot].extent
    }

    /// Whether the partition's log does not hold the offset that was asked for.
    pub fn is_out_of_range(&self, slot: Slot) -> bool {
        self.slots[slot].is_out_of_range
    }

    /// The error that is being waited out, if any.
    pub fn trouble(&self) -> Option<Error> {
        self.trouble.clone().map(|fault| self.cluster.error(fault))
    }

    /// Time spent waiting since the last call.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// Waits for an answer of any broker, at most `wait`; whether there was one. What is left of those before stays.
    ///
    /// # Errors
    /// What does not go away by itself: rights, records that cannot be read.
    pub fn poll(&mut self, wait: Duration) -> Result<bool> {
        let result = self.poll_for(Instant::now() + wait);
        result.map_err(|fault| self.cluster.error(fault))
    }

    fn poll_for(&mut self, deadline: Instant) -> Result<bool, Fault> {
        self.current = None;
        loop {
            self.lead()?;
            for broker in self.idle_brokers() {
                self.ask(broker)?;
            }
            if let Some((broker, body)) = self.answer(deadline)? {
                self.take_in(broker, body)?;
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
        }
    }

    /// Finds the leaders of partitions that have none.
    fn lead(&mut self) -> Result<(), Fault> {
        let is_led = |partition: &Partition| partition.leader.is_some() || !partition.is_active();
        if self.slots.iter().all(is_led) || self.lead_not_before > Instant::now() {
            return Ok(());
        }
        for index in 0..self.topics.len() {
            let topic = &mut self.topics[index];
            let slots = topic.slots.values().copied().filter(|slot| !is_led(&self.slots[*slot]));
            let slots: Vec<Slot> = slots.collect();
            if slots.is_empty() {
                continue;
            }
            let unknown = || Fault::code(format!("a fetch of topic `{}`", topic.name), Code::UnknownTopicOrPartition);
            let found = match self.cluster.topic(&topic.name) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    let fault = unknown();
                    return self.wait_out(fault);
                }
                Err(fault) => return self.wait_out(fault),
            };
            topic.id = found.id;
            let mut missing = false;
            for slot in slots {
                let partition = &mut self.slots[slot];
                let leader = found.leaders.get(&partition.number).filter(|leader| leader.broker >= 0);
                partition.leader = leader.map(|leader| (leader.broker, leader.epoch));
                missing |= leader.is_none();
            }
            if missing {
                let fault = Fault::code(format!("a fetch of topic `{}`", topic.name), Code::LeaderNotAvailable);
                return self.wait_out(fault);
            }
        }
        Ok(())
    }

    /// Remembers what is in the way, and looks for leaders again after a pause; an error where waiting does not help.
    fn wait_out(&mut self, fault: Fault) -> Result<(), Fault> {
        // Who was let in before may be again: rights and passwords are changed while we run.
        let was_let_in = self.links.values().any(|link| link.has_worked);
        if !(fault.is_transient() || was_let_in && matches!(fault, Fault::Refused(_))) {
            return Err(fault);
        }
        self.cluster.forget_leaders();
        self.lead_failures += 1;
        self.lead_not_before = Instant::now() + self.cluster.settings().backoff.pause_after(self.lead_failures);
        self.trouble = Some(fault);
        Ok(())
    }

    /// Brokers that lead partitions of ours and have nothing to answer.
    fn idle_brokers(&self) -> Vec<i32> {
        let mut brokers: Vec<i32> =
            self.slots.iter().filter(|slot| slot.is_active()).filter_map(|slot| Some(slot.leader?.0)).collect();
        brokers.sort_unstable();
        brokers.dedup();
        brokers.retain(|broker| self.links.get(broker).is_none_or(Link::is_ready));
        brokers
    }

    fn ask(&mut self, broker: i32) -> Result<(), Fault> {
        let address = match self.cluster.address(broker) {
            Ok(address) => address,
            Err(fault) => return self.lose(broker, fault),
        };
        let link = self.links.entry(broker).or_default();
        match link.ask(&self.cluster, &address, broker, &self.topics, &self.slots) {
            Ok(()) => Ok(()),
            Err(fault) => self.lose(broker, fault),
        }
    }

    /// A broker cannot be asked: its partitions may have other leaders by now.
    fn lose(&mut self, broker: i32, fault: Fault) -> Result<(), Fault> {
        if let Some(link) = self.links.get_mut(&broker) {
            link.close(self.cluster.settings().backoff);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.leader.is_some_and(|(leader, _)| leader == broker)) {
            slot.leader = None;
        }
        self.wait_out(fault)
    }

    /// Waits for an answer: the broker that has sent it, and where its body lies in `frame`. `None` when the deadline has
    /// passed or something else is to be done first.
    fn answer(&mut self, deadline: Instant) -> Result<Option<(i32, Range<usize>)>, Fault> {
        loop {
            let (after, before): (Vec<i32>, Vec<i32>) = self.links.keys().partition(|broker| **broker > self.last);
            let mut lost = None;
            for broker in after.into_iter().chain(before) {
                let link = self.links.get_mut(&broker).expect("listed above");
                // Who still holds the last answer keeps it.
                if Arc::get_mut(&mut self.frame).is_none() {
                    self.frame = Arc::default();
                }
                let frame = Arc::get_mut(&mut self.frame).expect("nobody else has it");
                match link.receive(frame) {
                    Ok(Some(body)) => {
                        self.last = broker;
                        return Ok(Some((broker, body)));
                    }
                    Ok(None) => {}
                    Err(fault) => {
                        lost = Some((broker, fault));
                        break;
                    }
                }
            }
            if let Some((broker, fault)) = lost {
                self.lose(broker, fault)?;
                return Ok(None);
            }
            let now = Instant::now();
            let unled = self.slots.iter().any(|slot| slot.is_active() && slot.leader.is_none());
            let retry = unled.then_some(self.lead_not_before);
            let wake = self.links.values().filter_map(Link::wake_at).chain(retry).fold(deadline, Instant::min);
            if wake <= now {
                return Ok(None);
            }
            let sockets: Vec<_> = self.links.values().filter_map(Link::socket).collect();
            match sockets.is_empty() {
                true => thread::sleep(wake - now),
                false => {
                    wait(&sockets, Readiness::Read, wake);
                }
            }
            self.waited += now.elapsed();
        }
    }

    fn take_in(&mut self, broker: i32, body: Range<usize>) -> Result<(), Fault> {
        let link = self.links.get_mut(&broker).expect("it has answered");
        let mut parts: Vec<(Slot, Part, Aborted)> = Vec::new();
        let topics = &self.topics;
        let head = wire::read(&self.frame[body.clone()], link.version, |key, part, aborted| {
            let topic = topics.iter().find(|topic| match key {
                TopicKey::Id(id) => topic.id == *id,
                TopicKey::Name(name) => topic.name.as_bytes() == *name,
            });
            if let Some(slot) = topic.and_then(|topic| topic.slots.get(&part.partition)) {
                parts.push((*slot, part, Aborted::new(aborted)));
            }
        });
        let Ok(head) = head else {
            let fault = Fault::Malformed(format!("{}: an answer to Fetch that does not decode", link.name()));
            return Err(fault);
        };
        let asked = link.answered(head);
        if let Some(code) = Code::try_from_code(head.code) {
            return match code {
                Code::FetchSessionIdNotFound
                | Code::InvalidFetchSessionEpoch
                | Code::FetchSessionTopicIdError
                | Code::InconsistentTopicId
                | Code::UnknownTopicId => {
                    link.reset();
                    if !matches!(code, Code::FetchSessionIdNotFound | Code::InvalidFetchSessionEpoch) {
                        return self.lose(broker, Fault::code("a fetch", code));
                    }
                    Ok(())
                }
                code => self.lose(broker, Fault::code("a fetch", code)),
            };
        }
        let (mut is_well, is_alone) = (true, asked.len() == 1);
        for (slot, part, aborted) in parts {
            let asked = asked.get(&slot).map(|offset| (*offset, is_alone));
            is_well &= self.take_part(slot, part, aborted, asked, body.start)?;
        }
        if is_well {
            (self.trouble, self.lead_failures) = (None, 0);
            // The broker works on the next answer while we work on this one.
            if self.slots.iter().any(|slot| slot.is_active() && slot.leader.is_some_and(|(leader, _)| leader == broker))
                && self.links.get(&broker).is_some_and(Link::is_ready)
            {
                self.ask(broker)?;
            }
        }
        Ok(())
    }

    /// Takes in one partition, which was asked for from an offset, alone or with others; whether it is well.
    fn take_part(
        &mut self,
        slot: Slot,
        part: Part,
        aborted: Aborted,
        asked: Option<(i64, bool)>,
        base: usize,
    ) -> Result<bool, Fault> {
        let partition = &mut self.slots[slot];
        // Another offset is wanted by now.
        let Some((_, is_alone)) = asked.filter(|(offset, _)| *offset == partition.offset) else { return Ok(true) };
        let what =
            || format!("a fetch of partition {} of topic `{}`", partition.number, self.topics[partition.topic].name);
        match Code::try_from_code(part.code) {
            None => {}
            Some(Code::OffsetOutOfRange) => {
                partition.is_out_of_range = true;
                return Ok(true);
            }
            Some(code) if is_transient(code) || wants_metadata(code) => {
                let fault = Fault::code(what(), code);
                partition.leader = None;
                self.wait_out(fault)?;
                return Ok(false);
            }
            Some(code) => return Err(Fault::code(what(), code)),
        }
        let committed_only = self.cluster.shared.settings.fetch.committed_only;
        let end = if committed_only && part.last_stable >= 0 { part.last_stable } else { part.high_watermark };
        partition.extent = Some((part.log_start.max(0), end));
        let records = base + part.records.start..base + part.records.end;
        let next = walk_headers(&self.frame[records.clone()], partition.offset);
        let next = next.map_err(|why| Fault::Malformed(format!("{} at offset {}: {why}", what(), partition.offset)))?;
        if let Some(next) = next {
            self.held_bytes += records.len();
            let frame = Arc::clone(&self.frame);
            self.pieces.push_back(Piece { slot, frame, records, aborted, from: partition.offset });
            (partition.offset, partition.empty) = (next, 0);
        } else if end > partition.offset && is_alone {
            // Of several partitions, others may have taken all the room. Of one alone, nothing is left up to the end.
            partition.empty += 1;
            if partition.empty >= 2 {
                (partition.offset, partition.empty) = (end, 0);
            }
        }
        Ok(true)
    }

    /// Goes to the next batch of a partition that has come and has records for us; whether there is one.
    ///
    /// # Errors
    /// An external one for a batch that cannot be read.
    pub fn next_batch(&mut self, slot: Slot) -> Result<bool> {
        self.current = None;
        while let Some(at) = self.pieces.iter().position(|piece| piece.slot == slot) {
            let piece = &mut self.pieces[at];
            let Found::Whole(header) = find(&piece.frame[piece.records.clone()]) else {
                self.held_bytes -= piece.records.len();
                self.pieces.remove(at);
                continue;
            };
            let frame = Arc::clone(&piece.frame);
            let (from, start) = (piece.from, piece.records.start);
            let batch = start..start + header.total_bytes;
            piece.records.start = batch.end;
            self.held_bytes -= header.total_bytes;
            if self.cluster.shared.settings.fetch.check_crcs && !header.crc_is_right(&frame[batch.clone()]) {
                return Err(self.unreadable(slot, header.base_offset, "its checksum is wrong"));
            }
            let records = batch.start + crate::batch::HEADER_BYTES..batch.end;
            if piece.aborted.leaves_out(&header, &frame[records.clone()]) && self.leaves_out(&header) {
                continue;
            }
            if header.last_offset() < from || header.record_count == 0 {
                continue;
            }
            let base_offset = header.base_offset;
            let place = match header.codec() {
                0 => Some((frame, records)),
                codec => {
                    if let Err(error) = self.unpacker.unpack(codec, &frame[records]) {
                        return Err(self.unreadable(slot, base_offset, &error.to_string()));
                    }
                    None
                }
            };
            self.current = Some(Current { walk: Walk::over(&header), place, from, slot, base_offset });
            return Ok(true);
        }
        Ok(false)
    }

    /// Control batches are never for us, those of aborted transactions not where only committed ones are wanted.
    fn leaves_out(&self, header: &BatchHeader) -> bool {
        header.is_control() || self.cluster.shared.settings.fetch.committed_only
    }

    /// The next record of the batch at work, if its offset is below `until`.
    ///
    /// # Errors
    /// An external one for a record that cannot be read.
    #[inline]
    pub fn next_record(&mut self, until: i64) -> Result<Step<'_>> {
        let Some(current) = &mut self.current else { return Ok(Step::End) };
        let bytes: &[u8] = match &current.place {
            Some((frame, place)) => &frame[place.clone()],
            None => &self.unpacker.bytes,
        };
        loop {
            let before = current.walk;
            match current.walk.next(bytes) {
                Ok(Some(record)) if record.offset < current.from => {}
                Ok(Some(record)) if record.offset < until => return Ok(Step::Record(record)),
                Ok(Some(_)) => {
                    current.walk = before;
                    return Ok(Step::Beyond);
                }
                Ok(None) => return Ok(Step::End),
                Err(_) => {
                    let partition = &self.slots[current.slot];
                    let topic = &self.topics[partition.topic].name;
                    return Err(unreadable(
                        topic,
                        partition.number,
                        current.base_offset,
                        "a record's numbers are impossible",
                    ));
                }
            }
        }
    }

    fn unreadable(&self, slot: Slot, offset: i64, why: &str) -> Error {
        let partition = &self.slots[slot];
        unreadable(&self.topics[partition.topic].name, partition.number, offset, why)
    }
}

fn unreadable(topic: &str, partition: i32, offset: i64, why: &str) -> Error {
    Error::external(format!(
        "the record batch at offset {offset} of {topic}-{partition} cannot be read: {why}; see the broker's disk and log, or \
         read on from a later offset"
    ))
}

impl Partition {
    fn is_active(&self) -> bool {
        self.offset < self.until && !self.is_out_of_range
    }
}
