//! Fetches many partitions from several brokers. Each record is borrowed from the answer that it arrived in.
//!
//! ```text
//!  poll ──► one answer of one broker ──► its batches: next_batch ──► its records: each_record
//!             └─ the next request to that broker is sent before the answer is processed
//! ```
//! At most one request is in flight to each broker. The fetcher holds the records that the caller does not take. A
//! caller that reads one partition after the other must watch [`Fetcher::held_bytes`] and stop requesting the others.
//! A broker keeps a fetch session (KIP-227), and a request names only the partitions that changed. So a thousand
//! partitions cost hardly more than four. Without a session every request names all partitions.
//!
//! Leaders that move, brokers that stop and slow answers are not errors. The fetcher asks again, with growing pauses,
//! and [`Fetcher::trouble`] tells what it waits for. The caller decides how long to wait.

pub(crate) mod fuzz;
mod link;
mod records;
mod transactions;
mod wire;

use crate::batch::walk_headers;
use crate::cluster::{Cluster, wants_metadata};
use crate::fault::{Fault, is_transient};
use crate::settings::Settings;
use crate::stream::{Readiness, wait};
use crate::unpack::Unpacker;
use kafka_protocol::ResponseError as Code;
use link::Link;
pub use records::Stop;
use records::{Current, Piece};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_model::{Error, Result};
use transactions::Aborted;
use uuid::Uuid;
use wire::{PartitionAnswer, TopicKey};

/// Buffers of earlier answers that are kept, at most.
const SPARE_MAX: usize = 8;

/// The index of a fetched partition, from [`Fetcher::add`].
pub type Slot = usize;

/// Fetches partitions.
pub struct Fetcher {
    cluster: Cluster,
    topics: Vec<Topic>,
    slots: Vec<Partition>,
    links: BTreeMap<i32, Link>,
    /// The broker whose answer was taken last. The others come first next time.
    last: i32,
    /// The last answer.
    frame: Arc<Vec<u8>>,
    /// Buffers of earlier answers. One that nobody holds any more is used again.
    spare: Vec<Arc<Vec<u8>>>,
    /// Records of this answer and earlier ones that are not delivered yet, in order of arrival.
    pieces: VecDeque<Piece>,
    /// Bytes of `pieces`.
    held_bytes: usize,
    current: Option<Current>,
    unpacker: Unpacker,
    /// Size of the largest of the recent batches.
    batch_bytes: usize,
    /// No request for leaders before this time.
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
    /// The leader: broker and epoch.
    leader: Option<(i32, i32)>,
    /// The next offset to request.
    offset: i64,
    /// Offsets from here on are not requested.
    until: i64,
    bytes_max: u32,
    /// First offset and last stable offset in the last answer.
    extent: Option<(i64, i64)>,
    /// The log does not hold the offset.
    is_out_of_range: bool,
}

impl Fetcher {
    /// A fetcher with its own connections. It connects on the first poll.
    ///
    /// # Errors
    /// User: a setting is wrong.
    pub fn new(settings: Settings) -> Result<Fetcher> {
        Ok(Fetcher {
            cluster: Cluster::new(settings)?,
            topics: Vec::new(),
            slots: Vec::new(),
            links: BTreeMap::new(),
            last: -1,
            frame: Arc::default(),
            spare: Vec::new(),
            pieces: VecDeque::new(),
            held_bytes: 0,
            current: None,
            unpacker: Unpacker::default(),
            batch_bytes: 0,
            lead_not_before: Instant::now(),
            lead_failures: 0,
            trouble: None,
            waited: Duration::ZERO,
        })
    }

    /// The cluster, for other requests. They use their own connections.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Begins to fetch a partition at an offset, up to `until`. A partition that is already fetched moves there.
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
        });
        slot
    }

    /// The slot of a partition that was added.
    pub fn slot(&self, topic: &str, partition: i32) -> Option<Slot> {
        self.topics.iter().find(|known| known.name == topic)?.slots.get(&partition).copied()
    }

    /// Stops fetching a partition and drops what was fetched of it.
    pub fn forget(&mut self, slot: Slot) {
        self.seek(slot, 0, 0);
    }

    /// Continues at another offset and drops what was fetched of the partition.
    fn seek(&mut self, slot: Slot, offset: i64, until: i64) {
        let held_bytes = &mut self.held_bytes;
        self.pieces.retain(|piece| {
            let stays = piece.slot != slot;
            *held_bytes -= if stays { 0 } else { piece.records.len() };
            stays
        });
        self.current.take_if(|current| current.slot == slot);
        let partition = &mut self.slots[slot];
        (partition.offset, partition.until, partition.is_out_of_range) = (offset, until, false);
    }

    /// Requests nothing from `until` on. Keeps what is already fetched.
    pub fn bound(&mut self, slot: Slot, until: i64) {
        self.slots[slot].until = until;
    }

    /// Limits the bytes of the partition in an answer. A larger batch is sent for the first partition of an answer only,
    /// so a limit below [`Fetcher::batch_bytes`] takes an answer for each partition.
    pub fn limit(&mut self, slot: Slot, bytes_max: u32) {
        self.slots[slot].bytes_max = bytes_max;
    }

    /// Size of the largest of the recent batches.
    pub fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// The next offset to request. All earlier ones are delivered or held.
    pub fn position(&self, slot: Slot) -> i64 {
        self.slots[slot].offset
    }

    /// Bytes that have arrived and are not delivered.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// First offset and last stable offset, from the last answer about the partition.
    pub fn extent(&self, slot: Slot) -> Option<(i64, i64)> {
        self.slots[slot].extent
    }

    /// Whether the partition's log does not hold the requested offset.
    pub fn is_out_of_range(&self, slot: Slot) -> bool {
        self.slots[slot].is_out_of_range
    }

    /// The error that the fetcher is waiting out, if any.
    pub fn trouble(&self) -> Option<Error> {
        self.trouble.clone().map(|fault| self.cluster.error(fault))
    }

    /// Whether requests in flight will report the next record of every partition.
    pub fn is_waiting(&self) -> bool {
        let mut active = self.slots.iter().enumerate().filter(|(_, partition)| partition.is_active());
        active.all(|(slot, partition)| {
            let link = partition.leader.and_then(|(broker, _)| self.links.get(&broker));
            link.is_some_and(|link| link.waits_for(slot, partition.offset))
        })
    }

    /// Drops what has arrived and is not delivered.
    pub fn drop_held(&mut self) {
        self.pieces.clear();
        (self.held_bytes, self.current) = (0, None);
    }

    /// The time spent waiting for answers since the last call.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// Waits at most `wait` for an answer of any broker. Returns whether there was one. Keeps the records of earlier
    /// answers.
    ///
    /// # Errors
    /// Errors that waiting does not solve: missing rights, unreadable records.
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
            if topic.id != found.id && !topic.id.is_nil() {
                // It was created again. Sessions know it by the id that it had.
                self.links.values_mut().for_each(Link::reset);
            }
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

    /// Records the fault and looks for leaders again after a pause. Fails if waiting does not help.
    fn wait_out(&mut self, fault: Fault) -> Result<(), Fault> {
        if !fault.may_pass(&self.cluster.settings().let_in) {
            return Err(fault);
        }
        self.cluster.forget_leaders();
        self.lead_failures += 1;
        self.lead_not_before = Instant::now() + self.cluster.settings().backoff.pause_after(self.lead_failures);
        self.trouble = Some(fault);
        Ok(())
    }

    /// Brokers that lead our partitions and have no request in flight.
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

    /// Handles the loss of a broker. Its partitions may have other leaders now.
    fn lose(&mut self, broker: i32, fault: Fault) -> Result<(), Fault> {
        if let Some(link) = self.links.get_mut(&broker) {
            link.close(self.cluster.settings().backoff);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.leader.is_some_and(|(leader, _)| leader == broker)) {
            slot.leader = None;
        }
        self.wait_out(fault)
    }

    /// Waits for an answer. Returns the broker and the position of the body in `frame`. `None` if the deadline has
    /// passed or something else must be done first.
    fn answer(&mut self, deadline: Instant) -> Result<Option<(i32, Range<usize>)>, Fault> {
        loop {
            let (after, before): (Vec<i32>, Vec<i32>) = self.links.keys().partition(|broker| **broker > self.last);
            let mut lost = None;
            for broker in after.into_iter().chain(before) {
                let link = self.links.get_mut(&broker).expect("listed above");
                match link.receive(free(&mut self.frame, &mut self.spare)) {
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
        let link = self.links.get_mut(&broker).expect("a broker that answered has a link");
        let mut parts: Vec<(Slot, PartitionAnswer, Aborted)> = Vec::new();
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
            let fault = Fault::Malformed(format!("{}: an answer to Fetch does not decode", link.name()));
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
        let mut is_well = true;
        for (slot, part, aborted) in parts {
            is_well &= self.take_part(slot, part, aborted, asked.get(&slot).copied(), body.start)?;
        }
        if is_well {
            (self.trouble, self.lead_failures) = (None, 0);
            // Ask again first, so that the broker prepares the next answer while we process this one.
            if self.slots.iter().any(|slot| slot.is_active() && slot.leader.is_some_and(|(leader, _)| leader == broker))
                && self.links.get(&broker).is_some_and(Link::is_ready)
            {
                self.ask(broker)?;
            }
        }
        Ok(())
    }

    /// Takes one partition of an answer. `asked` is the requested offset. Returns false if its leader must be looked up
    /// again.
    ///
    /// Only batches move the position. A compacted batch keeps its last offset and a marker is a batch of its own, so the
    /// batches lead across every gap. An answer without records says nothing about the records up to the end of the log:
    /// the answer may have been full, or the broker could not read them yet (a quota, a segment in remote storage, an end
    /// that it does not know yet after a restart). Such a partition is asked for again.
    fn take_part(
        &mut self,
        slot: Slot,
        part: PartitionAnswer,
        aborted: Aborted,
        asked: Option<i64>,
        base: usize,
    ) -> Result<bool, Fault> {
        let partition = &mut self.slots[slot];
        // The partition has moved to another offset since the request.
        if asked != Some(partition.offset) {
            return Ok(true);
        }
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
            partition.offset = next;
        }
        Ok(true)
    }
}

/// The buffer for the next answer: the last one, if nobody holds it, or else a spare or a new one.
fn free<'a>(frame: &'a mut Arc<Vec<u8>>, spare: &mut Vec<Arc<Vec<u8>>>) -> &'a mut Vec<u8> {
    if Arc::get_mut(frame).is_none() {
        let free = spare.iter_mut().position(|held| Arc::get_mut(held).is_some());
        let next = free.map(|at| spare.swap_remove(at)).unwrap_or_default();
        let held = std::mem::replace(frame, next);
        if spare.len() < SPARE_MAX {
            spare.push(held);
        }
    }
    Arc::get_mut(frame).expect("there is no other reference")
}

impl Partition {
    fn is_active(&self) -> bool {
        self.offset < self.until && !self.is_out_of_range
    }

    /// The epoch of the leader; −1 without one.
    fn epoch(&self) -> i32 {
        self.leader.map_or(-1, |(_, epoch)| epoch)
    }
}

#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod tests;
