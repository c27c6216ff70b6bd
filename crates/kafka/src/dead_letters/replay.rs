//! Sends the records of dead letters again: with their own key, value, headers and timestamp, without ours.

use super::HEADER_PREFIX;
use crate::admin;
use crate::options::KafkaOptions;
use crate::produce::{NewRecord, Producer, producer};
use crate::read::KafkaReader;
use crate::sink::partitioner;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Chunk, Read, RecordMetadata};
use tidemill_model::{Error, OffsetRange, Result};

/// Most records of one look.
const RECORDS: usize = 2_048;
/// Longest wait of one look at the answers.
const LOOK: Duration = Duration::from_millis(100);

/// What was sent again, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records that were sent.
    pub sent: u64,
    /// Further dead letters of a record that was sent: one for each of its faults.
    pub repeated: u64,
    /// Dead letters of groups: there is no record to send.
    pub groups: u64,
    /// Dead letters with another reason than the wanted one.
    pub others: u64,
}

/// Where a record was: topic, partition, offset.
type Origin = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Sends each record that has a dead letter in `topic`, with this reason or any, to the topic `to`. Reads what is
/// there now.
///
/// # Errors
/// User: a topic is missing. Transient: no answer. External: a cluster refuses.
pub fn replay(
    (options, topic): (&KafkaOptions, &str),
    (to_options, to): (&KafkaOptions, &str),
    reason: Option<&str>,
) -> Result<Replayed> {
    let extents = admin::extents(options, topic)?;
    if extents.is_empty() {
        return Err(Error::user(format!(
            "topic `{topic}` does not exist, so there are no dead letters; check the pipeline file"
        )));
    }
    let Some(partitions) = admin::partition_count(to_options, to)? else {
        return Err(Error::user(format!("topic `{to}` does not exist; create it, or correct --to")));
    };
    let mut sender = Sender {
        producer: producer(to_options, to, partitions)?,
        partitions,
        reason,
        seen: HashSet::new(),
        replayed: Replayed::default(),
    };
    let parts = RecordMetadata { keys: true, headers: true, ..RecordMetadata::default() };
    let mut reader = KafkaReader::new(options)?.with_parts(parts);
    let mut chunk = Chunk::default();
    for (partition, there) in extents {
        reader.open(&OffsetRange { partition, start: there.start, end: there.end })?;
        while reader.next(&mut chunk, RECORDS)? {
            (0..chunk.len()).try_for_each(|record| sender.send(&chunk, record))?;
        }
    }
    while sender.producer.pending() > 0 {
        sender.look()?;
    }
    Ok(sender.replayed)
}

struct Sender<'a> {
    producer: Producer,
    partitions: i32,
    reason: Option<&'a str>,
    seen: HashSet<Origin>,
    replayed: Replayed,
}

impl Sender<'_> {
    fn send(&mut self, chunk: &Chunk, record: usize) -> Result<()> {
        let start = if record == 0 { 0 } else { chunk.header_ends[record - 1] };
        let all = (start..chunk.header_ends[record]).map(|at| {
            (str::from_utf8(chunk.header_names.get(at).unwrap_or_default()).unwrap_or("?"), chunk.header_values.get(at))
        });
        let (ours, theirs): (Vec<_>, Vec<_>) = all.partition(|(name, _)| name.starts_with(HEADER_PREFIX));
        let our = |name: &str| {
            ours.iter().find(|(found, _)| found[HEADER_PREFIX.len()..] == *name).and_then(|(_, value)| *value)
        };
        if self.reason.is_some_and(|reason| our("reason") != Some(reason.as_bytes())) {
            self.replayed.others += 1;
            return Ok(());
        }
        let (Some(topic), Some(partition), Some(offset)) = (our("topic"), our("partition"), our("offset")) else {
            self.replayed.groups += 1;
            return Ok(());
        };
        if !self.seen.insert((topic.to_vec(), partition.to_vec(), offset.to_vec())) {
            self.replayed.repeated += 1;
            return Ok(());
        }
        let timestamp = our("timestamp").and_then(|text| str::from_utf8(text).ok()?.parse().ok());
        let (key, value) = (chunk.keys.get(record), chunk.value(record));
        let sent = NewRecord { timestamp: timestamp.unwrap_or(chunk.timestamps[record]), key, value, headers: &theirs };
        let partition = match key {
            Some(key) => partitioner::of_key(key, self.partitions),
            None => partitioner::of_number(0, self.replayed.sent, self.partitions),
        };
        while !self.producer.append(partition, &sent, Instant::now())? {
            self.look()?;
        }
        self.replayed.sent += 1;
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        self.producer.flush(LOOK)?;
        match self.producer.counts().failed {
            0 => Ok(()),
            _ => Err(self
                .producer
                .trouble()
                .unwrap_or_else(|| Error::transient("Kafka did not take the records; some may be there. Try again"))),
        }
    }
}
