//! A cluster as a client sees it: brokers, leaders, and one connection to each broker that it uses.
//!
//! A request that fails for now (a leader has moved, a connection broke) is retried until the caller's deadline. The
//! pauses between the attempts grow.

use crate::connection::{Connection, Shared, check};
use crate::fault::{self, Fault};
use crate::settings::Settings;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tidemill_model::{Error, Result};
use tidemill_wire::Bounds;
use uuid::Uuid;

/// Limits of answers that name every partition of every topic. A partition takes 26 bytes and 12 reads in the metadata, so
/// fewer bytes are charged for a read than for a request: an answer may cost about ten times its size.
pub(crate) const PARTITIONS: Bounds = Bounds { frame_bytes: 64 << 20, read_bytes: 4, holds_bytes: false };
const METADATA: VersionRange = VersionRange { min: 4, max: 12 };

/// Connections to a cluster, and its cached metadata.
pub struct Cluster {
    pub(crate) shared: Arc<Shared>,
    seeds: Vec<Address>,
    /// The seed that was asked last. After a failure the next one is asked.
    seed: usize,
    brokers: BTreeMap<i32, Address>,
    controller: Option<i32>,
    topics: HashMap<String, Topic>,
    pub(crate) connections: HashMap<Address, Connection>,
    troubles: HashMap<Address, Trouble>,
}

/// A broker's host and port.
pub(crate) type Address = (String, u16);

/// A broker that could not be reached.
struct Trouble {
    failures: u32,
    not_before: Instant,
    fault: Fault,
}

/// The cached metadata of a topic.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) leaders: BTreeMap<i32, Leader>,
    is_internal: bool,
    at: Instant,
}

/// The leader of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// The broker's id; −1 if the partition has no leader.
    pub(crate) broker: i32,
    pub(crate) epoch: i32,
}

impl Cluster {
    /// A client of a cluster. It connects on the first request.
    ///
    /// # Errors
    /// User: a certificate cannot be read, or an address is malformed.
    pub fn new(settings: Settings) -> Result<Cluster> {
        let servers = settings.servers.clone();
        let made = seeds(&servers).and_then(|seeds| Ok((seeds, Shared::new(settings)?)));
        let (seeds, shared) = made.map_err(|fault| fault.into_error(&servers))?;
        Ok(Cluster {
            shared: Arc::new(shared),
            seeds,
            seed: 0,
            brokers: BTreeMap::new(),
            controller: None,
            topics: HashMap::new(),
            connections: HashMap::new(),
            troubles: HashMap::new(),
        })
    }

    /// The settings of this client.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The partitions of a topic, ascending. `None` if the topic does not exist.
    ///
    /// # Errors
    /// Transient: no broker answers within `patience`. Otherwise a broker refused.
    pub fn partitions(&mut self, topic: &str, patience: Duration) -> Result<Option<Vec<i32>>> {
        self.asking(patience, |cluster| {
            cluster.refresh(Some(&[topic]))?;
            Ok(cluster.topics.get(topic).map(|topic| topic.leaders.keys().copied().collect()))
        })
    }

    /// All topics that the user may see, with their partitions, ascending. Kafka's own topics are left out.
    ///
    /// # Errors
    /// As [`Cluster::partitions`].
    pub fn all_topics(&mut self, patience: Duration) -> Result<BTreeMap<String, Vec<i32>>> {
        self.asking(patience, |cluster| {
            cluster.refresh(None)?;
            let topics = cluster.topics.iter().filter(|(_, topic)| !topic.is_internal);
            Ok(topics.map(|(name, topic)| (name.clone(), topic.leaders.keys().copied().collect())).collect())
        })
    }

    /// Repeats a request until it succeeds, fails for good, or `patience` is over.
    pub(crate) fn asking<T>(
        &mut self,
        patience: Duration,
        mut ask: impl FnMut(&mut Cluster) -> Result<T, Fault>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        let mut failures = 0;
        loop {
            let fault = match ask(self) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            failures += 1;
            let pause = self.shared.settings.backoff.pause_after(failures);
            if !fault.is_transient() || Instant::now() + pause >= deadline {
                return Err(self.error(fault));
            }
            if fault.wants_metadata() {
                self.forget_leaders();
            }
            thread::sleep(pause);
        }
    }

    pub(crate) fn error(&self, fault: Fault) -> Error {
        let settings = &self.shared.settings;
        let may_pass = fault.may_pass(&settings.let_in);
        let mut error = fault.into_error(&settings.servers);
        error.retry |= may_pass;
        error
    }

    /// Drops the cached leaders, which may be wrong. They are read again before the next use.
    pub(crate) fn forget_leaders(&mut self) {
        self.topics.clear();
    }

    /// A topic's metadata, not older than the settings allow. `None` if the topic does not exist.
    pub(crate) fn topic(&mut self, name: &str) -> Result<Option<&Topic>, Fault> {
        let age_max = self.shared.settings.metadata_age_max;
        if self.topics.get(name).is_none_or(|topic| topic.at.elapsed() >= age_max) {
            self.refresh(Some(&[name]))?;
        }
        Ok(self.topics.get(name))
    }

    /// Reads brokers and the leaders of these topics, or of all, from any broker.
    pub(crate) fn refresh(&mut self, topics: Option<&[&str]>) -> Result<(), Fault> {
        let wanted = |topic: &&str| {
            MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string((*topic).to_owned()))))
        };
        let request = MetadataRequest::default()
            .with_topics(topics.map(|topics| topics.iter().map(wanted).collect()))
            .with_allow_auto_topic_creation(false);
        let answer = self.any(|connection| connection.call(METADATA, &request, PARTITIONS))?;
        match topics {
            Some(topics) => topics.iter().for_each(|topic| drop(self.topics.remove(*topic))),
            None => self.topics.clear(),
        }
        self.take_in(answer)
    }

    fn take_in(&mut self, answer: MetadataResponse) -> Result<(), Fault> {
        self.brokers = answer
            .brokers
            .iter()
            .filter_map(|broker| Some((broker.node_id.0, (broker.host.to_string(), u16::try_from(broker.port).ok()?))))
            .collect();
        self.controller = Some(answer.controller_id.0).filter(|id| *id >= 0);
        for topic in answer.topics {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            match Code::try_from_code(topic.error_code) {
                None | Some(Code::LeaderNotAvailable) => {}
                Some(Code::UnknownTopicOrPartition) => continue,
                Some(code) => return Err(Fault::code(format!("a request for topic `{name}`"), code)),
            }
            let leader = |broker: i32, epoch: i32| Leader { broker, epoch };
            let leaders = topic
                .partitions
                .iter()
                .map(|partition| (partition.partition_index, leader(partition.leader_id.0, partition.leader_epoch)));
            let leaders: BTreeMap<i32, Leader> = leaders.collect();
            if !leaders.is_empty() {
                let (id, is_internal) = (topic.topic_id, topic.is_internal);
                self.topics.insert(name, Topic { id, leaders, is_internal, at: Instant::now() });
            }
        }
        Ok(())
    }

    /// Asks any broker: a connected one, or else each known one once.
    pub(crate) fn any<T>(&mut self, mut ask: impl FnMut(&mut Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle =
            self.connections.iter().find(|(_, connection)| connection.is_idle()).map(|(address, _)| address.clone());
        let mut addresses: Vec<Address> = idle.into_iter().collect();
        addresses.extend(self.brokers.values().cloned());
        let seeds = (0..self.seeds.len()).map(|index| self.seeds[(self.seed + index) % self.seeds.len()].clone());
        addresses.extend(seeds);
        let mut last = Fault::Lost("no broker is known".into());
        let mut asked = Vec::new();
        for address in addresses {
            if asked.contains(&address) || self.connections.get(&address).is_some_and(|known| !known.is_idle()) {
                continue;
            }
            match self.on(&address, &mut ask) {
                Err(fault @ Fault::Lost(_)) => last = fault,
                result => return result,
            }
            asked.push(address);
        }
        self.seed = (self.seed + 1) % self.seeds.len();
        Err(last)
    }

    /// Asks a broker by its id.
    pub(crate) fn broker<T>(
        &mut self,
        id: i32,
        ask: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let address = self.address(id)?;
        self.on(&address, ask)
    }

    /// Asks the controller if it is known, or else any broker.
    pub(crate) fn controller<T>(
        &mut self,
        mut ask: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.brokers.is_empty() {
            self.refresh(Some(&[]))?;
        }
        match self.controller {
            Some(id) if self.brokers.contains_key(&id) => self.broker(id, ask),
            _ => self.any(&mut ask),
        }
    }

    pub(crate) fn address(&self, id: i32) -> Result<Address, Fault> {
        let leaderless = || Fault::code(format!("a request for broker {id}"), Code::LeaderNotAvailable);
        self.brokers.get(&id).cloned().ok_or_else(leaderless)
    }

    pub(crate) fn on<T>(
        &mut self,
        address: &Address,
        mut ask: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let result = ask(self.connection(address)?);
        // After a broken or unreadable answer, the next answer on this connection is unknown.
        if matches!(result, Err(Fault::Lost(_) | Fault::Malformed(_) | Fault::Refused(_))) {
            self.connections.remove(address);
        }
        result
    }

    /// The connection to a broker. Connects if there is none, unless an attempt has failed just now.
    pub(crate) fn connection(&mut self, address: &Address) -> Result<&mut Connection, Fault> {
        if !self.connections.contains_key(address) {
            if let Some(trouble) = self.troubles.get(address)
                && trouble.not_before > Instant::now()
            {
                return Err(trouble.fault.clone());
            }
            match Connection::open(&self.shared, (&address.0, address.1)) {
                Ok(connection) => {
                    self.troubles.remove(address);
                    self.connections.insert(address.clone(), connection);
                }
                Err(fault) => {
                    let failures = self.troubles.get(address).map_or(1, |trouble| trouble.failures + 1);
                    let not_before = Instant::now() + self.shared.settings.backoff.pause_after(failures);
                    self.troubles.insert(address.clone(), Trouble { failures, not_before, fault: fault.clone() });
                    return Err(fault);
                }
            }
        }
        Ok(self.connections.get_mut(address).expect("the connection exists or was just made"))
    }

    /// The leader of a partition.
    pub(crate) fn leader(&mut self, topic: &str, partition: i32) -> Result<Leader, Fault> {
        let unknown = |what: String| Fault::code(what, Code::UnknownTopicOrPartition);
        let found = self.topic(topic)?.ok_or_else(|| unknown(format!("a request for topic `{topic}`")))?;
        let what = || format!("a request for partition {partition} of topic `{topic}`");
        let leader = *found.leaders.get(&partition).ok_or_else(|| unknown(what()))?;
        match leader.broker {
            ..0 => Err(Fault::code(what(), Code::LeaderNotAvailable)),
            _ => Ok(leader),
        }
    }
}

fn seeds(servers: &str) -> Result<Vec<Address>, Fault> {
    let one = |server: &str| {
        // Users copy `SCHEME://HOST:PORT` from the broker's settings. The scheme is not part of the address.
        let server = server.rsplit_once("://").map_or(server, |(_, server)| server);
        let (host, port) = server.rsplit_once(':').unwrap_or((server, "9092"));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|port| *port > 0)?;
        (!host.is_empty()).then(|| (host.to_owned(), port))
    };
    let seeds: Option<Vec<Address>> =
        servers.split(',').map(str::trim).filter(|server| !server.is_empty()).map(one).collect();
    seeds.filter(|seeds| !seeds.is_empty()).ok_or_else(|| {
        Fault::Setting(format!(
            "`{servers}` names no broker; write `bootstrap_servers` as HOST:PORT, several separated by commas"
        ))
    })
}

/// Turns the error code of an answer about a partition into a fault.
pub(crate) fn check_partition(what: &str, topic: &str, partition: i32, code: i16) -> Result<(), Fault> {
    check(&format!("{what} of partition {partition} of topic `{topic}`"), code, None)
}

pub(crate) use fault::wants_metadata;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_brokers() {
        for (servers, expected) in [
            ("a:1, b:2", &[("a", 1), ("b", 2)][..]),
            ("a", &[("a", 9_092)]),
            ("SASL_SSL://a:1", &[("a", 1)]),
            ("[::1]:9", &[("::1", 9)]),
        ] {
            let found = seeds(servers).expect(servers);
            assert_eq!(found, expected.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect::<Vec<_>>());
        }
        for servers in ["", "a:b", ":1", "a:0", "a:70000"] {
            assert!(matches!(seeds(servers), Err(Fault::Setting(_))), "{servers}");
        }
    }
}
