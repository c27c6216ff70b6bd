//! Finds the offsets where a query starts or ends, from what the user has given: offsets or timestamps.

use crate::ask::{self, Ask, At};
use crate::options::KafkaOptions;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tidemill_flow::ports::{Extent, Extents};
use tidemill_model::kafka_source::{EARLIEST, LATEST, PerPartition};
use tidemill_model::pipeline::Position;
use tidemill_model::{Error, Offsets, PartitionId, Result};

/// Longest wait for an answer of a broker.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Finds a position in each partition.
pub(crate) struct Finder {
    pub(crate) options: KafkaOptions,
    pub(crate) position: Position,
    /// The key that gave the position, for messages.
    pub(crate) key: &'static str,
    /// A partition without a record that is as new as the timestamp: its end is taken. Otherwise it is an error.
    pub(crate) takes_end_without_match: bool,
    /// An offset that the partition does not hold is an error. Otherwise the nearest one that exists is taken.
    pub(crate) fail_on_data_loss: bool,
    /// Created on first use.
    pub(crate) client: Option<Box<dyn Ask>>,
}

impl Finder {
    /// The offset of each partition.
    ///
    /// # Errors
    /// Transient: no broker answers. User: the position does not fit the topics.
    pub(crate) fn find(&mut self, extents: &Extents) -> Result<Offsets> {
        match self.position.clone() {
            Position::Earliest => Ok(all(extents, |extent| extent.start)),
            Position::Latest => Ok(all(extents, |extent| extent.end)),
            Position::Offsets(given) => self.given(extents, &given),
            Position::Timestamp(timestamp) => self.at_times(extents, |_| timestamp),
            Position::Timestamps(given) => {
                self.check_complete(extents, &given)?;
                self.at_times(extents, |id| given[&*id.topic][&id.partition])
            }
        }
    }

    fn given(&self, extents: &Extents, given: &PerPartition) -> Result<Offsets> {
        self.check_complete(extents, given)?;
        let offset = |(id, extent): (&PartitionId, &Extent)| {
            let offset = match given[&*id.topic][&id.partition] {
                EARLIEST => extent.start,
                LATEST => extent.end,
                offset if (extent.start..=extent.end).contains(&offset) => offset,
                offset if !self.fail_on_data_loss => offset.clamp(extent.start, extent.end),
                offset => {
                    return Err(Error::user(format!(
                        "`{}` names offset {offset} of {id}, which begins at {} and ends at {}; correct it, or write \
                         fail_on_data_loss = false, which takes the nearest offset",
                        self.key, extent.start, extent.end
                    )));
                }
            };
            Ok((id.clone(), offset))
        };
        Ok(Offsets(extents.iter().map(offset).collect::<Result<_>>()?))
    }

    /// Fails unless exactly the partitions that are read are named. Spark's rule.
    fn check_complete(&self, extents: &Extents, given: &PerPartition) -> Result<()> {
        let named = given.iter().flat_map(|(topic, of_topic)| of_topic.keys().map(move |number| (&**topic, *number)));
        let (named, read): (BTreeSet<(&str, i32)>, BTreeSet<(&str, i32)>) =
            (named.collect(), extents.keys().map(|id| (&*id.topic, id.partition)).collect());
        let listed = |partitions: Vec<&(&str, i32)>| {
            let names: Vec<String> = partitions.iter().map(|(topic, number)| format!("{topic}-{number}")).collect();
            names.join(", ")
        };
        let wrong = match (listed(read.difference(&named).collect()), listed(named.difference(&read).collect())) {
            (lacking, _) if !lacking.is_empty() => format!("lacks {lacking}"),
            (_, unread) if !unread.is_empty() => format!("names {unread}, which does not exist or is not read"),
            _ => return Ok(()),
        };
        Err(Error::user(format!("`{}` {wrong}; name each partition that is read and no other", self.key)))
    }

    fn at_times(&mut self, extents: &Extents, time: impl Fn(&PartitionId) -> i64) -> Result<Offsets> {
        let mut by_time: BTreeMap<i64, Vec<PartitionId>> = BTreeMap::new();
        extents.keys().for_each(|id| by_time.entry(time(id)).or_default().push(id.clone()));
        let mut found = BTreeMap::new();
        for (time, ids) in by_time {
            let asks = match &mut self.client {
                Some(asks) => asks,
                None => self.client.insert(ask::open(&self.options)?),
            };
            let offsets = asks.offsets(&ids, At::Timestamp(time), ANSWER_MAX)?;
            for (id, offset) in ids.into_iter().zip(offsets) {
                let offset = match offset {
                    Some(offset) => offset,
                    None if self.takes_end_without_match => extents[&id].end,
                    None => {
                        return Err(Error::user(format!(
                            "`{}`: no record of {id} has the timestamp {time} or a later one; give an earlier one, or \
                             write starting_offsets_by_timestamp_strategy = \"latest\" to start at the end",
                            self.key
                        )));
                    }
                };
                found.insert(id, offset);
            }
        }
        Ok(Offsets(found))
    }
}

fn all(extents: &Extents, offset: impl Fn(&Extent) -> i64) -> Offsets {
    Offsets(extents.iter().map(|(id, extent)| (id.clone(), offset(extent))).collect())
}
