//! Produces records: gathers them into batches and sends the batches to the leaders, each once and in order.
//!
//! ```text
//!  append ─► open batch of the partition ─► sealed batches ─► one request in flight per broker, one batch per partition
//!             full, or older than `linger`                     └─ answered: acknowledged, sent again, or given up
//! ```
//! The producer is idempotent: it has an id, and every batch has a sequence number. So a batch that is sent again is
//! written once. One batch of a partition is in flight at a time, so retries keep the order. A batch that is not
//! acknowledged in time is given up: it may or may not be in the log. The partition then continues under a new id,
//! since its sequence numbers have a gap.
//!
//! Leaders that move, brokers that stop and slow answers are not errors. The producer sends unacknowledged batches
//! again, with growing pauses, and [`Producer::trouble`] tells what it waits for. It runs on the caller's thread: the
//! caller must poll.
//!
//! A producer of a transaction has its identity from [`crate::Transactions`], and keeps it. Where another producer would
//! continue under a new id, it fails: the transaction cannot be committed.

mod batch;
mod link;
mod pack;
#[cfg(test)]
mod tests;

use crate::cluster::{Cluster, wants_metadata};
use crate::connection::check;
use crate::fault::{Fault, is_transient};
use crate::settings::Settings;
use crate::stream::{Readiness, wait};
pub use batch::NewRecord;
use batch::{Open, Sealed};
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::InitProducerIdRequest;
use kafka_protocol::protocol::VersionRange;
use link::{Link, Outcome};
pub use pack::Codec;
use std::collections::{BTreeMap, VecDeque};
use std::thread;
use std::time::{Duration, Instant};
use tidemill_model::{Error, Result};
use tidemill_wire::Bounds;

/// A transaction before that is not complete takes a few milliseconds more.
pub(crate) const CONCURRENT_PAUSE: Duration = Duration::from_millis(2);
const INIT: VersionRange = VersionRange { min: 0, max: 4 };
/// Most buffers of batches that are kept for reuse.
const FREE_MAX: usize = 16;

/// Producer id and epoch.
pub type Identity = (i64, i16);

/// Writes records to the partitions of one topic.
pub struct Producer {
    cluster: Cluster,
    topic: String,
    partitions: Vec<Partition>,
    links: BTreeMap<i32, Link>,
    /// Bytes of records that are not acknowledged yet.
    buffered_bytes: usize,
    counts: Counts,
    free: Vec<Vec<u8>>,
    /// No request for metadata or ids before this time.
    ask_not_before: Instant,
    /// No records before this time.
    write_not_before: Instant,
    failures: u32,
    trouble: Option<Fault>,
    /// Batches that are not full are sent too.
    is_flushing: bool,
    transactional: Option<Transactional>,
}

/// What a producer of transactions is told.
#[derive(Clone, Debug)]
pub struct Transactional {
    /// The transactional id.
    pub id: String,
    /// The identity in the current transaction.
    pub identity: Identity,
    /// [`crate::Transactions::adds_by_writing`].
    pub adds_by_writing: bool,
}

/// Counts of the appended records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accepted by the producer.
    pub appended: u64,
    /// Acknowledged by the broker.
    pub acknowledged: u64,
    /// Given up. The broker may or may not have them.
    pub failed: u64,
}

#[derive(Default)]
struct Partition {
    leader: Option<i32>,
    open: Open,
    sealed: VecDeque<Sealed>,
    /// The first of `sealed` is in flight.
    is_under_way: bool,
    /// The producer id and epoch of this partition. `None` if it needs a new one.
    identity: Option<Identity>,
    /// The sequence number of the next record.
    sequence: i32,
}

impl Producer {
    /// A producer for partitions 0 to `partitions` − 1 of a topic. It connects on the first poll.
    ///
    /// # Errors
    /// User: a setting is wrong.
    pub fn new(settings: Settings, topic: &str, partitions: i32) -> Result<Producer> {
        Ok(Producer {
            cluster: Cluster::new(settings)?,
            topic: topic.to_owned(),
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            links: BTreeMap::new(),
            buffered_bytes: 0,
            counts: Counts::default(),
            free: Vec::new(),
            ask_not_before: Instant::now(),
            write_not_before: Instant::now(),
            failures: 0,
            trouble: None,
            is_flushing: false,
            transactional: None,
        })
    }

    /// The same, for records in the transactions of a transactional id. Unless writing adds partitions, a record may be sent
    /// only after its partition was added.
    ///
    /// # Errors
    /// As [`Producer::new`].
    pub fn transactional(
        settings: Settings,
        (topic, partitions): (&str, i32),
        transactional: Transactional,
    ) -> Result<Producer> {
        let producer = Producer::new(settings, topic, partitions)?;
        Ok(Producer { transactional: Some(transactional), ..producer })
    }

    /// Begins the next transaction under this identity. Nothing is on its way.
    pub fn begin_transaction(&mut self, identity: Identity) {
        assert_eq!(self.pending(), 0, "a transaction ends when all of its records are acknowledged");
        let transactional = self.transactional.as_mut().expect("a producer of transactions");
        if transactional.identity != identity {
            transactional.identity = identity;
            self.partitions.iter_mut().for_each(Partition::renew);
        }
    }

    /// Takes a record for a partition. `false` if too much is not acknowledged yet: poll first.
    ///
    /// # Errors
    /// The records cannot be compressed.
    ///
    /// # Panics
    /// If the partition does not exist.
    pub fn append(&mut self, partition: i32, record: &NewRecord<'_>, now: Instant) -> Result<bool> {
        let settings = self.cluster.settings().produce;
        if self.buffered_bytes >= settings.buffer_bytes_max {
            return Ok(false);
        }
        let partition = &mut self.partitions[partition as usize];
        let needed = record.value.map_or(0, <[u8]>::len) + record.key.map_or(0, <[u8]>::len);
        if partition.open.bytes() + needed > settings.batch_bytes_max && partition.open.born().is_some() {
            partition.seal(settings.codec, &mut self.free)?;
        }
        let before = partition.open.bytes();
        partition.open.push(record, now);
        self.buffered_bytes += partition.open.bytes() - before;
        self.counts.appended += 1;
        Ok(true)
    }

    /// Counts of the records so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Records that are neither acknowledged nor given up.
    pub fn pending(&self) -> u64 {
        self.counts.appended - self.counts.acknowledged - self.counts.failed
    }

    /// The error that the producer is waiting out, if any.
    pub fn trouble(&self) -> Option<Error> {
        self.trouble.clone().map(|fault| self.cluster.error(fault))
    }

    /// Sends what is due and takes answers. Waits at most `wait` for an answer or for more to send.
    ///
    /// # Errors
    /// Errors that waiting does not solve: no right to write, a missing topic.
    pub fn poll(&mut self, wait: Duration) -> Result<()> {
        let result = self.poll_until(Instant::now() + wait);
        result.map_err(|fault| self.cluster.error(fault))
    }

    /// Like [`Producer::poll`], but also sends batches that are not full.
    ///
    /// # Errors
    /// As [`Producer::poll`].
    pub fn flush(&mut self, wait: Duration) -> Result<()> {
        self.is_flushing = true;
        let result = self.poll(wait);
        self.is_flushing = false;
        result
    }

    fn poll_until(&mut self, deadline: Instant) -> Result<(), Fault> {
        self.give_up();
        self.send()?;
        if !self.receive()? && self.pending() > 0 {
            self.wait(deadline);
            self.receive()?;
        }
        self.send()
    }

    /// Sends what is due to every broker that has answered.
    fn send(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        let (settings, is_flushing) = (self.cluster.settings().produce, self.is_flushing);
        for partition in self.partitions.iter_mut().filter(|partition| partition.sealed.is_empty()) {
            let is_due = |born: Instant| is_flushing || now - born >= settings.linger;
            if partition.open.born().is_some_and(is_due) {
                let sealed = partition.seal(settings.codec, &mut self.free);
                sealed.map_err(|error| Fault::Setting(error.to_string()))?;
            }
        }
        let lacks = |partition: &Partition| partition.leader.is_none() || partition.identity.is_none();
        let is_held = self.partitions.iter().any(|partition| partition.is_ready() && lacks(partition));
        if is_held
            && self.ask_not_before <= now
            && let Err(fault) = self.prepare()
        {
            // A partition without a leader does not hold up the others.
            self.wait_out(fault)?;
        }
        if self.write_not_before > now {
            return Ok(());
        }
        let mut brokers: Vec<i32> =
            self.partitions.iter().filter(|known| known.is_ready()).filter_map(|known| known.leader).collect();
        brokers.sort_unstable();
        brokers.dedup();
        for broker in brokers {
            let link = self.links.entry(broker).or_default();
            if !link.is_ready() {
                continue;
            }
            let ready = self.partitions.iter_mut().enumerate().filter(|(_, known)| known.leader == Some(broker));
            let sent = match self.cluster.address(broker) {
                Ok(address) => link.send(&self.cluster, &address, (&self.topic, self.transactional.as_ref()), ready),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = sent {
                self.lose(broker, fault)?;
            }
        }
        Ok(())
    }

    /// Finds missing leaders and producer ids. The error about a partition that has no leader comes last.
    fn prepare(&mut self) -> Result<(), Fault> {
        let mut found = Ok(());
        if self.partitions.iter().any(|partition| partition.is_ready() && partition.leader.is_none()) {
            let unknown =
                || Fault::code(format!("a request for topic `{}`", self.topic), Code::UnknownTopicOrPartition);
            let topic = self.cluster.topic(&self.topic)?.ok_or_else(unknown)?;
            // What is under way belongs to the broker that it was sent to.
            for (number, partition) in self.partitions.iter_mut().enumerate().filter(|(_, known)| !known.is_under_way) {
                let leader = topic.leaders.get(&(number as i32)).filter(|leader| leader.broker >= 0);
                partition.leader = leader.map(|leader| leader.broker);
            }
            if self.partitions.iter().any(|partition| partition.is_ready() && partition.leader.is_none()) {
                let what = format!("a request to write to topic `{}`", self.topic);
                found = Err(Fault::code(what, Code::LeaderNotAvailable));
            }
        }
        if self.partitions.iter().any(|partition| partition.is_ready() && partition.identity.is_none()) {
            let identity = match &self.transactional {
                Some(transactional) => transactional.identity,
                None => self.fresh_identity()?,
            };
            for partition in self.partitions.iter_mut().filter(|partition| partition.identity.is_none()) {
                (partition.identity, partition.sequence) = (Some(identity), 0);
            }
        }
        found
    }

    fn fresh_identity(&mut self) -> Result<Identity, Fault> {
        let request =
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(i32::MAX);
        let answer = self.cluster.any(|connection| connection.call(INIT, &request, Bounds::NAMES))?;
        check("a producer id", answer.error_code, None)?;
        Ok((answer.producer_id.0, answer.producer_epoch))
    }

    /// Takes the answers that have arrived. Returns whether there was one.
    fn receive(&mut self) -> Result<bool, Fault> {
        let brokers: Vec<i32> = self.links.keys().copied().collect();
        let mut any = false;
        for broker in brokers {
            let link = self.links.get_mut(&broker).expect("listed above");
            match link.receive() {
                Ok(None) => {}
                Ok(Some(outcomes)) => {
                    any = true;
                    self.take_in(outcomes)?;
                }
                Err(fault) => {
                    any = true;
                    self.lose(broker, fault)?;
                }
            }
        }
        Ok(any)
    }

    fn take_in(&mut self, outcomes: Vec<Outcome>) -> Result<(), Fault> {
        let mut is_well = false;
        for Outcome { partition: number, code, message } in outcomes {
            let partition = &mut self.partitions[number as usize];
            partition.is_under_way = false;
            let Some(code) = Code::try_from_code(code).filter(|code| *code != Code::DuplicateSequenceNumber) else {
                let batch = partition.sealed.pop_front().expect("the batch was in flight");
                self.buffered_bytes = self.buffered_bytes.saturating_sub(batch.plain_bytes);
                self.counts.acknowledged += u64::from(batch.records);
                keep(&mut self.free, batch.bytes);
                is_well = true;
                continue;
            };
            let what = format!("to write to partition {number} of topic `{}`", self.topic);
            let fault = Fault::Code { what, code, message };
            match code {
                // The broker no longer knows this producer and did not write the batch. Send it under a new id.
                Code::OutOfOrderSequenceNumber
                | Code::UnknownProducerId
                | Code::InvalidProducerEpoch
                | Code::InvalidProducerIdMapping
                    if self.transactional.is_none() =>
                {
                    partition.renew();
                    self.pause(fault);
                }
                Code::MessageTooLarge | Code::RecordListTooLarge => {
                    self.trouble = Some(fault);
                    self.fail_first(number as usize);
                }
                // The end of the transaction before is still being written: some milliseconds more.
                Code::ConcurrentTransactions => {
                    self.write_not_before = Instant::now() + CONCURRENT_PAUSE;
                    self.trouble = Some(fault);
                }
                code if is_transient(code) || wants_metadata(code) => {
                    partition.leader = None;
                    self.wait_out(fault)?;
                }
                _ => return Err(fault),
            }
        }
        // A partition without a leader is still waited for.
        if is_well && !self.partitions.iter().any(|known| known.is_ready() && known.leader.is_none()) {
            (self.trouble, self.failures) = (None, 0);
        }
        Ok(())
    }

    /// Records the fault and schedules a retry after a pause. Fails if waiting does not help.
    fn wait_out(&mut self, fault: Fault) -> Result<(), Fault> {
        if !fault.may_pass(&self.cluster.settings().let_in) {
            return Err(fault);
        }
        if fault.wants_metadata() {
            self.cluster.forget_leaders();
        }
        self.pause(fault);
        Ok(())
    }

    fn pause(&mut self, fault: Fault) {
        self.failures += 1;
        self.ask_not_before = Instant::now() + self.cluster.settings().backoff.pause_after(self.failures);
        self.trouble = Some(fault);
    }

    /// Handles the loss of a broker. The batches in flight to it are sent again, to the leader at that time.
    fn lose(&mut self, broker: i32, fault: Fault) -> Result<(), Fault> {
        self.links.remove(&broker);
        for partition in self.partitions.iter_mut().filter(|partition| partition.leader == Some(broker)) {
            (partition.leader, partition.is_under_way) = (None, false);
        }
        self.wait_out(fault)
    }

    /// Gives up batches that have waited too long.
    fn give_up(&mut self) {
        let patience = self.cluster.settings().produce.delivery_max;
        for number in 0..self.partitions.len() {
            let is_over = |partition: &Partition| {
                !partition.is_under_way
                    && partition.sealed.front().is_some_and(|batch| batch.born.elapsed() >= patience)
            };
            while is_over(&self.partitions[number]) {
                self.fail_first(number);
            }
        }
    }

    fn fail_first(&mut self, number: usize) {
        let partition = &mut self.partitions[number];
        let batch = partition.sealed.pop_front().expect("the partition has a batch");
        self.buffered_bytes = self.buffered_bytes.saturating_sub(batch.plain_bytes);
        self.counts.failed += u64::from(batch.records);
        if batch.is_numbered {
            partition.renew();
        }
    }

    /// Waits until an answer arrives, a batch is due or a pause ends.
    fn wait(&self, deadline: Instant) {
        let linger = self.cluster.settings().produce.linger;
        let dues = self.partitions.iter().filter(|partition| partition.sealed.is_empty());
        let dues = dues.filter_map(|partition| Some(partition.open.born()? + linger));
        let is_held = self.partitions.iter().any(Partition::is_ready);
        let pauses = [self.ask_not_before, self.write_not_before].into_iter();
        let retry = pauses.filter(|at| is_held && *at > Instant::now());
        let links = self.links.values().filter_map(Link::wake_at);
        let wake = dues.chain(retry).chain(links).fold(deadline, Instant::min);
        let sockets: Vec<_> = self.links.values().filter_map(Link::socket).collect();
        match sockets.is_empty() {
            true => thread::sleep(wake.saturating_duration_since(Instant::now())),
            false => {
                wait(&sockets, Readiness::Read, wake);
            }
        }
    }
}

impl Partition {
    /// Whether a batch could be sent.
    fn is_ready(&self) -> bool {
        !self.is_under_way && !self.sealed.is_empty()
    }

    fn seal(&mut self, codec: Codec, free: &mut Vec<Vec<u8>>) -> Result<()> {
        let sealed = self.open.seal(codec, free.pop().unwrap_or_default())?;
        self.sealed.extend(sealed);
        Ok(())
    }

    /// Continues under a new id. All waiting batches get new sequence numbers.
    fn renew(&mut self) {
        self.identity = None;
        self.sealed.iter_mut().for_each(|batch| batch.is_numbered = false);
    }
}

fn keep(free: &mut Vec<Vec<u8>>, mut bytes: Vec<u8>) {
    if free.len() < FREE_MAX {
        bytes.clear();
        free.push(bytes);
    }
}
