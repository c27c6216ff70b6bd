//! A broker that the producer writes to: its connection, and the request in flight.

use super::{Partition, Transactional};
use crate::cluster::{Address, Cluster};
use crate::connection::{Connection, decode};
use crate::fault::Fault;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, TopicName, TransactionalId};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use std::net::TcpStream;
use std::time::Instant;
use tidemill_wire::Bounds;

/// Versions that name topics by name.
const VERSIONS: VersionRange = VersionRange { min: 3, max: 12 };
/// Of these, those in which writing does not add a partition to a transaction, and those in which it does.
const UNADDING_VERSIONS: VersionRange = VersionRange { min: 3, max: 11 };
const ADDING_VERSIONS: VersionRange = VersionRange { min: 12, max: 12 };
/// All in-sync replicas.
const ACKS: i16 = -1;

/// A broker that the producer writes to.
#[derive(Default)]
pub(super) struct Link {
    connection: Option<Connection>,
    version: i16,
    /// Partitions of the request in flight. Empty if none is in flight.
    under_way: Vec<i32>,
    answer_due: Option<Instant>,
    frame: Vec<u8>,
}

/// The result of a partition's batch.
pub(super) struct Outcome {
    pub(super) partition: i32,
    pub(super) code: i16,
    pub(super) message: Option<String>,
}

impl Link {
    /// Whether a request may be sent now.
    pub(super) fn is_ready(&self) -> bool {
        self.under_way.is_empty() && self.connection.as_ref().and_then(Connection::muted_until).is_none()
    }

    /// When to check the link again, even without an answer.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match self.under_way.is_empty() {
            true => self.connection.as_ref().and_then(Connection::muted_until),
            false => self.answer_due,
        }
    }

    /// The socket to wait for, while a request is in flight.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        if self.under_way.is_empty() {
            return None;
        }
        self.connection.as_ref().map(Connection::socket)
    }

    /// Sends the first batch of each partition that has one. If they do not fit into a request, those that have waited longest
    /// go first: no partition has to wait for the others' new records.
    pub(super) fn send<'a>(
        &mut self,
        cluster: &Cluster,
        address: &Address,
        (topic, transactional): (&str, Option<&Transactional>),
        partitions: impl Iterator<Item = (usize, &'a mut Partition)>,
    ) -> Result<(), Fault> {
        let settings = cluster.settings();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let connection = Connection::open(&cluster.shared, (&address.0, address.1))?;
                let versions = match transactional {
                    None => VERSIONS,
                    Some(Transactional { adds_by_writing: false, .. }) => UNADDING_VERSIONS,
                    Some(Transactional { adds_by_writing: true, .. }) => ADDING_VERSIONS,
                };
                self.version = connection.version(ApiKey::Produce, versions)?;
                self.connection.insert(connection)
            }
        };
        let (mut data, mut bytes, mut sent) = (Vec::new(), 0, Vec::new());
        let mut ready: Vec<_> = partitions.filter(|(_, known)| known.is_ready() && known.identity.is_some()).collect();
        ready.sort_by_key(|(_, known)| known.sealed.front().map(|batch| batch.born));
        for (number, partition) in ready {
            let (Some(identity), Some(batch)) = (partition.identity, partition.sealed.front_mut()) else { continue };
            if !data.is_empty() && bytes + batch.bytes.len() > settings.produce.request_bytes_max {
                break;
            }
            if !batch.is_numbered {
                batch.number(identity, partition.sequence, transactional.is_some());
                // 0 follows the largest number.
                partition.sequence = partition.sequence.wrapping_add(batch.records as i32) & i32::MAX;
            }
            bytes += batch.bytes.len();
            let records = Bytes::from(std::mem::take(&mut batch.bytes));
            data.push(PartitionProduceData::default().with_index(number as i32).with_records(Some(records)));
            sent.push((number as i32, partition));
        }
        if data.is_empty() {
            return Ok(());
        }
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partition_data(data);
        let request = ProduceRequest::default()
            .with_transactional_id(transactional.map(|known| TransactionalId(StrBytes::from_string(known.id.clone()))))
            .with_acks(ACKS)
            .with_timeout_ms(settings.answer_max.as_millis() as i32)
            .with_topic_data(vec![topic]);
        let deadline = Instant::now() + settings.answer_max;
        let result = connection.send_later(ApiKey::Produce, self.version, &request, deadline);
        // The batches stay until they are acknowledged.
        let lent = request.topic_data.into_iter().flat_map(|topic| topic.partition_data);
        for (data, (_, partition)) in lent.zip(&mut sent) {
            let batch = partition.sealed.front_mut().expect("its batch was lent");
            batch.bytes = data.records.map(Vec::from).unwrap_or_default();
        }
        result?;
        self.answer_due = Some(deadline);
        self.under_way = sent.iter().map(|(number, _)| *number).collect();
        sent.into_iter().for_each(|(_, partition)| partition.is_under_way = true);
        Ok(())
    }

    /// The answer, if it is complete: one outcome for each partition in the request.
    pub(super) fn receive(&mut self) -> Result<Option<Vec<Outcome>>, Fault> {
        if self.under_way.is_empty() {
            return Ok(None);
        }
        let connection = self.connection.as_mut().expect("a request in flight has a connection");
        let Some(body) = connection.receive_into(&mut self.frame)? else {
            if self.answer_due.is_some_and(|due| due <= Instant::now()) {
                return Err(Fault::Lost(format!("{} did not answer a Produce request in time", connection.broker)));
            }
            return Ok(None);
        };
        let mut body = BytesMut::from(&self.frame[body]).freeze();
        let answer: ProduceResponse = decode(&mut body, self.version, Bounds::NAMES, &connection.broker)?;
        connection.throttle(answer.throttle_time_ms);
        let mut outcomes = Vec::new();
        for part in answer.responses.iter().flat_map(|topic| &topic.partition_responses) {
            if self.under_way.contains(&part.index) {
                self.under_way.retain(|number| *number != part.index);
                let message = part.error_message.as_ref().map(ToString::to_string);
                outcomes.push(Outcome { partition: part.index, code: part.error_code, message });
            }
        }
        match self.under_way.is_empty() {
            true => Ok(Some(outcomes)),
            false => {
                Err(Fault::Lost(format!("the answer of {} to a Produce request lacks a partition", connection.broker)))
            }
        }
    }
}
