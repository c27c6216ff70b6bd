//! The requests that are served, each with its versions, and the way from a frame to an answer.
//!
//! Advertised is what `tests/conformance.py` exercises, every version of it. One exception: Produce is advertised from
//! version 0 as Apache Kafka 4 does, because older librdkafka takes its absence for a broker without compression; versions
//! 0 to 2 carry formats that are not served, and end the connection.

mod cluster;
mod configs;
mod consumer_groups;
mod fetch;
mod group_offsets;
mod list_offsets;
mod produce;
mod topics;

use crate::catalog::Catalog;
use crate::config::BrokerConfig;
use crate::groups::Groups;
use crate::guard;
use crate::partition::Signal;
use crate::producer_ids::ProducerIds;
use crate::wire::Answer;
use bytes::Bytes;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What all requests work on.
#[derive(Debug)]
pub(crate) struct Shared {
    pub config: BrokerConfig,
    pub catalog: Catalog,
    pub groups: Groups,
    pub producer_ids: ProducerIds,
    pub cluster_id: String,
}

/// Who asks.
pub(crate) struct Client<'a> {
    pub shared: &'a Shared,
    pub stopping: &'a AtomicBool,
    /// The address that the client has reached us at.
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// Wakes this client's fetch.
    pub signal: Arc<Signal>,
}

/// One request's circumstances.
pub(crate) struct Call<'a> {
    pub client: &'a Client<'a>,
    pub shared: &'a Shared,
    pub version: i16,
    pub client_id: String,
    correlation_id: i32,
}

/// The frame is malformed, or asks for what cannot be answered: the connection must end.
pub(crate) struct Malformed;

/// Key, first and last version.
const APIS: [(ApiKey, i16, i16); 21] = [
    (ApiKey::Produce, 0, 12),
    (ApiKey::Fetch, 4, 16),
    (ApiKey::ListOffsets, 1, 6),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 8),
    (ApiKey::FindCoordinator, 0, 4),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 4),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::DescribeCluster, 0, 1),
];
const FIRST_PRODUCE_VERSION: i16 = 3;

/// Answers one frame; `None` when the request wants no answer.
pub(crate) fn answer(client: &Client<'_>, mut frame: Bytes) -> Result<Option<Answer>, Malformed> {
    let prefix: [u8; 8] = frame.get(..8).and_then(|prefix| prefix.try_into().ok()).ok_or(Malformed)?;
    let key = ApiKey::try_from(i16::from_be_bytes([prefix[0], prefix[1]])).map_err(|()| Malformed)?;
    let version = i16::from_be_bytes([prefix[2], prefix[3]]);
    let correlation_id = i32::from_be_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
    let served = APIS.iter().find(|(served, ..)| *served == key).ok_or(Malformed)?;
    if !(served.1..=served.2).contains(&version) {
        // Only here may a client guess: it is told what there is, in the oldest version.
        let refusal = || Answer::of(&api_versions(Code::UnsupportedVersion.code()), correlation_id, 0);
        return if key == ApiKey::ApiVersions { Ok(Some(refusal())) } else { Err(Malformed) };
    }
    let header: RequestHeader = guard::decode(&mut frame, key.request_header_version(version)).ok_or(Malformed)?;
    let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
    let call = Call { client, shared: client.shared, version, client_id, correlation_id };
    match key {
        ApiKey::Produce if version < FIRST_PRODUCE_VERSION => Err(Malformed),
        ApiKey::Produce => produce::produce(&call, guard::decode(&mut frame, version).ok_or(Malformed)?),
        ApiKey::Fetch => Ok(Some(fetch::fetch(&call, &guard::decode(&mut frame, version).ok_or(Malformed)?))),
        _ => dispatch(key, &call, frame).map(Some),
    }
}

fn dispatch(key: ApiKey, call: &Call<'_>, frame: Bytes) -> Result<Answer, Malformed> {
    match key {
        ApiKey::ApiVersions => call.plain(frame, |_, _: ApiVersionsRequest| api_versions(0)),
        ApiKey::Metadata => call.plain(frame, cluster::metadata),
        ApiKey::DescribeCluster => call.plain(frame, cluster::describe_cluster),
        ApiKey::FindCoordinator => call.plain(frame, cluster::find_coordinator),
        ApiKey::InitProducerId => call.plain(frame, produce::init_producer_id),
        ApiKey::ListOffsets => call.plain(frame, list_offsets::list_offsets),
        ApiKey::CreateTopics => call.plain(frame, topics::create_topics),
        ApiKey::DeleteTopics => call.plain(frame, topics::delete_topics),
        ApiKey::CreatePartitions => call.plain(frame, topics::create_partitions),
        ApiKey::DescribeConfigs => call.plain(frame, configs::describe_configs),
        ApiKey::JoinGroup => call.plain(frame, consumer_groups::join_group),
        ApiKey::SyncGroup => call.plain(frame, consumer_groups::sync_group),
        ApiKey::Heartbeat => call.plain(frame, consumer_groups::heartbeat),
        ApiKey::LeaveGroup => call.plain(frame, consumer_groups::leave_group),
        ApiKey::ListGroups => call.plain(frame, consumer_groups::list_groups),
        ApiKey::DescribeGroups => call.plain(frame, consumer_groups::describe_groups),
        ApiKey::DeleteGroups => call.plain(frame, consumer_groups::delete_groups),
        ApiKey::OffsetCommit => call.plain(frame, group_offsets::offset_commit),
        ApiKey::OffsetFetch => call.plain(frame, group_offsets::offset_fetch),
        other => unreachable!("{other:?} is not in the table"),
    }
}

impl Call<'_> {
    /// Decodes the request, lets `serve` work it, encodes what it returns.
    fn plain<Q: Decodable, A: Encodable + HeaderVersion>(
        &self,
        mut frame: Bytes,
        serve: impl FnOnce(&Call<'_>, Q) -> A,
    ) -> Result<Answer, Malformed> {
        let request = guard::decode(&mut frame, self.version).ok_or(Malformed)?;
        Ok(Answer::of(&serve(self, request), self.correlation_id, self.version))
    }
}

fn api_versions(error_code: i16) -> ApiVersionsResponse {
    let describe = |(key, min, max): &(ApiKey, i16, i16)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(APIS.iter().map(describe).collect())
}

/// The code of a result, 0 for success.
fn code_of<T>(result: &Result<T, Code>) -> i16 {
    result.as_ref().err().map_or(0, Code::code)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
