//! Writes the records of batches to topics, each batch once or at least once.
//!
//! ```text
//!  exactly-once   take over the transactional id ─► was the batch committed? ─► records ─► offset of the group ─► commit
//!  at-least-once  records, acknowledged
//! ```
//! The transactional id and a group of the same name belong to one sink of one query. The transaction of batch N also
//! stores N + 1 as the group's offset of partition 0 of the topic of the batch's first record. A batch that is replayed
//! after a crash has the same rows, so that offset tells whether it is there already. Taking over fences a driver that
//! still runs elsewhere: its next write fails, and nothing of it becomes visible.

use super::partitioner;
use crate::admin;
use crate::choice::settings;
use crate::options::KafkaOptions;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidemill_client::produce::{NewRecord, Producer, Transactional};
use tidemill_client::{Cluster, Settings, Transactions};
use tidemill_model::pipeline::{Delivery, NewTopic};
use tidemill_model::{Error, Result};
use tidemill_os::clock;

/// Longest wait for an answer before the caller may try again and tell what it waits for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same while records cannot be sent. The transaction before may be ended by then, and the batch written anew.
const SEND_PATIENCE: Duration = Duration::from_secs(5);
/// The same when a run begins: a cluster that is down then is not an error yet.
const BEGIN_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for the end of a transaction that has failed.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);
/// Full batches are sent after so many records, and answers taken.
const SENT_EVERY: u64 = 4_096;
/// Longest wait of one look at the answers.
const LOOK: Duration = Duration::from_millis(100);

/// Puts the records of a batch.
pub type Fill<'a> = dyn FnMut(&mut BatchWriter) -> Result<()> + 'a;

/// Where records go, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name of the sink. It is part of the transactional id.
    pub name: String,
    /// The cluster.
    pub options: KafkaOptions,
    /// How a missing topic is created; `None`: it is not.
    pub new_topic: Option<NewTopic>,
    /// How often a record may be written.
    pub delivery: Delivery,
}

/// Writes batches. It connects when it begins.
pub struct BatchWriter {
    target: Target,
    settings: Settings,
    /// Transactional id and group.
    id: String,
    cluster: Cluster,
    /// `None` for at-least-once delivery.
    transactions: Option<Transactions>,
    /// Our identity for the current transactions. `None` before we take over, and after a failure.
    identity: Option<(i64, i16)>,
    /// No batch was written since we took over, so the next one may be there already.
    is_unsure: bool,
    topics: Vec<Topic>,
    /// The topic of the record before: most batches have one.
    last: usize,
    /// Partitions of the batch that are not yet in the transaction.
    fresh: BTreeMap<String, Vec<i32>>,
    batch_id: u64,
    records: u64,
    time_ms: i64,
    /// The time at which records are taken, as of the last look.
    now: Instant,
    /// Since when records cannot be sent.
    trouble_since: Option<Instant>,
}

struct Topic {
    name: String,
    producer: Producer,
    /// For each partition, whether records of the batch go there.
    is_used: Vec<bool>,
}

impl BatchWriter {
    /// A writer for a query: the one with this id, which it keeps across restarts.
    ///
    /// # Errors
    /// User: a wrong option.
    pub fn new(target: &Target, query_id: &str) -> Result<BatchWriter> {
        let settings = settings(&target.options)?;
        let id = format!("tidemill-{query_id}-{}", target.name);
        let transactions = match target.delivery {
            Delivery::ExactlyOnce => Some(Transactions::new(settings.clone(), &id)?),
            Delivery::AtLeastOnce => None,
        };
        Ok(BatchWriter {
            target: target.clone(),
            cluster: Cluster::new(settings.clone())?,
            settings,
            id,
            transactions,
            identity: None,
            is_unsure: true,
            topics: Vec::new(),
            last: 0,
            fresh: BTreeMap::new(),
            batch_id: 0,
            records: 0,
            time_ms: 0,
            now: clock::now(),
            trouble_since: None,
        })
    }

    /// Begins a run. Takes over from the run before, and finds out whether the topic can be written.
    ///
    /// # Errors
    /// User: a missing topic. External: no right. A cluster that is down is not an error yet.
    pub fn begin(&mut self, topic: Option<&str>) -> Result<()> {
        let begun = self.take_over(BEGIN_PATIENCE).and_then(|()| match topic {
            Some(topic) => self.open(topic, BEGIN_PATIENCE).map(drop),
            None => Ok(()),
        });
        match begun {
            Err(error) if !error.retry => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes a batch: `fill` puts its records, the first of them to the topic `first`. On return all records are
    /// acknowledged, and visible to readers of committed records.
    ///
    /// # Errors
    /// Transient: the cluster does not answer. External: fenced by another driver, or no right.
    pub fn write(&mut self, batch_id: u64, first: &str, fill: &mut Fill<'_>) -> Result<()> {
        let had_identity = self.identity.is_some();
        let result = self.attempt(batch_id, first, fill);
        if result.is_ok() {
            return result;
        }
        let failed_in_transaction = had_identity && self.identity.is_some();
        self.reset();
        match result {
            // The broker may have aborted a transaction that was open for too long. To take over again finds out: it
            // fails if another driver has taken over.
            Err(error) if failed_in_transaction && !error.retry => {
                self.take_over(PATIENCE)?;
                let again = self.attempt(batch_id, first, fill);
                if again.is_err() {
                    self.reset();
                }
                again
            }
            result => result,
        }
    }

    /// Adds a record to the batch that is written. A record that names no partition gets one by its key.
    ///
    /// # Errors
    /// As [`BatchWriter::write`].
    pub fn put(&mut self, topic: &str, partition: Option<i32>, record: &NewRecord<'_>) -> Result<()> {
        if self.topics.get(self.last).is_none_or(|known| known.name != topic) {
            self.last = self.open(topic, PATIENCE)?;
        }
        let at = self.last;
        let number = self.records;
        self.records += 1;
        let record = NewRecord { timestamp: self.time_ms, ..*record };
        let known = &mut self.topics[at];
        let partitions = known.is_used.len() as i32;
        let partition = match (partition, record.key) {
            (Some(partition), _) if !(0..partitions).contains(&partition) => {
                return Err(Error::user(format!(
                    "a row names partition {partition} of topic `{topic}`, which has partitions 0 to {}; correct the column \
                     `partition`, or leave it out",
                    partitions - 1
                )));
            }
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner::of_key(key, partitions),
            (None, None) => partitioner::of_number(self.batch_id, number, partitions),
        };
        if !std::mem::replace(&mut known.is_used[partition as usize], true) {
            self.fresh.entry(topic.to_owned()).or_default().push(partition);
        }
        while !self.topics[at].producer.append(partition, &record, self.now)? {
            self.add_fresh()?;
            self.look(at)?;
            self.now = clock::now();
        }
        if number % SENT_EVERY == SENT_EVERY - 1 {
            // The broker writes while the next rows are made.
            self.add_fresh()?;
            self.topics[at].producer.poll(Duration::ZERO)?;
            self.now = clock::now();
        }
        Ok(())
    }

    fn attempt(&mut self, batch_id: u64, first: &str, fill: &mut Fill<'_>) -> Result<()> {
        self.take_over(PATIENCE)?;
        if let Some(transactions) = self.transactions.as_mut().filter(|_| self.is_unsure) {
            let stored = transactions.stored_offset(&self.id, first, PATIENCE)?;
            if stored.is_some_and(|next| next > batch_id as i64) {
                return Ok(());
            }
        }
        (self.batch_id, self.records, self.time_ms) = (batch_id, 0, clock::wall_ms());
        self.now = clock::now();
        fill(self)?;
        self.add_fresh()?;
        for at in 0..self.topics.len() {
            while self.topics[at].producer.pending() > 0 {
                self.look(at)?;
            }
        }
        if let Some(transactions) = &mut self.transactions {
            transactions.add_offset(&self.id, first, batch_id as i64 + 1, PATIENCE)?;
            let identity = transactions.end(true, PATIENCE)?;
            self.identity = Some(identity);
            self.topics.iter_mut().for_each(|topic| topic.producer.begin_transaction(identity));
        }
        self.topics.iter_mut().for_each(|topic| topic.is_used.fill(false));
        self.is_unsure = false;
        Ok(())
    }

    /// Gets an identity, unless we have one.
    fn take_over(&mut self, patience: Duration) -> Result<()> {
        if let Some(transactions) = self.transactions.as_mut().filter(|_| self.identity.is_none()) {
            self.identity = Some(transactions.take_over(patience)?);
        }
        Ok(())
    }

    /// After a failure: what is on its way belongs to a transaction that will be aborted.
    fn reset(&mut self) {
        if let Some(transactions) = self.transactions.as_mut().filter(|_| self.identity.is_some()) {
            // Otherwise it is aborted when somebody takes over, or by the broker. Until then readers would wait.
            let _ = transactions.end(false, ABORT_PATIENCE);
        }
        self.identity = None;
        self.is_unsure = true;
        self.trouble_since = None;
        self.topics.clear();
        self.fresh.clear();
    }

    /// Finds or creates a topic. Returns its index.
    fn open(&mut self, topic: &str, patience: Duration) -> Result<usize> {
        if let Some(at) = self.topics.iter().position(|known| known.name == topic) {
            return Ok(at);
        }
        let partitions = match (self.cluster.partitions(topic, patience)?, &self.target.new_topic) {
            (Some(partitions), _) => partitions.len() as i32,
            (None, Some(new)) => {
                self.cluster.create_topic(topic, Some(new.partitions), &new.options, patience)?;
                admin::ensure_topic(&self.target.options, topic, Some(new.partitions))?
            }
            (None, None) => {
                return Err(Error::user(format!(
                    "topic `{topic}` does not exist; create it, or write partitions = 4 or so below `topic` to have it created"
                )));
            }
        };
        let settings = self.settings.clone();
        let producer = match (&self.transactions, self.identity) {
            (Some(transactions), Some(identity)) => {
                let (id, adds_by_writing) = (self.id.clone(), transactions.adds_by_writing());
                let transactional = Transactional { id, identity, adds_by_writing };
                Producer::transactional(settings, (topic, partitions), transactional)?
            }
            _ => Producer::new(settings, topic, partitions)?,
        };
        self.topics.push(Topic { name: topic.to_owned(), producer, is_used: vec![false; partitions as usize] });
        Ok(self.topics.len() - 1)
    }

    /// Adds the partitions that are new in the batch to the transaction.
    fn add_fresh(&mut self) -> Result<()> {
        match &mut self.transactions {
            Some(transactions) if !self.fresh.is_empty() => transactions.add_partitions(&self.fresh, PATIENCE)?,
            _ => {}
        }
        self.fresh.clear();
        Ok(())
    }

    /// Sends records of a topic and takes answers.
    fn look(&mut self, at: usize) -> Result<()> {
        let Topic { name: topic, producer, .. } = &mut self.topics[at];
        producer.flush(LOOK)?;
        let trouble = producer.trouble();
        let since = trouble.as_ref().map(|_| self.trouble_since.unwrap_or_else(clock::now));
        self.trouble_since = since;
        if producer.counts().failed == 0 && since.is_none_or(|since| clock::since(since) < SEND_PATIENCE) {
            return Ok(());
        }
        Err(trouble.unwrap_or_else(|| {
            let servers = &self.target.options.bootstrap_servers;
            Error::transient(format!(
                "Kafka at {servers} did not take records for topic `{topic}`; they are sent again"
            ))
        }))
    }
}
