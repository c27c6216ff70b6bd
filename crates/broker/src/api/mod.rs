//! The supported requests with their versions, and the dispatch of a frame.
//!
//! `tests/conformance.py` exercises every advertised version, with one exception: Produce is advertised from version 0,
//! as in Apache Kafka 4. Otherwise older versions of librdkafka assume a broker without compression. Produce 0 to 2
//! carry unsupported record formats and end the connection.

mod alter_configs;
mod cluster;
mod configs;
mod consumer_groups;
mod describe_transactions;
mod fetch;
mod group_offsets;
mod list_offsets;
mod log_dirs;
mod produce;
mod topics;
mod transactions;

use crate::catalog::Catalog;
use crate::config::BrokerConfig;
use crate::groups::Groups;
use crate::partition::Signal;
use crate::producer_ids::ProducerIds;
use crate::shape;
use crate::transactions::Transactions;
use crate::wire::Answer;
use bytes::Bytes;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use std::collections::HashSet;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tidemill_wire::Bounds;

/// State shared by all requests.
#[derive(Debug)]
pub(crate) struct Shared {
    pub config: BrokerConfig,
    pub catalog: Catalog,
    pub groups: Groups,
    pub producer_ids: ProducerIds,
    pub transactions: Transactions,
    pub cluster_id: String,
}

/// The client of a connection.
pub(crate) struct Client<'a> {
    pub shared: &'a Shared,
    pub stopping: &'a AtomicBool,
    /// The address at which the client reached the broker.
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// Wakes this client's fetch.
    pub signal: Arc<Signal>,
}

/// The context of one request.
pub(crate) struct Call<'a> {
    pub client: &'a Client<'a>,
    pub shared: &'a Shared,
    pub version: i16,
    bounds: Bounds,
    pub client_id: String,
    correlation_id: i32,
}

/// The frame is malformed or cannot be answered. The connection ends.
pub(crate) struct Malformed;

/// A supported request: its key, first version, last version, and bounds.
#[derive(Clone, Copy)]
struct Served(ApiKey, i16, i16, Bounds);

const APIS: [Served; 35] = [
    Served(ApiKey::Produce, 0, 11, Bounds::RECORDS),
    Served(ApiKey::Fetch, 4, 16, Bounds::PARTITIONS),
    Served(ApiKey::ListOffsets, 1, 7, Bounds::PARTITIONS),
    Served(ApiKey::Metadata, 0, 12, Bounds::NAMES),
    Served(ApiKey::OffsetCommit, 2, 8, Bounds::PARTITIONS),
    Served(ApiKey::OffsetFetch, 1, 8, Bounds::PARTITIONS),
    Served(ApiKey::FindCoordinator, 0, 4, Bounds::NAMES),
    Served(ApiKey::JoinGroup, 0, 9, Bounds::MEMBERS),
    Served(ApiKey::Heartbeat, 0, 4, Bounds::NAMES),
    Served(ApiKey::LeaveGroup, 0, 5, Bounds::NAMES),
    Served(ApiKey::SyncGroup, 0, 5, Bounds::MEMBERS),
    Served(ApiKey::DescribeGroups, 0, 5, Bounds::NAMES),
    Served(ApiKey::ListGroups, 0, 4, Bounds::NAMES),
    Served(ApiKey::ApiVersions, 0, 3, Bounds::NAMES),
    Served(ApiKey::CreateTopics, 2, 7, Bounds::NAMES),
    Served(ApiKey::DeleteTopics, 1, 6, Bounds::NAMES),
    Served(ApiKey::InitProducerId, 0, 5, Bounds::NAMES),
    Served(ApiKey::AddPartitionsToTxn, 0, 3, Bounds::PARTITIONS),
    Served(ApiKey::AddOffsetsToTxn, 0, 4, Bounds::NAMES),
    Served(ApiKey::EndTxn, 0, 4, Bounds::NAMES),
    Served(ApiKey::TxnOffsetCommit, 0, 4, Bounds::PARTITIONS),
    Served(ApiKey::DescribeTransactions, 0, 0, Bounds::NAMES),
    Served(ApiKey::ListTransactions, 0, 1, Bounds::NAMES),
    Served(ApiKey::DescribeProducers, 0, 0, Bounds::PARTITIONS),
    Served(ApiKey::DescribeConfigs, 1, 4, Bounds::NAMES),
    Served(ApiKey::AlterConfigs, 0, 2, Bounds::NAMES),
    Served(ApiKey::IncrementalAlterConfigs, 0, 1, Bounds::NAMES),
    Served(ApiKey::DescribeLogDirs, 1, 4, Bounds::PARTITIONS),
    Served(ApiKey::DeleteRecords, 0, 2, Bounds::PARTITIONS),
    Served(ApiKey::OffsetDelete, 0, 0, Bounds::PARTITIONS),
    Served(ApiKey::OffsetForLeaderEpoch, 2, 4, Bounds::PARTITIONS),
    Served(ApiKey::CreatePartitions, 0, 3, Bounds::NAMES),
    Served(ApiKey::DeleteGroups, 0, 2, Bounds::NAMES),
    Served(ApiKey::DescribeCluster, 0, 1, Bounds::NAMES),
    Served(ApiKey::ConsumerGroupHeartbeat, 0, 1, Bounds::PARTITIONS),
];
const FIRST_PRODUCE_VERSION: i16 = 3;

fn served(key: i16) -> Option<&'static Served> {
    APIS.iter().find(|Served(served, ..)| *served as i16 == key)
}

/// The bounds of requests with this API key. `None` if the key is not supported.
pub(crate) fn bounds(key: i16) -> Option<Bounds> {
    served(key).map(|Served(_, _, _, bounds)| *bounds)
}

/// Answers one frame. `None` if the request wants no answer.
pub(crate) fn answer(client: &Client<'_>, mut frame: Bytes) -> Result<Option<Answer>, Malformed> {
    let prefix: [u8; 8] = frame.get(..8).and_then(|prefix| prefix.try_into().ok()).ok_or(Malformed)?;
    let key = ApiKey::try_from(i16::from_be_bytes([prefix[0], prefix[1]])).map_err(|()| Malformed)?;
    let version = i16::from_be_bytes([prefix[2], prefix[3]]);
    let correlation_id = i32::from_be_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
    let Served(_, first, last, bounds) = *served(key as i16).ok_or(Malformed)?;
    if !(first..=last).contains(&version) {
        // ApiVersions is the only request whose version a client may guess. The answer lists the supported versions in
        // the oldest format.
        let refusal = || Answer::of(&api_versions(Code::UnsupportedVersion.code()), correlation_id, 0);
        return if key == ApiKey::ApiVersions { Ok(Some(refusal())) } else { Err(Malformed) };
    }
    let header: RequestHeader =
        tidemill_wire::decode(&mut frame, key.request_header_version(version), bounds).ok_or(Malformed)?;
    let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
    shape::elements(key, version, &frame, bounds.reads(frame.len())).ok_or(Malformed)?;
    let call = Call { client, shared: client.shared, version, client_id, correlation_id, bounds };
    match key {
        ApiKey::Produce if version < FIRST_PRODUCE_VERSION => Err(Malformed),
        ApiKey::Produce => produce::produce(&call, call.decode(frame)?),
        ApiKey::Fetch => Ok(Some(fetch::fetch(&call, &call.decode(frame)?))),
        _ => dispatch(key, &call, frame).map(Some),
    }
}

fn dispatch(key: ApiKey, call: &Call<'_>, frame: Bytes) -> Result<Answer, Malformed> {
    match key {
        ApiKey::ApiVersions => call.plain(frame, |_, _: ApiVersionsRequest| api_versions(0)),
        ApiKey::Metadata => call.direct(frame, cluster::metadata),
        ApiKey::DescribeCluster => call.plain(frame, cluster::describe_cluster),
        ApiKey::FindCoordinator => call.direct(frame, cluster::find_coordinator),
        ApiKey::InitProducerId => call.plain(frame, transactions::init_producer_id),
        ApiKey::AddPartitionsToTxn => call.plain(frame, transactions::add_partitions),
        ApiKey::AddOffsetsToTxn => call.plain(frame, transactions::add_offsets),
        ApiKey::TxnOffsetCommit => call.plain(frame, transactions::txn_offset_commit),
        ApiKey::EndTxn => call.plain(frame, transactions::end_txn),
        ApiKey::DescribeTransactions => call.direct(frame, describe_transactions::describe_transactions),
        ApiKey::ListTransactions => call.direct(frame, describe_transactions::list_transactions),
        ApiKey::DescribeProducers => call.direct(frame, describe_transactions::describe_producers),
        ApiKey::ListOffsets => call.plain(frame, list_offsets::list_offsets),
        ApiKey::CreateTopics => call.direct(frame, topics::create_topics),
        ApiKey::DeleteTopics => call.direct(frame, topics::delete_topics),
        ApiKey::CreatePartitions => call.direct(frame, topics::create_partitions),
        ApiKey::DescribeConfigs => call.direct(frame, configs::describe_configs),
        ApiKey::AlterConfigs => call.direct(frame, alter_configs::alter_configs),
        ApiKey::IncrementalAlterConfigs => call.direct(frame, alter_configs::incremental_alter_configs),
        ApiKey::DescribeLogDirs => call.plain(frame, log_dirs::describe_log_dirs),
        ApiKey::DeleteRecords => call.direct(frame, log_dirs::delete_records),
        ApiKey::OffsetDelete => call.plain(frame, group_offsets::offset_delete),
        ApiKey::OffsetForLeaderEpoch => call.plain(frame, list_offsets::offset_for_leader_epoch),
        ApiKey::JoinGroup => call.plain(frame, consumer_groups::join_group),
        ApiKey::SyncGroup => call.plain(frame, consumer_groups::sync_group),
        ApiKey::Heartbeat => call.plain(frame, consumer_groups::heartbeat),
        ApiKey::ConsumerGroupHeartbeat => call.plain(frame, consumer_groups::consumer_group_heartbeat),
        ApiKey::LeaveGroup => call.plain(frame, consumer_groups::leave_group),
        ApiKey::ListGroups => call.direct(frame, consumer_groups::list_groups),
        ApiKey::DescribeGroups => call.direct(frame, consumer_groups::describe_groups),
        ApiKey::DeleteGroups => call.direct(frame, consumer_groups::delete_groups),
        ApiKey::OffsetCommit => call.plain(frame, group_offsets::offset_commit),
        ApiKey::OffsetFetch => call.plain(frame, group_offsets::offset_fetch),
        other => unreachable!("{other:?} is not in the table"),
    }
}

impl Call<'_> {
    fn decode<Q: Decodable>(&self, mut frame: Bytes) -> Result<Q, Malformed> {
        tidemill_wire::decode(&mut frame, self.version, self.bounds).ok_or(Malformed)
    }

    /// Decodes a request, calls `serve`, and encodes its answer.
    fn plain<Q: Decodable, A: Encodable + HeaderVersion>(
        &self,
        frame: Bytes,
        serve: impl FnOnce(&Call<'_>, Q) -> A,
    ) -> Result<Answer, Malformed> {
        let request = self.decode(frame)?;
        Ok(Answer::of(&serve(self, request), self.correlation_id, self.version))
    }

    /// Decodes a request. `serve` builds its answer.
    fn direct<Q: Decodable>(
        &self,
        frame: Bytes,
        serve: impl FnOnce(&Call<'_>, Q) -> Answer,
    ) -> Result<Answer, Malformed> {
        Ok(serve(self, self.decode(frame)?))
    }

    /// A complete answer.
    fn whole<A: Encodable + HeaderVersion>(&self, answer: &A) -> Answer {
        Answer::of(answer, self.correlation_id, self.version)
    }

    /// An answer that ends with a list; see [`Answer::listed`].
    fn listed<T: Encodable + HeaderVersion, E: Encodable>(
        &self,
        body: (&T, usize),
        elements: impl ExactSizeIterator<Item = E>,
    ) -> Answer {
        Answer::listed(body, elements, self.correlation_id, self.version)
    }
}

fn api_versions(error_code: i16) -> ApiVersionsResponse {
    let describe = |Served(key, min, max, _): &Served| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(APIS.iter().map(describe).collect())
}

/// The code of a result, 0 for success.
fn code_of<T>(result: &Result<T, Code>) -> i16 {
    result.as_ref().err().map_or(0, Code::code)
}

/// The items without repeated keys. Each item is answered once, however often it is requested.
fn once<'a, T: 'a, K: Eq + Hash + 'a>(
    items: impl Iterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
) -> std::vec::IntoIter<&'a T> {
    let mut seen = HashSet::new();
    items.filter(move |item| seen.insert(key(*item))).collect::<Vec<_>>().into_iter()
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
